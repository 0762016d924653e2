# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Windows baseline's data: every setting has its source, and means what the modules take."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import registry_policy
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.systems import SYSTEMS, system_of

REPOSITORY = Path(__file__).parents[3]
ROLE = REPOSITORY / "roles" / "windows_baseline"
DATA = {
    key: value
    for file in (ROLE / "vars" / "main").glob("*.yml")
    for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items()
}
REGISTRY = DATA["__windows_baseline_registry"]
VALUES = [(section["path"], value) for section in REGISTRY for value in section["values"]]
SOURCED = {
    name: DATA[f"__windows_baseline_{name}"]
    for name in ("audit", "event_channels", "services", "exporter_service", "rights", "builtin_users", "firewall_rules")
}
ORIGINS = ("CIS ", "Microsoft", "ANSSI", "Ansible", "RFC ", "prometheus-community/")


def module_choices(module, option, suboption):
    document = yaml.safe_load((REPOSITORY / "plugins" / "modules" / f"{module}.yml").read_text(encoding="utf-8"))
    return document["DOCUMENTATION"]["options"][option]["suboptions"][suboption]["choices"]


@pytest.mark.parametrize(("path", "value"), VALUES, ids=lambda part: part["name"] if isinstance(part, dict) else "")
def test_a_registry_value_has_a_source_and_a_type(path, value):
    assert value["source"].startswith(ORIGINS)
    assert path.startswith("HKLM:\\")
    assert "\\\\" not in path
    assert set(value) <= {
        "name", "type", "data", "source", "state", "reboot", "restart", "roles", "min_build", "max_build", "when",
    }  # fmt: skip
    assert set(value.get("roles", ["member"])) <= {"standalone", "member", "controller"}
    if not (isinstance(value["data"], str) and "{{" in value["data"]):
        kind = value.get("type", "dword")
        assert isinstance(value["data"], {"dword": int, "string": str, "multistring": list}[kind])
        assert kind != "dword" or 0 <= value["data"] < 2**32


def test_no_registry_value_is_declared_twice():
    keys = [registry_policy.registry_key(path, value["name"]) for path, value in VALUES]
    assert sorted(key for key in keys if keys.count(key) > 1) == []


def test_the_groups_are_those_of_the_specification():
    text = (ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    option = yaml.safe_load(text)["argument_specs"]["main"]["options"]["windows_baseline_registry_groups"]
    groups = {section["group"] for section in REGISTRY}
    assert set(option["choices"]) == groups
    assert set(option["default"]) == groups


@pytest.mark.parametrize("name", SOURCED)
def test_every_other_setting_has_a_source(name):
    assert [entry for entry in SOURCED[name] if not str(entry.get("source", "")).startswith(ORIGINS)] == []


def test_the_modules_know_what_is_asked_of_them():
    subcategories = set(module_choices("win_audit_policies", "policies", "subcategory"))
    assert {entry["subcategory"] for entry in SOURCED["audit"]} <= subcategories
    assert {entry["audit"] for entry in SOURCED["audit"]} <= set(
        module_choices("win_audit_policies", "policies", "audit")
    )
    modes = set(module_choices("win_event_channels", "channels", "mode"))
    assert {entry["mode"] for entry in SOURCED["event_channels"]} <= modes


def test_texts_are_the_same_in_both_languages():
    texts = {name: value for name, value in DATA.items() if name.startswith("__windows_baseline_text_")}
    assert len(texts) > 5
    assert {name for name, value in texts.items() if set(value) != {"fr", "en"}} == set()
    labels = DATA["__windows_baseline_labels"]
    assert set(labels["fr"]) == set(labels["en"]) == set(DATA["__windows_baseline_checks"])


def test_systems_are_ordered_and_dated():
    assert [entry.build for entry in SYSTEMS] == sorted(entry.build for entry in SYSTEMS)
    ends = {entry.name: dt.date.fromisoformat(entry.end_of_support) for entry in SYSTEMS}
    assert ends["Windows Server 2016"] == dt.date(2027, 1, 12)
    assert [entry.name for entry in SYSTEMS if not entry.supported] == ["Windows Server 2016"]
    assert system_of(14393).days_left(dt.date(2026, 11, 23)) == 50
    assert system_of(9600) is None
