# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to Proxmox VE: errors in words, only what is safe retried, tasks waited for.

The client is handed in (proxmoxer's, made by `factory.py`), so that modules, inventory and tests share one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import proxmox_refusals as refusals
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    AuthenticationError,
    InfogeranceError,
    TaskError,
    UnreachableError,
    UntrustedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# How long to wait before a reading is repeated, in seconds; as many repetitions as entries.
READ_PAUSES = (0.3, 1.0)
# A task's state is asked for quickly at first, then every two seconds.
FIRST_POLL, LAST_POLL = 0.05, 2.0


class Transport:
    """Calls to one Proxmox VE API.

    Args:
        client: proxmoxer's resource of the API's root; threads share it.
        endpoint: address of the API, for messages.
        task_timeout: seconds that a task may take.
        sleep: waits; tests hand in their own.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        client: Any,
        endpoint: str,
        *,
        task_timeout: float = 3600.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self.endpoint = endpoint
        self.task_timeout = task_timeout
        self.sleep = sleep
        self.clock = clock

    # One call.

    def get(self, path: str, doing: str, *, retry: bool = True, **parameters: Any) -> Any:
        """Read; repeated when the API or a host does not answer, because reading changes nothing."""
        pauses = READ_PAUSES if retry else ()
        for pause in pauses:
            try:
                return self._call("get", path, doing, parameters)
            except UnreachableError:
                self.sleep(pause)
        return self._call("get", path, doing, parameters)

    def write(self, method: str, path: str, doing: str, **parameters: Any) -> Any:
        """Write once: an answer that got lost is never sent again, since it may have been done."""
        return self._call(method, path, doing, parameters)

    def _call(self, method: str, path: str, doing: str, parameters: dict[str, Any]) -> Any:
        try:
            return getattr(self._client(path), method)(**parameters)
        except AuthenticationError as error:
            raise AuthenticationError(f"{doing}: {error}") from error
        except Exception as error:
            meaning = self._meaning(error, doing)
            if meaning is None:
                raise
            raise meaning from error

    def _meaning(self, error: Exception, doing: str) -> InfogeranceError | None:
        """Answer our error for one of proxmoxer or urllib3, known by name so that neither is imported here."""
        names = {kind.__name__ for kind in type(error).__mro__}
        if "ResourceException" in names:
            fields = getattr(error, "errors", None)
            return refusals.refusal(
                self.endpoint, doing, int(getattr(error, "status_code", 0)), str(getattr(error, "content", "")), fields
            )
        if "SSLError" in names:
            return UntrustedError(
                f"{doing}: the certificate of {self.endpoint} is not trusted ({_reason(error)}). Give the certificate "
                "of its authority with 'ca_file', and check that the URL's host is named in the certificate."
            )
        if "HTTPError" in names or "OSError" in names:
            return UnreachableError(
                f"{doing}: no answer from {self.endpoint} ({_reason(error)}). Check the address, the port, the "
                "firewall and that the service is up; a run that was cut continues where it was when it is run again."
            )
        return None

    # Writes that take time.

    def task(self, method: str, path: str, doing: str, **parameters: Any) -> None:
        """Write and wait for the task that it starts.

        Raises:
            LockedError: another operation locks the server; Proxmox checks that before anything is done.
            TaskError: the task ended in an error or took longer than `task_timeout`.
        """
        self._finish(self.write(method, path, doing, **parameters), doing)

    def _finish(self, upid: Any, doing: str) -> None:
        """Wait for a task, when the answer names one."""
        if not isinstance(upid, str) or not upid.startswith("UPID:"):
            return
        host = upid.split(":")[1]
        start, pause = self.clock(), FIRST_POLL
        while True:
            status = self.get(f"nodes/{host}/tasks/{upid}/status", doing)
            if status.get("status") != "running":
                break
            waited = self.clock() - start
            if waited >= self.task_timeout:
                raise TaskError(
                    f"{doing}: the task still runs after {waited:.0f} s. It goes on: see {upid} on {host}, and run "
                    "again when it has ended.",
                    upid,
                    "running",
                )
            self.sleep(pause)
            pause = min(pause * 1.5, LAST_POLL)
        reason = str(status.get("exitstatus") or "unknown")
        if reason == "OK" or reason.startswith("WARNINGS"):
            return
        meaning = refusals.recognised(doing, reason)
        if meaning is not None:
            raise meaning
        raise TaskError(f"{doing}: the task ended in an error: {reason}. See {upid} on {host}.", upid, reason)


def _reason(error: Exception) -> str:
    """Answer the innermost reason of a nested network error, which is the one that tells something."""
    inner: BaseException = error
    for _depth in range(8):
        nested = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None) or inner.__cause__
        if not isinstance(nested, BaseException):
            break
        inner = nested
    text = str(inner) or type(inner).__name__
    return text.split("> ")[-1].strip().rstrip(".")
