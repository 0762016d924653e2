# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP session under proxmoxer's client: one for all threads, kept open, quick where calls come by the thousand.

proxmoxer's own session (requests) takes three times as much processor time for each call and is not safe between
threads, and `REQUESTS_CA_BUNDLE` may decide whom it trusts. Here trust is what the options say, and nothing else.
"""

from __future__ import annotations

import json
import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import AuthenticationError, EngineError

try:
    import urllib3

    HAS_URLLIB3 = True
except ImportError:
    HAS_URLLIB3 = False

if TYPE_CHECKING:
    from collections.abc import Mapping


def context(*, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """Answer what verifies the other side: the file alone when one is given, else the system's authorities.

    Raises:
        OSError: the file holds no certificate.
    """
    result = ssl.create_default_context(cafile=ca_file)
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for, and is documented
        result.check_hostname = False
        result.verify_mode = ssl.CERT_NONE
    return result


class Answer:
    """An HTTP answer in the shape that proxmoxer reads."""

    def __init__(self, status: int, reason: str, content: bytes) -> None:
        """Hold what was answered."""
        self.status_code = status
        self.reason = reason
        self.content = content

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", errors="replace")


class Session:
    """Sends proxmoxer's requests over a pool of connections that threads share.

    Args:
        url: address of the API, `https://host:port` and a path prefix where there is one.
        trust: what verifies its certificate.
        timeout: seconds that one answer may take.
        connections: how many requests may be on their way at once.
        token: `user@realm!name=secret`, or None.
        login: user and password, when there is no token.
    """

    def __init__(
        self,
        url: str,
        trust: ssl.SSLContext,
        *,
        timeout: float,
        connections: int,
        token: str | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._login = login
        self._ticket: dict[str, str] | None = None
        self._lock = threading.Lock()
        self._pool = _pool(self._origin, trust, timeout, connections)

    def request(
        self, method: str, url: str, data: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Send one request; logs in first, and anew once when a ticket has expired.

        A 401 is answered before anything is done, so that any request may be sent again after it.
        """
        if self._token is not None:
            return self._send(method, url, data, params, {"Authorization": f"PVEAPIToken={self._token}"})
        ticket = self._current_ticket(None)
        answer = self._send(method, url, data, params, ticket)
        if answer.status_code == 401:
            answer = self._send(method, url, data, params, self._current_ticket(ticket))
        return answer

    def _send(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None,
        credentials: Mapping[str, str],
    ) -> Answer:
        target = url.removeprefix(self._origin)
        if params:
            target = f"{target}?{urlencode(params, doseq=True)}"
        headers = {"Accept": "application/json", **credentials}
        body = None
        if data:
            body = urlencode(data, doseq=True)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self._pool.request(method, target, body=body, headers=headers, redirect=False)
        if 300 <= answer.status < 400:
            raise EngineError(
                f"{self._origin} redirects to {answer.headers.get('Location')}: give the API's own address as 'url'."
            )
        return Answer(answer.status, answer.reason or "", answer.data)

    def _current_ticket(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        """Answer the ticket's headers, after a login when there is none or the one there is was refused.

        Raises:
            AuthenticationError: the user or the password is wrong, or a second factor is asked.
        """
        with self._lock:
            if self._ticket is None or self._ticket is refused:
                self._ticket = self._log_in()
            return self._ticket

    def _log_in(self) -> dict[str, str]:
        user, password = self._login or ("", "")
        path = f"{self._prefix}/api2/json/access/ticket"
        answer = self._send("POST", path, {"username": user, "password": password}, None, {})
        if answer.status_code != 200:
            raise AuthenticationError(
                f"{self._origin} refuses the user or the password of {user} ({answer.reason}). Check both, and that "
                "the user is enabled."
            )
        held = json.loads(answer.content)["data"]
        if held.get("NeedTFA"):
            raise AuthenticationError(f"{self._origin} asks {user} for a second factor: use an API token instead.")
        return {"Cookie": f"PVEAuthCookie={held['ticket']}", "CSRFPreventionToken": held["CSRFPreventionToken"]}


def _pool(origin: str, trust: ssl.SSLContext, timeout: float, connections: int) -> urllib3.HTTPSConnectionPool:
    """Answer the connections, through the environment's proxy when it names one for this host."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    shared: dict[str, Any] = {
        "maxsize": connections,
        "block": True,
        "timeout": urllib3.Timeout(timeout),
        "retries": False,
    }
    proxy = getproxies().get("https")
    if proxy and not proxy_bypass(host):
        manager = urllib3.ProxyManager(proxy, ssl_context=trust, **shared)
        pool = manager.connection_from_url(origin)
    else:
        pool = urllib3.HTTPSConnectionPool(host, parts.port, ssl_context=trust, **shared)
    return pool  # type: ignore[return-value]  # an https origin always gives an HTTPS pool
