# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the datacenter API: slow answers, tasks that end in error, tokens that expire, refused calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakepve.model import PveError, TaskError

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ApiFaults", "TaskFault"]


@dataclass
class TaskFault:
    """The next ``times`` tasks of this type (``qmstart``, ``qmclone``, ... or ``*``) end in this error."""

    type: str
    message: str
    times: int
    vmid: str | None = None


@dataclass
class ApiFaults:
    """What is wrong with the API; an empty one changes nothing."""

    slow_seconds: float = 0.0
    drops: int = 0
    expired_tokens: set[str] = field(default_factory=set)
    tasks: list[TaskFault] = field(default_factory=list)

    def check_token(self, user: str | None) -> None:
        """Refuse an expired token as PVE does: raises PveError 401."""
        if user is not None and user in self.expired_tokens:
            raise PveError(401, "token access expired")

    async def slow_down(self, request: web.Request) -> None:
        """Delay the answer, or close the connection without one."""
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        if self.drops > 0:
            self.drops -= 1
            if request.transport is not None:
                request.transport.close()
            raise ConnectionResetError("connection dropped on request")

    def check_task(self, ttype: str, tid: str) -> None:
        """Raise TaskError when a task of this type is to fail."""
        for fault in self.tasks:
            if fault.type in (ttype, "*") and fault.vmid in (None, tid):
                fault.times -= 1
                if fault.times <= 0:
                    self.tasks.remove(fault)
                raise TaskError(fault.message)

    def clear(self) -> None:
        """Remove every fault."""
        self.slow_seconds = 0.0
        self.drops = 0
        self.expired_tokens.clear()
        self.tasks.clear()

    def active(self) -> list[dict[str, Any]]:
        """The faults in force, one mapping each."""
        found: list[dict[str, Any]] = []
        if self.slow_seconds:
            found.append({"kind": "slow", "seconds": self.slow_seconds})
        if self.drops:
            found.append({"kind": "drop", "times": self.drops})
        found += [{"kind": "expired-token", "token": token} for token in sorted(self.expired_tokens)]
        found += [
            {"kind": "task-error", "task": f.type, "message": f.message, "times": f.times, "vmid": f.vmid}
            for f in self.tasks
        ]
        return found
