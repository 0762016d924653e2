# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of all sites and HSTS, as attributes and collections of applicationHost.config.

Names are those of IIS's schema: https://learn.microsoft.com/iis/configuration/. A site's own web.config belongs to its
release and is not touched: what is written here sits above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Declaration, Site

APPLICATION_HOST = "MACHINE/WEBROOT/APPHOST"
ROOT_WEB = "MACHINE/WEBROOT"
FILTERING = "/system.webServer/security/requestFiltering"
LIMITS = f"{FILTERING}/requestLimits"
HEADERS = "/system.webServer/httpProtocol"
RUNTIME = "/system.web/httpRuntime"
HIDDEN_SEGMENTS = f"{FILTERING}/hiddenSegments"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One attribute that a section must have."""

    filter: str
    name: str
    value: str
    label: str

    @property
    def place(self) -> str:
        """The configuration that holds it: .NET's settings of all sites are in the root web.config."""
        return ROOT_WEB if self.filter.startswith("/system.web/") else APPLICATION_HOST


@dataclass(frozen=True, slots=True)
class WantedEntry:
    """One entry that a collection must have, or must not (``value`` None)."""

    filter: str
    collection: str
    key_name: str
    key: str
    value_name: str
    value: str | None
    label: str


def _flag(value: bool) -> str:
    """A boolean as Get-WebConfigurationProperty shows it."""
    return "True" if value else "False"


def attributes(declared: Declaration) -> Iterator[Wanted]:
    """Attributes of all sites."""
    rules = declared.request_filtering
    rows: tuple[tuple[str, str, str], ...] = (
        (LIMITS, "maxAllowedContentLength", str(rules.max_content_bytes)),
        (LIMITS, "maxUrl", str(rules.max_url)),
        (LIMITS, "maxQueryString", str(rules.max_query_string)),
        (FILTERING, "allowDoubleEscaping", _flag(rules.allow_double_escaping)),
        (FILTERING, "allowHighBitCharacters", _flag(rules.allow_high_bit)),
        (FILTERING, "removeServerHeader", _flag(not declared.server_header)),
        (RUNTIME, "enableVersionHeader", _flag(declared.aspnet_version_header)),
    )
    for path, name, value in rows:
        yield Wanted(path, name, value, f"{path}/@{name}")


def hsts_filter(site: str) -> str:
    """Where IIS keeps a site's HSTS (https://learn.microsoft.com/iis/get-started/whats-new-in-iis-10-version-1709)."""
    return f"/system.applicationHost/sites/site[@name='{site}']/hsts"


def hsts(site: Site) -> Iterator[Wanted]:
    """HSTS of a site: nothing but "off" where it is off or the site speaks no TLS."""
    on = site.hsts.enabled and site.secure
    rows = [("enabled", _flag(on))]
    if on:
        rows += [
            ("max-age", str(site.hsts.max_age_seconds)),
            ("includeSubDomains", _flag(site.hsts.include_subdomains)),
            ("preload", _flag(site.hsts.preload)),
            ("redirectHttpToHttps", _flag(site.hsts.redirect)),
        ]
    for name, value in rows:
        yield Wanted(hsts_filter(site.name), name, value, f"{site.name}: hsts/@{name}")


def entries(declared: Declaration) -> Iterator[WantedEntry]:
    """Entries of collections of all sites."""
    rules = declared.request_filtering
    own = {header.name.casefold() for header in declared.headers}
    for header in declared.headers:
        yield WantedEntry(HEADERS, "customHeaders", "name", header.name, "value", header.value, header.name)
    for name in declared.headers_removed:
        if name.casefold() not in own:
            yield WantedEntry(HEADERS, "customHeaders", "name", name, "value", None, name)
    for verb in rules.verbs_denied:
        yield WantedEntry(FILTERING, "verbs", "verb", verb, "allowed", "False", verb)
    for extension in rules.extensions_denied:
        yield WantedEntry(FILTERING, "fileExtensions", "fileExtension", extension, "allowed", "False", extension)
