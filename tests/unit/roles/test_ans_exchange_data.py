# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role ans_exchange hands all it declares to the plan, settles all that it finds, and keeps secrets out of it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange import plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.declared import (
    Declaration,
    Directories,
    Flow,
    Opening,
    Schedule,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.observed import Observation
from lab.windows.far_ends import _known

REPOSITORY = Path(__file__).parents[3]
ROLE = REPOSITORY / "roles/ans_exchange"
TASKS = {path.name: path.read_text(encoding="utf-8") for path in (ROLE / "tasks").glob("*.yml")}
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"][
    "options"
]
DECLARED = VARIABLES["__ans_exchange_declared"]
ESTATE = yaml.safe_load((REPOSITORY / "inventories/production/group_vars/ans_exchange.yml").read_text(encoding="utf-8"))


def flat(tasks):
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from flat(task.get(part, []))


ALL = [task for text in TASKS.values() for task in flat(yaml.safe_load(text))]


def test_every_variable_of_the_declaration_reaches_the_plan():
    assert set(DECLARED) == {field.name for field in fields(Declaration)}


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (Flow, OPTIONS["ans_exchange_flows"]),
        (Directories, OPTIONS["ans_exchange_flows"]["options"]["directories"]),
        (Schedule, OPTIONS["ans_exchange_flows"]["options"]["schedule"]),
        (Opening, OPTIONS["ans_exchange_outbound"]),
    ],
)
def test_the_specification_has_the_keys_and_defaults_of_the_declaration(kind, option):
    assert set(option["options"]) == {field.name for field in fields(kind)}
    for field in fields(kind):
        default = option["options"][field.name].get("default")
        if isinstance(field.default, (str, int, bool)):
            assert default == field.default, field.name
        elif isinstance(field.default, tuple):
            assert tuple(default) == field.default, field.name


def test_every_list_of_the_plan_is_settled_by_the_role():
    made = plan.plan(Declaration("A\\b$"), Observation("ANS", "2026-11-23T08:00:00Z", "10.0.20348"))
    used = set(re.findall(r"__ans_exchange_plan\.(\w+)", " ".join([*TASKS.values(), yaml.safe_dump(VARIABLES)])))
    assert used == set(made)


def test_secrets_are_written_without_a_word():
    secret = [
        task for task in ALL if re.search(r"private_key|ans_exchange_headers \| to_json|item\.password", str(task))
    ]
    assert len(secret) == 3
    assert all(task.get("no_log") for task in secret)
    assert "password" not in str(DECLARED)
    assert "private_key" not in str(DECLARED)


def test_texts_are_in_both_languages():
    texts = {name: value for name, value in VARIABLES.items() if name.startswith("__ans_exchange_text_")}
    assert texts
    assert all(set(text) == {"fr", "en"} for text in texts.values())


def test_the_example_estates_far_ends_are_the_labs():
    """The lab stands in for the far ends of the example, host keys included."""
    ends = {end.host: end for end in _known()}
    for flow in ESTATE["ans_exchange_flows"]:
        assert tuple(flow["addresses"]) == ends[flow["host"]].addresses
        assert set(flow.get("host_keys", [])) <= set(ends[flow["host"]].host_keys)
