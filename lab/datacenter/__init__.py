# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated datacenter: Proxmox VE's API with servers behind it that boot, answer and vanish.

fakepve judges each call by PVE's real schema; the classes here store what it only acknowledges, and refuse what the lab
does not model. They build on each other in one line: :class:`~lab.datacenter.base.Base`, power, configuration,
lifecycle, agent, migration, high availability, cluster, usage, store.
"""

from __future__ import annotations

from lab.datacenter.access import Access
from lab.datacenter.store import StateError, Store

__all__ = ["Datacenter", "StateError"]


class Datacenter(Access, Store):
    """The whole of it."""
