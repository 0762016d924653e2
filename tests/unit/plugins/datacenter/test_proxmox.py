# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxmox VE's words both ways, its refusals, and the session under the client."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from fakepve.certs import make_cert
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import factory, facts
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import proxmox_reading as reading
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import proxmox_refusals as refusals
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import proxmox_session as session
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import proxmox_writing as writing
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    GIB,
    MIB,
    Nic,
    Power,
    Server,
    plain,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_transport import Transport
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    AuthenticationError,
    ConflictError,
    EngineError,
    InputError,
    LockedError,
    NotFoundError,
    PermissionMissingError,
    TaskError,
    UnreachableError,
)

if TYPE_CHECKING:
    from pathlib import Path

LIGHT = Server(id="100", name="x", power=Power.ON, host="h", cpus=1, memory_mib=512)


# Reading


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64G", 64 * GIB),
        ("528K", 528 * 1024),
        ("1.5T", 1536 * GIB),
        ("4M", 4 * MIB),
        ("1024", 1024),
        ("", None),
        (None, None),
        ("64 GB", None),
        ("-1G", None),
    ],
)
def test_sizes(text: str | None, size: int | None) -> None:
    assert reading.size_bytes(text) == size


@pytest.mark.parametrize(
    ("item", "power"),
    [
        ({"status": "running"}, Power.ON),
        ({"status": "stopped"}, Power.OFF),
        ({"status": "stopped", "lock": "suspended"}, Power.SUSPENDED),
        ({"status": "paused"}, Power.SUSPENDED),
        ({"status": "unknown"}, Power.UNKNOWN),
        ({}, Power.UNKNOWN),
    ],
)
def test_power(item: dict[str, Any], power: Power) -> None:
    assert reading.server({"vmid": 100, "node": "h", **item}, {}).power is power


def test_containers_are_left_out() -> None:
    items = [
        {"type": "qemu", "vmid": 100, "node": "h", "name": "x", "tags": "b;a"},
        {"type": "lxc", "vmid": 101, "node": "h", "name": "ct"},
        {"type": "node", "node": "h", "status": "online", "maxmem": 10, "mem": 4, "maxcpu": 8},
        {"type": "storage", "storage": "s", "node": "h", "shared": 1, "maxdisk": 100, "disk": 30},
        {"type": "storage", "storage": "t", "node": "h"},
        {"type": "sdn", "sdn": "zone", "node": "h"},
    ]
    found = reading.landscape(items, {"h": "paris"})
    assert [(s.name, s.tags, s.site) for s in found.servers] == [("x", ("a", "b"), "paris")]
    assert [(h.name, h.online, h.site, h.memory_free_bytes) for h in found.hosts] == [("h", True, "paris", 6)]
    assert [(s.name, s.shared, s.free_bytes) for s in found.storages] == [("s", True, 70), ("t", False, None)]


CONFIG: dict[str, Any] = {
    "agent": "enabled=1,fstrim_cloned_disks=1",
    "boot": "order=virtio1;net0",
    "cores": 2,
    "sockets": 2,
    "description": "two\nlines\n",
    "digest": "abc",
    "efidisk0": "local:100/vm-100-disk-9.raw,size=528K",
    "ide0": "none,media=cdrom",
    "ide2": "ceph:vm-100-cloudinit,media=cdrom",
    "ipconfig0": "gw=10.0.0.1,ip=10.0.0.2/24",
    "ipconfig1": "ip6=2001:db8::2/64,gw6=2001:db8::1",
    "memory": "current=4096",
    "net0": "virtio=bc:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=42",
    "net1": "model=e1000,macaddr=BC:24:11:00:00:02,bridge=vmbr1",
    "net10": "vmxnet3,bridge=vmbr2",
    "nameserver": "10.0.0.3 10.0.0.4",
    "ostype": "win11",
    "protection": 1,
    "scsi10": "ceph:vm-100-disk-3,size=10G",
    "scsi2": "ceph:vm-100-disk-2,backup=0,size=20G",
    "smbios1": "uuid=e4d61eed,base64=1",
    "sshkeys": "ssh-ed25519%20AAAA%20me%40x%0Assh-rsa%20BBBB",
    "tags": "system-s,a",
    "unused0": "ceph:vm-100-disk-7",
    "virtio1": "file=local:100/vm-100-disk-0.qcow2,size=64G",
}


def test_a_whole_configuration() -> None:
    found = reading.detailed(LIGHT, CONFIG, [{"key": "cores", "value": 2, "pending": 4}, {"key": "net1", "delete": 1}])
    assert [(d.key, d.storage, d.size_gib, d.backed_up) for d in found.disks] == [
        ("virtio1", "local", 64.0, True),
        ("scsi2", "ceph", 20.0, False),
        ("scsi10", "ceph", 10.0, True),
    ]
    assert found.disk_gib == 94.0
    assert found.storages == ("ceph", "local")
    assert [(n.key, n.mac, n.model, n.bridge, n.vlan, n.address, n.gateway) for n in found.nics] == [
        ("net0", "BC:24:11:00:00:01", "virtio", "vmbr0", 42, "10.0.0.2/24", "10.0.0.1"),
        ("net1", "BC:24:11:00:00:02", "e1000", "vmbr1", None, "2001:db8::2/64", "2001:db8::1"),
        ("net10", None, "vmxnet3", "vmbr2", None, None, None),
    ]
    assert (found.cpus, found.memory_mib, found.protected, found.description) == (4, 4096, True, "two\nlines")
    assert (found.dns_servers, found.ssh_keys) == (("10.0.0.3", "10.0.0.4"), ("ssh-ed25519 AAAA me@x", "ssh-rsa BBBB"))
    assert (found.tags, found.uuid, found.revision, found.os) == (("a", "system-s"), "e4d61eed", "abc", "win11")
    assert found.pending is not None
    assert found.pending["cpus"] == 8
    assert [nic.key for nic in found.pending["nics"]] == ["net0", "net10"]
    described = facts.describe(found)
    assert described["pending"]["cpus"] == 8
    assert [card["key"] for card in described["pending"]["networks"]] == ["net0", "net10"]
    assert "raw" not in plain(found)


def test_a_disk_without_size_leaves_the_sum_unknown() -> None:
    found = reading.detailed(LIGHT, {"scsi0": "s:1,size=1G", "scsi1": "/dev/sdb"})
    assert [disk.size_gib for disk in found.disks] == [1.0, None]
    assert found.disk_gib is None
    assert found.pending is None


def test_hot_plugged_processors_count() -> None:
    assert reading.cpus({"cores": 8, "vcpus": 3}) == 3
    assert reading.cpus({}) == 1
    assert reading.memory_mib({}) == 512


def test_agents_addresses_are_matched_by_card_and_noise_is_dropped() -> None:
    interfaces = [
        {"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [{"ip-address": "127.0.0.1"}]},
        {
            "name": "Ethernet",
            "hardware-address": "bc:24:11:00:00:01",
            "ip-addresses": [{"ip-address": "fe80::1"}, {"ip-address": "10.9.9.9"}, {"ip-address": "2001:db8::9"}],
        },
        {"name": "docker0", "hardware-address": "02:42:00:00:00:00", "ip-addresses": [{"ip-address": "172.17.0.1"}]},
        {"name": "down"},
    ]
    known = reading.with_addresses(reading.detailed(LIGHT, {"net0": "virtio=BC:24:11:00:00:01,bridge=b"}), interfaces)
    assert [nic.addresses for nic in known.nics] == [("10.9.9.9", "2001:db8::9")]
    assert facts.address(known) == "10.9.9.9"
    bare = reading.with_addresses(LIGHT, interfaces)
    assert [(nic.key, nic.addresses) for nic in bare.nics] == [
        ("Ethernet", ("10.9.9.9", "2001:db8::9")),
        ("docker0", ("172.17.0.1",)),
    ]


@pytest.mark.parametrize(
    ("nic", "address"),
    [
        (Nic("net0", None, "v", "b", address="10.0.0.2/24", addresses=("10.9.9.9",)), "10.0.0.2"),
        (Nic("net0", None, "v", "b", address="dhcp", addresses=("2001:db8::9", "10.9.9.9")), "10.9.9.9"),
        (Nic("net0", None, "v", "b", addresses=("2001:db8::9",)), "2001:db8::9"),
        (Nic("net0", None, "v", "b"), None),
    ],
)
def test_the_address_to_reach_a_server_at(nic: Nic, address: str | None) -> None:
    assert facts.address(replace(LIGHT, nics=(nic,))) == address


def test_snapshots_are_in_order_and_the_present_is_none() -> None:
    found = reading.snapshots(
        [
            {"name": "current", "running": 1},
            {"name": "b", "snaptime": 20, "parent": "a", "vmstate": 1},
            {"name": "a", "snaptime": 10, "description": "first\n", "snapstate": "prepare"},
        ]
    )
    assert [(s.name, s.parent, s.with_memory, s.description, s.unfinished) for s in found] == [
        ("a", None, False, "first", "prepare"),
        ("b", "a", True, "", None),
    ]


# Writing, and both ways


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
words = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@given(
    cpus=st.integers(1, 64),
    memory=st.integers(1, 4096),
    protected=st.booleans(),
    tags=st.lists(words, unique=True, min_size=1, max_size=4).map(sorted),
    servers=st.lists(words, min_size=1, max_size=3),
    keys=st.lists(texts.map(str.strip).filter(bool), min_size=1, max_size=3),
    description=texts.filter(bool),
)
def test_what_is_written_is_read_back(**wanted: Any) -> None:
    settings = {
        "cpus": wanted["cpus"],
        "memory_gib": wanted["memory"] / 4,
        "protected": wanted["protected"],
        "tags": wanted["tags"],
        "dns_servers": wanted["servers"],
        "ssh_keys": wanted["keys"],
        "description": wanted["description"],
    }
    known = reading.detailed(LIGHT, {"sockets": 2, "cores": 3, "vcpus": 5})
    written = writing.settings(known, settings)
    assert written.pop("delete") == "vcpus"
    found = reading.detailed(LIGHT, written)
    assert found.cpus == settings["cpus"]
    assert found.memory_gib == settings["memory_gib"]
    assert found.protected is settings["protected"]
    assert list(found.tags) == settings["tags"]
    assert list(found.dns_servers) == settings["dns_servers"]
    assert list(found.ssh_keys) == settings["ssh_keys"]
    assert found.description == settings["description"]


cards = st.fixed_dictionaries(
    {
        "bridge": st.sampled_from(["vmbr0", "vmbr1"]),
        "vlan": st.none() | st.integers(1, 4094),
        "address": st.none() | st.sampled_from(["10.0.0.2/24", "dhcp", "2001:db8::2/64"]),
        "gateway": st.none(),
        "model": st.sampled_from(["virtio", "e1000"]),
    },
    optional={"mac": st.just("BC:24:11:00:00:09")},
)


@given(st.lists(cards, min_size=1, max_size=4))
def test_interfaces_are_read_back_and_written_once(networks: list[dict[str, Any]]) -> None:
    start = {key: value for key, value in CONFIG.items() if key.startswith(("net", "ipconfig"))}
    del start["net10"]
    known = reading.detailed(LIGHT, start)
    written = writing.settings(known, {"networks": networks})
    after = {**start, **written}
    for key in filter(None, str(after.pop("delete", "")).split(",")):
        after.pop(key)
    found = reading.detailed(LIGHT, after)
    for network, nic in zip(networks, found.nics, strict=False):
        assert (nic.bridge, nic.vlan, nic.address, nic.model) == (
            network["bridge"],
            network["vlan"],
            network["address"],
            network["model"],
        )
        assert nic.mac == network.get("mac", nic.mac)
    assert reading.properties(str(found.raw["net0"]))[1]["firewall"] == "1"
    assert writing.settings(found, {"networks": networks}) == {}


@given(st.sets(st.integers(0, 30), min_size=1))
def test_the_next_disk_takes_the_first_free_slot(taken: set[int]) -> None:
    known = reading.detailed(LIGHT, {f"scsi{number}": f"s:{number},size=1G" for number in taken})
    key = writing.next_disk_key(known)
    free = [number for number in range(31) if number not in taken]
    assert key == (f"scsi{free[0]}" if free else "virtio0")


def test_no_slot_left() -> None:
    full = {f"{bus}{number}": f"s:{number},size=1G" for bus, slots in writing._SLOTS.items() for number in range(slots)}
    with pytest.raises(InputError, match="has no free disk slot"):
        writing.next_disk_key(reading.detailed(LIGHT, full))


def test_a_further_disk_behaves_like_the_boot_disk() -> None:
    known = reading.detailed(LIGHT, {"scsi0": "s:0,cache=none,discard=on,iothread=1,size=1G,ssd=1"})
    assert writing.new_disk(known, 7, "t") == "t:7,discard=on,iothread=1,ssd=1"
    assert writing.new_disk(LIGHT, 7, "t") == "t:7"


# Refusals


@pytest.mark.parametrize(
    ("status", "message", "fields", "kind", "sentence"),
    [
        (401, "authentication failure", None, AuthenticationError, "refuses the credentials (authentication failure)"),
        (
            403,
            "Permission check failed (/vms/100, VM.PowerMgmt)",
            None,
            PermissionMissingError,
            "the privilege VM.PowerMgmt is missing on /vms/100",
        ),
        (
            403,
            "Permission check failed (/vms/100, VM.Monitor|VM.GuestAgent.Audit)",
            None,
            PermissionMissingError,
            "the privilege VM.Monitor or VM.GuestAgent.Audit is missing",
        ),
        (403, "Permission check failed (, Sys.Audit)", None, PermissionMissingError, "Sys.Audit is missing. Add it"),
        (403, "only root can set 'hookscript' config", None, PermissionMissingError, "only root@pam may do this"),
        (403, "Permission check failed (user != root@pam)", None, PermissionMissingError, "only root@pam may do this"),
        (403, "Permission check failed", None, PermissionMissingError, "Proxmox VE refuses this to the token"),
        (595, "No route to host", None, UnreachableError, "the host does not answer (595 No route to host)"),
        (503, "", None, UnreachableError, "the host does not answer (503 no reason given)"),
        (
            400,
            "Parameter verification failed.",
            {"b": "bad\n", "a": "worse"},
            EngineError,
            "Proxmox VE refused parameters: a: worse; b: bad",
        ),
        (400, "odd", {}, EngineError, "Proxmox VE answered: odd"),
        (500, "VM is locked (backup)", None, LockedError, "the server is locked by 'backup'"),
        (
            500,
            "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
            None,
            LockedError,
            "another operation holds the server's configuration",
        ),
        (500, "checksum mismatch (file change by other user?)", None, ConflictError, "was changed by somebody else"),
        (
            500,
            "detected modified configuration - file changed by other user? Try again.",
            None,
            ConflictError,
            "nothing",
        ),
        (500, "unable to create VM 101: config file already exists", None, refusals.IdTakenError, "already exists"),
        (
            500,
            "Configuration file 'nodes/h/qemu-server/100.conf' does not exist",
            None,
            NotFoundError,
            "not there any more",
        ),
        (500, "cluster not ready - no quorum?", None, EngineError, "has lost its quorum and takes no change"),
        (500, "boom", None, EngineError, "Proxmox VE answered: boom"),
    ],
)
def test_refusals(status: int, message: str, fields: Any, kind: type[Exception], sentence: str) -> None:
    found = refusals.refusal("https://pve:8006", "doing it", status, message, fields)
    assert found.__class__ is kind
    assert str(found).startswith("doing it: ")
    assert sentence in str(found)


# The transport and the session


class Client:
    """Answers calls from a list, and remembers them."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str]] = []

    def __call__(self, path: str) -> Any:
        client = self

        class Resource:
            def __getattr__(self, method: str) -> Any:
                def call(**_parameters: Any) -> Any:
                    client.calls.append((method, path))
                    answer = client.answers.pop(0)
                    if isinstance(answer, Exception):
                        raise answer
                    return answer

                return call

        return Resource()


def transport(*answers: Any, **more: Any) -> tuple[Transport, Client, list[float]]:
    client, naps = Client(*answers), []
    now = [0.0]

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    return Transport(client, "https://pve:8006", sleep=sleep, clock=lambda: now[0], **more), client, naps


LOST = ConnectionResetError("Connection reset by peer")


def test_a_reading_is_repeated_twice_and_a_write_never() -> None:
    api, client, naps = transport(LOST, LOST, "ok")
    assert api.get("x", "reading x") == "ok"
    assert (len(client.calls), naps) == (3, [0.3, 1.0])
    api, client, naps = transport(LOST, LOST, LOST)
    with pytest.raises(UnreachableError, match="Connection reset by peer"):
        api.get("x", "reading x")
    api, client, naps = transport(LOST, "ok")
    with pytest.raises(UnreachableError, match="a run that was cut continues where it was when it is run again"):
        api.write("post", "x", "writing x")
    assert (len(client.calls), naps) == (1, [])
    api, client, naps = transport(LOST, "ok")
    with pytest.raises(UnreachableError):
        api.get("x", "reading x", retry=False)


def test_an_error_that_is_not_the_engines_is_not_dressed_up() -> None:
    api, _client, _naps = transport(ZeroDivisionError("a defect of ours"))
    with pytest.raises(ZeroDivisionError):
        api.get("x", "reading x")


UPID = "UPID:h:000003E8:00001B58:6B0460E7:qmclone:900:root@pam:"


def test_a_task_is_waited_for_on_its_host() -> None:
    api, client, naps = transport(
        UPID, {"status": "running"}, {"status": "running"}, {"status": "stopped", "exitstatus": "OK"}
    )
    api.task("post", "clone", "copying")
    assert client.calls[1:] == [("get", f"nodes/h/tasks/{UPID}/status")] * 3
    assert naps == pytest.approx([0.05, 0.075])


def test_a_task_with_warnings_has_succeeded() -> None:
    transport(UPID, {"status": "stopped", "exitstatus": "WARNINGS: 2"})[0].task("post", "clone", "copying")


def test_a_task_that_never_ends_is_left_alone() -> None:
    api, _client, naps = transport(UPID, *[{"status": "running"}] * 100, task_timeout=30)
    with pytest.raises(TaskError, match=r"copying: the task still runs after 3\d s\. It goes on: see UPID"):
        api.task("post", "clone", "copying")
    assert max(naps) == 2.0


def test_a_task_without_a_status_has_not_succeeded() -> None:
    with pytest.raises(TaskError, match="the task ended in an error: unknown"):
        transport(UPID, {"status": "stopped"})[0].task("post", "clone", "copying")


def test_a_task_locked_out_is_a_lock() -> None:
    with pytest.raises(LockedError, match="locked by 'backup'"):
        transport(UPID, {"status": "stopped", "exitstatus": "VM is locked (backup)"})[0].task(
            "post", "start", "starting"
        )


def test_an_answer_that_is_no_task_is_not_waited_for() -> None:
    api, client, _naps = transport(None)
    api.task("put", "config", "configuring")
    assert len(client.calls) == 1


def test_credentials_of_a_user_that_needs_a_second_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    http = session.Session(
        "https://pve:8006", session.context(verify=False, ca_file=None), timeout=1, connections=1, login=("u@pam", "p")
    )
    answer = session.Answer(200, "OK", b'{"data": {"ticket": "t", "CSRFPreventionToken": "c", "NeedTFA": 1}}')
    monkeypatch.setattr(http, "_send", lambda *_arguments: answer)
    with pytest.raises(AuthenticationError, match="asks u@pam for a second factor: use an API token instead"):
        http.request("GET", "https://pve:8006/api2/json/version")


def test_the_environments_proxy_is_used_unless_it_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    trust = session.context(verify=False, ca_file=None)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,inside.example")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    outside = session.Session("https://pve.example:8006", trust, timeout=1, connections=1)
    inside = session.Session("https://inside.example:8006", trust, timeout=1, connections=1)
    assert outside._pool.proxy is not None
    assert outside._pool.proxy.host == "proxy"
    assert inside._pool.proxy is None


def test_a_file_that_is_no_certificate(tmp_path: Any) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nonsense", encoding="utf-8")
    with pytest.raises(InputError, match="holds no certificate in PEM format"):
        factory.trust({"ca_file": str(file)})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://pve", "https://pve:8006"),
        ("https://pve:443/proxmox/", "https://pve:443/proxmox"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:8006"),
    ],
)
def test_addresses_of_the_api(url: str, expected: str) -> None:
    assert factory.endpoint(url) == expected


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "HAS_PROXMOXER", False)
    with pytest.raises(InputError, match="pip install proxmoxer urllib3"):
        factory.datacenter({"url": "https://pve"})


class Elsewhere(BaseHTTPRequestHandler):
    """A web server that is no API."""

    def do_GET(self) -> None:
        redirect = self.path.startswith("/moved")
        self.send_response(302 if redirect else 200)
        if redirect:
            self.send_header("Location", "https://elsewhere/")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("", "What answers at 'url' is not Proxmox VE's API: check the host and the port."),
        ("/moved", "redirects to https://elsewhere/: give the API's own address as 'url'."),
    ],
)
def test_something_else_that_answers(tmp_path: Path, path: str, sentence: str) -> None:
    certificate, key, _names = make_cert(str(tmp_path), hosts=("127.0.0.1",))
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"https://127.0.0.1:{server.server_port}{path}"
        options = {"url": url, "token_id": "u@pam!t", "token_secret": "s", "ca_file": certificate}
        with pytest.raises(EngineError) as refused:
            factory.datacenter(options).about()
        assert sentence in str(refused.value)
    finally:
        server.shutdown()
        server.server_close()


def test_the_reason_of_a_network_error_is_the_one_that_tells_something() -> None:
    options = {"token_id": "u@pam!t", "token_secret": "s", "timeout": 1}
    with pytest.raises(
        UnreachableError, match=r"no answer from https://nowhere\.invalid:8006 \(.*nowhere\.invalid.*resolve"
    ):
        factory.datacenter({**options, "url": "https://nowhere.invalid"}).about()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"no answer from .* \(.*timed out"):
            factory.datacenter({**options, "url": url}).about()


def test_a_proxys_page_instead_of_an_answer() -> None:
    assert factory._Json.loads_errors(session.Answer(502, "Bad Gateway", b"<html>")) is None
    assert session.Answer(502, "Bad Gateway", b"<html>\xff").text == "<html>\ufffd"
