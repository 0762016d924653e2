# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's process: it brings the instance up, answers on the control line, and takes it all down again."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lab.artefacts import ArtefactError, build
from lab.authority import Authority, write_private
from lab.control import Control, ControlError
from lab.credentials import Credentials
from lab.datacenter import Datacenter, StateError
from lab.faults import FaultDesk
from lab.guests import Guest, GuestError, GuestSpec, House
from lab.linux.containers import Container, containers
from lab.linux.packages import PROGRAM as PACKAGE_PROXY
from lab.linux.platform import LinuxPlatform
from lab.mirror import Mirror
from lab.network import Network, NetworkError, check_port_free, require_root
from lab.settings import Instance, Settings, SettingsError, instance, load
from lab.windows import deliveries, media
from lab.windows.guest import WindowsPlatform

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["BusyError", "Lab", "hold", "main"]

MIRROR_PORT = 8090
LOCKS = Path("/run/lock")
FAILURE = "failure"
EXIT_BUSY = 75

logger = logging.getLogger(__name__)


class BusyError(Exception):
    """Another process holds this instance's number; ``home`` is its folder."""

    def __init__(self, holder: dict[str, Any]) -> None:
        """Keep who holds it."""
        super().__init__(f"number {holder.get('number')} is held by process {holder.get('pid')}, {holder.get('home')}")
        self.home = str(holder.get("home", ""))
        self.pid = int(holder.get("pid", 0))


@contextlib.contextmanager
def hold(where: Instance) -> Iterator[IO[str]]:
    """Be the only process of this machine that works on the instance's number.

    Raises:
        BusyError: another process does.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    path = LOCKS / f"infogerance-lab-{where.number}.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            try:
                holder = json.loads(lock.read())
            except ValueError:
                holder = {"number": where.number}
            raise BusyError(holder) from None
        lock.truncate(0)
        lock.write(json.dumps({"number": where.number, "pid": os.getpid(), "home": str(where.home)}))
        lock.flush()
        yield lock


def end_orphans(program: str, argument: str) -> list[str]:
    """End the processes of a program that were started with this argument. Returns them in words."""
    ended = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it ended meanwhile
            continue
        if words[0] != program or argument not in words:
            continue
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), number)
            deadline = time.monotonic() + 5
            while process.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        ended.append(f"{Path(program).name}, process {process.name}")
    return ended


class Lab:
    """One instance from nothing to running and back."""

    def __init__(self, where: Instance, settings: Settings) -> None:
        """Describe the lab; :meth:`up` makes it."""
        self.where = where
        self.settings = settings
        self.phase = "starting"
        self.ready = False
        self.notes: list[str] = []
        self.systems: dict[str, str] = {}
        self.began = time.time()
        self.network = Network(where)
        self.linux: LinuxPlatform | None = None
        self.windows = WindowsPlatform()
        self.pve = Datacenter(settings, "", where.api_host, where.api_port)
        self.desk = FaultDesk(self.pve)
        self.mirror: Mirror | None = None
        self.ended = asyncio.Event()
        self._purge = False
        self._chores: set[asyncio.Task[None]] = set()
        self.control = Control(
            where.home,
            {
                "ping": self._ping,
                "status": self.status,
                "stop": self._stop,
                "reset": self.reset,
                "journal": self._journal,
                "counters": self._counters,
                "fault": self.desk.apply,
                "faults": self.desk.listed,
            },
        )

    # --------------------------------------------------------------------- up

    def _say(self, text: str) -> None:
        """Tell whoever waits what is being done."""
        self.phase = text
        logger.info("%s", text)

    async def up(self) -> None:
        """Bring everything up; raises NetworkError, GuestError or StateError with a sentence."""
        require_root()
        check_port_free(self.where.api_host, self.where.api_port, "the datacenter API")
        await self.control.start()
        self.linux = LinuxPlatform(self.where, self._say)
        self._say("cleaning up after an earlier lab")
        await self._end_orphans()
        await self._stop_containers()
        cleaned = self.network.up()
        if cleaned:
            self._note(f"cleaned up after an earlier lab: {', '.join(cleaned)}")
        await self._open_datacenter()
        await self._remove_orphans()
        wanted = self.settings.prepared
        for system, image in zip(wanted, await self.linux.up(wanted), strict=True):
            self.systems[system] = image.system
            if image.system != system:
                self._note(f"{system} is {image.system} here: its archive does not answer")
        artefacts = self._spawn(self._serve_artefacts())
        self._say("starting the datacenter")
        certificate, key = self.pve_authority.issue("datacenter", self.where.api_host, "localhost")
        await self.pve.start(str(certificate), str(key))
        on = [vm.name for vm in self.pve.vms if vm.status == "running"]
        if on:
            self._say(f"booting {', '.join(on)}")
            for failed in await self.pve.boot_all():
                self._note(failed)
        if not artefacts.done():
            self._say("preparing the artefacts that servers fetch from their publishers")
        await artefacts
        self.pve.start_manager()
        self.phase = "ready"
        self.ready = True

    def _note(self, text: str) -> None:
        logger.warning("%s", text)
        self.notes.append(text)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        chore = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        return chore

    async def _open_datacenter(self) -> None:
        home = self.where.home
        self.pve_authority = Authority(home / "ca")
        media.write(home / "media")
        deliveries.write(home / "media", self.pve_authority)
        credentials = Credentials.open(self.where, self.settings)
        self.pve_authority.client("org-auth-cli", credentials.windows_password)
        self.pve.password = credentials.api_root_password
        self.pve.grant_tokens(credentials.api_tokens)
        self.pve.journal.file = home / "requests.jsonl"
        self.pve.house = House(
            instance=self.where,
            settings=self.settings,
            home=home,
            network=self.network,
            authority=self.pve_authority,
            credentials=credentials,
            events=self.pve,
        )
        self.pve.factory = self._guest
        self.pve.open_state(home / "datacenter.json")

    def _guest(self, spec: GuestSpec, house: House) -> Guest:
        """The guest that runs this system: a simulated Windows or a real Linux."""
        system = self.settings.systems[spec.system]
        if system.family == "windows":
            return self.windows.guest(spec, house)
        if self.linux is None:
            raise GuestError(f"{spec.name} cannot boot: the lab has no containers")
        return self.linux.guest(spec, house)

    async def _containers(self) -> list[Container]:
        if self.linux is None:
            return []
        runtime, number = self.linux.runtime, self.where.number
        return [Container(runtime, number, name) for name in await containers(runtime, number)]

    async def _stop_containers(self) -> None:
        """Switch off what a lab that was killed left running: its network goes, so the servers boot anew."""
        running = [container for container in await self._containers() if await container.pid()]
        await asyncio.gather(*(container.stop(0) for container in running))

    async def _end_orphans(self) -> list[str]:
        """End the package proxy of a lab that was killed. Returns what was ended."""
        if self.linux is None:
            return []
        return await asyncio.to_thread(end_orphans, PACKAGE_PROXY, str(self.linux.proxy.state))

    async def _remove_orphans(self) -> None:
        """Remove the containers of servers that the datacenter does not have."""
        known = {self.network.namespace(vm.vmid) for vm in self.pve.vms}
        orphans = [container for container in await self._containers() if container.name not in known]
        for container in orphans:
            await container.remove()
        if orphans:
            self._note(f"removed containers without a server: {', '.join(c.name for c in orphans)}")

    async def _serve_artefacts(self) -> None:
        """Serve the archives that real servers fetch from their publishers; the lab is of use without them."""
        proxy = self.linux.proxy.url if self.linux is not None else None
        try:
            directory = await asyncio.to_thread(build, proxy=proxy)
            self.mirror = Mirror(directory, self.where.bridge_address, MIRROR_PORT)
            await self.mirror.start()
        except (ArtefactError, OSError) as error:
            self.mirror = None
            self._note(f"no artefacts are served: {error}")

    # ------------------------------------------------------------------- down

    async def down(self) -> None:
        """Take everything down: guests, proxy, mirror, API, addresses, bridge; with a purge the state too."""
        self.ready = False
        self._say("stopping")
        for chore in list(self._chores):
            chore.cancel()
        await self.pve.stop_manager()
        await self.pve.interrupt()
        await self.pve.stop()
        await self.pve.stop_all()
        self.pve.save()
        if self.mirror is not None:
            await self.mirror.stop()
        if self.linux is not None:
            await self._stop_containers()
            if self._purge:
                await self.linux.sweep()
            await self.linux.down()
        self.network.down()
        await self.control.stop()
        if self._purge:
            await asyncio.to_thread(shutil.rmtree, self.where.home, ignore_errors=True)

    async def clean(self, *, purge: bool) -> list[str]:
        """Remove what a lab that no longer runs left behind; returns what there was."""
        found = self.network.leftovers()
        try:
            self.linux = LinuxPlatform(self.where, self._say)
        except GuestError:  # without podman there is no container either
            self.linux = None
        if self.linux is not None:
            found += await self._end_orphans()
            await self._stop_containers()
            if purge:
                found += [f"container {name}" for name in await self.linux.sweep()]
        self.network.down()
        if purge and self.where.home.exists():
            await asyncio.to_thread(shutil.rmtree, self.where.home)
            found.append(f"folder {self.where.home}")
        return found

    # ------------------------------------------------------------------ verbs

    async def _ping(self) -> str:
        return self.phase

    async def _stop(self, *, purge: bool = False) -> int:
        """Answer with the process to wait for, then end."""
        self._purge = purge
        asyncio.get_running_loop().call_later(0.05, self.ended.set)
        return os.getpid()

    async def reset(self) -> list[str]:
        """Remove every server and every fault; templates, credentials and the authority stay. Returns their names."""
        self._need_ready()
        self.desk.clear_all()
        await self.pve.interrupt()
        names = await self.pve.remove_all()
        await self._remove_orphans()
        return names

    def _need_ready(self) -> None:
        if not self.ready:
            raise ControlError(f"lab '{self.where.name}' is not ready yet: {self.phase}")

    async def _journal(self, since: int = 0, *, writes: bool = False) -> list[dict[str, Any]]:
        return self.pve.journal.since(since, writes=writes)

    async def _counters(self) -> dict[str, int]:
        return self.pve.journal.counters()

    async def status(self) -> dict[str, Any]:
        """Everything the command line shows."""
        servers = []
        for vm in sorted(self.pve.vms, key=lambda each: int(each.vmid)):
            if vm.template:
                continue
            guest = self.pve.guests.get(vm.vmid)
            report = await guest.agent() if guest is not None and vm.status == "running" else None
            spec = self.pve.spec(vm)
            servers.append(
                {
                    "vmid": vm.vmid,
                    "name": vm.name,
                    "system": spec.system or "none",
                    "power": vm.status,
                    "agent": report is not None,
                    "node": vm.node,
                    "address": spec.ip or "",
                    "cpus": spec.cpus,
                    "memory_mib": spec.memory_mib,
                    "lock": vm.lock or "",
                    "ha": vm.ha_state or "",
                    "tags": vm.config.get("tags", ""),
                },
            )
        return {
            "instance": self.where.name,
            "number": self.where.number,
            "phase": self.phase,
            "ready": self.ready,
            "pid": os.getpid(),
            "since": self.began,
            "home": str(self.where.home),
            "api": self.where.api_url,
            "bridge": f"{self.where.bridge} {self.where.bridge_address}/{self.where.subnet.prefixlen}",
            "packages": self.linux.proxy.url if self.linux is not None else "",
            "artefacts": self.mirror.url if self.mirror is not None else "",
            "systems": self.systems,
            "notes": self.notes,
            "servers": servers,
            "faults": await self.desk.listed(),
            "counters": self.pve.journal.counters(),
        }


async def serve(where: Instance, settings: Settings) -> None:
    """Bring the lab up and keep it until it is told to end or gets SIGTERM."""
    lab = Lab(where, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lab.ended.set)
    rise = asyncio.create_task(lab.up())
    end = asyncio.create_task(lab.ended.wait())
    try:
        await asyncio.wait([rise, end], return_when=asyncio.FIRST_COMPLETED)
        if rise.done():
            rise.result()
            await end
        else:
            rise.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await rise
    finally:
        end.cancel()
        await lab.down()


def main() -> int:
    """Run one lab in the foreground; ``python -m lab up`` starts this in the background."""
    parser = argparse.ArgumentParser(prog="python -m lab.daemon", description="Run a lab in the foreground.")
    parser.add_argument("--instance", default="demo")
    parser.add_argument("--number", type=int)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    settings = load()
    where = instance(options.instance, options.number, settings)
    where.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    failure = where.home / FAILURE
    try:
        with hold(where):
            failure.unlink(missing_ok=True)
            write_private(where.home / "instance.json", json.dumps({"number": where.number}).encode())
            asyncio.run(serve(where, settings))
    except BusyError as busy:
        logger.error("%s", busy)  # noqa: TRY400 - a sentence, not a fault of the lab
        return EXIT_BUSY
    except (NetworkError, GuestError, StateError, SettingsError, ControlError) as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence, not a fault of the lab
        write_private(failure, str(error).encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
