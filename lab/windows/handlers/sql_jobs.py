# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What SQL Server Agent does as the lab's clock advances: due jobs run, back up and check databases, or fail.

Written from Microsoft Learn ("dbo.sysschedules", "dbo.sysjobservers") and Ola Hallengren's documentation of
DatabaseBackup and DatabaseIntegrityCheck. Time is caught up whenever somebody looks: an agent that is stopped then has
not run anything since the last look.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem
from lab.windows.handlers import rights, services
from lab.windows.handlers.clock import iana_zone
from lab.windows.handlers.sql_server import Instance, instances, is_running, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.windows.server import WindowsServer

Job = dict[str, Any]

SUCCEEDED, FAILED, NEVER = 1, 0, 5
_DAILY, _WEEKLY = 4, 8
_MINUTES = 4
_MODIFY = 0x1301BF
"""Rights of a file that the name Modify stands for."""
_HORIZON = 8
"""Days that are looked back for the last run of a schedule: one week and a bit."""
_CALL = re.compile(
    r"EXECUTE\s+(?:\[?dbo\]?\.)?\[?(?P<procedure>\w+)\]?\s+(?P<arguments>@.*)", re.IGNORECASE | re.DOTALL
)
_ARGUMENT = re.compile(r"@(?P<name>\w+)\s*=\s*(?:N?'(?P<text>(?:[^']|'')*)'|(?P<number>\w+))")


def advance(server: WindowsServer) -> None:
    """Run what was due on all instances since the last look."""
    now = server.now()
    for instance in instances(server).values():
        since = datetime.fromisoformat(instance["advanced"])
        if now <= since:
            continue
        instance["advanced"] = stamp(now)
        if is_running(server, instance) and is_running(server, instance, agent=True):
            _catch_up(server, instance, since, now)


def _catch_up(server: WindowsServer, instance: Instance, since: datetime, now: datetime) -> None:
    zone = zoneinfo.ZoneInfo(iana_zone(server.section("clock")["timezone"]))
    due: list[tuple[datetime, Job]] = []
    for job in instance["jobs"].values():
        if not job["enabled"]:
            continue
        runs = (_last(schedule, now.astimezone(zone)) for schedule in job["schedules"].values() if schedule["enabled"])
        after = max(since, datetime.fromisoformat(job["created"]))
        latest = max((run.astimezone(UTC) for run in runs if run is not None), default=None)
        if latest is not None and latest > after:
            due.append((latest, job))
    for moment, job in sorted(due, key=lambda entry: entry[0]):
        run(server, instance, job, moment)


def _last(schedule: dict[str, Any], now: datetime) -> datetime | None:
    """The latest time at or before now at which a schedule is due."""
    at = schedule["active_start_time"]
    for days in range(_HORIZON):
        day = now - timedelta(days=days)
        if schedule["freq_type"] == _WEEKLY and not schedule["freq_interval"] & 1 << day.isoweekday() % 7:
            continue
        first = day.replace(hour=at // 10000, minute=at // 100 % 100, second=at % 100, microsecond=0)
        if first > now:
            continue
        if schedule["freq_subday_type"] != _MINUTES:
            return first
        step = timedelta(minutes=schedule["freq_subday_interval"])
        until = min(now, day.replace(hour=23, minute=59, second=59, microsecond=0))
        return first + step * ((until - first) // step)
    return None


def run(server: WindowsServer, instance: Instance, job: Job, moment: datetime) -> None:
    """Run a job at a moment and note how it ended."""
    outcome = SUCCEEDED
    for step in job["steps"]:
        if not _step(server, instance, step, moment):
            outcome = FAILED
            break
    job["last_outcome"] = outcome
    job["last_run"] = stamp(moment)


def _step(server: WindowsServer, instance: Instance, step: dict[str, Any], moment: datetime) -> bool:
    """Whether a step succeeds; steps that call none of the solution's procedures always do."""
    match = _CALL.search(step["command"])
    if step["subsystem"] != "TSQL" or match is None:
        return True
    arguments = {
        found["name"].casefold(): found["number"] if found["text"] is None else found["text"].replace("''", "'")
        for found in _ARGUMENT.finditer(match["arguments"])
    }
    action = {"databasebackup": _back_up, "databaseintegritycheck": _check}.get(match["procedure"].casefold())
    if action is None:
        return True
    solution = instance["maintenance"].get(step["database"].casefold())
    if solution is None:  # "Could not find stored procedure"
        return False
    problems = list(action(server, instance, arguments, moment))
    if solution["logs"] and arguments.get("logtotable") == "Y":
        kind = "BACKUP_DATABASE" if action is _back_up else "DBCC_CHECKDB"
        for database, message in problems:
            entry = {"time": stamp(moment), "database": database, "command": kind, "message": message}
            instance["command_log"].append(entry)
    return not problems


def _chosen(instance: Instance, databases: str, moment: datetime) -> list[dict[str, Any]]:
    """Databases of SYSTEM_DATABASES, USER_DATABASES or a list of names that were there at a moment; tempdb never."""
    wanted = databases.upper()
    names = {name.strip().casefold() for name in databases.split(",")}
    found = []
    for database in instance["databases"].values():
        if database["name"] == "tempdb" or datetime.fromisoformat(database["created"]) > moment:
            continue
        group = "SYSTEM_DATABASES" if database["system"] else "USER_DATABASES"
        if wanted == group or database["name"].casefold() in names:
            found.append(database)
    return found


def _back_up(
    server: WindowsServer, instance: Instance, arguments: dict[str, str], moment: datetime
) -> Iterable[tuple[str, str]]:
    directory = arguments.get("directory", "")
    if not FileSystem(server).is_dir(directory):
        yield "", f"The directory {directory} does not exist."
        return
    if not _may_write(server, instance, directory):
        yield "", f"Cannot open backup device in '{directory}'. Operating system error 5(Access is denied.)."
        return
    kind = arguments.get("backuptype", "FULL").upper()
    for database in _chosen(instance, arguments["databases"], moment):
        name = database["name"]
        if database["state"] != "ONLINE":
            yield name, f"The database {name} is {database['state']}."
        elif kind == "FULL":
            database["last_full"] = stamp(moment)
        elif kind == "LOG" and database["recovery_model"] != "Simple" and database["last_full"]:
            database["last_log"] = stamp(moment)


def _may_write(server: WindowsServer, instance: Instance, directory: str) -> bool:
    """Whether the engine's account may write files in a folder."""
    service = services.find(server, instance["service"])
    account = server.resolve(service["username"]) if service else None
    if account is None:
        return False
    sids = {account.sid, *server.groups_of(account)}
    held = (entry for entry in rights.entries(server, directory) if entry["type"] == "allow" and entry["sid"] in sids)
    return any(entry["rights"] & _MODIFY == _MODIFY for entry in held)


def _check(
    _server: WindowsServer, instance: Instance, arguments: dict[str, str], moment: datetime
) -> Iterable[tuple[str, str]]:
    for database in _chosen(instance, arguments["databases"], moment):
        if database["state"] == "ONLINE":
            database["last_check"] = stamp(moment)
        else:
            yield database["name"], f"The database {database['name']} is {database['state']}."
