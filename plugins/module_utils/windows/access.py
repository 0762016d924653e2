# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in a folder or with a file: exact lists of entries, compared with what SDDL says.

SDDL is the same in every language of Windows: https://learn.microsoft.com/windows/win32/secauthz/ace-strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SYSTEM = "S-1-5-18"
ADMINISTRATORS = "S-1-5-32-544"
FULL = 0x1F01FF
MODIFY = 0x1301BF
READ = 0x1200A9
"""FILE_ALL_ACCESS; read, write, execute and delete; read and execute (.NET FileSystemRights)."""

_ALIASES = {
    "SY": SYSTEM,
    "BA": ADMINISTRATORS,
    "BU": "S-1-5-32-545",
    "BO": "S-1-5-32-551",
    "IS": "S-1-5-32-568",
    "WD": "S-1-1-0",
    "AU": "S-1-5-11",
    "CO": "S-1-3-0",
    "CG": "S-1-3-1",
    "OW": "S-1-3-4",
    "IU": "S-1-5-4",
    "SU": "S-1-5-6",
    "NU": "S-1-5-2",
    "LS": "S-1-5-19",
    "NS": "S-1-5-20",
}
_DOMAIN_ALIASES = {
    "LA": 500,
    "LG": 501,
    "DA": 512,
    "DU": 513,
    "DG": 514,
    "DC": 515,
    "DD": 516,
    "CA": 517,
    "SA": 518,
    "EA": 519,
    "PA": 520,
    "RO": 521,
}
"""Aliases of accounts and groups of a domain, by the last part of their SID."""
_RIGHTS = {
    "FA": FULL,
    "FR": 0x120089,
    "FW": 0x120116,
    "FX": 0x1200A0,
    "GA": 0x10000000,
    "GX": 0x20000000,
    "GW": 0x40000000,
    "GR": 0x80000000,
    "RC": 0x20000,
    "SD": 0x10000,
    "WD": 0x40000,
    "WO": 0x80000,
    "CC": 0x1,
    "DC": 0x2,
    "LC": 0x4,
    "SW": 0x8,
    "RP": 0x10,
    "WP": 0x20,
    "DT": 0x40,
    "LO": 0x80,
    "CR": 0x100,
}
_ACE = re.compile(r"\((?P<type>[A-Z]+);(?P<flags>[A-Z]*);(?P<rights>[^;]*);[^;]*;[^;]*;(?P<sid>[^;)]*)[^)]*\)")
_DACL = re.compile(r"D:(?P<flags>[A-Z]*)(?P<aces>(?:\([^)]*\))*)")


@dataclass(frozen=True, slots=True, order=True)
class Ace:
    """One entry: who, what as an access mask, allowed or denied, handed down to files and folders below, inherited."""

    sid: str
    rights: int
    kind: str = "A"
    below: bool = True
    inherited: bool = False
    flags: str = ""
    """Inheritance flags other than the usual two, such as ``IO``."""


@dataclass(frozen=True, slots=True)
class Acl:
    """The entries of a folder and whether it is cut off from its parent's."""

    protected: bool
    aces: frozenset[Ace]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a folder or file must have; not exact: others may have entries of their own beside."""

    path: str
    aces: frozenset[Ace]
    file: bool = False
    exact: bool = True


def parse(sddl: str, known: Iterable[str] = ()) -> Acl:
    """Read a discretionary list. A mask that is written by names counts as the number that they stand for.

    Args:
        sddl: the list.
        known: SIDs that the aliases of a domain's own groups may stand for; other aliases stay as they are.
    """
    numbers = {sid.rpartition("-")[2]: sid for sid in known if sid.startswith("S-1-5-21-")}
    names = {alias: numbers[str(rid)] for alias, rid in _DOMAIN_ALIASES.items() if str(rid) in numbers}
    found = _DACL.search(sddl)
    if found is None:
        return Acl(protected=False, aces=frozenset())
    return Acl(
        "P" in re.sub("A[IR]", "", found["flags"]), frozenset(_ace(ace, names) for ace in _ACE.finditer(found["aces"]))
    )


def _ace(found: re.Match[str], names: Mapping[str, str]) -> Ace:
    flags = {found["flags"][start : start + 2] for start in range(0, len(found["flags"]), 2)}
    return Ace(
        names.get(found["sid"]) or _ALIASES.get(found["sid"], found["sid"].upper()),
        _mask(found["rights"]),
        found["type"],
        below={"OI", "CI"} <= flags,
        inherited="ID" in flags,
        flags="".join(sorted(flags - {"ID"} - ({"OI", "CI"} if {"OI", "CI"} <= flags else set()))),
    )


def _mask(text: str) -> int:
    if text[:2].lower() == "0x" or text.isdigit():
        return int(text, 0)
    value = 0
    for start in range(0, len(text), 2):
        value |= _RIGHTS.get(text[start : start + 2], 0)
    return value


def write(aces: Iterable[Ace], *, protected: bool = True) -> str:
    """Word a discretionary list, in a fixed order."""
    entries = (
        f"({ace.kind};{'OICI' if ace.below else ''}{ace.flags};0x{ace.rights:x};;;{ace.sid})" for ace in sorted(aces)
    )
    return f"D:{'P' if protected else ''}" + "".join(entries)


NAMES = {FULL: "full", MODIFY: "modify", READ: "read"}
"""Rights by the names of the module win_exact_acls."""


def arguments(want: Wanted) -> dict[str, Any]:
    """A folder or file as the module win_exact_acls takes it."""
    return {
        "path": want.path,
        "kind": "file" if want.file else "directory",
        "exact": want.exact,
        "entries": [{"sid": ace.sid, "rights": NAMES[ace.rights]} for ace in sorted(want.aces)],
    }


def fits(want: Wanted, sddl: str) -> bool:
    """Whether what is there, by its discretionary list, has the rights it must have."""
    acl = parse(sddl, (ace.sid for ace in want.aces))
    if not want.exact:
        return all(any(_covers(own, ace) for own in acl.aces) for ace in want.aces)
    return acl.protected and acl.aces == want.aces


def _covers(own: Ace, ace: Ace) -> bool:
    same = (own.sid, own.kind, own.below, own.flags) == (ace.sid, ace.kind, ace.below, ace.flags)
    return same and own.rights & ace.rights == ace.rights
