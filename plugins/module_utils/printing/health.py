# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a technician would check on a print server, judged from what its modules and probes found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration

PROBES = (
    "spooler", "drivers", "ports", "queues", "shares", "permissions", "defaults", "status", "devices", "jobs",
    "registry", "firewall",
)  # fmt: skip
"""All probes, in the order they are told."""

_PROBE_OF = {
    "queue": "queues", "location": "queues", "comment": "queues", "driver": "drivers", "port": "ports",
    "ipp_url": "ports", "shared": "shares", "share": "shares", "published": "shares", "sddl": "permissions",
    "duplex": "defaults", "paper": "defaults", "color": "defaults",
}  # fmt: skip
"""Probe that each property of a queue belongs to."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that waits."""

    id: int
    age_minutes: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as Get-Printer and Get-PrintJob know it."""

    name: str
    status: str
    jobs: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device and whether it took a connection."""

    address: str
    port: int
    reachable: bool


@dataclass(frozen=True, slots=True)
class State:
    """What print_server_info answers."""

    version: str
    spooler: bool
    queues: tuple[QueueState, ...] = ()
    devices: tuple[DeviceState, ...] = ()


Change = dict[str, Any]
"""A difference as the modules tell it: ``name``, ``property``, ``before``, ``after``."""


@dataclass(frozen=True, slots=True)
class Readings:
    """All that is known of a server: its state, and what each module would change."""

    state: State
    drivers: tuple[Change, ...] = ()
    ports: tuple[Change, ...] = ()
    queues: tuple[Change, ...] = ()
    registry: tuple[Change, ...] = ()
    services: tuple[str, ...] = ()
    firewall: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One probe's name, whether it passed, and the sentence that says why not."""

    probe: str
    passed: bool
    message: str = ""


def judge(declared: Declaration, readings: Readings, language: Language = "fr") -> list[Verdict]:
    """Judge the readings, one verdict for each of ``PROBES``."""
    by_probe: dict[str, list[Text]] = {probe: [] for probe in PROBES}
    for change in readings.queues:
        by_probe[_PROBE_OF[str(change["property"])]].append(_different(change))
    by_probe["drivers"] += map(_different, readings.drivers)
    by_probe["ports"] += map(_different, readings.ports)
    by_probe["registry"] += (_different({**change, "property": change["path"]}) for change in readings.registry)
    by_probe["spooler"] += _spooler(readings)
    by_probe["firewall"] += (Text(f"{name}: not as declared", f"{name} : non conforme") for name in readings.firewall)
    unreachable = dict(_unreachable(declared, readings.state))
    by_probe["devices"] += unreachable.values()
    by_probe["status"] += _statuses(declared, readings.state, set(unreachable))
    by_probe["jobs"] += _jobs(declared, readings.state)
    said = ((probe, say_all(by_probe[probe], language)) for probe in PROBES)
    return [Verdict(probe, not sentences, "; ".join(sentences)) for probe, sentences in said]


def _different(change: Mapping[str, Any]) -> Text:
    before = "-" if change["before"] in (None, "") else change["before"]
    after = "-" if change["after"] in (None, "") else change["after"]
    line = f"{change['name']} ({change['property']}): {before} -> {after}"
    return Text(line, line)


def _spooler(readings: Readings) -> Iterator[Text]:
    if not readings.state.spooler:
        yield Text("the print spooler is stopped", "le spouleur d'impression est arrêté")
    elif readings.services:
        yield Text("the print spooler does not start by itself", "le spouleur d'impression ne démarre pas de lui-même")


def _unreachable(declared: Declaration, state: State) -> Iterator[tuple[str, Text]]:
    """Declared queues whose device takes no connection."""
    silent = {(device.address, device.port) for device in state.devices if not device.reachable}
    for queue in declared.queues:
        device = declared.device_of(queue)
        if device in silent and device is not None:
            address, port = device
            yield (
                queue.name.casefold(),
                Text(
                    f"{queue.name}: {address} does not answer on port {port}; see whether the printer is on",
                    f"{queue.name} : {address} ne répond pas sur le port {port} ; voyez si l'imprimante est allumée",
                ),
            )


def _declared(declared: Declaration, state: State) -> Iterator[QueueState]:
    names = {queue.name.casefold() for queue in declared.queues}
    return (queue for queue in state.queues if queue.name.casefold() in names)


def _statuses(declared: Declaration, state: State, unreachable: set[str]) -> Iterator[Text]:
    """A queue whose device does not answer is told by the probe of the devices."""
    for queue in _declared(declared, state):
        if queue.status != "Normal" and queue.name.casefold() not in unreachable:
            yield Text(f"{queue.name}: its status is {queue.status}", f"{queue.name} : son état est {queue.status}")


def _jobs(declared: Declaration, state: State) -> Iterable[Text]:
    for queue in _declared(declared, state):
        old = [job for job in queue.jobs if job.age_minutes > declared.job_max_age_hours * 60]
        if old:
            hours = max(job.age_minutes for job in old) // 60
            yield Text(
                f"{queue.name}: {len(old)} jobs have waited for more than {declared.job_max_age_hours} h (the oldest"
                f" {hours} h)",
                f"{queue.name} : {len(old)} travaux attendent depuis plus de {declared.job_max_age_hours} h (le plus"
                f" ancien, {hours} h)",
            )
