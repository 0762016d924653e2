# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of the role domain_controller: plain data in, plain data out, and errors in Ansible's own kind."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.filter.domain_controller import FilterModule

FILTERS = FilterModule().filters()
DECLARED = {"domain": "example.org", "groups": [{"name": "GG-Un", "members": ["rid:500"]}], "time_servers": []}
SERVER = {"hostname": "DC01", "role": "standalone", "time": "2026-11-23T12:00:00Z", "interfaces": []}
NONE = {"available": False}


def call(name, *arguments, **options):
    return FILTERS[f"domain_controller_{name}"](*arguments, **options)


def test_the_request_names_what_is_declared():
    asked = call("request", DECLARED)
    assert asked["directory"]["groups"] == ["GG-Un"]
    assert asked["directory"]["principals"] == ["rid:500"]


def test_plans_are_json():
    server = call("server_plan", DECLARED, SERVER)
    domain = call("domain_plan", DECLARED, SERVER, NONE, NONE, NONE)
    assert json.loads(json.dumps([server, domain])) == [server, domain]
    assert [item["label"] for item in domain["groups"]] == ["GG-Un (create)"]
    assert server["problems"] == ["DC01 n'a pas d'adresse IPv4 ; donnez-lui d'abord une adresse fixe"]
    assert call("server_plan", DECLARED, SERVER, language="en")["problems"][0].startswith("DC01 has no IPv4 address")


def test_health_is_judged():
    facts = {"time": "2026-11-23T12:00:00Z", "primary": True, "shares": ["SYSVOL", "NETLOGON"]}
    verdicts = call("health", DECLARED, facts, "dc01.example.org", "24", language="en")
    assert [verdict["probe"] for verdict in verdicts if not verdict["passed"]] == ["srv", "backup"]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("request", ({"domain": "a.b", "groups": [{"nom": "x"}]},), "domain_controller_groups[0].nom: unknown key"),
        (
            "server_plan",
            (DECLARED, {"hostname": "DC01"}),
            "something unexpected: probe.server.role: missing",
        ),
        ("domain_plan", (DECLARED, SERVER, {"colour": 1}, NONE, NONE), "probe.directory.colour: unknown key"),
        (
            "health",
            (DECLARED, {}, "dc01.example.org", 24),
            "something unexpected: health.time",
        ),
    ],
)
def test_what_has_another_shape_is_an_error_of_the_filter(name, arguments, words):
    with pytest.raises(AnsibleFilterError) as error:
        call(name, *arguments)
    assert words in str(error.value)
