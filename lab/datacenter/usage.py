# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live figures and their history: plausible, repeatable, and true about when a server was on."""

from __future__ import annotations

import math
import time
import zlib
from typing import TYPE_CHECKING, Any

from lab.datacenter import hardware
from lab.datacenter.cluster import Cluster

if TYPE_CHECKING:
    from fakepve.server import FakeVm

    from lab.datacenter.base import Values

__all__ = ["TIMEFRAMES", "Usage"]

MIB = 1024**2
DAY = 86_400
# Proxmox VE 9: (resolution in seconds, points) of each series.
TIMEFRAMES = {"hour": (60, 60), "day": (60, 1440), "week": (1800, 336), "month": (21_600, 124), "year": (604_800, 53)}
CHANGES_KEPT = 5000


def noise(*parts: object) -> float:
    """A number from 0 to 1 that depends on the parts alone, so that a figure asked twice is the same twice."""
    return zlib.crc32(":".join(map(str, parts)).encode()) / 0xFFFFFFFF


def daily(moment: float) -> float:
    """The rhythm of an office: 0 at night, 1 in the early afternoon (UTC)."""
    return max(0.0, math.sin((moment % DAY / DAY - 0.29) * 2 * math.pi))


class Usage(Cluster):
    """What a server uses, now and before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing was ever on."""
        super().__init__(*args, **kwargs)
        self.power_log: dict[int, list[tuple[float, bool]]] = {}

    def _routes_lab_usage(self) -> list[tuple[str, str, Any]]:
        return [
            ("GET", "/nodes/{node}/qemu/{vmid}/rrddata", self._vm_series),
            ("GET", "/nodes/{node}/rrddata", self._node_series),
            ("GET", "/nodes/{node}/storage/{storage}/rrddata", self._storage_series),
        ]

    def note_power(self, vmid: int, *, on: bool) -> None:
        """Remember that a server is on or off from now."""
        log = self.power_log.setdefault(vmid, [])
        if not log or log[-1][1] != on:
            log.append((time.time(), on))
            del log[:-CHANGES_KEPT]

    def _forget(self, vmid: int) -> None:
        super()._forget(vmid)
        self.power_log.pop(vmid, None)

    def was_on(self, vmid: int, moment: float) -> bool:
        """Whether the server was on at this time (seconds since the epoch)."""
        state = False
        for changed, on in self.power_log.get(vmid, []):
            if changed > moment:
                break
            state = on
        return state

    # ------------------------------------------------------------------- now

    def _figures(self, vm: FakeVm, moment: float) -> Values:
        """What a running server uses at a time: fractions, bytes, bytes per second."""
        minute = int(moment // 60)
        memory = hardware.memory_mib(vm.config) * MIB
        share = 0.35 + 0.2 * noise(vm.vmid) + 0.05 * noise(vm.vmid, minute, "mem")
        work = 0.01 + 0.12 * daily(moment) * noise(vm.vmid, "cpu") + 0.03 * noise(vm.vmid, minute, "cpu")
        return {
            "cpu": round(work, 6),
            "mem": int(memory * share),
            "memhost": int(memory * min(1.0, share + 0.1)),
            "diskread": int(200_000 * noise(vm.vmid, minute, "read")),
            "diskwrite": int(120_000 * noise(vm.vmid, minute, "write")),
            "netin": int(60_000 * noise(vm.vmid, minute, "in")),
            "netout": int(40_000 * noise(vm.vmid, minute, "out")),
        }

    def _vm_usage(self, vm: FakeVm) -> Values:
        running = vm.status == "running" and self.nodes[vm.node]["online"]
        now = time.time()
        disks = hardware.disks(vm.config)
        uptime = int(now - vm.started_at) if running and vm.started_at else 0
        usage: Values = {
            "disk": 0,  # PVE knows no use of a virtual machine's disk
            "maxdisk": disks[0].size if disks else 0,
            "maxmem": hardware.memory_mib(vm.config) * MIB,
            "maxcpu": hardware.cpus(vm.config),
            "uptime": uptime,
        }
        if not running:
            return usage | dict.fromkeys(
                ("cpu", "mem", "memhost", "diskread", "diskwrite", "netin", "netout"),
                0,
            )
        figures = self._figures(vm, now)
        for counter in ("diskread", "diskwrite", "netin", "netout"):
            figures[counter] = int(figures[counter] * uptime)  # live calls give totals since the start
        return usage | figures

    # ---------------------------------------------------------------- history

    @staticmethod
    def _moments(timeframe: str) -> list[int]:
        step, points = TIMEFRAMES[timeframe]
        last = int(time.time()) // step * step
        return [last - step * (points - 1 - index) for index in range(points)]

    async def _vm_series(self, v: Values, _user: str) -> list[Values]:
        vm = self.find(v["node"], v["vmid"])
        fixed = {
            "maxcpu": hardware.cpus(vm.config),
            "maxmem": hardware.memory_mib(vm.config) * MIB,
            "maxdisk": self._vm_usage(vm)["maxdisk"],
        }
        known_since = self.power_log.get(vm.vmid, [(math.inf, False)])[0][0]
        series: list[Values] = []
        for moment in self._moments(v["timeframe"]):
            point: Values = {"time": moment}
            if moment >= known_since:
                point |= fixed
                if self.was_on(vm.vmid, moment):
                    point |= self._figures(vm, moment) | {"disk": 0}
            series.append(point)
        return series

    async def _node_series(self, v: Values, _user: str) -> list[Values]:
        name = v["node"]
        stats = self.node_stats(name)
        series = []
        for moment in self._moments(v["timeframe"]):
            point: Values = {"time": moment}
            if moment >= self.started:
                point |= {
                    "cpu": round(stats["cpu"] * (0.9 + 0.2 * noise(name, moment)), 6),
                    "maxcpu": stats["maxcpu"],
                    "memused": stats["mem"],
                    "memtotal": stats["maxmem"],
                    "rootused": stats["disk"],
                    "roottotal": stats["maxdisk"],
                    "netin": int(300_000 * noise(name, moment, "in")),
                    "netout": int(200_000 * noise(name, moment, "out")),
                    "iowait": round(0.002 * noise(name, moment, "io"), 6),
                    "loadavg": round(stats["cpu"] * stats["maxcpu"], 2),
                }
            series.append(point)
        return series

    async def _storage_series(self, v: Values, _user: str) -> list[Values]:
        total, used, _free = self._space(self._active_store(v["storage"], v["node"]))
        return [
            {"time": moment, **({"total": total, "used": used} if moment >= self.started else {})}
            for moment in self._moments(v["timeframe"])
        ]
