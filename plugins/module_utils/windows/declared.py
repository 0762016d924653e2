# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every part of a Windows baseline's declaration shares: merging, choosing by system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Entry = dict[str, Any]
"""One entry of a declaration, plain JSON types."""

ROLES = ("standalone", "member", "controller")
"""What a server is to its domain."""


def merge(base: Sequence[Mapping[str, Any]], extra: Sequence[Mapping[str, Any]], key: str) -> list[Entry]:
    """Lay a second list over a first: entries of the same key are merged, the second's options winning."""
    merged: dict[str, Entry] = {}
    for entry in [*base, *extra]:
        identity = str(entry[key]).casefold()
        merged[identity] = {**merged.get(identity, {}), **entry}
    return list(merged.values())


def applicable(entries: Sequence[Mapping[str, Any]], build: int, role: str, keep: Sequence[str] = ()) -> list[Entry]:
    """Keep the entries meant for a build of Windows and a role in the domain.

    Args:
        entries: Each may have ``min_build``, ``max_build`` and ``roles``.
        build: Build of Windows.
        role: One of ``ROLES``.
        keep: Options to keep of each entry; all of them when empty.
    """
    return [
        {name: value for name, value in entry.items() if not keep or name in keep}
        for entry in entries
        if entry.get("min_build", 0) <= build <= entry.get("max_build", build) and role in entry.get("roles", ROLES)
    ]


def _shown(data: Any) -> str:
    return "-" if data is None else ", ".join(map(str, data)) if isinstance(data, list) else str(data)


def differences(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Word what modules or the comparison found different: what, and where it is known before and after."""
    found = []
    for change in changes:
        label = change.get("subcategory") or change["name"]
        if "path" in change:
            label = f"{change['path']}\\{label}"
        if "property" in change:
            label = f"{label} {change['property']}"
        told = "before" in change
        found.append(f"{label}: {_shown(change['before'])} -> {_shown(change['after'])}" if told else str(label))
    return found
