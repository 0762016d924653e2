# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From options to a datacenter: which engine, which client, which trust. The only place that knows how to log in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import proxmox_session as session
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_transport import Transport
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError

try:
    from proxmoxer.core import ProxmoxResource

    HAS_PROXMOXER = True
except ImportError:
    HAS_PROXMOXER = False

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Datacenter

DEFAULT_PORT = 8006


def trust(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Answer what verifies the certificate: a file, the system's authorities when none is given, or nothing.

    Raises:
        InputError: the file is not there, or holds no certificate.
    """
    ca_file = options.get("ca_file")
    path = None
    if ca_file:
        path = Path(str(ca_file)).expanduser()
        if not path.is_file():
            raise InputError(
                f"ca_file: there is no file {path}. Give the PEM file of the authority that signed the API."
            )
    try:
        return session.context(verify=bool(options.get("validate_certs", True)), ca_file=str(path) if path else None)
    except OSError as error:
        raise InputError(f"ca_file: {path} holds no certificate in PEM format ({error}).") from error


def endpoint(url: str) -> str:
    """Answer the address of an API with its port, and its path prefix where there is one.

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
    return f"https://{host}:{port}{parts.path.rstrip('/')}"


def credentials(options: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the session's options for a token (`user@realm!name`) or a user with a password.

    Raises:
        InputError: neither is complete.
    """
    token, secret = options.get("token_id"), options.get("token_secret")
    user, password = options.get("user"), options.get("password")
    if token and secret:
        owner, mark, name = str(token).partition("!")
        if not mark or not name or "@" not in owner:
            raise InputError(f"token_id: {token!r} is no token: write user@realm!name.")
        return {"token": f"{token}={secret}"}
    if user and password:
        if "@" not in str(user):
            raise InputError(f"user: {user!r} lacks its realm: write {user}@pve or {user}@pam.")
        return {"login": (str(user), str(password))}
    raise InputError("Credentials are missing: give token_id and token_secret, or user and password.")


def _proxmox(options: Mapping[str, Any]) -> Datacenter:
    if not HAS_PROXMOXER or not session.HAS_URLLIB3:
        raise InputError("A Python library is missing on this machine: pip install proxmoxer urllib3.")
    url = endpoint(str(options["url"]))
    http = session.Session(
        url,
        trust(options),
        timeout=float(options.get("timeout") or 30),
        connections=int(options.get("detail_workers") or options.get("workers") or 1),
        **credentials(options),
    )
    client = ProxmoxResource(base_url=f"{url}/api2/json", session=http, serializer=_Json())
    transport = Transport(client, url, task_timeout=float(options.get("task_timeout", 3600)))
    first, last = options.get("id_range") or (1000, 9999)
    if not 100 <= first <= last:
        raise InputError(f"id_range: {first} to {last} is no range of guest numbers: they start at 100.")
    sites = options.get("sites") or {}
    if not all(isinstance(site, str) for site in sites.values()):
        raise InputError("sites: give each host its site, HOST: SITE, not each site its hosts.")
    return Proxmox(transport, sites=sites, ids=(first, last))


class _Json:
    """Reads answers for proxmoxer, whose own serializer comes with a transport that is not used here."""

    @staticmethod
    def loads(answer: session.Answer) -> Any:
        """Answer the data of a success.

        Raises:
            EngineError: something else than Proxmox VE answered.
        """
        try:
            return json.loads(answer.content)["data"]
        except (ValueError, KeyError, TypeError):
            raise EngineError("What answers at 'url' is not Proxmox VE's API: check the host and the port.") from None

    @staticmethod
    def loads_errors(answer: session.Answer) -> Any:
        """Answer what is said of each refused parameter; a proxy's page says nothing."""
        try:
            return json.loads(answer.content).get("errors")
        except ValueError:
            return None


# A further engine registers here; nothing above this file knows which one it talks to.
ENGINES: dict[str, Callable[[Mapping[str, Any]], Datacenter]] = {"proxmox": _proxmox}


def datacenter(options: Mapping[str, Any]) -> Datacenter:
    """Answer the datacenter that options describe; no call is made yet.

    Args:
        options: `engine`, `url`, `token_id` and `token_secret` or `user` and `password`, `ca_file`, `validate_certs`,
            `timeout`, `task_timeout`, `sites`, `id_range`, `workers` or `detail_workers`.

    Raises:
        InputError: an option is missing or makes no sense.
    """
    engine = options.get("engine") or "proxmox"
    if engine not in ENGINES:
        raise InputError(f"engine: {engine!r} is unknown. Known engines: {', '.join(sorted(ENGINES))}.")
    return ENGINES[engine](options)
