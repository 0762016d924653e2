# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab from nothing: a Windows and a Linux server created through the API, reached, broken, and found again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lab.__main__ import LabError, start, stop
from lab.linux.containers import Container, containers
from lab.linux.runtime import detect
from lab.network import Network
from lab.testing import free_instance, running

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _own_certificates(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def wait(client, upid):
    node = upid.split(":")[1]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = client.nodes(node).tasks(upid).status.get()
        if status["status"] == "stopped":
            assert status["exitstatus"] == "OK", status
            return
        time.sleep(0.1)
    raise AssertionError(f"{upid} still runs")


def make(lab, vmid, name, template, last):
    client = lab.client()
    node = client.nodes("pve-par-1")
    prefix = ".".join(lab.where.bridge_address.split(".")[:2])
    wait(client, node.qemu(template).clone.post(newid=vmid, name=name, full=1))
    server = node.qemu(vmid)
    server.config.put(ipconfig0=f"ip={prefix}.0.{last}/24,gw={prefix}.0.1", cores=1, memory=1024)
    wait(client, server.status.start.post())
    return server


def inventory(lab, folder):
    secrets = lab.secrets
    windows = {
        "ansible_connection": "winrm",
        "ansible_user": secrets["windows"]["user"],
        "ansible_password": secrets["windows"]["password"],
        "ansible_winrm_transport": "ntlm",
        "ansible_winrm_server_cert_validation": "validate",
        "ansible_winrm_ca_trust_path": secrets["windows"]["ca_file"],
    }
    linux = {
        "ansible_user": secrets["linux"]["user"],
        "ansible_ssh_private_key_file": secrets["linux"]["private_key_file"],
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={secrets['linux']['known_hosts_file']}"
        " -o StrictHostKeyChecking=yes -o ControlMaster=no",
    }
    hosts = {"windows": {"hosts": {}, "vars": windows}, "linux": {"hosts": {}, "vars": linux}}
    for server in lab.status()["servers"]:
        family = server["system"].partition("_")[0]
        hosts["windows" if family == "windows" else "linux"]["hosts"][server["name"]] = {
            "ansible_host": server["address"],
        }
    file = folder / "hosts.yml"
    file.write_text(yaml.safe_dump({"all": {"children": hosts}}))
    return file


def ansible(file, pattern, module, *words):
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible"), "-i", str(file), pattern, "-m", module, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=REPOSITORY,
    )


def test_servers_boot_answer_and_vanish(lab_empty, tmp_path):
    windows = make(lab_empty, 100, "win01", 9000, 11)
    linux = make(lab_empty, 101, "lin01", 9002, 12)
    file = inventory(lab_empty, tmp_path)
    for pattern, module in (("win01", "ansible.windows.win_ping"), ("lin01", "ansible.builtin.ping")):
        done = ansible(file, pattern, module)
        assert done.returncode == 0, done.stdout + done.stderr
    done = ansible(file, "lin01", "ansible.builtin.command", "-b", "-a", "id -un")
    assert "root" in done.stdout
    assert lab_empty.server("lin01")["agent"]
    wait(lab_empty.client(), windows.status.stop.post())
    wait(lab_empty.client(), linux.status.shutdown.post())
    for name, port in (("win01", 5986), ("lin01", 22)):
        stopped = lab_empty.server(name)
        assert stopped["power"] == "stopped"
        with pytest.raises(OSError, match=r"refused|timed out|No route"):
            socket.create_connection((stopped["address"], port), timeout=1).close()
    for server in (windows, linux):
        wait(lab_empty.client(), server.delete())
    assert lab_empty.status()["servers"] == []


def test_a_snapshot_brings_back_a_linux_servers_files(lab_empty, tmp_path):
    server = make(lab_empty, 101, "lin01", 9002, 12)
    client = lab_empty.client()
    file = inventory(lab_empty, tmp_path)
    assert ansible(file, "lin01", "ansible.builtin.command", "-b", "-a", "touch /etc/before").returncode == 0
    wait(client, server.snapshot.post(snapname="before"))
    assert ansible(file, "lin01", "ansible.builtin.command", "-b", "-a", "rm /etc/before").returncode == 0
    wait(client, server.snapshot("before").rollback.post(start=1))
    assert ansible(file, "lin01", "ansible.builtin.command", "-a", "ls /etc/before").returncode == 0


def test_faults_strike_and_heal(lab_empty, tmp_path):
    make(lab_empty, 100, "win01", 9000, 11)
    make(lab_empty, 101, "lin01", 9002, 12)
    file = inventory(lab_empty, tmp_path)
    with lab_empty.fault("lin01", "drop-connection", times=1):
        done = ansible(file, "lin01", "ansible.builtin.command", "-a", "sleep 3")
        assert "UNREACHABLE" in done.stdout
    with lab_empty.fault("win01", "drop-connection", times=1):
        done = ansible(file, "win01", "ansible.windows.win_ping")
        assert done.returncode != 0, "the command's answer was lost"
    for name, module in (("win01", "ansible.windows.win_ping"), ("lin01", "ansible.builtin.ping")):
        assert ansible(file, name, module).returncode == 0
    assert lab_empty.status()["faults"] == []


def test_a_killed_lab_comes_up_again_with_its_servers(tmp_path):
    with running(free_instance(tmp_path)) as lab:
        make(lab, 100, "win01", 9000, 11)
        make(lab, 101, "lin01", 9002, 12)
        os.kill(lab.status()["pid"], signal.SIGKILL)
        status = start(lab.where, say=lambda _text: None)
        assert [(server["name"], server["power"], server["agent"]) for server in status["servers"]] == [
            ("win01", "running", True),
            ("lin01", "running", True),
        ]
        file = inventory(lab, tmp_path)
        for name, module in (("win01", "ansible.windows.win_ping"), ("lin01", "ansible.builtin.ping")):
            assert ansible(file, name, module).returncode == 0
        assert start(lab.where, say=lambda _text: None)["pid"] == status["pid"], "a second start finds it"


def test_down_leaves_nothing_and_keeps_the_state(tmp_path):
    where = free_instance(tmp_path)
    with running(where) as lab:
        make(lab, 101, "lin01", 9002, 12)
        pid = lab.status()["pid"]
        stop(where)
        assert not Path(f"/proc/{pid}").exists()
        assert Network(where).leftovers() == []
        mounts = Path("/proc/mounts").read_text(encoding="utf-8")
        assert str(where.home) not in mounts
        assert (where.home / "datacenter.json").exists()
        status = start(where, say=lambda _text: None)
        assert [(server["name"], server["agent"]) for server in status["servers"]] == [("lin01", True)]
    assert not where.home.exists()


def test_containers_without_a_server_are_removed(tmp_path):
    where = free_instance(tmp_path)
    with running(where) as lab:
        make(lab, 101, "lin01", 9002, 12)
        stop(where)
        (where.home / "datacenter.json").unlink()
        status = start(where, say=lambda _text: None)
        assert status["servers"] == []
        assert any(f"ilab{where.number}-101" in note for note in status["notes"])
        assert asyncio.run(containers(detect(), where.number)) == []


def test_reset_removes_every_container_and_address(lab_empty):
    make(lab_empty, 100, "win01", 9000, 11)
    make(lab_empty, 101, "lin01", 9002, 12)
    lab_empty.reset()
    assert asyncio.run(containers(detect(), lab_empty.where.number)) == []
    assert Network(lab_empty.where).leftovers() == [f"bridge {lab_empty.where.bridge}"]
    assert not (lab_empty.where.home / "windows" / "win01").exists()


def test_two_starts_at_once_make_one_lab(tmp_path):
    where = free_instance(tmp_path)
    command = [sys.executable, "-m", "lab", "--instance", where.name, "--number", str(where.number), "up"]
    environment = {**os.environ, "INFOGERANCE_LAB_HOME": str(where.home.parent)}
    try:
        both = [
            subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [process.communicate(timeout=120)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        pids = {re.search(r"process (\d+)", text).group(1) for text in said}
        assert len(pids) == 1
    finally:
        stop(where, purge=True)


def test_a_managed_server_survives_the_loss_of_its_node(lab_empty, tmp_path):
    make(lab_empty, 101, "lin01", 9002, 12)
    protection = lab_empty.client("protection")
    protection.cluster.ha.resources.post(sid="vm:101", state="started")
    with lab_empty.fault("api", "lost-node", node="pve-par-1"):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            server = lab_empty.server("lin01")
            if server["node"] != "pve-par-1" and server["agent"]:
                break
            time.sleep(0.2)
        assert server["node"] != "pve-par-1"
        done = ansible(inventory(lab_empty, tmp_path), "lin01", "ansible.builtin.ping")
        assert done.returncode == 0, done.stdout + done.stderr


def test_check_mode_would_be_caught_writing(lab_empty):
    client = lab_empty.client()
    with lab_empty.nothing_written():
        client.cluster.resources.get()
    with (
        pytest.raises(AssertionError, match="POST /api2/json/nodes/pve-par-1/qemu/9002/clone"),
        lab_empty.nothing_written(),
    ):
        wait(client, client.nodes("pve-par-1").qemu(9002).clone.post(newid=102, name="x", full=1))


def test_a_taken_port_is_named_with_its_process(tmp_path):
    where = free_instance(tmp_path)
    with (
        socket.create_server((where.api_host, where.api_port)),
        pytest.raises(LabError, match=f"process {os.getpid()}"),
    ):
        start(where, say=lambda _text: None)
    assert Network(where).leftovers() == []
    stop(where, purge=True)


def test_a_container_that_does_not_boot_fails_its_task_and_says_why(lab_empty):
    server = make(lab_empty, 101, "lin01", 9002, 12)
    client = lab_empty.client()
    wait(client, server.status.stop.post())
    systemd = "usr/lib/systemd/systemd"

    async def rename(old, new):
        container = Container(detect(), lab_empty.where.number, f"ilab{lab_empty.where.number}-101")
        async with container.mounted() as root:
            (root / old).rename(root / new)

    asyncio.run(rename(systemd, f"{systemd}.away"))
    with pytest.raises(AssertionError, match=r"start failed: lin01 ended while it booted"):
        wait(client, server.status.start.post())
    assert lab_empty.server("lin01")["power"] == "stopped"
    asyncio.run(rename(f"{systemd}.away", systemd))
    wait(client, server.status.start.post())
    assert lab_empty.server("lin01")["agent"]
