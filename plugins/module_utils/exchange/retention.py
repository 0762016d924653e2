# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long archives are kept: by their age alone. The transfer script carries the same rule out at each run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GRACE = timedelta(days=1)
"""A script that runs once a day is not late before its next run."""


def expired(moments: Iterable[datetime], now: datetime, days: int) -> list[datetime]:
    """Archives that go away: those that are more than so many days old; none when days is 0 (kept for ever)."""
    if not days:
        return []
    limit = now - timedelta(days=days)
    return sorted(moment for moment in moments if moment < limit)


def overdue(oldest: datetime, now: datetime, days: int) -> bool:
    """Whether an archive should have gone away at the latest by yesterday's run."""
    return bool(expired([oldest], now - GRACE, days))
