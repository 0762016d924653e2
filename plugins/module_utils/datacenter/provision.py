# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings one server to what is declared: what to read before planning, and which call performs each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import placement
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    Datacenter,
    Landscape,
    Power,
    Server,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.plan import UNFINISHED, Situation, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    ConflictError,
    InputError,
    LockedError,
    RereadError,
)

if TYPE_CHECKING:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.spec import ServerSpec
    from ansible_collections.cnosf.infogerance.plugins.module_utils.patience import Patience
    from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

# A server under these locks is not complete: planning on it would plan what the lock's operation is about to do.
_IN_THE_MAKING = frozenset({"clone", "create"})
# A lock that does not stand in the way of anything done here.
_HARMLESS = frozenset({"suspended"})


def find(landscape: Landscape, name: str) -> Server | None:
    """Answer the server or template of a name.

    Raises:
        ConflictError: several carry it.
    """
    found = [server for server in landscape.servers if server.name == name]
    if len(found) > 1:
        where = ", ".join(f"id {server.id} on {server.host}" for server in found)
        raise ConflictError(f"{len(found)} servers are named {name} ({where}): rename or delete all but one.")
    return found[0] if found else None


class Provisioner:
    """Reads, plans and applies for one declared server.

    Args:
        datacenter: where it is or shall be.
        spec: what is declared.
        patience: how long it may stay locked.
        shutdown_timeout: seconds that its guest has to shut down.
    """

    def __init__(
        self, datacenter: Datacenter, spec: ServerSpec, patience: Patience, *, shutdown_timeout: int = 300
    ) -> None:
        self._datacenter = datacenter
        self._spec = spec
        self._patience = patience
        self._shutdown_timeout = shutdown_timeout

    def read(self) -> Situation:
        """Read the server with its details, or what it would be created from."""
        while True:
            landscape = self._datacenter.landscape(settled=True)
            server = find(landscape, self._spec.name)
            if server is None or server.lock not in _IN_THE_MAKING:
                break
            self._patience.wait(LockedError(f"{server.label} is locked by {server.lock!r}.", server.lock or ""))
        if server is not None:
            if server.template:
                raise InputError(
                    f"{server.label} carries the name of the server that is declared: choose another name."
                )
            return Situation(landscape, self._datacenter.detail(server))
        if self._spec.absent:
            return Situation(landscape)
        host = placement.choose_host(self._spec, landscape, None)
        template = placement.choose_template(self._spec, landscape, host)
        return Situation(landscape, None, self._datacenter.detail(template), host)

    def plan(self, situation: Situation) -> list[Change]:
        """Answer the changes that remain; pure."""
        return plan(self._spec, situation, self._datacenter.next_disk_key)

    def apply(self, change: Change, situation: Situation) -> None:
        """Perform one change.

        Raises:
            RereadError: the server was locked and nothing was written; some time has passed.
            LockedError: it stays locked for longer than may be waited.
        """
        server = situation.server
        try:
            refuse_locked(server)
            self._perform(change, situation)
        except LockedError as error:
            self._patience.wait(error)
            raise RereadError(str(error)) from error
        self._patience.succeeded()

    def _perform(self, change: Change, situation: Situation) -> None:
        datacenter, after = self._datacenter, change.after
        if change.action == "create":
            if situation.template is None:
                raise InputError(f"server {self._spec.name}: no template was read to create it from.")
            datacenter.create_server(self._spec.name, situation.template, {**after, "description": UNFINISHED})
            return
        server = situation.server
        if server is None:
            raise ConflictError(f"server {self._spec.name} vanished while this run was working on it.")
        if change.action == "configure":
            datacenter.configure_server(server, after)
        elif change.action == "move":
            datacenter.migrate(server, after["host"])
        elif change.action == "grow_disk":
            datacenter.grow_disk(server, after["key"], after["size_gib"])
        elif change.action == "add_disk":
            datacenter.add_disk(server, after["key"], after["size_gib"], after["storage"])
        elif change.action == "delete":
            datacenter.delete_server(server)
        else:
            power = Power(after["power"])
            datacenter.set_power(server, power, hard=self._spec.force, timeout=self._shutdown_timeout)


def refuse_locked(server: Server | None) -> None:
    """Refuse to touch a server that another operation locks.

    Raises:
        LockedError: it is; the sentence names the lock.
    """
    if server is not None and server.lock is not None and server.lock not in _HARMLESS:
        raise LockedError(f"{server.label} is locked by {server.lock!r}.", server.lock)
