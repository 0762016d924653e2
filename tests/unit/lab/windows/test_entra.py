# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entra Connect Sync on simulated servers: installation, wizard, cycles, certificates, exports, each probe."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.health import judge
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.observed import Observation
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import build
from lab.windows import entra, media
from lab.windows.filesystem import FileSystem
from lab.windows.publications import publications

INFO = "cnosf.infogerance.adsync_info"
SCHEDULER = "cnosf.infogerance.adsync_scheduler"
TASK = "Export de la configuration Entra Connect"
FOLDER = r"C:\ProgramData\infogerance\adsync"
ASKED = {"event_sources": ["Directory Synchronization"], "export_task": TASK, "export_folder": rf"{FOLDER}\exports"}
DECLARED = Declaration.read({})


@pytest.fixture
def install(run):
    """Install a version of Entra Connect Sync from its installer."""

    def installer(server, version):
        entry = next(entry for entry in publications() if entry.url == f"media:AzureADConnect-{version}.msi")
        path = rf"C:\Windows\Temp\AzureADConnect-{version}.msi"
        FileSystem(server).write(path, entry.content)
        return run(server, "ansible.windows.win_package", {"path": path, "arguments": "/quiet"})

    return installer


@pytest.fixture
def wizard(run):
    """Click through the wizard."""

    def clicker(server, clicks, **options):
        text = f'"{entra.PROGRAM}" {clicks}'
        return run(server, "ansible.windows.win_command", {"_raw_params": text}, **options)

    return clicker


@pytest.fixture
def probe(run):
    """What adsync_info says."""

    def asker(server):
        return run(server, INFO, ASKED)["state"]

    return asker


@pytest.fixture
def member(make_server):
    """A server that counts as a member of a domain."""
    server = make_server("sync01")
    server.section("system")["domain"] = "ordre.example"
    server.save()
    return server


@pytest.fixture
def configured(member, install, wizard, run):
    """A server as the role leaves it."""
    install(member, "2.6.84.0")
    wizard(member, "/configure")
    run(member, "ansible.windows.win_file", {"path": rf"{FOLDER}\exports", "state": "directory"})
    FileSystem(member).write(rf"{FOLDER}\export.ps1", b"")
    run(member, "cnosf.infogerance.win_registry_values", {"values": tls(1)})
    task(run, member)
    return member


def tls(data):
    views = ("", "Wow6432Node\\")
    names = ("SchUseStrongCrypto", "SystemDefaultTlsVersions")
    return [
        {"path": rf"HKLM:\SOFTWARE\{view}Microsoft\.NETFramework\v4.0.30319", "name": name, "data": data}
        for view in views
        for name in names
    ]


def task(run, server, keep=3):
    arguments = f'-File "{FOLDER}\\export.ps1" -Folder "{FOLDER}\\exports" -Keep {keep}'
    run(
        server,
        "community.windows.win_scheduled_task",
        {
            "name": TASK,
            "actions": [{"path": "powershell.exe", "arguments": arguments}],
            "triggers": [{"type": "daily", "start_boundary": "2026-01-01T22:00:00"}, {"type": "registration"}],
            "username": "S-1-5-18",
        },
    )


def failed(state):
    verdicts = judge(DECLARED, "sync01", build(Observation, state, "probe"), (), "en")
    return {verdict.probe for verdict in verdicts if not verdict.passed}


def test_the_probe_answers_before_anything_is_installed(server, probe):
    state = probe(server)
    assert (state["version"], state["configured"], state["in_domain"]) == ("", False, False)
    assert state["scheduler"] is None
    assert build(Observation, state, "probe").engine is None


def test_an_installation_waits_for_the_wizard(member, install, wizard, probe, run):
    assert wizard(member, "/configure", fails=True)["rc"] == 1
    install(member, "2.6.84.0")
    state = probe(member)
    assert (state["version"], state["configured"]) == ("2.6.84.0", False)
    assert "does not answer" in run(member, SCHEDULER, {"cycle_enabled": False}, fails=True)["msg"]
    wizard(member, "/configure /staging")
    state = probe(member)
    assert state["configured"]
    assert state["engine_version"] == "2.6.84.0"
    assert state["scheduler"]["staging_mode"]
    assert {run["profile"] for run in state["runs"]} == {"Full Import", "Full Synchronization"}


def test_a_server_outside_a_domain_is_not_configured(server, install, wizard):
    install(server, "2.6.84.0")
    assert "domaine" in wizard(server, "/configure", fails=True)["stderr"]


def test_cycles_run_on_the_labs_clock(configured, probe, clock):
    clock.forward(hours=2, minutes=1)
    state = probe(configured)
    exports = [run for run in state["runs"] if run["profile"] == "Export"]
    assert len(exports) == 2 * 5  # the initial cycle and four more, two connectors each
    assert failed(state) == set()


def test_a_staging_server_exports_nothing(configured, probe, clock, run):
    run(configured, SCHEDULER, {"staging_mode": True})
    clock.forward(hours=1)
    runs = probe(configured)["runs"]
    assert {entry["profile"] for entry in runs if entry["start"] > "2026-11-23T08:10"} == {
        "Delta Import",
        "Delta Synchronization",
    }


def test_a_stopped_service_runs_no_cycle_and_tells_nothing(configured, probe, clock, run):
    assert failed(probe(configured)) == set()
    run(configured, "ansible.windows.win_service", {"name": "ADSync", "state": "stopped"})
    clock.forward(hours=5)
    state = probe(configured)
    assert state["scheduler"] is None
    assert failed(state) == {"services"}


def test_the_scheduler_is_set_once(configured, twice, probe):
    twice(configured, SCHEDULER, {"interval_minutes": 60, "maintenance": False, "run_history_days": 14})
    twice(configured, SCHEDULER, {"next_policy": "initial"})
    twice(configured, SCHEDULER, {"staging_mode": True})
    twice(configured, SCHEDULER, {"cycle_enabled": False})
    held = probe(configured)["scheduler"]
    assert (held["interval_minutes"], held["maintenance"], held["run_history_days"]) == (60, False, 14)
    assert (held["next_policy"], held["staging_mode"], held["cycle_enabled"]) == ("initial", True, False)


def test_the_history_is_purged_only_while_maintenance_runs(configured, probe, clock, run):
    clock.forward(days=9)
    assert min(entry["start"] for entry in probe(configured)["runs"]) > "2026-11-25"
    run(configured, SCHEDULER, {"maintenance": False, "run_history_days": 1})
    clock.forward(days=2)
    assert len(probe(configured)["runs"]) > 100


def test_a_full_cycle_is_followed_by_delta_cycles(configured, probe, clock, run):
    run(configured, SCHEDULER, {"next_policy": "initial"})
    clock.forward(minutes=31)
    state = probe(configured)
    assert state["runs"][-1]["profile"] == "Export"
    assert sum(entry["profile"] == "Full Import" for entry in state["runs"]) == 4
    assert state["scheduler"]["next_policy"] == "delta"


def test_a_cycle_on_demand_must_succeed(configured, run):
    assert run(configured, SCHEDULER, {"run_cycle": "delta"}, check=True)["changed"]
    assert run(configured, SCHEDULER, {"run_cycle": "delta"})["changed"]
    configured.section("adsync")["results"] = {"ordre.onmicrosoft.com - AAD/Export": "completed-export-errors"}
    refused = run(configured, SCHEDULER, {"run_cycle": "delta"}, fails=True)
    assert "ordre.onmicrosoft.com - AAD, Export: completed-export-errors" in refused["msg"]
    accepted = ["success", "completed-export-errors"]
    assert run(configured, SCHEDULER, {"run_cycle": "delta", "accepted_results": accepted})["changed"]


def test_an_upgrade_stands_still_until_the_wizard_has_finished_it(member, install, wizard, probe, clock, run):
    install(member, "2.5.79.0")
    wizard(member, "/configure")
    install(member, "2.6.84.0")
    clock.forward(hours=4)
    state = probe(member)
    assert (state["version"], state["engine_version"]) == ("2.6.84.0", "2.5.79.0")
    assert state["scheduler"]["suspended"]
    assert "suspended" in run(member, SCHEDULER, {"run_cycle": "delta"}, fails=True)["msg"]
    wizard(member, "/upgrade")
    clock.forward(minutes=30)
    state = probe(member)
    assert (state["engine_version"], state["scheduler"]["suspended"]) == ("2.6.84.0", False)


def test_the_certificate_rotates_itself_while_the_scheduler_runs(configured, probe, clock):
    first = probe(configured)["identity"]["certificate_id"]
    clock.forward(days=40)
    state = probe(configured)
    assert state["identity"]["certificate_id"] != first
    assert [event["id"] for event in state["events"]] == [1011, 1014]
    assert failed(state) == set()


def test_a_certificate_that_nobody_rotates_expires(configured, probe, clock):
    configured.section("adsync")["identity"]["certificate_managed_by"] = "Admin"
    clock.forward(days=130)
    assert failed(probe(configured)) == {"certificate"}
    clock.forward(days=60)
    state = probe(configured)
    assert 1012 in {event["id"] for event in state["events"]}
    assert failed(state) == {"certificate", "events", "runs"}


def test_the_wizard_rotates_by_hand_and_a_tpm_keeps_the_key(member, install, wizard, probe):
    install(member, "2.6.84.0")
    wizard(member, "/configure /tpm")
    first = probe(member)["identity"]["certificate_id"]
    wizard(member, "/rotate")
    state = probe(member)
    assert state["identity"]["certificate_id"] != first
    assert state["events"] == []


def test_exports_are_kept_when_they_differ(configured, probe, clock, run):
    assert probe(configured)["export"]["kept"] == 1  # at once, by the trigger of the registration
    for minutes in (60, 90, 120, 150):
        clock.forward(days=1)
        assert probe(configured)["export"]["last_result"] == 0
        run(configured, SCHEDULER, {"interval_minutes": minutes})
    clock.forward(days=3)
    state = probe(configured)["export"]
    assert state["kept"] == 3
    assert len(FileSystem(configured).children(rf"{FOLDER}\exports")) == 3
    FileSystem(configured).remove(rf"{FOLDER}\export.ps1")
    clock.forward(days=1)
    assert failed(probe(configured)) == {"export", "scheduler"}


BROKEN = {
    "version": lambda server: FileSystem(server).write(entra.PROGRAM, b"MZ\nFileVersion 2.5.79.0\n"),
    "scheduler": lambda server: server.section("adsync").update(cycle_enabled=False),
    "suspended": lambda server: server.section("adsync").update(wizard_open=True),
    "staging": lambda server: server.section("adsync").update(staging=True),
    "identity": lambda server: server.section("adsync")["identity"].update(type="ServiceAccount"),
    "certificate": lambda server: server.section("adsync")["certificates"].clear(),
    "services": lambda server: server.section("services")["adsync"].update(state="stopped"),
    "last_sync": lambda server: server.section("adsync").update(runs=[]),
    "runs": lambda server: server.section("adsync")["runs"][-1].update(result="completed-export-errors"),
    "export": lambda server: server.section("scheduled_tasks")["tasks"].clear(),
    "events": lambda server: server.section("adsync")["events"].append(
        {"id": 1012, "time": entra.stamp(server.now()), "source": "Directory Synchronization"}
    ),
}


@pytest.mark.parametrize("subject", [*BROKEN, "tls", "upgrade"])
def test_each_probe_fails_for_its_own_subject_and_no_other(subject, configured, probe, run, install, wizard):
    assert failed(probe(configured)) == set()
    if subject == "tls":
        run(configured, "cnosf.infogerance.win_registry_values", {"values": tls(0)[:1]})
    elif subject == "upgrade":
        configured.section("adsync").update(engine_version="2.5.79.0")
    else:
        BROKEN[subject](configured)
    if subject == "version":
        configured.section("adsync").update(engine_version="2.5.79.0")
    configured.save()
    assert failed(probe(configured)) == {subject}


def test_the_media_folder_holds_installers_with_their_checksums(tmp_path):
    written = media.write(tmp_path / "media")
    assert {path.name for path in written} >= {"AzureADConnect-2.5.79.0.msi", "AzureADConnect-2.6.84.0.msi"}
    assert all(len(path.with_name(f"{path.name}.sha256").read_text().strip()) == 64 for path in written)
