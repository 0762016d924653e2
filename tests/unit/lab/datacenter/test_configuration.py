# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration call changes at once, what waits, and what happens to disks."""

from __future__ import annotations

import pytest
from proxmoxer.core import ResourceException

GIB = 1024**3


def volumes(root, vmid=100):
    return {item["volid"]: item["size"] for item in root.nodes("pve-par-1").storage("ceph-vm").content.get(vmid=vmid)}


@pytest.fixture
def running(site, root, server):
    site.wait(root, server.status.start.post())
    return server


def test_a_full_clone_owns_disk_image_and_address_card(site, root, server):
    assert volumes(root) == {"ceph-vm:vm-100-disk-0": 16 * GIB, "ceph-vm:vm-100-cloudinit": 4 * 1024**2}
    config = server.config.get()
    assert config["ide2"] == "ceph-vm:vm-100-cloudinit,media=cdrom"
    template = root.nodes("pve-par-1").qemu(9002).config.get()
    assert config["net0"].split(",")[0] != template["net0"].split(",")[0]
    assert config["smbios1"] != template["smbios1"]


def test_disks_by_configuration_are_allocated_and_seen_in_the_storage(root, server):
    server.config.put(scsi1="ceph-vm:32,discard=on")
    assert server.config.get()["scsi1"] == "ceph-vm:vm-100-disk-1,discard=on,size=32G"
    assert volumes(root)["ceph-vm:vm-100-disk-1"] == 32 * GIB


def test_disks_and_cards_plug_into_a_running_server(site, running):
    running.config.put(scsi1="ceph-vm:32", net1="virtio,bridge=vmbr1")
    assert [item for item in running.pending.get() if "pending" in item] == []
    spec = site.made["web01"].spec
    assert [disk.key for disk in spec.disks] == ["scsi0", "scsi1"]
    assert [nic.bridge for nic in spec.nics] == ["vmbr0", "vmbr1"]


def test_processors_and_memory_wait_for_a_restart(running):
    running.config.put(cores=4, memory=8192, description="two things wait")
    waiting = {item["key"]: item["pending"] for item in running.pending.get() if "pending" in item}
    assert {key: str(value) for key, value in waiting.items()} == {"cores": "4", "memory": "8192"}
    running.config.put(revert="cores")
    waiting = [item["key"] for item in running.pending.get() if "pending" in item]
    assert waiting == ["memory"]


def test_setting_the_present_value_again_drops_what_waited(running):
    running.config.put(cores=4)
    running.config.put(cores=1)
    assert [item for item in running.pending.get() if "pending" in item] == []


def test_memory_grows_at_once_where_hotplug_names_it(site, server, root):
    server.config.put(hotplug="network,disk,memory", numa=1)
    site.wait(root, server.status.start.post())
    server.config.put(memory=4096)
    assert server.config.get()["memory"] == "4096"
    server.config.put(memory=2048)
    assert server.config.get()["memory"] == "4096"


def test_resize_grows_and_says_so_to_the_guest(site, root, running):
    upid = running.resize.put(disk="scsi0", size="64G")
    assert site.wait(root, upid)["exitstatus"] == "OK"
    assert running.config.get()["scsi0"].endswith("size=64G")
    assert volumes(root)["ceph-vm:vm-100-disk-0"] == 64 * GIB
    assert site.made["web01"].spec.disks[0].size == 64 * GIB
    site.wait(root, running.resize.put(disk="scsi0", size="+8G"))
    assert running.config.get()["scsi0"].endswith("size=72G")
    resources = root.cluster.resources.get(type="vm")
    assert next(vm for vm in resources if vm["vmid"] == 100)["maxdisk"] == 72 * GIB


@pytest.mark.parametrize(
    ("disk", "size", "reason"),
    [
        ("scsi0", "8G", "shrinking disks is not supported"),
        ("scsi7", "64G", "disk 'scsi7' does not exist"),
        ("ide2", "64G", "you can't resize a cdrom"),
        ("scsi0", "64 gigabytes", "Parameter verification failed"),
    ],
)
def test_resize_refuses(server, disk, size, reason):
    with pytest.raises(ResourceException, match=reason):
        server.resize.put(disk=disk, size=size)
    assert server.config.get()["scsi0"].endswith("size=16G")


def test_a_detached_disk_is_kept_as_unused_until_that_is_removed(root, server):
    server.config.put(scsi1="ceph-vm:32")
    server.config.put(delete="scsi1")
    config = server.config.get()
    assert "scsi1" not in config
    assert config["unused0"] == "ceph-vm:vm-100-disk-1"
    assert "ceph-vm:vm-100-disk-1" in volumes(root)
    server.config.put(scsi2="ceph-vm:vm-100-disk-1")
    config = server.config.get()
    assert "unused0" not in config
    assert config["scsi2"] == "ceph-vm:vm-100-disk-1,size=32G"
    server.unlink.put(idlist="scsi2", force=1)
    assert "ceph-vm:vm-100-disk-1" not in volumes(root)


def test_replacing_a_disk_keeps_the_old_one(root, server):
    server.config.put(scsi1="ceph-vm:32")
    server.config.put(scsi1="ceph-vm:8")
    config = server.config.get()
    assert config["unused0"] == "ceph-vm:vm-100-disk-1"
    assert config["scsi1"] == "ceph-vm:vm-100-disk-2,size=8G"


def test_changing_a_disks_options_keeps_its_size(running):
    running.config.put(scsi0="ceph-vm:vm-100-disk-0,backup=0")
    assert running.config.get()["scsi0"] == "ceph-vm:vm-100-disk-0,backup=0,size=16G"


def test_moving_a_disk_changes_its_storage(site, root, server):
    assert site.wait(root, server.move_disk.post(disk="scsi0", storage="local-lvm", delete=1))["exitstatus"] == "OK"
    assert server.config.get()["scsi0"].startswith("local-lvm:vm-100-disk-0,")
    assert "ceph-vm:vm-100-disk-0" not in volumes(root)


def test_a_protected_server_keeps_its_disks(server):
    server.config.put(scsi1="ceph-vm:32", protection=1)
    with pytest.raises(ResourceException, match="can't remove drive 'scsi1' - protection mode enabled"):
        server.config.put(delete="scsi1")


def test_a_refused_call_changes_nothing(server):
    before = server.config.get()
    with pytest.raises(ResourceException, match="storage 'nowhere' does not exist"):
        server.config.put(memory=4096, scsi1="nowhere:8")
    assert server.config.get() == before


def test_a_digest_of_yesterday_is_refused(server):
    digest = server.config.get()["digest"]
    server.config.put(description="changed meanwhile")
    with pytest.raises(ResourceException, match="checksum mismatch"):
        server.config.put(memory=4096, digest=digest)


def test_tags_are_stored_as_pve_stores_them(root, server):
    server.config.put(tags="Site-Paris,function-wordpress;function-wordpress system-ubuntu_2404")
    assert server.config.get()["tags"] == "function-wordpress;site-paris;system-ubuntu_2404"
    resources = root.cluster.resources.get(type="vm")
    assert next(vm for vm in resources if vm["vmid"] == 100)["tags"] == server.config.get()["tags"]
    with pytest.raises(ResourceException, match="empty parameter 'tags'"):
        server.config.put(tags="")
    server.config.put(delete="tags")
    assert "tags" not in server.config.get()


def test_a_card_keeps_its_address_when_the_call_names_none(server):
    before = server.config.get()["net0"].split(",")[0]
    server.config.put(net0="virtio,bridge=vmbr1")
    assert server.config.get()["net0"] == f"{before},bridge=vmbr1"


def test_renaming_shows_at_once(root, running):
    running.config.put(name="web02")
    assert [vm["name"] for vm in root.cluster.resources.get(type="vm") if vm["vmid"] == 100] == ["web02"]


def test_post_config_is_a_task(site, root, server):
    assert site.wait(root, server.config.post(memory=4096))["exitstatus"] == "OK"
    assert server.config.get()["memory"] == "4096"


def test_a_full_storage_says_so(site, root, server):
    site.call(lambda: site.pve.storages["ceph-vm"].update(avail=GIB))
    with pytest.raises(ResourceException, match="No space left on device"):
        server.config.put(scsi1="ceph-vm:32")
    status = site.wait(root, server.resize.put(disk="scsi0", size="64G"))
    assert "No space left on device" in status["exitstatus"]
    assert server.config.get()["scsi0"].endswith("size=16G")


def test_importing_a_disk_is_refused_with_a_sentence(server):
    with pytest.raises(ResourceException, match="does not simulate importing a disk"):
        server.config.put(scsi1="ceph-vm:0,import-from=local:import/disk.qcow2")
