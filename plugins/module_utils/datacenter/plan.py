# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What remains to be done so that a server is as declared. Pure: no call, no clock; tested with tables and properties.

A server is never shrunk and never replaced: what would take that is refused with the reason. The one exception is a
copy of a template that no run has finished configuring, which carries `UNFINISHED` as its description: its size is
the template's and nobody uses it yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import labels, placement
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    GIB,
    Disk,
    Landscape,
    Nic,
    Power,
    Server,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.spec import NetworkSpec, ServerSpec

UNFINISHED = "Being created by cnosf.infogerance: not configured yet"
DEFAULT_DESCRIPTION = "Managed by cnosf.infogerance"
DEFAULT_MODEL = "virtio"


@dataclass(frozen=True)
class Situation:
    """What was read before planning.

    Attributes:
        landscape: everything the bulk reading gave.
        server: the server with details, or None when it does not exist.
        template: the template with details, only when the server has to be created.
        host: where a server to be created shall end up, or None for the template's host.
    """

    landscape: Landscape
    server: Server | None = None
    template: Server | None = None
    host: str | None = None


def effective(server: Server) -> Server:
    """Answer the server as it will be after its next restart."""
    return replace(server, **server.pending) if server.pending else server


def plan(spec: ServerSpec, situation: Situation, next_disk_key: Callable[[Server], str]) -> list[Change]:
    """Answer the changes that remain, in order.

    Args:
        spec: what is declared.
        situation: what was read.
        next_disk_key: the engine's rule for the slot of a further disk; pure.

    Raises:
        InputError: what is declared would shrink, replace or delete without permission.
    """
    if spec.absent:
        return _removal(spec, situation.server)
    changes: list[Change] = []
    server = situation.server
    if server is None:
        if situation.template is None:
            raise InputError(f"server {spec.name}: no template was read to create it from.")
        creation, server = _creation(spec, situation, situation.template)
        changes.append(creation)
    server = effective(server)
    _refuse_replacement(spec, server)
    configuration = _configuration(spec, server)
    if configuration is not None:
        changes.append(configuration)
    move = _move(spec, server, situation)
    if move is not None:
        changes.append(move)
    changes += _disks(spec, server, next_disk_key)
    changes += _power(spec, server)
    return changes


def _removal(spec: ServerSpec, server: Server | None) -> list[Change]:
    if server is None:
        return []
    if not spec.force:
        raise InputError(f"{server.label} is not deleted without 'force: true': its disks would be lost.")
    if server.protected:
        raise InputError(f"{server.label} is protected: set 'protected: false' in a run of its own before deleting it.")
    subject = f"server {server.name}"
    changes = []
    if server.power is not Power.OFF:
        changes.append(Change("stop", subject, {"power": str(server.power)}, {"power": str(Power.OFF)}))
    before = {"id": server.id, "host": server.host, "disks_gib": [disk.size_gib for disk in server.disks]}
    changes.append(Change("delete", subject, before, {}))
    return changes


def _creation(spec: ServerSpec, situation: Situation, template: Server) -> tuple[Change, Server]:
    """Answer the copy and the server that it will give, so that the rest of the plan is known beforehand."""
    host = template.host
    if situation.host is not None and placement.copies_across(template, spec.storage, situation.landscape):
        host = situation.host
    after: dict[str, Any] = {"template": template.name, "host": host}
    if spec.storage is not None:
        after["storage"] = spec.storage
    if spec.pool is not None:
        after["pool"] = spec.pool
    disks = tuple(replace(disk, storage=spec.storage or disk.storage) for disk in template.disks)
    copy = replace(
        template,
        name=spec.name,
        host=host,
        template=False,
        power=Power.OFF,
        disks=disks,
        pool=spec.pool,
        description=UNFINISHED,
        pending={},
    )
    return Change("create", f"server {spec.name}", {}, after), copy


def _refuse_replacement(spec: ServerSpec, server: Server) -> None:
    """Refuse what only another server could satisfy."""
    if _unfinished(server):
        return
    system = labels.value(server.tags, labels.SYSTEM)
    if spec.system is not None and system is not None and system != spec.system:
        raise InputError(
            f"{server.label} carries the system {system!r} and {spec.system!r} is declared: a server is never "
            "replaced. Declare it under another name, or delete this one first with 'state: absent' and 'force: true'."
        )
    for what, unit, has, wants in (
        ("CPUs", "", server.cpus, spec.cpus),
        ("memory", " GiB", server.memory_gib, None if spec.memory_mib is None else spec.memory_mib / 1024),
    ):
        if wants is not None and wants < has:
            raise InputError(
                f"{server.label} has {has:g}{unit} {what} and {wants:g}{unit} {what} are declared: a server is never "
                f"shrunk. Declare at least {has:g}{unit}."
            )


def _unfinished(server: Server) -> bool:
    return server.description == UNFINISHED


def _configuration(spec: ServerSpec, server: Server) -> Change | None:
    """Answer the settings that differ, all written in one go."""
    fresh = _unfinished(server)
    wanted: dict[str, Any] = {
        "cpus": spec.cpus,
        "memory_gib": None if spec.memory_mib is None else spec.memory_mib / 1024,
        "tags": labels.wanted(
            [tag for tag in server.tags if tag.startswith(labels.SYSTEM)] if fresh else server.tags,
            functions=spec.functions,
            site=spec.site,
            system=spec.system,
            extra=spec.tags,
        ),
        "protected": spec.protected,
        "description": spec.description or (DEFAULT_DESCRIPTION if fresh else None),
        "dns_servers": None if spec.dns_servers is None else list(spec.dns_servers),
        "dns_domain": spec.dns_domain,
        "admin_user": spec.admin_user,
        "ssh_keys": None if spec.ssh_keys is None else list(spec.ssh_keys),
        "networks": [_wanted_card(network, _nic(server, index)) for index, network in enumerate(spec.networks)] or None,
    }
    current: dict[str, Any] = {
        "cpus": server.cpus,
        "memory_gib": server.memory_gib,
        "tags": sorted(server.tags),
        "protected": bool(server.protected),
        "description": server.description,
        "dns_servers": list(server.dns_servers),
        "dns_domain": server.dns_domain,
        "admin_user": server.admin_user,
        "ssh_keys": list(server.ssh_keys),
        "networks": [_card(network, nic) for network, nic in zip(spec.networks, server.nics, strict=False)],
    }
    differing = [name for name, value in wanted.items() if value is not None and value != current[name]]
    if not differing:
        return None
    return Change(
        "configure",
        f"server {spec.name}",
        {name: current[name] for name in differing},
        {name: wanted[name] for name in differing},
    )


def _nic(server: Server, index: int) -> Nic | None:
    return server.nics[index] if index < len(server.nics) else None


def _card(network: NetworkSpec, nic: Nic) -> dict[str, Any]:
    """Answer an interface as it is; its hardware address only where one is declared, because the engine draws it."""
    found = {
        "bridge": nic.bridge,
        "vlan": nic.vlan,
        "address": nic.address,
        "gateway": nic.gateway,
        "model": nic.model,
    }
    return found | ({"mac": nic.mac} if network.mac else {})


def _wanted_card(network: NetworkSpec, nic: Nic | None) -> dict[str, Any]:
    """Answer an interface as it shall be: what is not declared stays as it is, an undeclared VLAN is untagged."""
    result = {
        "bridge": network.bridge,
        "vlan": network.vlan,
        "address": network.address or (nic.address if nic else None),
        "gateway": network.gateway or (nic.gateway if nic and network.address is None else None),
        "model": network.model or (nic.model if nic else DEFAULT_MODEL),
    }
    return result | ({"mac": network.mac.upper()} if network.mac else {})


def _move(spec: ServerSpec, server: Server, situation: Situation) -> Change | None:
    """Answer the move to the declared place; the high-availability manager alone places what it manages."""
    if server.ha is not None:
        return None
    host = situation.host if situation.server is None else placement.choose_host(spec, situation.landscape, server.host)
    if host is None or host == server.host:
        return None
    return Change("move", f"server {spec.name}", {"host": server.host}, {"host": host})


def _disks(spec: ServerSpec, server: Server, next_disk_key: Callable[[Server], str]) -> list[Change]:
    """Answer the disks to grow and to add; disks that are not declared stay."""
    changes = []
    for index, wanted in enumerate(spec.disks):
        if index < len(server.disks):
            disk = server.disks[index]
            if disk.size_bytes is None:
                raise InputError(
                    f"{server.label}: the engine does not say the size of disk {disk.key}: see its storage."
                )
            if wanted.size_gib * GIB < disk.size_bytes:
                raise InputError(
                    f"{server.label}: disk {index + 1} ({disk.key}) has {disk.size_gib:g} GiB and {wanted.size_gib} "
                    f"GiB are declared: a disk is never shrunk. Declare at least {disk.size_gib:g} GiB."
                )
            if wanted.size_gib * GIB > disk.size_bytes:
                subject = f"disk {disk.key} of {spec.name}"
                changes.append(
                    Change("grow_disk", subject, {"key": disk.key, "size_gib": disk.size_gib}, _disk(disk.key, wanted))
                )
            continue
        key = next_disk_key(server)
        storage = wanted.storage or spec.storage or (server.disks[0].storage if server.disks else None)
        if storage is None:
            raise InputError(f"{server.label}: disk {index + 1} has to be added and no storage is declared for it.")
        changes.append(Change("add_disk", f"disk {key} of {spec.name}", {}, {**_disk(key, wanted), "storage": storage}))
        server = replace(server, disks=(*server.disks, Disk(key, storage, "", wanted.size_gib * GIB)))
    return changes


def _disk(key: str, wanted: Any) -> dict[str, Any]:
    return {"key": key, "size_gib": wanted.size_gib}


def _power(spec: ServerSpec, server: Server) -> list[Change]:
    subject = f"server {spec.name}"
    if spec.running and server.power is not Power.ON:
        return [Change("start", subject, {"power": str(server.power)}, {"power": str(Power.ON)})]
    if spec.running is False and server.power is not Power.OFF:
        return [Change("stop", subject, {"power": str(server.power)}, {"power": str(Power.OFF)})]
    return []
