# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe iis_info found on a server, as objects; their defaults are those of a server without IIS."""

from __future__ import annotations

from dataclasses import dataclass

from .declared import same


@dataclass(frozen=True, slots=True)
class Value:
    """One attribute: of a pool, or of a configuration section."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """An application pool. ``password_matches`` answers for the credentials that the probe was asked about."""

    name: str
    state: str
    attributes: tuple[Value, ...] = ()
    recycle_times: tuple[str, ...] = ()
    password_matches: bool = True

    def value(self, name: str) -> str | None:
        """One attribute, by its dotted name."""
        return next((item.value for item in self.attributes if item.name == name), None)


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding; ``certificate`` is the thumbprint that HTTP.sys serves, empty where there is none."""

    protocol: str
    information: str
    sni: bool = False
    certificate: str = ""
    store: str = ""


@dataclass(frozen=True, slots=True)
class VirtualDirectory:
    """A virtual directory of an application; its own root is not among them."""

    path: str
    physical_path: str


@dataclass(frozen=True, slots=True)
class Application:
    """An application of a site; the site's own root is not among them."""

    path: str
    pool: str
    physical_path: str
    virtual_directories: tuple[VirtualDirectory, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """A site; ``hsts`` is empty on a system that has no such setting."""

    name: str
    state: str
    pool: str
    physical_path: str
    bindings: tuple[Binding, ...] = ()
    applications: tuple[Application, ...] = ()
    virtual_directories: tuple[VirtualDirectory, ...] = ()
    hsts: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One attribute of a configuration section of applicationHost.config."""

    filter: str
    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a collection of applicationHost.config: its key and its value."""

    key: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of applicationHost.config."""

    filter: str
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A release's folder: the SHA-256 that its two marks hold, and since when it has been healthy (ISO 8601)."""

    name: str
    unpacked: str = ""
    healthy: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may do what in a folder, as SDDL; empty where it is not there."""

    path: str
    exists: bool = False
    sddl: str = ""


@dataclass(frozen=True, slots=True)
class Releases:
    """What lies in a site's folder of releases."""

    path: str
    folders: tuple[Folder, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """Defaults of all sites' logs; ``oldest_days`` is the age of the oldest file, -1 where there is none."""

    directory: str = ""
    format: str = ""
    period: str = ""
    truncate_bytes: int = 0
    local_time: bool = False
    fields: tuple[str, ...] = ()
    oldest_days: int = -1


@dataclass(frozen=True, slots=True)
class Service:
    """A Windows service."""

    name: str
    state: str
    start_mode: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site answered when the server asked it; ``error`` says why it did not."""

    site: str
    error: str = ""
    status: int = 0
    hsts: str = ""
    certificate: str = ""
    not_after: str = ""
    old_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """The scheduled task that removes old logs."""

    exists: bool = False
    enabled: bool = False
    last_result: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """All that the probe answered. ``time`` is UTC (ISO 8601), ``build`` that of Windows.

    The module is that of the .NET hosting bundle; stale where IIS has run since before it was installed.
    """

    time: str
    build: int
    installed: bool = False
    reboot_awaited: bool = False
    module_present: bool = False
    stale_module: bool = False
    services: tuple[Service, ...] = ()
    pools: tuple[Pool, ...] = ()
    sites: tuple[Site, ...] = ()
    settings: tuple[Setting, ...] = ()
    collections: tuple[Collection, ...] = ()
    releases: tuple[Releases, ...] = ()
    missing_folders: tuple[str, ...] = ()
    rights: tuple[Rights, ...] = ()
    log: Log = Log()
    retention: Task = Task()
    answers: tuple[Answer, ...] = ()

    def pool(self, name: str) -> Pool | None:
        """The pool of that name."""
        return next((pool for pool in self.pools if same(pool.name, name)), None)

    def site(self, name: str) -> Site | None:
        """The site of that name."""
        return next((site for site in self.sites if same(site.name, name)), None)

    def setting(self, path: str, name: str) -> str | None:
        """Value of an attribute; None where the server has none."""
        found = (item.value for item in self.settings if same(item.filter, path) and same(item.name, name))
        return next(found, None)

    def entries(self, path: str) -> dict[str, str]:
        """Entries of a collection by their keys in lower case."""
        found = next((item.entries for item in self.collections if same(item.filter, path)), ())
        return {entry.key.casefold(): entry.value for entry in found}

    def folders(self, path: str) -> dict[str, Folder]:
        """Releases of a folder by their names in lower case."""
        found = next((item.folders for item in self.releases if same(item.path, path)), ())
        return {folder.name.casefold(): folder for folder in found}

    def answer(self, site: str) -> Answer | None:
        """What a site answered, where it was asked."""
        return next((answer for answer in self.answers if same(answer.site, site)), None)
