# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to a running lab: requests and answers as JSON, one a line, over a socket that only its owner opens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from lab.guests import GuestError
from lab.network import NetworkError

if TYPE_CHECKING:
    from pathlib import Path

    from lab.settings import Instance

__all__ = ["Control", "ControlError", "NotRunningError", "ask"]

Verb: TypeAlias = Callable[..., Awaitable[Any]]

SOCKET = "control.sock"
LINE_LIMIT = 64 * 1024**2


class ControlError(Exception):
    """The lab refused a request; the message is its sentence."""


class NotRunningError(ControlError):
    """No lab answers in this folder."""


@contextlib.contextmanager
def _short_path(home: Path) -> Iterator[str]:
    """A path to the socket that fits the 107 bytes a socket's name may have, however deep the folder lies."""
    descriptor = os.open(home, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def ask(instance: Instance, verb: str, *, timeout: float = 120, **arguments: Any) -> Any:
    """Ask the running lab for something and return its answer.

    Raises:
        NotRunningError: nobody listens.
        ControlError: the lab refused, with its reason, or did not answer within ``timeout`` seconds.
    """
    if not instance.home.is_dir():
        raise NotRunningError(f"lab '{instance.name}' is not running: python -m lab --instance {instance.name} up")
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(timeout)
        try:
            with _short_path(instance.home) as path:
                line.connect(path)
            line.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
            with line.makefile("rb") as answers:
                raw = answers.readline()
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
            raw = b""
        except TimeoutError:
            raise ControlError(f"lab '{instance.name}' did not answer '{verb}' within {timeout:.0f} s") from None
    if not raw:
        raise NotRunningError(f"lab '{instance.name}' is not running: python -m lab --instance {instance.name} up")
    answer = json.loads(raw)
    if not answer["ok"]:
        raise ControlError(answer["error"])
    return answer["data"]


class Control:
    """The lab's end of the line: runs one of its verbs for each request."""

    def __init__(self, home: Path, verbs: dict[str, Verb]) -> None:
        """Serve these verbs; each is called with the request's arguments by name."""
        self.home = home
        self.verbs = verbs
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen, in place of whatever an earlier lab left."""
        (self.home / SOCKET).unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            with _short_path(self.home) as path:
                self._server = await asyncio.start_unix_server(self._serve, path, limit=LINE_LIMIT)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stop listening."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        (self.home / SOCKET).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while raw := await reader.readline():
                writer.write(json.dumps(await self._answer(raw)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, raw: bytes) -> dict[str, Any]:
        try:
            request = json.loads(raw)
            verb = self.verbs[request.pop("verb")]
        except (ValueError, KeyError, AttributeError):
            return {"ok": False, "error": f"unknown request; the lab knows {', '.join(sorted(self.verbs))}"}
        try:
            return {"ok": True, "data": await verb(**request)}
        except (ControlError, GuestError, NetworkError, TypeError, ValueError) as error:
            return {"ok": False, "error": str(error)}
