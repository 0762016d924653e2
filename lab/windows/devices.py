# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Printing devices on the lab's network, and the drivers that Windows brings for them: ``data/printers.yml``."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from lab.windows import network
from lab.windows.data import DATA

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer


@dataclass(frozen=True, slots=True)
class Device:
    """A printer: the last two numbers of its address, its TCP ports, and the path it answers IPP on (empty: none)."""

    host: str
    model: str
    ports: tuple[int, ...]
    ipp: str = ""


@dataclass(frozen=True, slots=True)
class InboxDriver:
    """A driver that Windows holds in its store; some are installed at first."""

    name: str
    version: str
    installed: bool = False


@functools.cache
def _catalogue() -> dict[str, Any]:
    return dict(yaml.safe_load((DATA / "printers.yml").read_text(encoding="utf-8")))


@functools.cache
def devices() -> tuple[Device, ...]:
    """All devices of the lab."""
    return tuple(
        Device(entry["host"], entry["model"], tuple(entry["ports"]), entry.get("ipp", ""))
        for entry in _catalogue()["devices"]
    )


@functools.cache
def inbox_drivers() -> tuple[InboxDriver, ...]:
    """All drivers that Windows brings."""
    return tuple(InboxDriver(**entry) for entry in _catalogue()["drivers"])


def _own(server: WindowsServer, address: str) -> bool:
    """Whether an address is on a server's own network."""
    try:
        wanted = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return any(wanted in ipaddress.ip_network(f"{held}/16", strict=False) for held in server.addresses())


def device_at(server: WindowsServer, address: str) -> Device | None:
    """The device at an address of the server's own network; None when there is none, or it is switched off."""
    if not _own(server, address):
        return None
    last = ".".join(address.split(".")[2:])
    return next((device for device in devices() if device.host == last), None)


def answers(server: WindowsServer, address: str, port: int) -> bool:
    """Whether a device, or anything else at the address, takes a TCP connection of the server's."""
    device = device_at(server, address)
    if device is not None:
        return port in device.ports
    if _own(server, address) and server.estate.at(address) is None:
        return False
    return network.reaches(server, address, port)
