# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From options to a datacenter: which engine, which client, which trust. The only place that knows how to log in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_transport import Transport
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

try:
    from proxmoxer import ProxmoxAPI
except ImportError:
    ProxmoxAPI = None

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Datacenter

DEFAULT_PORT = 8006


def trust(options: Mapping[str, Any]) -> str | bool:
    """Answer what verifies the certificate: a file, which wins over the environment, else the system's, or nothing.

    Raises:
        InputError: the file is not there.
    """
    if not options.get("validate_certs", True):
        return False
    ca_file = options.get("ca_file")
    if not ca_file:
        return True
    path = Path(str(ca_file)).expanduser()
    if not path.is_file():
        raise InputError(f"ca_file: there is no file {path}. Give the PEM file of the authority that signed the API.")
    return str(path)


def address(url: str) -> tuple[str, int, str | None]:
    """Answer host, port and path prefix of an API's URL.

    Raises:
        InputError: it is no https URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise InputError(f"url: {url!r} is not the address of an API: write https://HOST:{DEFAULT_PORT}.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise InputError(f"url: the port of {url!r} is not a number from 1 to 65535.") from None
    return host, port, parts.path.strip("/") or None


def credentials(options: Mapping[str, Any]) -> dict[str, str]:
    """Answer proxmoxer's options for a token (`user@realm!name`) or a user with a password.

    Raises:
        InputError: neither is complete.
    """
    token, secret = options.get("token_id"), options.get("token_secret")
    user, password = options.get("user"), options.get("password")
    if token and secret:
        owner, mark, name = str(token).partition("!")
        if not mark or not name or "@" not in owner:
            raise InputError(f"token_id: {token!r} is no token: write user@realm!name.")
        return {"user": owner, "token_name": name, "token_value": str(secret)}
    if user and password:
        if "@" not in str(user):
            raise InputError(f"user: {user!r} lacks its realm: write {user}@pve or {user}@pam.")
        return {"user": str(user), "password": str(password)}
    raise InputError("Credentials are missing: give token_id and token_secret, or user and password.")


def _proxmox(options: Mapping[str, Any]) -> Datacenter:
    if ProxmoxAPI is None:
        raise InputError("The Python library proxmoxer is missing on this machine: pip install proxmoxer requests.")
    host, port, prefix = address(str(options["url"]))
    login, verify = credentials(options), trust(options)
    timeout = int(options.get("timeout") or 30)

    def connect() -> Any:
        return ProxmoxAPI(host, port=port, path_prefix=prefix, verify_ssl=verify, timeout=timeout, **login)

    transport = Transport(
        connect,
        f"https://{host}:{port}",
        task_timeout=float(options.get("task_timeout", 3600)),
    )
    first, last = options.get("id_range") or (1000, 9999)
    if not 100 <= first <= last:
        raise InputError(f"id_range: {first} to {last} is no range of guest numbers: they start at 100.")
    return Proxmox(transport, sites=options.get("sites") or {}, ids=(first, last))


# A further engine registers here; nothing above this file knows which one it talks to.
ENGINES: dict[str, Callable[[Mapping[str, Any]], Datacenter]] = {"proxmox": _proxmox}


def datacenter(options: Mapping[str, Any]) -> Datacenter:
    """Answer the datacenter that options describe; no call is made yet.

    Args:
        options: `engine`, `url`, `token_id` and `token_secret` or `user` and `password`, `ca_file`, `validate_certs`,
            `timeout`, `task_timeout`, `sites`, `id_range`.

    Raises:
        InputError: an option is missing or makes no sense.
    """
    engine = options.get("engine") or "proxmox"
    if engine not in ENGINES:
        raise InputError(f"engine: {engine!r} is unknown. Known engines: {', '.join(sorted(ENGINES))}.")
    return ENGINES[engine](options)
