# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container of the lab as podman sees it: created once, started and stopped often, removed at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.linux.commands import CommandError, LinuxLabError, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lab.linux.runtime import Runtime

INIT = "/usr/local/sbin/lab-init"
LABEL = "cnosf.infogerance.lab"
# What systemd and the services of a server need of their own machine; all of it within the container's namespaces.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_BOOT", "SYS_PTRACE", "SYS_NICE", "MKNOD", "AUDIT_WRITE")

# How systemd's last system call ends the first process of a container (reboot(2), pid_namespaces(7)):
# the kernel kills it by SIGHUP for a restart and by SIGINT for a halt or power-off.
REBOOTED = 128 + 1
POWERED_OFF = 128 + 2


@dataclass(frozen=True)
class Limits:
    """What the virtual hardware grants: processors and memory."""

    cpus: int
    memory_mib: int


class Container:
    """A container that boots systemd in a network namespace made beforehand.

    Args:
        runtime: this machine's podman.
        number: the lab instance it belongs to.
        name: its name in podman.
    """

    def __init__(self, runtime: Runtime, number: int, name: str) -> None:
        self.runtime = runtime
        self.number = number
        self.name = name

    async def podman(self, *arguments: str, seconds: float = 120) -> str:
        """Run a podman command."""
        return await run(*self.runtime.podman, *arguments, seconds=seconds)

    async def exists(self) -> bool:
        """Tell whether it was created and not removed."""
        try:
            await self.podman("container", "exists", self.name)
        except CommandError as error:
            if error.code == 1:
                return False
            raise
        return True

    async def create(self, image: str, hostname: str, netns: str, limits: Limits, *, seccomp: Path | None) -> None:
        """Make it from an image, without starting it.

        A laptop with less memory than the server declares is no reason to refuse: the limit is an upper one.

        Args:
            image: name of the image in podman.
            hostname: its name until the server's is known.
            netns: path of its network namespace.
            limits: its virtual hardware.
            seccomp: profile of its system calls; podman's own when there is none.
        """
        profile = ("--security-opt", f"seccomp={seccomp}") if seccomp else ()
        await self.podman(
            *("create", "--name", self.name, "--hostname", hostname, "--network", f"ns:{netns}"),
            *("--label", f"{LABEL}={self.number}", "--systemd=always", "--no-hosts", "--dns=none"),
            *("--cap-add", ",".join(CAPABILITIES), "--security-opt", "apparmor=unconfined"),
            *profile,
            *("--security-opt", "label=disable", "--pids-limit", "4096", "--log-driver", "k8s-file"),
            *("--ulimit", f"nofile={self.runtime.files}:{self.runtime.files}"),
            *("--ulimit", f"nproc={self.runtime.processes}:{self.runtime.processes}"),
            *limit_arguments(limits, os.cpu_count() or 1),
            *(image, INIT),
        )

    @asynccontextmanager
    async def mounted(self) -> AsyncIterator[Path]:
        """Give the folder that shows its file system on this machine."""
        folder = (await self.podman("mount", self.name)).strip()
        try:
            yield Path(folder)
        finally:
            await self.podman("unmount", self.name)

    async def start(self) -> int:
        """Start it; returns the process number of its first process on this machine."""
        await self.podman("start", self.name)
        return await self.pid()

    async def limit(self, limits: Limits) -> None:
        """Give it the processors and the memory that its machine has now."""
        await self.podman("update", *limit_arguments(limits, os.cpu_count() or 1), self.name)

    async def pid(self) -> int:
        """Process number of its first process; 0 while it is not running or does not exist."""
        try:
            return int((await self.podman("inspect", "--format", "{{.State.Pid}}", self.name)).strip())
        except CommandError:
            return 0

    async def ended(self) -> int:
        """Wait until it has ended; returns its exit status."""
        return int((await self.podman("wait", self.name)).strip())

    async def stop(self, seconds: int) -> None:
        """Ask systemd to power off, and kill what is left after that many seconds."""
        await self.podman("stop", "--time", str(seconds), self.name, seconds=seconds + 60)

    async def remove(self) -> None:
        """Remove it with its file system, running or not; harmless when it does not exist."""
        await self.podman("rm", "--force", "--volumes", "--time", "0", "--ignore", self.name)

    async def execute(self, pid: int, *argv: str, seconds: float = 30) -> str:
        """Run a command in its namespaces, several times faster than `podman exec`."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return await run("nsenter", "--target", str(pid), *namespaces, *argv, env=environment, seconds=seconds)

    async def journal(self, pid: int, lines: int = 20) -> str:
        """Return the last lines of its journal; of its console when the journal does not answer."""
        if pid:
            with contextlib.suppress(LinuxLabError):
                return await self.execute(pid, "journalctl", "--no-pager", "--quiet", "--lines", str(lines))
        with contextlib.suppress(LinuxLabError):
            async with self.mounted() as root:
                said = await run(
                    *("journalctl", "--no-pager", "--quiet", "--directory", str(root / "var/log/journal")),
                    *("--lines", str(lines)),
                )
                if said.strip():
                    return said
        with contextlib.suppress(LinuxLabError):
            return await self.podman("logs", "--tail", str(lines), self.name)
        return "(nothing was written)"


def limit_arguments(limits: Limits, cores: int) -> tuple[str, ...]:
    """Podman's options for these limits: never more processors than the machine has, which podman refuses."""
    return ("--cpus", str(min(limits.cpus, cores)), "--memory", f"{limits.memory_mib}m")


async def watch(pid: int) -> None:
    """Return when a process has ended, without polling; at once when it is already gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(handle, _settle, gone)
        await gone
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def containers(runtime: Runtime, number: int) -> list[str]:
    """Names of the containers that an instance of the lab has on this machine."""
    said = await run(*runtime.podman, "ps", "--all", "--filter", f"label={LABEL}={number}", "--format", "{{.Names}}")
    return sorted(said.split())
