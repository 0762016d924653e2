# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state outlives the process, whenever that ends."""

from __future__ import annotations

import json

import pytest

from lab.datacenter import Datacenter, StateError
from lab.settings import load


def test_everything_is_there_again_after_a_restart(site, root, server):
    server.config.put(scsi1="ceph-vm:32", tags="function-wordpress", description="kept")
    upid = server.status.start.post()
    site.wait(root, upid)
    server.config.put(memory=8192)
    site.wait(root, server.snapshot.post(snapname="before"))
    root.cluster.ha.resources.post(sid="vm:100", state="started", max_relocate=3)
    root.cluster.ha.rules.post(rule="paris", type="node-affinity", resources="vm:100", nodes="pve-par-1:1")
    root.pools("production").put(vms=100)
    config, pending = server.config.get(), server.pending.get()
    content = root.nodes("pve-par-1").storage("ceph-vm").content.get()
    rules = root.cluster.ha.rules.get()
    site.made["web01"].on = False
    site.restart()
    again = site.client()
    vm = again.nodes("pve-par-1").qemu(100)
    assert vm.config.get() == config
    assert vm.pending.get() == pending
    assert [item["name"] for item in vm.snapshot.get()] == ["before", "current"]
    assert again.nodes("pve-par-1").storage("ceph-vm").content.get() == content
    assert again.cluster.ha.rules.get() == rules
    assert again.cluster.ha.resources("vm:100").get()["max_relocate"] == 3
    assert [item["vmid"] for item in again.pools("production").get()["members"]] == [100]
    assert again.nodes("pve-par-1").tasks(upid).status.get()["exitstatus"] == "OK"
    assert site.pve.systems[100] == "ubuntu_2404"


def test_servers_that_were_on_boot_again(site, root, server):
    site.wait(root, server.status.start.post())
    site.made["web01"].on = False
    site.restart()
    assert site.run(site.pve.boot_all()) == []
    assert site.made["web01"].on
    assert site.client().nodes("pve-par-1").qemu(100).status.current.get()["status"] == "running"


def test_a_server_that_does_not_boot_again_is_named(site, root, server):
    site.wait(root, server.status.start.post())
    site.restart()
    site.made["web01"].refuses = "no image"
    assert site.run(site.pve.boot_all()) == ["web01: start failed: no image"]
    assert site.client().nodes("pve-par-1").qemu(100).status.current.get()["status"] == "stopped"


def test_work_cut_short_by_the_end_leaves_no_half_server(site, root):
    state = json.loads((site.home / "datacenter.json").read_text())
    half = {**state["servers"][0], "vmid": 300, "name": "half", "lock": "clone", "template": False}
    half["config"] = {**half["config"], "scsi0": "ceph-vm:vm-300-disk-0,size=64G", "lock": "clone"}
    locked = {**state["servers"][0], "vmid": 301, "name": "moving", "lock": "migrate", "template": False}
    locked["config"] = {**locked["config"], "lock": "migrate"}
    state["servers"] += [half, locked]
    store = state["storages"]["ceph-vm"]
    store["volumes"]["vm-300-disk-0"] = {"content": "images", "format": "raw", "size": 1, "vmid": 300, "ctime": 0}
    state["tasks"].append(
        {
            "upid": "UPID:pve-par-1:000003E8:00001B58:00000001:qmclone:9000:root@pam:",
            "node": "pve-par-1",
            "pid": 1000,
            "pstart": 7000,
            "starttime": 1,
            "type": "qmclone",
            "id": "9000",
            "user": "root@pam",
            "status": "running",
            "log": [],
        },
    )
    site.close_datacenter()
    (site.home / "datacenter.json").write_text(json.dumps(state))
    site.pve = site.open()
    again = site.client()
    assert 300 not in [vm["vmid"] for vm in again.cluster.resources.get(type="vm")]
    assert again.nodes("pve-par-1").storage("ceph-vm").content.get(vmid=300) == []
    assert "lock" not in again.nodes("pve-par-1").qemu(301).config.get()
    (task,) = [item for item in again.nodes("pve-par-1").tasks.get() if item["type"] == "qmclone"]
    assert task["status"] == "interrupted by the lab's end"


def test_a_backup_lock_stays(site, root, server):
    site.call(lambda: site.pve.snapshot_lock(100, "backup"))
    site.call(site.pve.save)
    site.restart()
    assert site.client().nodes("pve-par-1").qemu(100).config.get()["lock"] == "backup"


@pytest.mark.parametrize("content", ["", "{}", '{"format": 0}', "[1]"])
def test_a_state_of_elsewhere_is_refused_with_the_remedy(tmp_path, content):
    file = tmp_path / "datacenter.json"
    file.write_text(content)
    pve = Datacenter(load(), "secret", "127.0.0.1", 0)
    with pytest.raises(StateError, match=r"datacenter\.json"):
        pve.open_state(file)
    pve.save()
    assert file.read_text() == content, "what could not be read is not overwritten"


def test_reset_leaves_templates_only(site, root, server):
    site.wait(root, server.status.start.post())
    root.cluster.ha.resources.post(sid="vm:100")
    assert site.run(site.pve.remove_all()) == ["web01"]
    assert site.made["web01"].calls[-1] == "destroy"
    names = [vm["name"] for vm in root.cluster.resources.get(type="vm")]
    assert names == ["tpl-windows-2022", "tpl-windows-2016", "tpl-ubuntu-2404", "tpl-debian-12"]
    assert root.cluster.ha.resources.get() == []
    assert root.nodes("pve-par-1").tasks.get() == []


def test_two_servers_of_one_name_have_two_folders(site, root, server):
    site.wait(root, root.nodes("pve-par-1").qemu(9002).clone.post(newid=101, name="web01", full=1))
    assert site.pve.spec(site.pve.vm(100)).folder == "web01"
    assert site.pve.spec(site.pve.vm(101)).folder == "web01-101"
    site.restart()
    assert site.pve.spec(site.pve.vm(101)).folder == "web01-101"
