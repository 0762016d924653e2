# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed servers are kept in their state, moved off lost nodes and placed by rules; unmanaged ones are not."""

from __future__ import annotations

import pytest
from proxmoxer.core import ResourceException


def resource(root, vmid=100):
    return next(vm for vm in root.cluster.resources.get(type="vm") if vm["vmid"] == vmid)


def service(root, sid="vm:100"):
    return next((item for item in root.cluster.ha.status.current.get() if item.get("sid") == sid), None)


@pytest.fixture
def managed(site, root, server):
    root.cluster.ha.resources.post(sid="vm:100", state="started", max_restart=2, comment="web")
    site.until(lambda: resource(root)["status"] == "running", "the manager starts it")
    return server


def test_a_managed_server_is_started_and_shown(root, managed):
    entry = root.cluster.ha.resources("vm:100").get()
    assert (entry["state"], entry["max_restart"], entry["max_relocate"], entry["comment"]) == ("started", 2, 1, "web")
    assert resource(root)["hastate"] == "started"
    assert service(root)["status"] == "vm:100 (pve-par-1, started)"


def test_what_is_asked_of_it_is_done(site, root, managed):
    root.cluster.ha.resources("vm:100").put(state="stopped")
    site.until(lambda: resource(root)["status"] == "stopped", "the manager stops it")
    assert site.made["web01"].calls == ["boot", "shutdown"]
    root.cluster.ha.resources("vm:100").delete()
    assert root.cluster.ha.resources.get() == []
    assert "hastate" not in resource(root)


def test_power_calls_go_through_the_manager(site, root, managed):
    upid = managed.status.shutdown.post()
    assert upid.split(":")[5] == "hastop"
    assert site.wait(root, upid)["exitstatus"] == "OK"
    site.until(lambda: resource(root)["status"] == "stopped", "the manager stops it")
    site.wait(root, managed.status.start.post())
    site.until(lambda: resource(root)["status"] == "running", "the manager starts it")


def test_a_managed_server_that_dies_is_started_again(site, root, managed):
    site.made["web01"].on = False
    site.run(site.pve.powered_off(100))
    site.until(lambda: site.made["web01"].calls == ["boot", "boot"], "the manager restarts it")


def test_a_lost_node_loses_its_servers_and_only_the_managed_move(site, root, managed):
    clone = root.nodes("pve-par-1").qemu(9002).clone.post(newid=101, name="lone", full=1)
    site.wait(root, clone)
    site.wait(root, root.nodes("pve-par-1").qemu(101).status.start.post())
    site.run(site.pve.lose_node("pve-par-1"))
    assert not site.made["lone"].on
    assert resource(root, 101)["status"] == "unknown"
    site.until(lambda: resource(root)["node"] != "pve-par-1", "the managed server moves")
    site.until(lambda: resource(root)["status"] == "running", "and runs there")
    assert site.made["web01"].on
    site.run(site.pve.regain_node("pve-par-1"))
    assert resource(root, 101)["status"] == "stopped"
    assert resource(root)["node"] != "pve-par-1"


def test_servers_to_start_with_their_node_do(site, root, server):
    server.config.put(onboot=1)
    site.run(site.pve.lose_node("pve-par-1"))
    site.run(site.pve.regain_node("pve-par-1"))
    assert resource(root)["status"] == "running"


def test_without_quorum_nothing_moves_and_nothing_is_written(site, root, managed):
    site.run(site.pve.lose_node("pve-par-1"))
    site.run(site.pve.lose_node("pve-par-2"))
    assert not site.pve.quorate
    site.run(site.pve.manage_once())
    assert site.pve.vm(100).node in ("pve-par-1", "pve-lyo-1")
    with pytest.raises(ResourceException, match="no quorum"):
        root.cluster.ha.resources.post(sid="vm:9000")
    assert root.cluster.ha.status.current.get()[0]["quorate"] == 0


def test_local_disks_hold_a_server_on_its_lost_node(site, root, managed):
    managed.config.put(scsi1="local-lvm:4")
    site.run(site.pve.lose_node("pve-par-1"))
    site.call(lambda: site.pve._lost_since.update({"pve-par-1": 0.0}))
    site.run(site.pve.manage_once())
    assert resource(root)["node"] == "pve-par-1"
    assert resource(root)["status"] == "unknown"


def test_a_node_affinity_rule_decides_where_a_server_recovers(site, root, managed):
    root.cluster.ha.rules.post(
        rule="lyon-next",
        type="node-affinity",
        resources="vm:100",
        nodes="pve-par-1:2,pve-lyo-1:1",
        strict=1,
    )
    site.run(site.pve.lose_node("pve-par-1"))
    site.until(lambda: resource(root)["status"] == "running", "it recovers")
    assert resource(root)["node"] == "pve-lyo-1"


def test_a_strict_rule_without_a_node_left_keeps_the_server_down(site, root, managed):
    root.cluster.ha.rules.post(rule="here", type="node-affinity", resources="vm:100", nodes="pve-par-1", strict=1)
    site.run(site.pve.lose_node("pve-par-1"))
    site.call(lambda: site.pve._lost_since.update({"pve-par-1": 0.0}))
    site.run(site.pve.manage_once())
    assert resource(root)["node"] == "pve-par-1"


def test_rules_are_checked_listed_changed_and_removed(root, managed):
    rules = root.cluster.ha.rules
    for data, reason in (
        ({"type": "node-affinity", "resources": "vm:100", "nodes": "pve-nice-1"}, "no such cluster node"),
        ({"type": "node-affinity", "resources": "vm:9000", "nodes": "pve-par-1"}, "unmanaged resource"),
        ({"type": "resource-affinity", "resources": "vm:100", "affinity": "negative"}, "less than two resources"),
        ({"type": "node-affinity", "resources": "vm:100", "nodes": "pve-par-1", "strict": "yes"}, "boolean"),
        ({"type": "node-affinity", "resources": "vm:100", "nodes": "pve-par-1", "priority": 1}, "not defined"),
        ({"type": "affinity", "resources": "vm:100", "nodes": "pve-par-1"}, "enumeration"),
    ):
        with pytest.raises(ResourceException, match=reason):
            rules.post(rule="bad", **data)
    rules.post(rule="paris", type="node-affinity", resources="vm:100", nodes="pve-par-1:2,pve-par-2")
    expected = {"rule": "paris", "type": "node-affinity", "resources": "vm:100", "strict": 0}
    assert rules("paris").get() == {**expected, "nodes": "pve-par-1:2,pve-par-2"}
    rules("paris").put(type="node-affinity", strict=1)
    assert rules.get()[0]["strict"] == 1
    rules("paris").delete()
    assert rules.get() == []


def test_removing_a_server_from_ha_removes_it_from_its_rules(root, managed):
    root.cluster.ha.rules.post(rule="paris", type="node-affinity", resources="vm:100", nodes="pve-par-1")
    root.cluster.ha.resources("vm:100").delete(purge=1)
    assert root.cluster.ha.rules.get() == []


def test_groups_are_gone_in_pve_9(root, managed):
    with pytest.raises(ResourceException, match="ha groups have been migrated to rules"):
        root.cluster.ha.groups.get()
    with pytest.raises(ResourceException, match="ha groups have been migrated to rules"):
        root.cluster.ha.groups.post(group="old", nodes="pve-par-1")


def test_a_planned_move_keeps_a_managed_server_running(site, root, managed):
    answer = root.cluster.ha.resources("vm:100").migrate.post(node="pve-lyo-1")
    assert answer == {"sid": "vm:100", "requested-node": "pve-lyo-1"}
    site.until(lambda: resource(root)["node"] == "pve-lyo-1", "it moves")
    assert site.made["web01"].calls == ["boot"]


def test_a_relocation_restarts_it(site, root, managed):
    root.cluster.ha.resources("vm:100").relocate.post(node="pve-lyo-1")
    site.until(lambda: resource(root)["node"] == "pve-lyo-1", "it moves")
    site.until(lambda: site.made["web01"].calls == ["boot", "shutdown", "boot"], "it was stopped and started")


def test_a_move_against_a_rule_is_blocked(root, managed):
    root.cluster.ha.rules.post(rule="paris", type="node-affinity", resources="vm:100", nodes="pve-par-1", strict=1)
    answer = root.cluster.ha.resources("vm:100").migrate.post(node="pve-lyo-1")
    assert answer["blocking-resources"] == [{"sid": "vm:100", "cause": "node-affinity"}]
    assert resource(root)["node"] == "pve-par-1"


def test_a_server_that_cannot_start_anywhere_ends_in_error(site, root, server):
    site.pve.guest_of(site.pve.vm(100)).refuses = "the disk is broken"
    root.cluster.ha.resources.post(sid="vm:100", state="started")
    site.until(lambda: resource(root).get("hastate") == "error", "the manager gives up")
    assert len(site.made["web01"].calls) == 4, "one restart here, one relocation, one restart there"
    assert resource(root)["node"] != "pve-par-1"
    site.made["web01"].refuses = ""
    root.cluster.ha.resources("vm:100").put(state="started")
    site.until(lambda: resource(root)["status"] == "running", "it is tried again once that is asked")


def test_negative_affinity_keeps_two_servers_apart(site, root, managed):
    site.wait(root, root.nodes("pve-par-1").qemu(9002).clone.post(newid=101, name="web02", full=1))
    root.cluster.ha.resources.post(sid="vm:101", state="stopped")
    root.cluster.ha.rules.post(rule="apart", type="resource-affinity", resources="vm:100,vm:101", affinity="negative")
    placements = site.call(lambda: site.pve.placements(site.pve.resources[101]))
    assert placements == ["pve-lyo-1", "pve-par-2"]


def test_a_managed_server_is_destroyed_only_with_purge(site, root, managed):
    root.cluster.ha.resources("vm:100").put(state="stopped")
    site.until(lambda: resource(root)["status"] == "stopped", "the manager stops it")
    with pytest.raises(ResourceException, match="used in HA resources"):
        managed.delete()
    assert site.wait(root, managed.delete(purge=1))["exitstatus"] == "OK"
    assert root.cluster.ha.resources.get() == []


def test_the_manager_status_names_master_and_services(root, managed):
    status = root.cluster.ha.status.manager_status.get()
    assert status["manager_status"]["service_status"] == {"vm:100": {"node": "pve-par-1", "state": "started"}}
    assert set(status["manager_status"]["node_status"].values()) == {"online"}
