# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What windows_state_info and ans_exchange_info saw on the server.

Moments are ISO 8601 in UTC; an empty one means never or not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import build

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN_SID = "S-1-0-0"
"""Nobody (a well-known SID): stands for an account that the server does not know yet."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A name and the SID that the server resolves it to; empty when nobody has it."""

    name: str
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder or file with its discretionary rights in SDDL."""

    path: str
    exists: bool = False
    sddl: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file and its SHA-256, in lower case."""

    path: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A firewall rule of the role's group."""

    name: str
    enabled: bool = True
    direction: str = "out"
    action: str = "allow"
    protocol: str = "tcp"
    remote_ports: str = ""
    remote_addresses: str = ""
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of the firewall."""

    name: str
    enabled: bool = True
    outbound_action: str = "notconfigured"


@dataclass(frozen=True, slots=True)
class Task:
    """A scheduled task: its definition (XML, as the scheduler keeps it) and its last run."""

    name: str
    definition: str
    registered: str = ""
    last_run: str = ""
    last_result: int = 0


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate of the machine's own store."""

    thumbprint: str
    not_after: str
    has_private_key: bool = False
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """What lies in a flow's folders, and when its metrics were written."""

    name: str
    backlog: int = 0
    newest_archive: str = ""
    oldest_archive: str = ""
    metrics: str = ""


@dataclass(frozen=True, slots=True)
class FarEnd:
    """What a flow's far end answered: whether its port is open, and its host keys (``type base64``)."""

    name: str
    reachable: bool = False
    host_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that the probe read."""

    hostname: str
    time: str
    version: str
    domain: str = ""
    dns_servers: tuple[str, ...] = ()
    principals: tuple[Principal, ...] = ()
    folders: tuple[Folder, ...] = ()
    files: tuple[File, ...] = ()
    rules: tuple[Rule, ...] = ()
    profiles: tuple[Profile, ...] = ()
    tasks: tuple[Task, ...] = ()
    certificates: tuple[StoredCertificate, ...] = ()
    flows: tuple[Traffic, ...] = ()
    far_ends: tuple[FarEnd, ...] = ()
    event_source: bool = False
    clock_offset: str = ""

    @classmethod
    def read(cls, server: Mapping[str, Any], exchange: Mapping[str, Any]) -> Observation:
        """Put together what both probes answered: of the server's, what is needed here.

        Raises:
            ShapeError: A probe answered something unexpected.
        """
        cards = server.get("interfaces") or []
        values = {name: server.get(name) for name in ("hostname", "time", "version", "domain", "principals")}
        values["dns_servers"] = list(dict.fromkeys(dns for card in cards for dns in card.get("dns_servers") or []))
        values["files"] = [
            {"path": entry.get("path"), "sha256": entry.get("sha256")}
            for entry in server.get("paths") or []
            if entry.get("exists")
        ]
        values["certificates"] = [
            {name: entry.get(name) for name in ("thumbprint", "not_after", "has_private_key", "readers")}
            for entry in server.get("certificates") or []
            if entry.get("store") == "My"
        ]
        return build(cls, {**values, **exchange}, "probe")

    @property
    def build(self) -> int:
        """Build of Windows."""
        parts = self.version.split(".")
        return int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else 0

    @property
    def now(self) -> datetime:
        """The server's time."""
        return moment(self.time)

    def sid(self, name: str) -> str:
        """SID of a name or of a SID; Nobody's when the server does not know it."""
        if name.upper().startswith("S-1-"):
            return name.upper()
        wanted = name.casefold()
        found = next((own.sid for own in self.principals if own.name.casefold() == wanted), "")
        return found or UNKNOWN_SID

    def knows(self, name: str) -> bool:
        """Whether a name means somebody here."""
        return self.sid(name) != UNKNOWN_SID


def moment(text: str) -> datetime:
    """A moment of the probe as an aware datetime."""
    return datetime.fromisoformat(text)
