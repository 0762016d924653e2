# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read or change the files of a site: its own pools, and those of no other site.

Windows gives each application pool a SID that is worked out from its name, and IIS puts it into the token of its worker
processes whatever account they run as:
https://learn.microsoft.com/iis/manage/configuring-security/application-pool-identities,
http://adopenstatic.com/cs/blogs/ken/archive/2008/01/29/15759.aspx.
Static files are read for anonymous visitors by IUSR.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.access import (
    ADMINISTRATORS,
    FULL,
    MODIFY,
    READ,
    SYSTEM,
    Ace,
    Wanted,
    fits,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Declaration, Site
    from .observed import Observation

IUSR = "S-1-5-17"
_KEEPERS = (Ace(SYSTEM, FULL), Ace(ADMINISTRATORS, FULL))


def pool_sid(name: str) -> str:
    """SID of an application pool: SHA-1 of its name in lower case, as five numbers below ``S-1-5-82``."""
    digest = hashlib.sha1(name.lower().encode("utf-16-le"), usedforsecurity=False).digest()
    return "-".join(["S-1-5-82", *map(str, struct.unpack("<5I", digest))])


def wanted(declared: Declaration) -> Iterator[Wanted]:
    """Folders with the rights they must have, parents first.

    Archives wait where no visitor's process can reach them between their check and their unpacking.
    """
    if declared.releases:
        yield Wanted(declared.staging, frozenset(_KEEPERS))
    for site in declared.sites:
        if declared.owned(site) and site.exact_rights:
            yield Wanted(declared.home(site.name), frozenset([*_KEEPERS, *_pools(site, READ), Ace(IUSR, READ)]))
        for folder in declared.data_folders(site):
            changing = frozenset([*_KEEPERS, *_pools(site, MODIFY), Ace(IUSR, READ)])
            yield Wanted(folder, changing, exact=site.exact_rights)


def made(declared: Declaration) -> set[str]:
    """Paths, in lower case, that are there once the rights are set: those folders and what is above them."""
    paths = {want.path.casefold() for want in wanted(declared)}
    return paths | {path.rpartition("\\")[0] for path in paths}


def _pools(site: Site, rights: int) -> list[Ace]:
    names = dict.fromkeys(name.lower() for name in (site.pool, *(entry.pool for entry in site.applications)) if name)
    return [Ace(pool_sid(name), rights) for name in names]


def differing(declared: Declaration, found: Observation) -> list[Wanted]:
    """Folders that are missing or have other rights."""
    held = {folder.path.casefold(): folder for folder in found.rights}
    return [
        want
        for want in wanted(declared)
        if (own := held.get(want.path.casefold())) is None or not own.exists or not fits(want, own.sddl)
    ]
