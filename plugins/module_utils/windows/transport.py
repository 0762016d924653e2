# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a connection outlives the hardening of the WinRM service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_MECHANISM = {
    "basic": "basic",
    "plaintext": "basic",
    "ssl": "basic",
    "kerberos": "kerberos",
    "ntlm": "negotiate",
    "negotiate": "negotiate",
    "credssp": "credssp",
    "certificate": "certificate",
}


def surviving_transports(transports: str | Sequence[str] | None, allowed: Mapping[str, bool]) -> list[str]:
    """Authentications of the present connection that the hardened service will still accept.

    Args:
        transports: ``ansible_winrm_transport`` or ``ansible_psrp_auth`` as the inventory has it; nothing means what
            pywinrm does by default over HTTPS: Kerberos where it can, else Basic.
        allowed: Mechanism (basic, kerberos, negotiate, credssp, certificate) and whether it will be accepted.

    Raises:
        InputError: A transport that nobody knows.
    """
    if not transports:
        listed = ["kerberos", "ssl"]
    elif isinstance(transports, str):
        listed = [part.strip() for part in transports.split(",")]
    else:
        listed = [str(part) for part in transports]
    unknown = [name for name in listed if name not in _MECHANISM]
    if unknown:
        raise InputError(f"unknown WinRM transport {', '.join(unknown)}: use {', '.join(sorted(_MECHANISM))}")
    return [name for name in listed if allowed.get(_MECHANISM[name], False)]
