# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets Ansible's own loader import collections, before any test does: plugins are then found by their full names.

Property-based tests are judged by what they find, not by how fast a loaded machine draws examples. The other tests of
plugins are marked ``traced``: they decide the coverage (Makefile, ``unit``).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig
from hypothesis import HealthCheck, is_hypothesis_test, settings

PLUGINS = Path(__file__).with_name("plugins")

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(Path(__file__).parents[2] / ".collections")])


def pytest_collection_modifyitems(items):
    for item in items:
        if PLUGINS in item.path.parents and not is_hypothesis_test(item.obj):
            item.add_marker(pytest.mark.traced)
