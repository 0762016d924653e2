# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the variables of the role adsync declare, as objects.

Each class mirrors the role's ``meta/argument_specs.yml``: same keys, same defaults (a test compares them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "adsync_"


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that the role's variables declare about one synchronisation server.

    Ages and intervals are in the unit of their name; ``full_cycle_since`` is ISO 8601 or empty. What only a task needs
    (a certificate's files and password, sources of events, the time a reboot may take) stays with the role.
    """

    group: str = "adsync"
    installer: str = ""
    installer_checksum: str = ""
    version: str = ""
    minimum_version: str = "2.6.84.0"
    folder: str = "C:\\ProgramData\\infogerance\\adsync"
    upgrade_interruption: bool = False
    staging_mode: bool = False
    staging_switch: bool = True
    cycle_enabled: bool = True
    interval_minutes: int = 30
    maintenance: bool = True
    run_history_days: int = 7
    full_cycle_since: str = ""
    cycle_timeout_minutes: int = 60
    identity: str = "application"
    certificate_min_days: int = 60
    require_tpm: bool = False
    last_sync_max_age_hours: int = 3
    accepted_results: tuple[str, ...] = ("success", "completed-no-objects")
    services: tuple[str, ...] = ("ADSync",)
    export: bool = True
    export_keep: int = 30
    export_time: str = "22:00"
    export_max_age_hours: int = 26

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Declaration:
        """Make a declaration out of the role's variables, their prefix left out.

        Raises:
            ShapeError: the first thing that has not the shape the role documents, by the variable's full name.
        """
        try:
            return build(cls, values, "")
        except ShapeError as error:
            raise ShapeError(PREFIX + str(error).removeprefix(".")) from None


TENANT_WIDE = ("cycle_enabled", "interval_minutes", "maintenance", "run_history_days")
"""Scheduler settings that Entra ID keeps for the whole tenant: what one server writes the others take over.

Source: Microsoft Learn, "Microsoft Entra Connect Sync: Scheduler".
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What another server of the group declares and this one must agree with; defaults where it says nothing."""

    staging_mode: bool = False
    cycle_enabled: bool = True
    interval_minutes: int = 30
    maintenance: bool = True
    run_history_days: int = 7
