# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's package proxy: apt-cacher-ng on the lab's bridge, so that guests install without a way to the Internet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import time
from typing import IO, TYPE_CHECKING

from lab.linux.commands import LinuxLabError, tail
from lab.linux.images import cache_home
from lab.network import who_listens

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "/usr/sbin/apt-cacher-ng"
PORT = 13142  # not 3142: the distribution's own service may run on every address of this machine
START_SECONDS = 20
STOP_SECONDS = 10


def configuration(address: str, port: int, cache: Path, state: Path) -> str:
    """acng.conf(5): no report page, no remapping, downloads kept until nobody lists them any more."""
    return (
        f"CacheDir: {cache}\n"
        f"LogDir: {state}\n"
        f"SocketPath: {state}/socket\n"
        f"PidFile: {state}/pid\n"
        "SupportDir: /usr/lib/apt-cacher-ng\n"
        f"BindAddress: {address}\n"
        f"Port: {port}\n"
        "ForeGround: 1\n"
        "ReportPage:\n"
        "ExThreshold: 30\n"
        "VerboseLog: 1\n"
    )


class PackageProxy:
    """One apt-cacher-ng in the foreground.

    Its downloads live in the user's cache, so that a new lab installs from disk. Two processes must not share one
    cache: each running lab takes the first cache that no other one holds.

    Args:
        address: the bridge's address, which guests reach.
        state: folder for its configuration and log.
    """

    def __init__(self, address: str, state: Path, port: int = PORT) -> None:
        self.address = address
        self.port = port
        self.state = state
        self._process: asyncio.subprocess.Process | None = None
        self._slot: IO[str] | None = None

    @property
    def url(self) -> str:
        """What apt is told."""
        return f"http://{self.address}:{self.port}"

    async def start(self) -> None:
        """Start it; returns once it answers.

        Raises:
            LinuxLabError: it is not installed, its port is taken, or it ends at once.
        """
        if self._process is not None and self._process.returncode is None:
            return
        if shutil.which(PROGRAM) is None:
            raise LinuxLabError("apt-cacher-ng is not installed: install the package `apt-cacher-ng`")
        holder = who_listens(self.address, self.port)
        if holder:
            raise LinuxLabError(f"{self.address}:{self.port}, the package proxy's, is taken by {holder}: stop it first")
        self.state.mkdir(parents=True, exist_ok=True)
        self._slot, cache = free_slot(cache_home() / "apt")
        (self.state / "acng.conf").write_text(configuration(self.address, self.port, cache, self.state))
        with (self.state / "console.log").open("wb") as console:
            self._process = await asyncio.create_subprocess_exec(
                *(PROGRAM, "-c", str(self.state)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(self._slot.fileno(),),  # the cache stays taken while the proxy lives, whatever befalls us
            )
        await self._wait_answering()

    async def stop(self) -> None:
        """Stop it; harmless when it is not running."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._slot is not None:
            self._slot.close()
            self._slot = None

    async def _wait_answering(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        process = self._process
        while process is not None and process.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_connection(self.address, self.port)
                writer.close()
                return
            await asyncio.sleep(0.05)
        await self.stop()
        said = tail(self.state / "console.log") or tail(self.state / "apt-cacher.err") or "it said nothing"
        raise LinuxLabError(f"the package proxy does not answer on {self.address}:{self.port}:\n{said}")


def free_slot(home: Path) -> tuple[IO[str], Path]:
    """Take the first cache under `home` that no process holds; it is held until the file given is closed."""
    home.mkdir(parents=True, exist_ok=True)
    index = 0
    while True:
        cache = home / str(index)
        handle = (home / f"{index}.lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            index += 1
            continue
        cache.mkdir(exist_ok=True)
        return handle, cache
