# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The floor of the contract: the least that a server with certain functions must have, and whether one has it. Pure.

The figures are data (`infogerance_contract.floors`), each with the article it comes from. A server that carries the
functions of several entries needs them added up, since it replaces several servers. What could not be measured is
`unknown`, never conform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ContractError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONFORM, BELOW, UNKNOWN, UNCOVERED = "conform", "below", "unknown", "uncovered"


@dataclass(frozen=True)
class Floor:
    """The least that servers with certain functions must have.

    Attributes:
        functions: functions that it covers.
        cpus: virtual CPUs.
        memory_gib: memory in GiB.
        disk_gib: sum of the disks in GiB.
        article: article of the contract that says so.
    """

    functions: tuple[str, ...]
    cpus: int
    memory_gib: float
    disk_gib: float
    article: str


@dataclass(frozen=True)
class Size:
    """What a server has or shall have; None for what is not known."""

    cpus: int | None = None
    memory_gib: float | None = None
    disk_gib: float | None = None


@dataclass(frozen=True)
class Shortfall:
    """One figure that is below the floor.

    Attributes:
        what: `cpus`, `memory_gib` or `disk_gib`.
        has: the figure.
        needs: the floor.
        article: article of the contract that sets it.
    """

    what: str
    has: float
    needs: float
    article: str

    def sentence(self) -> str:
        """Answer what is short and which article asks for more."""
        cpus = "CPU" if self.has == 1 else "CPUs"
        words = {"cpus": cpus, "memory_gib": "GiB of memory", "disk_gib": "GiB of disk"}[self.what]
        return f"{self.has:g} {words}, and article {self.article} of the contract asks for at least {self.needs:g}"


@dataclass(frozen=True)
class Conformity:
    """Whether a server has what the contract asks.

    Attributes:
        state: `conform`, `below`, `unknown` (a figure could not be read) or `uncovered` (no floor for its functions).
        floor: the floor that applies, or None.
        shortfalls: the figures that are below it.
        unmeasured: names of the figures that could not be read.
    """

    state: str
    floor: Floor | None = None
    shortfalls: tuple[Shortfall, ...] = ()
    unmeasured: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Answer plain data for a host variable or a module's result."""
        return {
            "state": self.state,
            "article": self.floor.article if self.floor else None,
            "floor": None
            if self.floor is None
            else {name: getattr(self.floor, name) for name in ("cpus", "memory_gib", "disk_gib")},
            "shortfalls": [shortfall.sentence() for shortfall in self.shortfalls],
            "unmeasured": list(self.unmeasured),
        }


def load(contract: Mapping[str, Any]) -> list[Floor]:
    """Answer the floors of a contract's data.

    Args:
        contract: its `floors` lists mappings of `functions`, `cpus`, `memory_gib`, `disk_gib` and `article`.

    Raises:
        InputError: an entry lacks something, holds a figure that is no positive number, or names a function again.
    """
    entries = contract.get("floors")
    if not isinstance(entries, list):
        raise InputError("The contract has no list 'floors': see inventories/production/group_vars/all/contract.yml.")
    floors, seen = [], dict[str, int]()
    for number, entry in enumerate(entries, 1):
        floors.append(_floor(number, entry))
        for function in floors[-1].functions:
            if function in seen:
                raise InputError(
                    f"contract: floors {seen[function]} and {number} both cover the function {function!r}: keep one."
                )
            seen[function] = number
    return floors


def _floor(number: int, entry: Any) -> Floor:
    where = f"contract: floor {number}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no mapping: write functions, cpus, memory_gib, disk_gib and article.")
    functions, article = entry.get("functions"), entry.get("article")
    if not isinstance(functions, list) or not functions or not all(isinstance(item, str) for item in functions):
        raise InputError(f"{where}: 'functions' must list at least one function.")
    if not isinstance(article, str) or not article:
        raise InputError(f"{where}: 'article' must be text, in quotes: \"3.1\".")
    figures: dict[str, Any] = {}
    for name in ("cpus", "memory_gib", "disk_gib"):
        value = entry.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise InputError(f"{where} ({', '.join(functions)}): {name!r} must be a number above zero, not {value!r}.")
        figures[name] = value
    return Floor(functions=tuple(functions), article=article, **figures)


def known_functions(floors: Iterable[Floor]) -> list[str]:
    """Answer every function that the contract covers, sorted."""
    return sorted({function for floor in floors for function in floor.functions})


def required(floors: Iterable[Floor], functions: Iterable[str]) -> Floor | None:
    """Answer what a server with these functions must have: the floors they belong to, added up; None when none."""
    carried = set(functions)
    matching = [floor for floor in floors if carried & set(floor.functions)]
    if not matching:
        return None
    return Floor(
        functions=tuple(sorted(carried & {function for floor in matching for function in floor.functions})),
        cpus=sum(floor.cpus for floor in matching),
        memory_gib=sum(floor.memory_gib for floor in matching),
        disk_gib=sum(floor.disk_gib for floor in matching),
        article=", ".join(sorted({floor.article for floor in matching})),
    )


def judge(floors: Sequence[Floor], functions: Iterable[str], size: Size) -> Conformity:
    """Answer whether a server of these functions and this size has what the contract asks."""
    floor = required(floors, functions)
    if floor is None:
        return Conformity(UNCOVERED)
    shortfalls, unmeasured = [], []
    for what in ("cpus", "memory_gib", "disk_gib"):
        has, needs = getattr(size, what), getattr(floor, what)
        if has is None:
            unmeasured.append(what)
        elif has < needs:
            shortfalls.append(Shortfall(what, has, needs, floor.article))
    state = BELOW if shortfalls else UNKNOWN if unmeasured else CONFORM
    return Conformity(state, floor, tuple(shortfalls), tuple(unmeasured))


def refuse_below(floors: Sequence[Floor], name: str, functions: Iterable[str], size: Size) -> None:
    """Refuse a declared size that is below the floor; what is not declared is not judged here.

    Raises:
        ContractError: a figure is below the floor; the sentence gives the article's number.
    """
    carried = list(functions)
    conformity = judge(floors, carried, size)
    if conformity.shortfalls and conformity.floor is not None:
        short = "; ".join(shortfall.sentence() for shortfall in conformity.shortfalls)
        raise ContractError(f"server {name} ({', '.join(carried)}) would have {short}.", conformity.floor.article)
