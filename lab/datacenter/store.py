# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datacenter's state in one file, written atomically after each change, and read again at the next start."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lab.datacenter.ha import Resource, Rule
from lab.datacenter.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from fakepve.server import FakeVm

__all__ = ["FORMAT", "StateError", "Store"]

FORMAT = 1
TASKS_KEPT = 500
VM_FIELDS = ("vmid", "name", "node", "status", "qmpstatus", "config", "pending", "template", "lock", "pool")
# Locks of work that dies with the process that does it.
WORK_LOCKS = ("migrate", "snapshot", "snapshot-delete", "rollback", "suspending")


class StateError(Exception):
    """The state file cannot be used; the message says why and what to do."""


class Store(Usage):
    """Keeps the datacenter over restarts of the lab."""

    def open_state(self, file: Path) -> None:
        """Use this file: take over what it holds, or start a new datacenter with the settings' templates.

        Raises:
            StateError: the file is not a state of this lab.
        """
        self._empty()
        if file.exists():
            try:
                state = json.loads(file.read_text(encoding="utf-8"))
                if state["format"] != FORMAT:
                    raise StateError(f"{file} has format {state['format']}, this lab reads {FORMAT}: remove it")
                self._restore(state)
                self.state_file = file
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StateError(f"{file} cannot be read ({error!r}): run `python -m lab down --purge`") from error
        else:
            self.state_file = file
            self.install_templates()
            self.save()

    def _empty(self) -> None:
        self.storages = {
            storage.name: {
                "type": storage.type,
                "active": 1,
                "content": ",".join(storage.content),
                "files": set(),
                "volumes": {},
                "total": storage.size_gib * 1024**3,
                "avail": storage.size_gib * 1024**3,
                **({"shared": 1} if storage.shared else {}),
                **storage.options,
            }
            for storage in self.settings.storages
        }
        self.pools: dict[str, set[int]] = {name: set() for name in self.settings.pools}
        self.pool_info: dict[str, Any] = {name: {"comment": None, "storage": set()} for name in self.settings.pools}

    async def remove_all(self) -> list[str]:
        """Back to a new datacenter: servers, tasks, rules and pools go, templates are as new. Returns the names."""
        names = [vm.name for vm in self.vms if not vm.template]
        guests = [guest for vm in list(self.vms) if (guest := self.guest_of(vm)) is not None]
        await asyncio.gather(*(guest.destroy() for guest in guests))
        for kept in (self.vms, self.guests, self.systems, self.folders, self.power_log, self.resources, self.rules):
            kept.clear()
        self.tasklog.clear()
        self.tasks.clear()
        self._empty()
        self.install_templates()
        self.save()
        return names

    def state(self) -> dict[str, Any]:
        """Everything that outlives the process, ready for JSON."""
        return {
            "format": FORMAT,
            "started": self.started,
            "next_pid": max((task["pid"] for task in self.tasklog), default=999) + 1,
            "servers": [self._server_state(vm) for vm in self.vms],
            "storages": {
                name: {key: sorted(value) if key == "files" else value for key, value in store.items()}
                for name, store in self.storages.items()
            },
            "pools": {name: sorted(members) for name, members in self.pools.items()},
            "pool_info": {
                name: {"comment": meta["comment"], "storage": sorted(meta["storage"])}
                for name, meta in self.pool_info.items()
            },
            "tasks": self.tasklog[-TASKS_KEPT:],
            "ha_resources": [asdict(resource) for resource in self.resources.values()],
            "ha_rules": [asdict(rule) for rule in self.rules.values()],
            "nodes_offline": sorted(name for name, node in self.nodes.items() if not node["online"]),
        }

    def _server_state(self, vm: FakeVm) -> dict[str, Any]:
        return {
            **{field: getattr(vm, field) for field in VM_FIELDS},
            "snapshots": vm.snapshots,
            "started_at": vm.started_at,
            "system": self.systems.get(vm.vmid),
            "folder": self.folders.get(vm.vmid),
            "power_log": self.power_log.get(vm.vmid, []),
        }

    def save(self) -> None:
        """Write the state; nothing is written before :meth:`open_state`."""
        if self.state_file is None:
            return
        partial = self.state_file.with_name(f".{self.state_file.name}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(self.state(), stream, separators=(",", ":"))
        partial.replace(self.state_file)

    def _restore(self, state: dict[str, Any]) -> None:
        self.started = state["started"]
        for name, store in state["storages"].items():
            if name in self.storages:
                self.storages[name] = {**store, "files": set(store["files"])}
        self.pools = {name: set(members) for name, members in state["pools"].items()}
        self.pool_info = {
            name: {"comment": meta["comment"], "storage": set(meta["storage"])}
            for name, meta in state["pool_info"].items()
        }
        self._pids = itertools.count(state["next_pid"])
        for task in state["tasks"]:
            if task["status"] == "running":
                task.update(status="stopped", exitstatus="interrupted by the lab's end", endtime=int(time.time()))
                task["log"].append("TASK ERROR: interrupted by the lab's end")
            self.tasks[task["upid"]] = task
            self.tasklog.append(task)
        for server in state["servers"]:
            self._restore_server(server)
        for raw in state["ha_resources"]:
            resource = Resource(**raw)
            self.resources[resource.vmid] = resource
            self._show(resource)
        self.rules = {raw["rule"]: Rule(**raw) for raw in state["ha_rules"]}
        for name in state["nodes_offline"]:
            if name in self.nodes:
                self.set_node_offline(name)
        self._count_votes()

    def _restore_server(self, server: dict[str, Any]) -> None:
        vm = self.add_vm(*(server[field] for field in VM_FIELDS[:3]))
        for field in VM_FIELDS[3:]:
            setattr(vm, field, server[field])
        vm.snapshots = server["snapshots"]
        vm.started_at = server["started_at"]
        if server["system"]:
            self.systems[vm.vmid] = server["system"]
        if server["folder"]:
            self.folders[vm.vmid] = server["folder"]
        if server["power_log"]:
            self.power_log[vm.vmid] = [(moment, on) for moment, on in server["power_log"]]
        if vm.lock in ("create", "clone", "destroyed"):
            self._drop_unfinished(vm)  # a server that was being made, or removed, when the lab ended
        elif vm.lock in WORK_LOCKS:
            self._qm_lock(vm, None)
