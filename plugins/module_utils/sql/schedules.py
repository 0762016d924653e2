# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a job of SQL Server Agent runs: as declared, as dbatools is told, as msdb stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
EVERY_DAY = "EveryDay"
_MASKS = {day: 1 << number for number, day in enumerate(DAYS)} | {"Weekdays": 62, "Weekend": 65}
CHOICES = (EVERY_DAY, *_MASKS)
_DAILY, _WEEKLY = 4, 8
_AT_TIME, _MINUTES = 1, 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """A declared schedule."""

    time: str = "00:00:00"
    """Time of day of the first run, ``HH:MM`` or ``HH:MM:SS``, in the server's time zone."""
    day: str = EVERY_DAY
    """EveryDay, a day of the week, Weekdays or Weekend."""
    every_minutes: int = 0
    """Minutes between runs from that time to midnight; 0 for one run."""

    def digits(self) -> str | None:
        """The time as ``HHMMSS``; None when it is none."""
        parts = self.time.split(":")
        if len(parts) not in {2, 3} or not all(part.isdigit() and len(part) == 2 for part in parts):
            return None
        hours, minutes, seconds = (int(part) for part in (*parts, "00")[:3])
        return f"{hours:02}{minutes:02}{seconds:02}" if hours < 24 and minutes < 60 and seconds < 60 else None

    def arguments(self) -> dict[str, Any]:
        """Options of lowlydba.sqlserver.agent_job_schedule, whose names are those of New-DbaAgentSchedule."""
        daily = self.day == EVERY_DAY
        return {
            "frequency_type": "Daily" if daily else "Weekly",
            "frequency_interval": self.day,
            "frequency_recurrence_factor": 0 if daily else 1,
            "frequency_subday_type": "Minutes" if self.every_minutes else "Time",
            "frequency_subday_interval": self.every_minutes,
            "start_time": self.digits() or "000000",
        }

    def stored(self) -> dict[str, int]:
        """Columns of msdb.dbo.sysschedules (Microsoft Learn, "dbo.sysschedules")."""
        daily = self.day == EVERY_DAY
        return {
            "freq_type": _DAILY if daily else _WEEKLY,
            "freq_interval": 1 if daily else _MASKS.get(self.day, 0),
            "freq_recurrence_factor": 0 if daily else 1,
            "freq_subday_type": _MINUTES if self.every_minutes else _AT_TIME,
            "freq_subday_interval": self.every_minutes,
            "active_start_time": int(self.digits() or "0"),
        }

    def frequent(self) -> bool:
        """Whether it runs at least once a day."""
        return self.day == EVERY_DAY
