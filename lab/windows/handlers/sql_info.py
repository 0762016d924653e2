# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own probe of SQL Server: sql_server_info."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem
from lab.windows.handlers import rights, services
from lab.windows.handlers.sql_jobs import advance
from lab.windows.handlers.sql_server import (
    BACK_CONNECTION,
    Instance,
    instances,
    is_running,
    lets_itself_in,
    roles_of,
    service_names,
    setting,
    stamp,
    validates,
)
from lab.windows.hive import Registry
from lab.windows.registry import Call, Result, handles

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_SOCKETS = r"MSSQLServer\SuperSocketNetLib"


@handles("cnosf.infogerance.sql_server_info", source="documentation of cnosf.infogerance.sql_server_info")
def sql_server_info(call: Call) -> Result:
    """The whole state of an instance."""
    server, args = call.server, call.args
    advance(server)
    system = server.section("system")
    instance = instances(server).get(args["instance"].casefold())
    state: dict[str, Any] = {
        "time": stamp(server.now()),
        "hostname": server.fqdn,
        "memory_megabytes": system["memory_mib"],
        "processors": system["cpus"],
        "installed": instance is not None,
        "answers": False,
        "id": instance["id"] if instance else "",
        "principals": [_principal(server, name) for name in args["principals"]],
        "services": _services(server, args["instance"]),
        "back_connection": Registry(server).data(BACK_CONNECTION, "BackConnectionHostNames", []),
        "backup_directory": _folder(server, args["backup_directory"]),
        "others": [
            {"name": one["name"], "port": str(setting(server, one, rf"{_SOCKETS}\Tcp\IPAll", "TcpPort", ""))}
            for one in instances(server).values()
            if one is not instance
        ],
    }
    if instance is not None:
        state.update(_registry(server, instance))
        roles = _roles(call, instance)
        if is_running(server, instance) and roles is not None:
            state.update(answers=True, account=call.user, administrator="sysadmin" in roles)
            state.update(build=instance["build"], started=instance["started"], numa_nodes=1)
            if "sysadmin" in roles:
                state.update(_contents(server, instance, args))
                state["network"].update(_in_force(server, instance, args["host"] or server.fqdn))
    return {"changed": False, "state": state}


def _roles(call: Call, instance: Instance) -> set[str] | None:
    account = call.server.resolve(call.user)
    return roles_of(call.server, instance, account) if account else None


def _principal(server: WindowsServer, asked: str) -> dict[str, str]:
    found = server.resolve(asked)
    return {"asked": asked, "name": found.account if found else "", "sid": found.sid if found else ""}


def _services(server: WindowsServer, name: str) -> list[dict[str, str]]:
    found = (services.find(server, service) for service in (*service_names(name), "SQLBrowser"))
    return [
        {
            "name": entry["name"],
            "state": "started" if entry["state"] == "running" else "stopped",
            "start": "auto" if entry["start_mode"] == "delayed" else entry["start_mode"],
            "account": entry["username"],
        }
        for entry in found
        if entry is not None
    ]


def _folder(server: WindowsServer, path: str) -> dict[str, Any]:
    exists = bool(path) and FileSystem(server).is_dir(path)
    return {"exists": exists, "sddl": rights.sddl(server, path) if exists else ""}


def _registry(server: WindowsServer, instance: Instance) -> dict[str, Any]:
    """What the registry tells, whether the engine runs or not."""

    def value(key: str, name: str, default: Any) -> Any:
        return setting(server, instance, key, name, default)

    uses_mail = value("SQLServerAgent", "UseDatabaseMail", 0)
    return {
        "build": str(value("Setup", "PatchLevel", "")),
        "edition": str(value("Setup", "Edition", "")),
        "configured": Registry(server).data(
            rf"HKLM:\SOFTWARE\Infogerance\SQL Server\{instance['id']}", "Configured", ""
        ),
        "login_audit": value("MSSQLServer", "AuditLevel", 2),
        "error_logs": value("MSSQLServer", "NumErrorLogs", 6),
        "agent_mail_profile": str(value("SQLServerAgent", "DatabaseMailProfile", "")) if uses_mail else "",
        "network": {
            "port": str(value(rf"{_SOCKETS}\Tcp\IPAll", "TcpPort", "")),
            "dynamic_port": str(value(rf"{_SOCKETS}\Tcp\IPAll", "TcpDynamicPorts", "")),
            "force_encryption": bool(value(_SOCKETS, "ForceEncryption", 0)),
            "certificate": str(value(_SOCKETS, "Certificate", "")),
            "hidden": bool(value(_SOCKETS, "HideInstance", 0)),
            "tcp_enabled": bool(value(rf"{_SOCKETS}\Tcp", "Enabled", 0)),
            "listening": [],
            "encrypted": False,
            "validated": False,
            "certificate_loaded": True,
        },
    }


def _in_force(server: WindowsServer, instance: Instance, host: str) -> dict[str, Any]:
    held = instance["in_force"]
    named = str(setting(server, instance, _SOCKETS, "Certificate", "")).upper()
    return {
        "listening": [held["port"]] if held["port"] else [],
        "encrypted": held["force_encryption"] and bool(held["port"]),
        "validated": bool(held["port"]) and not validates(server, instance, host) and lets_itself_in(server, host),
        "certificate_loaded": not named or held["certificate"] == named,
    }


def _contents(server: WindowsServer, instance: Instance, args: dict[str, Any]) -> dict[str, Any]:
    """What only an administrator reads."""
    solution = instance["maintenance"].get(args["maintenance_database"].casefold())
    since = server.now() - timedelta(hours=args["failure_hours"])
    recent = [entry for entry in instance["command_log"] if datetime.fromisoformat(entry["time"]) > since]
    found: dict[str, Any] = {
        "configuration": list(instance["configuration"].values()),
        "logins": list(instance["logins"].values()),
        "databases": [_database(entry) for entry in instance["databases"].values()],
        "tempdb": instance["tempdb"],
        "jobs": [_job(entry) for entry in instance["jobs"].values()],
        "operators": list(instance["operators"].values()),
        "alerts": list(instance["alerts"].values()),
        "mail": list(instance["mail"].values()),
        "audits": list(instance["audits"].values()),
    }
    if args["maintenance_database"].casefold() in instance["databases"]:
        found["maintenance"] = {
            "version": solution["version"] if solution else "",
            "logs": bool(solution and solution["logs"]),
            "failures": list(reversed(recent))[:20] if solution and solution["logs"] else [],
        }
    return found


_HIDDEN = {"compatibility", "maxdop", "data_path", "log_path"}


def _database(entry: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in entry.items() if name not in _HIDDEN}
    return {**shown, "users": list(entry["users"].values())}


def _job(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "schedules": list(entry["schedules"].values())}
