# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe and the shared role must be told for a declaration."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .declared import Declaration


def service_sid(service: str) -> str:
    r"""SID of the account ``NT SERVICE\name``, known before the service exists ([MS-LSAT], "sc showsid")."""
    digest = hashlib.sha1(service.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    parts = (int.from_bytes(digest[start : start + 4], "little") for start in range(0, 20, 4))
    return "S-1-5-80-" + "-".join(map(str, parts))


def request(declared: Declaration) -> dict[str, Any]:
    """Accounts whose names are asked for, and who must read the certificate's private key."""
    asked = [*declared.sysadmins, *(login.name for login in declared.logins)]
    for database in declared.databases:
        asked += [database.owner, *(user.login for user in database.users)]
    return {
        "principals": list(dict.fromkeys(name for name in asked if name)),
        "key_readers": [declared.service_account or service_sid(declared.service)],
    }
