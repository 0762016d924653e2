# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A declaration of the role iis, and a server on which it has converged."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis import plan, rights, settings
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.observed import Observation
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import build
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import access

THUMBPRINT = "AB" * 20
SUM = "1" * 64
OTHER = "2" * 64
ROOT = r"C:\Sites\intranet"

DECLARED: dict[str, Any] = {
    "root": r"C:\Sites",
    "staging": r"C:\Sites\.staging",
    "certificates": [{"name": "site", "source": "site.pfx"}],
    "pools": [
        {"name": "intranet"},
        {"name": "api", "identity": "SpecificUser", "user": "ORDRE\\gmsa-web$"},
        {"name": "ancien", "identity": "SpecificUser", "user": ".\\svc", "password": "secret"},
    ],
    "sites": [
        {
            "name": "intranet",
            "pool": "intranet",
            "bindings": [
                {"protocol": "https", "host": "intranet.example", "certificate": "site"},
                {"host": "intranet.example"},
            ],
            "applications": [{"path": "api", "pool": "api", "physical_path": r"C:\Api"}],
            "data_folders": ["depots"],
            "virtual_directories": [
                {"path": "docs", "physical_path": r"C:\Docs"},
                {"path": "aide", "application": "api", "physical_path": r"C:\Aide"},
            ],
        },
        {"name": "vieux", "pool": "ancien", "bindings": [{"port": 8080}], "physical_path": r"C:\Vieux"},
    ],
    "releases": [{"site": "intranet", "version": "1.0", "source": "a.zip", "checksum": SUM}],
    "headers": [{"name": "X-Frame-Options", "value": "DENY"}],
    "headers_removed": ["X-Powered-By"],
    "request_filtering": {"extensions_denied": [".bak"], "hidden_segments": [".git"]},
    "log": {"directory": r"C:\Logs"},
}


def declaration(**changes: Any) -> Declaration:
    return Declaration.read({**copy.deepcopy(DECLARED), **changes})


def _pool(pool: Any) -> dict[str, Any]:
    return {
        "name": pool.name,
        "state": "Started",
        "attributes": [{"name": name, "value": value} for name, value in plan.pool_attributes(pool).items()],
        "recycle_times": [f"{time}:00" for time in pool.recycle_times],
    }


def converged(declared: Declaration | None = None) -> dict[str, Any]:
    """What the probe answers of a server on which nothing differs."""
    declared = declared or declaration()
    hsts = {
        site.name: [{"name": wanted.name, "value": wanted.value} for wanted in settings.hsts(site)]
        for site in declared.sites
    }
    collections: dict[str, list[dict[str, str]]] = {settings.HIDDEN_SEGMENTS: [{"key": ".git", "value": ".git"}]}
    for wanted in settings.entries(declared):
        if wanted.value is not None:
            entries = collections.setdefault(f"{wanted.filter}/{wanted.collection}", [])
            entries.append({"key": wanted.key, "value": wanted.value})
    return {
        "time": "2026-11-23T08:00:00Z",
        "build": 20348,
        "installed": True,
        "services": [{"name": name, "state": "running", "start_mode": "auto"} for name in ("W3SVC", "WAS")],
        "pools": [_pool(pool) for pool in declared.pools],
        "sites": [
            {
                "name": "intranet",
                "state": "Started",
                "pool": "intranet",
                "physical_path": rf"{ROOT}\releases\1.0",
                "bindings": [
                    {
                        "protocol": "https",
                        "information": "*:443:intranet.example",
                        "sni": True,
                        "certificate": THUMBPRINT,
                        "store": "My",
                    },
                    {"protocol": "http", "information": "*:80:intranet.example"},
                ],
                "applications": [
                    {
                        "path": "api",
                        "pool": "api",
                        "physical_path": r"C:\Api",
                        "virtual_directories": [{"path": "aide", "physical_path": r"C:\Aide"}],
                    }
                ],
                "virtual_directories": [{"path": "docs", "physical_path": r"C:\Docs"}],
                "hsts": hsts["intranet"],
            },
            {
                "name": "vieux",
                "state": "Started",
                "pool": "ancien",
                "physical_path": r"C:\Vieux",
                "bindings": [{"protocol": "http", "information": "*:8080:"}],
                "hsts": hsts["vieux"],
            },
        ],
        "settings": [
            {"filter": wanted.filter, "name": wanted.name, "value": wanted.value}
            for wanted in settings.attributes(declared)
        ],
        "collections": [{"filter": path, "entries": entries} for path, entries in collections.items()],
        "rights": [
            {"path": want.path, "exists": True, "sddl": access.write(want.aces)} for want in rights.wanted(declared)
        ],
        "releases": [
            {
                "path": rf"{ROOT}\releases",
                "folders": [
                    {"name": "1.0", "unpacked": SUM, "healthy": SUM, "since": "2026-11-20T08:00:00Z"},
                    {"name": "0.9", "unpacked": OTHER, "healthy": OTHER, "since": "2026-11-10T08:00:00Z"},
                ],
            }
        ],
        "log": {
            "directory": r"C:\Logs",
            "format": "W3C",
            "period": "Daily",
            "truncate_bytes": 20971520,
            "local_time": True,
            "fields": list(declared.log.fields),
            "oldest_days": 300,
        },
        "retention": {"exists": True, "enabled": True},
        "answers": [
            {
                "site": "intranet",
                "status": 200,
                "hsts": "max-age=31536000",
                "certificate": THUMBPRINT,
                "not_after": "2027-11-23T08:00:00Z",
            },
            {"site": "vieux", "status": 200},
        ],
    }


def observation(state: dict[str, Any]) -> Observation:
    return build(Observation, state, "probe")


@pytest.fixture
def state() -> dict[str, Any]:
    return converged()
