# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the system's commands without blocking the lab's event loop."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from lab.guests import GuestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LinuxLabError(GuestError):
    """Something of the Linux half of the lab failed; the message names the object and the remedy."""


class CommandError(LinuxLabError):
    """A command ended in error.

    Attributes:
        code: its exit status.
        stderr: what it wrote to standard error, stripped.
    """

    def __init__(self, argv: tuple[str, ...], code: int, stderr: str) -> None:
        self.code = code
        self.stderr = stderr.strip()
        said = self.stderr.splitlines()[-1] if self.stderr else "it said nothing"
        super().__init__(f"`{shlex.join(argv)}` ended with status {code}: {said}")


async def run(
    *argv: str,
    stdin: str | None = None,
    seconds: float = 120,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Run a command and return what it wrote to standard output.

    Args:
        argv: the program and its arguments; no shell reads them.
        stdin: text handed to it; nothing when None.
        seconds: after that long it is killed.
        env: the whole environment of the command; the caller's when None.
        log: file to append its output to, instead of returning it.

    Raises:
        CommandError: its status was not 0.
        LinuxLabError: the program is missing, or it was too slow.
    """
    sink = log.open("ab") if log else None
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=sink or asyncio.subprocess.PIPE,
            stderr=sink or asyncio.subprocess.PIPE,
            env=dict(env) if env is not None else None,
        )
    except FileNotFoundError as error:
        message = f"`{argv[0]}` is not installed: install the system packages that the README lists"
        raise LinuxLabError(message) from error
    finally:
        if sink:
            sink.close()
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode() if stdin is not None else None), seconds)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise LinuxLabError(f"`{shlex.join(argv)}` was stopped: it had not ended after {seconds:.0f} s") from error
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        said = tail(log) if log else (err or b"").decode(errors="replace")
        raise CommandError(argv, process.returncode, said)
    return (out or b"").decode(errors="replace")


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a text file; empty when it does not exist."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
