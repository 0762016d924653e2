# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example estate in a lab of the tests' own."""

from __future__ import annotations

import pytest

from tests.integration.support import REPOSITORY, Estate


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory):
    """The example estate on an empty lab that is removed afterwards."""
    found = Estate("integration", 2, REPOSITORY / "inventories" / "lab", tmp_path_factory.mktemp("estate"))
    found.lab("down", "--purge", check=False)
    found.lab("up")
    yield found
    found.lab("down", "--purge")
