# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the variables of the role iis declare, as objects.

Each class mirrors one nested structure of the role's ``meta/argument_specs.yml``: same keys, same defaults (a test
compares them). Durations are in the unit that the name says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "iis_"
SPECIFIC_USER = "SpecificUser"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the machine store that bindings name; where it comes from is windows_prerequisites' business."""

    name: str
    source: str
    password: str = ""
    store: str = "My"
    chain: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """An application pool; an empty ``runtime`` is "no managed code", as ASP.NET Core wants it."""

    name: str
    runtime: str = ""
    pipeline: str = "Integrated"
    enable_32bit: bool = False
    start_mode: str = "OnDemand"
    identity: str = "ApplicationPoolIdentity"
    user: str = ""
    password: str = ""
    load_user_profile: bool = True
    idle_minutes: int = 20
    recycle_minutes: int = 0
    recycle_times: tuple[str, ...] = ("04:00",)
    private_memory_mib: int = 0
    requests: int = 0
    queue_length: int = 1000
    max_processes: int = 1
    rapid_fail_protection: bool = True
    state: str = "started"


@dataclass(frozen=True, slots=True)
class Binding:
    """An address a site answers at; ``port`` 0 is the protocol's own, ``certificate`` a name or a thumbprint."""

    protocol: str = "http"
    port: int = 0
    host: str = ""
    ip: str = "*"
    certificate: str = ""

    @property
    def number(self) -> int:
        """The port."""
        return self.port or DEFAULT_PORTS.get(self.protocol, 0)

    @property
    def key(self) -> str:
        """What IIS and microsoft.iis.website tell bindings apart by."""
        return f"{self.ip}:{self.number}:{self.host}"

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.protocol == "https"

    @property
    def sni(self) -> bool:
        """Whether the client must name the host: always where one is declared, so that sites share an address."""
        return self.secure and bool(self.host)


@dataclass(frozen=True, slots=True)
class Hsts:
    """HTTP Strict Transport Security, as IIS itself sends it (Windows Server 2019 and later)."""

    enabled: bool = True
    max_age_seconds: int = 31536000
    include_subdomains: bool = False
    preload: bool = False
    redirect: bool = True


@dataclass(frozen=True, slots=True)
class Application:
    """An application of a site; without a pool it runs in the site's."""

    path: str
    physical_path: str
    pool: str = ""


@dataclass(frozen=True, slots=True)
class VirtualDirectory:
    """A virtual directory of a site, or of one of its applications."""

    path: str
    physical_path: str
    application: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A site. Without ``physical_path`` its content lives below the role's root, in releases where it has one."""

    name: str
    pool: str
    bindings: tuple[Binding, ...]
    physical_path: str = ""
    applications: tuple[Application, ...] = ()
    virtual_directories: tuple[VirtualDirectory, ...] = ()
    data_folders: tuple[str, ...] = ()
    exact_rights: bool = True
    hsts: Hsts = Hsts()
    health_path: str = "/"
    health_status: tuple[int, ...] = (200,)
    state: str = "started"

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS at all: HSTS concerns no other."""
        return any(binding.secure for binding in self.bindings)

    @property
    def front(self) -> Binding:
        """The binding that health checks ask: the first secure one, else the first."""
        return next((binding for binding in self.bindings if binding.secure), self.bindings[0])


@dataclass(frozen=True, slots=True)
class Health:
    """What a fresh release must answer before it stays."""

    path: str = ""
    status: tuple[int, ...] = (200,)
    contains: str = ""
    retries: int = 5
    delay_seconds: int = 3
    timeout_seconds: int = 30
    validate_certs: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """The release a site must run: an archive of the controller or an address, with its SHA-256."""

    site: str
    version: str
    source: str
    checksum: str
    keep: int = 3
    health: Health = Health()

    @property
    def remote(self) -> bool:
        """Whether the server itself fetches the archive."""
        return self.source.lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Header:
    """A response header of all sites."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RequestFiltering:
    """Request filtering of all sites; lists name what is added to or kept in IIS's own."""

    max_content_bytes: int = 30000000
    max_url: int = 4096
    max_query_string: int = 2048
    allow_double_escaping: bool = False
    allow_high_bit: bool = True
    verbs_denied: tuple[str, ...] = ("TRACE", "TRACK")
    extensions_denied: tuple[str, ...] = ()
    hidden_segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """W3C logs of all sites and how long they are kept."""

    directory: str = "C:\\inetpub\\logs\\LogFiles"
    period: str = "Daily"
    truncate_bytes: int = 0
    local_time: bool = True
    fields: tuple[str, ...] = (
        *(
            "Date",
            "Time",
            "SiteName",
            "ServerIP",
            "Method",
            "UriStem",
            "UriQuery",
            "ServerPort",
            "UserName",
            "ClientIP",
        ),
        *("UserAgent", "Referer", "Host", "HttpStatus", "HttpSubStatus", "Win32Status", "BytesSent", "BytesRecv"),
        "TimeTaken",
    )
    retention_days: int = 365
    retention_time: str = "02:30"


@dataclass(frozen=True, slots=True)
class Declaration:
    """All variables of the role that its plan needs, without their prefix."""

    root: str
    staging: str
    certificates: tuple[Certificate, ...] = ()
    pools: tuple[Pool, ...] = ()
    sites: tuple[Site, ...] = ()
    releases: tuple[Release, ...] = ()
    headers: tuple[Header, ...] = ()
    headers_removed: tuple[str, ...] = ()
    server_header: bool = False
    aspnet_version_header: bool = False
    request_filtering: RequestFiltering = RequestFiltering()
    log: Log = Log()
    default_site: str = "absent"
    hosting_bundle: bool = False
    purge: bool = False
    certificate_days: int = 30

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Declaration:
        """Make a declaration from the role's variables without their prefix.

        Raises:
            ShapeError: an unknown or missing key or a wrong type, by the path of the variable.
        """
        try:
            return build(cls, values, PREFIX)
        except ShapeError as error:
            raise ShapeError(str(error).replace(f"{PREFIX}.", PREFIX, 1)) from None

    def release(self, site: str) -> Release | None:
        """The release declared for a site."""
        return next((release for release in self.releases if same(release.site, site)), None)

    def home(self, site: str) -> str:
        """Folder that holds all there is of a site."""
        return f"{self.root}\\{site}"

    def releases_folder(self, site: str) -> str:
        """Folder of a site's releases."""
        return f"{self.home(site)}\\releases"

    def release_folder(self, release: Release) -> str:
        """Folder that a release is unpacked to and served from."""
        return f"{self.releases_folder(release.site)}\\{release.version}"

    def empty_folder(self, site: str) -> str:
        """What a site serves that has no release yet: nothing."""
        return f"{self.home(site)}\\empty"

    def content(self, site: Site) -> str:
        """Physical path that a site is declared to have."""
        release = self.release(site.name)
        if release:
            return self.release_folder(release)
        return site.physical_path or f"{self.home(site.name)}\\www"

    def owned(self, site: Site) -> bool:
        """Whether a site's content lives in its own folder below the role's root."""
        return not site.physical_path or self.release(site.name) is not None

    def data_folders(self, site: Site) -> Iterator[str]:
        """Folders that a site's pools may write to."""
        for name in site.data_folders:
            yield f"{self.home(site.name)}\\{name}"

    def folders(self) -> Iterator[str]:
        """Folders that must be there before IIS may point to them, parents first; none that is made with its rights."""
        yield self.log.directory
        for site in self.sites:
            if self.release(site.name):
                yield self.releases_folder(site.name)
                yield self.empty_folder(site.name)
            else:
                yield self.content(site)
            for application in site.applications:
                yield application.physical_path
            for directory in site.virtual_directories:
                yield directory.physical_path


def same(one: str, other: str) -> bool:
    """Whether two names are one to Windows and IIS: neither minds case."""
    return one.casefold() == other.casefold()
