# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody declares about a server, before anything is read: validated without a network. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import labels
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")


@dataclass(frozen=True)
class DiskSpec:
    """A disk that a server shall have: at least `size_gib` GiB, on `storage` when it has to be added."""

    size_gib: int
    storage: str | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """An interface that a server shall have.

    Attributes:
        bridge: network that it is plugged into.
        vlan: VLAN number, or None for untagged.
        address: address with prefix length, `dhcp`, or None to leave it.
        gateway: default gateway, or None to leave it.
        model: emulated card of a new interface.
        mac: hardware address, or None to leave it.
    """

    bridge: str
    vlan: int | None = None
    address: str | None = None
    gateway: str | None = None
    model: str | None = None
    mac: str | None = None


@dataclass(frozen=True)
class ServerSpec:
    """What a server shall be. None, for any attribute, leaves it as it is.

    Attributes:
        name: its name, as DNS takes it.
        system: name of its operating system, which also chooses the template.
        template: template to create it from, when the system does not tell.
        cpus: virtual CPUs.
        memory_mib: memory in MiB.
        disks: disks, boot disk first.
        networks: interfaces in their order.
        functions: what it does for the estate.
        site: site that it is placed on.
        host: physical host that it is placed on.
        storage: storage for the disks of a new server.
        pool: resource pool of a new server.
        tags: labels that it carries besides those of its functions, site and system.
        protected: whether the engine refuses to delete it.
        description: free text.
        dns_servers: resolvers given at the first boot.
        dns_domain: search domain given at the first boot.
        admin_user: account created at the first boot.
        ssh_keys: public keys of that account.
        running: whether it runs.
        absent: whether it shall not exist.
        force: permission to delete it, and to cut its power when it does not shut down.
    """

    name: str
    system: str | None = None
    template: str | None = None
    cpus: int | None = None
    memory_mib: int | None = None
    disks: tuple[DiskSpec, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    functions: tuple[str, ...] | None = None
    site: str | None = None
    host: str | None = None
    storage: str | None = None
    pool: str | None = None
    tags: tuple[str, ...] = ()
    protected: bool | None = None
    description: str | None = None
    dns_servers: tuple[str, ...] | None = None
    dns_domain: str | None = None
    admin_user: str | None = None
    ssh_keys: tuple[str, ...] | None = None
    running: bool | None = None
    absent: bool = False
    force: bool = False


def _positive(name: str, what: str, value: float | None) -> None:
    if value is not None and value <= 0:
        raise InputError(f"server {name}: {what} must be more than zero, not {value:g}.")


def _network(name: str, number: int, options: Mapping[str, Any]) -> NetworkSpec:
    """Answer one declared interface.

    Raises:
        InputError: an address, a gateway or a VLAN is none.
    """
    where = f"server {name}: network {number}"
    address, gateway, vlan = options.get("address"), options.get("gateway"), options.get("vlan")
    if vlan is not None and not 1 <= vlan <= 4094:
        raise InputError(f"{where}: VLAN {vlan} is not between 1 and 4094.")
    if address and address != "dhcp":
        try:
            network = ipaddress.ip_interface(address).network
        except ValueError:
            raise InputError(
                f"{where}: {address!r} is no address with its prefix length, such as 192.0.2.11/24."
            ) from None
        if "/" not in address:
            raise InputError(f"{where}: {address!r} lacks its prefix length: write {address}/24 for example.")
        if gateway and gateway not in _addresses(where, gateway, network):
            raise InputError(f"{where}: the gateway {gateway} is not in the network {network} of the server.")
    elif gateway:
        raise InputError(f"{where}: a gateway without a fixed address is never used: give the address or drop it.")
    return NetworkSpec(
        bridge=options["bridge"],
        vlan=vlan,
        address=address or None,
        gateway=gateway or None,
        model=options.get("model"),
        mac=options.get("mac"),
    )


def _addresses(where: str, gateway: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[str, ...]:
    """Answer the gateway alone when the network holds it, nothing otherwise."""
    try:
        return (gateway,) if ipaddress.ip_address(gateway) in network else ()
    except ValueError:
        raise InputError(f"{where}: {gateway!r} is no address.") from None


def _tuple(value: list[Any] | None) -> tuple[Any, ...] | None:
    return None if value is None else tuple(value)


def from_options(options: Mapping[str, Any]) -> ServerSpec:
    """Answer the declared server from a module's options.

    Raises:
        InputError: a name, size, address or label is refused, with the reason.
    """
    name = options["name"]
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a server: use letters, digits and '-', as DNS takes them.")
    _positive(name, "cpus", options.get("cpus"))
    _positive(name, "memory_gib", options.get("memory_gib"))
    disks = tuple(DiskSpec(disk["size_gib"], disk.get("storage")) for disk in options.get("disks") or ())
    for number, disk in enumerate(disks, 1):
        _positive(name, f"the size of disk {number}", disk.size_gib)
    for tag in options.get("tags") or ():
        labels.check(tag)
        if tag.startswith(labels.FAMILIES):
            raise InputError(
                f"server {name}: the label {tag!r} belongs to functions, site or system: declare it there."
            )
    memory_gib = options.get("memory_gib")
    state = options.get("state", "present")
    return ServerSpec(
        name=name,
        system=options.get("system"),
        template=options.get("template"),
        cpus=options.get("cpus"),
        memory_mib=None if memory_gib is None else round(memory_gib * 1024),
        disks=disks,
        networks=tuple(
            _network(name, number, network) for number, network in enumerate(options.get("networks") or (), 1)
        ),
        functions=_tuple(options.get("functions")),
        site=options.get("site"),
        host=options.get("node"),
        storage=options.get("storage"),
        pool=options.get("pool"),
        tags=tuple(options.get("tags") or ()),
        protected=options.get("protected"),
        description=options.get("description") or None,
        dns_servers=_tuple(options.get("dns_servers")),
        dns_domain=options.get("dns_domain"),
        admin_user=options.get("admin_user"),
        ssh_keys=_tuple(options.get("ssh_keys")),
        running={"started": True, "stopped": False}.get(state),
        absent=state == "absent",
        force=bool(options.get("force")),
    )
