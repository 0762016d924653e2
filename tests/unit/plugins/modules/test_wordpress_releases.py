# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once on one server: one wins, the other says so."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError
from ansible_collections.cnosf.infogerance.plugins.modules import wordpress_releases


def test_the_second_of_two_runs_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(wordpress_releases, "LOCK", tmp_path / "lock")
    with wordpress_releases.alone(check=False):
        with pytest.raises(ConflictError, match="Another run is changing the sites of this server"):  # noqa: SIM117 -- the first lock is held meanwhile
            with wordpress_releases.alone(check=False):
                pass
        with wordpress_releases.alone(check=True):
            pass
    with wordpress_releases.alone(check=False):
        pass
