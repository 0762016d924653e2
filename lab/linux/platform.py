# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux half of a running lab: podman, images and package proxy, and the factory of its servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.linux.containers import Container, containers
from lab.linux.guest import LinuxGuest
from lab.linux.images import Image, Images
from lab.linux.packages import PackageProxy
from lab.linux.runtime import detect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.guests import GuestSpec, House
    from lab.settings import Instance


class LinuxPlatform:
    """Everything the Linux servers of one instance share.

    Args:
        instance: the lab they belong to.
        say: told what takes long, in one sentence each.

    Raises:
        LinuxLabError: podman or a fitting runtime is missing.
    """

    def __init__(self, instance: Instance, say: Callable[[str], None]) -> None:
        self.instance = instance
        self.runtime = detect()
        self.images = Images(self.runtime, say)
        self.proxy = PackageProxy(instance.bridge_address, instance.home / "packages")

    async def up(self, systems: Iterable[str]) -> list[Image]:
        """Make the images of these systems ready and start the package proxy; the bridge must exist.

        Returns:
            What each system really is, in the order asked: Debian 12 stands in where Ubuntu's archive does not answer.
        """
        ready = [await self.images.ensure(system) for system in systems]
        await self.proxy.start()
        return ready

    async def down(self) -> None:
        """Stop the package proxy. Servers are the datacenter's to stop."""
        await self.proxy.stop()

    async def sweep(self) -> list[str]:
        """Remove every container of this instance, with its disk, whoever left it there. Returns their names."""
        names = await containers(self.runtime, self.instance.number)
        for name in names:
            await Container(self.runtime, self.instance.number, name).remove()
        return names

    def guest(self, spec: GuestSpec, house: House) -> LinuxGuest:
        """Make the guest of a new server, or find it again after a restart of the lab; does not boot it."""
        return LinuxGuest(spec, house, runtime=self.runtime, images=self.images, package_proxy=self.proxy.url)
