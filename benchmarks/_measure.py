# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One measurement of the inventory benchmark: `python -m benchmarks._measure FILE PLUGIN` prints it as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, inventory_loader

COLLECTIONS = str(Path(__file__).resolve().parents[1] / ".collections")


def measure(file: str, plugin: str) -> dict[str, Any]:
    """Parse an inventory file; answer seconds, hosts, megabytes and the facts found of each host."""
    init_plugin_loader([COLLECTIONS])
    constants.INVENTORY_ENABLED = [plugin]
    inventory_loader.get(plugin)  # imports are not what is compared
    import_module("requests")
    before, started = time.perf_counter(), time.process_time()
    manager = InventoryManager(DataLoader(), sources=[file])
    seconds = time.perf_counter() - before
    processor = time.process_time() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    facts = {host.name: _facts(host.get_vars()) for host in manager.get_hosts() if host.name.startswith("srv")}
    return {"seconds": seconds, "processor": processor, "hosts": len(facts), "megabytes": megabytes, "facts": facts}


def _facts(variables: dict[str, Any]) -> dict[str, Any]:
    """Answer the facts that both plugins find, in one shape."""
    ours = variables.get("infogerance_server")
    if ours is not None:
        networks = ours.get("networks")
        return {
            "cpus": ours["cpus"],
            "power": {"on": "running"}.get(ours["power"]),
            "mac": networks and networks[0]["mac"],
            "disk": ours.get("disks") and f"{ours['disks'][0]['size_gib']:g}G",
            "addresses": networks and networks[0]["addresses"],
            "snapshots": ours.get("snapshots") and [snapshot["name"] for snapshot in ours["snapshots"]],
        }
    card = variables.get("proxmox_net0")
    agent = variables.get("proxmox_agent_interfaces")
    return {
        "cpus": variables.get("proxmox_cores") or variables.get("proxmox_maxcpu"),
        "power": variables.get("proxmox_status"),
        "mac": card and card["virtio"],
        "disk": card and variables["proxmox_scsi0"]["size"],
        "addresses": agent and [address.partition("/")[0] for address in agent[0]["ip-addresses"]],
        "snapshots": variables.get("proxmox_snapshots"),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
