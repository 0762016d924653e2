# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What installed programs do while they run: windows_exporter's port and health page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from lab.windows import network
from lab.windows.filesystem import FileSystem

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_EXPORTER = r"C:\Program Files\windows_exporter\config.yaml"


def _exporter_ports(server: WindowsServer) -> tuple[int, ...]:
    """Port of ``web.listen-address`` in the exporter's configuration; 9182 without one."""
    files = FileSystem(server)
    if not files.is_file(_EXPORTER):
        return (9182,)
    try:
        configuration = yaml.safe_load(files.read(_EXPORTER)) or {}
        address = str((configuration.get("web") or {}).get("listen-address", ":9182"))
        return (int(address.rpartition(":")[2]),)
    except (yaml.YAMLError, ValueError, AttributeError):
        return ()  # it would not start with such a configuration


def _exporter_pages(server: WindowsServer, path: str) -> network.Answer:
    if path == "/health":
        return network.Answer(200, "OK", {"content-type": "application/json"}, b'{"status":"ok"}')
    if path == "/metrics":
        lines = (
            "# TYPE windows_system_boot_time_timestamp gauge",
            f"windows_system_boot_time_timestamp {server.boot_time.timestamp():.0f}",
            "# TYPE windows_exporter_build_info gauge",
            'windows_exporter_build_info{version="0.31.1"} 1',
        )
        return network.Answer(200, "OK", {"content-type": "text/plain"}, ("\n".join(lines) + "\n").encode())
    return network.Answer(404, "Not Found", {"content-type": "text/plain"}, b"404 page not found\n")


network.SERVICE_PORTS["windows_exporter"] = _exporter_ports
network.HTTP_SERVICES["windows_exporter"] = _exporter_pages
