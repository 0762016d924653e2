# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network: one bridge per instance, addresses of simulated servers on it, a namespace per real one.

Nothing is routed and nothing is translated: the servers reach the bridge's own address and each other, no further.
VLAN tags are kept in the configuration and do not separate traffic here.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.guests import GuestSpec
    from lab.settings import Instance

__all__ = ["Network", "NetworkError", "check_port_free", "require_root", "who_listens"]

TCP_LISTEN = "0A"


class NetworkError(Exception):
    """The network cannot be set up; the message says what is in the way and what to do."""


def require_root() -> None:
    """Raise NetworkError unless this process may change the machine's network."""
    if os.geteuid() != 0:
        raise NetworkError("the lab needs root to make its bridge and containers: run it as root or with sudo")


def ip(*arguments: str, check: bool = True) -> str:
    """Run iproute2's ``ip``; raises NetworkError with its message, and says when it is not installed."""
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        raise NetworkError("the command 'ip' is missing: apt-get install iproute2") from None
    if check and done.returncode != 0:
        raise NetworkError(f"ip {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def ip_json(*arguments: str) -> list[dict[str, Any]]:
    """The objects ``ip -json`` prints."""
    found: list[dict[str, Any]] = json.loads(ip("-json", *arguments) or "[]")
    return [item for item in found if item]


def who_listens(host: str, port: int) -> str | None:
    """The process that listens on this TCP port (``nginx, process 812``), or None when the port is free."""
    address = ipaddress.IPv4Address(host)
    local = {f"{int.from_bytes(address.packed, 'little'):08X}:{port:04X}", f"00000000:{port:04X}"}
    inodes = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == TCP_LISTEN and fields[1] in local:
            inodes.add(fields[9])
    for line in Path("/proc/net/tcp6").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == TCP_LISTEN and fields[1] == f"{'0' * 32}:{port:04X}":
            inodes.add(fields[9])
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(str(entry.readlink()) in wanted for entry in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text(encoding='utf-8').strip()}, process {process.name}"
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return "another process"


def check_port_free(host: str, port: int, purpose: str) -> None:
    """Raise NetworkError naming the process that holds the port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        holder = who_listens(host, port) or error.strerror
        raise NetworkError(
            f"{host}:{port}, which {purpose} needs, is taken by {holder}: stop it, or choose another --instance",
        ) from None


class Network:
    """The network of one instance.

    Windows servers' addresses are put on the bridge itself, since the lab's process answers for them; a Linux server
    gets a network namespace joined to the bridge by a pair of virtual cards.
    """

    def __init__(self, instance: Instance) -> None:
        """Describe the instance's network; :meth:`up` makes it."""
        self.instance = instance
        self.bridge = instance.bridge
        self._owners: dict[str, str] = {}
        self._joined: dict[int, set[str]] = {}

    # ------------------------------------------------------------- whole

    def up(self) -> list[str]:
        """Make the bridge, after cleaning what an earlier lab of this number left. Returns what was cleaned."""
        require_root()
        cleaned = self._clean()
        self._check_overlap()
        if not self._link():
            ip("link", "add", "name", self.bridge, "type", "bridge")
        address = f"{self.instance.bridge_address}/{self.instance.subnet.prefixlen}"
        ip("address", "replace", address, "dev", self.bridge)
        # A bridge without an address of its own takes the lowest of its cards', another one as servers come and go.
        ip("link", "set", self.bridge, "address", self._mac, "up")
        return cleaned

    def down(self) -> None:
        """Remove every namespace, card, address and the bridge; harmless when nothing is left."""
        self._clean()
        if self._link():
            ip("link", "delete", self.bridge)
        self._owners.clear()

    def leftovers(self) -> list[str]:
        """What of this instance exists on the machine: bridge, namespaces, addresses."""
        found = [f"network namespace {name}" for name in self._namespaces()]
        if self._link():
            found.append(f"bridge {self.bridge}")
        return found

    def _clean(self) -> list[str]:
        """Remove everything but the bridge and its own address; says what there was."""
        cleaned = []
        for name in self._namespaces():
            ip("netns", "delete", name)
            cleaned.append(f"network namespace {name}")
        for link in ip_json("link", "show"):
            if str(link.get("ifname", "")).startswith(self._card_prefix):
                ip("link", "delete", link["ifname"], check=False)  # its namespace may take it along first
                cleaned.append(f"card {link['ifname']}")
        own = f"{self.instance.bridge_address}/{self.instance.subnet.prefixlen}"
        for address in self._addresses():
            if address != own:
                ip("address", "delete", address, "dev", self.bridge)
                cleaned.append(f"address {address}")
        self._owners.clear()
        self._joined.clear()
        return cleaned

    def _check_overlap(self) -> None:
        for link in ip_json("-4", "address", "show"):
            if link.get("ifname") == self.bridge:
                continue
            for item in link.get("addr_info", []):
                if ipaddress.ip_address(item["local"]) in self.instance.subnet:
                    raise NetworkError(
                        f"{link['ifname']} already has {item['local']}, inside the lab's {self.instance.subnet}: "
                        "choose another --number",
                    )

    @property
    def _mac(self) -> str:
        """The bridge's hardware address: locally administered (IEEE 802, bit 1 of the first octet), then its IPv4."""
        return ":".join(f"{octet:02x}" for octet in (2, 0, *ipaddress.ip_address(self.instance.bridge_address).packed))

    @property
    def _card_prefix(self) -> str:
        return f"il{self.instance.number}v"

    @property
    def _namespace_prefix(self) -> str:
        return f"{self.bridge}-"

    def _namespaces(self) -> list[str]:
        return [item["name"] for item in ip_json("netns", "list") if item["name"].startswith(self._namespace_prefix)]

    def _link(self) -> bool:
        return any(link.get("ifname") == self.bridge for link in ip_json("link", "show", "type", "bridge"))

    def _addresses(self) -> list[str]:
        if not self._link():
            return []
        return [
            f"{item['local']}/{item['prefixlen']}"
            for link in ip_json("-4", "address", "show", "dev", self.bridge)
            for item in link.get("addr_info", [])
        ]

    # ----------------------------------------------------- simulated servers

    def check_address(self, address: str, owner: str) -> None:
        """Raise NetworkError when a server may not have this address: outside the lab, or another's."""
        if ipaddress.ip_address(address) not in self.instance.subnet:
            raise NetworkError(f"{owner}: address {address} is outside the lab's network {self.instance.subnet}")
        holder = self._owners.get(address, owner)
        if holder != owner or address == self.instance.bridge_address:
            who = "the lab itself" if address == self.instance.bridge_address else f"server {holder}"
            raise NetworkError(f"{owner}: address {address} is already taken by {who}")

    def add_address(self, address: str, owner: str) -> None:
        """Put a simulated server's address on the bridge; repeating it is harmless."""
        self.check_address(address, owner)
        ip("address", "replace", f"{address}/32", "dev", self.bridge)
        self._owners[address] = owner

    def remove_address(self, address: str) -> None:
        """Take a server's address off the bridge; harmless when it is not there."""
        self._owners.pop(address, None)
        if f"{address}/32" in self._addresses():
            ip("address", "delete", f"{address}/32", "dev", self.bridge)

    # ---------------------------------------------------------- real servers

    def namespace(self, vmid: int) -> str:
        """Name of the network namespace of a server."""
        return f"{self._namespace_prefix}{vmid}"

    def namespace_path(self, vmid: int) -> Path:
        """Where podman finds the namespace (``--network ns:PATH``)."""
        return Path("/run/netns") / self.namespace(vmid)

    def join(self, spec: GuestSpec) -> Path:
        """A fresh namespace for this server, its cards (``eth0``...) on the bridge with their addresses and gateway.

        Returns:
            The namespace's path, for podman.

        Raises:
            NetworkError: an address lies outside the lab or belongs to another server.
        """
        for nic in spec.nics:
            if nic.ip:
                self.check_address(nic.ip, spec.name)
        self.leave(spec.vmid)
        name = self.namespace(spec.vmid)
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        for index, nic in enumerate(spec.nics):
            outer, inner = f"{self._card_prefix}{spec.vmid}n{index}", f"eth{index}"
            ip("link", "add", outer, "type", "veth", "peer", "name", inner, "address", nic.mac.lower(), "netns", name)
            ip("link", "set", outer, "master", self.bridge, "up")
            ip("-n", name, "link", "set", inner, "up")
            if nic.address:
                # With its broadcast address: networkd 252 puts one on, the kernel changes none of an address that is
                # there, and networkd tries again until it runs out of replies.
                ip("-n", name, "address", "add", nic.address, "broadcast", "+", "dev", inner)
                self._owners[str(nic.ip)] = spec.name
                self._joined.setdefault(spec.vmid, set()).add(str(nic.ip))
            if nic.gateway:
                self._serve_gateway(nic.gateway)
                ip("-n", name, "route", "replace", "default", "via", nic.gateway, "dev", inner)
        return self.namespace_path(spec.vmid)

    def _serve_gateway(self, gateway: str) -> None:
        """Answer for a subnet's gateway, so that its servers reach the lab's own services."""
        if ipaddress.ip_address(gateway) not in self.instance.subnet:
            raise NetworkError(f"gateway {gateway} is outside the lab's network {self.instance.subnet}")
        if gateway != self.instance.bridge_address and gateway not in self._owners:
            ip("address", "replace", f"{gateway}/32", "dev", self.bridge)
            self._owners[gateway] = "gateway"

    def leave(self, vmid: int) -> None:
        """Remove a server's namespace and cards; harmless when there is none."""
        for address in self._joined.pop(vmid, set()):
            self._owners.pop(address, None)
        name = self.namespace(vmid)
        if name in self._namespaces():
            ip("netns", "delete", name)
        for link in ip_json("link", "show", "type", "veth"):
            if str(link.get("ifname", "")).startswith(f"{self._card_prefix}{vmid}n"):
                ip("link", "delete", link["ifname"], check=False)  # it goes with its namespace, a little later

    def release(self, owner: str) -> None:
        """Forget which addresses a server has."""
        self._owners = {address: holder for address, holder in self._owners.items() if holder != owner}
