# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take, roll back to and remove snapshots of a server."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: snapshot
short_description: Take, roll back to and remove snapshots of a server
version_added: 0.1.0
author: Contributors to cnosf.infogerance (@cnosf)
description:
  - Takes a snapshot of a server, brings a server back to one, removes one by name or all above an age.
  - Reads the state again after every task of the engine, and fails when the engine reports success and nothing changed.
  - A snapshot is no backup. Remove it when what it was taken for has succeeded.
options:
  server:
    description: Name of the server.
    type: str
    required: true
  name:
    description: Name of the snapshot, 2 to 40 letters, digits, C(_) and C(-), starting with a letter.
    type: str
  state:
    description:
      - V(present) takes it unless there is one of that name.
      - V(rolled_back) brings the server back to it, each time it is run; needs O(force).
      - V(absent) removes it, or all that are older than O(older_than_days); needs O(force) when there is one to remove.
    type: str
    choices: [present, absent, rolled_back]
    default: present
  description:
    description: Free text of a new snapshot.
    type: str
  memory:
    description: Whether a new snapshot holds the memory of the running server.
    type: bool
    default: false
  older_than_days:
    description: With O(state=absent) and no O(name), the age in days above which snapshots are removed.
    type: float
  pattern:
    description: Names that O(older_than_days) applies to, as a shell pattern.
    type: str
    default: "*"
  start:
    description: Whether the server runs after a rollback; by default it does when it ran before.
    type: bool
  force:
    description: Allows removing snapshots, and losing what the server wrote since the snapshot it is rolled back to.
    type: bool
    default: false
extends_documentation_fragment:
  - cnosf.infogerance.datacenter
  - cnosf.infogerance.datacenter.writing
attributes:
  check_mode:
    description: Stops after the plan, and predicts exactly what the run would do.
    support: full
  diff_mode:
    description: Shows the snapshots that the plan takes, uses and removes.
    support: full
seealso:
  - module: cnosf.infogerance.server
"""

EXAMPLES = r"""
- name: Take a snapshot before patching
  cnosf.infogerance.snapshot:
    url: https://pve.example.org:8006
    token_id: provision@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    server: app01
    name: before_patching
    description: Before the maintenance window of November

- name: Bring the server back
  cnosf.infogerance.snapshot:
    url: https://pve.example.org:8006
    token_id: provision@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    server: app01
    name: before_patching
    state: rolled_back
    force: true

- name: Remove what was forgotten for more than a week
  cnosf.infogerance.snapshot:
    url: https://pve.example.org:8006
    token_id: provision@pve!ansible
    token_secret: "{{ vault_datacenter_token_secret }}"
    server: app01
    state: absent
    older_than_days: 7
    pattern: before_*
    force: true
"""

RETURN = r"""
snapshots:
  description: The snapshots of the server after the run, oldest first; in check mode, as they are.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    taken_at:
      description: When it was taken, in seconds since 1970, UTC.
      type: int
    description:
      description: Free text.
      type: str
    parent:
      description: Name of the snapshot it follows.
      type: str
    with_memory:
      description: Whether it holds the memory of the running server.
      type: bool
    unfinished:
      description: What was cut short while it was taken or removed; null for a good one.
      type: str
changes:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: One of C(create_snapshot), C(rollback_snapshot), C(delete_snapshot).
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
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.arguments import CONNECTION, RULES, WRITING, run
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.snapshots import ensure

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> None:
    """Translate between Ansible and the library."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **WRITING,
            "server": {"type": "str", "required": True},
            "name": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent", "rolled_back"], "default": "present"},
            "description": {"type": "str"},
            "memory": {"type": "bool", "default": False},
            "older_than_days": {"type": "float"},
            "pattern": {"type": "str", "default": "*"},
            "start": {"type": "bool"},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
        **RULES,
    )

    def work(options: Mapping[str, Any]) -> dict[str, Any]:
        return ensure(options, check=module.check_mode, notify=module.warn)

    run(module, work)


if __name__ == "__main__":
    main()
