# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role sql_server is asked for: its variables, without their prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

from .schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "sql_server_"

MAJOR = {"2019": 15, "2022": 16}
"""Major version of the engine by its name."""

DEFAULT_INSTANCE = "MSSQLSERVER"

_EVENING = Schedule("21:00")
_BEFORE = Schedule("20:45")
_QUARTERS = Schedule("00:00", every_minutes=15)
_SATURDAY = Schedule("02:00", "Saturday")
_SUNDAY = Schedule("03:00", "Sunday")
_LATER = Schedule("05:00", "Sunday")


@dataclass(frozen=True, slots=True)
class Update:
    """A cumulative update: the build it brings, its number, and the installer staged on the server."""

    build: str = ""
    kb: str = ""
    source: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """The image of the installation media, brought to the server for the set-up."""

    source: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Directories:
    """Folders of a new instance; empty ones are left to SQL Server's setup."""

    data: str = ""
    log: str = ""
    tempdb: str = ""
    tempdb_log: str = ""
    backup: str = ""


@dataclass(frozen=True, slots=True)
class Tempdb:
    """Files of tempdb; 0 files computes their number."""

    files: int = 0
    size_megabytes: int = 256
    growth_megabytes: int = 64
    log_size_megabytes: int = 256
    log_growth_megabytes: int = 64


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of sp_configure and its value."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Login:
    """A login of a Windows account or group."""

    name: str
    roles: tuple[str, ...] = ()
    default_database: str = "master"
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """A user of one database and its roles there."""

    login: str
    name: str = ""
    roles: tuple[str, ...] = ()
    default_schema: str = "dbo"

    @property
    def called(self) -> str:
        """Its name in the database: the login's own by default."""
        return self.name or self.login


@dataclass(frozen=True, slots=True)
class Database:
    """A database; an existing one is never dropped, moved or shrunk."""

    name: str
    recovery_model: str = "Full"
    owner: str = ""
    data_path: str = ""
    log_path: str = ""
    read_committed_snapshot: bool | None = None
    users: tuple[User, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Ola Hallengren's maintenance solution: the archive staged on the server, its version, and where it lives."""

    source: str = ""
    checksum: str = ""
    version: str = ""
    database: str = "master"


@dataclass(frozen=True, slots=True)
class Backup:
    """Backups, checks and index maintenance; hours are ages at which files are deleted."""

    directory: str = ""
    full: Schedule = _EVENING
    differential: Schedule | None = None
    log: Schedule | None = _QUARTERS
    system: Schedule = _BEFORE
    integrity: Schedule = _SATURDAY
    index: Schedule = _SUNDAY
    cleanup: Schedule = _LATER
    keep_full_hours: int = 168
    keep_log_hours: int = 168
    keep_history_days: int = 60
    compress: bool = True
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """A job of one Transact-SQL step."""

    name: str
    command: str
    schedule: Schedule
    database: str = "master"
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is told by mail."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Mail:
    """Database Mail: one account with its profile."""

    account: str
    address: str
    server: str
    profile: str = ""
    display_name: str = ""
    port: int = 25

    @property
    def called(self) -> str:
        """Name of the profile: the account's by default."""
        return self.profile or self.account


@dataclass(frozen=True, slots=True)
class Audit:
    """A server audit to the application log, and the groups of actions it records."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declaration:
    """All variables of the role that the plan needs."""

    instance: str = DEFAULT_INSTANCE
    version: str = "2022"
    host: str = ""
    minimum_build: str = ""
    update: Update = Update()
    sysadmins: tuple[str, ...] = ()
    service_account: str = ""
    agent_account: str = ""
    directories: Directories = Directories()
    port: int = 1433
    force_encryption: bool = True
    hide_instance: bool = True
    browser: bool = False
    login_audit: str = "failed"
    error_logs: int = 12
    memory_maximum_megabytes: int = 0
    memory_minimum_megabytes: int = 0
    parallelism: int = 0
    cost_threshold: int = 50
    hardening: bool = True
    configuration: tuple[Setting, ...] = ()
    tempdb: Tempdb = Tempdb()
    sa_name: str = "sa"
    logins: tuple[Login, ...] = ()
    logins_purge: bool = False
    databases: tuple[Database, ...] = ()
    maintenance: Maintenance = Maintenance()
    media: Media = Media()
    source_path: str = ""
    backup: Backup = Backup()
    jobs: tuple[Job, ...] = ()
    operators: tuple[Operator, ...] = ()
    alert_severities: tuple[int, ...] = ()
    alert_messages: tuple[int, ...] = ()
    alert_operator: str = ""
    mail: Mail | None = None
    audit: Audit | None = None

    @property
    def major(self) -> int:
        """Major version of the engine."""
        return MAJOR.get(self.version, 0)

    @property
    def service(self) -> str:
        """Name of the engine's Windows service."""
        return DEFAULT_INSTANCE if self.is_default else f"MSSQL${self.instance}"

    @property
    def agent_service(self) -> str:
        """Name of the agent's Windows service."""
        return "SQLSERVERAGENT" if self.is_default else f"SQLAgent${self.instance}"

    @property
    def is_default(self) -> bool:
        """Whether it is the default instance."""
        return self.instance.casefold() == DEFAULT_INSTANCE.casefold()

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Declaration:
        """Read the role's variables, given without their prefix; an empty ``mail`` or ``audit`` declares none.

        Raises:
            ShapeError: the message starts with the variable's name and path.
        """
        try:
            return build(cls, {name: value for name, value in values.items() if value != {}}, "")
        except ShapeError as error:
            raise ShapeError(PREFIX + str(error).removeprefix(".")) from None
