# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest agent: it answers while the guest's operating system runs, and says what that one reports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fakepve.model import PveError

from lab.datacenter import hardware
from lab.datacenter.lifecycle import Lifecycle

if TYPE_CHECKING:
    from lab.guests import AgentReport

__all__ = ["Agent"]

COMMANDS = (
    "guest-ping",
    "guest-info",
    "guest-get-osinfo",
    "guest-get-host-name",
    "guest-get-time",
    "guest-get-vcpus",
    "guest-get-fsinfo",
    "guest-network-get-interfaces",
    "guest-shutdown",
)


class Agent(Lifecycle):
    """The agent's commands, answered from the guest's own report."""

    async def _agent_call(self, match: Any, values: dict[str, Any]) -> Any:
        vm = self.find(values["node"], values["vmid"])
        command = match.template.rsplit("/", 1)[1]
        enabled = str(vm.config.get("agent", "0")).split(",")[0].rpartition("=")[2]
        if enabled != "1":
            raise PveError(500, "No QEMU guest agent configured")
        if vm.status != "running":
            raise PveError(500, f"VM {vm.vmid} is not running")
        guest = self.guest_of(vm)
        report = await guest.agent() if guest is not None and not vm.agent_hangs else None
        if guest is None or report is None:
            raise PveError(500, "QEMU guest agent is not running")
        if command == "shutdown":
            await self.shut_down(vm, self.shutdown_default_timeout, force=False)
            return {"result": None}
        return {"result": self._agent_result(command, report, vm.config)}

    @staticmethod
    def _agent_result(command: str, report: AgentReport, config: dict[str, Any]) -> Any:
        if command == "ping":
            return {}
        if command == "info":
            supported = [{"name": name, "enabled": True, "success-response": True} for name in COMMANDS]
            return {"version": "9.0.0", "supported_commands": supported}
        if command == "get-osinfo":
            return dict(report.osinfo)
        if command == "get-host-name":
            return {"host-name": report.hostname}
        if command == "network-get-interfaces":
            return [dict(item) for item in report.interfaces]
        if command == "get-fsinfo":
            return [dict(item) for item in report.filesystems]
        if command == "get-time":
            return time.time_ns()
        if command == "get-vcpus":
            return [{"logical-id": n, "online": True, "can-offline": n > 0} for n in range(hardware.cpus(config))]
        raise PveError(501, f"the lab does not simulate the guest agent's command '{command}'")
