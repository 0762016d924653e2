# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a print server is asked, and what its modules are given, for a declaration: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import say_all

from . import access, checks
from .declared import IPP_DRIVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration, Driver, Queue
    from .health import State

_DUPLEX = {
    "one_sided": "OneSided",
    "long_edge": "TwoSidedLongEdge",
    "short_edge": "TwoSidedShortEdge",
}
"""Words of the role to those of Set-PrintConfiguration."""

_JOINED_LATER = "?"
_NOBODY = "S-1-0-0"
"""Stands for a principal of a domain that the server has not joined yet (well-known SID of nobody)."""


def request(declared: Declaration, language: Language = "fr") -> dict[str, Any]:
    """What the probes are asked (``principals``, ``devices``, ``drivers``), and what is wrong with the declaration."""
    everybody = [*declared.permissions, *(entry for queue in declared.queues for entry in queue.permissions)]
    devices = sorted({device for device in map(declared.device_of, declared.queues) if device is not None})
    return {
        "problems": say_all(checks.problems(declared), language),
        "principals": access.names(everybody),
        "devices": [{"address": address, "port": port} for address, port in devices],
        "drivers": [_driver(declared, driver) for driver in declared.drivers],
    }


def plan(
    declared: Declaration,
    *,
    state: State,
    domain: str,
    sids: Mapping[str, str | None],
    awaited: Sequence[str],
    foreseen: bool = False,
    language: Language = "fr",
) -> dict[str, Any]:
    """What the modules are given, and what this server cannot do.

    Args:
        declared: the declaration, without problems of its own.
        state: what print_server_info answered.
        domain: DNS name of the server's domain, empty in a workgroup.
        sids: SID of each principal that ``request`` named; null for one that nobody knows.
        awaited: names of the drivers that are missing or too old.
        foreseen: whether this only looks ahead (check mode): the server may still join its domain before the run, so
            that what only a domain has is no problem yet.
        language: language of the sentences.

    Returns:
        ``problems``; ``packages`` to stage and ``archives`` to unpack for the drivers awaited; ``ports``; ``queues``;
        ``deferred``, names of IPP queues that cannot be made while their device does not answer.
    """
    known = {name.casefold(): sid for name, sid in sids.items() if sid}
    unknown = [name for name in sids if name.casefold() not in known]
    if foreseen and not domain:
        domain, unknown = _JOINED_LATER, []
        known = {name.casefold(): sid or _NOBODY for name, sid in sids.items()}
    found = checks.server_problems(declared, build=int(state.version.split(".")[2]), domain=domain, unknown=unknown)
    missing = {name.casefold() for name in awaited}
    staged = [driver for driver in declared.drivers if driver.source and driver.name.casefold() in missing]
    sources = {_archive(declared, driver): driver for driver in staged}
    there = {queue.name.casefold() for queue in state.queues}
    silent = {queue.name for queue in declared.queues if queue.ipp_url and not _answers(declared, queue, state)}
    deferred = [queue.name for queue in declared.queues if queue.name in silent and queue.name.casefold() not in there]
    return {
        "problems": say_all(found, language),
        "packages": [
            {
                "name": driver.name,
                "source": driver.source,
                "checksum": driver.checksum,
                "destination": archive,
                "state": "staged",
            }
            for archive, driver in sources.items()
        ],
        "archives": [
            {
                "label": driver.name,
                "source": archive,
                "folder": _folder(declared, driver),
                "inf": _driver(declared, driver)["inf"],
            }
            for archive, driver in sources.items()
        ],
        "ports": [
            {
                "name": port.name,
                "address": port.address,
                "protocol": port.protocol,
                "number": port.tcp,
                "lpr_queue": port.lpr_queue or None,
                "snmp": port.snmp,
            }
            for port in declared.ports
        ],
        "queues": [
            _queue(declared, queue, known, silent=queue.name in silent)
            for queue in declared.queues
            if not unknown and queue.name not in deferred
        ],
        "deferred": deferred,
    }


def _answers(declared: Declaration, queue: Queue, state: State) -> bool:
    """Whether the device of a queue took a connection."""
    return declared.device_of(queue) in {(seen.address, seen.port) for seen in state.devices if seen.reachable}


def _folder(declared: Declaration, driver: Driver) -> str:
    """Where a driver's archive is unpacked: another archive of the same driver has a folder of its own."""
    return f"{declared.staging}\\{driver.checksum[:16].lower()}"


def _archive(declared: Declaration, driver: Driver) -> str:
    return f"{_folder(declared, driver)}.zip"


def _driver(declared: Declaration, driver: Driver) -> dict[str, str]:
    inside = driver.inf.replace("/", "\\").lstrip("\\")
    inf = f"{_folder(declared, driver)}\\{inside}" if driver.source else ""
    return {"name": driver.name, "inf": inf, "version": driver.version}


def _queue(declared: Declaration, queue: Queue, sids: Mapping[str, str], *, silent: bool) -> dict[str, Any]:
    """What print_queues is given; an IPP device that does not answer leaves the port of its queue alone."""
    duplex = queue.duplex or declared.defaults.duplex
    color = declared.defaults.color if queue.color is None else queue.color
    wanted: dict[str, Any] = {
        "name": queue.name,
        "driver": IPP_DRIVER if queue.ipp_url else queue.driver,
        "port": queue.port,
        "ipp_url": "" if silent else queue.ipp_url,
        "shared": bool(queue.share),
        "share": queue.share,
        "published": queue.published,
        "location": queue.location,
        "comment": queue.comment,
        "sddl": access.descriptor(declared.permissions_of(queue), sids),
        "duplex": _DUPLEX.get(duplex, ""),
        "paper": queue.paper or declared.defaults.paper,
        "color": color,
    }
    # Location and comment are emptied where they are not declared; the others are left alone.
    said = {"location", "comment"}
    return {name: value for name, value in wanted.items() if name in said or value not in ("", None)}
