# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role iis hands all it declares to the plan, and settles all that the plan finds."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis import plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.observed import Observation

ROLE = Path(__file__).parents[3] / "roles/iis"
TASKS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROLE / "tasks").glob("*.yml")}
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"][
    "options"
]
WORKED_OUT = {"hosting_bundle"}
"""What the declaration is told of a variable, not the variable itself."""


def test_every_variable_of_the_declaration_reaches_the_plan():
    wanted = {field.name: f"{{{{ iis_{field.name} }}}}" for field in fields(Declaration)}
    found = VARIABLES["__iis_declared"]
    assert set(found) == set(wanted)
    for name in set(wanted) - WORKED_OUT:
        assert found[name] == wanted[name]


def nested(hint: Any) -> Any:
    """The dataclass of an annotation, if it has one."""
    if is_dataclass(hint):
        return hint
    return next((found for inner in get_args(hint) if (found := nested(inner))), None)


def compare(kind: Any, options: dict[str, Any], where: str) -> None:
    assert {field.name for field in fields(kind)} == set(options), where
    hints = get_type_hints(kind)
    for field in fields(kind):
        option, place = options[field.name], f"{where}.{field.name}"
        assert bool(option.get("required")) == (field.default is MISSING), place
        inner = nested(hints[field.name])
        if inner:
            compare(inner, option["options"], place)
        elif not option.get("required"):
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert option.get("default", [] if default == [] else None) == default, place


@pytest.mark.parametrize("name", ["certificates", "pools", "sites", "releases", "headers", "request_filtering", "log"])
def test_nested_options_and_objects_are_the_same(name):
    compare(nested(get_type_hints(Declaration)[name]), OPTIONS[f"iis_{name}"]["options"], name)


def loops() -> dict[str, dict[str, Any]]:
    """Each task that runs over a list of the plan, by the list's name."""
    found = {}
    for tasks in TASKS.values():
        for task in tasks:
            match = re.search(r"__iis_plan\.(\w+)", str(task.get("loop", "")))
            if match:
                found[match.group(1)] = task
    return found


def test_every_list_of_the_plan_is_settled_by_one_task():
    declared = Declaration.read({"root": "C:\\Sites", "staging": "C:\\Attente"})
    lists = plan.plan(declared, Observation("2026-11-23T00:00:00Z", 20348), {})
    assert set(loops()) == set(lists)


@pytest.mark.parametrize("name", sorted(set(loops()) - {"deployments", "sites"}))
def test_a_task_takes_the_plans_word_in_check_mode_only(name):
    task = loops()[name]
    register = task["register"]
    assert task["loop_control"]["label"] == "{{ item.label }}"
    assert task["changed_when"] == f"{register} is changed or (ansible_check_mode and item.foreseen)"
    assert task["failed_when"] == f"{register} is failed and not (ansible_check_mode and item.foreseen)"


def test_a_certificate_is_not_given_to_the_module_in_check_mode():
    task = loops()["sites"]
    assert "ansible_check_mode and item.foreseen" in task["microsoft.iis.website"]["bindings"]
    assert task["failed_when"] == "__iis_sites is failed and not (ansible_check_mode and item.foreseen)"


def test_no_password_is_an_argument_of_a_module_that_prints_it():
    for tasks in TASKS.values():
        for task in tasks:
            pool = task.get("microsoft.iis.web_app_pool")
            assert pool is None or "password" not in str(pool)


def test_whatever_fails_the_site_is_pointed_back_and_its_pool_started():
    (release,) = TASKS["release.yml"]
    modules = [next(key for key in task if "." in key) for task in release["rescue"]]
    assert modules.index("microsoft.iis.website") < modules.index("microsoft.iis.web_app_pool")
    back = release["rescue"][modules.index("microsoft.iis.website")]
    assert back["microsoft.iis.website"]["physical_path"] == "{{ __iis_release.previous_folder }}"
    assert "when" not in back


def test_the_mark_of_a_whole_release_comes_after_it_is_unpacked_and_before_it_goes_live():
    (release,) = TASKS["release.yml"]
    names = [task["name"] for task in release["block"]]
    order = [
        "Unpack it",
        "Note that it is whole",
        "Switch the site to it",
        "Ask it for its health",
        "Note that it is healthy",
    ]
    assert [name for name in names if name in order] == order


def test_every_step_of_a_release_has_a_french_name():
    (release,) = TASKS["release.yml"]
    assert set(VARIABLES["__iis_release_steps"]) == {task["name"] for task in release["block"]}
