# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A datacenter on loopback, with guests that only remember what was asked of them, and proxmoxer in front of it."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fakepve import next_loopback
from proxmoxer import ProxmoxAPI

from lab.authority import Authority
from lab.credentials import API_USER
from lab.datacenter import Datacenter
from lab.guests import AgentReport, GuestError, GuestSpec, House
from lab.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path


@dataclass
class StubGuest:
    """A guest that notes what happens to it. `refuses` makes its boot fail; `deaf` makes it ignore a shutdown."""

    spec: GuestSpec
    calls: list[str] = field(default_factory=list)
    on: bool = False
    refuses: str = ""
    deaf: bool = False
    disk: str = "new"
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    async def boot(self) -> None:
        self.calls.append("boot")
        if self.refuses:
            raise GuestError(self.refuses)
        self.on = True

    async def shutdown(self) -> None:
        self.calls.append("shutdown")
        if self.deaf:
            await asyncio.sleep(3600)
        self.on = False

    async def stop(self) -> None:
        self.calls.append("stop")
        self.on = False

    async def destroy(self) -> None:
        self.calls.append("destroy")

    async def agent(self) -> AgentReport | None:
        if not self.on:
            return None
        interfaces = tuple(
            {
                "name": f"eth{index}",
                "hardware-address": nic.mac.lower(),
                "ip-addresses": [{"ip-address": nic.ip, "ip-address-type": "ipv4", "prefix": nic.prefix}],
            }
            for index, nic in enumerate(self.spec.nics)
        )
        return AgentReport(self.name, {"id": "stub", "name": self.spec.system}, interfaces)

    async def snapshot(self, name: str) -> None:
        self.kept[name] = self.disk

    async def rollback(self, name: str) -> None:
        self.disk = self.kept[name]

    async def drop_snapshot(self, name: str) -> None:
        self.kept.pop(name, None)

    async def copy_from(self, source: Any) -> None:
        self.disk = source.disk


class Site:
    """A datacenter served from a thread of its own, and ways to look into it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = load()
        self.tokens = {name: f"secret-{name}" for name in self.settings.tokens}
        self.authority = Authority(home / "ca")
        self.made: dict[str, StubGuest] = {}
        self.host = next_loopback()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.pve = self.open()

    def open(self) -> Datacenter:
        async def start() -> Datacenter:
            pve = Datacenter(self.settings, "root-secret", self.host, 0)
            pve.manager_seconds, pve.fence_seconds = 0.02, 0.1
            pve.house = House(None, self.settings, self.home, None, self.authority, None, pve)  # type: ignore[arg-type]
            pve.factory = self.make
            pve.open_state(self.home / "datacenter.json")
            pve.grant_tokens(self.tokens)
            await pve.start(*map(str, self.authority.issue("datacenter", self.host)))
            pve.start_manager()
            return pve

        return self.run(start())

    def make(self, spec: GuestSpec, _house: House) -> StubGuest:
        guest = self.made.setdefault(spec.name, StubGuest(spec))
        guest.spec = spec
        return guest

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        async def work() -> Any:
            return function()

        return self.run(work())

    def restart(self) -> None:
        """Stop the process, as it were, and start it again on the same folder."""
        self.close_datacenter()
        self.pve = self.open()

    def close_datacenter(self) -> None:
        async def stop() -> None:
            await self.pve.stop_manager()
            await self.pve.interrupt()
            await self.pve.stop()

        self.run(stop())

    def close(self) -> None:
        self.close_datacenter()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def client(self, token: str | None = None) -> ProxmoxAPI:
        """Proxmoxer as root, or with one of the tokens."""
        where = {"host": self.host, "port": self.pve.port, "verify_ssl": str(self.authority.ca_file), "timeout": 20}
        if token is None:
            return ProxmoxAPI(**where, user="root@pam", password="root-secret")
        return ProxmoxAPI(**where, user=API_USER, token_name=token, token_value=self.tokens[token])

    def wait(self, client: ProxmoxAPI, upid: str) -> dict[str, Any]:
        """Poll a task as any client does; returns its status once stopped."""
        node = upid.split(":")[1]
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            status = client.nodes(node).tasks(upid).status.get()
            if status["status"] == "stopped":
                return status
            time.sleep(0.02)
        raise AssertionError(f"{upid} still runs")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"not within 15 s: {what}")


@pytest.fixture(autouse=True)
def _own_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture
def root(site: Site) -> ProxmoxAPI:
    return site.client()


@pytest.fixture
def server(site: Site, root: ProxmoxAPI) -> Any:
    """Server 100, `web01`, cloned from the Ubuntu template, with an address, switched off."""
    upid = root.nodes("pve-par-1").qemu(9002).clone.post(newid=100, name="web01", full=1)
    assert site.wait(root, upid)["exitstatus"] == "OK"
    vm = root.nodes("pve-par-1").qemu(100)
    vm.config.put(ipconfig0="ip=10.42.0.15/24,gw=10.42.0.1", tags="function-wordpress;system-ubuntu_2404")
    return vm
