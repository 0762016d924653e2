# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an exchange server is asked to be: its flows, their certificates, and where everything lies on its disk."""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ans_exchange_"
SFTP = "sftp"
HTTPS = "https_mtls"
OUT = "out"
PORTS = {SFTP: 22, HTTPS: 443}


@dataclass(frozen=True, slots=True)
class Directories:
    r"""Folders of a flow, absolute or relative to the root; empty for ``flows\<name>\<kind>`` below the root."""

    outbox: str = ""
    inbox: str = ""
    archive: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a flow runs: at a time of day (``HH:MM`` there), then every so many minutes (0: once a day)."""

    at: str = "00:00"
    every_minutes: int = 15


@dataclass(frozen=True, slots=True)
class Flow:
    """One exchange with one far end."""

    name: str
    protocol: str
    host: str
    direction: str = OUT
    port: int = 0
    addresses: tuple[str, ...] = ()
    user: str = ""
    identity: str = ""
    host_keys: tuple[str, ...] = ()
    certificate: str = ""
    remote_path: str = ""
    probe_path: str = "/"
    probe_statuses: tuple[int, ...] = (200,)
    verify_content: bool = True
    directories: Directories = Directories()
    principals: tuple[str, ...] = ()
    schedule: Schedule = Schedule()
    max_age_hours: int = 0
    max_backlog: int = 100
    retention_days: int = 0
    enabled: bool = True

    @property
    def far_port(self) -> int:
        """TCP port of the far end."""
        return self.port or PORTS.get(self.protocol, 0)

    @property
    def drop(self) -> str:
        """The folder that applications share with the flow: ``outbox`` or ``inbox``."""
        return "outbox" if self.direction == OUT else "inbox"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the machine's store, and what the controller read in its file (empty: there is no such file)."""

    name: str
    thumbprint: str = ""
    subject: str = ""
    not_after: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """One more place that the server may reach."""

    name: str
    protocol: str = "tcp"
    ports: str = "any"
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that the role is asked for, secrets left out."""

    service_account: str
    root: str = "C:\\ANS"
    flows: tuple[Flow, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    identities: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    script: str = ""
    openssh_directory: str = "C:\\Program Files\\OpenSSH"
    metrics_directory: str = ""
    task_folder: str = "\\Infogerance ANS"
    event_source: str = "ans_exchange"
    firewall: bool = True
    firewall_group: str = "Infogerance ANS"
    purge: bool = True
    dns_servers: tuple[str, ...] = ()
    domain_controllers: tuple[str, ...] = ()
    time_servers: tuple[str, ...] = ()
    revocation_addresses: tuple[str, ...] = ()
    outbound: tuple[Opening, ...] = ()
    time_server: str = ""
    certificate_warning_days: int = 60
    max_clock_offset_ms: int = 1000
    metrics_max_age_minutes: int = 0
    accept_unsupported_os: bool = False

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Declaration:
        """Make a declaration of the role's variables, given without their prefix.

        Raises:
            ShapeError: A key is unknown or missing, or a value has another type; the message starts with its path.
        """
        try:
            return build(cls, values, "ans_exchange")
        except ShapeError as error:
            raise ShapeError(str(error).replace("ans_exchange.", PREFIX, 1)) from None  # the variable's own name

    def place(self, *parts: str) -> str:
        """A path below the root."""
        return ntpath.normpath(ntpath.join(self.root, *parts))

    @property
    def script_path(self) -> str:
        """Where the transfer script lies."""
        return self.place("bin", "Invoke-AnsExchange.ps1")

    @property
    def configuration_path(self) -> str:
        """Where the script's configuration lies."""
        return self.place("etc", "exchange.json")

    @property
    def known_hosts_path(self) -> str:
        """Where the pinned host keys lie."""
        return self.place("etc", "known_hosts")

    @property
    def headers_path(self) -> str:
        """Where the secret HTTP headers lie; only administrators and the service account read it."""
        return self.place("etc", "headers.json")

    def identity_path(self, name: str) -> str:
        """Where a private key of SFTP lies."""
        return self.place("etc", "identities", name)

    def home(self, flow: Flow) -> str:
        """The flow's own folder, where its state is: files on their way."""
        return self.place("flows", flow.name)

    def folder(self, flow: Flow, kind: str) -> str:
        """One folder of a flow: ``outbox``, ``inbox``, ``archive`` as declared, any other below its own."""
        given = getattr(flow.directories, kind, "")
        return self.place(given) if given else ntpath.join(self.home(flow), kind)

    def metrics_path(self, flow: Flow) -> str:
        """The text file that windows_exporter reads."""
        return ntpath.join(self.metrics_directory, f"ans_exchange_{flow.name}.prom")

    def certificate(self, flow: Flow) -> Certificate | None:
        """The client certificate of a flow."""
        return next((own for own in self.certificates if flow.certificate and own.name == flow.certificate), None)

    def within(self, path: str) -> bool:
        """Whether a path lies below the root."""
        top = ntpath.normcase(ntpath.normpath(self.root)).rstrip("\\") + "\\"
        return ntpath.normcase(self.place(path)).startswith(top)
