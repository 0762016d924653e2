# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between the Windows systems that the lab has templates of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class System:
    """Facts of one Windows release, as a French installation shows them."""

    caption: str
    product_name: str
    build: int
    revision: int
    """UBR: the cumulative update that the template came with."""
    release: str
    dotnet_release: int
    powershell: str = "5.1"

    @property
    def version(self) -> str:
        """Version as .NET gives it."""
        return f"10.0.{self.build}.0"


_SYSTEMS = {
    "windows_2022": System(
        "Microsoft Windows Server 2022 Standard", "Windows Server 2022 Standard", 20348, 587, "2009", 528449
    ),
    "windows_2016": System(
        "Microsoft Windows Server 2016 Standard", "Windows Server 2016 Standard", 14393, 447, "1607", 461814
    ),
}


def system(name: str) -> System:
    """Facts of a system by its name in the inventory."""
    return _SYSTEMS[name]
