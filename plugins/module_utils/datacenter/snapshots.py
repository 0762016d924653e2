# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of one server as declared: what to do is pure, the rest reads and calls."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import factory
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    Datacenter,
    Power,
    Server,
    Snapshot,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import plain as as_plain
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.placement import listing
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.provision import find, refuse_locked
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    InputError,
    LockedError,
    NotAppliedError,
    NotFoundError,
    RereadError,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.exclusive import exclusively
from ansible_collections.cnosf.infogerance.plugins.module_utils.patience import Patience
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change, reconcile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Proxmox VE's rule, which vSphere's names satisfy too.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,39}")
_DAY = 86400


@dataclass(frozen=True)
class SnapshotSpec:
    """What is wanted of a server's snapshots.

    Attributes:
        server: name of the server.
        state: `present`, `absent` or `rolled_back`.
        name: name of the snapshot, or None when an age selects.
        description: free text of a new snapshot.
        memory: whether a new snapshot holds the memory.
        older_than_days: with `absent` and no name, the age above which snapshots go.
        pattern: names that the age applies to, as the shell writes patterns.
        start: whether a server runs after a rollback; None keeps its power as it was.
        force: permission to remove snapshots and to roll back.
    """

    server: str
    state: str
    name: str | None = None
    description: str = ""
    memory: bool = False
    older_than_days: float | None = None
    pattern: str = "*"
    start: bool | None = None
    force: bool = False


@dataclass(frozen=True)
class Shots:
    """A server with its snapshots as they were read."""

    server: Server
    snapshots: tuple[Snapshot, ...]


def from_options(options: Mapping[str, Any]) -> SnapshotSpec:
    """Answer what is wanted from a module's options.

    Raises:
        InputError: the options contradict each other, or the name is refused by engines.
    """
    state, name, age = options["state"], options.get("name"), options.get("older_than_days")
    if name is not None and (not _NAME.fullmatch(name) or name.lower() in {"current", "pending"}):
        raise InputError(
            f"{name!r} cannot name a snapshot: use 2 to 40 letters, digits, '_' and '-', starting with a letter; "
            "'current' and 'pending' are taken."
        )
    if name is None and (state != "absent" or age is None):
        raise InputError("Give the snapshot's name; only 'state: absent' with 'older_than_days' does without.")
    if age is not None and (name is not None or state != "absent"):
        raise InputError("older_than_days selects the snapshots to remove: use it with 'state: absent' and no name.")
    if age is not None and age < 0:
        raise InputError(f"older_than_days cannot be negative, it is {age:g}.")
    return SnapshotSpec(
        server=options["server"],
        state=state,
        name=name,
        description=options.get("description") or "",
        memory=bool(options.get("memory")),
        older_than_days=age,
        pattern=options.get("pattern") or "*",
        start=options.get("start"),
        force=bool(options.get("force")),
    )


def plan(spec: SnapshotSpec, shots: Shots, now: float, *, rolled_back: bool = False) -> list[Change]:
    """Answer the changes that remain; pure.

    Args:
        spec: what is wanted.
        shots: what was read.
        now: seconds since 1970, for the age.
        rolled_back: whether this run has rolled back already; what was read must then say so.

    Raises:
        InputError: there is no such snapshot to roll back to, it is unfinished, or permission is missing.
        NotAppliedError: the engine says it rolled back and the server does not descend from the snapshot.
    """
    known = {snapshot.name: snapshot for snapshot in shots.snapshots}
    label = shots.server.label
    if spec.state == "absent":
        return _removals(spec, shots, now)
    found = known.get(spec.name or "")
    subject = f"snapshot {spec.name} of {spec.server}"
    if found is not None and found.unfinished:
        raise InputError(
            f"{label}: the snapshot {spec.name!r} was cut short ({found.unfinished}): remove it with 'state: absent' "
            "first."
        )
    if spec.state == "present":
        if found is not None:
            return []
        return [Change("create_snapshot", subject, {}, {"description": spec.description, "memory": spec.memory})]
    if found is None:
        raise InputError(f"{label} has no snapshot {spec.name!r} to roll back to. Known snapshots: {listing(known)}.")
    if rolled_back:
        if shots.server.raw.get("parent") != spec.name:
            raise NotAppliedError(f"{label}: the engine reported a rollback and the server is not at {spec.name!r}.")
        return []
    if not spec.force:
        raise InputError(f"{label} is not rolled back without 'force: true': what it wrote since would be lost.")
    start = shots.server.power is Power.ON if spec.start is None else spec.start
    return [
        Change(
            "rollback_snapshot",
            subject,
            {"power": str(shots.server.power)},
            {"taken_at": found.taken_at, "power": str(Power.ON if start else Power.OFF)},
        )
    ]


def _removals(spec: SnapshotSpec, shots: Shots, now: float) -> list[Change]:
    if spec.older_than_days is None:
        going = [snapshot for snapshot in shots.snapshots if snapshot.name == spec.name]
    else:
        limit = now - spec.older_than_days * _DAY
        going = [
            snapshot
            for snapshot in shots.snapshots
            if snapshot.taken_at < limit and fnmatchcase(snapshot.name, spec.pattern)
        ]
    if going and not spec.force:
        names = listing(snapshot.name for snapshot in going)
        raise InputError(f"{shots.server.label}: snapshots are not removed without 'force: true': {names}.")
    return [
        Change(
            "delete_snapshot",
            f"snapshot {snapshot.name} of {spec.server}",
            {"taken_at": snapshot.taken_at, "description": snapshot.description},
        )
        for snapshot in going
    ]


class Photographer:
    """Reads, plans and applies for the snapshots of one server."""

    def __init__(self, datacenter: Datacenter, spec: SnapshotSpec, patience: Patience, now: float) -> None:
        self._datacenter = datacenter
        self._spec = spec
        self._patience = patience
        self._now = now
        self._rolled_back = False

    def read(self) -> Shots:
        """Read the server and its snapshots.

        Raises:
            NotFoundError: there is no such server.
        """
        server = find(self._datacenter.landscape(settled=True), self._spec.server)
        if server is None or server.template:
            raise NotFoundError(f"There is no server {self._spec.server!r}: check its name and the token's privileges.")
        server = self._datacenter.detail(server)
        return Shots(server, tuple(self._datacenter.list_snapshots(server)))

    def plan(self, shots: Shots) -> list[Change]:
        """Answer the changes that remain."""
        return plan(self._spec, shots, self._now, rolled_back=self._rolled_back)

    def apply(self, change: Change, shots: Shots) -> None:
        """Perform one change; waits for locks like the provisioner does."""
        spec, server = self._spec, shots.server
        try:
            refuse_locked(server)
            if change.action == "create_snapshot":
                name = spec.name or ""
                self._datacenter.create_snapshot(server, name, spec.description, with_memory=spec.memory)
            elif change.action == "rollback_snapshot":
                self._datacenter.rollback_snapshot(server, spec.name or "", start=change.after["power"] == "on")
                self._rolled_back = True
            else:
                self._datacenter.delete_snapshot(server, change.subject.split()[1])
        except LockedError as error:
            self._patience.wait(error)
            raise RereadError(str(error)) from error
        self._patience.succeeded()


def ensure(
    options: Mapping[str, Any],
    *,
    check: bool,
    notify: Callable[[str], None],
    patience: Patience | None = None,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Bring a server's snapshots to what options declare; answer the module's result.

    Raises:
        InfogeranceError: what is declared is refused, or the engine refuses or fails.
    """
    spec = from_options(options)
    waiting = patience or Patience(float(options.get("lock_timeout", 300)), notify)
    photographer = Photographer(factory.datacenter(options), spec, waiting, clock())
    if check:
        outcome = reconcile(photographer.read, photographer.plan, photographer.apply, check=True)
    else:
        with exclusively(f"server {spec.server}", str(options["url"])):
            outcome = reconcile(photographer.read, photographer.plan, photographer.apply, check=False)
    return {
        **outcome.result,
        "snapshots": as_plain(outcome.state.snapshots),
    }
