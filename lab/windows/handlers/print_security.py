# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security descriptors of queues in SDDL: read, and written back as Windows does, in its own order and names.

Source: Microsoft Learn, "ACE strings" and "SID strings".
"""

from __future__ import annotations

import re

from lab.windows.registry import ModuleFailure

_ACE = re.compile(r"\(([^()]*)\)")
_RIGHTS = {
    "CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100,
    "SD": 0x10000, "RC": 0x20000, "WD": 0x40000, "WO": 0x80000, "GA": 0x10000000, "GX": 0x20000000, "GW": 0x40000000,
    "GR": 0x80000000,
}  # fmt: skip
_SIDS = {
    "WD": "S-1-1-0", "CO": "S-1-3-0", "AN": "S-1-5-7", "AU": "S-1-5-11", "SY": "S-1-5-18", "BA": "S-1-5-32-544",
    "BU": "S-1-5-32-545", "BG": "S-1-5-32-546", "PO": "S-1-5-32-550", "AC": "S-1-15-2-1",
}  # fmt: skip
_NAMES = {sid: name for name, sid in _SIDS.items()}
_KINDS = ("D", "A")

Entry = tuple[str, frozenset[str], int, str]
"""Type, inheritance flags, mask and SID of one entry."""


def _pairs(text: str) -> list[str]:
    return [text[start : start + 2] for start in range(0, len(text), 2)]


def _mask(text: str) -> int:
    if text.lower().startswith("0x"):
        return int(text, 16)
    mask = 0
    for right in _pairs(text.upper()):
        if right not in _RIGHTS:
            raise ModuleFailure(f"Le format de la chaîne SDDL est incorrect: {right} is no right.")
        mask |= _RIGHTS[right]
    return mask


def _entry(text: str) -> Entry:
    fields = text.split(";")
    if len(fields) != 6 or fields[0] not in _KINDS:
        raise ModuleFailure(f"Le format de la chaîne SDDL est incorrect: ({text})")
    kind, flags, rights, _kind_of_object, _inherited, who = fields
    sid = _SIDS.get(who.upper(), who)
    if not re.fullmatch(r"S-1(-\d+)+", sid):
        raise ModuleFailure(f"Le format de la chaîne SDDL est incorrect: {who} is no SID.")
    return kind, frozenset(_pairs(flags.upper())), _mask(rights), sid


def entries(sddl: str) -> set[Entry]:
    """Entries of a descriptor's access list.

    Raises:
        ModuleFailure: It is not SDDL.
    """
    if "D:" not in sddl:
        raise ModuleFailure(f"Le format de la chaîne SDDL est incorrect: {sddl}")
    return {_entry(text) for text in _ACE.findall(sddl)}


def _written(entry: Entry) -> str:
    kind, flags, mask, sid = entry
    order = [flag for flag in ("OI", "CI", "NP", "IO", "ID") if flag in flags]
    rights = "".join(name for name, bit in _RIGHTS.items() if mask & bit)
    return f"({kind};{''.join(order)};{rights};;;{_NAMES.get(sid, sid)})"


def normalised(sddl: str) -> str:
    """A descriptor as the spooler gives it back: denials first, inherited entries before others, aliases of SIDs."""
    ordered = sorted(
        entries(sddl), key=lambda entry: (_KINDS.index(entry[0]), "IO" not in entry[1], entry[3], entry[2])
    )
    return "G:SYD:" + "".join(map(_written, ordered))
