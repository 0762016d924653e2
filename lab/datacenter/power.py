# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power: servers start, stop and restart, and the guest behind each follows, or leads."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakepve import schema
from fakepve.model import PveError, TaskError
from fakepve.server import USER, params

from lab.datacenter import hardware
from lab.datacenter.base import Base, Values
from lab.guests import GuestError
from lab.network import NetworkError

if TYPE_CHECKING:
    from fakepve.server import FakeVm

    from lab.guests import Guest, GuestSpec

__all__ = ["Power"]

logger = logging.getLogger(__name__)


class Power(Base):
    """Start, stop, shutdown, reboot and reset."""

    # -------------------------------------------------------------- the guest

    def spec(self, vm: FakeVm) -> GuestSpec:
        """The server's hardware as its configuration stands."""
        return hardware.spec_of(vm.vmid, vm.name, self.folders.get(vm.vmid, vm.name), self.system_of(vm), vm.config)

    def system_of(self, vm: FakeVm) -> str:
        """The operating system installed on it; empty for a machine nobody installed."""
        return self.systems.get(vm.vmid, "")

    def guest_of(self, vm: FakeVm) -> Guest | None:
        """What runs behind a server; None for an empty machine or a template."""
        if vm.template or not self.system_of(vm) or self.factory is None or self.house is None:
            return None
        if vm.vmid not in self.guests:
            self.guests[vm.vmid] = self.factory(self.spec(vm), self.house)
        return self.guests[vm.vmid]

    def hardware_changed(self, vm: FakeVm) -> None:
        """Tell the guest about hardware that changed under it."""
        guest = self.guests.get(vm.vmid)
        if guest is not None:
            guest.spec = self.spec(vm)

    def _check_startable(self, vm: FakeVm) -> None:
        if vm.template:
            raise TaskError("you can't start a vm if it's a template")
        if vm.lock and vm.lock != "suspended":
            raise TaskError(f"VM is locked ({vm.lock})")
        if vm.status == "running":
            raise TaskError(f"VM {vm.vmid} already running")

    def _check_hardware(self, vm: FakeVm) -> None:
        """What makes QEMU refuse to start: a bridge or a storage that the node does not have."""
        known = self.settings.node(vm.node).bridges
        for bridge in hardware.bridges(vm.config):
            if bridge not in known:
                raise TaskError(f"bridge '{bridge}' does not exist")
        for disk in hardware.disks(vm.config):
            if not self._storage_enabled(disk.storage, vm.node) or not self.storages[disk.storage].get("active", 1):
                raise TaskError(f"storage '{disk.storage}' is not available on node '{vm.node}'")

    async def power_on(self, vm: FakeVm) -> None:
        """Apply what waits for a start, then boot the guest; raises TaskError when it does not boot."""
        vm.apply_pending()
        vm.name = vm.config.get("name") or f"VM {vm.vmid}"
        self._check_hardware(vm)
        await self.ceph_io(vm)
        if vm.start_error:
            raise TaskError(vm.start_error)
        guest = self.guest_of(vm)
        if guest is not None:
            guest.spec = self.spec(vm)
            try:
                await guest.boot()
            except (GuestError, NetworkError) as error:
                raise TaskError(f"start failed: {error}") from error
        if vm.lock == "suspended":
            self._qm_lock(vm, None)
        self._set_power(vm, "running")

    def _set_power(self, vm: FakeVm, status: str) -> None:
        vm.status = vm.qmpstatus = status
        vm.started_at = time.time() if status == "running" else None
        self.note_power(vm.vmid, on=status == "running")
        self.save()

    def note_power(self, vmid: int, *, on: bool) -> None:
        """Remember when a server was on; :class:`lab.datacenter.usage.Usage` does."""

    async def power_off(self, vm: FakeVm) -> None:
        """Pull the plug."""
        guest = self.guest_of(vm)
        if guest is not None:
            await guest.stop()
        self._set_power(vm, "stopped")

    async def shut_down(self, vm: FakeVm, seconds: float, *, force: bool) -> str | None:
        """Ask the guest to power off and wait for it.

        Args:
            vm: The server.
            seconds: How long to wait.
            force: Pull the plug at the end of them instead of failing.

        Raises:
            TaskError: it is still on, as PVE words it.
        """
        guest = self.guest_of(vm)
        asked = asyncio.sleep(math.inf) if guest is None or not vm.acpi else guest.shutdown()
        try:
            await asyncio.wait_for(asked, seconds)
        except TimeoutError:
            if not force:
                raise TaskError("VM quit/powerdown failed - got timeout") from None
            await self.power_off(vm)
            return "VM still running - terminating now with SIGTERM"
        self._set_power(vm, "stopped")
        return None

    # --------------------------------------------- what guests do of themselves

    async def powered_off(self, vmid: int) -> None:
        """The operating system shut the machine down."""
        vm = self.vm(vmid)
        if vm is not None and vm.status == "running" and vm.lock_holder is None:
            logger.info("server %s powered itself off", vm.name)
            self._set_power(vm, "stopped")

    async def rebooted(self, vmid: int) -> None:
        """The operating system restarted; for QEMU the machine ran on, so that its uptime goes on too."""
        vm = self.vm(vmid)
        if vm is not None:
            logger.info("server %s restarted itself", vm.name)

    # ------------------------------------------------------------------ calls

    async def _status_action(self, request: web.Request) -> web.Response:
        """POST status/<action>, its parameters judged by the schema."""
        template = f"/nodes/{{node}}/qemu/{{vmid}}/status/{request.match_info['action']}"
        given = {**await params(request), **{key: request.match_info[key] for key in ("node", "vmid")}}
        values, errors = schema.validate(schema.load().paths[template]["POST"].get("parameters"), given)
        if errors:
            raise PveError(400, "Parameter verification failed.", errors)
        vm = self._vm(request, "VM.PowerMgmt")
        self.need_quorum()
        handler = getattr(self, "_do_" + request.match_info["action"])
        return web.json_response({"data": await handler(vm, request[USER], values)})

    async def _do_start(self, vm: FakeVm, user: str, _p: Values) -> str:
        if vm.ha_managed and not vm.template:
            return await self.ha_power(vm, user, "started")

        async def body() -> None:
            self._check_startable(vm)
            await self.power_on(vm)

        return await self.task(vm.node, "qmstart", vm.vmid, user, body, vm=vm)

    async def _do_stop(self, vm: FakeVm, user: str, p: Values) -> str:
        if not p.get("skiplock"):
            self._check_lock(vm)
        if vm.ha_managed:
            return await self.ha_power(vm, user, "stopped")

        async def body() -> None:
            if vm.status == "running":
                await self.power_off(vm)

        return await self.task(vm.node, "qmstop", vm.vmid, user, body, vm=vm)

    async def _do_shutdown(self, vm: FakeVm, user: str, p: Values) -> str:
        self._need_running(vm)
        self._check_lock(vm)
        if vm.ha_managed:
            return await self.ha_power(vm, user, "stopped")

        async def body() -> str | None:
            return await self.shut_down(vm, self._shutdown_timeout(p), force=bool(p.get("forceStop")))

        return await self.task(vm.node, "qmshutdown", vm.vmid, user, body, vm=vm)

    async def _do_reboot(self, vm: FakeVm, user: str, p: Values) -> str:
        self._need_running(vm)
        self._check_lock(vm)

        async def body() -> None:
            await self.shut_down(vm, self._shutdown_timeout(p), force=False)
            await self.power_on(vm)

        return await self.task(vm.node, "qmreboot", vm.vmid, user, body, vm=vm)

    async def _do_reset(self, vm: FakeVm, user: str, _p: Values) -> str:
        self._need_running(vm)
        self._check_lock(vm)

        async def body() -> None:
            guest = self.guest_of(vm)
            if guest is not None:
                await guest.stop()
                await guest.boot()

        return await self.task(vm.node, "qmreset", vm.vmid, user, body, vm=vm)

    def _shutdown_timeout(self, p: Values) -> float:
        return float(p.get("timeout") or self.shutdown_default_timeout)

    async def ha_power(self, vm: FakeVm, user: str, state: str) -> str:
        """Hand a power change of a managed server to :class:`lab.datacenter.ha.HighAvailability`."""
        raise NotImplementedError

    # ------------------------------------------------------------ whole house

    async def boot_all(self) -> list[str]:
        """Boot the guests of the servers that were on when the lab ended; returns what failed, one sentence each."""
        failed: list[str] = []

        async def one(vm: Any) -> None:
            try:
                await self.power_on(vm)
            except TaskError as error:
                self._set_power(vm, "stopped")
                failed.append(f"{vm.name}: {error}")

        await asyncio.gather(*(one(vm) for vm in list(self.vms) if vm.status == "running"))
        return failed

    async def stop_all(self) -> None:
        """Take every guest off the machine, the power states kept for the next start."""
        await asyncio.gather(*(guest.stop() for guest in self.guests.values()), return_exceptions=True)
