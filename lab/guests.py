# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the datacenter knows of a guest: its virtual hardware, its operating system's life, and what its agent says.

The datacenter (:mod:`lab.datacenter`) owns power states and configuration; a :class:`Guest` is what runs behind them:
a WinRM endpoint (:mod:`lab.windows`) or a container (:mod:`lab.linux`). A guest tells the datacenter what it does of
its own accord through :class:`PowerEvents`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from lab.authority import Authority
    from lab.credentials import Credentials
    from lab.network import Network
    from lab.settings import Instance, Settings

__all__ = [
    "AgentReport",
    "Disk",
    "Guest",
    "GuestError",
    "GuestFactory",
    "GuestSpec",
    "House",
    "Nic",
    "PowerEvents",
    "Snapshots",
]


class GuestError(Exception):
    """A guest could not do what was asked of it; the message is a sentence that names the guest."""


@dataclass(frozen=True)
class Disk:
    """A virtual disk: its key in the configuration (``scsi0``) and its size in bytes."""

    key: str
    size: int
    storage: str = ""


@dataclass(frozen=True)
class Nic:
    """A virtual network card and what cloud-init writes into the guest for it.

    ``address`` is in CIDR notation (``10.42.0.11/24``), ``mac`` in capitals with colons, as PVE writes it.
    """

    key: str
    mac: str
    bridge: str
    vlan: int | None = None
    address: str | None = None
    gateway: str | None = None

    @property
    def ip(self) -> str | None:
        """The address without its prefix length."""
        return self.address.partition("/")[0] if self.address else None

    @property
    def prefix(self) -> int:
        """The prefix length; 32 where none is given."""
        _ip, _slash, length = (self.address or "").partition("/")
        return int(length) if length else 32


@dataclass(frozen=True)
class GuestSpec:
    """The virtual hardware of a server as it stands when the guest boots.

    ``key`` names its state folder: unique in the lab, and unchanged when the server is renamed (its name when empty).
    """

    vmid: int
    name: str
    system: str
    cpus: int
    memory_mib: int
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    uuid: str = ""
    nameservers: tuple[str, ...] = ()
    search_domain: str = ""
    key: str = ""

    @property
    def folder(self) -> str:
        """Name of its state folder."""
        return self.key or self.name

    @property
    def ip(self) -> str | None:
        """The first address declared, or None for a server without one."""
        return next((nic.ip for nic in self.nics if nic.ip), None)


@dataclass(frozen=True)
class AgentReport:
    """What the guest agent answers while the operating system runs.

    ``osinfo`` has the keys of guest-get-osinfo, ``interfaces`` the items of guest-network-get-interfaces,
    ``filesystems`` those of guest-get-fsinfo, all as QEMU's guest agent words them.
    """

    hostname: str
    osinfo: Mapping[str, Any] = field(default_factory=dict)
    interfaces: tuple[Mapping[str, Any], ...] = ()
    filesystems: tuple[Mapping[str, Any], ...] = ()
    boot_time: float = 0.0


class PowerEvents(Protocol):
    """What a guest reports when it acts by itself (``shutdown /s``, ``poweroff``, a crash)."""

    async def powered_off(self, vmid: int) -> None:
        """The operating system shut the virtual machine down."""

    async def rebooted(self, vmid: int) -> None:
        """The operating system restarted inside its virtual machine, which stays powered on."""


@runtime_checkable
class Guest(Protocol):
    """An operating system behind a virtual machine.

    ``spec`` is replaced by the datacenter before each boot and whenever running hardware changes (a grown disk, a
    hot-plugged card); what a guest takes in at once and what waits for its next boot is its own business.
    """

    spec: GuestSpec

    @property
    def name(self) -> str:
        """The server's name in the datacenter."""

    async def boot(self) -> None:
        """Power on. Returns once the machine runs; the agent may answer later. Raises GuestError."""

    async def shutdown(self) -> None:
        """Ask the operating system to power off; returns when it is off."""

    async def stop(self) -> None:
        """Pull the plug: returns when nothing of the guest answers any more. Harmless when already off."""

    async def destroy(self) -> None:
        """Remove the guest and its disks for good. Harmless when nothing is left."""

    async def agent(self) -> AgentReport | None:
        """What the guest agent reports now; None while it is not up."""


@runtime_checkable
class Snapshots(Protocol):
    """A guest whose disks can be kept and put back."""

    async def snapshot(self, name: str) -> None:
        """Keep the disks as they are now under this name."""

    async def rollback(self, name: str) -> None:
        """Put the disks back as they were; the guest is powered off."""

    async def drop_snapshot(self, name: str) -> None:
        """Forget a snapshot; harmless when it does not exist."""

    async def copy_from(self, source: Guest) -> None:
        """Take over the disks of another guest (a full clone of a server that is not a template)."""


@dataclass(frozen=True)
class House:
    """What the lab lends to its guests: one per running instance."""

    instance: Instance
    settings: Settings
    home: Path
    network: Network
    authority: Authority
    credentials: Credentials
    events: PowerEvents


GuestFactory: TypeAlias = Callable[[GuestSpec, House], Guest]
"""Makes the guest of a new server, or finds it again after a restart of the lab; does not boot it."""
