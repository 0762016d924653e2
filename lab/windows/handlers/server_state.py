# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's probe of a whole server: cnosf.infogerance.windows_state_info."""

from __future__ import annotations

import fnmatch
import ntpath
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.windows.domains import is_controller
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import certificates, rights, services
from lab.windows.handlers.files import digest
from lab.windows.handlers.powershell_modules import versions
from lab.windows.handlers.software import UNINSTALL, file_version
from lab.windows.hive import Registry
from lab.windows.registry import Call, Result, handles
from lab.windows.systems import system

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_READING = 0x1 | 0x80000000 | 0x10000000  # FILE_READ_DATA, GENERIC_READ, GENERIC_ALL


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@handles("cnosf.infogerance.windows_state_info", source="documentation of cnosf.infogerance.windows_state_info")
def windows_state_info(call: Call) -> Result:
    """The server in its domain and on its network, and what functions stand on."""
    server, args = call.server, call.args
    state = server.section("system")
    return {
        "changed": False,
        "state": {
            "hostname": server.computer_name,
            "role": "domain_controller" if is_controller(server) else "member" if server.domain else "standalone",
            "primary": state["domain_role"] == "Primary domain controller",
            "domain": server.domain or "",
            "version": system(state["system"]).version.rpartition(".")[0],
            "time": _stamp(server.now()),
            "reboot_pending": bool(server.pending_reboot),
            "interfaces": _interfaces(server),
            "powershell_modules": [
                {"name": name, "versions": versions(server, name)} for name in args["powershell_modules"]
            ],
            "certificates": _certificates(call) if args["certificates"] else [],
            "trusted": [
                {"store": store, "thumbprint": thumbprint.upper()}
                for store in ("Root", "CA")
                for thumbprint in args["trusted"]
                if thumbprint.upper() in server.section("certificates")["LocalMachine"][store]
            ],
            "packages": _packages(server, args["products"], args["product_names"]),
            "paths": [_path(server, path, hashed=False) for path in args["paths"]]
            + [_path(server, path, hashed=True) for path in args["files"]],
            "services": [name for name in args["services"] if services.find(server, name) is not None],
            "principals": [
                {"name": name, "sid": principal.sid if (principal := server.resolve(name)) else ""}
                for name in args["principals"]
            ],
        },
    }


def _interfaces(server: WindowsServer) -> list[dict[str, Any]]:
    adapters = server.section("dns_client")["adapters"]
    return [
        {
            "name": nic["name"],
            "addresses": [nic["address"].split("/")[0]],
            "dhcp": False,
            "dns_servers": list(adapters.get(nic["name"], [])),
        }
        for nic in server.section("system")["networks"]
        if nic["address"]
    ]


def _certificates(call: Call) -> list[dict[str, Any]]:
    machine = call.server.section("certificates")["LocalMachine"]
    found = []
    for store in ("My", "WebHosting"):
        for thumbprint, entry in machine[store].items():
            certificate = certificates.load(entry)
            file = certificates.key_file(call.server, entry)
            found.append(
                {
                    "store": store,
                    "thumbprint": thumbprint,
                    "subject": certificate.subject.rfc4514_string().replace(",", ", "),
                    "not_after": _stamp(certificate.not_valid_after_utc),
                    "has_private_key": bool(entry["private_key"]),
                    "key_file": file,
                    "readers": _readers(call, file) if file else [],
                }
            )
    return found


def _readers(call: Call, file: str) -> list[str]:
    return sorted(
        {ace["sid"] for ace in rights.entries(call.server, file) if ace["type"] == "allow" and ace["rights"] & _READING}
    )


def _packages(server: WindowsServer, codes: list[str], names: list[str]) -> list[dict[str, Any]]:
    registry = Registry(server)
    wanted = {code.casefold() for code in codes}
    found = []
    for root in UNINSTALL:
        for key in registry.subkeys(root) if registry.exists(root) else []:
            name = str(registry.data(rf"{root}\{key}", "DisplayName", ""))
            if key.casefold() in wanted or any(fnmatch.fnmatch(name.casefold(), like.casefold()) for like in names):
                version = str(registry.data(rf"{root}\{key}", "DisplayVersion", ""))
                found.append({"code": key, "name": name, "version": version})
    return found


def _path(server: WindowsServer, path: str, *, hashed: bool) -> dict[str, Any]:
    files = FileSystem(server)
    there = files.resolve(path) is not None
    is_file = files.is_file(path)
    return {
        "path": ntpath.normpath(path),
        "exists": there,
        "version": file_version(server, path) if is_file else "",
        "sha256": digest(files.read(path), "sha256") if is_file and hashed else "",
    }
