# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role adsync hands all it declares to the plan, settles all that the plan finds, and agrees with its objects."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import tree_sitter_powershell
import yaml
from tree_sitter import Language, Parser

from ansible_collections.cnosf.infogerance.plugins.module_utils.entra import plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.observed import Observation

ROLE = Path(__file__).parents[3] / "roles/adsync"
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
SCRIPT = (ROLE / "files/export.ps1").read_text(encoding="utf-8")
PLAYED = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROLE / "tasks").glob("*.yml")))


def test_every_variable_of_the_declaration_reaches_the_plan():
    wanted = {field.name: f"{{{{ adsync_{field.name} }}}}" for field in fields(Declaration)}
    assert VARIABLES["__adsync_declared"] == wanted


@pytest.mark.parametrize("field", fields(Declaration), ids=lambda field: field.name)
def test_a_default_is_the_same_in_the_role_and_in_the_object(field):
    held = getattr(Declaration(), field.name)
    assert DEFAULTS[f"adsync_{field.name}"] == (list(held) if isinstance(held, tuple) else held)


def test_every_list_of_the_plan_is_settled():
    made = plan.plan(Declaration(), "sync01", Observation("2026-11-23T12:00:00Z", in_domain=True))
    assert set(re.findall(r"__adsync_plan\.(\w+)", PLAYED)) == set(made)


def test_the_script_is_strict_full_and_readable():
    tree = Parser(Language(tree_sitter_powershell.language())).parse(SCRIPT.encode())
    assert not tree.root_node.has_error
    assert "Set-StrictMode -Version 3.0" in SCRIPT
    assert "$ErrorActionPreference = 'Stop'" in SCRIPT
    assert not re.search(r"(?<![\w-])(?:ls|dir|cp|mv|rm|del|cat|gci|ni|ri|\?|%)\s", re.sub(r"#.*", "", SCRIPT))
