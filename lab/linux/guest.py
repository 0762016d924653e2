# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Linux server of the lab: a container that boots, reboots, powers off and keeps its disk, as a machine does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.guests import AgentReport, Guest, GuestError, GuestSpec, House
from lab.linux import agent, seccomp, seed
from lab.linux.commands import CommandError, LinuxLabError
from lab.linux.containers import POWERED_OFF, REBOOTED, Container, Limits, watch
from lab.linux.faults import LinuxFaults
from lab.linux.images import REPOSITORY
from lab.network import NetworkError

if TYPE_CHECKING:
    from lab.linux.images import Images
    from lab.linux.runtime import Runtime

BOOT_SECONDS = 90
SHUTDOWN_SECONDS = 60
IS_UP = ("systemctl", "is-system-running", "--wait")
BOOTED = frozenset({"running", "degraded"})

logger = logging.getLogger(__name__)


class LinuxGuest:
    """One server.

    Args:
        spec: its virtual hardware; replaced by the datacenter before each boot.
        house: what the lab lends it.
        runtime: this machine's podman.
        images: where its disk comes from.
        package_proxy: URL of the site's package proxy, None for none.

    Attributes:
        hang_at_reboot: a fault: once it restarts from inside, it stays down until it is stopped and booted again.
    """

    def __init__(
        self,
        spec: GuestSpec,
        house: House,
        *,
        runtime: Runtime,
        images: Images,
        package_proxy: str | None = None,
    ) -> None:
        self.spec = spec
        self.house = house
        self.images = images
        self.package_proxy = package_proxy
        self.container = Container(runtime, house.instance.number, house.network.namespace(spec.vmid))
        self.home = house.home / "linux" / spec.folder
        self.hang_at_reboot = False
        self.faults = LinuxFaults(self)
        self._pid = 0
        self._ready = False
        self._booted_at = 0.0
        self._watcher: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """The server's name."""
        return self.spec.name

    @property
    def pid(self) -> int:
        """Process number of its first process on this machine; 0 while it is off."""
        return self._pid

    # ----------------------------------------------------------------- power

    async def boot(self) -> None:
        """Power on, creating the disk from the system's image the first time; returns once systemd has booted.

        A container that an earlier lab process left running is taken over as it is.

        Raises:
            GuestError: it does not boot; the message ends with the last lines of its journal.
        """
        async with self._lock:
            if self._pid:
                return
            self.hang_at_reboot = False  # a power cycle heals it
            if await self._take_over():
                return
            if not await self.container.exists():
                await self._create()
            await self._start()
        self._watch()

    async def shutdown(self) -> None:
        """Ask systemd to power off; returns when it is off."""
        await self._halt(SHUTDOWN_SECONDS)

    async def stop(self) -> None:
        """Pull the plug."""
        await self._halt(0)

    async def destroy(self) -> None:
        """Remove container, disk, snapshots, network, host key and whatever else the server left."""
        await self._unwatch()
        async with self._lock:
            self._pid, self._ready = 0, False
            await self.container.remove()
            await self._leave()
            for tag in await self._snapshot_tags():
                await self.container.podman("rmi", "--force", tag)
            self.house.credentials.known_hosts.forget(self.name)
            self.house.network.release(self.name)
            await asyncio.to_thread(shutil.rmtree, self.home, ignore_errors=True)

    # ----------------------------------------------------------------- agent

    async def agent(self) -> AgentReport | None:
        """What the guest agent says; None while the server is off, boots or is stuck."""
        if not self._ready:
            return None
        try:
            root = Path(f"/proc/{self._pid}/root")
            hostname = (root / "etc/hostname").read_text(encoding="utf-8").strip()
            namespace = self.house.network.namespace(self.spec.vmid)
            return await agent.report(root, namespace, hostname, self._booted_at)
        except OSError:  # it powered off meanwhile
            return None

    # ------------------------------------------------------------- snapshots

    async def snapshot(self, name: str) -> None:
        """Keep the disk as it is now, as an image."""
        await self.container.podman("commit", "--quiet", "--pause", self.container.name, self._tag(name), seconds=600)

    async def rollback(self, name: str) -> None:
        """Put the disk back as it was; the server is off afterwards."""
        await self.stop()
        async with self._lock:
            await self.container.remove()
            await self._make(self._tag(name))

    async def drop_snapshot(self, name: str) -> None:
        """Forget a snapshot; harmless when it does not exist."""
        if self._tag(name) in await self._snapshot_tags():
            await self.container.podman("rmi", "--force", self._tag(name))

    async def copy_from(self, source: Guest) -> None:
        """Take over the disk of another Linux server; identity and network become this server's own at once.

        Raises:
            GuestError: the other one is no Linux server, or this one has a disk already.
        """
        if not isinstance(source, LinuxGuest):
            raise GuestError(f"{self.name} cannot take over the disk of {source.name}, which is no Linux server")
        if await self.container.exists():
            raise GuestError(f"{self.name} already has a disk: destroy it before cloning {source.name} into it")
        copy = f"{REPOSITORY}-clone:{self.container.name}"
        await source.container.podman("commit", "--quiet", "--pause", source.container.name, copy, seconds=600)
        try:
            async with self._lock:
                await self._make(copy)
                await self._seed()
        finally:
            await self.container.podman("rmi", "--force", copy)

    def _tag(self, snapshot: str) -> str:
        return f"{REPOSITORY}-snapshot:{self.container.name}-{snapshot}"

    async def _snapshot_tags(self) -> list[str]:
        said = await self.container.podman("images", "--format", "{{.Repository}}:{{.Tag}}", f"{REPOSITORY}-snapshot")
        return [tag for tag in said.split() if tag.startswith(self._tag(""))]

    # ------------------------------------------------------------------ life

    async def _create(self) -> None:
        image = await self.images.ensure(self.spec.system)
        await self._make(image.tag)
        try:
            await self._seed()
        except BaseException:  # half a server must not be taken for a whole one at the next boot
            await asyncio.shield(self.container.remove())
            raise

    async def _make(self, image: str) -> None:
        """Create the container; podman wants to see the network that it will only use once started."""
        path = await self._join()
        try:
            profile = seccomp.write(self.home)
            await self.container.create(image, self.name, str(path), self._limits, seccomp=profile)
        finally:
            await self._leave()

    async def _seed(self) -> None:
        key, _public = self.house.credentials.host_key(self.home, self.name)
        data = seed.Seed(key, self.house.credentials.ssh_public_key, self.package_proxy)
        async with self.container.mounted() as root:
            seed.write_identity(root, self.spec, data)

    async def _start(self) -> None:
        """Start with fresh network and the hardware of the moment; wait for systemd; remember who we are."""
        async with self.container.mounted() as root:
            seed.write_network(root, self.spec)
        await self._join()
        self._trust()
        try:
            self._booted_at = time.time()
            self._pid = await self.container.start()
            await self._limit()
            await self._wait_booted()
        except BaseException:
            self._pid = 0
            with contextlib.suppress(LinuxLabError):
                await asyncio.shield(self.container.stop(0))
            await asyncio.shield(self._leave())
            raise
        self._ready = True

    async def _limit(self) -> None:
        """Give it the hardware of the moment; one that has ended already is :meth:`_wait_booted`'s to explain."""
        try:
            await self.container.limit(self._limits)
        except CommandError:
            if self._pid and _alive(self._pid):
                raise

    async def _take_over(self) -> bool:
        self._pid = await self.container.pid()
        if not self._pid:
            return False
        self._booted_at = _started(self._pid)
        await self._wait_booted()
        self._trust()
        self._ready = True
        self._watch()
        return True

    def _trust(self) -> None:
        _private, public = self.house.credentials.host_key(self.home, self.name)
        addresses = [nic.ip for nic in self.spec.nics if nic.ip]
        self.house.credentials.known_hosts.trust(self.name, addresses, public)

    async def _wait_booted(self) -> None:
        """Wait until systemd has started everything; a unit that failed is the server's own affair.

        Raises:
            GuestError: it ended meanwhile, or did not come up in time.
        """
        deadline = time.monotonic() + BOOT_SECONDS
        said = "nothing"
        while time.monotonic() < deadline:
            left = max(1.0, deadline - time.monotonic())
            try:
                said = (await self.container.execute(self._pid, *IS_UP, seconds=left)).strip()
            except CommandError as error:
                said = error.stderr or said
            except LinuxLabError as error:
                said = str(error)
            if said in BOOTED:
                return
            if not _alive(self._pid):
                raise GuestError(await self._post_mortem("ended while it booted"))
            await asyncio.sleep(0.1)
        raise GuestError(await self._post_mortem(f"was not up after {BOOT_SECONDS} s ({said})"))

    async def _post_mortem(self, what: str) -> str:
        alive = self._pid if _alive(self._pid) else 0
        journal = await self.container.journal(alive)
        return f"{self.name} {what}. The last lines of its journal:\n{journal.rstrip()}"

    async def _halt(self, seconds: int) -> None:
        await self._unwatch()
        async with self._lock:
            self._ready = False
            if await self.container.exists():
                await self.container.stop(seconds)
            self._pid = 0
            await self._leave()

    async def _join(self) -> Path:
        try:
            return await asyncio.to_thread(self.house.network.join, self.spec)
        except NetworkError as error:
            raise LinuxLabError(f"{self.name} has no network: {error}") from error

    async def _leave(self) -> None:
        await asyncio.to_thread(self.house.network.leave, self.spec.vmid)

    @property
    def _limits(self) -> Limits:
        return Limits(self.spec.cpus, self.spec.memory_mib)

    # ----------------------------------------------------------------- watch

    def _watch(self) -> None:
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._follow(), name=f"watch {self.name}")

    async def _unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher is not asyncio.current_task():
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _follow(self) -> None:
        """Notice what the operating system does by itself: restart, power off, crash."""
        while True:
            await watch(self._pid)
            self._ready = False
            code = await self.container.ended()
            if code == REBOOTED:
                if self.hang_at_reboot:
                    logger.info("%s hangs at its reboot, as asked", self.name)
                    return
                try:
                    async with self._lock:
                        await self._start()
                except GuestError as error:
                    logger.error("%s did not come back from its reboot: %s", self.name, error)  # noqa: TRY400 - the sentence is whole
                    return
                await self.house.events.rebooted(self.spec.vmid)
                continue
            if code != POWERED_OFF:
                logger.warning("%s ended with status %s", self.name, code)
            async with self._lock:
                self._pid = 0
                await self._leave()
            await self.house.events.powered_off(self.spec.vmid)
            return


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _started(pid: int) -> float:
    """When a process started, in seconds since the epoch."""
    return Path(f"/proc/{pid}").stat().st_ctime
