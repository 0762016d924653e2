# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts on a controller's health."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.health import (
    Backup,
    Failure,
    Health,
    Ldaps,
    judge,
)

DECLARED = Declaration.read({"domain": "example.org", "dhcp": True, "time_servers": ["ntp.example"]})
WELL = Health(
    time="2026-11-23T12:00:00Z",
    primary=True,
    shares=("ADMIN$", "sysvol", "NETLOGON"),
    time_source="ntp.example,0x8",
    srv_targets=("dc01.example.org.",),
    dhcp_authorized=True,
    backup=Backup("2026-11-22T21:30:00Z", "2026-01-01T00:00:00Z"),
    ldaps=Ldaps("AB12", "2026-11-23T12:00:01Z"),
)


def failed(health, declared=DECLARED, hours=24, thumbprint="ab12"):
    asked = {"fqdn": "DC01.example.org", "backup_max_age_hours": hours, "ldaps_thumbprint": thumbprint}
    verdicts = judge(declared, health, **asked, language="en")
    french = judge(declared, health, **asked)
    assert [(verdict.probe, verdict.passed) for verdict in french] == [
        (verdict.probe, verdict.passed) for verdict in verdicts
    ]
    assert all(
        verdict.message != other.message or verdict.passed or verdict.probe == "dcdiag"
        for verdict, other in zip(french, verdicts, strict=True)
    )
    return {verdict.probe: verdict.message for verdict in verdicts if not verdict.passed}


def test_a_healthy_controller_passes_every_probe():
    assert failed(WELL) == {}


@pytest.mark.parametrize(
    ("changes", "probe", "fragment"),
    [
        ({"dcdiag": ("Le test a échoué",)}, "dcdiag", "Le test a échoué"),
        (
            {"replication_failures": (Failure("dc01", "dc02", 3, 1722),)},
            "replication",
            "dc01: 3 failures with dc02, last error 1722",
        ),
        ({"stopped_services": ("ADWS",)}, "services", "ADWS is not running"),
        ({"shares": ("SYSVOL",)}, "shares", "NETLOGON is not shared"),
        ({"time_source": "Local CMOS Clock"}, "time", "'Local CMOS Clock'"),
        ({"primary": False, "time_source": "ntp.example"}, "time", "not from a controller of example.org"),
        ({"srv_targets": ("dc02.example.org.",)}, "srv", "does not name DC01.example.org"),
        ({"dhcp_authorized": False}, "dhcp", "not authorised"),
        ({"backup": Backup("2026-11-22T11:59:59Z", "2026-01-01T00:00:00Z")}, "backup", "is 24 h old, more than 24 h"),
        ({"ldaps": Ldaps()}, "ldaps", "port 636 serves the certificate -, not ab12"),
        ({"ldaps": Ldaps("CD34", "2027-01-01T00:00:00Z")}, "ldaps", "serves the certificate CD34, not ab12"),
        ({"ldaps": Ldaps("AB12", "2026-11-23T12:00:00Z")}, "ldaps", "expired on 2026-11-23T12:00:00Z"),
        ({"backup": Backup()}, "backup", "no scheduled system-state backup"),
        ({"backup": Backup("", "2026-11-22T11:00:00Z")}, "backup", "no system-state backup has succeeded in the 24 h"),
    ],
)
def test_each_trouble_fails_its_own_probe(changes, probe, fragment):
    found = failed(replace(WELL, **changes))
    assert list(found) == [probe]
    assert fragment in found[probe]


def test_a_task_of_today_may_still_wait_for_its_first_run():
    assert failed(replace(WELL, backup=Backup("", "2026-11-23T08:00:00Z"))) == {}


def test_what_is_not_asked_for_is_not_judged():
    plain = Declaration.read({"domain": "example.org", "time_servers": []})
    ill = replace(WELL, dhcp_authorized=False, time_source="anything", backup=Backup(), ldaps=Ldaps())
    assert failed(ill, plain, hours=0, thumbprint="") == {}


def test_another_controller_follows_the_domain():
    assert failed(replace(WELL, primary=False, time_source="DC02.example.org")) == {}


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_a_backup_passes_exactly_up_to_its_age(minutes, hours):
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    last = (now - timedelta(minutes=minutes)).isoformat()
    found = failed(replace(WELL, time=now.isoformat(), backup=Backup(last, last)), hours=hours)
    assert ("backup" in found) == (minutes > hours * 60)
