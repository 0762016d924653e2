# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From declared settings to Proxmox VE's parameters. Pure: no call is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_reading import (
    CARD_OPTIONS,
    DRIVE,
    card,
    properties,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Server

# How many drives each bus takes.
_SLOTS = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16}
# Options of the boot disk that a further disk of the same server takes over.
_DRIVE_OPTIONS = ("discard", "iothread", "ssd")


def next_disk_key(known: Server) -> str:
    """Answer the first free slot on the bus of the boot disk, or on SCSI."""
    boot = DRIVE.fullmatch(known.disks[0].key) if known.disks else None
    bus = boot.group(1) if boot else "scsi"
    taken = {disk.key for disk in known.disks} | set(known.raw)
    for candidate in (bus, "scsi", "virtio", "sata"):
        for number in range(_SLOTS[candidate]):
            if f"{candidate}{number}" not in taken:
                return f"{candidate}{number}"
    raise InputError(f"{known.label} has no free disk slot: grow one of its disks instead.")


def new_disk(known: Server, size_gib: int, storage: str) -> str:
    """Answer the drive value that allocates a disk, with the boot disk's behaviour."""
    options = {}
    if known.disks:
        options = properties(str(known.raw.get(known.disks[0].key, "")))[1]
    kept = [f"{name}={options[name]}" for name in _DRIVE_OPTIONS if name in options]
    return ",".join([f"{storage}:{size_gib}", *kept])


# Attribute of a server, parameter of Proxmox, and how the value is written. An empty text deletes the parameter.
_TEXTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "tags": ("tags", ";".join),
    "description": ("description", str),
    "dns_servers": ("nameserver", " ".join),
    "dns_domain": ("searchdomain", str),
    "admin_user": ("ciuser", str),
    "ssh_keys": ("sshkeys", lambda keys: quote("\n".join(keys), safe="")),
}


def settings(known: Server, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the parameters of `PUT .../config` for settings named as the attributes of `Server`."""
    raw, deleted = known.raw, list[str]()
    values: dict[str, Any] = {}
    for name, value in wanted.items():
        if name == "cpus":
            values["cores"] = value
            if int(raw.get("sockets", 1)) != 1:
                values["sockets"] = 1
            if "vcpus" in raw:
                deleted.append("vcpus")
        elif name == "memory_gib":
            values["memory"] = round(value * 1024)
        elif name == "protected":
            values["protection"] = int(value)
        elif name == "networks":
            for number, network in enumerate(value):
                _network(known, number, network, values, deleted)
        else:
            key, write = _TEXTS[name]
            text = write(value)
            if text:
                values[key] = text
            else:
                deleted.append(key)
    if deleted:
        values["delete"] = ",".join(sorted(deleted))
    return values


def _network(
    known: Server, number: int, network: Mapping[str, Any], values: dict[str, Any], deleted: list[str]
) -> None:
    """Add the parameters of one interface: other options of an existing card stay as they are."""
    key = known.nics[number].key if number < len(known.nics) else _free_card(known, values)
    first, named = properties(str(known.raw.get(key, "")))
    model, mac = card(first, named)
    options = {name: value for name, value in named.items() if name in CARD_OPTIONS - {"macaddr", "model", "tag"}}
    options["bridge"] = network["bridge"]
    if network["vlan"] is not None:
        options["tag"] = str(network["vlan"])
    model, mac = network["model"] or model, network.get("mac") or mac
    head = f"{model}={mac}" if mac else model
    text = ",".join([head, *(f"{name}={options[name]}" for name in sorted(options))])
    if _order_free(text) != _order_free(str(known.raw.get(key, ""))):
        values[key] = text
    slot = f"ipconfig{key.removeprefix('net')}"
    six = ":" in str(network["address"] or "")
    address = [f"{'ip6' if six else 'ip'}={network['address']}"] if network["address"] else []
    if network["gateway"]:
        address.append(f"{'gw6' if six else 'gw'}={network['gateway']}")
    if address and _order_free(",".join(address)) != _order_free(str(known.raw.get(slot, ""))):
        values[slot] = ",".join(address)
    elif not address and slot in known.raw:
        deleted.append(slot)


def _free_card(known: Server, values: Mapping[str, Any]) -> str:
    return next(f"net{number}" for number in range(32) if f"net{number}" not in {**known.raw, **values})


def _order_free(text: str) -> frozenset[str]:
    return frozenset(text.split(","))
