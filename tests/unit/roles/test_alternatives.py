# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every role's public variables are seen off their defaults by a Molecule scenario.

What counts is data of the role's scenario that does not hold for all its servers: ``host_vars``, of which one server's
is the alternative, and what servers tagged ``alternative`` have in common.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
ROLES = sorted(path.parent.parent.name for path in REPOSITORY.glob("roles/*/meta/argument_specs.yml"))
# Roles that only others' tasks call: their callers decide what they get.
INTERNAL = {"windows_prerequisites"}

STAYS: dict[str, str] = {
    "ans_exchange_firewall": "off, nothing of the block and its list, whose drift is rehearsed, would be left",
    "ans_exchange_openssh_directory": "the package installs where it does; another place is that of another client",
    "adsync_cycle_enabled": "kept by Entra ID for all servers of a tenant, and the scenario needs its cycles",
}
"""Variables that no scenario takes off their defaults, each with its reason."""


def load(path: Path) -> dict:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def options(role: str) -> dict:
    specs = load(REPOSITORY / "roles" / role / "meta" / "argument_specs.yml")
    return specs["argument_specs"]["main"].get("options", {})


def scenario_data(role: str) -> dict[str, list]:
    """Values of each variable in the data of single servers, and of those tagged ``alternative``."""
    folder = REPOSITORY / "molecule" / role
    found: dict[str, list] = {}
    for file in sorted([*folder.glob("group_vars/tag_alternative.yml"), *folder.glob("host_vars/**/*.yml")]):
        for name, value in load(file).items():
            found.setdefault(name, []).append(value)
    return found


def covered(role: str) -> bool:
    """Whether the role has a scenario at all: one that is being written is not wired in yet."""
    return (REPOSITORY / "molecule" / role / "converge.yml").exists()


def at_default(role: str) -> list[str]:
    data = scenario_data(role)
    return [
        name
        for name, option in options(role).items()
        if all(value == option.get("default") for value in data.get(name, [option.get("default")]))
    ]


@pytest.mark.parametrize("role", [role for role in ROLES if role not in INTERNAL and covered(role)])
def test_every_variable_is_seen_off_its_default(role):
    assert [name for name in at_default(role) if name not in STAYS] == []


def test_no_exception_is_left_over():
    known = {name for role in ROLES for name in options(role)}
    needed = {name for role in ROLES if role not in INTERNAL and covered(role) for name in at_default(role)}
    assert set(STAYS) - known == set()
    assert set(STAYS) - needed == set()


def test_a_variable_at_its_default_is_found(monkeypatch):
    """The comparison itself: a value equal to the default does not count, one of two servers' other value does."""
    monkeypatch.setitem(globals(), "options", lambda _role: {"a": {"default": 1}, "b": {"default": 1}, "c": {}})
    monkeypatch.setitem(globals(), "scenario_data", lambda _role: {"a": [1], "b": [1, 2], "c": [None]})
    assert at_default("any") == ["a", "c"]
