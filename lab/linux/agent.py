# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What QEMU's guest agent would answer for a Linux server, read from the running container."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from lab.guests import AgentReport
from lab.linux.commands import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# guest-get-osinfo's key for each of os-release(5).
OSINFO = {"id": "ID", "name": "NAME", "pretty-name": "PRETTY_NAME", "version": "VERSION", "version-id": "VERSION_ID"}


def osinfo(os_release: str, kernel_release: str, kernel_version: str, machine: str) -> dict[str, str]:
    """Word os-release(5) and uname(2) as guest-get-osinfo words them."""
    pairs = (line.partition("=") for line in os_release.splitlines() if "=" in line and not line.startswith("#"))
    values = {key: value.strip().strip("\"'") for key, _, value in pairs}
    found = {key: values[name] for key, name in OSINFO.items() if name in values}
    return found | {"kernel-release": kernel_release, "kernel-version": kernel_version, "machine": machine}


def interfaces(links: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Word what `ip -json address show` says as guest-network-get-interfaces words it."""
    return tuple(
        {
            "name": link["ifname"],
            "hardware-address": link.get("address", ""),
            "ip-addresses": [
                {
                    "ip-address": entry["local"],
                    "ip-address-type": "ipv4" if entry["family"] == "inet" else "ipv6",
                    "prefix": entry["prefixlen"],
                }
                for entry in link.get("addr_info", [])
                if "local" in entry
            ],
        }
        for link in links
    )


async def report(root: Path, namespace: str, hostname: str, boot_time: float) -> AgentReport:
    """Ask a running server.

    Args:
        root: its file system as this machine sees it (`/proc/<pid>/root`).
        namespace: name of its network namespace.
        hostname: what it calls itself.
        boot_time: seconds since the epoch.

    Raises:
        OSError: it is gone meanwhile.
    """
    kernel = os.uname()
    release = (root / "etc/os-release").read_text(encoding="utf-8")
    try:
        links = json.loads(await run("ip", "-n", namespace, "-json", "address", "show"))
    except CommandError as error:
        raise OSError(str(error)) from error
    disk = shutil.disk_usage(root)
    return AgentReport(
        hostname=hostname,
        osinfo=osinfo(release, kernel.release, kernel.version, kernel.machine),
        interfaces=interfaces(links),
        filesystems=(
            {
                "name": "overlay",
                "mountpoint": "/",
                "type": "overlay",
                "total-bytes": disk.total,
                "used-bytes": disk.used,
                "disk": [],
            },
        ),
        boot_time=boot_time,
    )
