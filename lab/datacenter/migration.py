# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving servers between nodes, by hand: online while they run, offline otherwise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fakepve.model import PveError, TaskError
from fakepve.qemu import drives_of, volume_ref
from fakepve.routing import die, param_error

from lab.datacenter.agent import Agent

if TYPE_CHECKING:
    from fakepve.server import FakeVm

    from lab.datacenter.base import Values

__all__ = ["Migration"]

# How long the lab takes to move a server, in seconds: long enough to be seen in flight.
MOVE_SECONDS = 0.5


class Migration(Agent):
    """POST migrate and what can be known before it."""

    def _routes_lab_migration(self) -> list[tuple[str, str, Any]]:
        one = "/nodes/{node}/qemu/{vmid}/migrate"
        return [("GET", one, self._migration_check), ("POST", one, self._migrate)]

    def local_volumes(self, vm: FakeVm) -> list[str]:
        """The volumes that only the server's own node sees."""
        found = []
        for _key, volume, _props in drives_of(vm.config):
            storage = volume_ref(volume)[0]
            if storage and not self.storages[storage].get("shared"):
                found.append(volume)
        return found

    async def _migration_check(self, v: Values, _user: str) -> Values:
        vm = self.find(v["node"], v["vmid"])
        others = [name for name in sorted(self.nodes) if name != vm.node and self.nodes[name]["online"]]
        local = [
            {"volid": volume, "size": (self._qm_volume(volume) or {}).get("size", 0), "cdrom": 0, "is_unused": 0}
            for volume in self.local_volumes(vm)
        ]
        answer: Values = {
            "running": 1 if vm.status == "running" else 0,
            "local_disks": local,
            "local_resources": [],
            "mapped-resources": [],
            "mapped-resource-info": {},
            "has-dbus-vmstate": 0,
            "dependent-ha-resources": [],
        }
        if vm.status != "running":
            answer.update(allowed_nodes=others, not_allowed_nodes={})
        return answer

    async def _migrate(self, v: Values, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        self.need_quorum()
        target = v["target"]
        if target == vm.node:
            raise param_error(target="target is local node.")
        if target not in self.nodes:
            raise die(f"no such cluster node '{target}'")
        if v.get("targetstorage"):
            raise PveError(501, "the lab does not simulate migrating to another storage (targetstorage)")
        if not self.nodes[target]["online"]:
            raise die(f"target node '{target}' is not online")
        if vm.template and vm.status == "running":
            raise die("template is running")
        if vm.status == "running" and not v.get("online"):
            raise die("can't migrate running VM without --online")
        self._check_lock(vm)
        if vm.ha_managed:
            return await self.ha_migrate_task(vm, user, target)

        async def body() -> str:
            local = self.local_volumes(vm)
            if local and not v.get("with-local-disks"):
                kind = "live migrate attached local disks" if vm.status == "running" else "migrate local disks"
                raise TaskError(f"can't {kind} without with-local-disks option ({', '.join(local)})")
            await self.move(vm, target)
            return "migration finished successfully"

        return await self.task(
            vm.node,
            "qmigrate",
            vm.vmid,
            user,
            body,
            vm=vm,
            log=[f"starting migration of VM {vm.vmid} to node '{target}'"],
        )

    async def move(self, vm: FakeVm, target: str) -> None:
        """Carry the server over; the guest runs on meanwhile."""
        known = self.settings.node(target).bridges
        for nic in self.spec(vm).nics:
            if nic.bridge and nic.bridge not in known:
                raise TaskError(f"migration aborted: bridge '{nic.bridge}' does not exist on node '{target}'")
        self._qm_lock(vm, "migrate")
        try:
            await asyncio.sleep(MOVE_SECONDS)
            vm.node = target
        finally:
            self._qm_lock(vm, None)

    async def ha_migrate_task(self, vm: FakeVm, user: str, target: str) -> str:
        """Hand the move of a managed server to :class:`lab.datacenter.ha.HighAvailability`."""
        raise NotImplementedError
