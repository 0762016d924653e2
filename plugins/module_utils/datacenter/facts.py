# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server as modules and the inventory show it: one shape everywhere, whatever the engine. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.contract import floor as contract
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import labels
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import GIB, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.contract.floor import Floor
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Disk, Nic, Server


def conformity(described: Mapping[str, Any], floors: Sequence[Floor]) -> dict[str, Any]:
    """Answer whether a described server has what the contract asks.

    Without details only the boot disk is known: it proves conformity when it alone is large enough, nothing otherwise.
    """
    functions, disk_gib = described["functions"], described["disk_gib"]
    needed = contract.required(floors, functions)
    if disk_gib is None and needed is not None and described["root_disk_gib"] >= needed.disk_gib:
        disk_gib = described["root_disk_gib"]
    size = contract.Size(described["cpus"], described["memory_gib"], disk_gib)
    return contract.judge(floors, functions, size).as_dict()


# The keys of a described server that need more than the bulk reading.
DETAILS = frozenset(
    {
        "address",
        "description",
        "disk_gib",
        "disks",
        "networks",
        "os",
        "pending",
        "protected",
        "reboot_required",
        "uuid",
    }
)


def describe(server: Server) -> dict[str, Any]:
    """Answer a server as plain data; what needs details is None when they were not read."""
    usage = server.usage
    memory = server.memory_mib * 1024**2
    detailed = server.detailed
    return {
        "id": server.id,
        "name": server.name,
        "power": str(server.power),
        "node": server.host,
        "site": server.site or labels.value(server.tags, labels.SITE),
        "pool": server.pool,
        "system": labels.value(server.tags, labels.SYSTEM),
        "functions": labels.values(server.tags, labels.FUNCTION),
        "tags": labels.free(server.tags),
        "template": server.template,
        "cpus": server.cpus or None,
        "memory_gib": server.memory_gib or None,
        "disk_gib": server.disk_gib,
        "root_disk_gib": round(server.root_disk_bytes / GIB, 3),
        "lock": server.lock,
        "ha": server.ha,
        "uptime_seconds": server.uptime_seconds,
        "usage": {
            "cpu_percent": usage.cpu_percent,
            "memory_gib": round(usage.memory_bytes / GIB, 3),
            "memory_percent": round(100 * usage.memory_bytes / memory, 1) if memory else 0.0,
            "disk_read_bytes": usage.disk_read_bytes,
            "disk_write_bytes": usage.disk_write_bytes,
            "network_in_bytes": usage.network_in_bytes,
            "network_out_bytes": usage.network_out_bytes,
        },
        "os": server.os,
        "address": address(server),
        "disks": [_disk(disk) for disk in server.disks] if detailed else None,
        "networks": [_network(nic) for nic in server.nics] if detailed or server.nics else None,
        "uuid": server.uuid,
        "protected": server.protected,
        "description": server.description,
        "reboot_required": None if server.pending is None else bool(server.pending),
        "pending": None
        if server.pending is None
        else {_NAMES.get(name, name): _pending(name, value) for name, value in server.pending.items()},
    }


_NAMES = {"memory_mib": "memory_gib", "nics": "networks"}


def _pending(name: str, value: Any) -> Any:
    if name == "memory_mib":
        return value / 1024
    if name == "disks":
        return [_disk(disk) for disk in value]
    if name == "nics":
        return [_network(nic) for nic in value]
    return plain(value)


def _disk(disk: Disk) -> dict[str, Any]:
    return {
        "key": disk.key,
        "storage": disk.storage,
        "volume": disk.volume,
        "size_gib": disk.size_gib,
        "backed_up": disk.backed_up,
    }


def _network(nic: Nic) -> dict[str, Any]:
    return {
        "key": nic.key,
        "mac": nic.mac,
        "model": nic.model,
        "bridge": nic.bridge,
        "vlan": nic.vlan,
        "address": nic.address,
        "gateway": nic.gateway,
        "addresses": list(nic.addresses),
    }


def address(server: Server) -> str | None:
    """Answer the address to reach a server at: the one it was given, else the first IPv4 that its agent reports."""
    for nic in server.nics:
        if nic.address and nic.address not in {"dhcp", "auto"}:
            return nic.address.partition("/")[0]
    reported = [entry for nic in server.nics for entry in nic.addresses]
    return next((entry for entry in reported if ":" not in entry), reported[0] if reported else None)
