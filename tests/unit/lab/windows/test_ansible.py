# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Ansible against a simulated server: everything that crosses the wire in a playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from lab.windows.filesystem import FileSystem
from tests.unit.lab.windows.bench import Bench
from tests.unit.lab.windows.conftest import PASSWORD

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def clock():
    return lambda: datetime.now(UTC)  # a reboot shows by another boot time


@pytest.fixture
def served(tmp_path, server):
    bench = Bench(tmp_path)
    yield bench.serve(server)
    bench.close()


@pytest.fixture
def play(served, tmp_path):
    """Run tasks; gives the results by task name."""

    def runner(*tasks, code=0, transport="ntlm", arguments=(), facts=False):
        playbook = tmp_path / "play.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "windows", "gather_facts": facts, "tasks": list(tasks)}]))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml",
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
        }
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", served.inventory(tmp_path, transport)]
        done = subprocess.run(
            [*command, playbook, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        report = json.loads(done.stdout[done.stdout.index("{") :])
        return {task["task"]["name"]: task["hosts"]["srv01"] for entry in report["plays"] for task in entry["tasks"]}

    return runner


def task(name, module, args=None, **extra):
    return {"name": name, module: args or {}, **extra}


def test_facts_and_modules(play):
    results = play(
        task(
            "facts", "ansible.builtin.debug", {"msg": "{{ ansible_facts.distribution }} {{ ansible_facts.hostname }}"}
        ),
        task("check", "ansible.windows.win_feature", {"name": "Web-Server"}, check_mode=True),
        task("first", "ansible.windows.win_feature", {"name": "Web-Server"}),
        task("second", "ansible.windows.win_feature", {"name": "Web-Server"}),
        task("shell", "ansible.windows.win_shell", "whoami"),
        task("raw", "ansible.builtin.raw", "hostname"),
        facts=True,
    )
    assert results["facts"]["msg"] == "Microsoft Windows Server 2022 Standard SRV01"
    assert [results[name]["changed"] for name in ("check", "first", "second")] == [True, True, False]
    assert results["shell"]["stdout_lines"] == [r"srv01\administrateur"]
    assert results["raw"]["stdout_lines"] == ["SRV01"]


def test_copies_both_ways(play, tmp_path, served):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "été.txt").write_text("contenu é")
    (source / "sub" / "big.bin").write_bytes(os.urandom(700_000))
    (tmp_path / "t.j2").write_text("serveur {{ inventory_hostname }}\n")
    folder = {"src": str(source), "dest": "C:\\dépôt\\"}
    fetched = {"src": "C:\\dépôt\\source\\sub\\big.bin", "dest": f"{tmp_path}/back/", "flat": True}
    results = play(
        task("make", "ansible.windows.win_file", {"path": "C:\\dépôt", "state": "directory"}),
        task("tree", "ansible.windows.win_copy", folder),
        task("tree again", "ansible.windows.win_copy", folder),
        task("tree check", "ansible.windows.win_copy", {**folder, "dest": "C:\\autre\\"}, check_mode=True),
        task("single", "ansible.windows.win_copy", {"src": str(source / "été.txt"), "dest": "C:\\x.txt"}),
        task("single again", "ansible.windows.win_copy", {"src": str(source / "été.txt"), "dest": "C:\\x.txt"}),
        task("template", "ansible.windows.win_template", {"src": str(tmp_path / "t.j2"), "dest": "C:\\t.txt"}),
        task("template again", "ansible.windows.win_template", {"src": str(tmp_path / "t.j2"), "dest": "C:\\t.txt"}),
        task("fetch", "ansible.builtin.fetch", fetched),
        task("slurp", "ansible.builtin.slurp", {"src": "C:\\t.txt"}),
    )  # fmt: skip
    changed = [results[name]["changed"] for name in ("tree", "tree again", "tree check", "single", "single again")]
    assert changed == [True, False, True, True, False]
    assert [results[name]["changed"] for name in ("template", "template again")] == [True, False]
    assert (tmp_path / "back" / "big.bin").read_bytes() == (source / "sub" / "big.bin").read_bytes()
    files = FileSystem(served.server)
    assert files.read("C:\\dépôt\\source\\été.txt").decode() == "contenu é"
    assert files.read("C:\\t.txt") == b"serveur srv01\r\n"
    assert files.get("C:\\autre") is None
    temporary = [entry["path"] for entry in files.walk(r"C:\Users") if "ansible-tmp" in entry["path"]]
    assert len(temporary) == 1  # the one that win_template of ansible.windows 3.3.0 leaves when it changes something


def test_reboot_become_and_async(play, served):
    results = play(
        task("name", "ansible.windows.win_hostname", {"name": "DC01"}),
        task("reboot", "ansible.windows.win_reboot"),
        task("renamed", "ansible.windows.win_hostname", {"name": "DC01"}),
        task("become", "ansible.windows.win_whoami", become=True),
        task("async", "ansible.windows.win_ping", {"data": "loin"}, **{"async": 30, "poll": 1}),
    )
    assert (results["reboot"]["rebooted"], results["renamed"]["changed"]) == (True, False)
    assert results["become"]["account"]["sid"] == "S-1-5-18"
    assert results["async"]["ping"] == "loin"
    assert served.server.computer_name == "DC01"


def test_updates_with_reboots(play, served):
    wanted = {"category_names": "*", "reject_list": ["KB2267602"], "reboot": True}
    results = play(
        task("check", "ansible.windows.win_updates", wanted, check_mode=True),
        task("first", "ansible.windows.win_updates", wanted),
        task("second", "ansible.windows.win_updates", wanted),
    )
    assert results["check"]["changed"] is True
    assert (results["first"]["installed_update_count"], results["first"]["rebooted"]) == (5, True)
    assert (results["second"]["changed"], results["second"]["found_update_count"]) == (False, 0)
    assert served.server.section("system")["boots"] >= 3


def test_misspelt_argument_fails_the_task(play):
    results = play(task("wrong", "ansible.windows.win_service", {"nmae": "Spooler"}), code=2)
    assert "Unsupported parameters for (ansible.windows.win_service) module: nmae" in results["wrong"]["msg"]


def test_module_for_other_systems_fails_the_task(play):
    results = play(task("wrong", "ansible.builtin.ping"), code=2)
    assert "not written in PowerShell" in results["wrong"]["module_stderr"]


def test_wrong_password_is_unreachable(play):
    results = play(
        task("wrong", "ansible.windows.win_ping"), code=4, arguments=("-e", "ansible_password=faux"), transport="basic"
    )
    assert "credentials were rejected" in results["wrong"]["msg"]


def test_connection_lost_in_mid_task(play, served):
    served.server.faults.drop_connection = 1
    options = {"path": "C:\\x", "state": "directory"}
    results = play(task("lost", "ansible.windows.win_file", options), code=2)
    assert "Connection aborted" in results["lost"]["msg"]
    assert FileSystem(served.server).is_dir("C:\\x")
    assert (
        play(task("again", "ansible.windows.win_file", options))["again"]["changed"] is False
    )  # what was asked had been done


def test_shell_quota_is_survived(play, served):
    served.server.faults.quota = 1
    assert play(task("ping", "ansible.windows.win_ping"))["ping"]["ping"] == "pong"


def test_operation_timeouts_are_survived(play, served):
    served.server.faults.operation_timeouts = 3
    assert play(task("ping", "ansible.windows.win_ping"))["ping"]["ping"] == "pong"


def test_reboot_that_never_ends_is_reported(play, served):
    served.server.faults.reboot_hang = True
    results = play(task("reboot", "ansible.windows.win_reboot", {"reboot_timeout": 3, "connect_timeout": 1}), code=2)
    assert "Timed out waiting for last boot time check" in results["reboot"]["msg"]
    served.server.faults.reboot_hang = False
