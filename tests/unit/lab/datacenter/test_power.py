# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers boot and vanish with their power state, and the guest behind them leads or follows."""

from __future__ import annotations

import asyncio

import pytest
from proxmoxer.core import ResourceException


def power(root, name="web01"):
    return next(vm for vm in root.cluster.resources.get(type="vm") if vm["name"] == name)


def test_a_clone_makes_a_guest_of_the_templates_system(site, root, server):
    assert site.pve.systems[100] == "ubuntu_2404"
    assert power(root)["status"] == "stopped"
    assert "web01" not in site.made or not site.made["web01"].on


def test_start_boots_the_guest_with_the_hardware_of_the_configuration(site, root, server):
    server.config.put(cores=4, memory=8192, net0="virtio,bridge=vmbr1,tag=42")
    assert site.wait(root, server.status.start.post())["exitstatus"] == "OK"
    spec = site.made["web01"].spec
    assert (spec.cpus, spec.memory_mib, spec.ip) == (4, 8192, "10.42.0.15")
    assert (spec.nics[0].bridge, spec.nics[0].vlan, spec.nics[0].gateway) == ("vmbr1", 42, "10.42.0.1")
    assert [disk.size for disk in spec.disks] == [16 * 1024**3]
    assert power(root)["status"] == "running"


def test_shutdown_asks_the_guest_and_stop_pulls_the_plug(site, root, server):
    site.wait(root, server.status.start.post())
    assert site.wait(root, server.status.shutdown.post())["exitstatus"] == "OK"
    site.wait(root, server.status.start.post())
    assert site.wait(root, server.status.stop.post())["exitstatus"] == "OK"
    assert site.made["web01"].calls == ["boot", "shutdown", "boot", "stop"]
    assert power(root)["status"] == "stopped"


def test_a_deaf_guest_outlasts_a_shutdown_unless_it_is_forced(site, root, server):
    site.wait(root, server.status.start.post())
    site.made["web01"].deaf = True
    late = site.wait(root, server.status.shutdown.post(timeout=1))
    assert late["exitstatus"] == "VM quit/powerdown failed - got timeout"
    assert power(root)["status"] == "running"
    assert site.wait(root, server.status.shutdown.post(timeout=1, forceStop=1))["exitstatus"] == "OK"
    assert power(root)["status"] == "stopped"
    assert not site.made["web01"].on


def test_reboot_applies_what_waited_for_it(site, root, server):
    site.wait(root, server.status.start.post())
    server.config.put(memory=4096)
    assert server.config.get()["memory"] == "2048"
    assert {"key": "memory", "value": "2048", "pending": "4096"} in server.pending.get()
    assert site.wait(root, server.status.reboot.post())["exitstatus"] == "OK"
    assert server.config.get()["memory"] == "4096"
    assert site.made["web01"].spec.memory_mib == 4096
    assert site.made["web01"].calls == ["boot", "shutdown", "boot"]


def test_reset_restarts_without_asking_and_applies_nothing(site, root, server):
    site.wait(root, server.status.start.post())
    server.config.put(memory=4096)
    assert site.wait(root, server.status.reset.post())["exitstatus"] == "OK"
    assert site.made["web01"].calls == ["boot", "stop", "boot"]
    assert server.config.get()["memory"] == "2048"


def test_a_guest_that_does_not_boot_fails_the_task_with_its_reason(site, root, server):
    site.pve.guest_of(site.pve.vm(100)).refuses = "web01 was not up after 90 s"
    status = site.wait(root, server.status.start.post())
    assert status["exitstatus"] == "start failed: web01 was not up after 90 s"
    assert power(root)["status"] == "stopped"
    log = [line["t"] for line in root.nodes("pve-par-1").tasks(status["upid"]).log.get()]
    assert log[-1] == "TASK ERROR: start failed: web01 was not up after 90 s"


def test_a_guest_that_shuts_itself_down_is_seen_stopped(site, root, server):
    site.wait(root, server.status.start.post())
    site.run(site.pve.powered_off(100))
    assert power(root)["status"] == "stopped"
    assert power(root)["uptime"] == 0


def test_a_guest_that_restarts_itself_stays_on(site, root, server):
    site.wait(root, server.status.start.post())
    site.run(site.pve.rebooted(100))
    assert power(root)["status"] == "running"


def test_destroy_removes_the_guest_and_its_volumes(site, root, server):
    server.config.put(scsi1="ceph-vm:8")
    assert site.wait(root, server.delete())["exitstatus"] == "OK"
    assert site.made["web01"].calls == ["destroy"]
    left = root.nodes("pve-par-1").storage("ceph-vm").content.get(vmid=100)
    assert left == []
    assert 100 not in site.pve.systems


def test_a_running_or_protected_server_is_not_destroyed(site, root, server):
    server.config.put(protection=1)
    with pytest.raises(ResourceException, match="protection mode enabled"):
        server.delete()
    server.config.put(protection=0)
    site.wait(root, server.status.start.post())
    with pytest.raises(ResourceException, match="is running - destroy failed"):
        server.delete()
    assert "destroy" not in site.made["web01"].calls


def test_an_empty_machine_starts_and_nothing_answers_in_it(site, root):
    node = root.nodes("pve-par-1")
    site.wait(root, node.qemu.post(vmid=200, name="blank", memory=512, scsi0="ceph-vm:4", agent="enabled=1", start=1))
    assert power(root, "blank")["status"] == "running"
    with pytest.raises(ResourceException, match="guest agent is not running"):
        node.qemu(200).agent.ping.post()


def test_an_unknown_bridge_stops_the_start(site, root, server):
    server.config.put(net0="virtio,bridge=vmbr9")
    assert site.wait(root, server.status.start.post())["exitstatus"] == "bridge 'vmbr9' does not exist"
    assert "web01" not in site.made or site.made["web01"].calls == []


def test_a_locked_server_neither_starts_nor_changes(site, root, server):
    site.call(lambda: site.pve.snapshot_lock(100, "backup"))
    assert site.wait(root, server.status.start.post())["exitstatus"] == "VM is locked (backup)"
    with pytest.raises(ResourceException, match=r"VM is locked \(backup\)"):
        server.config.put(memory=4096)


def test_two_actions_at_once_take_turns(site, root, server):
    guest = site.pve.guest_of(site.pve.vm(100))
    started = asyncio.Event()
    original = guest.boot

    async def slow_boot():
        await asyncio.sleep(0.3)
        await original()
        started.set()

    guest.boot = slow_boot
    first, second = server.status.start.post(), server.status.stop.post()
    assert site.wait(root, first)["exitstatus"] == "OK"
    assert site.wait(root, second)["exitstatus"] == "OK"
    assert guest.calls == ["boot", "stop"]


def test_power_calls_are_judged_by_the_schema(server):
    with pytest.raises(ResourceException, match="Parameter verification failed"):
        server.status.start.post(nonsense=1)
