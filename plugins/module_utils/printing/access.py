# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permissions of a queue as a security descriptor in SDDL.

The entries are those that Windows itself writes for each right: a new queue of Windows Server 2022 has them for
everyone (print), for the creator of a document (manage documents) and for administrators (manage the printer).
Source: Microsoft Learn, "ACE strings"; winspool.h, PRINTER_ALL_ACCESS and JOB_ALL_ACCESS.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .declared import Permission

RIGHTS: dict[str, tuple[tuple[str, str], ...]] = {
    "print": (("", "SWRC"), ("CIIO", "GX")),
    "manage_documents": (("OIIO", "GA"),),
    "manage_printer": (("", "LCSWDTSDRCWDWO"), ("OICIIO", "GA")),
}
"""Inheritance flags and rights of the entries of each right; managing the printer includes all documents."""

_TYPES = {"deny": "D", "allow": "A"}
_SID = re.compile(r"S-1(-\d+)+", re.IGNORECASE)


def is_sid(principal: str) -> bool:
    """Whether a principal is written as a SID, which means the same in every language."""
    return _SID.fullmatch(principal) is not None


def names(permissions: Iterable[Permission]) -> list[str]:
    """Principals that are written by their names, each once, in the order of appearance."""
    found = {permission.principal.casefold(): permission.principal for permission in permissions}
    return [name for name in found.values() if not is_sid(name)]


def descriptor(permissions: Iterable[Permission], sids: Mapping[str, str]) -> str:
    """Write permissions as SDDL, denials first as Windows reads them.

    Args:
        permissions: who may do what, or may not.
        sids: SID of each principal that is written by its name, by that name without case (``str.casefold``).
    """
    entries: dict[str, list[str]] = {kind: [] for kind in _TYPES}
    for permission in permissions:
        who = permission.principal if is_sid(permission.principal) else sids[permission.principal.casefold()]
        for right in permission.rights:
            for flags, mask in RIGHTS[right]:
                entry = f"({_TYPES[permission.type]};{flags};{mask};;;{who})"
                if entry not in entries[permission.type]:
                    entries[permission.type].append(entry)
    return "G:SYD:" + "".join(entry for kind in _TYPES for entry in entries[kind])
