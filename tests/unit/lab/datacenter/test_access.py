# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens hold exactly their privileges, what is not modelled is refused, and the journal tells what was asked."""

from __future__ import annotations

import pytest
import requests
from fakepve import schema
from proxmoxer.core import ResourceException

from lab.datacenter.modelled import READS, WRITES, modelled


def refused(call, *words):
    with pytest.raises(ResourceException) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_the_inventory_token_reads_and_writes_nothing(site, root, server):
    client = site.client("inventory")
    vm = client.nodes("pve-par-1").qemu(100)
    assert {item["name"] for item in client.cluster.resources.get(type="vm")} >= {"web01", "tpl-windows-2022"}
    assert vm.config.get()["name"] == "web01"
    refused(lambda: vm.config.put(memory=4096), "403", "/vms/100", "VM.Config.Memory")
    refused(vm.status.start.post, "403", "VM.PowerMgmt")
    refused(lambda: vm.resize.put(disk="scsi0", size="64G"), "403", "VM.Config.Disk")
    refused(lambda: client.nodes("pve-par-1").qemu(9002).clone.post(newid=101), "403", "VM.Clone")
    refused(lambda: client.cluster.ha.resources.post(sid="vm:100"), "403", "Sys.Console")


def test_the_inventory_token_reads_the_agent(site, root, server):
    site.wait(root, server.status.start.post())
    client = site.client("inventory")
    answer = client.nodes("pve-par-1").qemu(100).agent("network-get-interfaces").get()
    assert answer["result"][0]["ip-addresses"][0]["ip-address"] == "10.42.0.15"


def test_the_operator_token_does_all_a_server_needs(site, root):
    client = site.client("operator")
    node = client.nodes("pve-par-1")
    assert site.wait(client, node.qemu(9000).clone.post(newid=110, name="dc01", full=1))["exitstatus"] == "OK"
    vm = node.qemu(110)
    vm.config.put(cores=2, memory=16384, net0="virtio,bridge=vmbr0", ipconfig0="ip=10.42.0.11/24", protection=1)
    vm.config.put(scsi1="ceph-vm:32", tags="function-domain_controller")
    assert site.wait(client, vm.resize.put(disk="scsi0", size="80G"))["exitstatus"] == "OK"
    assert site.wait(client, vm.status.start.post())["exitstatus"] == "OK"
    assert site.wait(client, vm.snapshot.post(snapname="before"))["exitstatus"] == "OK"
    assert site.wait(client, vm.snapshot("before").rollback.post())["exitstatus"] == "OK"
    assert site.wait(client, vm.snapshot("before").delete())["exitstatus"] == "OK"
    assert site.wait(client, vm.migrate.post(target="pve-lyo-1"))["exitstatus"] == "OK"
    vm = client.nodes("pve-lyo-1").qemu(110)
    vm.config.put(protection=0)
    assert site.wait(client, vm.delete())["exitstatus"] == "OK"


def test_high_availability_needs_its_own_token(site, root, server):
    refused(lambda: site.client("operator").cluster.ha.resources.post(sid="vm:100"), "403", "Sys.Console")
    site.client("protection").cluster.ha.resources.post(sid="vm:100", state="stopped")
    assert [item["sid"] for item in root.cluster.ha.resources.get()] == ["vm:100"]


def test_a_bridge_needs_its_privilege(site, root, server):
    token = "infogerance@pve!operator"
    site.call(lambda: site.pve.acl.update({token: [g for g in site.pve.acl[token] if g[0] != "/sdn/zones"]}))
    vm = site.client("operator").nodes("pve-par-1").qemu(100)
    refused(lambda: vm.config.put(net0="virtio,bridge=vmbr1,tag=7"), "/sdn/zones/localnetwork/vmbr1/7", "SDN.Use")
    vm.config.put(memory=4096)


def test_a_wrong_or_expired_token_is_refused(site):
    url = f"{site.pve.url}/api2/json/version"
    ca = str(site.authority.ca_file)
    wrong = requests.get(
        url, headers={"Authorization": "PVEAPIToken=infogerance@pve!operator=wrong"}, verify=ca, timeout=10
    )
    assert wrong.status_code == 401
    assert site.pve.journal.since()[-1]["status"] == 401
    site.pve.faults.expired_tokens.add("infogerance@pve!operator")
    refused(site.client("operator").version.get, "401", "token access expired")
    assert site.client("inventory").version.get()["version"] == "9.0.10"


def test_users_and_tokens_are_listed(root):
    assert [user["userid"] for user in root.access.users.get()] == ["root@pam", "infogerance@pve"]
    tokens = root.access.users("infogerance@pve").token.get()
    assert [token["tokenid"] for token in tokens] == ["inventory", "operator", "protection"]


def test_permissions_tell_a_client_what_it_lacks(site):
    held = site.client("inventory").access.permissions.get()
    assert "VM.Audit" in held["/"]
    assert "VM.Allocate" not in held["/"]


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("post", "cluster/backup", {"storage": "local", "all": 1}),
        ("post", "nodes/pve-par-1/vzdump", {"vmid": 9000}),
        ("post", "cluster/replication", {"id": "100-0", "target": "pve-lyo-1", "type": "local"}),
        ("put", "access/acl", {"path": "/", "roles": "PVEAdmin", "users": "infogerance@pve"}),
        ("post", "access/users/infogerance@pve/token/other", {}),
        ("post", "nodes/pve-par-1/lxc", {"vmid": 300, "ostemplate": "local:vztmpl/x.tar.gz"}),
        ("post", "nodes/pve-par-1/qemu/9000/status/suspend", {}),
        ("post", "nodes/pve-par-1/qemu/9000/agent/exec", {"command": "id"}),
        ("post", "storage", {"storage": "nfs1", "type": "nfs"}),
        ("post", "nodes/pve-par-1/qemu/9000/firewall/rules", {"type": "in", "action": "ACCEPT"}),
        ("get", "nodes/pve-par-1/apt/update", {}),
        ("get", "cluster/backup-info/not-backed-up", {}),
    ],
)
def test_what_is_not_modelled_is_refused(root, method, path, data):
    with pytest.raises(ResourceException) as caught:
        getattr(root(path), method)(**data)
    assert caught.value.status_code == 501
    assert "the lab does not simulate" in str(caught.value)


def test_lists_nothing_can_be_put_on_are_empty(root):
    assert root.cluster.backup.get() == []
    assert root.cluster.replication.get() == []


def test_everything_modelled_is_in_the_schema():
    paths = schema.load().paths
    assert [template for template in READS if "GET" not in paths.get(template, {})] == []
    assert [(m, t) for m, t in WRITES if m not in paths.get(t, {}) and t != "/access/ticket"] == []


def test_nothing_modelled_is_left_to_the_generic_handler(site):
    """Every call of the lists reaches a handler of its own: fakepve's catch-all invents answers and changes nothing."""
    app = site.call(site.pve._build_app)
    own = set()
    for route in app.router.routes():
        info = route.resource.get_info()
        path = (info.get("formatter") or info.get("path")).removeprefix("/api2/json")
        own.add((route.method, path.replace("{action}", "*").replace("{command}", "*")))
    for method, template in {*WRITES, *(("GET", path) for path in READS)}:
        parent, _slash, _last = template.rpartition("/")
        assert {(method, template), (method, f"{parent}/*")} & own, (method, template)


def test_reading_is_modelled_apart_from_writing():
    assert modelled("GET", "/cluster/resources")
    assert not modelled("PUT", "/cluster/resources")
    assert not modelled("POST", "/cluster/backup")


def test_the_journal_proves_what_was_written(site, root, server):
    before = site.pve.journal.counters()
    server.config.get()
    root.cluster.resources.get()
    assert site.pve.journal.counters()["writes"] == before["writes"]
    server.config.put(description="hello")
    after = site.pve.journal.since(before["sequence"], writes=True)
    assert [(e["method"], e["path"], e["status"], e["user"]) for e in after] == [
        ("PUT", "/api2/json/nodes/pve-par-1/qemu/100/config", 200, "root@pam"),
    ]
    with pytest.raises(ResourceException):
        server.config.put(scsi1="nowhere:8")
    assert site.pve.journal.since(after[-1]["sequence"], writes=True)[0]["status"] == 500


def test_the_journal_holds_no_password(site):
    site.client()
    login = next(e for e in site.pve.journal.since() if e["kind"] == "login")
    assert "root-secret" not in str(login)
    assert "password=***" in login["body"]
