# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what another operation locks: says what it waits for, and gives up in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE, LAST_PAUSE = 0.5, 5.0


class Patience:
    """How long one object may stay locked.

    Args:
        timeout: seconds, counted from the first refusal until something succeeds.
        notify: told once what is being waited for.
        sleep: waits; tests hand in their own.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        timeout: float,
        notify: Callable[[str], None] = lambda _message: None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout
        self._notify = notify
        self._sleep = sleep
        self._clock = clock
        self._since: float | None = None
        self._pause = FIRST_PAUSE

    def wait(self, error: LockedError) -> None:
        """Wait a moment after a refusal.

        Raises:
            LockedError: the time is up; the sentence names the lock and what to do.
        """
        now = self._clock()
        if self._since is None:
            self._since = now
            self._notify(f"{error} Waiting up to {self._timeout:.0f} s.")
        waited = now - self._since
        if waited >= self._timeout:
            raise LockedError(f"{error} Gave up after {waited:.0f} s. {_remedy(error.lock)}", error.lock) from error
        self._sleep(min(self._pause, self._timeout - waited))
        self._pause = min(self._pause * 1.5, LAST_PAUSE)

    def succeeded(self) -> None:
        """Start counting afresh: the lock is gone."""
        self._since, self._pause = None, FIRST_PAUSE


def _remedy(lock: str) -> str:
    if not lock:
        return "Wait for the other operation to end and run again."
    return f"Wait for the {lock} to end and run again; if no such task runs any more, remove the lock by hand."
