# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role that is out of step is named, point by point."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("tools_roles", REPOSITORY / "tools" / "roles.py")
roles = importlib.util.module_from_spec(spec)
spec.loader.exec_module(roles)


@pytest.fixture
def role(tmp_path):
    """A role in step: one variable with a default, one required, both used."""
    folder = tmp_path / "web"
    for name in ("defaults", "meta", "tasks"):
        (folder / name).mkdir(parents=True)
    write(folder, "defaults", {"web_port": 443})
    write(
        folder,
        "meta",
        {
            "argument_specs": {
                "main": {
                    "options": {
                        "web_port": {"type": "int", "default": 443, "description": "Port of V(https)."},
                        "web_name": {"type": "str", "required": True, "description": "Name."},
                    }
                }
            }
        },
    )
    (folder / "tasks" / "main.yml").write_text("- debug: {msg: '{{ web_port }} {{ web_name }}'}\n", encoding="utf-8")
    return folder


def write(folder, part, content):
    name = {"defaults": "main.yml", "meta": "argument_specs.yml"}[part]
    (folder / part / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def options(folder):
    return yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))


def test_a_role_in_step_has_no_problem(role):
    assert roles.check(role) == []


def test_a_default_that_differs_is_named(role):
    write(role, "defaults", {"web_port": 444})
    assert roles.check(role) == ["roles/web: web_port differs between argument_specs and defaults/main.yml"]


def test_an_undeclared_default_and_an_unused_variable_are_named(role):
    write(role, "defaults", {"web_port": 443, "web_extra": 1})
    assert "roles/web: web_extra is in defaults/main.yml and not in argument_specs" in roles.check(role)
    (role / "tasks" / "main.yml").write_text("- debug: {msg: '{{ web_name }}'}\n", encoding="utf-8")
    assert "roles/web: web_port is declared and never used" in roles.check(role)


def test_a_variable_used_and_declared_nowhere_is_named(role):
    (role / "tasks" / "more.yml").write_text("- debug: {msg: '{{ web_typo }}'}\n", encoding="utf-8")
    assert roles.check(role) == ["roles/web: web_typo is used and declared nowhere"]


def test_a_name_without_the_roles_prefix_is_named(role):
    content = options(role)
    content["argument_specs"]["main"]["options"]["port"] = {"type": "int", "required": True, "description": "Port."}
    write(role, "meta", content)
    assert "roles/web: public variable port does not start with web_" in roles.check(role)


def test_the_table_shows_nested_options_and_markup_as_code(role):
    content = options(role)
    content["argument_specs"]["main"]["options"]["web_sites"] = {
        "type": "list",
        "elements": "dict",
        "default": [],
        "description": "Sites.",
        "options": {"host": {"required": True, "description": "A | B", "choices": ["a", "b"]}},
    }
    write(role, "meta", content)
    shown = roles.table(role)
    assert "| `web_port` | int | `443` | Port of `https`. |" in shown
    assert "| `web_sites` | list of dict | `[]` | Sites. |" in shown
    assert "| `web_sites[].host` | str | **required** | A \\| B One of `a`, `b`. |" in shown
