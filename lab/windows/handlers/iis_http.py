# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What IIS answers: bindings, TLS, request filtering, redirection by HSTS, headers and static files, from its state.

Written from https://learn.microsoft.com/iis/configuration/ (bindings, requestFiltering, hsts, customHeaders) and
https://learn.microsoft.com/troubleshoot/developer/webapps/iis/www-administration-management/http-status-code. It serves
files; an application of a release (a web.config with handlers) is not run, and asking for one says so.
"""

from __future__ import annotations

import mimetypes
import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from lab.windows import network
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import certificates, features, iis_state, rights
from lab.windows.network import Answer, Unreachable, WebRequest

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_DEFAULT_DOCUMENTS = ("Default.htm", "Default.asp", "index.htm", "index.html", "iisstart.htm", "default.aspx")
_FILTERING = "/system.webServer/security/requestFiltering"
_REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    503: "Service Unavailable",
}
_CLOSED = "La connexion sous-jacente a été fermée : Une erreur inattendue s’est produite lors de l’envoi."
_UNTRUSTED = (
    "La connexion sous-jacente a été fermée : Impossible d’établir une relation de confiance pour le canal sécurisé "
    "SSL/TLS."
)
_CHAIN_LENGTH = 5
_ANONYMOUS = frozenset({"S-1-5-17", "S-1-1-0", "S-1-5-11", "S-1-5-32-545"})
"""IUSR and the groups it belongs to: Everyone, Authenticated Users, Users."""
_READ_DATA = 0x1


@dataclass(frozen=True, slots=True)
class Hit:
    """A site that answers, and the binding that led to it."""

    site: dict[str, Any]
    binding: dict[str, Any]


def _started(server: WindowsServer) -> list[dict[str, Any]]:
    sites = server.section("iis")["sites"].values()
    return [site for site in sites if iis_state.run_state(server, site) == "Started"]


def _place(item: dict[str, Any]) -> tuple[str, int, str]:
    """Address, port and host of a binding."""
    rest, _colon, host = item["information"].rpartition(":")
    address, _colon, port = rest.rpartition(":")
    return address, int(port or 0), host


def ports(server: WindowsServer) -> tuple[int, ...]:
    """Ports that HTTP.sys listens on for the started sites."""
    found = {_place(item)[1] for site in _started(server) for item in site["bindings"]}
    return tuple(sorted(found))


def find(server: WindowsServer, scheme: str, address: str, port: int, host: str) -> Hit | None:
    """The site that HTTP.sys routes to: the declared host wins over none, an address over all addresses."""
    best: tuple[int, Hit] | None = None
    name = host.partition(":")[0].casefold()
    for site in _started(server):
        for item in site["bindings"]:
            own, number, wanted = _place(item)
            if item["protocol"] != scheme or number != port or own not in {"*", "", address}:
                continue
            if wanted and wanted.casefold() != name:
                continue
            rank = 2 * bool(wanted) + (own == address)
            if best is None or rank > best[0]:
                best = (rank, Hit(site, item))
    return best[1] if best else None


def handshake(server: WindowsServer, address: str, port: int, host: str, protocol: str = "TLS 1.2") -> x509.Certificate:
    """The certificate that a TLS client of this very server is shown.

    Raises:
        Unreachable: nothing listens, no certificate is bound, or the protocol is refused on either side.
    """
    if port not in ports(server):
        raise Unreachable("Aucune connexion n’a pu être établie car l’ordinateur cible l’a expressément refusée")
    open_protocols = server.section("iis")["protocols"]
    if protocol not in open_protocols["server"] or protocol not in open_protocols["client"]:
        raise Unreachable(f"{_CLOSED} ({protocol})")
    hit = find(server, "https", address, port, host)
    entry = _held(server, hit.binding) if hit else None
    if entry is None:
        raise Unreachable(_CLOSED)
    return certificates.load(entry)


def _held(server: WindowsServer, item: dict[str, Any]) -> dict[str, Any] | None:
    """The store's entry of a binding's certificate; None where none is bound or it was removed from the store."""
    stores = server.section("certificates")["LocalMachine"]
    wanted = item["store"].casefold()
    held: dict[str, Any] = next((entries for name, entries in stores.items() if name.casefold() == wanted), {})
    found: dict[str, Any] | None = held.get(item["certificate"])
    return found


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def trusts(client: WindowsServer, certificate: x509.Certificate, host: str) -> bool:
    """Whether a client takes a certificate for a host: its name, its dates, and a chain that ends in the store Root."""
    name = host.partition(":")[0].casefold()
    patterns = [pattern.casefold() for pattern in _names(certificate)]
    named = name in patterns or f"*.{name.partition('.')[2]}" in patterns
    if not named or not certificate.not_valid_before_utc <= client.now() <= certificate.not_valid_after_utc:
        return False
    stores = client.section("certificates")["LocalMachine"]
    roots = [certificates.load(entry) for entry in stores["Root"].values()]
    between = [certificates.load(entry) for entry in stores["CA"].values()]
    current = certificate
    for _step in range(_CHAIN_LENGTH):
        if any(current == root or _issued(current, root) for root in roots):
            return True
        above = next((other for other in between if _issued(current, other)), None)
        if above is None:
            return False
        current = above
    return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def serve(server: WindowsServer, asked: WebRequest) -> Answer:
    """Answer a request, as HTTP.sys and IIS do."""
    if asked.scheme == "https":
        certificate = handshake(server, asked.address, asked.port, asked.host)
        if asked.verify and not trusts(asked.client, certificate, asked.host):
            raise Unreachable(_UNTRUSTED)
    hit = find(server, asked.scheme, asked.address, asked.port, asked.host)
    if hit is None:
        return Answer(
            404, _REASONS[404], {"content-type": "text/html; charset=us-ascii", "server": "Microsoft-HTTPAPI/2.0"}
        )
    path, _mark, query = asked.path.partition("?")
    pool_name = _application(hit.site, path)[0]
    pool = server.section("iis")["pools"].get(pool_name.casefold())
    if pool is None or iis_state.run_state(server, pool) != "Started":
        return Answer(503, _REASONS[503], {"content-type": "text/html; charset=us-ascii"})
    headers = _headers(server, hit, asked)
    redirect = _redirect(hit, asked)
    if redirect:
        return Answer(307, _REASONS[307], {**headers, "location": redirect})
    refused = _refused(server, asked, unquote(path), query)
    if refused:
        return Answer(refused, _REASONS[refused], {**headers, "content-type": "text/html"})
    status, kind, body = _content(server, hit.site, unquote(path), asked.method)
    return Answer(status, _REASONS[status], {**headers, "content-type": kind}, body if asked.method != "HEAD" else b"")


def _application(site: dict[str, Any], path: str) -> tuple[str, dict[str, Any], str]:
    """Pool, holder of virtual directories and rest of the path: those of an application, or the site's own."""
    first, _slash, rest = path.lstrip("/").partition("/")
    application = site["applications"].get(first.casefold()) if first else None
    if application is None:
        return site["pool"], site, path.lstrip("/")
    return application["pool"], application, rest


def _headers(server: WindowsServer, hit: Hit, asked: WebRequest) -> dict[str, str]:
    state = server.section("iis")
    own = {
        entry["key"].lower(): entry["value"]
        for entry in state["collections"]["/system.webServer/httpProtocol/customHeaders"]
    }
    if not state["attributes"][_FILTERING]["removeServerHeader"]:
        own["server"] = "Microsoft-IIS/10.0"
    hsts = hit.site["hsts"]
    if hsts["enabled"] and asked.scheme == "https":
        value = f"max-age={hsts['max-age']}"
        value += "; includeSubDomains" if hsts["includeSubDomains"] else ""
        own["strict-transport-security"] = value + ("; preload" if hsts["preload"] else "")
    return own


def _redirect(hit: Hit, asked: WebRequest) -> str:
    hsts = hit.site["hsts"]
    secure = [_place(item)[1] for item in hit.site["bindings"] if item["protocol"] == "https"]
    if asked.scheme != "http" or not hsts["enabled"] or not hsts["redirectHttpToHttps"] or not secure:
        return ""
    port = "" if 443 in secure else f":{secure[0]}"
    return f"https://{asked.host.partition(':')[0]}{port}{asked.path}"


def _refused(server: WindowsServer, asked: WebRequest, path: str, query: str) -> int:
    """Status that request filtering answers with; 0 where it lets the request through."""
    if not features.installed(server, "Web-Filtering"):
        return 0
    state = server.section("iis")
    limits = state["attributes"][f"{_FILTERING}/requestLimits"]

    def collected(name: str) -> dict[str, str]:
        return {entry["key"].casefold(): entry["value"] for entry in state["collections"][f"{_FILTERING}/{name}"]}

    if asked.size > limits["maxAllowedContentLength"]:
        return 413
    segments = [segment.casefold() for segment in path.split("/") if segment]
    extension = ntpath.splitext(path)[1].casefold()
    hidden = collected("hiddenSegments")
    refused = (
        len(path) > limits["maxUrl"],
        len(query) > limits["maxQueryString"],
        collected("verbs").get(asked.method.casefold(), "True").casefold() == "false",
        bool(extension) and collected("fileExtensions").get(extension, "True").casefold() == "false",
        any(segment in hidden for segment in segments),
        "%25" in asked.path and not state["attributes"][_FILTERING]["allowDoubleEscaping"],
        any(ord(letter) > 127 for letter in path) and not state["attributes"][_FILTERING]["allowHighBitCharacters"],
    )
    return 404 if any(refused) else 0


def _content(server: WindowsServer, site: dict[str, Any], path: str, method: str) -> tuple[int, str, bytes]:
    _pool, holder, rest = _application(site, path)
    first, _slash, below = rest.partition("/")
    directory = holder["directories"].get(first.casefold()) if first else None
    root = directory["physical_path"] if directory else holder.get("physical_path", site["path"])
    rest = below if directory else rest
    files = FileSystem(server)
    target = f"{root}\\{rest}".replace("/", "\\").rstrip("\\")
    if files.is_dir(target):
        document = next((name for name in _DEFAULT_DOCUMENTS if files.is_file(f"{target}\\{name}")), "")
        if not document and files.is_file(f"{root}\\web.config"):
            raise Unreachable(
                f"The lab serves files and runs no application: {site['name']}{path} needs its web.config."
            )
        if not document or not features.installed(server, "Web-Default-Doc"):
            return (403 if files.children(target) else 404), "text/html", b""
        target = f"{target}\\{document}"
    if not files.is_file(target):
        return 404, "text/html", b""
    if not _readable(server, target):
        return 401, "text/html", b""
    if method not in {"GET", "HEAD"}:
        return 405, "text/html", b""
    kind, _encoding = mimetypes.guess_type(target)
    return (200, kind, files.read(target)) if kind else (404, "text/html", b"")


def _readable(server: WindowsServer, path: str) -> bool:
    """Whether an anonymous visitor may read a file: IIS reads it as IUSR, and answers 401.3 when Windows refuses."""
    held = denied = 0
    for ace in rights.entries(server, path):
        if ace["sid"] in _ANONYMOUS and ace["type"] == "allow":
            held |= ace["rights"]
        elif ace["sid"] in _ANONYMOUS:
            denied |= ace["rights"]
    return bool(held & _READ_DATA) and not denied & _READ_DATA


network.SERVICE_PORTS["w3svc"] = ports
network.WEB_SERVERS["w3svc"] = serve
