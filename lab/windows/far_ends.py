# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Far ends of exchanges: stand-ins for servers outside the estate that take files by SFTP or by HTTPS.

They answer from what is known of them (``data/far_ends.yml``) and from the state of the server that asks: its firewall,
its certificates. A server's state may hold other facts of a far end (section ``far_ends``), such as another host key.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.windows.data import DATA
from lab.windows.network import Answer, Unreachable
from lab.windows.registry import section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_REFUSED = "La connexion sous-jacente a été fermée : Une erreur inattendue s’est produite lors de l’envoi."


@dataclass(frozen=True, slots=True)
class FarEnd:
    """One server outside the estate."""

    host: str
    addresses: tuple[str, ...]
    port: int
    protocol: str
    host_keys: tuple[str, ...] = ()
    down: bool = False


@section("far_ends")
def _far_ends(_spec: ServerSpec) -> dict[str, Any]:
    # "host:port" -> what differs from data/far_ends.yml, seen from this server.
    return {}


@functools.cache
def _known() -> tuple[FarEnd, ...]:
    entries = yaml.safe_load((DATA / "far_ends.yml").read_text(encoding="utf-8"))
    return tuple(
        FarEnd(**{**entry, "addresses": tuple(entry["addresses"]), "host_keys": tuple(entry.get("host_keys", ()))})
        for entry in entries
    )


def find(server: WindowsServer, host: str, port: int) -> FarEnd | None:
    """The far end of a name or address and a port, None when the lab has none there."""
    wanted = host.casefold().rstrip(".")
    found = next((end for end in _known() if end.port == port and wanted in {end.host, *end.addresses}), None)
    if found is None:
        return None
    other = server.section("far_ends").get(f"{found.host}:{port}", {})
    if "host_keys" in other:
        found = replace(found, host_keys=tuple(other["host_keys"]))
    return replace(found, down=bool(other.get("down", False)))


def reachable(server: WindowsServer, end: FarEnd) -> bool:
    """Whether a connection comes about: the far end is up, and the server's firewall lets it out."""
    from lab.windows.handlers.firewall import lets_out  # noqa: PLC0415 - handlers load this file

    return not end.down and any(lets_out(server, end.port, address) for address in end.addresses)


def answer(server: WindowsServer, end: FarEnd, url: str, client_certificate: str | None) -> Answer:
    r"""Answer an HTTPS request by the client certificate that comes with it.

    Args:
        server: Who asks.
        end: The far end.
        url: What is asked for.
        client_certificate: ``Cert:\LocalMachine\My\<thumbprint>``; None for none.

    Raises:
        Unreachable: No connection, or a certificate that is no certificate for clients or is over.
    """
    if not reachable(server, end):
        raise Unreachable(f"Impossible de se connecter au serveur distant {end.host}")
    if client_certificate is None:
        return Answer(403, "Forbidden", {}, b"", url)
    if fault(server, client_certificate.rpartition("\\")[2]):
        raise Unreachable(_REFUSED)
    return Answer(200, "OK", {"content-type": "application/json"}, b'{"status": "UP"}', url)


def fault(server: WindowsServer, thumbprint: str) -> str:
    """Why a certificate of the machine's own store is no use as a client's; empty when it is."""
    from lab.windows.handlers.certificates import load  # noqa: PLC0415 - handlers load this file

    entry = server.section("certificates")["LocalMachine"]["My"].get(thumbprint.upper())
    if entry is None or not entry["private_key"]:
        return "there is no such certificate with its key"
    certificate = load(entry)
    if not certificate.not_valid_before_utc <= server.now() < certificate.not_valid_after_utc:
        return "it is not valid now"
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if ExtendedKeyUsageOID.CLIENT_AUTH in purposes else "it is none for clients"
