# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's files are read by its own pools and changed by nobody but where it is declared."""

from __future__ import annotations

import copy

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis import plan, rights
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.access import FULL, MODIFY, READ
from tests.unit.plugins.module_utils.iis.conftest import DECLARED, ROOT, declaration, observation

INTRANET, API = rights.pool_sid("intranet"), rights.pool_sid("api")


def held(declared):
    return {want.path: {ace.sid: ace.rights for ace in want.aces} for want in rights.wanted(declared)}


def test_a_pools_sid_is_the_one_that_windows_gives_it():
    """The SID of DefaultAppPool is the same on every server."""
    known = "S-1-5-82-3006700770-424185619-1745488364-794895919-4004696415"
    assert rights.pool_sid("DefaultAppPool") == rights.pool_sid("defaultapppool") == known


def test_pools_read_their_site_and_write_to_its_data_only():
    found = held(declaration())
    assert found[ROOT][INTRANET] == found[ROOT][API] == READ
    assert found[rf"{ROOT}\depots"][INTRANET] == found[rf"{ROOT}\depots"][API] == MODIFY
    assert set(found[ROOT].values()) == {FULL, READ}


def test_archives_wait_among_administrators():
    assert set(held(declaration())[r"C:\Sites\.staging"].values()) == {FULL}
    assert r"C:\Sites\.staging" not in held(declaration(releases=[]))


def test_a_folder_elsewhere_keeps_its_rights():
    assert not any("Vieux" in path for path in held(declaration()))


def test_without_exact_rights_what_others_have_stays(state):
    sites = copy.deepcopy(DECLARED["sites"])
    sites[0]["exact_rights"] = False
    declared = declaration(sites=sites)
    assert ROOT not in held(declared)
    state["rights"][2]["sddl"] = state["rights"][2]["sddl"].replace("D:P", "D:AI") + "(A;OICIID;FA;;;BU)"
    assert plan.plan(declared, observation(state), {})["rights"] == []


def test_a_folder_that_rights_make_is_not_made_twice():
    sites = copy.deepcopy(DECLARED["sites"])
    sites[0]["virtual_directories"].append({"path": "depots", "physical_path": rf"{ROOT}\depots"})
    found = observation(
        {"time": "2026-11-23T08:00:00Z", "build": 20348, "missing_folders": [rf"{ROOT}\depots", r"C:\Logs"]}
    )
    assert [item["path"] for item in plan.plan(declaration(sites=sites), found, {})["folders"]] == [r"C:\Logs"]
