# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WinRM service: win_winrm_service, and what the endpoint listens with.

What the service accepts is the section ``winrm``, which the endpoint obeys at each logon.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.windows.handlers.certificates import load
from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_AUTH = {
    "kerberos": "Kerberos",
    "negotiate": "Negotiate",
    "certificate": "Certificate",
    "credssp": "CredSSP",
    "basic": "Basic",
}
_ORDER = (
    "kerberos",
    "negotiate",
    "certificate",
    "max_envelope_kib",
    "channel_binding",
    "allow_unencrypted",
    "credssp",
    "basic",
)
PORT = 5986


@section("winrm_listeners")
def _winrm_listeners(_spec: ServerSpec) -> dict[str, Any]:
    """Listeners of a template: HTTP of Windows itself, HTTPS with the certificate that first boot made."""
    return {
        "max_envelope_kib": 500,
        "listeners": [
            {"transport": "http", "address": "*", "port": 5985, "enabled": True, "certificate_thumbprint": ""},
            {
                "transport": "https",
                "address": "*",
                "port": PORT,
                "enabled": True,
                "certificate_thumbprint": secrets.token_hex(20).upper(),
            },
        ],
    }


def _shown(listener: dict[str, Any]) -> str:
    return f"{listener['certificate_thumbprint']}:{listener['port']}"


def _serves_tls(call: Call, certificate: x509.Certificate) -> bool:
    now = call.server.now()
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        return False
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usages


def _wanted_thumbprint(call: Call) -> str | None:
    thumbprint, issuer = call.args["certificate_thumbprint"], call.args["certificate_issuer"]
    if not thumbprint and not issuer:
        return None
    store = call.server.section("certificates")["LocalMachine"]["My"]
    candidates = []
    for name, entry in store.items():
        certificate = load(entry)
        # .NET writes distinguished names as RFC 4514 does, with a space after each comma.
        named = (
            name == thumbprint.upper()
            if thumbprint
            else certificate.issuer.rfc4514_string() == issuer.replace(", ", ",")
        )
        if named and entry["private_key"] and _serves_tls(call, certificate):
            candidates.append((certificate.not_valid_after_utc, name))
    if not candidates:
        what = f"certificate {thumbprint}" if thumbprint else f"a certificate issued by '{issuer}'"
        raise ModuleFailure(
            f"WinRM service: the HTTPS listener needs {what} in LocalMachine\\My, in date, with its private key and "
            "for server authentication"
        )
    return str(max(candidates)[1])


def https_ports(server: WindowsServer) -> set[int]:
    """TCP ports of the enabled HTTPS listeners."""
    found = server.section("winrm_listeners")["listeners"]
    return {item["port"] for item in found if item["transport"] == "https" and item["enabled"]}


def _on_trial(call: Call, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Put a listener at the new port on each single address, and leave the one on every address alone."""
    state = call.server.section("winrm_listeners")
    changes = []
    for address in (f"IP:{address}" for address in call.server.addresses()):
        old = next((item for item in state["listeners"] if item["address"] == address), None)
        new = {**wanted, "address": address}
        if old is None or _shown(old) != _shown(new):
            state["listeners"] = [item for item in state["listeners"] if item is not old] + [new]
            before = None if old is None else _shown(old)
            changes.append({"name": f"https_listener {address}", "before": before, "after": _shown(new)})
    return changes


def _listeners(call: Call) -> list[dict[str, Any]]:
    thumbprint, port = _wanted_thumbprint(call), call.args["https_port"]
    state = call.server.section("winrm_listeners")
    own = next((item for item in state["listeners"] if item["transport"] == "https" and item["address"] == "*"), None)
    if own is None and thumbprint is None:
        raise ModuleFailure(
            "WinRM service: there is no HTTPS listener on every address and neither certificate_thumbprint nor "
            "certificate_issuer is given"
        )
    before = None if own is None else _shown(own)
    enabled = own is not None and own["enabled"]
    wanted = {
        "transport": "https",
        "address": "*",
        "port": port,
        "enabled": True,
        "certificate_thumbprint": thumbprint or (own or {})["certificate_thumbprint"],
    }
    if call.args["https_trial"] and own is not None and own["port"] != port:
        return _on_trial(call, wanted)
    changes = []
    if before != _shown(wanted) or not enabled:
        state["listeners"] = [item for item in state["listeners"] if item is not own] + [wanted]
        changes.append({"name": "https_listener", "before": before, "after": _shown(wanted)})
    for other in [item for item in state["listeners"] if item["transport"] == "https" and item["address"] != "*"]:
        state["listeners"].remove(other)
        changes.append({"name": f"https_listener {other['address']}", "before": _shown(other), "after": None})
    return changes


def _current(call: Call, name: str) -> Any:
    winrm = call.server.section("winrm")
    if name in _AUTH:
        return winrm["auth"][_AUTH[name]]
    if name == "max_envelope_kib":
        return call.server.section("winrm_listeners")["max_envelope_kib"]
    return winrm["CbtHardeningLevel"].lower() if name == "channel_binding" else winrm["AllowUnencrypted"]


def _write(call: Call, name: str, wanted: Any) -> None:
    winrm = call.server.section("winrm")
    if name in _AUTH:
        winrm["auth"][_AUTH[name]] = wanted
    elif name == "max_envelope_kib":
        call.server.section("winrm_listeners")["max_envelope_kib"] = wanted
    elif name == "channel_binding":
        winrm["CbtHardeningLevel"] = wanted.capitalize()
    else:
        winrm["AllowUnencrypted"] = wanted


@handles("cnosf.infogerance.win_winrm_service", source="plugins/modules/win_winrm_service.yml")
def win_winrm_service(call: Call) -> Result:
    """Configure the HTTPS listener and the service's settings."""
    changes = _listeners(call)
    for name in _ORDER:
        wanted = call.args[name]
        if wanted is None:
            continue
        before = _current(call, name)
        if before != wanted:
            _write(call, name, wanted)
            changes.append({"name": name, "before": before, "after": wanted})
    result: Result = {"changed": bool(changes), "changes": changes}
    if call.diff:
        result["diff"] = {
            side: "\n".join(f"{change['name']} = {change[side]}" for change in changes) for side in ("before", "after")
        }
    return result
