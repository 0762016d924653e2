# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe iis_info must be asked so that a declaration can be compared with what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import rights, settings

if TYPE_CHECKING:
    from .declared import Declaration, Site

_KEYS = (
    (settings.HEADERS, "customHeaders", "name", "value"),
    (settings.FILTERING, "verbs", "verb", "allowed"),
    (settings.FILTERING, "fileExtensions", "fileExtension", "allowed"),
    (settings.FILTERING, "hiddenSegments", "segment", "segment"),
)


def request(declared: Declaration) -> dict[str, Any]:
    """Options of the module, and what else of the declaration the role's tasks need worked out."""
    return {
        "attributes": [{"filter": wanted.filter, "name": wanted.name} for wanted in settings.attributes(declared)],
        "collections": [{"filter": f"{path}/{name}", "key": key, "value": value} for path, name, key, value in _KEYS],
        "credentials": [{"pool": pool.name, "password": pool.password} for pool in declared.pools if pool.password],
        "certificates": [
            {
                "source": entry.source,
                "password": entry.password,
                "store": entry.store,
                "chain": list(entry.chain),
                "readers": list(entry.readers),
            }
            for entry in declared.certificates
        ],
        "folders": list(dict.fromkeys(declared.folders())),
        "rights": [want.path for want in rights.wanted(declared)],
        "releases": [declared.releases_folder(release.site) for release in declared.releases],
        "endpoints": [_endpoint(site) for site in declared.sites if site.state == "started" and site.bindings],
        "ports": ",".join(str(port) for port in sorted(_ports(declared))),
        "log_directory": declared.log.directory,
        "retention_days": declared.log.retention_days,
        "retention_time": declared.log.retention_time,
    }


def _ports(declared: Declaration) -> set[int]:
    """Ports that the started sites listen on."""
    return {binding.number for site in declared.sites if site.state == "started" for binding in site.bindings}


def _endpoint(site: Site) -> dict[str, Any]:
    front = site.front
    return {
        "site": site.name,
        "address": "127.0.0.1" if front.ip == "*" else front.ip,
        "port": front.number,
        "host": front.host,
        "tls": front.secure,
        "path": site.health_path,
    }
