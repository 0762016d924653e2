# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in the exchange's folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import access
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.access import (
    ADMINISTRATORS,
    FULL,
    MODIFY,
    READ,
    SYSTEM,
    Ace,
    Wanted,
)

from .declared import SFTP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .declared import Declaration
    from .observed import Folder, Observation


def wanted(declared: Declaration, found: Observation) -> list[Wanted]:
    """Every folder and secret file with the rights it must have.

    The service account reads its script and settings and cannot change them; it changes files
    in the flows' folders only.
    """
    account = found.sid(declared.service_account)
    keepers = [Ace(SYSTEM, FULL), Ace(ADMINISTRATORS, FULL)]
    reading = frozenset([*keepers, Ace(account, READ)])
    changing = frozenset([*keepers, Ace(account, MODIFY)])
    secret = frozenset(Ace(ace.sid, ace.rights, below=False) for ace in reading)
    folders = [
        Wanted(path, reading)
        for path in (
            declared.place(""),
            declared.place("bin"),
            declared.place("etc"),
            declared.place("etc", "identities"),
        )
    ]
    for flow in declared.flows:
        shared = frozenset([*changing, *(Ace(found.sid(name), MODIFY) for name in flow.principals)])
        folders.append(Wanted(declared.home(flow), changing))
        folders += [Wanted(declared.folder(flow, kind), changing) for kind in work_folders(flow.direction)]
        folders.append(Wanted(declared.folder(flow, "archive"), changing))
        folders.append(Wanted(declared.folder(flow, flow.drop), shared))
    if declared.metrics_directory:
        folders.append(Wanted(declared.metrics_directory, frozenset([Ace(account, MODIFY)]), exact=False))
    used = {flow.identity for flow in declared.flows if flow.protocol == SFTP}
    files = [declared.identity_path(name) for name in declared.identities if name in used]
    files += [declared.headers_path] if declared.headers else []
    return folders + [Wanted(path, secret, file=True) for path in files]


def work_folders(direction: str) -> Sequence[str]:
    """Folders of files on their way, in the order in which a file goes through them."""
    return ("sending", "committing") if direction == "out" else ("receiving",)


def fits(want: Wanted, folder: Folder) -> bool:
    """Whether a folder has the rights it must have."""
    return folder.exists and access.fits(want, folder.sddl)
