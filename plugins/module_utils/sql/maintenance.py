# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs an instance gets: those of Ola Hallengren's maintenance solution, and those declared one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import tsql
from .declared import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Declaration
    from .schedules import Schedule

PROCEDURES = ("DatabaseBackup", "DatabaseIntegrityCheck", "IndexOptimize", "CommandExecute")
DESCRIPTION = "Source: https://ola.hallengren.com"
FULL = "DatabaseBackup - USER_DATABASES - FULL"
SYSTEM_FULL = "DatabaseBackup - SYSTEM_DATABASES - FULL"
DIFFERENTIAL = "DatabaseBackup - USER_DATABASES - DIFF"
LOG = "DatabaseBackup - USER_DATABASES - LOG"

_CLEANUPS = (
    ("CommandLog Cleanup", "DELETE FROM [dbo].[CommandLog] WHERE [StartTime] < @before", ""),
    ("sp_delete_backuphistory", "EXECUTE [dbo].[sp_delete_backuphistory] @oldest_date = @before", "msdb"),
    ("sp_purge_jobhistory", "EXECUTE [dbo].[sp_purge_jobhistory] @oldest_date = @before", "msdb"),
)
"""Jobs that keep histories short: name, statement and database (the solution's own when empty)."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of one procedure of the solution, all of whose commands are logged to the table CommandLog."""

    procedure: str
    databases: str
    options: str

    def text(self) -> str:
        call = f"EXECUTE [dbo].[{self.procedure}] @Databases = N'{self.databases}', {self.options}"
        return f"{call}, @LogToTable = 'Y'"


def jobs(declared: Declaration) -> tuple[Job, ...]:
    """All jobs, named as the maintenance solution's own installer names them."""
    own = _maintenance(declared) if declared.maintenance.source else ()
    return (*own, *declared.jobs)


def _maintenance(declared: Declaration) -> Iterator[Job]:
    plan = declared.backup
    place = declared.maintenance.database

    def job(name: str, call: _Call, schedule: Schedule) -> Job:
        return Job(name, call.text(), schedule, place, DESCRIPTION)

    def backup(kind: str, hours: int) -> str:
        flag = "Y" if plan.verify else "N"
        return (
            f"@Directory = {tsql.text(plan.directory)}, @BackupType = '{kind}', @Verify = '{flag}', @CheckSum = 'Y', "
            f"@Compress = '{'Y' if plan.compress else 'N'}', @CleanupTime = {hours}"
        )

    users, system = "USER_DATABASES", "SYSTEM_DATABASES"
    full, log = backup("FULL", plan.keep_full_hours), backup("LOG", plan.keep_log_hours)
    yield job(SYSTEM_FULL, _Call("DatabaseBackup", system, full), plan.system)
    yield job(FULL, _Call("DatabaseBackup", users, full), plan.full)
    if plan.differential is not None:
        call = _Call("DatabaseBackup", users, backup("DIFF", plan.keep_full_hours))
        yield job(DIFFERENTIAL, call, plan.differential)
    if plan.log is not None:
        yield job(LOG, _Call("DatabaseBackup", users, log), plan.log)
    for databases in (system, users):
        call = _Call("DatabaseIntegrityCheck", databases, "@CheckCommands = 'CHECKDB'")
        yield job(f"DatabaseIntegrityCheck - {databases}", call, plan.integrity)
    index = "@FragmentationLow = NULL, @UpdateStatistics = 'ALL', @OnlyModifiedStatistics = 'Y'"
    yield job("IndexOptimize - USER_DATABASES", _Call("IndexOptimize", users, index), plan.index)
    for name, statement, database in _CLEANUPS:
        text = f"DECLARE @before datetime = DATEADD(DAY, -{plan.keep_history_days}, GETDATE()); {statement}"
        yield Job(name, text, plan.cleanup, database or place, DESCRIPTION)
