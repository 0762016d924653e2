# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor of the contract: figures of article 3.1 as data, sums, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.contract.floor import (
    BELOW,
    CONFORM,
    UNCOVERED,
    UNKNOWN,
    Floor,
    Size,
    judge,
    known_functions,
    load,
    refuse_below,
    required,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ContractError, InputError

CONTRACT = Path(__file__).parents[4] / "inventories/production/group_vars/all/contract.yml"
WEB = Floor(("wordpress",), 4, 32, 128, "3.1")
SQL = Floor(("sql_server",), 4, 32, 512, "3.1")
PRINT = Floor(("print_server", "adsync"), 4, 16, 180, "3.2")

names = st.sampled_from(["a", "b", "c", "d", "e"])
floors = st.lists(
    st.builds(
        Floor,
        functions=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
        cpus=st.integers(1, 64),
        memory_gib=st.integers(1, 512),
        disk_gib=st.integers(1, 4096),
        article=st.sampled_from(["3.1", "4.5"]),
    ),
    max_size=5,
)
carried = st.sets(names)


def test_the_contracts_own_figures() -> None:
    """The table of article 3.1, copied from the CCTP by hand: role, CPU, RAM and HDD in the order it lists them."""
    contract = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))["infogerance_contract"]
    found = [(floor.functions, floor.cpus, floor.memory_gib, floor.disk_gib) for floor in load(contract)]
    assert found == [
        (("domain_controller",), 2, 16, 64),
        (("print_server", "adsync"), 4, 16, 180),
        (("sql_server",), 4, 32, 512),
        (("iis",), 4, 32, 256),
        (("wordpress",), 4, 32, 128),
        (("ans_exchange",), 2, 16, 64),
    ]
    assert {floor.article for floor in load(contract)} == {"3.1"}
    licences = contract["antivirus_licences"]
    assert sum(population["licences"] for population in licences["populations"]) == licences["total"] == 43
    assert all(
        population["people"] * population["licences_each"] == population["licences"]
        for population in licences["populations"]
    )
    figures = [entry for name, entry in contract.items() if name not in {"procedure", "floors"}]
    assert all(entry["article"] for entry in figures)
    assert contract["penalties"]["percent_per_point"] is None


def test_known_functions() -> None:
    assert known_functions([WEB, PRINT]) == ["adsync", "print_server", "wordpress"]


@pytest.mark.parametrize(
    ("functions", "figures", "article"),
    [
        (["wordpress"], (4, 32, 128), "3.1"),
        (["adsync"], (4, 16, 180), "3.2"),
        (["adsync", "print_server"], (4, 16, 180), "3.2"),
        (["adsync", "wordpress", "other"], (8, 48, 308), "3.1, 3.2"),
    ],
)
def test_required(functions: list[str], figures: tuple[int, int, int], article: str) -> None:
    floor = required([WEB, SQL, PRINT], functions)
    assert floor is not None
    assert (floor.cpus, floor.memory_gib, floor.disk_gib) == figures
    assert floor.article == article


@pytest.mark.parametrize(
    ("size", "state", "short", "unmeasured"),
    [
        (Size(4, 32, 128), CONFORM, [], []),
        (Size(8, 64, 256), CONFORM, [], []),
        (Size(4, 32, None), UNKNOWN, [], ["disk_gib"]),
        (Size(None, None, None), UNKNOWN, [], ["cpus", "memory_gib", "disk_gib"]),
        (Size(1, 32, None), BELOW, ["1 CPU, and article 3.1 of the contract asks for at least 4"], ["disk_gib"]),
        (
            Size(3, 31.5, 127.9),
            BELOW,
            [
                "3 CPUs, and article 3.1 of the contract asks for at least 4",
                "31.5 GiB of memory, and article 3.1 of the contract asks for at least 32",
                "127.9 GiB of disk, and article 3.1 of the contract asks for at least 128",
            ],
            [],
        ),
    ],
)
def test_judge(size: Size, state: str, short: list[str], unmeasured: list[str]) -> None:
    found = judge([WEB], ["wordpress"], size).as_dict()
    assert found == {
        "state": state,
        "article": "3.1",
        "floor": {"cpus": 4, "memory_gib": 32, "disk_gib": 128},
        "shortfalls": short,
        "unmeasured": unmeasured,
    }


def test_what_no_floor_covers_is_neither_conform_nor_below() -> None:
    assert judge([WEB], ["bastion"], Size(1, 1, 1)).as_dict() == {
        "state": UNCOVERED,
        "article": None,
        "floor": None,
        "shortfalls": [],
        "unmeasured": [],
    }
    refuse_below([WEB], "bastion01", ["bastion"], Size(1, 1, 1))


def test_refuse_below_names_server_figures_and_articles() -> None:
    with pytest.raises(ContractError) as refused:
        refuse_below([WEB, PRINT], "one01", ["adsync", "wordpress"], Size(8, 32, 100))
    assert str(refused.value) == (
        "server one01 (adsync, wordpress) would have 32 GiB of memory, and article 3.1, 3.2 of the contract asks "
        "for at least 48; 100 GiB of disk, and article 3.1, 3.2 of the contract asks for at least 308."
    )
    assert refused.value.article == "3.1, 3.2"


@given(floors, carried, carried)
def test_more_functions_never_need_less(known: list[Floor], some: set[str], more: set[str]) -> None:
    less, all_of_them = required(known, some), required(known, some | more)
    if less is not None:
        assert all_of_them is not None
        assert all_of_them.cpus >= less.cpus
        assert all_of_them.memory_gib >= less.memory_gib
        assert all_of_them.disk_gib >= less.disk_gib


@given(floors, carried)
def test_the_floor_itself_conforms_and_one_less_does_not(known: list[Floor], functions: set[str]) -> None:
    floor = required(known, functions)
    if floor is None:
        assert judge(known, functions, Size(1, 1, 1)).state == UNCOVERED
        return
    exact = Size(floor.cpus, floor.memory_gib, floor.disk_gib)
    assert judge(known, functions, exact).state == CONFORM
    for less in (
        Size(floor.cpus - 1, floor.memory_gib, floor.disk_gib),
        Size(floor.cpus, floor.memory_gib - 0.5, floor.disk_gib),
        Size(floor.cpus, floor.memory_gib, floor.disk_gib - 0.5),
    ):
        found = judge(known, functions, less)
        assert (found.state, len(found.shortfalls)) == (BELOW, 1)


@given(floors, carried, st.integers(0, 64), st.integers(0, 512), st.integers(0, 4096))
def test_growing_never_makes_a_server_less_conform(
    known: list[Floor], functions: set[str], cpus: int, memory: int, disk: int
) -> None:
    before = judge(known, functions, Size(cpus, memory, disk))
    after = judge(known, functions, Size(cpus + 1, memory + 1, disk + 1))
    assert len(after.shortfalls) <= len(before.shortfalls)


GOOD: dict[str, Any] = {"functions": ["wordpress"], "cpus": 4, "memory_gib": 32, "disk_gib": 128, "article": "3.1"}


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({}, "The contract has no list 'floors'"),
        ({"floors": {}}, "The contract has no list 'floors'"),
        ({"floors": ["x"]}, "contract: floor 1 is no mapping"),
        ({"floors": [{**GOOD, "functions": []}]}, "contract: floor 1: 'functions' must list at least one function."),
        ({"floors": [{**GOOD, "functions": "wordpress"}]}, "'functions' must list at least one function."),
        ({"floors": [{**GOOD, "article": 3.1}]}, "'article' must be text, in quotes: \"3.1\"."),
        ({"floors": [{**GOOD, "cpus": 0}]}, "(wordpress): 'cpus' must be a number above zero, not 0."),
        ({"floors": [{**GOOD, "memory_gib": "32"}]}, "'memory_gib' must be a number above zero, not '32'."),
        ({"floors": [{**GOOD, "disk_gib": True}]}, "'disk_gib' must be a number above zero, not True."),
        ({"floors": [GOOD, GOOD]}, "contract: floors 1 and 2 both cover the function 'wordpress': keep one."),
    ],
)
def test_load_refuses(contract: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        load(contract)
    assert message in str(refused.value)
