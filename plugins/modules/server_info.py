# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read servers of the datacenter."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: server_info
short_description: Read servers of the datacenter
version_added: 0.1.0
author: Contributors to cnosf.infogerance (@cnosf)
description:
  - Reads size, place, live use, disks, networks, snapshots and what waits for a restart, of some or all servers.
  - What cannot be read of one server is in its RV(servers[].detail_error) and costs nothing to the others.
options:
  names:
    description: Names of the servers to read; all of them when it is not given. One that does not exist is an error.
    type: list
    elements: str
  tags:
    description: Read the servers that carry all of these labels only, written as the engine holds them.
    type: list
    elements: str
    default: []
  pool:
    description: Read the servers of this pool only.
    type: str
  details:
    description:
      - What to read of each server besides what the bulk call says.
      - V(config) gives disks, networks, protection and description; V(pending) what waits for a restart; V(agent) the
        addresses that the guest reports; V(snapshots) the snapshots.
    type: list
    elements: str
    choices: [config, pending, agent, snapshots]
    default: [config, pending, agent]
  workers:
    description: How many servers are read at once.
    type: int
    default: 16
  contract:
    description: The contract's data; with it, the result says whether each server has what the contract asks.
    type: dict
extends_documentation_fragment:
  - cnosf.infogerance.datacenter
attributes:
  check_mode:
    description: Reads only, in check mode too.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - module: cnosf.infogerance.server
"""

EXAMPLES = r"""
- name: Read the database server
  cnosf.infogerance.server_info:
    url: https://pve.example.org:8006
    token_id: inventory@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    names: [sql01]
    contract: "{{ infogerance_contract }}"
  register: found

- name: Stop when it has less than the contract asks
  ansible.builtin.assert:
    that: found.servers[0].conformity.state == 'conform'
    fail_msg: "{{ found.servers[0].conformity.shortfalls | join('; ') }}"
"""

RETURN = r"""
servers:
  description: The servers, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The engine's number of the server.
      type: str
    name:
      description: Its name.
      type: str
    power:
      description: One of C(on), C(off), C(suspended), C(unknown).
      type: str
    node:
      description: Physical host that carries it.
      type: str
    site:
      description: Its site, from O(sites) or from its label.
      type: str
    pool:
      description: Resource pool.
      type: str
    system:
      description: Operating system, from its label.
      type: str
    functions:
      description: What it does for the estate, from its labels.
      type: list
      elements: str
    tags:
      description: Other labels.
      type: list
      elements: str
    template:
      description: Whether it is a template.
      type: bool
    cpus:
      description: Virtual CPUs.
      type: int
    memory_gib:
      description: Memory in GiB.
      type: float
    disk_gib:
      description: Sum of the disks in GiB; null when they were not read.
      type: float
    root_disk_gib:
      description: Size of the boot disk in GiB.
      type: float
    disks:
      description: Disks with key, storage, volume, size_gib and backed_up; null when they were not read.
      type: list
      elements: dict
    networks:
      description: Interfaces with key, mac, model, bridge, vlan, address, gateway and addresses; null when not read.
      type: list
      elements: dict
    address:
      description: Address to reach it at, as given to it or as its agent reports.
      type: str
    os:
      description: The engine's word for the guest's system.
      type: str
    lock:
      description: Operation that locks it.
      type: str
    ha:
      description: State in the high-availability manager.
      type: str
    uptime_seconds:
      description: Seconds since it was started.
      type: int
    usage:
      description: Live use of processors, memory, disks and network.
      type: dict
    uuid:
      description: Identifier of the machine's firmware.
      type: str
    protected:
      description: Whether the engine refuses to delete it.
      type: bool
    description:
      description: Free text.
      type: str
    reboot_required:
      description: Whether a setting waits for a restart; null when it was not read.
      type: bool
    pending:
      description: Settings that wait for a restart, with the value that they will take.
      type: dict
    snapshots:
      description: Snapshots as M(cnosf.infogerance.snapshot) returns them; null when they were not asked.
      type: list
      elements: dict
    detail_error:
      description: Why a part could not be read.
      type: str
    conformity:
      description: Whether it has what the contract asks; only with O(contract).
      type: dict
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.arguments import CONNECTION, RULES, run
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.survey import survey

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> None:
    """Translate between Ansible and the library."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "names": {"type": "list", "elements": "str"},
            "tags": {"type": "list", "elements": "str", "default": []},
            "pool": {"type": "str"},
            "details": {
                "type": "list",
                "elements": "str",
                "choices": ["config", "pending", "agent", "snapshots"],
                "default": ["config", "pending", "agent"],
            },
            "workers": {"type": "int", "default": 16},
            "contract": {"type": "dict"},
        },
        supports_check_mode=True,
        **RULES,
    )

    def work(options: Mapping[str, Any]) -> dict[str, Any]:
        return {"changed": False, "servers": survey(options)}

    run(module, work)


if __name__ == "__main__":
    main()
