# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves between nodes by hand."""

from __future__ import annotations

import pytest
from proxmoxer.core import ResourceException


def test_an_online_move_keeps_the_guest_running(site, root, server):
    site.wait(root, server.status.start.post())
    with pytest.raises(ResourceException, match="can't migrate running VM without --online"):
        server.migrate.post(target="pve-lyo-1")
    upid = server.migrate.post(target="pve-lyo-1", online=1)
    site.until(lambda: site.pve.vm(100).lock == "migrate", "the server is locked while it moves")
    assert site.wait(root, upid)["exitstatus"] == "OK"
    assert root.nodes("pve-lyo-1").qemu(100).status.current.get()["status"] == "running"
    assert site.made["web01"].calls == ["boot"]
    with pytest.raises(ResourceException, match="does not exist"):
        server.config.get()


@pytest.mark.parametrize(
    ("target", "reason"),
    [("pve-par-1", "target is local node"), ("pve-nice-1", "no such cluster node 'pve-nice-1'")],
)
def test_impossible_targets_are_refused(server, target, reason):
    with pytest.raises(ResourceException, match=reason):
        server.migrate.post(target=target)


def test_a_target_that_is_down_is_refused(site, server):
    site.run(site.pve.lose_node("pve-lyo-1"))
    with pytest.raises(ResourceException, match="is not online"):
        server.migrate.post(target="pve-lyo-1")


def test_local_disks_hold_a_server_unless_they_may_move(site, root, server):
    server.config.put(scsi1="local-lvm:4")
    check = server.migrate.get()
    assert [item["volid"] for item in check["local_disks"]] == ["local-lvm:vm-100-disk-0"]
    assert check["allowed_nodes"] == ["pve-lyo-1", "pve-par-2"]
    status = site.wait(root, server.migrate.post(target="pve-lyo-1"))
    assert "can't migrate local disks without with-local-disks option" in status["exitstatus"]
    assert site.wait(root, server.migrate.post(target="pve-lyo-1", **{"with-local-disks": 1}))["exitstatus"] == "OK"
    assert site.pve.vm(100).node == "pve-lyo-1"


def test_a_clone_to_another_node_needs_shared_disks(site, root, server):
    node = root.nodes("pve-par-1")
    site.wait(root, node.qemu(100).clone.post(newid=101, name="web02", full=1, target="pve-lyo-1"))
    assert site.pve.vm(101).node == "pve-lyo-1"
    server.config.put(scsi1="local-lvm:4")
    with pytest.raises(ResourceException, match="VM uses local storage"):
        node.qemu(100).clone.post(newid=102, name="web03", full=1, target="pve-lyo-1")
