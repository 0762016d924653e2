# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Windows Server: their builds, when their extended support ends, and where the collection is tested."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class System:
    """A version of Windows Server."""

    build: int
    name: str
    end_of_support: str
    """End of extended support, ISO 8601 (https://learn.microsoft.com/lifecycle/products/)."""
    supported: bool
    """Whether the collection is tested there."""

    def days_left(self, today: date) -> int:
        """Days of support that are left; negative when it is over."""
        return (date.fromisoformat(self.end_of_support) - today).days


SYSTEMS = (
    System(14393, "Windows Server 2016", "2027-01-12", supported=False),
    System(17763, "Windows Server 2019", "2029-01-09", supported=True),
    System(20348, "Windows Server 2022", "2031-10-14", supported=True),
    System(26100, "Windows Server 2025", "2034-11-14", supported=True),
)


def system_of(build: int) -> System | None:
    """The version of a build, None when the collection does not know it."""
    return next((system for system in SYSTEMS if system.build == build), None)
