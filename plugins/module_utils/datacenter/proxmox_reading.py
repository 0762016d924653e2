# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Proxmox VE's answers to value objects. Pure: no call is made here."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    GIB,
    MIB,
    Disk,
    Host,
    Landscape,
    Nic,
    Power,
    Server,
    Snapshot,
    Storage,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DRIVE = re.compile(r"(ide|sata|scsi|virtio)(\d+)")
_FIRMWARE = re.compile(r"(efidisk|tpmstate)\d+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")
_UNITS = {"": 1, "K": 1024, "M": MIB, "G": GIB, "T": 1024 * GIB}
# What a server's attributes are made of, for telling which of them wait for a restart.
_COMPARED = (
    "cpus",
    "memory_mib",
    "nics",
    "disks",
    "protected",
    "description",
    "dns_servers",
    "dns_domain",
    "admin_user",
    "ssh_keys",
)


def properties(text: str) -> tuple[str, dict[str, str]]:
    """Answer the first, nameless part of a property string (`a,b=c`), and its named parts in their order."""
    first, named = "", {}
    for index, part in enumerate(text.split(",")):
        key, equals, value = part.partition("=")
        if equals:
            named[key] = value
        elif index == 0:
            first = part
    return first, named


def size_bytes(text: str | None) -> int | None:
    """Answer the bytes of a size such as `64G` or `528K`; None for what is no size."""
    found = _SIZE.fullmatch(text or "")
    return None if found is None else round(float(found.group(1)) * _UNITS[found.group(2)])


def split_tags(text: str | None) -> tuple[str, ...]:
    """Answer the tags of a tag list, sorted and once each."""
    return tuple(sorted({tag for tag in re.split(r"[;,\s]+", text or "") if tag}))


def flag(value: Any) -> bool:
    """Answer Proxmox's booleans: 1, `1`, `on`, `yes`, `true`."""
    return str(value).lower() in {"1", "on", "yes", "true"}


def landscape(resources: Iterable[Mapping[str, Any]], sites: Mapping[str, str]) -> Landscape:
    """Answer what `/cluster/resources` says; containers are left out.

    Args:
        resources: its entries.
        sites: site of each host, by host name.
    """
    servers, hosts, storages = [], [], []
    for item in resources:
        kind = item.get("type")
        if kind == "qemu":
            servers.append(server(item, sites))
        elif kind == "node":
            hosts.append(_host(item, sites))
        elif kind == "storage":
            storages.append(_storage(item))
    return Landscape(tuple(servers), tuple(hosts), tuple(storages))


def server(item: Mapping[str, Any], sites: Mapping[str, str]) -> Server:
    """Answer a server from its entry in `/cluster/resources`."""
    host = str(item["node"])
    return Server(
        id=str(item["vmid"]),
        name=f"vm-{item['vmid']}" if nameless(item) else str(item["name"]),
        named=not nameless(item),
        power=_power(item.get("status"), item.get("lock")),
        host=host,
        site=sites.get(host),
        cpus=int(item.get("maxcpu") or 0),
        memory_mib=int(item.get("maxmem") or 0) // MIB,
        root_disk_bytes=int(item.get("maxdisk") or 0),
        tags=split_tags(item.get("tags")),
        template=flag(item.get("template")),
        lock=item.get("lock") or None,
        uptime_seconds=int(item.get("uptime") or 0),
        ha=item.get("hastate") or None,
        pool=item.get("pool") or None,
        usage=Usage(
            cpu_percent=round(float(item.get("cpu") or 0) * 100, 2),
            memory_bytes=int(item.get("mem") or 0),
            disk_read_bytes=int(item.get("diskread") or 0),
            disk_write_bytes=int(item.get("diskwrite") or 0),
            network_in_bytes=int(item.get("netin") or 0),
            network_out_bytes=int(item.get("netout") or 0),
        ),
    )


def nameless(item: Mapping[str, Any]) -> bool:
    """Tell whether an entry of `/cluster/resources` has no name: it is seconds old, being copied, or out of reach."""
    return (item.get("name") or "") in {"", f"VM {item['vmid']}"}


def _power(status: Any, lock: Any) -> Power:
    power = {"running": Power.ON, "stopped": Power.OFF, "paused": Power.SUSPENDED}.get(str(status), Power.UNKNOWN)
    return Power.SUSPENDED if power is Power.OFF and lock == "suspended" else power


def running(known: Server, status: Mapping[str, Any]) -> Server:
    """Answer a server with what `.../status/current` says of its power."""
    paused = status.get("qmpstatus") == "paused"
    managed = status.get("ha") or {}
    return replace(
        known,
        power=Power.SUSPENDED if paused else _power(status.get("status"), status.get("lock")),
        lock=status.get("lock") or None,
        uptime_seconds=int(status.get("uptime") or 0),
        ha=(managed.get("state") or "managed") if flag(managed.get("managed")) else None,
    )


def introduced(known: Server, status: Mapping[str, Any]) -> Server:
    """Answer a server that the bulk reading did not know, with what `.../status/current` says of it."""
    if nameless(status):
        return running(known, status)
    return replace(
        running(known, status),
        name=str(status["name"]),
        named=True,
        cpus=int(status.get("cpus") or 0),
        memory_mib=int(status.get("maxmem") or 0) // MIB,
        root_disk_bytes=int(status.get("maxdisk") or 0),
    )


def _host(item: Mapping[str, Any], sites: Mapping[str, str]) -> Host:
    memory, used = int(item.get("maxmem") or 0), int(item.get("mem") or 0)
    name = str(item["node"])
    return Host(
        name=name,
        online=item.get("status") == "online",
        site=sites.get(name),
        cpus=int(item.get("maxcpu") or 0),
        memory_bytes=memory,
        memory_free_bytes=max(0, memory - used),
    )


def _storage(item: Mapping[str, Any]) -> Storage:
    size, used = item.get("maxdisk"), item.get("disk")
    return Storage(
        name=str(item["storage"]),
        host=str(item["node"]),
        shared=flag(item.get("shared")),
        free_bytes=None if size is None else max(0, int(size) - int(used or 0)),
    )


def detailed(light: Server, config: Mapping[str, Any], pending: Iterable[Mapping[str, Any]] | None = None) -> Server:
    """Answer a server with what its configuration says, and what of it waits for a restart.

    Args:
        light: the server from the bulk reading.
        config: `.../config` as it applies now.
        pending: `.../pending`, or None when it was not read.
    """
    now = _configured(light, config)
    if pending is None:
        return now
    later = _configured(light, _after_restart(config, pending))
    waiting = {name: getattr(later, name) for name in _COMPARED if getattr(later, name) != getattr(now, name)}
    return replace(now, pending=waiting)


def _after_restart(config: Mapping[str, Any], pending: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    result = dict(config)
    for item in pending:
        if "pending" in item:
            result[item["key"]] = item["pending"]
        elif item.get("delete"):
            result.pop(item["key"], None)
    return result


def _configured(light: Server, config: Mapping[str, Any]) -> Server:
    uuid = properties("," + str(config.get("smbios1", "")))[1].get("uuid")
    keys = unquote(str(config.get("sshkeys", "")))
    return replace(
        light,
        name=str(config.get("name") or light.name),
        named=light.named or bool(config.get("name")),
        cpus=cpus(config),
        memory_mib=memory_mib(config),
        uuid=uuid,
        disks=disks(config),
        storages=storages(config),
        nics=nics(config),
        os=config.get("ostype"),
        tags=split_tags(config.get("tags")),
        template=flag(config.get("template")),
        lock=config.get("lock") or light.lock,
        protected=flag(config.get("protection")),
        description=str(config.get("description", "")).rstrip("\n"),
        dns_servers=tuple(str(config.get("nameserver", "")).split()),
        dns_domain=config.get("searchdomain"),
        admin_user=config.get("ciuser"),
        ssh_keys=tuple(line.strip() for line in keys.splitlines() if line.strip()),
        revision=config.get("digest"),
        raw=dict(config),
        detailed=True,
    )


def cpus(config: Mapping[str, Any]) -> int:
    """Answer the virtual CPUs that the guest sees."""
    return int(config.get("vcpus") or int(config.get("cores", 1)) * int(config.get("sockets", 1)))


def memory_mib(config: Mapping[str, Any]) -> int:
    """Answer the memory in MiB; Proxmox gives 512 to a guest that says nothing."""
    return int(str(config.get("memory", 512)).split(",", maxsplit=1)[0].removeprefix("current="))


def _natural(key: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\D+)(\d+)", key)
    return (key, 0) if found is None else (found.group(1), int(found.group(2)))


def _is_medium(volume: str, named: Mapping[str, str]) -> bool:
    return named.get("media") == "cdrom" or volume in {"none", "cdrom"} or "cloudinit" in volume


def disks(config: Mapping[str, Any]) -> tuple[Disk, ...]:
    """Answer the data disks: the boot disk first, then by bus and slot; no media, firmware or first-boot volumes."""
    found = []
    for key in sorted((key for key in config if DRIVE.fullmatch(key)), key=_natural):
        first, named = properties(str(config[key]))
        volume = first or named.get("file", "")
        if not _is_medium(volume, named):
            storage = volume.partition(":")[0] if ":" in volume else ""
            backed_up = flag(named.get("backup", "1"))
            found.append(Disk(key, storage, volume, size_bytes(named.get("size")), backed_up))
    boot = _boot_key(config, {disk.key for disk in found})
    return tuple(sorted(found, key=lambda disk: disk.key != boot))


def _boot_key(config: Mapping[str, Any], keys: set[str]) -> str | None:
    named = properties("," + str(config.get("boot", "")))[1]
    order = [*named.get("order", "").split(";"), str(config.get("bootdisk", ""))]
    return next((key for key in order if key in keys), None)


def storages(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Answer every storage that holds a volume of the server, sorted."""
    found = set()
    for key, value in config.items():
        if DRIVE.fullmatch(key) or _FIRMWARE.fullmatch(key):
            first, named = properties(str(value))
            volume = first or named.get("file", "")
            if ":" in volume and (named.get("media") != "cdrom" or "cloudinit" in volume):
                found.add(volume.partition(":")[0])
    return tuple(sorted(found))


def nics(config: Mapping[str, Any]) -> tuple[Nic, ...]:
    """Answer the interfaces in the order of their slots."""
    return tuple(
        _nic(key, str(config[key]), str(config.get(f"ipconfig{key.removeprefix('net')}", "")))
        for key in sorted((key for key in config if re.fullmatch(r"net\d+", key)), key=_natural)
    )


def _nic(key: str, value: str, address: str) -> Nic:
    first, named = properties(value)
    model, mac = card(first, named)
    given = properties("," + address)[1]
    return Nic(
        key=key,
        mac=mac,
        model=model,
        bridge=named.get("bridge", ""),
        vlan=int(named["tag"]) if named.get("tag") else None,
        address=given.get("ip") or given.get("ip6"),
        gateway=given.get("gw") or given.get("gw6"),
    )


CARD_OPTIONS = frozenset(
    ("bridge", "firewall", "host-tunnel", "link_down", "macaddr", "model", "mtu", "queues", "rate", "tag", "trunks")
)


def card(first: str, named: Mapping[str, str]) -> tuple[str, str | None]:
    """Answer the model and the hardware address of an interface, however they were written."""
    model = first or named.get("model", "")
    mac = named.get("macaddr")
    for key, value in named.items():
        if key not in CARD_OPTIONS:
            model, mac = key, value
    return model, mac.upper() if mac else None


def snapshots(items: Iterable[Mapping[str, Any]]) -> list[Snapshot]:
    """Answer the snapshots, oldest first, without the entry that stands for the running server."""
    found = [
        Snapshot(
            name=str(item["name"]),
            taken_at=int(item.get("snaptime") or 0),
            description=str(item.get("description") or "").rstrip("\n"),
            parent=item.get("parent") or None,
            with_memory=flag(item.get("vmstate")),
            unfinished=item.get("snapstate") or None,
        )
        for item in items
        if item.get("name") != "current"
    ]
    return sorted(found, key=lambda snapshot: (snapshot.taken_at, snapshot.name))


def with_addresses(known: Server, interfaces: Iterable[Mapping[str, Any]]) -> Server:
    """Answer a server whose interfaces carry what the guest agent reports, matched by hardware address.

    Without the configuration the interfaces are those that the guest names.
    """
    reported: dict[str, tuple[str, ...]] = {}
    names: dict[str, str] = {}
    for item in interfaces:
        mac = str(item.get("hardware-address") or "").upper()
        addresses = [str(entry.get("ip-address")) for entry in item.get("ip-addresses") or ()]
        usable = tuple(entry for entry in addresses if not entry.startswith(("127.", "::1", "fe80:", "169.254.")))
        if mac and usable:
            reported[mac] = (*reported.get(mac, ()), *usable)
            names.setdefault(mac, str(item.get("name") or mac))
    if not known.detailed:
        cards = [Nic(names[mac], mac, "", "", addresses=addresses) for mac, addresses in reported.items()]
        return replace(known, nics=tuple(cards))
    return replace(known, nics=tuple(replace(nic, addresses=reported.get(nic.mac or "", ())) for nic in known.nics))
