# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract's six servers, from an empty datacenter to a converged estate, good days and bad ones.

The tests of this file tell one story and run in order: each starts where the one before ended.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.support import BIN, REPOSITORY, Estate, kill_all

if TYPE_CHECKING:
    from lab.playbook import PlaybookRun

PROVISION = "playbooks/provision.yml"
SITE = "site.yml"


def servers() -> list[dict]:
    file = REPOSITORY / "inventories" / "production" / "group_vars" / "all" / "estate.yml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))["infogerance_servers"]


DRIFT = {
    "dc01": (["Declare the records"], "portail"),
    "prt01": (["Make the queues"], "Secrétariat"),
    "sql01": (
        ["Declare the jobs", "Declare the steps of jobs", "Declare the schedules of jobs", "Tell operators, and audit"],
        "DatabaseBackup - USER_DATABASES - FULL",
    ),
    "app01": (["Set the registry values of the baseline", "Reboot"], "TLS 1.0\\Server"),
    "web01": (["Start what must run, and stop what must not"], "nginx.service: inactive"),
    "ans01": (["Give the folders exactly their rights"], "C:\\ANS\\etc"),
}
"""Of each server that drift.yml breaks: all tasks that change something then, and what the difference shown names."""


def changed(run: PlaybookRun) -> list[str]:
    return sorted({task.where for task in run.tasks if task.status == "changed"})


def test_check_mode_on_an_empty_datacenter_foresees_every_server_and_writes_nothing(estate: Estate):
    before = estate.writes()
    run = estate.converge(PROVISION, "--check", "--diff")
    assert {task.host for task in run.tasks if task.status == "changed"} == {server["name"] for server in servers()}
    assert estate.writes() == before
    assert estate.hosts() == {}


def test_provisioning_creates_the_servers_with_the_contracts_figures(estate: Estate):
    estate.converge(PROVISION)
    hosts = estate.hosts()
    assert sorted(hosts) == sorted(server["name"] for server in servers())
    for server in servers():
        found = hosts[server["name"]]["infogerance_server"]
        assert (found["cpus"], found["memory_gib"], found["disk_gib"]) == (
            server["cpus"],
            server["memory_gib"],
            sum(disk["size_gib"] for disk in server["disks"]),
        )
        assert found["conformity"]["state"] == "conform", found["conformity"]
        assert found["power"] == "on"
        assert set(found["functions"]) == set(server["functions"])


def test_provisioning_again_changes_and_writes_nothing(estate: Estate):
    before = estate.writes()
    assert changed(estate.converge(PROVISION)) == []
    assert estate.writes() == before


def test_what_is_below_the_contract_is_refused_with_its_article(estate: Estate):
    before = estate.writes()
    declared = servers()
    declared[0]["cpus"] = 1
    run, text = estate.play(PROVISION, "-e", yaml.safe_dump({"infogerance_servers": declared}, default_flow_style=True))
    assert run.returncode != 0
    assert "dc01" in text
    assert "3.1" in text
    assert estate.writes() == before


def test_a_name_declared_twice_is_refused_before_anything_is_read(estate: Estate):
    declared = [*servers(), servers()[0]]
    run, text = estate.play(PROVISION, "-e", yaml.safe_dump({"infogerance_servers": declared}, default_flow_style=True))
    assert run.returncode != 0
    assert "each name once" in text


def test_site_configures_every_server_and_tells_no_secret(estate: Estate):
    """The run is shown as fully as a technician may ask for it: nothing secret is in it, nor in what the lab keeps."""
    run, text = estate.play(SITE, "-vvv")
    assert run.returncode == 0, text[-6000:]
    assert {task.host for task in run.tasks if task.status == "changed"} == {server["name"] for server in servers()}
    key = (estate.home / "ssh" / "id_ed25519").read_text(encoding="utf-8").splitlines()[2]
    kept = [*(estate.home / "windows").glob("*/*.json*"), *estate.home.glob("*.log"), estate.home / "requests.jsonl"]
    for secret in (estate.secrets()["windows"]["password"], key):
        assert secret not in text
        assert [str(path) for path in kept if secret in path.read_text(encoding="utf-8", errors="replace")] == []


def test_a_connection_lost_in_mid_task_ends_converged_at_the_next_run(estate: Estate):
    estate.lab("fault", "sql01", "drop-connection", "--times", "1")
    run, _text = estate.play(SITE, "--limit", "sql01,localhost")
    lost = [task.where for task in run.failures()]
    assert changed(estate.converge(SITE, "--limit", "sql01,localhost")) == []
    # The command itself was carried out: losing its answer is either survived or reported, never silent.
    assert run.returncode == 0 or lost


def test_a_server_locked_by_a_backup_is_named_with_its_lock(estate: Estate):
    declared = servers()
    declared[2]["memory_gib"] = 48
    grown = yaml.safe_dump({"infogerance_servers": declared}, default_flow_style=True)
    estate.lab("fault", "sql01", "lock", "--lock", "backup")
    started = time.monotonic()
    run, text = estate.play(PROVISION, "-e", grown, "-e", "infogerance_lock_timeout=3")
    assert run.returncode != 0
    assert "sql01" in text
    assert "backup" in text
    assert time.monotonic() - started < 60
    estate.lab("fault", "sql01", "clear")


def test_a_provisioning_killed_in_the_middle_is_finished_by_the_next(estate: Estate):
    declared = servers()
    for server in declared:
        server["memory_gib"] += 16
        server["disks"][0]["size_gib"] += 8
    grown = yaml.safe_dump({"infogerance_servers": declared}, default_flow_style=True)
    before = estate.writes()
    estate.lab("fault", "api", "slow", "--seconds", "0.2")
    process = subprocess.Popen(
        [str(BIN / "ansible-playbook"), PROVISION, *estate.arguments, "-e", grown],
        cwd=REPOSITORY,
        env=os.environ | estate.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while estate.writes() == before and time.monotonic() < deadline:
        time.sleep(0.1)
    kill_all(process)
    estate.lab("fault", "api", "clear")
    assert estate.writes() > before
    estate.converge(PROVISION, "-e", grown)
    assert changed(estate.converge(PROVISION, "-e", grown)) == []
    hosts = estate.hosts()
    assert sorted(hosts) == sorted(server["name"] for server in declared)
    for server in declared:
        told = hosts[server["name"]]["infogerance_server"]["disk_gib"]
        assert told == sum(disk["size_gib"] for disk in server["disks"])


def test_shrinking_back_is_refused(estate: Estate):
    before = estate.writes()
    run, text = estate.play(PROVISION)
    assert run.returncode != 0
    assert "a server is never shrunk" in text
    assert estate.writes() == before


def test_two_runs_at_once_on_one_server_do_not_both_write(estate: Estate):
    declared = [
        {
            "name": "twin01",
            "functions": [],
            "system": "ubuntu_2404",
            "cpus": 2,
            "memory_gib": 4,
            "networks": [{"bridge": "vmbr0", "address": f"{estate.network}.50/16"}],
            "state": "present",
        }
    ]
    extra = yaml.safe_dump({"infogerance_servers": declared}, default_flow_style=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [future.result() for future in [pool.submit(estate.play, PROVISION, "-e", extra) for _ in range(2)]]
    good = [run for run, _text in runs if run.returncode == 0]
    assert good
    for run, text in runs:
        if run.returncode:
            assert "another run" in text, text[-3000:]
    assert sum(name == "twin01" for name in estate.hosts()) == 1
    assert sum(bool(changed(run)) for run in good) == 1


def test_of_two_runs_at_once_on_one_server_one_configures_it(estate: Estate):
    estate.lab("fault", "sql01", "slow", "--seconds", "1")
    first = subprocess.Popen(
        [str(BIN / "ansible-playbook"), SITE, *estate.arguments, "--limit", "sql01,localhost"],
        cwd=REPOSITORY,
        env=os.environ | estate.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        # Line by line until the first run is at work: the second one comes while it holds the server.
        assert any("windows_baseline : Gather the facts" in line for line in first.stdout or ())
        run, text = estate.play(SITE, "--limit", "sql01,app01,localhost")
        assert first.poll() is None, "the first run ended before the second one was refused"
    finally:
        estate.lab("fault", "sql01", "clear")
        rest = first.communicate(timeout=300)[0]
    assert first.returncode == 0, rest[-3000:]
    assert {task.host for task in run.failures()} == {"sql01"}
    assert f"another run works on it: process {first.pid} of" in " ".join(text.split())
    assert {task.host for task in run.tasks if "windows_baseline" in task.where} == {"app01"}


@pytest.mark.parametrize("playbook", [PROVISION, SITE])
def test_an_unreachable_datacenter_is_named(estate: Estate, playbook):
    estate.lab("fault", "api", "drop", "--times", "1000")
    try:
        run, text = estate.play(playbook)
    finally:
        estate.lab("fault", "api", "clear")
    assert run.returncode != 0
    assert "127.0.12.1:8006" in text


def test_drift_is_foreseen_repaired_and_gone(estate: Estate):
    """One thing is broken behind Ansible's back on each server: drift.yml says which.

    The second run of site.yml on the whole estate changes nothing else, and one more changes nothing.
    """
    estate.converge("tests/integration/drift.yml")
    done = subprocess.run(
        [sys.executable, "-m", "lab.predict", SITE, *estate.arguments, "--limit", ",".join([*DRIFT, "localhost"])],
        cwd=REPOSITORY,
        env=os.environ | estate.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    repaired = re.findall(r"^predict: changed: (\w+): \S+ : (.+?)(?: \(item=.*\))? \[", done.stdout, re.MULTILINE)
    assert set(repaired) == {(server, task) for server, (tasks, _named) in DRIFT.items() for task in tasks}
    for _tasks, named in DRIFT.values():
        assert named in done.stdout
    assert "foresaw exactly" in done.stdout
