# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role sql_server hands all it declares to the plan, and settles all that the plan finds."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from ansible_collections.cnosf.infogerance.plugins.module_utils.sql import declared, observed, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.settings import HARDENED

ROLE = Path(__file__).parents[3] / "roles/sql_server"
TASKS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROLE / "tasks").glob("*.yml")}
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"][
    "options"
]


def test_every_variable_of_the_declaration_reaches_the_plan():
    wanted = {field.name: f"{{{{ sql_server_{field.name} }}}}" for field in fields(Declaration)}
    assert VARIABLES["__sql_server_declared"] == wanted | {"host": "{{ __sql_server_name }}"}


def loops():
    """Each task that runs over a list of the plan, by the list's name."""
    found = {}
    for tasks in TASKS.values():
        for task in tasks:
            match = re.search(r"__sql_server_(?:plan\.(\w+)|restart )", str(task.get("loop", "")))
            if match and not {"ansible.windows.win_acl", "community.windows.win_disk_image"} & set(task):
                found[match.group(1) or "restart"] = task
    return found


def test_every_list_of_the_plan_is_settled_by_one_task():
    state = observed.Observation("2026-11-23T00:00:00Z", "sql01", 8192, 4)
    lists = plan.plan(Declaration.read({"sysadmins": ["S-1-5-32-544"], "source_path": "C:\\Sources"}), state)
    assert set(loops()) == set(lists) - {"problems"}


@pytest.mark.parametrize("name", sorted(set(loops()) - {"services", "restart"}))
def test_a_task_takes_the_plans_word_in_check_mode_only(name):
    task = loops()[name]
    register = task["register"]
    assert task["loop_control"]["label"] == "{{ item.label }}"
    assert task["changed_when"] == f"{register} is changed or (ansible_check_mode and item.foreseen)"
    assert task["failed_when"] == f"{register} is failed and not (ansible_check_mode and item.foreseen)"


def inner(kind):
    """The dataclass within an annotation, if any."""
    if is_dataclass(kind):
        return kind
    return next((found for part in get_args(kind) if (found := inner(part))), None)


def compare(kind, options, where):
    """A dataclass and the options of a structure: same keys, same defaults where both have one."""
    hints = get_type_hints(kind, vars(declared))
    assert set(options) == {field.name for field in fields(kind)}, where
    for field in fields(kind):
        option, nested = options[field.name], inner(hints[field.name])
        if nested:
            compare(nested, option["options"], f"{where}.{field.name}")
        elif "default" in option and field.default is not MISSING:
            wanted = option["default"]
            assert field.default == (tuple(wanted) if isinstance(wanted, list) else wanted), f"{where}.{field.name}"


@pytest.mark.parametrize(
    "field", [field for field in fields(Declaration) if field.name != "host"], ids=lambda f: f.name
)
def test_nested_structures_have_the_keys_and_defaults_of_the_specification(field):
    nested = inner(get_type_hints(Declaration, vars(declared))[field.name])
    if nested:
        compare(nested, OPTIONS[f"sql_server_{field.name}"]["options"], field.name)
    else:
        assert f"sql_server_{field.name}" in OPTIONS


def test_every_hardened_option_names_its_source():
    assert all(value in {0, 1} and source for value, source in HARDENED.values())
