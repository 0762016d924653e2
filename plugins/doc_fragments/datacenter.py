# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that everything which talks to the datacenter's API shares."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the connection to the datacenter's API, and of waiting for locks."""

    DOCUMENTATION = r"""
options:
  engine:
    description: What runs the datacenter.
    type: str
    choices: [proxmox]
    default: proxmox
  url:
    description: Address of the API, for example C(https://pve.example.org:8006).
    type: str
    required: true
  token_id:
    description:
      - Name of an API token, written C(user@realm!name).
      - Needs the privileges VM.Audit, Datastore.Audit and Sys.Audit to read; VM.GuestAgent.Audit to ask guest agents;
        VM.Allocate, VM.Clone, VM.Config.*, VM.PowerMgmt, VM.Migrate, Datastore.AllocateSpace and SDN.Use to provision;
        VM.Snapshot and VM.Snapshot.Rollback for snapshots.
    type: str
  token_secret:
    description: Secret of the token.
    type: str
  user:
    description: User with its realm, when no token is given.
    type: str
  password:
    description: Password of O(user).
    type: str
  ca_file:
    description:
      - PEM file of the authority that signed the API's certificate.
      - It alone is trusted, whatever E(REQUESTS_CA_BUNDLE) and E(SSL_CERT_FILE) say. Without it, the authorities of the
        system apply.
    type: path
  validate_certs:
    description: Whether the API's certificate is verified. Switching it off is for a first look at a new datacenter.
    type: bool
    default: true
  timeout:
    description: Seconds that one answer of the API may take.
    type: int
    default: 30
  sites:
    description: Site of each physical host, by host name.
    type: dict
    default: {}
requirements:
  - proxmoxer >= 2.0
  - urllib3 >= 2.0
"""

    WRITING = r"""
options:
  lock_timeout:
    description:
      - Seconds to wait for a server that another operation locks, a backup for example.
      - The module warns what it waits for, and fails naming the lock when the time is up.
    type: int
    default: 300
  task_timeout:
    description: Seconds that one task of the engine may take.
    type: int
    default: 3600
"""
