# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a simulated server reaches over the network: its neighbours in the lab, and the lab's real addresses.

Ports of simulated servers follow from their running services. Everything else is a real connection, to private and
loopback addresses only: the lab has no way out.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from lab.windows import publications
from lab.windows.filesystem import hosts_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.windows.server import WindowsServer

SERVICE_PORTS: dict[str, tuple[int, ...] | Callable[[WindowsServer], tuple[int, ...]]] = {
    "rpcss": (135,),
    "lanmanserver": (445,),
    "winrm": lambda server: tuple({item["port"] for item in server.section("winrm_listeners")["listeners"]}),
    "termservice": (3389,),
    "dns": (53,),
    "ntds": (389, 636, 3268, 3269),
    "kdc": (88, 464),
    "adws": (9389,),
    "w3svc": (80,),
    "mssqlserver": (1433,),
    "sshd": (22,),
}
"""TCP ports that a service listens on while it runs, or a function that gives them; names in lower case. Handlers of
other families add theirs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""


HTTP_SERVICES: dict[str, Callable[[WindowsServer, str], Answer]] = {}
"""Services of simulated servers that answer HTTP: name in lower case to (server, path) -> answer."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A request to a web server of the lab, which answers by its address, its name and its method."""

    client: WindowsServer
    """Who asks: its trust judges the server's certificate."""
    scheme: str
    address: str
    port: int
    host: str
    """Name asked for, in TLS and in the header Host."""
    method: str
    path: str
    """Path and query."""
    size: int = 0
    """Bytes of its body."""
    verify: bool = True


WEB_SERVERS: dict[str, Callable[[WindowsServer, WebRequest], Answer]] = {}
"""Services that answer as a whole web server does: name in lower case to (server, request) -> answer."""


class Unreachable(Exception):  # noqa: N818 - says what the host is
    """No connection, in words fit for a module's message."""


def _running(server: WindowsServer) -> list[str]:
    return [name for name, service in server.section("services").items() if service["state"] == "running"]


def _ports(server: WindowsServer, service: str) -> tuple[int, ...]:
    # Instances of a service are called "service$instance".
    ports = SERVICE_PORTS.get(service) or SERVICE_PORTS.get(service.partition("$")[0] + "$", ())
    return ports(server) if callable(ports) else ports


def listening(server: WindowsServer) -> set[int]:
    """TCP ports that a simulated server listens on."""
    return {port for name in _running(server) for port in _ports(server, name)}


def find(server: WindowsServer, host: str) -> tuple[WindowsServer | None, str]:
    """Resolve a name as the server would: itself, its hosts file, its neighbours, then the machine of the lab.

    Returns:
        The simulated server behind the name, if it is one, and the address.

    Raises:
        Unreachable: Nobody knows the name, or it lies outside the lab.
    """
    name = host.casefold().rstrip(".")
    if name in {"localhost", "127.0.0.1", "::1", server.computer_name.casefold(), server.fqdn.casefold()}:
        return server, "127.0.0.1"
    if name in server.addresses():
        return server, name
    for line in hosts_file(server).splitlines():
        words = line.partition("#")[0].split()
        if name in (word.casefold() for word in words[1:]):
            name = words[0]
            break
    neighbour = server.estate.at(name) or server.estate.named(name)
    if neighbour is not None:
        return neighbour, (neighbour.addresses() or ["127.0.0.1"])[0]
    if server.estate.owns(name):
        raise Unreachable(f"Impossible de se connecter au serveur distant {host}: it is switched off")
    try:
        address = str(socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0])
    except OSError:
        raise Unreachable(f"Le nom distant n’a pas pu être résolu: '{host}'") from None
    if not ipaddress.ip_address(address).is_private:
        raise Unreachable(f"The lab has no way out to {host} ({address}).")
    return None, address


def reaches(server: WindowsServer, host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether a TCP connection comes about."""
    try:
        target, address = find(server, host)
    except Unreachable:
        return False
    if target is not None:
        return port in listening(target)
    try:
        with socket.create_connection((address, port), timeout):
            return True
    except OSError:
        return False


def fetch(
    server: WindowsServer,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 30.0,
    verify: bool = True,
    redirects: int = 50,
) -> Answer:
    """Make an HTTP request as the server would.

    Raises:
        Unreachable: No connection, no trust, or outside the lab.
    """
    published = publications.by_url(url)
    if published is not None and method in {"GET", "HEAD"}:
        return Answer(200, "OK", {}, published.content if method == "GET" else b"", url)
    for _hop in range(redirects + 1):
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(f"The lab fetches http and https only, not {url}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        target, address = find(server, parts.hostname)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if target is not None:
            host = next((value for name, value in (headers or {}).items() if name.casefold() == "host"), parts.hostname)
            asked = WebRequest(server, parts.scheme, address, port, host, method, path, len(body or b""), verify)
            answer = _simulated(target, asked, url)
        else:
            request = _Request(parts.hostname, address, port, path, url, method, headers or {}, body)
            context = _trust(server, verify=verify) if parts.scheme == "https" else None
            answer = _real(request, context, timeout)
        moved = answer.status in {301, 302, 303, 307, 308} and "location" in answer.headers
        if moved and method in {"GET", "HEAD"} and redirects > 0:  # none allowed: the redirection itself is the answer
            url = urljoin(url, answer.headers["location"])
            continue
        return answer
    raise Unreachable(f"Too many redirections from {url}")


def _simulated(target: WindowsServer, asked: WebRequest, url: str) -> Answer:
    for name in _running(target):
        if asked.port in _ports(target, name):
            if name in WEB_SERVERS:
                answer = WEB_SERVERS[name](target, asked)
            elif name in HTTP_SERVICES:
                answer = HTTP_SERVICES[name](target, asked.path)
            else:
                raise Unreachable(f"The lab does not simulate HTTP on port {asked.port} of {target.name}.")
            return Answer(answer.status, answer.reason, answer.headers, answer.body, url)
    raise Unreachable("Impossible de se connecter au serveur distant")


@dataclass(frozen=True, slots=True)
class _Request:
    host: str
    address: str
    port: int
    path: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes | None


def _trust(server: WindowsServer, *, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _real(request: _Request, context: ssl.SSLContext | None, timeout: float) -> Answer:
    try:
        raw = socket.create_connection((request.address, request.port), timeout)
        if context is not None:
            raw = context.wrap_socket(raw, server_hostname=request.host)
        connection = http.client.HTTPConnection(request.host, request.port, timeout=timeout)
        connection.sock = raw
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
    except ssl.SSLError:
        raise Unreachable(
            "La connexion sous-jacente a été fermée : Impossible d’établir une relation de confiance pour le canal "
            "sécurisé SSL/TLS."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"Impossible de se connecter au serveur distant ({error})") from None
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, response.reason, found, content, request.url)
