# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand: what can go wrong with a server or with the API, by name, from the command line or a test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fakepve.errors import errors_for

from lab.control import ControlError
from lab.datacenter.faults import TaskFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fakepve.server import FakeVm

    from lab.datacenter import Datacenter

__all__ = ["API", "KINDS", "FaultDesk", "Kind"]

API = "api"
LOCKS = ("backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspended", "suspending")


@dataclass(frozen=True)
class Kind:
    """A fault: what it is for, and the options it takes with their meaning."""

    name: str
    target: str
    summary: str
    options: dict[str, str]


KINDS = (
    Kind("reboot-hang", "server", "does not come back from its next restart until it is stopped and started", {}),
    Kind("drop-connection", "server", "loses the connection in the middle of remote commands", {"times": "how many"}),
    Kind("slow", "server", "answers late", {"seconds": "delay of each remote command"}),
    Kind("full-disk", "server", "has no room left on its system disk", {}),
    Kind("refuse-logons", "server", "refuses every logon", {}),
    Kind("no-agent", "server", "its guest agent does not answer", {}),
    Kind("no-shutdown", "server", "ignores a request to power off", {}),
    Kind("no-boot", "server", "does not start", {"message": "QEMU's error"}),
    Kind("lock", "server", "is locked by other work", {"lock": ", ".join(LOCKS), "seconds": "until it is released"}),
    Kind("busy", "server", "another task holds its configuration", {"seconds": "until it lets go"}),
    Kind("slow", API, "every call is answered late", {"seconds": "delay"}),
    Kind("drop", API, "connections close without an answer", {"times": "how many"}),
    Kind(
        "task-error",
        API,
        "tasks end in error",
        {"task": "type, as qmstart, or * for any", "message": "exit status", "times": "how many", "server": "only its"},
    ),
    Kind("expired-token", API, "a token is refused as expired", {"token": "inventory, operator or protection"}),
    Kind("expired-tickets", API, "every login ticket is forgotten: the next call gets 401", {}),
    Kind(
        "error",
        API,
        "calls fail",
        {
            "method": "GET, POST, PUT or DELETE",
            "path": "end of the path, or a path of the schema with {placeholders}",
            "status": "HTTP status",
            "message": "reason",
            "times": "how many",
        },
    ),
    Kind("no-quorum", API, "the cluster is read-only", {}),
    Kind("lost-node", API, "a node is gone, with its servers", {"node": "its name"}),
    Kind("full-storage", API, "a storage has no room left", {"storage": "its name"}),
)


class FaultDesk:
    """Causes faults in a datacenter and its servers, lists them and heals them."""

    def __init__(self, pve: Datacenter) -> None:
        """Work on this datacenter."""
        self.pve = pve
        self._rooms: dict[str, int] = {}

    async def apply(self, target: str, kind: str, **options: Any) -> str:
        """Cause a fault, or heal the target with the kind ``clear``. Returns what was done, a sentence.

        Args:
            target: A server's name or number, or ``api``.
            kind: One of :data:`KINDS`, or ``clear``.
            options: The kind's options.

        Raises:
            ControlError: no such server, kind or option; the sentence lists what there is.
        """
        options = {key: value for key, value in options.items() if value is not None}
        family = API if target == API else "server"
        known = {each.name: each for each in KINDS if each.target == family}
        if kind == "clear":
            return self._clear_api() if target == API else self._clear_server(self._server(target))
        if kind not in known:
            raise ControlError(f"unknown fault '{kind}' for {target}; known: {', '.join(known)}, clear")
        for option in options:
            if option not in known[kind].options:
                takes = ", ".join(known[kind].options) or "none"
                raise ControlError(f"fault '{kind}' has no option '{option}'; it takes {takes}")
        name = kind.replace("-", "_")
        if target == API:
            causer: Callable[..., Awaitable[str]] = getattr(self, f"_api_{name}")
            return await causer(**options)
        server = self._server(target)
        own: Callable[..., Awaitable[str]] | None = getattr(self, f"_server_{name}", None)
        if own is not None:
            return await own(server, **options)
        return self._guest_fault(server, kind, options)

    def _server(self, name: str) -> FakeVm:
        for vm in self.pve.vms:
            if name in (vm.name, str(vm.vmid)) and not vm.template:
                return vm
        names = ", ".join(sorted(vm.name for vm in self.pve.vms if not vm.template)) or "none"
        raise ControlError(f"no server '{name}' in the lab; there is: {names}")

    # ----------------------------------------------------------------- server

    def _guest_fault(self, vm: FakeVm, kind: str, options: dict[str, Any]) -> str:
        """A fault of the operating system: the guest's own affair."""
        guest = self.pve.guest_of(vm)
        faults = getattr(guest, "faults", None)
        field = {"full-disk": "disk_full", "slow": "slow_seconds"}.get(kind, kind.replace("-", "_"))
        if faults is None or not hasattr(faults, field):
            raise ControlError(f"the lab does not simulate the fault '{kind}' on {vm.name} ({self.pve.system_of(vm)})")
        value = options.get("times", options.get("seconds"))
        try:
            faults.set(field, value if value is not None else (2 if field == "slow_seconds" else None))
        except ValueError as error:
            raise ControlError(str(error)) from None
        return f"{vm.name}: {kind}"

    async def _server_no_agent(self, vm: FakeVm) -> str:
        vm.agent_hangs = True
        return f"{vm.name}: its agent does not answer"

    async def _server_no_shutdown(self, vm: FakeVm) -> str:
        vm.acpi = False
        return f"{vm.name}: it ignores requests to power off"

    async def _server_no_boot(self, vm: FakeVm, message: str = "start failed: QEMU exited with code 1") -> str:
        vm.start_error = message
        return f"{vm.name}: it does not start"

    async def _server_busy(self, vm: FakeVm, seconds: float | None = None) -> str:
        if vm.lock_holder is not None:
            raise ControlError(f"{vm.name} is busy already: {vm.lock_holder}")
        await self.pve.hold_config_lock(vm.vmid, float(seconds) if seconds is not None else None)
        return f"{vm.name}: its configuration is held by another task"

    async def _server_lock(self, vm: FakeVm, lock: str = "backup", seconds: float | None = None) -> str:
        if lock not in LOCKS:
            raise ControlError(f"unknown lock '{lock}'; known: {', '.join(LOCKS)}")
        self.pve.snapshot_lock(vm.vmid, lock)
        self.pve.save()
        if seconds is not None:
            self.pve.spawn(self._unlock_later(vm, lock, float(seconds)))
        return f"{vm.name}: locked ({lock})"

    async def _unlock_later(self, vm: FakeVm, lock: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if vm.lock == lock:
            self.pve.unlock(vm.vmid)
            self.pve.save()

    def _clear_server(self, vm: FakeVm) -> str:
        self.pve.release_config_lock(vm.vmid)
        vm.agent_hangs, vm.acpi, vm.start_error = False, True, None
        if vm.lock in LOCKS and vm.lock_holder is None:
            self.pve.unlock(vm.vmid)
            self.pve.save()
        faults = getattr(self.pve.guests.get(vm.vmid), "faults", None)
        if faults is not None:
            faults.clear()
        return f"{vm.name}: healed"

    # -------------------------------------------------------------------- api

    async def _api_slow(self, seconds: float = 2) -> str:
        self.pve.faults.slow_seconds = float(seconds)
        return f"every call waits {float(seconds):g} s"

    async def _api_drop(self, times: int = 1) -> str:
        self.pve.faults.drops = int(times)
        return f"the next {times} connections are dropped"

    async def _api_task_error(
        self,
        task: str = "*",
        message: str = "got timeout",
        times: int = 1,
        server: str | None = None,
    ) -> str:
        vmid = str(self._server(server).vmid) if server else None
        self.pve.faults.tasks.append(TaskFault(task, message, int(times), vmid))
        return f"the next {times} tasks '{task}' end in error: {message}"

    async def _api_expired_token(self, token: str = "") -> str:
        known = {name.partition("!")[2]: name for name in self.pve.apitokens}
        if token not in known:
            raise ControlError(f"no token '{token}', give --token; there is: {', '.join(sorted(known))}")
        self.pve.faults.expired_tokens.add(known[token])
        return f"token {known[token]} is expired"

    async def _api_expired_tickets(self) -> str:
        self.pve.revoke_tickets()
        return "every login ticket is forgotten"

    async def _api_error(
        self,
        method: str = "GET",
        path: str = "",
        status: int = 500,
        message: str = "internal error",
        times: int = 1,
    ) -> str:
        if not path:
            raise ControlError("fault 'error' needs --path, the end of a path or one of the schema")
        if "{" in path and not errors_for(method, path):
            raise ControlError(f"the schema has no {method} {path}")
        self.pve.fail(method, path, int(status), message, times=int(times))
        return f"the next {times} {method} ...{path} fail with {status}"

    async def _api_no_quorum(self) -> str:
        self.pve.lose_quorum()
        return "the cluster has no quorum"

    async def _api_lost_node(self, node: str = "") -> str:
        if node not in self.pve.nodes:
            raise ControlError(f"no node '{node}'; there is: {', '.join(sorted(self.pve.nodes))}")
        await self.pve.lose_node(node)
        self.pve.save()
        return f"node {node} is gone"

    async def _api_full_storage(self, storage: str = "") -> str:
        if storage not in self.pve.storages:
            raise ControlError(f"no storage '{storage}'; there is: {', '.join(sorted(self.pve.storages))}")
        self._rooms.setdefault(storage, self.pve.storages[storage]["avail"])
        self.pve.storages[storage]["avail"] = 0
        return f"storage {storage} is full"

    def _clear_api(self) -> str:
        self.pve.faults.clear()
        self.pve.failures.clear()
        self.pve.regain_quorum()
        for storage, room in self._rooms.items():
            self.pve.storages[storage]["avail"] += room
        self._rooms.clear()
        for name, node in self.pve.nodes.items():
            if not node["online"]:
                self.pve.spawn(self.pve.regain_node(name))
        return "the API is healed"

    # ------------------------------------------------------------------ lists

    def clear_all(self) -> None:
        """Heal the API and every server."""
        self._clear_api()
        for vm in self.pve.vms:
            if not vm.template:
                self._clear_server(vm)

    async def listed(self) -> list[dict[str, Any]]:
        """The faults in force: target, kind and their figures."""
        found = [{"target": API, **fault} for fault in self.pve.faults.active()]
        found += [
            {"target": API, "kind": "error", "method": method, "path": path, "status": rule["status"]}
            for (method, path), rule in self.pve.failures.items()
        ]
        lost = [name for name, node in self.pve.nodes.items() if not node["online"]]
        found += [{"target": API, "kind": "lost-node", "node": name} for name in lost]
        if not self.pve.quorate and not lost:
            found.append({"target": API, "kind": "no-quorum"})
        found += [{"target": API, "kind": "full-storage", "storage": name} for name in self._rooms]
        for vm in self.pve.vms:
            found += self._server_faults(vm)
        return found

    def _server_faults(self, vm: FakeVm) -> list[dict[str, Any]]:
        if vm.template:
            return []
        found: list[dict[str, Any]] = []
        faults = getattr(self.pve.guests.get(vm.vmid), "faults", None)
        if faults is not None:
            found += [
                {"target": vm.name, "kind": name.replace("_", "-"), "value": value}
                for name, value in faults.active().items()
            ]
        for kind, struck in (("no-agent", vm.agent_hangs), ("no-shutdown", not vm.acpi), ("no-boot", vm.start_error)):
            if struck:
                found.append({"target": vm.name, "kind": kind})
        if vm.lock_holder == "scenario":
            found.append({"target": vm.name, "kind": "busy"})
        if vm.lock and vm.lock_holder is None:
            found.append({"target": vm.name, "kind": "lock", "lock": vm.lock})
        return found
