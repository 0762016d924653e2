# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role print_server is asked for, as objects; the names are those of its variables without their prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "print_server_"
IPP_PORT = 631
IPP_DRIVER = "Microsoft IPP Class Driver"
"""What Windows gives an IPP device."""
NUMBERS = {"raw": 9100, "lpr": 515}
"""TCP ports of the protocols: JetDirect's and that of RFC 1179."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver: out of an archive with an INF file, or one that Windows holds in its store."""

    name: str
    source: str = ""
    checksum: str = ""
    inf: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """A standard TCP/IP port; a number that is not given is the protocol's own."""

    name: str
    address: str
    protocol: str = "raw"
    number: int | None = None
    lpr_queue: str = ""
    snmp: bool = False

    @property
    def tcp(self) -> int:
        """TCP port of the device."""
        return self.number if self.number is not None else NUMBERS.get(self.protocol, 0)


@dataclass(frozen=True, slots=True)
class Permission:
    """What a principal may do, or may not: ``print``, ``manage_documents``, ``manage_printer``."""

    principal: str
    rights: tuple[str, ...]
    type: str = "allow"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a document is printed like when nothing else is said; nothing here leaves it to the driver."""

    duplex: str = ""
    paper: str = ""
    color: bool | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue: by driver and port, or by the address of an IPP device."""

    name: str
    driver: str = ""
    port: str = ""
    ipp_url: str = ""
    share: str = ""
    published: bool = False
    location: str = ""
    comment: str = ""
    permissions: tuple[Permission, ...] = ()
    duplex: str = ""
    paper: str = ""
    color: bool | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """The whole declaration."""

    drivers: tuple[Driver, ...] = ()
    ports: tuple[Port, ...] = ()
    queues: tuple[Queue, ...] = ()
    permissions: tuple[Permission, ...] = ()
    defaults: Defaults = Defaults()
    purge: bool = False
    staging: str = ""
    rpc_port: int = 0
    job_max_age_hours: int = 24
    device_timeout_seconds: int = 3

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Declaration:
        """Make a declaration out of the role's variables, their prefix left out.

        Raises:
            ShapeError: the first thing that has not the shape the role documents, by the variable's full name.
        """
        try:
            return build(cls, values, "")
        except ShapeError as error:
            raise ShapeError(PREFIX + str(error).removeprefix(".")) from None

    def permissions_of(self, queue: Queue) -> tuple[Permission, ...]:
        """Who may do what with a queue: its own permissions, or everybody's."""
        return queue.permissions or self.permissions

    def device_of(self, queue: Queue) -> tuple[str, int] | None:
        """Address and TCP port of the device behind a queue; None when its port is not declared."""
        if queue.ipp_url:
            parts = urlsplit(queue.ipp_url)
            return parts.hostname or "", parts.port or IPP_PORT
        for port in self.ports:
            if port.name.casefold() == queue.port.casefold():
                return port.address, port.tcp
        return None
