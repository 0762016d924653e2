# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd units that run or rest, at boot and now: a whole list of them at once. States are those of systemctl(1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError, NotFoundError
from ansible_collections.cnosf.infogerance.plugins.module_utils.linux.state import shown
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Systemctl = Callable[[Sequence[str]], tuple[int, str, str]]
    """Runs systemctl with these arguments; answers its return code, output and errors."""

STATES = ("started", "stopped", "restarted")
RUNNING = frozenset({"active", "activating", "reloading", "refreshing"})
ENABLED = frozenset({"enabled", "enabled-runtime"})
UNCHANGEABLE = frozenset({"static", "generated", "alias", "indirect", "transient"})
"""States of unit files that no `systemctl enable` or `disable` changes: they are as they are."""

_SUFFIXES = (".service", ".socket", ".timer", ".target", ".mount", ".automount", ".path", ".slice", ".swap", ".scope")
_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "InvocationID")


@dataclass(frozen=True)
class Wanted:
    """A unit as it shall be.

    Attributes:
        name: with its suffix; without one, that of a service.
        state: one of `STATES`; None leaves it alone.
        enabled: whether it starts at boot; None leaves it alone.
    """

    name: str
    state: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True)
class Found:
    """A unit as systemd tells it.

    Attributes:
        load: `loaded`, `not-found`, `masked`, ...
        active: `active`, `inactive`, `failed`, ...
        enabled: state of its file: `enabled`, `disabled`, `static`, ...
        invocation: names one life of the unit: another start has another one. Empty when it never ran.
    """

    load: str = "not-found"
    active: str = "inactive"
    enabled: str = ""
    invocation: str = ""

    @property
    def running(self) -> bool:
        """Whether it runs, or is about to."""
        return self.active in RUNNING


def named(name: str) -> str:
    """The full name of a unit: `nginx` is `nginx.service`."""
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def check(units: Sequence[Wanted]) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: a name that is a pattern, a template or no name, or one that is declared twice.
    """
    seen = set()
    for unit in units:
        if not unit.name or unit.name.startswith("-") or any(char in "*?[]/ \t\n" for char in unit.name):
            raise InputError(f"{unit.name!r} is no name of a unit: write it out, as systemctl list-units does.")
        if "@." in named(unit.name):
            raise InputError(
                f"{unit.name} is a template: name an instance of it, with what stands between @ and the dot."
            )
        if named(unit.name) in seen:
            raise InputError(f"{unit.name} is declared twice: one entry for each unit.")
        seen.add(named(unit.name))


def plan(units: Sequence[Wanted], found: Mapping[str, Found], first: Mapping[str, Found]) -> list[Change]:
    """Answer what remains to be done, an action for all units that need it.

    Args:
        units: as they shall be.
        found: the units as they are, by name.
        first: the units as they were before anything was done: one that shall be restarted, and lives still the life it
            lived then, is not restarted yet.
    """
    todo: dict[str, dict[str, tuple[str, str]]] = {
        action: {} for action in ("disable", "enable", "stop", "reset-failed", "start", "restart")
    }
    for unit in units:
        seen = found[unit.name]
        file = seen.enabled or seen.load
        if unit.enabled is True and seen.enabled not in ENABLED | UNCHANGEABLE:
            todo["enable"][unit.name] = (file, "enabled")
        elif unit.enabled is False and seen.enabled in ENABLED:
            todo["disable"][unit.name] = (file, "disabled")
        if unit.state == "stopped" and seen.running:
            todo["stop"][unit.name] = (seen.active, "inactive")
        elif unit.state == "stopped" and seen.active == "failed":
            todo["reset-failed"][unit.name] = (seen.active, "inactive")
        elif unit.state in ("started", "restarted") and not seen.running:
            todo["start"][unit.name] = (seen.active, "active")
        elif unit.state == "restarted" and seen.invocation == first[unit.name].invocation:
            todo["restart"][unit.name] = (seen.active, "active anew")
    return [
        Change(
            action,
            "units at boot" if action in ("enable", "disable") else "units now",
            {name: before for name, (before, _after) in entries.items()},
            {name: after for name, (_before, after) in entries.items()},
        )
        for action, entries in todo.items()
        if entries
    ]


class Units:
    """The units of this server.

    Args:
        systemctl: runs systemctl.
        units: those that are asked for.
        check: nothing may be changed. A unit that is not there is taken for one that is still to be brought.
    """

    def __init__(self, systemctl: Systemctl, units: Sequence[Wanted], *, check: bool) -> None:
        self.systemctl = systemctl
        self.units = units
        self.check = check
        self.first: dict[str, Found] = {}

    def read(self) -> dict[str, Found]:
        """The units by the name they were asked for.

        Files of units are read anew before anything is done, so that what was just written counts.

        Raises:
            NotFoundError: a unit that shall run or start at boot does not exist.
            EngineError: systemd does not answer.
        """
        if not self.units:
            return {}
        found = self._show()
        if not self.first:
            if not self.check and (self._missing(found) or plan(self.units, found, found)):
                self._run(["daemon-reload"], "Files of units cannot be read anew")
                found = self._show()
            self.first = found
        missing = self._missing(found)
        if missing and not self.check:
            raise NotFoundError(
                f"{', '.join(missing)}: no such unit on this server. Install what brings it, or correct the name "
                "(systemctl list-unit-files)."
            )
        return found

    def apply(self, change: Change) -> None:
        """Do one thing to all units that need it.

        Raises:
            EngineError: in systemd's words; what can be done to other units was done.
        """
        names = [named(name) for name in change.after]
        self._run(
            [change.action, "--", *names],
            f"{', '.join(names)}: systemctl {change.action} failed",
            f" Look at journalctl --unit={names[0] if len(names) == 1 else 'NAME'}, mend what it tells and run again.",
        )

    def _missing(self, found: Mapping[str, Found]) -> list[str]:
        """Units that do not exist, though they should run or start at boot."""
        return [
            unit.name
            for unit in self.units
            if found[unit.name].load == "not-found" and (unit.enabled or unit.state in ("started", "restarted"))
        ]

    def _show(self) -> dict[str, Found]:
        names = [named(unit.name) for unit in self.units]
        said = self._run(["show", f"--property={','.join(_PROPERTIES)}", "--", *names], "systemd does not answer")
        return {
            unit.name: Found(*(values.get(name, "") for name in _PROPERTIES))
            for unit, values in zip(self.units, shown(said), strict=True)
        }

    def _run(self, arguments: Sequence[str], failed: str, remedy: str = "") -> str:
        code, said, errors = self.systemctl(arguments)
        if code != 0:
            raise EngineError(f"{failed}: {' '.join(errors.split()) or f'return code {code}'}{remedy}")
        return said
