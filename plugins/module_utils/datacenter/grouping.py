# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which described servers an inventory takes, and the groups that each belongs to. Pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Proxmox's words for the guest's system, by their first letter: they tell when no label does.
_OS_FAMILIES = {"w": "windows", "l": "linux"}


def selected(
    described: Iterable[Mapping[str, Any]],
    *,
    templates: bool = False,
    pools: Sequence[str] = (),
    tags: Sequence[str] = (),
    exclude_tags: Sequence[str] = (),
) -> list[Mapping[str, Any]]:
    """Answer the servers of one of the pools (any, when none is given) that carry all tags and no excluded one."""
    wanted, unwanted = set(tags), set(exclude_tags)

    def carries(item: Mapping[str, Any]) -> bool:
        if not wanted and not unwanted:
            return True
        carried = set(all_tags(item))
        return wanted <= carried and not unwanted & carried

    return [
        item
        for item in described
        if (templates or not item["template"]) and (not pools or item["pool"] in pools) and carries(item)
    ]


def all_tags(item: Mapping[str, Any]) -> list[str]:
    """Answer every label of a described server as the engine holds it."""
    return [
        *(f"function-{name}" for name in item["functions"]),
        *([f"system-{item['system']}"] if item["system"] else []),
        *([f"site-{item['site']}"] if item["site"] else []),
        *item["tags"],
    ]


def named(items: Iterable[Mapping[str, Any]], *, suffix_duplicates: bool = False) -> dict[str, Mapping[str, Any]]:
    """Answer the servers by the name that the inventory gives them.

    Args:
        items: described servers.
        suffix_duplicates: give servers that share a name the name followed by their number instead of refusing.

    Raises:
        ConflictError: two servers carry one name; configuring one of them would be a guess.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        by_name.setdefault(item["name"], []).append(item)
    result = {}
    for name, twins in by_name.items():
        if len(twins) == 1:
            result[name] = twins[0]
        elif suffix_duplicates:
            result.update({f"{name}-{twin['id']}": twin for twin in twins})
        else:
            where = ", ".join(f"id {twin['id']} on {twin['node']}" for twin in twins)
            raise ConflictError(
                f"{len(twins)} servers are named {name} ({where}): rename or delete all but one, leave the others out "
                "by pool or tag, or set 'duplicate_names: suffix'."
            )
    return result


def family(item: Mapping[str, Any], families: Mapping[str, Sequence[str]]) -> str | None:
    """Answer the family of a server's system: the first whose patterns fit, else what the engine says, else None."""
    if item["system"]:
        for name, patterns in families.items():
            if any(fnmatchcase(item["system"], pattern) for pattern in patterns):
                return name
    return _OS_FAMILIES.get((item["os"] or " ")[0])


def groups(item: Mapping[str, Any], families: Mapping[str, Sequence[str]]) -> list[str]:
    """Answer the groups of a server: its functions, family, system, site, power state and tags."""
    found = [*item["functions"]]
    kind = family(item, families)
    if kind:
        found.append(kind)
    if item["system"]:
        found.append(f"system_{item['system']}")
    if item["site"]:
        found.append(f"site_{item['site']}")
    found.append(f"power_{item['power']}")
    found += [f"tag_{tag}" for tag in item["tags"]]
    return [group_name(name) for name in found]


@lru_cache(maxsize=4096)
def group_name(name: str) -> str:
    """Answer a name that Ansible takes for a group: letters, digits and `_`, not starting with a digit."""
    return re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII)
