# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge comes and goes, addresses belong to one server, and what is in the way is named."""

from __future__ import annotations

import os
import socket

import pytest

from lab.daemon import hold
from lab.guests import GuestSpec, Nic
from lab.network import Network, NetworkError, check_port_free, ip, require_root, who_listens
from lab.testing import free_instance

root = pytest.mark.skipif(os.geteuid() != 0, reason="making a bridge needs root")


@pytest.fixture
def where(tmp_path):
    """An instance of which nothing exists, its number held for the test."""
    where = free_instance(tmp_path)
    with hold(where):
        yield where


@pytest.fixture
def network(where):
    network = Network(where)
    yield network
    if os.geteuid() == 0:
        network.down()


@pytest.fixture
def prefix(where):
    return f"10.{42 + where.number}"


@root
def test_up_and_down_as_often_as_one_likes(network, prefix):
    assert network.up() == []
    assert network.up() == []
    assert f"{prefix}.0.1/16" in ip("-4", "address", "show", "dev", network.bridge)
    network.down()
    network.down()
    assert network.leftovers() == []
    assert ip("link", "show", "dev", network.bridge, check=False) == ""


@root
def test_half_an_earlier_lab_is_cleaned_away(network, prefix, where):
    network.up()
    network.add_address(f"{prefix}.0.11", "dc01")
    network.join(spec(100, "web01", f"{prefix}.0.15/24"))
    later = Network(where)
    assert f"network namespace {network.namespace(100)}" in later.leftovers()
    cleaned = later.up()
    assert f"network namespace {network.namespace(100)}" in cleaned
    assert f"address {prefix}.0.11/32" in cleaned
    assert later.leftovers() == [f"bridge {network.bridge}"]


def spec(vmid, name, address, gateway=None):
    nic = Nic("net0", f"BC:24:11:00:00:{vmid % 256:02X}", "vmbr0", address=address, gateway=gateway)
    return GuestSpec(vmid, name, "ubuntu_2404", 1, 512, nics=(nic,))


@root
def test_a_joined_server_reaches_the_bridge_through_its_gateway(network, prefix):
    network.up()
    path = network.join(spec(100, "web01", f"{prefix}.4.15/24", f"{prefix}.4.1"))
    assert path.exists()
    answer = ip("netns", "exec", network.namespace(100), "ip", "route", "get", f"{prefix}.0.1")
    assert f"via {prefix}.4.1" in answer
    with socket.create_server((f"{prefix}.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = f"import socket; socket.create_connection(('{prefix}.0.1', {port}), 3).send(b'hello')"
        ip("netns", "exec", network.namespace(100), "python3", "-c", code)
        connection, peer = listener.accept()
        assert (connection.recv(5), peer[0]) == (b"hello", f"{prefix}.4.15")
        connection.close()
    network.leave(100)
    network.leave(100)
    assert not path.exists()
    network.add_address(f"{prefix}.4.15", "win01")


@root
def test_the_bridge_keeps_its_hardware_address_as_servers_come_and_go(network, prefix):
    """Else those that stay send to the former one until their neighbour tables forget it: half a minute of silence."""
    network.up()
    addresses = [bridge_mac(network)]
    for vmid in (100, 101):
        network.join(spec(vmid, f"web{vmid}", f"{prefix}.4.{vmid}/24", f"{prefix}.4.1"))
        addresses.append(bridge_mac(network))
    for vmid in (101, 100):
        network.leave(vmid)
        addresses.append(bridge_mac(network))
    assert len(set(addresses)) == 1


def bridge_mac(network):
    return ip("link", "show", "dev", network.bridge).split("link/ether ")[1].split()[0]


@root
def test_an_address_belongs_to_one_server(network, prefix):
    network.up()
    network.add_address(f"{prefix}.0.11", "dc01")
    network.add_address(f"{prefix}.0.11", "dc01")
    with pytest.raises(NetworkError, match=f"sql01: address {prefix}.0.11 is already taken by server dc01"):
        network.add_address(f"{prefix}.0.11", "sql01")
    with pytest.raises(NetworkError, match=r"web01: address .* is already taken by server dc01"):
        network.join(spec(100, "web01", f"{prefix}.0.11/24"))
    network.remove_address(f"{prefix}.0.11")
    network.remove_address(f"{prefix}.0.11")
    network.add_address(f"{prefix}.0.11", "sql01")


def test_addresses_of_elsewhere_are_refused(network, prefix):
    with pytest.raises(NetworkError, match="outside the lab's network"):
        network.check_address("192.0.2.7", "dc01")
    with pytest.raises(NetworkError, match="taken by the lab itself"):
        network.check_address(f"{prefix}.0.1", "dc01")


@root
def test_a_network_that_is_in_use_is_named(network, prefix):
    ip("link", "add", "ilabtest0", "type", "bridge")
    try:
        ip("address", "add", f"{prefix}.9.9/24", "dev", "ilabtest0")
        with pytest.raises(NetworkError, match=f"ilabtest0 already has {prefix}.9.9"):
            network.up()
    finally:
        ip("link", "delete", "ilabtest0")


def test_a_taken_port_is_named_with_its_process():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert who_listens("127.0.0.1", port).endswith(f"process {os.getpid()}")
        with pytest.raises(NetworkError, match=rf"which the API needs, is taken by .*process {os.getpid()}"):
            check_port_free("127.0.0.1", port, "the API")
    check_port_free("127.0.0.1", port, "the API")
    assert who_listens("127.0.0.1", port) is None


def test_without_root_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NetworkError, match="run it as root or with sudo"):
        require_root()


def test_without_iproute2_the_package_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NetworkError, match="apt-get install iproute2"):
        ip("link")
