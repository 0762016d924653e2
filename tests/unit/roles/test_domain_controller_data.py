# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role domain_controller hands all it declares to the plan, and settles all that the plan finds."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory import observed, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.declared import Declaration

ROLE = Path(__file__).parents[3] / "roles/domain_controller"
TASKS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROLE / "tasks").glob("*.yml")}
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))


def test_every_variable_of_the_declaration_reaches_the_plan():
    wanted = {field.name: f"{{{{ domain_controller_{field.name} }}}}" for field in fields(Declaration)}
    assert VARIABLES["__domain_controller_declared"] == wanted


def loops():
    """Each task that runs over a list of the plan, by the list's name."""
    found = {}
    for tasks in TASKS.values():
        for task in tasks:
            match = re.search(r"__domain_controller_plan\.(\w+)", str(task.get("loop", "")))
            if match:
                found[match.group(1)] = task
    return found


def test_every_list_of_the_plan_is_settled_by_one_task():
    server = observed.Server("DC01", "standalone", "2026-11-23T00:00:00Z")
    lists = plan.domain_plan(Declaration.read({"domain": "example.org"}), observed.Observation(server))
    assert set(loops()) == set(lists) - {"problems", "deferred_service_accounts"}


@pytest.mark.parametrize("name", sorted(loops()))
def test_a_task_takes_the_plans_word_in_check_mode_only(name):
    task = loops()[name]
    register = task["register"]
    assert task["loop_control"]["label"] == "{{ item.label }}"
    assert task["changed_when"] == f"{register} is changed or (ansible_check_mode and item.foreseen)"
    assert task["failed_when"] == f"{register} is failed and not (ansible_check_mode and item.foreseen)"


def test_what_is_written_to_the_directory_is_read_from_the_same_controller():
    for task in loops().values():
        for module, arguments in task.items():
            if module.startswith("microsoft.ad."):
                assert arguments["domain_server"] == "{{ __domain_controller_ad_server }}", module
