# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts on a synchronisation server's health: each subject broken fails its own probe, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.declared import Declaration, Settings
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.health import judge
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.observed import (
    SUBJECT,
    Certificate,
    Event,
    Export,
    Identity,
    Observation,
    Peer,
    RegistryRead,
    Run,
    Scheduler,
    Service,
)

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
OWN = Certificate("AA", "BB", SUBJECT, "current_user", "2026-11-01T00:00:00Z", "2027-04-30T00:00:00Z")
MACHINE = Certificate("CC", "DD", "CN=sync01", "local_machine", "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z")
RUN = Run("ordre - AAD", "Export", "success", True, "2026-11-23T11:45:00Z", "2026-11-23T11:45:10Z")
IDENTITY = Identity("Application", "EntraConnect", "EntraConnect", "bb")
WELL = Observation(
    time=NOW,
    in_domain=True,
    dotnet_release=528449,
    version="2.6.84.0",
    engine_version="2.6.84.0",
    configured=True,
    services=(Service("ADSync", "running", "auto"),),
    tls=(RegistryRead("HKLM:\\SOFTWARE", "SchUseStrongCrypto", 1),),
    scheduler=SCHEDULER,
    identity=IDENTITY,
    certificates=(MACHINE, OWN),
    runs=(RUN,),
    events=(Event(1012, "2026-10-01T00:00:00Z"), Event(1011, "2026-11-22T00:00:00Z"), Event(1014, NOW)),
    export=Export(True, "2026-11-01T00:00:00Z", "2026-11-22T21:00:00Z", 0, 3),
)


def failed(found, peers=(), **declared):
    declaration = Declaration.read(declared)
    english = judge(declaration, "sync01", found, peers, "en")
    french = judge(declaration, "sync01", found, peers)
    assert [(one.probe, one.passed) for one in english] == [(one.probe, one.passed) for one in french]
    assert all(one.passed or one.message != other.message for one, other in zip(english, french, strict=True))
    return {verdict.probe: verdict.message for verdict in english if not verdict.passed}


def test_a_healthy_server_passes_every_probe():
    assert failed(WELL) == {}


@pytest.mark.parametrize(
    ("changes", "probe", "words"),
    [
        ({"version": "2.5.79.0", "engine_version": "2.5.79.0"}, "version", "2.5.79.0, older than 2.6.84.0"),
        ({"engine_version": "2.5.79.0"}, "upgrade", "finish the upgrade"),
        ({"services": (Service("ADSync"),)}, "services", "ADSync is not installed"),
        (
            {"services": (Service("ADSync", "stopped", "auto"),), "scheduler": None, "identity": None, "runs": ()},
            "services",
            "ADSync is not running",
        ),
        ({"tls": (RegistryRead("HKLM:\\X", "SchUseStrongCrypto"),)}, "tls", "HKLM:\\X\\SchUseStrongCrypto is -"),
        ({"tls": (RegistryRead("HKLM:\\X", "SchUseStrongCrypto", 0),)}, "tls", "is 0, not 1"),
        ({"scheduler": replace(SCHEDULER, cycle_enabled=False)}, "scheduler", "SyncCycleEnabled is False"),
        ({"scheduler": replace(SCHEDULER, interval_minutes=60)}, "scheduler", "interval_minutes is 60, declared 30"),
        ({"scheduler": replace(SCHEDULER, suspended=True)}, "suspended", "close or finish AzureADConnect.exe"),
        ({"scheduler": replace(SCHEDULER, staging_mode=True)}, "staging", "StagingModeEnabled is True"),
        (
            {"identity": replace(IDENTITY, application_managed_by="")},
            "identity",
            "Repair-ADSyncToolsEntraAppParameters",
        ),
        ({"identity": replace(IDENTITY, type="ServiceAccount")}, "identity", "ConnectorIdentityType is ServiceAccount"),
        ({"certificates": (MACHINE,)}, "certificate", "neither in the service account's store"),
        (
            {"certificates": (replace(OWN, not_after="2026-12-25T00:00:00Z"),)},
            "certificate",
            "in 31 days, less than 60",
        ),
        ({"events": (Event(1012, "2026-11-22T00:00:00Z"),)}, "events", "event 1012"),
        ({"runs": (replace(RUN, end="2026-11-23T08:00:00Z"),)}, "last_sync", "is 4 h old, more than 3 h"),
        ({"runs": ()}, "last_sync", "no synchronisation has ever succeeded"),
        (
            {"runs": (RUN, replace(RUN, profile="Delta Import", result="completed-sync-errors"))},
            "runs",
            "ordre - AAD, Delta Import: completed-sync-errors",
        ),
        ({"export": Export()}, "export", "no scheduled export"),
        ({"export": replace(WELL.export, last_result=1)}, "export", "failed with 1"),
        ({"export": replace(WELL.export, last_run="2026-11-20T21:00:00Z")}, "export", "is 63 h old"),
        ({"export": replace(WELL.export, last_run="")}, "export", "has not run in 26 h"),
    ],
)
def test_what_is_broken_fails_its_own_probe_and_no_other(changes, probe, words):
    found = failed(replace(WELL, **changes))
    assert set(found) == {probe}
    assert words in found[probe]


def test_two_active_servers_are_a_fault_of_both():
    other = Peer("sync02", declared=Settings(staging_mode=True), found=WELL)
    assert failed(WELL, (other,)) == {"staging": "two servers are active: sync01, sync02"}


def test_what_is_declared_otherwise_is_judged_otherwise():
    assert failed(replace(WELL, identity=Identity("ServiceAccount")), identity="service_account") == {}
    assert set(failed(WELL, require_tpm=True)) == {"events"}
    assert failed(replace(WELL, export=Export()), export=False) == {}
    errors = replace(WELL, runs=(RUN, replace(RUN, profile="Delta Import", result="completed-export-errors")))
    assert failed(errors, accepted_results=["success", "completed-export-errors"]) == {}


def test_the_newest_run_of_a_profile_counts():
    mended = replace(RUN, start="2026-11-23T11:50:00Z", end="2026-11-23T11:50:10Z")
    assert failed(replace(WELL, runs=(replace(RUN, result="completed-export-errors"), mended))) == {}


def test_a_young_export_task_is_given_its_time():
    assert failed(replace(WELL, export=Export(True, "2026-11-23T10:00:00Z"))) == {}


def test_the_certificate_is_the_one_that_the_connector_names():
    named = replace(WELL, identity=replace(IDENTITY, certificate_id="dd"), certificates=(OWN, MACHINE))
    assert named.certificate() == MACHINE
    unnamed = replace(WELL, identity=replace(IDENTITY, certificate_id=""))
    assert unnamed.certificate() == OWN
