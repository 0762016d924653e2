# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster shows of itself: resources, nodes, networks, tasks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakepve.server import USER, ok
from fakepve.shapes import FINGERPRINT

from lab.datacenter import hardware
from lab.datacenter.ha import HighAvailability

if TYPE_CHECKING:
    from fakepve.server import FakeVm

    from lab.datacenter.base import Values

__all__ = ["Cluster"]

GIB = 1024**3
# What a node needs for itself.
NODE_OWN_MEMORY = 6 * GIB
NODE_DISK = 96 * GIB


class Cluster(HighAvailability):
    """Lists and statuses, with figures that follow from the servers there are."""

    def _routes_lab_cluster(self) -> list[tuple[str, str, Any]]:
        node = "/nodes/{node}"
        return [
            ("GET", "/cluster/tasks", self._cluster_tasks),
            ("GET", f"{node}/status", self._node_status),
            ("GET", f"{node}/version", self._node_version),
            ("GET", f"{node}/network", self._node_network),
        ]

    # ------------------------------------------------------------------ usage

    def node_stats(self, name: str) -> Values:
        """Live figures of an online node, in bytes and seconds, as /cluster/resources words them."""
        node = self.settings.node(name)
        here = [vm for vm in self.vms if vm.node == name and vm.status == "running"]
        memory = NODE_OWN_MEMORY + sum(self._vm_usage(vm)["memhost"] for vm in here)
        busy = sum(self._vm_usage(vm)["cpu"] * hardware.cpus(vm.config) for vm in here)
        return {
            "cpu": round(0.01 + busy / node.cpus, 6),
            "maxcpu": node.cpus,
            "mem": memory,
            "maxmem": node.memory_gib * GIB,
            "disk": 9 * GIB,
            "maxdisk": NODE_DISK,
            "uptime": int(time.time() - self.started),
        }

    def _node_item(self, name: str) -> Values:
        online = self.nodes[name]["online"]
        item: Values = {
            "id": f"node/{name}",
            "type": "node",
            "node": name,
            "status": "online" if online else "offline",
            "level": "",
        }
        return {**item, **self.node_stats(name)} if online else item

    async def _nodes(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"data": [{**self._node_item(name), "ssl_fingerprint": FINGERPRINT} for name in sorted(self.nodes)]},
        )

    async def _resources(self, request: web.Request) -> web.Response:
        """GET /cluster/resources: what the caller may see of servers, nodes and storages."""
        self._verify(request, dict(request.query))
        kind, user = request.query.get("type"), request[USER]
        data: list[Values] = []
        if kind in (None, "vm"):
            data += [self._vm_item(vm) for vm in self.vms if self.allowed(user, f"/vms/{vm.vmid}", "VM.Audit")]
        if kind in (None, "node"):
            data += [self._node_item(name) for name in sorted(self.nodes)]
        if kind in (None, "storage"):
            for node in sorted(self.nodes):
                data += [self._storage_item(node, name) for name in self.storages if self._can_audit(user, name)]
        return web.json_response({"data": data})

    def _vm_item(self, vm: FakeVm) -> Values:
        online = self.nodes[vm.node]["online"]
        item: Values = {
            "id": vm.guest,
            "type": "qemu",
            "node": vm.node,
            "name": vm.name,
            "vmid": vm.vmid,
            "status": vm.status if online else "unknown",
            "template": 1 if vm.template else 0,
            **self._vm_usage(vm),
        }
        optional = {
            "tags": vm.config.get("tags"),
            "lock": vm.lock,
            "pool": vm.pool,
            "hastate": vm.ha_state,
        }
        return item | {key: value for key, value in optional.items() if value}

    def _storage_item(self, node: str, name: str) -> Values:
        store = self.storages[name]
        total, used, _free = self._space(store)
        online = self.nodes[node]["online"] and store.get("active", 1)
        return {
            "id": f"storage/{node}/{name}",
            "type": "storage",
            "node": node,
            "storage": name,
            "plugintype": store["type"],
            "content": store["content"],
            "shared": 1 if store.get("shared") else 0,
            "status": "available" if online else "unknown",
            "disk": used if online else 0,
            "maxdisk": total if online else 0,
        }

    # ------------------------------------------------------------------ nodes

    async def _node_status(self, v: Values, _user: str) -> Values:
        stats = self.node_stats(v["node"])
        free = stats["maxmem"] - stats["mem"]
        load = f"{stats['cpu'] * stats['maxcpu']:.2f}"
        return {
            "uptime": stats["uptime"],
            "cpu": stats["cpu"],
            "wait": 0.0,
            "idle": 0,
            "loadavg": [load, load, load],
            "cpuinfo": {"cpus": stats["maxcpu"], "cores": stats["maxcpu"] // 2, "sockets": 1, "model": "lab", "mhz": 0},
            "memory": {"total": stats["maxmem"], "used": stats["mem"], "free": free, "available": free},
            "rootfs": {
                "total": stats["maxdisk"],
                "used": stats["disk"],
                "avail": stats["maxdisk"] - stats["disk"],
                "free": stats["maxdisk"] - stats["disk"],
            },
            "swap": {"total": 0, "used": 0, "free": 0},
            "pveversion": f"pve-manager/{self.version}/lab",
            "kversion": "Linux lab",
            "current-kernel": {"machine": "x86_64", "release": "lab", "sysname": "Linux", "version": "lab"},
            "boot-info": {"mode": "efi", "secureboot": 0},
        }

    async def _node_version(self, _v: Values, _user: str) -> Values:
        return {"version": self.version, "release": self.release_version, "repoid": "lab"}

    async def _node_network(self, v: Values, _user: str) -> list[Values]:
        kind = v.get("type")
        if kind not in (None, "bridge", "any_bridge", "any_local_bridge", "include_sdn"):
            return []
        return [
            {
                "iface": bridge,
                "type": "bridge",
                "active": 1,
                "autostart": 1,
                "bridge_ports": "",
                "bridge_vlan_aware": 1,
                "method": "manual",
                "method6": "manual",
                "families": ["inet"],
                "priority": 10 + index,
            }
            for index, bridge in enumerate(self.settings.node(v["node"]).bridges)
        ]

    async def _cluster_tasks(self, _v: Values, user: str) -> list[Values]:
        visible = [
            task
            for task in self.tasklog
            if self._task_owner(user, task) or self.allowed(user, f"/nodes/{task['node']}", "Sys.Audit")
        ]
        return [self._task_view(task, listing=True) for task in reversed(visible[-100:])]

    async def _version(self, _request: web.Request) -> web.Response:
        response: web.Response = ok({"version": self.version, "release": self.release_version, "repoid": "lab"})
        return response
