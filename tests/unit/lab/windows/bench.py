# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints for tests: served from a thread, met by real clients."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winrm.protocol import Protocol

from lab.authority import Authority
from lab.windows.endpoint import WinRMEndpoint
from tests.unit.lab.windows.conftest import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from lab.windows.server import WindowsServer


@dataclass
class Served:
    """An endpoint that listens, and how to reach it."""

    server: WindowsServer
    endpoint: WinRMEndpoint
    loop: asyncio.AbstractEventLoop
    ca_file: Path

    def call(self, coroutine: Any, timeout: float = 10.0) -> Any:
        """Run a coroutine where the endpoint lives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def client(
        self,
        transport: str = "basic",
        user: str = "Administrateur",
        password: str = PASSWORD,
        port: int = 0,
        **extra: Any,
    ) -> Protocol:
        """A pywinrm client of it, at its own port or at another listener's."""
        return Protocol(
            f"https://127.0.0.1:{port or self.endpoint.port}/wsman",
            transport=transport,
            username=user,
            password=password,
            server_cert_validation="validate",
            ca_trust_path=str(self.ca_file),
            **{"operation_timeout_sec": 4, "read_timeout_sec": 8, **extra},
        )

    def inventory(self, folder: Path, transport: str = "ntlm") -> Path:
        """An inventory file for real Ansible."""
        path = folder / "inventory.yml"
        path.write_text(
            "windows:\n  hosts:\n    srv01:\n      ansible_host: 127.0.0.1\n"
            f"      ansible_port: {self.endpoint.port}\n  vars:\n    ansible_connection: winrm\n"
            f"    ansible_winrm_transport: {transport}\n    ansible_winrm_ca_trust_path: {self.ca_file}\n"
            f"    ansible_user: Administrateur\n    ansible_password: '{PASSWORD}'\n"
            "    ansible_become_method: runas\n    ansible_become_user: SYSTEM\n",
            encoding="utf-8",
        )
        return path


class Bench:
    """Serves endpoints until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ca")
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.served: list[Served] = []

    def serve(self, server: WindowsServer, **options: Any) -> Served:
        """Serve a simulated server on a free port of loopback."""
        certificate, key = self.authority.issue(server.name, server.name, "127.0.0.1")
        endpoint = WinRMEndpoint(
            server, "127.0.0.1", 0, str(certificate), str(key), **{"boot_seconds": 0.05, **options}
        )
        served = Served(server, endpoint, self.loop, self.authority.ca_file)
        served.call(endpoint.start())
        self.served.append(served)
        return served

    def close(self) -> None:
        """Stop everything."""
        for served in self.served:
            served.call(served.endpoint.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()
