# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What IIS of a simulated server holds: pools, sites, configuration sections and logs.

Names, types and defaults are those of IIS 10's schema (https://learn.microsoft.com/iis/configuration/). Passwords of
pools are kept as digests only.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem
from lab.windows.handlers import features, services
from lab.windows.hive import Registry
from lab.windows.registry import ModuleFailure, on_boot, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

HOSTING_MODULE = r"C:\Program Files\IIS\Asp.Net Core Module\V2\aspnetcorev2.dll"
"""What the .NET hosting bundle brings; an IIS that was started before does not know it."""

_CHOICES = {
    "managedPipelineMode": ("Integrated", "Classic"),
    "startMode": ("OnDemand", "AlwaysRunning"),
    "processModel.identityType": (
        *("LocalSystem", "LocalService", "NetworkService", "SpecificUser", "ApplicationPoolIdentity"),
    ),
}
SPAN = re.compile(r"(\d+\.)?\d\d:\d\d:\d\d(\.\d+)?")

POOL: dict[str, str | int | bool] = {
    "managedRuntimeVersion": "v4.0",
    "managedPipelineMode": "Integrated",
    "enable32BitAppOnWin64": False,
    "autoStart": True,
    "startMode": "OnDemand",
    "queueLength": 1000,
    "processModel.identityType": "ApplicationPoolIdentity",
    "processModel.userName": "",
    "processModel.loadUserProfile": False,
    "processModel.idleTimeout": "00:20:00",
    "processModel.maxProcesses": 1,
    "recycling.periodicRestart.time": "1.05:00:00",
    "recycling.periodicRestart.privateMemory": 0,
    "recycling.periodicRestart.requests": 0,
    "failure.rapidFailProtection": True,
}
"""Attributes of a pool and what applicationPoolDefaults of a new server give them."""

SCHEDULE = "recycling.periodicRestart.schedule"

SECTIONS: dict[str, dict[str, str | int | bool]] = {
    "/system.webServer/security/requestFiltering": {
        "allowDoubleEscaping": False,
        "allowHighBitCharacters": True,
        "removeServerHeader": False,
    },
    "/system.webServer/security/requestFiltering/requestLimits": {
        "maxAllowedContentLength": 30000000,
        "maxUrl": 4096,
        "maxQueryString": 2048,
    },
    "/system.web/httpRuntime": {"enableVersionHeader": True},
}
"""Attributes of sections and their defaults."""

COLLECTIONS: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "/system.webServer/httpProtocol/customHeaders": ("name", "value", (("X-Powered-By", "ASP.NET"),)),
    "/system.webServer/security/requestFiltering/verbs": ("verb", "allowed", ()),
    "/system.webServer/security/requestFiltering/fileExtensions": (
        "fileExtension",
        "allowed",
        tuple((name, "False") for name in (".asax", ".ascx", ".master", ".config", ".cs", ".csproj", ".vb", ".mdb")),
    ),
    "/system.webServer/security/requestFiltering/hiddenSegments": (
        "segment",
        "segment",
        tuple((name, name) for name in ("web.config", "bin", "App_code", "App_Data", "App_GlobalResources")),
    ),
}
"""Collections: attribute of the key, attribute of the value, and entries of a new server."""

HSTS: dict[str, str | int | bool] = {
    "enabled": False,
    "max-age": 0,
    "includeSubDomains": False,
    "preload": False,
    "redirectHttpToHttps": False,
}

LOG_FIELDS = (
    *("Date", "Time", "ClientIP", "UserName", "SiteName", "ComputerName", "ServerIP", "Method", "UriStem", "UriQuery"),
    *("HttpStatus", "Win32Status", "BytesSent", "BytesRecv", "TimeTaken", "ServerPort", "UserAgent", "Cookie"),
    *("Referer", "ProtocolVersion", "Host", "HttpSubStatus"),
)
_DEFAULT_LOG_FIELDS = (
    *("Date", "Time", "ClientIP", "UserName", "ServerIP", "Method", "UriStem", "UriQuery", "HttpStatus"),
    *("Win32Status", "TimeTaken", "ServerPort", "UserAgent", "Referer", "HttpSubStatus"),
)
_SCHANNEL = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"
PROTOCOLS = ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")


def new_pool(name: str) -> dict[str, Any]:
    """A pool as New-WebAppPool makes it."""
    return {"name": name, "state": "Started", "attributes": dict(POOL), "times": [], "password": digest("")}


def new_site(name: str, number: int, path: str, pool: str) -> dict[str, Any]:
    """A site as New-Website makes it, without bindings."""
    return {
        "name": name,
        "id": number,
        "state": "Started",
        "pool": pool,
        "path": path,
        "bindings": [],
        "directories": {},
        "applications": {},
        "hsts": dict(HSTS),
    }


def binding(protocol: str, information: str, flags: int = 0) -> dict[str, Any]:
    """A binding without certificate."""
    return {"protocol": protocol, "information": information, "flags": flags, "certificate": "", "store": ""}


@section("iis")
def _iis(_spec: ServerSpec) -> dict[str, Any]:
    default = new_site("Default Web Site", 1, r"C:\inetpub\wwwroot", "DefaultAppPool")
    default["bindings"].append(binding("http", "*:80:"))
    return {
        "made": False,  # whether the installation has written its files yet
        "started": "",  # when W3SVC was last started (ISO 8601)
        "pools": {"defaultapppool": new_pool("DefaultAppPool")},
        "sites": {"default web site": default},
        "attributes": {path: dict(values) for path, values in SECTIONS.items()},
        "collections": {
            path: [{"key": key, "value": value} for key, value in entries]
            for path, (_key, _value, entries) in COLLECTIONS.items()
        },
        "log_task": {"seen": "", "result": 267011},  # when its hour was last looked at; SCHED_S_TASK_HAS_NOT_RUN
        "log": {
            "directory": r"%SystemDrive%\inetpub\logs\LogFiles",
            "format": "W3C",
            "period": "Daily",
            "truncate_bytes": 20971520,
            "local_time": False,
            "fields": list(_DEFAULT_LOG_FIELDS),
        },
        "protocols": {"server": list(PROTOCOLS), "client": list(PROTOCOLS)},
    }


def digest(password: str) -> str:
    """What is kept of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def installed(server: WindowsServer) -> bool:
    """Whether IIS is there with the library and the PowerShell module that manage it."""
    return features.installed(server, "Web-Server") and features.installed(server, "Web-Scripting-Tools")


def iis(server: WindowsServer) -> dict[str, Any]:
    """The state of IIS, for what manages it.

    Raises:
        ModuleFailure: IIS is not installed, in the words of the modules that load WebAdministration.
    """
    if not installed(server):
        raise ModuleFailure(
            "Unhandled exception while executing module: Le module spécifié « WebAdministration » n’a pas été chargé, "
            "car aucun fichier de module valide n’a été trouvé dans un répertoire de modules."
        )
    state = server.section("iis")
    if not state["made"]:
        files = FileSystem(server)
        files.make_dir(r"C:\inetpub\wwwroot")
        files.make_dir(r"C:\inetpub\logs\LogFiles")
        files.write(r"C:\inetpub\wwwroot\iisstart.htm", b"<html><title>IIS Windows Server</title></html>\r\n")
        publisher, activation = services.find(server, "W3SVC"), services.find(server, "WAS")
        if publisher is not None and activation is not None:
            publisher["dependencies"] = ["WAS"]
            activation["state"] = "running"
        state["made"] = True
        started(server)
    return state


def started(server: WindowsServer) -> None:
    """W3SVC starts now: it loads the modules that are there, and the pools start that start by themselves."""
    state = server.section("iis")
    state["started"] = server.now().isoformat()
    for pool in state["pools"].values():
        pool["state"] = "Started" if pool["attributes"]["autoStart"] else "Stopped"


services.ON_START["w3svc"] = started


def running(server: WindowsServer) -> bool:
    """Whether the services of IIS run."""
    found = [services.find(server, name) for name in ("W3SVC", "WAS")]
    return all(entry is not None and entry["state"] == "running" for entry in found)


def run_state(server: WindowsServer, entry: dict[str, Any]) -> str:
    """Started or Stopped of a site or pool: none runs without the services."""
    return str(entry["state"]) if running(server) else "Stopped"


def check_pool_attribute(name: str, value: Any) -> str | int | bool:
    """An attribute of a pool in its own type.

    Raises:
        ModuleFailure: no such attribute, or no such value.
    """
    if name not in POOL:
        raise ModuleFailure(
            f"Failed to set attribute to Web App Pool. Attribute: {name}. (The lab knows {', '.join(sorted(POOL))}.)"
        )
    default = POOL[name]
    text = str(value)
    if isinstance(default, bool):
        if text.casefold() not in {"true", "false"}:
            raise ModuleFailure(f"Failed to set attribute {name}: '{text}' is no boolean")
        return text.casefold() == "true"
    if isinstance(default, int):
        if not text.isdigit():
            raise ModuleFailure(f"Failed to set attribute {name}: '{text}' is no number")
        return int(text)
    if name in _CHOICES and text not in _CHOICES[name]:
        raise ModuleFailure(f"Failed to set attribute {name}: '{text}' is none of {', '.join(_CHOICES[name])}")
    if SPAN.fullmatch(str(default)) and not SPAN.fullmatch(text):
        raise ModuleFailure(f"Failed to set attribute {name}: '{text}' is no span of time")
    return text


def typed(default: str | int | bool, text: str) -> str | int | bool:
    """A value given as text in the type of its default.

    Raises:
        ModuleFailure: it is not of that type.
    """
    if isinstance(default, bool):
        if text.casefold() not in {"true", "false"}:
            raise ModuleFailure(f"Failed to invoke DSC Set method: '{text}' n’est pas une valeur booléenne.")
        return text.casefold() == "true"
    if isinstance(default, int):
        if not text.isdigit():
            raise ModuleFailure("Failed to invoke DSC Set method: Le format de la chaîne d’entrée est incorrect.")
        return int(text)
    return text


def _open(registry: Registry, side: str) -> list[str]:
    """Protocols that SChannel offers at boot: all but those whose Enabled is 0 (Microsoft, TLS registry settings)."""
    return [name for name in PROTOCOLS if registry.data(rf"{_SCHANNEL}\{name}\{side}", "Enabled", 1) != 0]


@on_boot(order=90)
def take_up(server: WindowsServer) -> None:
    """What a boot brings into force: SChannel's protocols, and modules that IIS loads at its start."""
    state = server.section("iis")
    registry = Registry(server)
    state["protocols"] = {"server": _open(registry, "Server"), "client": _open(registry, "Client")}
    if state["made"]:
        started(server)
