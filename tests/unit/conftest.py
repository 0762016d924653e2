# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets Ansible's own loader import collections, before any test does: plugins are then found by their full names.

Property-based tests are judged by what they find, not by how fast a loaded machine draws examples.
"""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(Path(__file__).parents[2] / ".collections")])
