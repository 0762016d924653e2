# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of tasks that is included only where a plan asks for it is included for everything that it carries out."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tools.tasks import REPOSITORY, Loader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A list of a plan, as tasks name it.
PLANNED = re.compile(r"__[a-z_]+_(?:plan|differences)\.([a-z_]+)")
FILES = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks")
#: Lists that a file uses when it is included for something else.
ANYWAY = {
    "ans_exchange/differences.yml": {"controllers"},  # that must answer under the block
    "ans_exchange/schedule.yml": {"https"},  # far ends that are asked before a task is written
    "domain_controller/controller.yml": {"dns_client"},  # how a server that is no controller yet finds the domain
}


@functools.cache
def load(file: Path) -> Any:
    return yaml.load(file.read_text(encoding="utf-8"), Loader) or []  # noqa: S506 - derived from SafeLoader


def entries(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every task, those of blocks too."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from entries(task.get(part, []))


@functools.cache
def variables(role: Path) -> dict[str, Any]:
    """The role's own variables."""
    return {name: value for file in sorted(role.glob("vars/**/*.yml")) for name, value in load(file).items()}


def lists(role: Path) -> dict[str, list[str]]:
    """What the role says that each file carries out."""
    found: dict[str, list[str]] = variables(role).get(f"__{role.name}_lists", {})
    return found


def written_out(role: Path, text: str) -> str:
    """A text, and after it the values of the role's variables that it names."""
    told = [str(value) for name, value in variables(role).items() if re.search(rf"\b{name}\b", text)]
    return " ".join([text, *told])


def planned(role: Path, text: str) -> set[str]:
    """The lists that a text names, by itself or through variables of the role."""
    text = written_out(role, text)
    keys = re.findall(rf"__{role.name}_lists\.([a-z_]+)", text)
    return set(PLANNED.findall(text)).union(*(lists(role)[key] for key in keys))


def carried_out(role: Path, name: str, parts: tuple[str, ...] = ("loop", "when")) -> set[str]:
    """The lists that a file of tasks, and what it takes in, loops over or asks for; without parts, all it names."""
    found: set[str] = set()
    for task in entries(load(role / "tasks" / name)):
        found |= planned(role, str([task.get(part) for part in parts] if parts else task))
        for taken in (task[verb] for verb in FILES if verb in task):
            found |= carried_out(role, taken, parts)
    return found


def conditions(role: Path) -> dict[str, str]:
    """The condition of each file that is included under one."""
    tasks = [task for file in sorted((role / "tasks").glob("*.yml")) for task in entries(load(file))]
    return {task[FILES[0]]: str(task["when"]) for task in tasks if FILES[0] in task and "when" in task}


ROLES = sorted(
    role
    for role in (REPOSITORY / "roles").iterdir()
    if any(planned(role, condition) for condition in conditions(role).values())
)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_file_is_included_for_everything_that_it_carries_out(role):
    for name, condition in conditions(role).items():
        asked = planned(role, condition)
        if asked:
            assert carried_out(role, name) - asked == ANYWAY.get(f"{role.name}/{name}", set()), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_file_is_included_for_nothing_else(role):
    for key, named in lists(role).items():
        assert f"__{role.name}_lists.{key}" in written_out(role, conditions(role)[f"{key}.yml"])
        assert set(named) - carried_out(role, f"{key}.yml", ()) == set(), key


def test_the_roles_include_what_their_plans_ask_for():
    functions = {"adsync", "ans_exchange", "domain_controller", "iis", "print_server", "sql_server"}
    assert {role.name for role in ROLES} >= functions | {"linux_baseline", "windows_baseline", "windows_prerequisites"}


def test_what_it_would_say(tmp_path):
    role = tmp_path / "role"
    for name, text in {
        "vars/main.yml": "__role_lists: {sites: [pools, hosts]}",
        "tasks/main.yml": "- {ansible.builtin.include_tasks: sites.yml, when: __role_lists.sites | length > 0}",
        "tasks/sites.yml": "- loop: '{{ __role_plan.pools }}'\n- block: [{loop: '{{ __role_plan.sites }}'}]",
    }.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match="'sites'"):
        test_a_file_is_included_for_everything_that_it_carries_out(role)
    with pytest.raises(AssertionError, match="'hosts'"):
        test_a_file_is_included_for_nothing_else(role)
