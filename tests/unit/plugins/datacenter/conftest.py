# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated datacenter that judges every call by Proxmox VE's schema, and the modules' options to reach it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import declared, snapshots
from ansible_collections.cnosf.infogerance.plugins.module_utils.patience import Patience
from lab.credentials import API_USER
from tests.unit.lab.datacenter.conftest import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SITES = {"pve-par-1": "paris", "pve-par-2": "paris", "pve-lyo-1": "lyon"}
FLOORS = [
    {"functions": ["domain_controller"], "cpus": 2, "memory_gib": 16, "disk_gib": 64, "article": "3.1"},
    {"functions": ["sql_server"], "cpus": 4, "memory_gib": 32, "disk_gib": 512, "article": "3.1"},
    {"functions": ["wordpress"], "cpus": 4, "memory_gib": 32, "disk_gib": 128, "article": "3.1"},
]


@dataclass
class Clock:
    """Time that passes when somebody sleeps, and a hook at each sleep."""

    now: float = 1000.0
    naps: list[float] = field(default_factory=list)
    hook: Callable[[int], None] = lambda _count: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps.append(seconds)
        self.hook(len(self.naps))

    def time(self) -> float:
        return self.now


@dataclass
class Estate:
    """The datacenter and what a playbook would declare in it."""

    site: Site
    folder: Path
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)
    token: str = "operator"

    @property
    def pve(self) -> Any:
        return self.site.pve

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "url": self.pve.url,
            "token_id": f"{API_USER}!{self.token}",
            "token_secret": self.site.tokens.get(self.token, "unknown"),
            "ca_file": str(self.site.authority.ca_file),
            "sites": SITES,
            **more,
        }

    def server(self, *, check: bool = False, timeout: float = 60, **more: Any) -> dict[str, Any]:
        """Run the module `server`."""
        patience = Patience(timeout, self.told.append, sleep=self.clock.sleep, clock=self.clock.time)
        return declared.ensure(self.options(**more), check=check, notify=self.told.append, patience=patience)

    def snapshot(self, *, check: bool = False, timeout: float = 60, now: float = 2e9, **more: Any) -> dict[str, Any]:
        """Run the module `snapshot`."""
        patience = Patience(timeout, self.told.append, sleep=self.clock.sleep, clock=self.clock.time)
        options = self.options(**{"state": "present", **more})
        return snapshots.ensure(options, check=check, notify=self.told.append, patience=patience, clock=lambda: now)

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[tuple[str, str, dict[str, str]]]]:
        """Give the writes made meanwhile: method, path below the API, parameters."""
        start = self.pve.journal.sequence
        found: list[tuple[str, str, dict[str, str]]] = []
        yield found
        for entry in self.pve.journal.since(start, writes=True):
            path, _mark, query = entry["path"].removeprefix("/api2/json/").partition("?")
            text = entry["body"] or query
            parameters = {key: values[0] for key, values in parse_qs(text, keep_blank_values=True).items()}
            found.append((entry["method"], path, parameters))

    def vm(self, name: str) -> Any:
        return next(vm for vm in self.pve.vms if vm.name == name)

    def lock(self, name: str, lock: str | None) -> None:
        vm = self.vm(name)
        self.site.call(lambda: self.pve.snapshot_lock(vm.vmid, lock) if lock else self.pve.unlock(vm.vmid))


@pytest.fixture(autouse=True)
def _hostile_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point the environment's authorities elsewhere: the option must win over them in every test."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing-here.pem"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    site = Site(tmp_path)
    yield Estate(site, tmp_path)
    site.close()


@pytest.fixture
def web01(estate: Estate) -> dict[str, Any]:
    """What creates web01 and keeps it: 4 CPUs, 32 GiB, 128 GiB, switched on."""
    return {
        "name": "web01",
        "functions": ["wordpress"],
        "system": "ubuntu_2404",
        "cpus": 4,
        "memory_gib": 32.0,
        "disks": [{"size_gib": 128}],
        "networks": [{"bridge": "vmbr0", "address": "10.42.0.15/24", "gateway": "10.42.0.1"}],
        "site": "paris",
        "contract": {"floors": FLOORS},
        "state": "started",
    }
