# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever installs the collection gets the collections that its roles and playbooks call."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[3]
OWN = {"ansible.builtin", "cnosf.infogerance"}
DECLARED = yaml.safe_load((REPOSITORY / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]


def called(value):
    """Collections of the modules that a structure of tasks or plays names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            match = re.fullmatch(r"([a-z_]+\.[a-z_]+)\.[a-z0-9_]+", str(name))
            if match:
                yield match[1]
            yield from called(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from called(inner)


def test_each_collection_that_is_called_is_a_dependency():
    files = [*REPOSITORY.glob("roles/*/tasks/**/*.yml"), *REPOSITORY.glob("playbooks/*.yml")]
    files += REPOSITORY.glob("roles/*/handlers/*.yml")
    found = {name: file for file in files for name in called(yaml.safe_load(file.read_text(encoding="utf-8")))}
    assert {name: str(file) for name, file in found.items() if name not in {*DECLARED, *OWN}} == {}
    assert len(found) > len(OWN)


def test_both_files_ask_for_the_same():
    wanted = yaml.safe_load((REPOSITORY / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    assert {entry["name"]: entry["version"] for entry in wanted} == DECLARED
