# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is declared: check mode predicts exactly the run, a second run writes nothing, and growth continues it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.lab.datacenter.conftest import Site
from tests.unit.plugins.datacenter.conftest import SITES, Estate

if TYPE_CHECKING:
    from collections.abc import Iterator

numbers = itertools.count(1)

declarations = st.fixed_dictionaries(
    {
        "system": st.sampled_from(["windows_2022", "ubuntu_2404", "debian_12"]),
        "state": st.sampled_from(["present", "started", "stopped"]),
        "disks": st.lists(st.fixed_dictionaries({"size_gib": st.integers(64, 200)}), max_size=3),
    },
    optional={
        "cpus": st.integers(1, 8),
        "memory_gib": st.integers(2, 64).map(lambda quarters: quarters / 4),
        "functions": st.lists(st.sampled_from(["wordpress", "iis", "sql_server"]), max_size=2, unique=True),
        "site": st.sampled_from(["paris", "lyon"]),
        "node": st.sampled_from(list(SITES)),
        "tags": st.lists(st.sampled_from(["dmz", "prod", "a.b+c"]), max_size=2, unique=True),
        "protected": st.booleans(),
        "description": st.sampled_from(["", "Serveur é", "two\nlines"]),
        "dns_servers": st.lists(st.sampled_from(["10.42.0.11", "10.42.0.12"]), max_size=2, unique=True),
        "networks": st.lists(
            st.fixed_dictionaries(
                {"bridge": st.sampled_from(["vmbr0", "vmbr1"]), "vlan": st.none() | st.integers(1, 4094)}
            ),
            max_size=2,
        ),
    },
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """One datacenter for all examples."""
    folder = tmp_path_factory.mktemp("converge")
    site = Site(folder)
    yield Estate(site, folder)
    site.close()


def converge(estate: Estate, options: dict[str, Any]) -> dict[str, Any]:
    """Check, run, and run again; answers the first run's result."""
    with estate.recording() as writes:
        predicted = estate.server(check=True, **options)
    assert writes == []
    done = estate.server(**options)
    assert done["changes"] == predicted["changes"]
    assert done["diff"] == predicted["diff"]
    assert done["changed"] is predicted["changed"]
    with estate.recording() as writes:
        again = estate.server(**options)
    assert (again["changes"], writes) == ([], [])
    return done


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=declarations, more=st.integers(0, 64))
def test_check_predicts_the_run_and_a_second_run_is_empty(shared: Estate, first: dict[str, Any], more: int) -> None:
    options = {"name": f"srv{next(numbers):04d}", **first}
    server = converge(shared, options)["server"]
    assert (server["power"] == "on") is (first["state"] == "started")
    grown = {
        **options,
        "cpus": server["cpus"] + more % 3,
        "memory_gib": server["memory_gib"] + more / 4,
        "disks": [{"size_gib": int(disk["size_gib"]) + more % 5} for disk in server["disks"]] + [{"size_gib": 5}],
    }
    after = converge(shared, grown)["server"]
    pending = after["pending"]
    assert pending.get("cpus", after["cpus"]) == grown["cpus"]
    assert pending.get("memory_gib", after["memory_gib"]) == grown["memory_gib"]
    assert [disk["size_gib"] for disk in after["disks"]] == [disk["size_gib"] for disk in grown["disks"]]
