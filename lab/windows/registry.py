# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where handlers of modules, initial state, boot hooks and directories are registered."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.windows.documentation import ModuleDoc
    from lab.windows.identity import Principal
    from lab.windows.server import ServerSpec, WindowsServer

Result = dict[str, Any]
PasswordCheck = Callable[[str], bool]
"""Tells whether the proof given at a logon fits a stored NT hash."""


class ModuleFailure(Exception):  # noqa: N818 - read at the raise: "raise ModuleFailure(...)"
    """The module fails as it would on a real server: ``msg`` in the module's words, plus its other results."""

    def __init__(self, msg: str, /, **extra: Any) -> None:
        super().__init__(msg)
        self.msg = msg
        self.extra = extra


class NotSimulated(Exception):  # noqa: N818 - read at the raise: "raise NotSimulated(...)"
    """What was asked exists on a real server and not in the lab; the sentence names it."""


@dataclass(slots=True)
class Call:
    """One module run on one server."""

    module: str
    """Full name, for example ``ansible.windows.win_feature``."""
    args: dict[str, Any]
    """Arguments judged by the module's documentation: defaults filled, aliases resolved, types coerced."""
    server: WindowsServer
    """The server; in check mode a scratch copy, so that nothing written survives."""
    check: bool = False
    diff: bool = False
    user: str = "SYSTEM"
    r"""Account that runs the module, ``DOMAIN\name``."""
    given: frozenset[str] = frozenset()
    """Options the task gave a value other than null (aliases resolved): tells a default from a choice."""
    environment: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Warnings to hand back to Ansible."""
    network: tuple[str, str] | None = field(default=None, repr=False)
    """Account and password shown to other servers (become with netcredentials_only); a WinRM session has none."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A handler and what its author declared about it."""

    module: str
    handler: Callable[[Call], Result]
    source: str
    internal: Mapping[str, Mapping[str, Any]]
    check_mode: bool
    waits: bool
    journal: bool
    document: Callable[[WindowsServer, ModuleDoc, Mapping[str, Any]], ModuleDoc] | None = None


class Directory(Protocol):
    """A source of accounts beyond the server's own: a domain. All methods answer None for "not mine"."""

    def by_name(self, server: WindowsServer, domain: str | None, name: str) -> Principal | None:
        """Find an account or group; domain is a NetBIOS or DNS name, None when none was given."""

    def by_sid(self, server: WindowsServer, sid: str) -> Principal | None:
        """Find an account or group by its SID."""

    def logon(self, server: WindowsServer, domain: str | None, name: str, check: PasswordCheck) -> Principal | None:
        """Log an account on; ``check(nt_hash)`` tells whether the password given fits a stored hash.

        Raises ``LogonFailure`` when the account is the directory's and the logon is refused.
        """

    def groups_of(self, server: WindowsServer, sid: str) -> set[str]:
        """SIDs of all groups of the directory that an account belongs to, nested ones too; empty when not mine."""


HANDLERS: dict[str, Registration] = {}
SECTIONS: dict[str, Callable[[ServerSpec], dict[str, Any]]] = {}
BOOT_HOOKS: list[tuple[int, Callable[[WindowsServer], None]]] = []
DIRECTORIES: list[Directory] = []
PROBLEMS: dict[str, str] = {}
"""Handler files that could not be imported, with the reason; empty in a sound tree (a test insists)."""

_loaded = False


def handles(
    *modules: str,
    source: str,
    internal: Mapping[str, Mapping[str, Any]] | None = None,
    check_mode: bool = True,
    waits: bool = False,
    journal: bool = True,
    document: Callable[[WindowsServer, ModuleDoc, Mapping[str, Any]], ModuleDoc] | None = None,
) -> Callable[[Callable[[Call], Result]], Callable[[Call], Result]]:
    """Register the handler of one or more modules.

    Args:
        modules: Full names of the modules.
        source: What the handler was written from (documentation, source file, version).
        internal: Options that only Ansible's action plugins send and no documentation lists, as in a
            module's documentation: ``{"_copy_mode": {"type": "str"}}``.
        check_mode: False when the module does not support check mode: Ansible's runtime skips it then.
        waits: True when the handler may wait for something: other commands then run meanwhile.
        journal: False to leave the module out of the journal.
        document: Completes the documentation where the options depend on the arguments given (win_dsc).
    """

    def register(handler: Callable[[Call], Result]) -> Callable[[Call], Result]:
        for module in modules:
            known = HANDLERS.get(module)
            if known is not None and known.handler.__module__ != handler.__module__:
                raise ValueError(f"{module} has two handlers: {known.handler.__module__} and {handler.__module__}")
            HANDLERS[module] = Registration(
                module, handler, source, internal or {}, check_mode, waits, journal, document
            )
        return handler

    return register


def section(
    name: str,
) -> Callable[[Callable[[ServerSpec], dict[str, Any]]], Callable[[ServerSpec], dict[str, Any]]]:
    """Register what a new server's section of state holds at first: JSON types only."""

    def register(build: Callable[[ServerSpec], dict[str, Any]]) -> Callable[[ServerSpec], dict[str, Any]]:
        SECTIONS[name] = build
        return build

    return register


def on_boot(function: Callable[[WindowsServer], None] | None = None, *, order: int = 50) -> Callable[..., Any]:
    """Register what happens whenever a server has booted (finish a rename, a promotion...); lowest order first."""

    def register(hook: Callable[[WindowsServer], None]) -> Callable[[WindowsServer], None]:
        BOOT_HOOKS.append((order, hook))
        BOOT_HOOKS.sort(key=lambda entry: entry[0])
        return hook

    return register if function is None else register(function)


def register_directory(directory: Directory) -> None:
    """Make a domain's accounts known to logons and to everything that resolves names and SIDs."""
    DIRECTORIES.append(directory)


def load_handlers() -> None:
    """Import every file of ``lab/windows/handlers`` once; what fails to import is kept in PROBLEMS."""
    global _loaded  # noqa: PLW0603 - imports happen once in a process
    if _loaded:
        return
    _loaded = True
    package = importlib.import_module("lab.windows.handlers")
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        try:
            importlib.import_module(f"lab.windows.handlers.{found.name}")
        except Exception as error:  # noqa: BLE001 - one broken file must not take the other modules away
            PROBLEMS[found.name] = f"{type(error).__name__}: {error}"
