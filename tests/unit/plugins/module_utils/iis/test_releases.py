# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases: what must be done from any point at which a run was killed, where a site goes back to, and what stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis import releases
from tests.unit.plugins.module_utils.iis.conftest import OTHER, ROOT, SUM, converged, declaration, observation


def folder(name: str, *, unpacked: str = "", healthy: str = "", since: str = "") -> dict[str, str]:
    return {"name": name, "unpacked": unpacked, "healthy": healthy, "since": since}


def deployments(folders: list[dict[str, str]], current: str) -> list[dict[str, Any]]:
    state = converged()
    state["releases"][0]["folders"] = folders
    state["sites"][0]["physical_path"] = current
    return releases.deployments(declaration(), observation(state))


OLD = folder("0.9", unpacked=OTHER, healthy=OTHER, since="2026-11-10T08:00:00Z")
OLDER = folder("0.8", unpacked=OTHER, healthy=OTHER, since="2026-11-01T08:00:00Z")
LIVE_OLD = rf"{ROOT}\releases\0.9"
LIVE_NEW = rf"{ROOT}\releases\1.0"


@pytest.mark.parametrize(
    ("folders", "current", "steps", "previous"),
    [
        ([OLD], LIVE_OLD, {"unpack", "switch", "confirm"}, "0.9"),
        # Killed while unpacking: the remnant goes, and nothing of it was ever live.
        ([OLD, folder("1.0")], LIVE_OLD, {"remnant", "unpack", "switch", "confirm"}, "0.9"),
        # Killed between unpacking and switching.
        ([OLD, folder("1.0", unpacked=SUM)], LIVE_OLD, {"switch", "confirm"}, "0.9"),
        # Killed between switching and the health check.
        ([OLDER, OLD, folder("1.0", unpacked=SUM)], LIVE_NEW, {"confirm"}, "0.9"),
        # A site that somebody pointed to an old release.
        ([OLD, folder("1.0", unpacked=SUM, healthy=SUM)], LIVE_OLD, {"switch"}, "0.9"),
        # A site that somebody pointed elsewhere.
        ([OLD, folder("1.0", unpacked=SUM, healthy=SUM)], r"C:\Temp", {"switch"}, "0.9"),
        # The first release of a site.
        ([], rf"{ROOT}\empty", {"unpack", "switch", "confirm"}, ""),
        # What is served was never wholly unpacked: it is nothing to return to.
        ([folder("0.9")], LIVE_OLD, {"unpack", "switch", "confirm"}, ""),
    ],
)
def test_what_is_left_to_do(folders, current, steps, previous):
    (item,) = deployments(folders, current)
    assert {name for name in ("remnant", "unpack", "switch", "confirm") if item[name]} == steps
    assert item["previous"] == previous
    assert item["previous_folder"] == (rf"{ROOT}\releases\{previous}" if previous else rf"{ROOT}\empty")


def test_nothing_is_left_to_do():
    assert deployments([OLD, folder("1.0", unpacked=SUM, healthy=SUM)], LIVE_NEW.upper()) == []


def test_the_health_check_asks_this_very_server_by_the_sites_name():
    (item,) = deployments([], r"C:\Temp")
    assert item["health"]["url"] == "https://127.0.0.1:443/"
    assert item["health"]["host"] == "intranet.example"


names = st.sampled_from([f"v{number}" for number in range(8)])
folders_of = st.dictionaries(
    names,
    st.tuples(st.booleans(), st.booleans(), st.integers(10, 28)),
    max_size=8,
)


@given(folders_of, names, names, st.integers(2, 6))
def test_pruning_keeps_what_matters_and_comes_to_rest(found, wanted, current, keep):
    made = [
        folder(
            name,
            unpacked=SUM if whole else "",
            healthy=SUM if whole and sound else "",
            since=f"2026-11-{day}T08:00:00Z" if whole and sound else "",
        )
        for name, (whole, sound, day) in found.items()
    ]
    release = {"site": "intranet", "version": wanted, "source": "a.zip", "checksum": SUM, "keep": keep}
    declared = declaration(releases=[release])

    def surplus(folders: list[dict[str, str]], live: str) -> list[str]:
        state = converged()
        state["releases"][0]["folders"] = folders
        state["sites"][0]["physical_path"] = rf"{ROOT}\releases\{live}"
        return [item["path"] for item in releases.surplus(declared, observation(state))]

    gone = surplus(made, current)
    left = [entry for entry in made if rf"{ROOT}\releases\{entry['name']}" not in gone]
    there = {entry["name"] for entry in left}
    assert len(left) <= keep
    assert {wanted, current} & set(found) <= there, "the declared and the served release stay"
    assert surplus(left, current) == []
    # After the deployment the declared release is served and healthy: nothing more goes.
    after = [entry for entry in left if entry["name"] != wanted]
    after.append(folder(wanted, unpacked=SUM, healthy=SUM, since="2026-11-29T08:00:00Z"))
    kept = [path for path in surplus(after, wanted) if path.endswith(tuple(there))]
    healthy = {entry["name"] for entry in left if entry["healthy"]} | {wanted}
    assert not [path for path in kept if path.rpartition("\\")[2] in healthy]


def test_the_order_of_removal_leaves_no_healthy_mark_of_a_folder_that_is_half_gone():
    state = converged()
    state["releases"][0]["folders"] += [
        OLDER,
        folder("0.1", unpacked=OTHER, healthy=OTHER, since="2026-01-01T00:00:00Z"),
    ]
    gone = [item["path"] for item in releases.surplus(declaration(), observation(state))]
    path = rf"{ROOT}\releases\0.1"
    assert gone == [f"{path}.healthy", f"{path}.unpacked", path]
