# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault does what it says, can be listed, and heals."""

from __future__ import annotations

import pytest
import requests
from proxmoxer.core import ResourceException

from lab.control import ControlError
from lab.faults import KINDS, FaultDesk


@pytest.fixture
def desk(site):
    return FaultDesk(site.pve)


@pytest.fixture
def cause(site, desk):
    def cause(target, kind, **options):
        return site.run(desk.apply(target, kind, **options))

    return cause


def kinds(site, desk):
    return [fault["kind"] for fault in site.run(desk.listed())]


def test_a_task_error_strikes_as_often_as_asked(site, root, server, cause, desk):
    cause("api", "task-error", task="qmstart", message="start failed: QEMU exited with code 1", times=1)
    assert kinds(site, desk) == ["task-error"]
    failed = site.wait(root, server.status.start.post())
    assert failed["exitstatus"] == "start failed: QEMU exited with code 1"
    assert kinds(site, desk) == []
    assert site.wait(root, server.status.start.post())["exitstatus"] == "OK"


def test_a_failed_clone_leaves_nothing(site, root, cause):
    cause("api", "task-error", task="qmclone", message="clone failed: got timeout")
    node = root.nodes("pve-par-1")
    assert site.wait(root, node.qemu(9002).clone.post(newid=150, name="x", full=1))["exitstatus"].startswith("clone")
    assert 150 not in [vm["vmid"] for vm in root.cluster.resources.get(type="vm")]
    assert node.storage("ceph-vm").content.get(vmid=150) == []
    assert site.wait(root, node.qemu(9002).clone.post(newid=150, name="x", full=1))["exitstatus"] == "OK"


def test_a_task_error_may_be_one_servers_only(site, root, server, cause):
    site.wait(root, root.nodes("pve-par-1").qemu(9002).clone.post(newid=101, name="web02", full=1))
    cause("api", "task-error", task="qmstart", server="web02")
    assert site.wait(root, server.status.start.post())["exitstatus"] == "OK"
    assert site.wait(root, root.nodes("pve-par-1").qemu(101).status.start.post())["exitstatus"] == "got timeout"


def test_a_lock_holds_until_it_is_cleared(site, root, server, cause, desk):
    cause("web01", "lock", lock="backup")
    assert kinds(site, desk) == ["lock"]
    with pytest.raises(ResourceException, match=r"VM is locked \(backup\)"):
        server.config.put(memory=4096)
    cause("web01", "clear")
    server.config.put(memory=4096)
    assert kinds(site, desk) == []
    with pytest.raises(ControlError, match="unknown lock"):
        cause("web01", "lock", lock="padlock")


def test_a_lock_may_end_by_itself(site, root, server, cause):
    cause("web01", "lock", lock="backup", seconds=0.3)
    with pytest.raises(ResourceException, match=r"VM is locked \(backup\)"):
        server.config.put(memory=4096)
    site.until(lambda: "lock" not in server.config.get(), "the backup ends")
    server.config.put(memory=4096)


def test_a_busy_server_makes_others_wait_and_then_give_up(site, server, cause, desk):
    site.call(lambda: setattr(site.pve, "lock_wait", 0.2))
    cause("web01", "busy")
    assert kinds(site, desk) == ["busy"]
    with pytest.raises(ResourceException, match=r"can't lock file .* got timeout"):
        server.config.put(memory=4096)
    with pytest.raises(ControlError, match="busy already"):
        cause("web01", "busy")
    cause("web01", "clear")
    server.config.put(memory=4096)
    site.call(lambda: setattr(site.pve, "lock_wait", 5))
    cause("web01", "busy", seconds=0.3)
    server.config.put(memory=2048)
    assert server.config.get()["memory"] == "2048", "it waited for the other task"


def test_an_expired_token_is_refused_until_it_is_healed(site, cause, desk):
    cause("api", "expired-token", token="operator")
    with pytest.raises(ResourceException, match="401"):
        site.client("operator").version.get()
    site.client("inventory").version.get()
    cause("api", "clear")
    site.client("operator").version.get()
    with pytest.raises(ControlError, match="inventory, operator, protection"):
        cause("api", "expired-token", token="nobody")


def test_expired_tickets_end_a_session_in_mid_run(site, root, cause):
    root.version.get()
    cause("api", "expired-tickets")
    with pytest.raises(ResourceException, match="401"):
        root.version.get()
    assert site.client().version.get()


def test_slow_answers_and_dropped_connections(site, root, cause):
    cause("api", "slow", seconds=0.4)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{site.pve.url}/api2/json/version", timeout=0.2, **auth(site))
    cause("api", "clear")
    cause("api", "drop", times=1)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{site.pve.url}/api2/json/version", timeout=5, **auth(site))
    assert requests.get(f"{site.pve.url}/api2/json/version", timeout=5, **auth(site)).status_code == 200


def auth(site):
    token = f"PVEAPIToken=infogerance@pve!inventory={site.tokens['inventory']}"
    return {"headers": {"Authorization": token}, "verify": str(site.authority.ca_file)}


def test_calls_fail_as_asked(site, root, server, cause):
    cause("api", "error", method="PUT", path="/nodes/{node}/qemu/{vmid}/config", status=503, message="busy", times=1)
    with pytest.raises(ResourceException, match="503"):
        server.config.put(memory=4096)
    server.config.put(memory=4096)
    with pytest.raises(ControlError, match="the schema has no"):
        cause("api", "error", method="PUT", path="/nodes/{node}/nonsense")
    with pytest.raises(ControlError, match="needs --path"):
        cause("api", "error")


def test_a_lost_node_and_its_return(site, root, server, cause, desk):
    cause("api", "lost-node", node="pve-par-1")
    assert kinds(site, desk) == ["lost-node"]
    with pytest.raises(ResourceException, match=r"595|No route to host"):
        server.config.get()
    cause("api", "clear")
    site.until(lambda: kinds(site, desk) == [], "the node is back")
    assert server.config.get()["name"] == "web01"
    with pytest.raises(ControlError, match="pve-lyo-1"):
        cause("api", "lost-node", node="pve-nice-1")


def test_without_quorum_nothing_is_written(server, cause):
    cause("api", "no-quorum")
    with pytest.raises(ResourceException, match="no quorum"):
        server.config.put(memory=4096)
    cause("api", "clear")
    server.config.put(memory=4096)


def test_a_full_storage_takes_nothing_until_it_is_cleared(root, server, cause):
    cause("api", "full-storage", storage="ceph-vm")
    with pytest.raises(ResourceException, match="No space left on device"):
        server.config.put(scsi1="ceph-vm:1")
    cause("api", "clear")
    server.config.put(scsi1="ceph-vm:1")


def test_servers_that_do_not_start_stop_or_answer(site, root, server, cause, desk):
    cause("web01", "no-boot", message="QEMU exited with code 1")
    assert site.wait(root, server.status.start.post())["exitstatus"] == "QEMU exited with code 1"
    cause("web01", "clear")
    site.wait(root, server.status.start.post())
    cause("web01", "no-agent")
    cause("web01", "no-shutdown")
    assert kinds(site, desk) == ["no-agent", "no-shutdown"]
    with pytest.raises(ResourceException, match="agent is not running"):
        server.agent.ping.post()
    assert "timeout" in site.wait(root, server.status.shutdown.post(timeout=1))["exitstatus"]
    cause("web01", "clear")
    assert server.agent.ping.post()["result"] == {}
    assert site.wait(root, server.status.shutdown.post())["exitstatus"] == "OK"


def test_faults_that_make_no_sense_are_refused_with_what_there_is(server, cause):
    with pytest.raises(ControlError, match="no server 'web09' in the lab; there is: web01"):
        cause("web09", "slow")
    with pytest.raises(ControlError, match="unknown fault 'fire' for api; known: slow"):
        cause("api", "fire")
    with pytest.raises(ControlError, match="has no option 'seconds'; it takes times"):
        cause("api", "drop", seconds=3)
    with pytest.raises(ControlError, match="does not simulate the fault 'refuse-logons' on web01"):
        cause("web01", "refuse-logons")


def test_every_kind_is_carried_out_by_somebody():
    for kind in KINDS:
        name = kind.name.replace("-", "_")
        if kind.target == "api":
            assert hasattr(FaultDesk, f"_api_{name}"), kind.name
