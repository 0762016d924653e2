# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe sql_server_info tells, as objects. Times are UTC, ISO 8601; sizes in MB; an empty time is "never"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An account asked for: its name in the language of the server and its SID, both empty when nobody has it."""

    asked: str
    name: str = ""
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A Windows service of the instance."""

    name: str
    state: str
    start: str
    account: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """The instance's network: what the registry says, and what is in force."""

    port: str = ""
    dynamic_port: str = ""
    force_encryption: bool = False
    certificate: str = ""
    hidden: bool = False
    tcp_enabled: bool = False
    listening: tuple[int, ...] = ()
    encrypted: bool = False
    """Whether a plain TCP connection made by the probe was encrypted all the same (``encrypt_option``)."""
    validated: bool = False
    """Whether a client that validates certificates is let in by the name that clients use."""
    certificate_loaded: bool = True
    """False when the log of this start lacks the certificate that the registry names."""


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of sp_configure."""

    name: str
    value: int
    value_in_use: int
    is_dynamic: bool
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Login:
    """A login; ``kind`` is S (SQL), U (Windows user), G (Windows group)."""

    name: str
    kind: str
    sid: str
    disabled: bool
    default_database: str = "master"
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A user of a database."""

    name: str
    login: str = ""
    default_schema: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Database:
    """A database with its last backups and check."""

    name: str
    system: bool
    state: str
    recovery_model: str
    owner: str
    created: str
    read_committed_snapshot: bool = False
    last_full: str = ""
    last_log: str = ""
    last_check: str = ""
    users: tuple[User, ...] = ()


@dataclass(frozen=True, slots=True)
class TempdbFile:
    """A file of tempdb as it is made at each start; growth in MB, 0 when it grows by a share."""

    name: str
    path: str
    kind: str
    size_megabytes: int
    growth_megabytes: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule of a job, in the columns of msdb.dbo.sysschedules."""

    name: str
    enabled: bool
    freq_type: int
    freq_interval: int
    freq_recurrence_factor: int
    freq_subday_type: int
    freq_subday_interval: int
    active_start_time: int


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a job."""

    id: int
    name: str
    database: str
    command: str
    subsystem: str = "TSQL"


@dataclass(frozen=True, slots=True)
class Job:
    """A job; ``last_outcome`` is 1 (succeeded), 0 (failed), 3 (cancelled) or 5 (never run)."""

    name: str
    enabled: bool
    owner: str
    description: str
    created: str
    last_outcome: int
    last_run: str = ""
    operator: str = ""
    notify: int = 0
    steps: tuple[Step, ...] = ()
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of the agent."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert and whom it tells by mail."""

    name: str
    severity: int
    message: int
    enabled: bool
    operators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mail:
    """An account of Database Mail."""

    account: str
    profile: str
    address: str
    display_name: str
    server: str
    port: int


@dataclass(frozen=True, slots=True)
class Audit:
    """A server audit with the groups of actions its specification records."""

    name: str
    enabled: bool
    specification: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A command of the maintenance solution that failed."""

    time: str
    database: str
    command: str
    message: str


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The maintenance solution where it was asked for."""

    version: str = ""
    logs: bool = False
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of backups that was asked about, and its discretionary list."""

    exists: bool = False
    sddl: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """Another instance of the same server, and the port its registry holds."""

    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Observation:
    """State of one instance; ``installed`` is false where there is none, and what it holds is then empty."""

    time: str
    hostname: str
    memory_megabytes: int
    processors: int
    numa_nodes: int = 1
    installed: bool = False
    answers: bool = False
    account: str = ""
    administrator: bool = False
    id: str = ""
    build: str = ""
    edition: str = ""
    started: str = ""
    configured: str = ""
    """When this role last wrote what the engine reads at its start only."""
    login_audit: int = 0
    error_logs: int = 0
    agent_mail_profile: str = ""
    principals: tuple[Principal, ...] = ()
    services: tuple[Service, ...] = ()
    network: Network = Network()
    others: tuple[Other, ...] = ()
    configuration: tuple[Setting, ...] = ()
    logins: tuple[Login, ...] = ()
    databases: tuple[Database, ...] = ()
    tempdb: tuple[TempdbFile, ...] = ()
    jobs: tuple[Job, ...] = ()
    operators: tuple[Operator, ...] = ()
    alerts: tuple[Alert, ...] = ()
    mail: tuple[Mail, ...] = ()
    audits: tuple[Audit, ...] = ()
    maintenance: Maintenance = Maintenance()
    backup_directory: Folder = Folder()
    back_connection: tuple[str, ...] = ()
    """Names besides its own under which the server lets itself in (``BackConnectionHostNames``)."""

    @property
    def sa(self) -> Login | None:
        """The login whose SID is 0x01, whatever it is called."""
        return next((login for login in self.logins if login.sid == "0x01"), None)

    def principal(self, asked: str) -> Principal:
        """What was found of an account that was asked for."""
        wanted = asked.casefold()
        return next((found for found in self.principals if found.asked.casefold() == wanted), Principal(asked))
