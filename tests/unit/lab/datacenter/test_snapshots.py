# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot keeps configuration and disks together, and a rollback puts both back."""

from __future__ import annotations

import pytest
from proxmoxer.core import ResourceException


@pytest.fixture
def kept(site, root, server):
    site.wait(root, server.status.start.post())
    site.made["web01"].disk = "good"
    assert (
        site.wait(root, server.snapshot.post(snapname="before", description="before the update"))["exitstatus"] == "OK"
    )
    return server


def test_a_rollback_puts_configuration_and_disks_back(site, root, kept):
    site.wait(root, kept.resize.put(disk="scsi0", size="64G"))
    kept.config.put(description="updated")
    site.made["web01"].disk = "broken"
    assert site.wait(root, kept.snapshot("before").rollback.post())["exitstatus"] == "OK"
    assert kept.config.get()["scsi0"].endswith("size=16G")
    assert site.made["web01"].disk == "good"
    assert kept.status.current.get()["status"] == "stopped"
    volume = root.nodes("pve-par-1").storage("ceph-vm").content.get(vmid=100)
    assert {item["volid"]: item["size"] for item in volume}["ceph-vm:vm-100-disk-0"] == 16 * 1024**3


def test_a_rollback_may_start_the_server(site, root, kept):
    assert site.wait(root, kept.snapshot("before").rollback.post(start=1))["exitstatus"] == "OK"
    assert kept.status.current.get()["status"] == "running"
    assert site.made["web01"].on


def test_removing_a_snapshot_forgets_the_disks_of_then(site, root, kept):
    assert [item["name"] for item in kept.snapshot.get()] == ["before", "current"]
    assert site.wait(root, kept.snapshot("before").delete())["exitstatus"] == "OK"
    assert [item["name"] for item in kept.snapshot.get()] == ["current"]
    assert site.made["web01"].kept == {}


def test_a_name_is_used_once_and_an_unknown_one_is_refused(site, root, kept):
    assert "already used" in site.wait(root, kept.snapshot.post(snapname="before"))["exitstatus"]
    assert "does not exist" in site.wait(root, kept.snapshot("other").rollback.post())["exitstatus"]


def test_memory_snapshots_are_refused(kept):
    with pytest.raises(ResourceException, match="does not simulate snapshots with memory"):
        kept.snapshot.post(snapname="ram", vmstate=1)


def test_a_full_clone_of_a_server_takes_its_disks(site, root, kept):
    upid = root.nodes("pve-par-1").qemu(100).clone.post(newid=101, name="copy", full=1)
    assert site.wait(root, upid)["exitstatus"] == "OK"
    assert site.made["copy"].disk == "good"
