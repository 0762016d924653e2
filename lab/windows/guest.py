# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Windows server as the datacenter sees it: an endpoint on the lab's bridge that follows the power."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.guests import AgentReport, Guest, GuestError, GuestSpec, House
from lab.windows.endpoint import WinRMEndpoint
from lab.windows.server import Estate, Nic, ServerSpec, WindowsServer

if TYPE_CHECKING:
    from pathlib import Path

    from lab.windows.faults import Faults

__all__ = ["PORT", "WindowsGuest", "WindowsPlatform"]

PORT = 5986
GIB = 1024**3
NETBIOS_LENGTH = 15

logger = logging.getLogger(__name__)


class WindowsPlatform:
    """What the Windows servers of one instance share: the network on which they see each other."""

    def __init__(self) -> None:
        """No server yet."""
        self.estate = Estate()

    def guest(self, spec: GuestSpec, house: House) -> WindowsGuest:
        """Make the guest of a new server, or find it again after a restart of the lab; does not boot it."""
        return WindowsGuest(spec, house, self.estate)


class WindowsGuest:
    """One server: its kept state, and the endpoint that answers for it while it runs."""

    def __init__(self, spec: GuestSpec, house: House, estate: Estate) -> None:
        """Open the server's folder, or make a new server there; it is switched off."""
        self._spec = spec
        self.house = house
        self.estate = estate
        self.home = house.home / "windows" / spec.folder
        self.server = self._open()
        self.server.set_power("off")
        self._endpoint: WinRMEndpoint | None = None
        self._address: str | None = None
        self._events: set[asyncio.Task[None]] = set()

    def _open(self, faults: Faults | None = None) -> WindowsServer:
        hardware = ServerSpec(
            system=self.spec.system,
            cpus=self.spec.cpus,
            memory_mib=self.spec.memory_mib,
            disks_gib=self._disks_gib,
            networks=self._nics,
            dns_servers=self.spec.nameservers,
            administrator_password=self.house.credentials.windows_password,
            # What cloudbase-init makes of the server's name at its first boot.
            computer_name=self.spec.name[:NETBIOS_LENGTH].upper(),
        )
        return WindowsServer(self.spec.folder, hardware, self.home, estate=self.estate, faults=faults)

    @property
    def name(self) -> str:
        """The server's name in the datacenter."""
        return self.spec.name

    @property
    def spec(self) -> GuestSpec:
        """The virtual hardware; disks that grow are seen at once, everything else at the next boot."""
        return self._spec

    @spec.setter
    def spec(self, spec: GuestSpec) -> None:
        self._spec = spec
        if self._endpoint is not None:
            self.server.resize(disks_gib=self._disks_gib)

    @property
    def _disks_gib(self) -> tuple[int, ...]:
        return tuple(math.ceil(disk.size / GIB) for disk in self.spec.disks)

    @property
    def _nics(self) -> tuple[Nic, ...]:
        return tuple(
            Nic(
                address=nic.address or "",
                gateway=nic.gateway,
                mac=nic.mac,
                vlan=nic.vlan,
                name="Ethernet" if index == 0 else f"Ethernet {index + 1}",
            )
            for index, nic in enumerate(self.spec.nics)
        )

    @property
    def faults(self) -> Faults:
        """What is wrong with the server just now."""
        return self.server.faults

    # ----------------------------------------------------------------- power

    async def boot(self) -> None:
        """Power on: take in the hardware of the moment and listen on the server's address.

        A power cycle heals a server that hangs at its reboot.

        Raises:
            GuestError: it has no address, or one that it cannot have.
        """
        if self._endpoint is not None:
            return
        address = self.spec.ip
        if address is None:
            raise GuestError(f"{self.name} has no address: set ipconfig0 before it boots")
        self.faults.reboot_hang = False
        self.server.resize(cpus=self.spec.cpus, memory_mib=self.spec.memory_mib, disks_gib=self._disks_gib)
        self._rewire()
        self.house.network.add_address(address, self.name)
        certificate, key = self.house.authority.issue(
            self.spec.folder,
            *dict.fromkeys((self.name, self.server.computer_name.lower(), self.server.fqdn, address)),
        )
        endpoint = WinRMEndpoint(
            self.server,
            address,
            PORT,
            str(certificate),
            str(key),
            on_power_off=self._powered_off,
        )
        try:
            await endpoint.start()
        except OSError as error:
            self.house.network.remove_address(address)
            raise GuestError(f"{self.name} cannot listen on {address}:{PORT}: {error.strerror or error}") from error
        self._endpoint, self._address = endpoint, address

    def _rewire(self) -> None:
        """Give the server the cards and addresses that cloudbase-init finds at this boot."""
        with self.server.lock:
            self.server.section("system")["networks"] = [asdict(nic) for nic in self._nics]
            self.server.save()

    async def shutdown(self) -> None:
        """Ask Windows to shut down; one that hangs at a reboot never does."""
        while self._endpoint is not None and self.server.power == "booting" and self.faults.reboot_hang:  # noqa: ASYNC110 - any thread may set faults
            await asyncio.sleep(0.1)
        await self.stop()

    async def stop(self) -> None:
        """Pull the plug."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.stop()
        self._leave()

    def _leave(self) -> None:
        address, self._address = self._address, None
        if address is not None:
            self.house.network.remove_address(address)

    def _powered_off(self) -> None:
        """Windows shut itself down; called from the endpoint, which is closed already."""
        self._endpoint = None
        self._leave()
        task = asyncio.get_running_loop().create_task(self.house.events.powered_off(self.spec.vmid))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def destroy(self) -> None:
        """Remove the server, its state, snapshots and certificate."""
        await self.stop()
        self.estate.remove(self.spec.folder)
        self.house.authority.revoke(self.spec.folder)
        for folder in (self.home, self._snapshots):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    # ----------------------------------------------------------------- agent

    async def agent(self) -> AgentReport | None:
        """What QEMU's guest agent for Windows reports; None while the server is not up."""
        if self._endpoint is None or self.server.power != "on":
            return None
        interfaces = tuple(
            {
                "name": nic.name,
                "hardware-address": nic.mac.lower(),
                "ip-addresses": [
                    {
                        "ip-address": nic.address.partition("/")[0],
                        "ip-address-type": "ipv4",
                        "prefix": int(nic.address.partition("/")[2] or 32),
                    },
                ]
                if nic.address
                else [],
            }
            for nic in self._nics
        )
        volumes = [
            {
                "name": f"\\\\?\\Volume{{{self.spec.uuid[:8] or '00000000'}-0000-0000-0000-{index:012d}}}\\",
                "mountpoint": f"{letter}:\\",
                "type": "NTFS",
                "total-bytes": disk.size,
                "disk": [],
            }
            for index, (letter, disk) in enumerate(zip("CEFGHIJKLMNOP", self.spec.disks, strict=False))
        ]
        return AgentReport(
            hostname=self.server.computer_name,
            osinfo=self.house.settings.systems[self.spec.system].osinfo,
            interfaces=interfaces,
            filesystems=tuple(volumes),
            boot_time=self.server.boot_time.timestamp(),
        )

    # ------------------------------------------------------------- snapshots

    @property
    def _snapshots(self) -> Path:
        return self.home.with_name(f"{self.home.name}.snapshots")

    async def snapshot(self, name: str) -> None:
        """Keep the server's state as it is now."""
        with self.server.lock:
            self.server.save()
            self._copy(self.home, self._snapshots / name)

    async def rollback(self, name: str) -> None:
        """Put the state back as it was; the server is off afterwards."""
        await self.stop()
        kept = self._snapshots / name
        if not kept.is_dir():
            raise GuestError(f"{self.name} has no snapshot '{name}' on its disks")
        self._take_over(kept)

    async def drop_snapshot(self, name: str) -> None:
        """Forget a snapshot; harmless when it does not exist."""
        await asyncio.to_thread(shutil.rmtree, self._snapshots / name, ignore_errors=True)

    async def copy_from(self, source: Guest) -> None:
        """Take over the disks of another Windows server, its name and identifiers included, as a full clone does.

        Raises:
            GuestError: the other one is no Windows server.
        """
        if not isinstance(source, WindowsGuest):
            raise GuestError(f"{self.name} cannot take over the disks of {source.name}, which is no Windows server")
        with source.server.lock:
            source.server.save()
            self._take_over(source.home)

    def _take_over(self, folder: Path) -> None:
        self._copy(folder, self.home)
        faults = self.server.faults
        self.server = self._open(faults)
        self.server.set_power("off")

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        """Copy a server's folder whole, journal excepted: what was run on a server is not undone by a rollback."""
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for entry in source.iterdir():
            if entry.name == "journal.jsonl":
                continue
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir():
                    shutil.copytree(entry, target / entry.name, dirs_exist_ok=True)
                else:
                    shutil.copy2(entry, target / entry.name)
