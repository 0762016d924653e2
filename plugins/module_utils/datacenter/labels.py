# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The labels that tie a server to the estate: `function-<name>`, `site-<name>`, `system-<name>`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

FUNCTION = "function-"
SITE = "site-"
SYSTEM = "system-"
FAMILIES = (FUNCTION, SITE, SYSTEM)

# What every engine takes as a label: Proxmox VE's rule, which is also a legal vSphere tag.
_LABEL = re.compile(r"[a-z0-9_][a-z0-9_.+-]*")


def values(tags: Iterable[str], family: str) -> list[str]:
    """Answer the names that the labels of one family carry, sorted."""
    return sorted(tag.removeprefix(family) for tag in tags if tag.startswith(family) and tag != family)


def value(tags: Iterable[str], family: str) -> str | None:
    """Answer the only name of a family, the first when there are several, None when there is none."""
    found = values(tags, family)
    return found[0] if found else None


def free(tags: Iterable[str]) -> list[str]:
    """Answer the labels that belong to no family, sorted."""
    return sorted(tag for tag in tags if not tag.startswith(FAMILIES))


def check(tag: str) -> str:
    """Answer a label that every engine takes.

    Raises:
        InputError: it holds a character that engines refuse.
    """
    if not _LABEL.fullmatch(tag):
        raise InputError(
            f"{tag!r} cannot be a label: use lower-case letters, digits, '_', '-', '.' and '+', "
            "starting with a letter, a digit or '_'."
        )
    return tag


def wanted(
    current: Iterable[str],
    *,
    functions: Iterable[str] | None,
    site: str | None,
    system: str | None,
    extra: Iterable[str],
) -> list[str]:
    """Answer the labels that a server shall carry, sorted.

    A family that is declared replaces its labels; one that is not (None) stays; other labels stay, `extra` joins them.
    """
    declared: dict[str, list[str] | None] = {
        FUNCTION: None if functions is None else list(functions),
        SITE: None if site is None else [site],
        SYSTEM: None if system is None else [system],
    }
    kept = list(current)
    result = set(free(kept)) | {check(tag) for tag in extra}
    for family, names in declared.items():
        result |= {check(family + name) for name in (values(kept, family) if names is None else names)}
    return sorted(result)
