# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removal of old IIS logs by a scheduled task, which runs whenever its hour passes on the lab's clock.

Known is the command that the role iis schedules: Get-ChildItem, Where-Object on LastWriteTimeUtc, Remove-Item.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem
from lab.windows.handlers.clock import iana_zone

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

NEVER_RUN = 267011
"""SCHED_S_TASK_HAS_NOT_RUN."""

_COMMAND = re.compile(
    r"Get-ChildItem -LiteralPath '(?P<folder>(?:[^']|'')+)' -Filter \*\.log -File -Recurse\s+\| Where-Object "
    r"LastWriteTimeUtc -LT \(\[datetime\]::UtcNow\.AddDays\(-(?P<days>\d+)\)\) \| Remove-Item -Force"
)


def result(server: WindowsServer, task: dict[str, Any]) -> int:
    """Run the task as often as its hour has passed since it was last looked at; gives its last result."""
    state = server.section("iis")
    now = server.now()
    seen = datetime.fromisoformat(state["log_task"]["seen"]) if state["log_task"]["seen"] else now
    state["log_task"]["seen"] = now.isoformat()
    command = next((_COMMAND.search(action.get("arguments") or "") for action in task["actions"]), None)
    if command and task["settings"]["enabled"] and _passed(server, task, seen, now):
        _remove(server, command["folder"].replace("''", "'"), now - timedelta(days=int(command["days"])))
        state["log_task"]["result"] = 0
    return int(state["log_task"]["result"])


def _passed(server: WindowsServer, task: dict[str, Any], since: datetime, now: datetime) -> bool:
    """Whether the hour of a daily trigger, in the server's own time, lies between two moments."""
    zone = zoneinfo.ZoneInfo(iana_zone(server.section("clock")["timezone"]))
    for trigger in task["triggers"]:
        if trigger["type"] != "daily" or not trigger["enabled"]:
            continue
        hour = time.fromisoformat(trigger["start_boundary"].partition("T")[2])
        due = datetime.combine(now.astimezone(zone).date(), hour, zone)
        due = due if due <= now else due - timedelta(days=1)
        if due > since:
            return True
    return False


def _remove(server: WindowsServer, folder: str, before: datetime) -> None:
    files = FileSystem(server)
    old = [
        entry["path"]
        for entry in (files.walk(folder) if files.is_dir(folder) else ())
        if entry["type"] == "file"
        and entry["path"].casefold().endswith(".log")
        and entry["modified"] < before.timestamp()
    ]
    for path in old:
        files.remove(path)
