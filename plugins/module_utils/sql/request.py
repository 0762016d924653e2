# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe and the shared role must be told for a declaration, and who the engine is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .declared import Declaration
    from .observed import Observation


def service_sid(service: str) -> str:
    r"""SID of the account ``NT SERVICE\name``, known before the service exists ([MS-LSAT], "sc showsid")."""
    digest = hashlib.sha1(service.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    parts = (int.from_bytes(digest[start : start + 4], "little") for start in range(0, 20, 4))
    return "S-1-5-80-" + "-".join(map(str, parts))


def engine_sid(declared: Declaration, observed: Observation) -> str:
    """SID of the account that the engine runs as; empty when nobody has the declared one."""
    account = declared.service_account
    return observed.principal(account).sid if account else service_sid(declared.service)


def backup_directory(declared: Declaration) -> str:
    """The folder of backups that the role keeps; empty for none, and for a share, whose rights are its server's."""
    directory = declared.backup.directory
    return directory if declared.maintenance.source and not directory.startswith("\\\\") else ""


def request(declared: Declaration) -> dict[str, Any]:
    """Accounts whose names are asked for, who must read the certificate's private key, and where backups go."""
    asked = [*declared.sysadmins, declared.service_account, *(login.name for login in declared.logins)]
    for database in declared.databases:
        asked += [database.owner, *(user.login for user in database.users)]
    return {
        "principals": list(dict.fromkeys(name for name in asked if name)),
        "key_readers": [declared.service_account or service_sid(declared.service)],
        "backup_directory": backup_directory(declared),
    }
