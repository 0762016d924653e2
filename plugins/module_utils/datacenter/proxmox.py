# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxmox VE 8 and 9 as a datacenter: translates, calls, and answers when the engine has finished."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import (
    proxmox_reading as reading,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import (
    proxmox_writing as writing,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    Datacenter,
    Detail,
    Landscape,
    Power,
    Server,
    Snapshot,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_refusals import IdTakenError
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    ConflictError,
    EngineError,
    InfogeranceError,
    LockedError,
    NotFoundError,
    PermissionMissingError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_transport import Transport


class Proxmox(Datacenter):
    """Proxmox VE behind the datacenter's protocol.

    Args:
        transport: makes the calls.
        sites: site of each host, by host name.
        ids: first and last number that new guests may take.
    """

    engine = "Proxmox VE"

    def __init__(
        self, transport: Transport, *, sites: Mapping[str, str] | None = None, ids: tuple[int, int] = (1000, 9999)
    ) -> None:
        self._api = transport
        self._sites = dict(sites or {})
        self._ids = ids

    # Reading.

    def about(self) -> dict[str, Any]:
        """Answer product, version and release."""
        answer = self._api.get("version", "reading the version")
        return {"engine": self.engine, "version": answer["version"], "release": answer["release"]}

    def resources(self) -> list[dict[str, Any]]:
        """Answer `/cluster/resources`: one call, however many guests there are.

        Raises:
            PermissionMissingError: no guest is visible, and the credentials may not see any.
        """
        items: list[dict[str, Any]] = self._api.get("cluster/resources", "listing the datacenter")
        if not any(item.get("type") == "qemu" for item in items):
            held = self._api.get("access/permissions", "reading the privileges of the token")
            if not any("VM.Audit" in privileges for privileges in held.values()):
                raise PermissionMissingError(
                    "listing the datacenter: the privilege VM.Audit is missing on /vms, so that no server is visible. "
                    "Add it to the role of the token's user and of the token.",
                    "VM.Audit",
                    "/vms",
                )
        return items

    def landscape(self, *, settled: bool = False) -> Landscape:
        """Read servers, hosts and storages in one call.

        Proxmox gathers names and power for it every ten seconds or so: a server that is younger has no name there yet.
        """
        found = reading.landscape(self.resources(), self._sites)
        if not settled:
            return found
        online = {host.name for host in found.hosts if host.online}
        servers = [
            self._named(server) if not server.named and server.host in online else server for server in found.servers
        ]
        return replace(found, servers=tuple(servers))

    def _named(self, server: Server) -> Server:
        try:
            status = self._api.get(f"{_path(server)}/status/current", f"reading {server.label}")
        except NotFoundError:
            return server  # deleted or moved since
        return reading.introduced(server, status)

    def detail(self, server: Server) -> Server:
        """Read the power of one server, its configuration, and what of it waits for a restart."""
        status = self._api.get(f"{_path(server)}/status/current", f"reading {server.label}")
        return reading.detailed(reading.running(server, status), *self._configuration(server))

    def _configuration(self, server: Server) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        doing = f"reading {server.label}"
        # The order matters: the digest is that of the first answer, so that a change in between is found on writing.
        config = self._api.get(f"{_path(server)}/config", doing, current=1)
        return config, self._api.get(f"{_path(server)}/pending", doing)

    def details(self, servers: Sequence[Server], parts: Iterable[str], workers: int) -> list[Detail]:
        """Read parts of many servers, at most `workers` at once; one's failure is in its own answer."""
        wanted = frozenset(parts)
        with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="detail") as pool:
            return list(pool.map(partial(self._one_detail, parts=wanted), servers))

    def _one_detail(self, server: Server, parts: frozenset[str]) -> Detail:
        detail, errors = Detail(server), []
        if "config" in parts:
            try:
                doing = f"reading {server.label}"
                config = self._api.get(f"{_path(server)}/config", doing, retry=False, current=1)
                detail = replace(detail, server=reading.detailed(server, config))
                if "pending" in parts:
                    pending = self._api.get(f"{_path(server)}/pending", doing, retry=False)
                    detail = replace(detail, server=reading.detailed(server, config, pending))
            except InfogeranceError as error:
                errors.append(str(error))
        if "agent" in parts and server.power is Power.ON and _may_have_agent(detail.server):
            try:
                detail = replace(detail, server=self._with_agent(detail.server))
            except InfogeranceError as error:
                errors.append(str(error))
        if "snapshots" in parts:
            try:
                detail = replace(detail, snapshots=tuple(self._snapshots(server, retry=False)))
            except InfogeranceError as error:
                errors.append(str(error))
        return replace(detail, error=" ".join(errors) or None)

    def _with_agent(self, server: Server) -> Server:
        answer = self._api.get(
            f"{_path(server)}/agent/network-get-interfaces",
            f"asking the guest agent of {server.label}",
            retry=False,
        )
        return reading.with_addresses(server, answer["result"])

    # Servers.

    def create_server(self, name: str, template: Server, settings: Mapping[str, Any]) -> None:
        """Copy a template in full.

        The number is drawn from the name, so that two runs that create the same server at the same moment ask for the
        same one: Proxmox gives it to one of them, and the other says so.
        """
        host = settings.get("host")
        parameters = {
            "name": name,
            "full": 1,
            "target": host if host not in {None, template.host} else None,
            "storage": settings.get("storage"),
            "pool": settings.get("pool"),
            "description": settings.get("description"),
        }
        doing = f"creating server {name} from {template.label}"
        for number in self._numbers(name):
            try:
                self._api.task("post", f"{_path(template)}/clone", doing, newid=number, **parameters)
            except IdTakenError:
                self._refuse_twin(name, number)
                continue
            return
        raise EngineError(f"{doing}: every number from {self._ids[0]} to {self._ids[1]} is taken.")

    def _numbers(self, name: str) -> Iterator[int]:
        """Give free numbers, in an order that belongs to the name.

        Raises:
            LockedError: the next number is held by a server that is being copied and has no name yet: maybe this one.
        """
        held = {int(item["vmid"]): item for item in self.resources() if "vmid" in item}
        first, last = self._ids
        size = last - first + 1
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % size
        for step in range(size):
            number = first + (start + step) % size
            holder = held.get(number)
            if holder is None:
                yield number
            elif _in_the_making(holder):
                raise LockedError(
                    f"server {name}: the number {number} is held by a server that is being copied and has no name yet.",
                    str(holder["lock"]),
                )

    def _refuse_twin(self, name: str, number: int) -> None:
        """Refuse to go on when the number was taken by the same creation.

        Raises:
            ConflictError: the server of that number carries the name, or is being copied and has no name yet.
        """
        for item in self.resources():
            twin = item.get("name") == name or (str(item.get("vmid")) == str(number) and _in_the_making(item))
            if "vmid" in item and twin:
                raise ConflictError(
                    f"server {name}: another run is creating it at this moment (id {item['vmid']} on {item['node']}), "
                    "so this one does not. Let the other run end, then run again."
                )

    def configure_server(self, server: Server, settings: Mapping[str, Any]) -> None:
        """Write settings in one request, refused when the configuration changed since it was read."""
        parameters = {**writing.settings(server, settings), "digest": server.revision}
        self._api.write("put", f"{_path(server)}/config", f"configuring {server.label}", **parameters)

    def grow_disk(self, server: Server, key: str, size_gib: int) -> None:
        """Grow a disk to a size in GiB."""
        doing = f"growing disk {key} of {server.label} to {size_gib} GiB"
        self._api.task("put", f"{_path(server)}/resize", doing, disk=key, size=f"{size_gib}G", digest=server.revision)

    def add_disk(self, server: Server, key: str, size_gib: int, storage: str) -> None:
        """Allocate a disk and attach it, as a task because allocating takes time on some storages."""
        doing = f"adding disk {key} of {size_gib} GiB to {server.label}"
        drive = {key: writing.new_disk(server, size_gib, storage), "digest": server.revision}
        self._api.task("post", f"{_path(server)}/config", doing, **drive)

    def next_disk_key(self, server: Server) -> str:
        """Answer the slot of a further disk."""
        return writing.next_disk_key(server)

    def set_power(self, server: Server, power: Power, *, hard: bool = False, timeout: int = 300) -> None:
        """Start, resume or shut down a server."""
        if power == Power.ON:
            verb = "resume" if server.power is Power.SUSPENDED and server.lock != "suspended" else "start"
            self._api.task("post", f"{_path(server)}/status/{verb}", f"starting {server.label}")
            self._await_manager(server, Power.ON, timeout)
            return
        doing = f"shutting down {server.label}"
        try:
            self._api.task(
                "post", f"{_path(server)}/status/shutdown", doing, timeout=timeout, forceStop=1 if hard else None
            )
        except EngineError as error:
            if "got timeout" in str(error) and not isinstance(error, LockedError):
                raise EngineError(
                    f"{doing}: the guest did not shut down within {timeout} s. Shut it down from inside, or allow "
                    "cutting its power with 'force: true'."
                ) from error
            raise
        self._await_manager(server, Power.OFF, timeout)

    def _await_manager(self, server: Server, power: Power, timeout: float) -> None:
        """Wait until the high-availability manager has done what its task only asked of it; others have done it."""
        if server.ha is None:
            return
        start = self._api.clock()
        while True:
            status = self._api.get(f"{_path(server)}/status/current", f"reading {server.label}")
            if reading.running(server, status).power == power:
                return
            waited = self._api.clock() - start
            if waited >= timeout:
                raise EngineError(
                    f"{server.label}: the high-availability manager has not switched it {power} within {waited:.0f} s. "
                    "See its status and the host's log."
                )
            self._api.sleep(1.0)

    def migrate(self, server: Server, host: str) -> None:
        """Move a server; a running one moves without being stopped, with its local disks."""
        online = 1 if server.power is Power.ON else None
        doing = f"moving {server.label} to {host}"
        disks = {"with-local-disks": 1}
        self._api.task("post", f"{_path(server)}/migrate", doing, target=host, online=online, **disks)

    def delete_server(self, server: Server) -> None:
        """Delete a server with its disks and its entries in jobs."""
        self._api.task(
            "delete", _path(server), f"deleting {server.label}", purge=1, **{"destroy-unreferenced-disks": 1}
        )

    # Snapshots.

    def list_snapshots(self, server: Server) -> list[Snapshot]:
        """Answer the snapshots, oldest first."""
        return self._snapshots(server, retry=True)

    def _snapshots(self, server: Server, *, retry: bool) -> list[Snapshot]:
        doing = f"listing the snapshots of {server.label}"
        return reading.snapshots(self._api.get(f"{_path(server)}/snapshot", doing, retry=retry))

    def create_snapshot(self, server: Server, name: str, description: str, *, with_memory: bool) -> None:
        """Take a snapshot."""
        parameters = {"snapname": name, "description": description or None, "vmstate": 1 if with_memory else None}
        doing = f"taking the snapshot {name!r} of {server.label}"
        self._api.task("post", f"{_path(server)}/snapshot", doing, **parameters)

    def rollback_snapshot(self, server: Server, name: str, *, start: bool) -> None:
        """Bring a server back to a snapshot."""
        doing = f"rolling {server.label} back to the snapshot {name!r}"
        self._api.task("post", f"{_path(server)}/snapshot/{name}/rollback", doing, start=1 if start else None)

    def delete_snapshot(self, server: Server, name: str) -> None:
        """Remove a snapshot."""
        doing = f"removing the snapshot {name!r} of {server.label}"
        self._api.task("delete", f"{_path(server)}/snapshot/{name}", doing)


def _in_the_making(item: Mapping[str, Any]) -> bool:
    return reading.nameless(item) and item.get("lock") in {"clone", "create"}


def _path(server: Server) -> str:
    return f"nodes/{server.host}/qemu/{server.id}"


def _may_have_agent(server: Server) -> bool:
    """Tell whether asking the agent makes sense: a configuration that was read and does not enable it says no."""
    if not server.detailed:
        return True
    first, named = reading.properties(str(server.raw.get("agent", "0")))
    return reading.flag(named.get("enabled", first))
