# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create and keep a server of the datacenter as declared."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: server
short_description: Create a server in the datacenter and keep it as declared
version_added: 0.1.0
author: Contributors to cnosf.infogerance (@cnosf)
description:
  - Creates a server as a full copy of a template, and brings an existing one to the declared size, labels, networks,
    place, protection and power.
  - Never shrinks a server, never replaces it, never removes a disk or a network that is not declared.
  - Reads the state again after every task of the engine, and fails when the engine reports success and nothing changed.
  - A run that was killed is continued by the next one. Of two runs on one server at the same moment, one works and the
    other says so.
  - What is not declared stays as it is.
options:
  name:
    description: Name of the server, as DNS takes it. It must be unique in the datacenter.
    type: str
    required: true
  state:
    description:
      - V(present) leaves the power as it is; a new server stays off.
      - V(started) and V(stopped) also switch it on or off.
      - V(absent) deletes it with its disks, and needs O(force).
    type: str
    choices: [present, started, stopped, absent]
    default: present
  functions:
    description:
      - What the server does for the estate, as the labels C(function-<name>); the inventory groups by them.
      - Each must be known to O(contract) or O(known_functions) when one of these is given.
    type: list
    elements: str
  known_functions:
    description: Functions that exist in the estate besides those that O(contract) covers.
    type: list
    elements: str
    default: []
  system:
    description:
      - Operating system, as the label C(system-<name>).
      - A new server is copied from the template that carries the same label or is named C(tpl-<name>) with dashes.
    type: str
  template:
    description: Name of the template of a new server, when O(system) does not tell.
    type: str
  cpus:
    description: Virtual CPUs.
    type: int
  memory_gib:
    description: Memory in GiB.
    type: float
  disks:
    description:
      - Disks, the boot disk first. Disks of the server beyond this list stay.
    type: list
    elements: dict
    default: []
    suboptions:
      size_gib:
        description: Size in GiB. A disk is grown to it and never shrunk.
        type: int
        required: true
      storage:
        description: Storage of a disk that has to be added; by default O(storage), else that of the boot disk.
        type: str
  networks:
    description: Interfaces in their order. Interfaces of the server beyond this list stay.
    type: list
    elements: dict
    default: []
    suboptions:
      bridge:
        description: Network that the interface is plugged into.
        type: str
        required: true
      vlan:
        description: VLAN number; untagged when it is not given.
        type: int
      address:
        description: Address with its prefix length that the server takes at its first boot, or V(dhcp).
        type: str
      gateway:
        description: Default gateway.
        type: str
      model:
        description: Emulated card; V(virtio) for a new interface when the template has none.
        type: str
      mac:
        description: Hardware address; drawn by the engine when it is not given.
        type: str
  dns_servers:
    description: Resolvers given at the first boot.
    type: list
    elements: str
  dns_domain:
    description: Search domain given at the first boot.
    type: str
  admin_user:
    description: Account created at the first boot.
    type: str
  ssh_keys:
    description: Public keys of O(admin_user).
    type: list
    elements: str
  site:
    description:
      - Site of the server, as the label C(site-<name>).
      - When O(sites) says which hosts a site has, the server is also created there, or moved there unless the
        high-availability manager places it.
    type: str
  node:
    description: Physical host of the server. Leave it out to let the module choose one of O(site).
    type: str
  storage:
    description: Storage for the disks of a new server; by default those of the template.
    type: str
  pool:
    description: Resource pool of a new server.
    type: str
  tags:
    description: Labels besides those of functions, site and system. Other labels of the server stay.
    type: list
    elements: str
    default: []
  protected:
    description: Whether the engine refuses to delete the server.
    type: bool
  description:
    description: Free text.
    type: str
  contract:
    description:
      - The contract's data, of which C(floors) says the least that a server of certain functions must have.
      - A declaration below it is refused with the number of the article.
    type: dict
  force:
    description: Allows O(state=absent), and cutting the power of a guest that does not shut down in time.
    type: bool
    default: false
  shutdown_timeout:
    description: Seconds that the guest has to shut down.
    type: int
    default: 300
  id_range:
    description: First and last number that new servers take. The number is drawn from the name.
    type: list
    elements: int
    default: [1000, 9999]
extends_documentation_fragment:
  - cnosf.infogerance.datacenter
  - cnosf.infogerance.datacenter.writing
attributes:
  check_mode:
    description: Stops after the plan, and predicts exactly what the run would do.
    support: full
  diff_mode:
    description: Shows the settings that the plan changes.
    support: full
seealso:
  - module: cnosf.infogerance.server_info
  - module: cnosf.infogerance.snapshot
"""

EXAMPLES = r"""
- name: Create the directory server and start it
  cnosf.infogerance.server:
    url: https://pve.example.org:8006
    token_id: provision@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    ca_file: /etc/infogerance/ca.pem
    sites: {pve1: paris, pve2: paris, pve3: lyon}
    contract: "{{ infogerance_contract }}"
    name: dc01
    functions: [domain_controller]
    system: windows_2022
    cpus: 2
    memory_gib: 16
    disks:
      - size_gib: 64
    networks:
      - bridge: vmbr0
        vlan: 42
        address: 10.42.0.11/24
        gateway: 10.42.0.1
    site: paris
    protected: true
    state: started

- name: Add a data disk of 512 GiB and memory to the database server
  cnosf.infogerance.server:
    url: https://pve.example.org:8006
    token_id: provision@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    name: sql01
    memory_gib: 48
    disks:
      - size_gib: 128
      - size_gib: 512
  register: sql01

- name: Delete a server that was used for a test
  cnosf.infogerance.server:
    url: https://pve.example.org:8006
    token_id: provision@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    name: test01
    state: absent
    force: true
"""

RETURN = r"""
server:
  description:
    - The server as it is after the run, with the keys that M(cnosf.infogerance.server_info) documents.
    - Empty in check mode for a server that does not exist yet, and after a deletion.
  returned: success
  type: dict
  sample: {id: "1042", name: dc01, power: "on", cpus: 2, memory_gib: 16.0, disk_gib: 64.0}
changes:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: One of C(create), C(configure), C(move), C(grow_disk), C(add_disk), C(start), C(stop), C(delete).
      type: str
    subject:
      description: What it was done to.
      type: str
    before:
      description: Settings before.
      type: dict
    after:
      description: Settings after.
      type: dict
reboot_required:
  description: Whether a setting waits for a restart of the server. C(server.pending) says which.
  returned: success
  type: bool
conformity:
  description: Whether the server has what the contract asks of its functions.
  returned: when O(contract) is given and the server exists
  type: dict
  sample:
    state: conform
    article: "3.1"
    floor: {cpus: 2, memory_gib: 16, disk_gib: 64}
    shortfalls: []
    unmeasured: []
article:
  description: Article of the contract that the declaration is below.
  returned: when it is refused for that
  type: str
  sample: "3.1"
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.arguments import CONNECTION, RULES, WRITING, run
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.declared import ensure

if TYPE_CHECKING:
    from collections.abc import Mapping

DISK = {"size_gib": {"type": "int", "required": True}, "storage": {"type": "str"}}
NETWORK = {
    "bridge": {"type": "str", "required": True},
    "vlan": {"type": "int"},
    "address": {"type": "str"},
    "gateway": {"type": "str"},
    "model": {"type": "str"},
    "mac": {"type": "str"},
}


def main() -> None:
    """Translate between Ansible and the library."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **WRITING,
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "started", "stopped", "absent"], "default": "present"},
            "functions": {"type": "list", "elements": "str"},
            "known_functions": {"type": "list", "elements": "str", "default": []},
            "system": {"type": "str"},
            "template": {"type": "str"},
            "cpus": {"type": "int"},
            "memory_gib": {"type": "float"},
            "disks": {"type": "list", "elements": "dict", "options": DISK, "default": []},
            "networks": {"type": "list", "elements": "dict", "options": NETWORK, "default": []},
            "dns_servers": {"type": "list", "elements": "str"},
            "dns_domain": {"type": "str"},
            "admin_user": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
            "site": {"type": "str"},
            "node": {"type": "str"},
            "storage": {"type": "str"},
            "pool": {"type": "str"},
            "tags": {"type": "list", "elements": "str", "default": []},
            "protected": {"type": "bool"},
            "description": {"type": "str"},
            "contract": {"type": "dict"},
            "force": {"type": "bool", "default": False},
            "shutdown_timeout": {"type": "int", "default": 300},
            "id_range": {"type": "list", "elements": "int", "default": [1000, 9999]},
        },
        supports_check_mode=True,
        **RULES,
    )

    def work(options: Mapping[str, Any]) -> dict[str, Any]:
        return ensure(options, check=module.check_mode, notify=module.warn)

    run(module, work)


if __name__ == "__main__":
    main()
