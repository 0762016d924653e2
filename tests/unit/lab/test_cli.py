# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: what it prints and how it ends, apart from starting a lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import __main__ as cli
from lab.daemon import BusyError, end_orphans, hold
from lab.faults import KINDS
from lab.settings import REPOSITORY, Instance
from lab.testing import free_instance

NUMBER = str(free_instance(Path("/nonexistent")).number)

STATUS = {
    "instance": "demo",
    "phase": "ready",
    "ready": True,
    "pid": 812,
    "since": 0.0,
    "home": "/lab/demo",
    "api": "https://127.0.10.1:8006",
    "bridge": "ilab0 10.42.0.1/16",
    "packages": "http://10.42.0.1:13142",
    "artefacts": "",
    "systems": {"ubuntu_2404": "debian_12"},
    "notes": ["removed containers without a server: ilab0-100"],
    "faults": [{"target": "web01", "kind": "lock", "lock": "backup"}],
    "counters": {"sequence": 9, "reads": 5, "writes": 3, "logins": 1},
    "servers": [
        {
            "vmid": 100,
            "name": "web01",
            "system": "ubuntu_2404",
            "power": "running",
            "agent": True,
            "address": "10.42.0.15",
            "node": "pve-par-1",
            "cpus": 2,
            "memory_mib": 6144,
            "lock": "backup",
        },
    ],
}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("INFOGERANCE_LAB_HOME", str(tmp_path))
    monkeypatch.delenv("INFOGERANCE_LAB_INSTANCE", raising=False)


def run(*words):
    return cli.main(["--instance", "try", "--number", NUMBER, *words])


def test_the_status_of_a_lab_that_is_not_running(capsys):
    assert run("status") == 3
    assert "lab 'try' is not running" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["reset"], ["journal"], ["fault", "api", "slow"], ["fault", "list"]])
def test_verbs_that_need_a_lab_say_how_to_start_one(capsys, words):
    assert run(*words) == 1
    assert "python -m lab --instance try up" in capsys.readouterr().err


def test_a_status_is_shown_as_text_and_as_json(capsys, monkeypatch):
    monkeypatch.setattr(cli, "ask", lambda *_words, **_more: STATUS)
    assert run("status") == 0
    shown = capsys.readouterr().out
    for words in (
        "lab 'demo': ready, process 812",
        "5 reads, 3 writes",
        "ubuntu_2404 runs as debian_12",
        "removed containers",
        "web01: lock (lock backup)",
        "100  web01  ubuntu_2404  running  up     10.42.0.15  pve-par-1  2 CPU, 6 GiB  backup",
    ):
        assert words in shown
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_the_faults_there_are_can_be_read_without_a_lab(capsys):
    assert run("fault", "kinds") == 0
    shown = capsys.readouterr().out
    assert all(kind.name in shown for kind in KINDS)
    assert run("fault", "web01") == 2


def test_a_faults_options_reach_the_lab(capsys, monkeypatch):
    asked = {}
    monkeypatch.setattr(cli, "ask", lambda _where, verb, **more: asked.update(verb=verb, **more) or "done")
    assert run("fault", "api", "task-error", "--task", "qmstart", "--times", "2") == 0
    assert asked == {"verb": "fault", "target": "api", "kind": "task-error", "task": "qmstart", "times": "2"}
    assert capsys.readouterr().out == "done\n"


def test_the_journal_is_printed_one_call_a_line(capsys, monkeypatch):
    entry = {
        "sequence": 7,
        "time": 0.0,
        "status": 200,
        "user": "infogerance@pve!operator",
        "method": "PUT",
        "path": "/api2/json/nodes/pve-par-1/qemu/100/config",
        "body": "memory=4096",
    }
    monkeypatch.setattr(cli, "ask", lambda *_words, **_more: [entry])
    assert run("journal", "--writes") == 0
    assert "200 infogerance@pve!operator PUT /api2/json/nodes/pve-par-1/qemu/100/config memory=4096" in (
        capsys.readouterr().out
    )


def test_unknown_instances_and_wrong_numbers_are_said(capsys):
    assert cli.main(["--instance", "nobody", "status"]) == 1
    assert "give its --number" in capsys.readouterr().err


def test_without_root_up_ends_with_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run("up") == 1
    assert capsys.readouterr().err == (
        "lab: the lab needs root to make its bridge and containers: run it as root or with sudo\n"
    )


def test_down_without_a_lab_finds_nothing(capsys):
    assert run("down", "--purge") == 0
    assert capsys.readouterr().out == "try: nothing was running\n"


def test_a_daemon_that_fails_leaves_its_reason(tmp_path):
    where = Instance("try", int(NUMBER), tmp_path)
    (tmp_path / "failure").write_text("port taken by nginx, process 7")
    assert cli._why(where) == "port taken by nginx, process 7"
    (tmp_path / "failure").unlink()
    (tmp_path / "lab.log").write_text("one\ntwo\n")
    assert cli._why(where).endswith("one\ntwo")


def test_one_number_is_held_by_one_process_of_the_machine(tmp_path):
    where = Instance("try", int(NUMBER), tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from lab.daemon import hold; from lab.settings import Instance\n"
        f"with hold(Instance('try', {NUMBER}, Path('/other/home'))): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as busy, hold(where):
            pass
        assert (busy.value.home, busy.value.pid) == ("/other/home", other.pid)
        with pytest.raises(cli.LabError, match=rf"in use by the lab in /other/home \(process {other.pid}\)"):
            cli._check_same_home(where)
    finally:
        other.communicate()
    with hold(where):
        pass


def test_orphans_are_ended_by_program_and_argument_only(tmp_path):
    mine = subprocess.Popen(["/usr/bin/tail", "-f", str(tmp_path / "a"), "/dev/null"], stderr=subprocess.DEVNULL)
    other = subprocess.Popen(["/usr/bin/tail", "-f", "/dev/null"])
    try:
        while not Path(f"/proc/{mine.pid}/cmdline").read_bytes():
            time.sleep(0.01)  # the kernel tells the arguments a moment after the program has begun
        threading.Thread(target=mine.wait).start()
        assert end_orphans("/usr/bin/tail", str(tmp_path / "a")) == [f"tail, process {mine.pid}"]
        assert other.poll() is None
        assert end_orphans("/usr/bin/tail", str(tmp_path / "a")) == []
    finally:
        other.kill()
        other.wait()


# ------------------------------------------------------------------- clean


@pytest.mark.parametrize(("options", "forgets"), [([], False), (["--all", "--purge"], False), (["--images"], True)])
def test_images_go_only_when_asked(monkeypatch, capsys, options, forgets):
    asked = []

    async def forget(_images):
        asked.append("images")
        return ["localhost/lab:debian"]

    monkeypatch.setattr(cli, "stop", lambda _where, **_options: [])
    monkeypatch.setattr(cli.Images, "forget", forget)
    monkeypatch.setattr(cli, "detect", lambda: None)
    monkeypatch.setattr(cli.shutil, "which", lambda _name: "/usr/bin/podman")
    assert cli.main(["--instance", "cli-test", "--number", NUMBER, "down", *options]) == 0
    assert asked == ["images"] * forgets
    assert ("removed localhost/lab:debian" in capsys.readouterr().out) is forgets


def test_no_podman_no_images(monkeypatch, capsys):
    monkeypatch.setattr(cli, "stop", lambda _where, **_options: [])
    monkeypatch.setattr(cli.shutil, "which", lambda _name: None)
    assert cli.main(["--instance", "cli-test", "--number", NUMBER, "down", "--images"]) == 0
    assert "removed" not in capsys.readouterr().out


def test_distclean_removes_the_images_and_clean_keeps_them():
    """What `make` would run: read from make itself, which runs nothing with --dry-run."""

    def commands(goal):
        done = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", goal],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert "lab down --all --purge" in commands("clean")
    assert "--images" not in commands("clean")
    assert "lab down --all --purge --images" in commands("distclean")
    assert "rm -rf .lab" in commands("distclean")
    assert "rm -rf .venv" in commands("distclean")
