# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that the lab can give one Linux server, from outside: nothing is installed or changed in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.linux.guest import LinuxGuest

__all__ = ["LinuxFaults", "ssh_sessions"]

LOOK_SECONDS = 0.05
SESSION_COMMANDS = (b"sshd", b"sshd-session")


def ssh_sessions(init: int) -> dict[int, bool]:
    """SSH sessions in the container of this first process: each one's process, and whether it runs a command now."""
    try:
        namespace = Path(f"/proc/{init}/ns/pid").readlink()
    except OSError:
        return {}
    parents: dict[int, int] = {}
    sessions = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if (process / "ns" / "pid").readlink() != namespace:
                continue
            status = (process / "stat").read_bytes()
            title = (process / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        name, _bracket, rest = status.rpartition(b")")
        parents[int(process.name)] = int(rest.split()[1])
        if name.partition(b"(")[2] in SESSION_COMMANDS and b"@" in title:
            sessions.append(int(process.name))
    return {pid: pid in parents.values() for pid in sessions}


class LinuxFaults:
    """What is wrong with a server just now; nothing by default."""

    def __init__(self, guest: LinuxGuest) -> None:
        """Watch over this server's SSH sessions once a fault needs it."""
        self._guest = guest
        self._drops = 0
        self._slow_seconds = 0.0
        self._watcher: asyncio.Task[None] | None = None
        self._delays: set[asyncio.Task[None]] = set()

    @property
    def reboot_hang(self) -> bool:
        """The next restart from inside never comes back, until the server is stopped and booted."""
        return self._guest.hang_at_reboot

    @property
    def drop_connection(self) -> int:
        """So many of the next SSH sessions are cut while they run a command."""
        return self._drops

    @property
    def slow_seconds(self) -> float:
        """How long each new SSH session is held before it goes on, in seconds."""
        return self._slow_seconds

    def set(self, name: str, value: Any = None) -> None:
        """Set a fault by name; without a value a switch is turned on and a counter gets 1.

        Raises:
            ValueError: an unknown fault, or a value that does not fit.
        """
        key = name.replace("-", "_")
        try:
            if key == "reboot_hang":
                self._guest.hang_at_reboot = True
            elif key == "drop_connection":
                self._drops = max(0, int(1 if value is None else value))
            elif key == "slow_seconds":
                self._slow_seconds = max(0.0, float(2 if value is None else value))
            else:
                raise ValueError(f"unknown fault '{name}' of a Linux server")
        except TypeError as error:
            raise ValueError(f"fault {name}: {error}") from None
        self._watch()

    def clear(self) -> None:
        """Turn everything off."""
        self._guest.hang_at_reboot = False
        self._drops, self._slow_seconds = 0, 0.0

    def active(self) -> dict[str, Any]:
        """The faults that are set, with their values."""
        every = {name: getattr(self, name) for name in ("reboot_hang", "drop_connection", "slow_seconds")}
        return {name: value for name, value in every.items() if value}

    # ------------------------------------------------------------- sessions

    def _watch(self) -> None:
        if (self._drops or self._slow_seconds) and (self._watcher is None or self._watcher.done()):
            self._watcher = asyncio.get_running_loop().create_task(self._look(), name=f"faults {self._guest.name}")

    async def _look(self) -> None:
        """Look at the sessions while a fault concerns them."""
        known: set[int] = set()
        while self._drops or self._slow_seconds:
            sessions = await asyncio.to_thread(ssh_sessions, self._guest.pid)
            for pid, busy in sessions.items():
                if self._drops and busy:
                    self._drops -= 1
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                elif self._slow_seconds and pid not in known:
                    known.add(pid)
                    delay = asyncio.create_task(self._hold(pid, self._slow_seconds))
                    self._delays.add(delay)
                    delay.add_done_callback(self._delays.discard)
            await asyncio.sleep(LOOK_SECONDS)

    async def _hold(self, pid: int, seconds: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
