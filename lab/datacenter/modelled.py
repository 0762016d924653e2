# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which calls the lab models; every other one is refused with a sentence, never answered with an empty success."""

from __future__ import annotations

__all__ = ["READS", "WRITES", "modelled"]

_VM = "/nodes/{node}/qemu/{vmid}"
_STORAGE = "/nodes/{node}/storage/{storage}"

WRITES = frozenset(
    {
        ("POST", "/access/ticket"),
        ("POST", "/pools"),
        ("PUT", "/pools"),
        ("DELETE", "/pools"),
        ("PUT", "/pools/{poolid}"),
        ("DELETE", "/pools/{poolid}"),
        ("POST", "/cluster/ha/resources"),
        ("PUT", "/cluster/ha/resources/{sid}"),
        ("DELETE", "/cluster/ha/resources/{sid}"),
        ("POST", "/cluster/ha/resources/{sid}/migrate"),
        ("POST", "/cluster/ha/resources/{sid}/relocate"),
        ("POST", "/cluster/ha/rules"),
        ("PUT", "/cluster/ha/rules/{rule}"),
        ("DELETE", "/cluster/ha/rules/{rule}"),
        ("POST", "/cluster/ha/groups"),
        ("PUT", "/cluster/ha/groups/{group}"),
        ("DELETE", "/cluster/ha/groups/{group}"),
        ("POST", "/nodes/{node}/qemu"),
        ("DELETE", _VM),
        ("PUT", f"{_VM}/config"),
        ("POST", f"{_VM}/config"),
        ("POST", f"{_VM}/clone"),
        ("PUT", f"{_VM}/resize"),
        ("PUT", f"{_VM}/unlink"),
        ("POST", f"{_VM}/move_disk"),
        ("POST", f"{_VM}/migrate"),
        ("PUT", f"{_VM}/cloudinit"),
        ("POST", f"{_VM}/snapshot"),
        ("DELETE", f"{_VM}/snapshot/{{snapname}}"),
        ("POST", f"{_VM}/snapshot/{{snapname}}/rollback"),
        ("PUT", f"{_VM}/snapshot/{{snapname}}/config"),
        ("POST", f"{_VM}/agent/ping"),
        ("POST", f"{_VM}/agent/shutdown"),
        *(("POST", f"{_VM}/status/{action}") for action in ("start", "stop", "shutdown", "reboot", "reset")),
    },
)
"""Calls that change something, and do change it in the lab."""

READS = frozenset(
    {
        "/version",
        "/access/permissions",
        "/access/users",
        "/access/users/{userid}/token",
        "/cluster/ha/groups",
        "/cluster/ha/resources",
        "/cluster/ha/resources/{sid}",
        "/cluster/ha/rules",
        "/cluster/ha/rules/{rule}",
        "/cluster/ha/status/current",
        "/cluster/ha/status/manager_status",
        "/cluster/nextid",
        "/cluster/resources",
        "/cluster/status",
        "/cluster/tasks",
        "/nodes",
        "/nodes/{node}/lxc",
        "/nodes/{node}/network",
        "/nodes/{node}/qemu",
        "/nodes/{node}/rrddata",
        "/nodes/{node}/status",
        "/nodes/{node}/storage",
        "/nodes/{node}/tasks",
        "/nodes/{node}/tasks/{upid}/log",
        "/nodes/{node}/tasks/{upid}/status",
        "/nodes/{node}/version",
        f"{_VM}/agent/get-fsinfo",
        f"{_VM}/agent/get-host-name",
        f"{_VM}/agent/get-osinfo",
        f"{_VM}/agent/get-time",
        f"{_VM}/agent/get-vcpus",
        f"{_VM}/agent/info",
        f"{_VM}/agent/network-get-interfaces",
        f"{_VM}/cloudinit",
        f"{_VM}/config",
        f"{_VM}/migrate",
        f"{_VM}/pending",
        f"{_VM}/rrddata",
        f"{_VM}/snapshot",
        f"{_VM}/snapshot/{{snapname}}/config",
        f"{_VM}/status/current",
        "/pools",
        "/pools/{poolid}",
        "/storage",
        "/storage/{storage}",
        f"{_STORAGE}/content",
        f"{_STORAGE}/content/{{volume}}",
        f"{_STORAGE}/rrddata",
        f"{_STORAGE}/status",
    },
)
"""Calls that read what the lab keeps."""

_EMPTY = frozenset(
    {
        "/cluster/backup",
        "/cluster/replication",
        "/nodes/{node}/replication",
    },
)
"""Lists that are rightly empty, since the calls that would fill them are refused."""


def modelled(method: str, template: str) -> bool:
    """Whether the lab answers this call of the schema truthfully."""
    if method in ("GET", "HEAD"):
        return template in READS or template in _EMPTY
    return (method, template) in WRITES


def rightly_empty(template: str) -> bool:
    """Whether the list behind this path is empty because nothing can be put on it."""
    return template in _EMPTY
