# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Proxmox VE's refusals mean, as errors that say what to do. Pure."""

from __future__ import annotations

import re

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    AuthenticationError,
    ConflictError,
    EngineError,
    InfogeranceError,
    LockedError,
    NotFoundError,
    PermissionMissingError,
    UnreachableError,
)

_PRIVILEGE = re.compile(r"Permission check failed(?: \((?P<path>[^,)]*)(?:, (?P<privilege>[^)]+))?\))?")
_ROOT_ONLY = re.compile(r"only root can|user != root@pam|root-only", re.IGNORECASE)
_LOCK = re.compile(r"is locked \((?P<lock>[\w-]+)\)")
_FILE_LOCK = re.compile(
    r"can't (?:lock|aquire lock|acquire lock)\b.*(?:got )?timeout|trying to acquire .*lock", re.IGNORECASE
)
_STALE = re.compile(r"checksum mismatch|detected modified configuration", re.IGNORECASE)
_GONE = re.compile(r"Configuration file '[^']*' does not exist")
_TAKEN = re.compile(r"config file already exists|already exists on node|VM \d+ already exists", re.IGNORECASE)

# Answered by Proxmox's proxy before the request reached the node: nothing was done.
NOT_DELIVERED = frozenset({503, 595, 596})
# Answers after which reading again is sensible.
TRANSIENT = NOT_DELIVERED | frozenset({502, 504, 597, 599})


class IdTakenError(EngineError):
    """The number asked for a new guest is in use."""


def refusal(endpoint: str, doing: str, status: int, message: str, fields: object = None) -> InfogeranceError:
    """Answer the error that an HTTP answer of Proxmox VE means.

    Args:
        endpoint: address of the API.
        doing: what was attempted, as a noun: `starting server dc01`.
        status: HTTP status.
        message: Proxmox's sentence.
        fields: its sentence for each refused parameter.
    """
    text = message.strip() or "no reason given"
    if isinstance(fields, dict) and fields and status == 400:
        named = "; ".join(f"{name}: {str(value).strip()}" for name, value in sorted(fields.items()))
        return EngineError(f"{doing}: Proxmox VE refused parameters: {named}")
    if status == 401:
        return AuthenticationError(
            f"{doing}: {endpoint} refuses the credentials ({text}). Check the token's name and secret, that it is not "
            "expired, and that its user is enabled."
        )
    if status == 403:
        return _forbidden(doing, text)
    if status in TRANSIENT:
        return UnreachableError(f"{doing}: the host does not answer ({status} {text}). Check that it is up.")
    return failure(doing, text)


def failure(doing: str, text: str) -> InfogeranceError:
    """Answer the error that a sentence of Proxmox VE means, from an answer or from the end of a task."""
    return recognised(doing, text) or EngineError(f"{doing}: Proxmox VE answered: {text}")


def recognised(doing: str, text: str) -> InfogeranceError | None:
    """Answer the error of a sentence that calls for something of its own, None for any other."""
    if found := _LOCK.search(text):
        return LockedError(f"{doing}: the server is locked by {found['lock']!r}.", found["lock"])
    if _FILE_LOCK.search(text):
        return LockedError(f"{doing}: another operation holds the server's configuration ({text}).")
    if _STALE.search(text):
        return ConflictError(
            f"{doing}: the server was changed by somebody else since it was read, so nothing was written. "
            "Let the other run end, then run again."
        )
    if _TAKEN.search(text):
        return IdTakenError(f"{doing}: {text}")
    if _GONE.search(text):
        return NotFoundError(f"{doing}: the server is not there any more ({text}).")
    if "no quorum" in text:
        return EngineError(
            f"{doing}: the cluster has lost its quorum and takes no change ({text}). Bring back enough hosts, "
            "then run again."
        )
    return None


def _forbidden(doing: str, text: str) -> InfogeranceError:
    if _ROOT_ONLY.search(text):
        return PermissionMissingError(f"{doing}: only root@pam may do this ({text}).", "root@pam")
    found = _PRIVILEGE.search(text)
    path = (found["path"] if found else "") or ""
    privilege = (found["privilege"] if found else "") or ""
    if privilege:
        where = f" on {path}" if path else ""
        return PermissionMissingError(
            f"{doing}: the privilege {privilege.replace('|', ' or ')} is missing{where}. Add it to the role "
            "of the token's user and of the token.",
            privilege,
            path,
        )
    return PermissionMissingError(f"{doing}: Proxmox VE refuses this to the token ({text}): check its role.")
