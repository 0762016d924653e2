# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe ``adsync_info`` found on a synchronisation server, as objects.

Moments are UTC, ISO 8601, empty for never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .declared import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBJECT = "CN=Entra Connect Sync Provisioning"
"""Subject of the certificates that Entra Connect makes and rotates itself."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service's state: ``running``, ``stopped`` ...; empty when it does not exist."""

    name: str
    state: str = ""
    start_mode: str = ""


@dataclass(frozen=True, slots=True)
class Scheduler:
    """What Get-ADSyncScheduler and Get-ADSyncGlobalSettings say."""

    cycle_enabled: bool
    staging_mode: bool
    suspended: bool
    maintenance: bool
    in_progress: bool
    interval_minutes: int
    allowed_interval_minutes: int
    run_history_days: int
    next_policy: str = "delta"


@dataclass(frozen=True, slots=True)
class Identity:
    """How the connector to Entra ID authenticates: its type, who manages application and certificate, and which one."""

    type: str
    application_managed_by: str = ""
    certificate_managed_by: str = ""
    certificate_id: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with a private key in the service account's own store (``current_user``) or the machine's."""

    thumbprint: str
    sha256: str
    subject: str
    store: str
    not_before: str
    not_after: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a connector's profile."""

    connector: str
    profile: str
    result: str
    complete: bool
    start: str
    end: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of Entra Connect in the Application log."""

    id: int
    time: str


@dataclass(frozen=True, slots=True)
class Export:
    """The scheduled task that exports the configuration, and how many exports there are."""

    task: bool = False
    registered: str = ""
    last_run: str = ""
    last_result: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class RegistryRead:
    """A registry value that was asked for; no data when it is not there."""

    path: str
    name: str
    data: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything about one server. ``scheduler`` and ``identity`` are missing where the sync engine does not answer."""

    time: str
    in_domain: bool
    dotnet_release: int = 0
    version: str = ""
    engine_version: str = ""
    configured: bool = False
    restart_awaited: bool = False
    spooler_running: bool = False
    services: tuple[Service, ...] = ()
    tls: tuple[RegistryRead, ...] = ()
    scheduler: Scheduler | None = None
    identity: Identity | None = None
    certificates: tuple[Certificate, ...] = ()
    runs: tuple[Run, ...] = ()
    events: tuple[Event, ...] = ()
    export: Export = Export()

    @property
    def engine(self) -> Service | None:
        """The service of the sync engine; only the wizard installs it."""
        return next((found for found in self.services if found.name == "ADSync" and found.state), None)

    @property
    def half_upgraded(self) -> bool:
        """Whether the wizard still has to upgrade the engine.

        Source: Microsoft, "Entra Connect can't work after automatic upgrade": an upgrade first replaces the
        installation, then the version in the server's configuration; where they differ it is only partly done.
        """
        return bool(self.engine_version) and self.engine_version != self.version

    @property
    def silent(self) -> bool:
        """Whether the engine is there and does not run, so that nobody knows what it does once it is started."""
        return self.engine is not None and self.engine.state != "running"

    @property
    def active(self) -> bool:
        """Whether this server exports to Entra ID when a cycle runs."""
        return self.scheduler is not None and not self.scheduler.staging_mode

    @property
    def synchronising(self) -> bool:
        """Whether changes really reach Entra ID through this server now."""
        scheduler = self.scheduler
        return (
            scheduler is not None
            and self.active
            and scheduler.cycle_enabled
            and not scheduler.suspended
            and self.last_success is not None
        )

    @property
    def last_success(self) -> datetime | None:
        """End of the latest run that succeeded."""
        ends = [moment(run.end) for run in self.runs if run.complete and run.result == "success" and run.end]
        return max(ends, default=None)

    def latest_runs(self) -> Iterator[Run]:
        """The latest complete run of each connector's profile."""
        latest: dict[tuple[str, str], Run] = {}
        for run in self.runs:
            if run.complete:
                held = latest.get((run.connector, run.profile))
                if held is None or moment(run.start) > moment(held.start):
                    latest[run.connector, run.profile] = run
        yield from latest.values()

    def certificate(self) -> Certificate | None:
        """The certificate the connector uses.

        It is the one that the connector names; where it names none, the longest valid of those that Entra Connect made
        in the service account's own store.
        """
        named = self.identity.certificate_id.casefold() if self.identity is not None else ""
        for found in self.certificates:
            if named and named in {found.thumbprint.casefold(), found.sha256.casefold()}:
                return found
        own = [found for found in self.certificates if found.store == "current_user" and found.subject == SUBJECT]
        return max(own, key=lambda found: moment(found.not_after), default=None)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server of the group: what it declares and, when it answered, what it is.

    ``in_play`` tells that the same run configures it too, so that what it declares will be so.
    """

    name: str
    in_play: bool = False
    declared: Settings = field(default_factory=Settings)
    found: Observation | None = None


def moment(text: str) -> datetime:
    """A moment that a probe gave, aware, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
