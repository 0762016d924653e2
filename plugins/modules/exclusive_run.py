# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: exclusive_run
short_description: Hold a server for this run of Ansible
version_added: 0.1.0
description:
  - Fails when another run on this controller, of any user, works on the server; otherwise holds it until this run ends,
    however it ends.
  - Works on the controller alone; nothing is sent to the server.
  - A controller that runs each job in a container of its own (AWX) does not see the others; there, a job template that
    does not allow simultaneous jobs keeps them apart.
author:
  - Contributors to cnosf.infogerance (@cnosf)
options:
  server:
    description:
      - What tells the server apart on this controller.
      - By default its address, C(ansible_host), or else its name in the inventory.
    type: str
  folder:
    description:
      - Folder of the notes that runs leave for each other, writable by every user of the controller.
      - By default C(/run/lock), or else the system's folder for temporary files.
    type: path
attributes:
  action:
    description: An action plugin does the work, on the controller.
    support: full
  check_mode:
    description: A run in check mode writes nothing. It holds no server and waits for none.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: One run at a time on each server
  hosts: all:!localhost
  gather_facts: false
  tasks:
    - name: Hold the server
      cnosf.infogerance.exclusive_run:
      tags: always
"""

RETURN = r"""
msg:
  description: Which process of which user holds the server, and since when; or that check mode holds nothing.
  returned: failure, or in check mode
  type: str
  sample: >-
    10.42.0.13: another run works on it: process 4711 of claire, since 2026-11-23T21:40:12. This run changes nothing
    there. Let the other one end, then run again.
"""
