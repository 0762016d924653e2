# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role adsync does, refuses and says, by tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.entra import plan, versions
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.declared import Declaration, Settings
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.observed import (
    Event,
    Identity,
    Observation,
    Peer,
    Run,
    Scheduler,
    Service,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError

NOW = "2026-11-23T12:00:00Z"
SCHEDULER = Scheduler(
    cycle_enabled=True,
    staging_mode=False,
    suspended=False,
    maintenance=True,
    in_progress=False,
    interval_minutes=30,
    allowed_interval_minutes=30,
    run_history_days=7,
)
ACTIVE = Observation(
    time=NOW,
    in_domain=True,
    dotnet_release=528449,
    version="2.6.84.0",
    engine_version="2.6.84.0",
    configured=True,
    services=(Service("ADSync", "running", "auto"),),
    scheduler=SCHEDULER,
    identity=Identity("Application", "EntraConnect", "EntraConnect", "A" * 64),
    runs=(Run("ordre.example", "Delta Import", "success", True, "2026-11-23T11:45:00Z", "2026-11-23T11:45:10Z"),),
)
STAGING = replace(ACTIVE, scheduler=replace(SCHEDULER, staging_mode=True))
OLD = replace(ACTIVE, version="2.5.79.0", engine_version="2.5.79.0")
FRESH = Observation(time=NOW, in_domain=True, dotnet_release=528449, services=(Service("ADSync"),))
INSTALLER = {"installer": "media/AzureADConnect.msi", "installer_checksum": "0" * 64, "version": "2.6.84.0"}
PEER = Peer("sync02", in_play=True, declared=Settings(staging_mode=True), found=STAGING)
LISTS = {"pause", "packages", "start", "demote", "promote", "settings", "cycle", "enable"}


def made(found, peers=(), **declared):
    """The plan of sync01, in English, after seeing that French says as much."""
    declaration = Declaration.read(declared)
    english = plan.plan(declaration, "sync01", found, peers, "en")
    french = plan.plan(declaration, "sync01", found, peers)
    for kind in ("problems", "notices"):
        assert len(english[kind]) == len(french[kind])
        assert not set(english[kind]) & set(french[kind])
    return english


def changes(result):
    return {name for name in LISTS if result[name]} | ({"restart"} if result["restart"] else set())


def test_a_server_as_declared_needs_nothing():
    result = made(ACTIVE)
    assert result["problems"] == []
    assert result["ready"]
    assert changes(result) == set()


@pytest.mark.parametrize(
    ("found", "declared", "changed"),
    [
        (replace(ACTIVE, scheduler=replace(SCHEDULER, cycle_enabled=False)), {}, {"cycle", "enable"}),
        (replace(ACTIVE, scheduler=replace(SCHEDULER, interval_minutes=120)), {}, {"settings"}),
        (replace(ACTIVE, scheduler=replace(SCHEDULER, maintenance=False)), {}, {"settings"}),
        (ACTIVE, {"cycle_enabled": False}, {"settings"}),
        (ACTIVE, {"run_history_days": 14}, {"settings"}),
        (ACTIVE, {"full_cycle_since": "2026-11-23T11:50:00Z"}, {"settings"}),
        (
            replace(ACTIVE, scheduler=replace(SCHEDULER, next_policy="initial")),
            {"full_cycle_since": "2026-11-23T11:50:00Z"},
            set(),
        ),
        (STAGING, {}, {"promote"}),
        (replace(ACTIVE, restart_awaited=True), {}, {"restart"}),
        (replace(ACTIVE, services=(Service("ADSync", "stopped", "auto"),), scheduler=None), {}, {"start"}),
        (replace(ACTIVE, services=(Service("ADSync", "running", "disabled"),)), {}, {"start"}),
        (STAGING, {**INSTALLER, "version": "2.6.90.0", "staging_mode": True}, {"pause", "packages"}),
        (FRESH, INSTALLER, {"packages"}),
        (ACTIVE, INSTALLER, set()),
    ],
)
def test_each_difference_is_settled_by_its_own_loop(found, declared, changed):
    peers = (Peer("sync02", declared=Settings()),) if declared.get("staging_mode") else ()
    result = made(found, peers, **declared)
    assert result["problems"] == []
    assert changes(result) == changed


def test_the_scheduler_is_changed_in_one_command():
    drifted = replace(SCHEDULER, interval_minutes=60, run_history_days=1)
    (item,) = made(replace(ACTIVE, scheduler=drifted))["settings"]
    assert item == {
        "label": "sync01 (interval_minutes, run_history_days)",
        "foreseen": False,
        "interval_minutes": 30,
        "run_history_days": 7,
    }


def test_an_unconfigured_server_ends_in_a_notice_and_not_in_a_failure():
    for found in (FRESH, replace(FRESH, version="2.6.84.0"), replace(FRESH, services=(Service("ADSync", "running"),))):
        result = made(found, **INSTALLER)
        assert result["problems"] == []
        assert not result["ready"]
        assert "first configuration is a person's" in result["notices"][0]


def test_a_half_done_upgrade_ends_in_a_notice():
    result = made(replace(ACTIVE, engine_version="2.5.79.0"), **INSTALLER)
    assert (result["problems"], result["ready"], changes(result)) == ([], False, set())
    assert "choose Upgrade" in result["notices"][0]


def test_notices_name_the_risks():
    result = made(replace(ACTIVE, spooler_running=True, events=(Event(1011, NOW), Event(1014, NOW))))
    assert [notice.split(":")[0] for notice in result["notices"][1:3]] == ["event 1011", "event 1014"]
    assert "tier 0" in result["notices"][0]
    assert "Cloud Sync" in result["notices"][-1]


@pytest.mark.parametrize(
    ("found", "peers", "declared", "words"),
    [
        (FRESH, (), {}, "adsync_installer: empty, and sync01 has no Entra Connect Sync; download"),
        (OLD, (), {}, "adsync_installer: empty, and sync01 has 2.5.79.0, older than adsync_minimum_version, 2.6.84.0"),
        (replace(FRESH, in_domain=False), (), INSTALLER, "sync01 is in no domain"),
        (replace(FRESH, dotnet_release=461308), (), INSTALLER, "release 461308, older than 4.7.2"),
        (ACTIVE, (), {"interval_minutes": 15}, "15 is less than the 30 minutes that Entra ID allows"),
        (OLD, (), INSTALLER, "would leave no server synchronising; add a staging server, or accept"),
        (
            OLD,
            (replace(PEER, found=replace(OLD, scheduler=STAGING.scheduler)),),
            INSTALLER,
            "upgrade the staging server (sync02) first",
        ),
        (OLD, (PEER,), INSTALLER, "declare sync02 active and sync01 in staging mode"),
        (OLD, (replace(PEER, found=None),), INSTALLER, "would leave no server synchronising"),
        (STAGING, (replace(PEER, found=None),), {}, "while sync02 does not answer"),
        (STAGING, (replace(PEER, found=ACTIVE, in_play=False),), {}, "sync02 is active; run the role on it too"),
        (
            STAGING,
            (
                replace(
                    PEER, in_play=False, found=replace(ACTIVE, scheduler=None, services=(Service("ADSync", "stopped"),))
                ),
            ),
            {},
            "while sync02 does not answer",
        ),
        (STAGING, (PEER,), {"staging_switch": False}, "the role may not switch it; do it in the wizard"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(found, peers, declared, words):
    problems = made(found, peers, **declared)["problems"]
    assert len(problems) == 1, problems
    assert problems[0].startswith("adsync_")
    assert words in problems[0]


def test_an_upgrade_is_let_through_where_somebody_else_synchronises_or_nobody_does():
    elsewhere = Peer("sync02", found=ACTIVE, declared=Settings())
    assert (
        made(replace(OLD, scheduler=STAGING.scheduler), (elsewhere,), staging_mode=True, **INSTALLER)["problems"] == []
    )
    failing = replace(OLD, runs=(Run("a", "Delta Import", "no-start-credentials", True, NOW, NOW),))
    assert made(failing, (), **INSTALLER)["problems"] == []
    assert made(OLD, (), upgrade_interruption=True, **INSTALLER)["problems"] == []


def test_a_swap_takes_the_old_active_server_out_first():
    gone = made(ACTIVE, (replace(PEER, declared=Settings(), found=STAGING),), staging_mode=True)
    come = made(STAGING, (replace(PEER, found=ACTIVE),))
    assert (gone["problems"], changes(gone)) == ([], {"demote"})
    assert (come["problems"], changes(come)) == ([], {"promote"})


@pytest.mark.parametrize(
    ("declared", "peers", "words"),
    [
        ({"version": "2.6"}, (), "adsync_version: describes an installer, and adsync_installer names none"),
        ({"minimum_version": "latest"}, (), "adsync_minimum_version: 'latest' is not a version"),
        ({"export_time": "25:00"}, (), "adsync_export_time: '25:00' is not a time of day"),
        ({"full_cycle_since": "2026-11-23"}, (), "adsync_full_cycle_since: '2026-11-23' is not a moment"),
        ({"folder": "ProgramData"}, (), "adsync_folder: 'ProgramData' is not a folder"),
        ({"export_keep": 0}, (), "adsync_export_keep: 0 is less than 1"),
        ({"interval_minutes": 20000, "last_sync_max_age_hours": 400}, (), "more than the seven days"),
        ({"interval_minutes": 240}, (), "adsync_last_sync_max_age_hours: 3 h is less than the interval"),
        ({**INSTALLER, "installer": "https://example.org/a.msi"}, (), "in the Entra admin centre only"),
        ({**INSTALLER, "version": ""}, (), "adsync_version: empty"),
        ({**INSTALLER, "version": "2.5.79.0"}, (), "adsync_version: 2.5.79.0 is older than adsync_minimum_version"),
        ({**INSTALLER, "installer_checksum": "abc"}, (), "adsync_installer_checksum: must be the SHA-256"),
        ({}, (replace(PEER, declared=Settings()),), "declared active: sync01, sync02"),
        ({"staging_mode": True}, (PEER,), "exactly one server of the group adsync"),
        ({"run_history_days": 14}, (PEER,), "adsync_run_history_days: 14 here and 7 on sync02"),
    ],
)
def test_a_declaration_is_refused_by_the_path_of_its_variable(declared, peers, words):
    found = STAGING if declared.get("staging_mode") else ACTIVE
    problems = made(found, peers, **declared)["problems"]
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"interval_minutes": "often"}, "adsync_interval_minutes: a whole number is expected"),
        ({"services": "ADSync"}, "adsync_services: a list is expected"),
        ({"stagingmode": True}, "adsync_stagingmode: unknown key"),
    ],
)
def test_a_wrong_shape_is_refused_by_its_path(values, words):
    with pytest.raises(ShapeError, match=words):
        Declaration.read(values)


def test_a_full_cycle_is_asked_for_once():
    since = "2026-11-23T11:00:00Z"
    full = Run("a", "Full Import", "success", True, "2026-11-23T11:30:00Z", "2026-11-23T11:31:00Z")
    before = Run("a", "Delta Import", "success", True, "2026-11-23T10:30:00Z", "2026-11-23T10:31:00Z")
    assert made(replace(ACTIVE, runs=(before,)), full_cycle_since=since)["settings"][0]["next_policy"] == "initial"
    assert made(replace(ACTIVE, runs=(before, full)), full_cycle_since=since)["settings"] == []
    forgotten = "2026-01-01T00:00:00Z"
    assert made(replace(ACTIVE, runs=(before,)), full_cycle_since=forgotten)["settings"] == []


numbers = st.lists(st.integers(0, 9999), min_size=4, max_size=4)


@given(numbers, numbers)
def test_versions_are_compared_as_numbers(one, other):
    texts = [".".join(map(str, value)) for value in (one, other)]
    assert versions.older(*texts) == (one < other)
    assert versions.older("", texts[0])
