# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate of LDAPS: what a controller picks when it starts and when it is asked to look again.

A certificate counts when it names the controller, is for server authentication, has its key, is valid now and comes
from an authority in the machine's stores (Microsoft Learn, "Enable LDAP over SSL with a third-party certification
authority"). The store of the service NTDS wins over the computer's; of several in one store the first found is served.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.windows.domains import is_controller
from lab.windows.handlers import services
from lab.windows.registry import Call, ModuleFailure, Result, handles, on_boot, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer


@section("ldaps")
def _ldaps(_spec: ServerSpec) -> dict[str, Any]:
    # store: certificates (DER in base64) of the service NTDS by thumbprint; served: the one picked last.
    return {"store": {}, "served": {"thumbprint": "", "der": ""}}


def _load(der: str) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(der))


def _good(server: WindowsServer, der: str) -> bool:
    """Whether the directory would serve a certificate."""
    certificate = _load(der)
    if not certificate.not_valid_before_utc <= server.now() <= certificate.not_valid_after_utc:
        return False
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
            return False
    except x509.ExtensionNotFound:
        return False
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    stores = server.section("certificates")["LocalMachine"]
    authorities = [_load(entry["der"]) for store in ("Root", "CA") for entry in stores[store].values()]
    named = server.fqdn in {name.casefold() for name in names}
    return named and any(_issued(certificate, authority) for authority in authorities)


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pick(server: WindowsServer) -> dict[str, str]:
    """The certificate that the directory takes now."""
    mine = server.section("certificates")["LocalMachine"]["My"]
    own = server.section("ldaps")["store"]
    computer = {name: entry["der"] for name, entry in mine.items() if entry["private_key"]}
    for candidates in (own, computer):
        for name, der in candidates.items():
            if _good(server, der):
                return {"thumbprint": name, "der": der}
    return {"thumbprint": "", "der": ""}


@on_boot(order=95)
def _start(server: WindowsServer) -> None:
    if is_controller(server):
        server.section("ldaps")["served"] = _pick(server)


def served(server: WindowsServer) -> dict[str, str]:
    """What port 636 serves: thumbprint and end of validity (UTC, ISO 8601); both empty when it serves nothing."""
    ntds = services.find(server, "NTDS")
    held = server.section("ldaps")["served"]
    if not is_controller(server) or ntds is None or ntds["state"] != "running" or not held["der"]:
        return {"thumbprint": "", "not_after": ""}
    end = _load(held["der"]).not_valid_after_utc
    return {"thumbprint": held["thumbprint"], "not_after": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


@handles(
    "cnosf.infogerance.ldaps_certificate",
    source="documentation of cnosf.infogerance.ldaps_certificate; [MS-ADTS] 3.1.1.3.3.22 renewServerCertificate",
)
def ldaps_certificate(call: Call) -> Result:
    """Put one certificate into the store of the service NTDS, and have the directory look again."""
    server, wanted = call.server, call.args["thumbprint"].upper()
    state = server.section("ldaps")
    now, stored = served(server)["thumbprint"], list(state["store"])
    result: Result = {
        "changed": now != wanted or stored != [wanted],
        "served": wanted,
        "diff": {"before": {"served": now, "stored": stored}, "after": {"served": wanted, "stored": [wanted]}},
    }
    if not result["changed"] or call.check:
        return result
    mine = server.section("certificates")["LocalMachine"]["My"]
    if wanted not in mine:
        raise ModuleFailure(
            f"The certificate {wanted} is not in the machine's store My; import it with its private key first"
        )
    if not is_controller(server):
        raise ModuleFailure(
            f"The directory was not brought to use the certificate {wanted}: Le serveur n’est pas opérationnel."
        )
    with_key = {wanted: mine[wanted]["der"]} if mine[wanted]["private_key"] else {}
    state["store"] = with_key
    state["served"] = _pick(server)
    now = served(server)["thumbprint"]
    if now != wanted:
        shown = f"the certificate {now}" if now else "no certificate"
        raise ModuleFailure(
            f"Port 636 serves {shown} and not {wanted} after {call.args['timeout_seconds']} seconds; see that it names"
            " this controller, that it is for server authentication, that its private key came along and that its"
            " authorities are trusted here"
        )
    return result
