# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role print_server hands all it declares to the plan, and holds its own data to their sources."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.access import RIGHTS
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.checks import problems
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.declared import PREFIX, Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.health import PROBES

REPOSITORY = Path(__file__).parents[3]
ROLE = REPOSITORY / "roles/print_server"


def load(path):
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


VARIABLES, DEFAULTS = load("vars/main.yml"), load("defaults/main.yml")
OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
VALUES = [value for section in VARIABLES["__print_server_registry_sections"] for value in section["values"]]


def test_every_variable_of_the_declaration_reaches_the_plan():
    wanted = {field.name: f"{{{{ {PREFIX}{field.name} }}}}" for field in fields(Declaration)}
    assert VARIABLES["__print_server_declared"] == wanted


def test_the_defaults_are_a_good_declaration():
    values = {field.name: DEFAULTS[f"{PREFIX}{field.name}"] for field in fields(Declaration)}
    assert problems(Declaration.read(values)) == []


def test_the_choices_are_what_the_rules_know():
    assert OPTIONS["print_server_warn_only"]["choices"] == list(PROBES)
    assert OPTIONS["print_server_permissions"]["options"]["rights"]["choices"] == list(RIGHTS)
    assert OPTIONS["print_server_queues"]["options"]["permissions"]["options"]["rights"]["choices"] == list(RIGHTS)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value["name"])
def test_every_registry_value_names_its_source(value):
    assert value["source"].startswith("Microsoft")


def test_the_settings_against_printnightmare_are_all_there():
    assert {value["name"]: value["data"] for value in VALUES if isinstance(value["data"], int)} == {
        "RestrictDriverInstallationToAdministrators": 1,
        "NoWarningNoElevationOnInstall": 0,
        "UpdatePromptSettings": 0,
        "CopyFilesPolicy": 1,
        "RedirectionGuardPolicy": 1,
        "RegisterSpoolerRemoteRpcEndPoint": 1,
        "RpcAuthnLevelPrivacyEnabled": 1,
    }


def test_its_firewall_rules_are_not_the_baselines():
    baseline = yaml.safe_load((REPOSITORY / "roles/windows_baseline/defaults/main.yml").read_text(encoding="utf-8"))
    assert DEFAULTS["print_server_firewall_group"] != baseline["windows_baseline_firewall_group"]
