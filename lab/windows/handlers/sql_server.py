# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances of SQL Server: what set-up leaves, what a start puts in force, who is let in as what.

Written from Microsoft Learn: "Server configuration options", "Configure SQL Server Database Engine for encrypting
connections", "Server-level roles", "tempdb database". What jobs do as time goes by is in ``sql_jobs``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.windows import network
from lab.windows.handlers import certificates, services, software
from lab.windows.hive import Registry
from lab.windows.identity import service_sid
from lab.windows.registry import ModuleFailure, on_boot, section

if TYPE_CHECKING:
    from cryptography import x509

    from lab.windows.identity import Principal
    from lab.windows.server import ServerSpec, WindowsServer

Instance = dict[str, Any]

ROOT = r"HKLM:\SOFTWARE\Microsoft\Microsoft SQL Server"
BACK_CONNECTION = r"HKLM:\SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0"
YEARS = {15: "2019", 16: "2022"}

# Name: default, least, greatest, whether it needs no restart ("Server configuration options").
_OPTIONS: dict[str, tuple[int, int, int, bool]] = {
    "Ad Hoc Distributed Queries": (0, 0, 1, True),
    "Agent XPs": (1, 0, 1, True),
    "allow updates": (0, 0, 1, True),
    "backup checksum default": (0, 0, 1, True),
    "backup compression default": (0, 0, 1, True),
    "c2 audit mode": (0, 0, 1, False),
    "clr enabled": (0, 0, 1, True),
    "clr strict security": (1, 0, 1, True),
    "contained database authentication": (0, 0, 1, True),
    "cost threshold for parallelism": (5, 0, 32767, True),
    "cross db ownership chaining": (0, 0, 1, True),
    "Database Mail XPs": (0, 0, 1, True),
    "default trace enabled": (1, 0, 1, True),
    "external scripts enabled": (0, 0, 1, True),
    "fill factor (%)": (0, 0, 100, False),
    "max degree of parallelism": (0, 0, 32767, True),
    "max server memory (MB)": (2147483647, 128, 2147483647, True),
    "min server memory (MB)": (0, 0, 2147483647, True),
    "Ole Automation Procedures": (0, 0, 1, True),
    "optimize for ad hoc workloads": (0, 0, 1, True),
    "priority boost": (0, 0, 1, False),
    "remote access": (1, 0, 1, False),
    "remote admin connections": (0, 0, 1, True),
    "scan for startup procs": (0, 0, 1, False),
    "show advanced options": (0, 0, 1, True),
    "xp_cmdshell": (0, 0, 1, True),
}
SERVER_ROLES = (
    *("sysadmin", "serveradmin", "securityadmin", "processadmin", "setupadmin", "bulkadmin", "diskadmin"),
    *("dbcreator", "public"),
)
DATABASE_ROLES = (
    *("db_owner", "db_securityadmin", "db_accessadmin", "db_backupoperator", "db_ddladmin", "db_datawriter"),
    *("db_datareader", "db_denydatawriter", "db_denydatareader", "public"),
)


@section("sql_server")
def _sql_server(_spec: ServerSpec) -> dict[str, Any]:
    return {"instances": {}}


def instances(server: WindowsServer) -> dict[str, Instance]:
    """All instances of a server by their name in lower case."""
    found: dict[str, Instance] = server.section("sql_server")["instances"]
    return found


def stamp(moment: datetime) -> str:
    """A moment in UTC, ISO 8601, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def binary_sid(sid: str) -> str:
    """A SID as ``CONVERT(varchar, sid, 1)`` shows it ([MS-DTYP] 2.4.2.2)."""
    revision, authority, *rest = (int(part) for part in sid.split("-")[1:])
    data = bytes([revision, len(rest)]) + authority.to_bytes(6, "big")
    return "0x" + (data + b"".join(part.to_bytes(4, "little") for part in rest)).hex().upper()


def service_names(name: str) -> tuple[str, str]:
    """Names of the engine's and the agent's services."""
    if name.casefold() == "mssqlserver":
        return "MSSQLSERVER", "SQLSERVERAGENT"
    return f"MSSQL${name}", f"SQLAgent${name}"


def is_running(server: WindowsServer, instance: Instance, *, agent: bool = False) -> bool:
    """Whether the engine's service runs, or the agent's."""
    service = services.find(server, instance["agent" if agent else "service"])
    return service is not None and service["state"] == "running"


def login(name: str, kind: str, sid: str, *roles: str) -> dict[str, Any]:
    """A new login."""
    return {
        "name": name,
        "kind": kind,
        "sid": sid,
        "disabled": False,
        "default_database": "master",
        "roles": list(roles),
    }


def database(name: str, owner: str, created: str, recovery: str = "Full") -> dict[str, Any]:
    """A new database, as the model database makes it."""
    return {
        "name": name,
        "system": False,
        "state": "ONLINE",
        "recovery_model": recovery,
        "owner": owner,
        "created": created,
        "read_committed_snapshot": False,
        "compatibility": "",
        "maxdop": 0,
        "last_full": "",
        "last_log": "",
        "last_check": "",
        "data_path": "",
        "log_path": "",
        "users": {},
    }


def install(server: WindowsServer, name: str, product: dict[str, Any], values: dict[str, Any]) -> Instance:
    """Leave behind what set-up does.

    Args:
        server: Where.
        name: Name of the instance.
        product: What the media hold: build, edition.
        values: sysadmins (accounts), service_account, agent_account, collation, directories, tempdb, browser.
    """
    build = str(product["version"])
    major = int(build.partition(".")[0])
    identity = f"MSSQL{major}.{name.upper()}"
    engine, agent = service_names(name)
    folder = rf"C:\Program Files\Microsoft SQL Server\{identity}\MSSQL"
    now = stamp(server.now())
    instance: Instance = {
        "name": name,
        "id": identity,
        "service": engine,
        "agent": agent,
        "build": build,
        "edition": product["edition"],
        "collation": values["collation"] or "French_CI_AS",
        "folder": folder,
        "directories": values["directories"],
        "created": now,
        "started": now,
        "advanced": now,
        "in_force": {},
        "configuration": {
            option.casefold(): {
                "name": option,
                "value": default,
                "value_in_use": default,
                "is_dynamic": dynamic,
                "minimum": low,
                "maximum": high,
            }
            for option, (default, low, high, dynamic) in _OPTIONS.items()
        },
        "logins": {},
        "databases": {},
        "tempdb": _tempdb(folder, values),
        "jobs": {},
        "operators": {},
        "alerts": {},
        "mail": {},
        "audits": {},
        "maintenance": {},
        "command_log": [],
    }
    for one in (
        login("sa", "S", "0x01", "sysadmin"),
        login(rf"NT SERVICE\{engine}", "U", binary_sid(service_sid(engine)), "sysadmin"),
        login(rf"NT SERVICE\{agent}", "U", binary_sid(service_sid(agent)), "sysadmin"),
        login("##MS_PolicyEventProcessingLogin##", "S", "0x56CB22ABB77B0945B4D0457DB00BB8F0"),
        *(login(one.account, _kind(one), binary_sid(one.sid), "sysadmin") for one in values["sysadmins"]),
    ):
        instance["logins"][one["name"].casefold()] = one
    instance["logins"]["##ms_policyeventprocessinglogin##"]["disabled"] = True
    instance["logins"]["sa"]["disabled"] = True  # Windows authentication only: set-up disables it
    for system, recovery in (("master", "Simple"), ("model", "Full"), ("msdb", "Simple"), ("tempdb", "Simple")):
        held = database(system, "sa", "2003-04-08T07:13:36Z", recovery)
        instance["databases"][system] = {**held, "system": True}
    instances(server)[name.casefold()] = instance
    _add_services(server, instance, values)
    _write_registry(server, instance, product)
    start(server, engine)
    return instance


def _kind(principal: Principal) -> str:
    return "U" if principal.kind == "user" else "G"


def _tempdb(folder: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = values["tempdb"]
    place = values["directories"].get("tempdb") or rf"{folder}\DATA"
    logs = values["directories"].get("tempdb_log") or place
    sizes = {"size_megabytes": wanted["size"], "growth_megabytes": wanted["growth"]}
    files = [{"name": "tempdev", "path": rf"{place}\tempdb.mdf", "kind": "ROWS", **sizes}]
    files += [
        {"name": f"temp{number}", "path": rf"{place}\tempdb_mssql_{number}.ndf", "kind": "ROWS", **sizes}
        for number in range(2, wanted["files"] + 1)
    ]
    log_sizes = {"size_megabytes": wanted["log_size"], "growth_megabytes": wanted["log_growth"]}
    return [*files, {"name": "templog", "path": rf"{logs}\templog.ldf", "kind": "LOG", **log_sizes}]


def _add_services(server: WindowsServer, instance: Instance, values: dict[str, Any]) -> None:
    name = instance["name"]
    engine, agent = instance["service"], instance["agent"]
    folder = rf"{instance['folder']}\Binn"
    services.add(
        server,
        engine,
        display_name=f"SQL Server ({name})",
        path=rf'"{folder}\sqlservr.exe" -s{name}',
        state="running",
        username=values["service_account"] or rf"NT Service\{engine}",
    )
    services.add(
        server,
        agent,
        display_name=f"SQL Server Agent ({name})",
        path=rf'"{folder}\SQLAGENT.EXE" -i {name}',
        state="running" if values["agent_start"] == "auto" else "stopped",
        start_mode=values["agent_start"],
        username=values["agent_account"] or rf"NT Service\{agent}",
        dependencies=[engine],
    )
    services.add(
        server,
        "SQLBrowser",
        display_name="SQL Server Browser",
        path=r'"C:\Program Files (x86)\Microsoft SQL Server\90\Shared\sqlbrowser.exe"',
        state="running" if values["browser"] == "auto" else "stopped",
        start_mode=values["browser"],
        username=r"NT AUTHORITY\LOCALSERVICE",
    )


def _write_registry(server: WindowsServer, instance: Instance, product: dict[str, Any]) -> None:
    registry = Registry(server)
    base = rf"{ROOT}\{instance['id']}"
    sockets = rf"{base}\MSSQLServer\SuperSocketNetLib"
    default = instance["name"].casefold() == "mssqlserver"
    values: tuple[tuple[str, str, str, Any], ...] = (
        (rf"{ROOT}\Instance Names\SQL", instance["name"].upper(), "string", instance["id"]),
        (rf"{base}\Setup", "PatchLevel", "string", instance["build"]),
        (rf"{base}\Setup", "Edition", "string", product["edition"]),
        (rf"{base}\MSSQLServer", "AuditLevel", "dword", 2),
        (rf"{base}\SQLServerAgent", "UseDatabaseMail", "dword", 0),
        (sockets, "Certificate", "string", ""),
        (sockets, "ForceEncryption", "dword", 0),
        (sockets, "HideInstance", "dword", 0),
        (rf"{sockets}\Tcp", "Enabled", "dword", 1),
        (rf"{sockets}\Tcp\IPAll", "TcpPort", "string", "1433" if default else ""),
        (rf"{sockets}\Tcp\IPAll", "TcpDynamicPorts", "string", "" if default else "0"),
    )
    for path, name, kind, data in values:
        registry.set(path, name, kind, data)


def setting(server: WindowsServer, instance: Instance, key: str, name: str, default: Any = None) -> Any:
    """A value of the instance's own part of the registry."""
    return Registry(server).data(rf"{ROOT}\{instance['id']}\{key}", name, default)


# -- what a start puts in force --------------------------------------------------------------------------------------


def start(server: WindowsServer, service: str) -> None:
    """Put in force what an engine reads when it starts; nothing happens for other services."""
    instance = next(
        (one for one in instances(server).values() if one["service"].casefold() == service.casefold()), None
    )
    if instance is None:
        return
    sockets = r"MSSQLServer\SuperSocketNetLib"
    port = str(setting(server, instance, rf"{sockets}\Tcp\IPAll", "TcpPort", ""))
    dynamic = str(setting(server, instance, rf"{sockets}\Tcp\IPAll", "TcpDynamicPorts", ""))
    if dynamic == "0" and not port:  # the engine takes a free port and notes it
        dynamic = str(49152 + sum(instance["name"].encode()) % 1000)
        Registry(server).set(rf"{ROOT}\{instance['id']}\{sockets}\Tcp\IPAll", "TcpDynamicPorts", "string", dynamic)
    enabled = bool(setting(server, instance, rf"{sockets}\Tcp", "Enabled", 0))
    instance["in_force"] = {
        "port": int(port or dynamic or 0) if enabled else 0,
        "force_encryption": bool(setting(server, instance, sockets, "ForceEncryption", 0)),
        "certificate": _loaded(server, instance, str(setting(server, instance, sockets, "Certificate", ""))),
    }
    for option in instance["configuration"].values():
        option["value_in_use"] = option["value"]
    instance["started"] = stamp(server.now())


def _loaded(server: WindowsServer, instance: Instance, thumbprint: str) -> str:
    """The certificate that the engine takes: the registry's, if the engine's account can read its key.

    With another one the engine does not start ("Unable to load user-specified certificate", error 26014).
    """
    if not thumbprint:
        return ""
    entry = server.section("certificates")["LocalMachine"]["My"].get(thumbprint.upper())
    service = services.find(server, instance["service"])
    if entry is None or not entry["private_key"]:
        if service is not None:
            service["state"] = "stopped"
        raise ModuleFailure(
            f"Failed to start service '{instance['service']}': the certificate {thumbprint} is not in the machine's"
            " store or has no private key (error 26014)"
        )
    return thumbprint.upper()


services.ON_START["mssqlserver"] = lambda server: start(server, "MSSQLSERVER")
services.ON_INSTANCE_START["mssql$"] = start


@on_boot(order=25)
def start_engines(server: WindowsServer) -> None:
    """Start the engines with the server."""
    for instance in instances(server).values():
        if is_running(server, instance):
            start(server, instance["service"])


def _ports(server: WindowsServer) -> tuple[int, ...]:
    """Ports of all instances whose engine runs."""
    return tuple(
        instance["in_force"]["port"]
        for instance in instances(server).values()
        if is_running(server, instance) and instance["in_force"]["port"]
    )


network.SERVICE_PORTS["mssqlserver"] = _ports
network.SERVICE_PORTS["mssql$"] = _ports


# -- who is let in ---------------------------------------------------------------------------------------------------


def roles_of(server: WindowsServer, instance: Instance, account: Principal) -> set[str] | None:
    """Server roles of a Windows account through its own login and its groups'; None when it is not let in."""
    sids = {binary_sid(account.sid)} | {binary_sid(sid) for sid in server.groups_of(account)}
    held = [one for one in instance["logins"].values() if one["kind"] in {"U", "G"} and one["sid"] in sids]
    if not any(not one["disabled"] for one in held):
        return None
    return {role for one in held if not one["disabled"] for role in one["roles"]} | {"public"}


def lets_itself_in(server: WindowsServer, host: str) -> bool:
    """Whether the server takes a name for its own when it logs on to itself by NTLM.

    Microsoft, KB896861: the loopback check refuses names other than the server's that BackConnectionHostNames lacks.
    """
    listed = Registry(server).data(BACK_CONNECTION, "BackConnectionHostNames", [])
    own = {server.computer_name.casefold(), server.fqdn.casefold()}
    return host.casefold() in own | {name.casefold() for name in listed}


def validates(server: WindowsServer, instance: Instance, host: str) -> str:
    """Why a client that validates certificates refuses the instance at a name; empty when it does not."""
    name = instance["in_force"]["certificate"]
    store = server.section("certificates")["LocalMachine"]
    entry = store["My"].get(name) if name else None
    if entry is None:  # the engine makes itself a certificate that nobody trusts
        return "The certificate chain was issued by an authority that is not trusted"
    certificate = certificates.load(entry)
    roots = {certificates.load(one).subject: certificates.load(one) for one in store["Root"].values()}
    between = {certificates.load(one).subject: certificates.load(one) for one in store["CA"].values()}
    issuer: x509.Certificate | None = certificate
    for _step in range(8):
        if issuer is None or issuer.subject in roots:
            break
        issuer = roots.get(issuer.issuer) or between.get(issuer.issuer)
    if issuer is None or issuer.subject not in roots:
        return "The certificate chain was issued by an authority that is not trusted"
    if not certificate.not_valid_before_utc <= server.now() <= certificate.not_valid_after_utc:
        return "The certificate chain was issued by an authority, but the certificate has expired or is not valid yet"
    if host.casefold() not in (known.casefold() for known in certificates.describe(entry)["dns_names"]):
        return "The target principal name is incorrect"
    return ""


# -- cumulative updates ----------------------------------------------------------------------------------------------


def build_number(text: str) -> tuple[int, ...]:
    """A build as numbers."""
    return tuple(int(part) for part in text.split("."))


def update(server: WindowsServer, product: dict[str, Any]) -> None:
    """Bring all instances of a major version to the build of a cumulative update (``/allinstances``)."""
    build = str(product["version"])
    patched = [
        instance
        for instance in instances(server).values()
        if build_number(instance["build"])[0] == build_number(build)[0]
        and build_number(instance["build"]) < build_number(build)
    ]
    if not patched:
        raise ModuleFailure(f"the installer of {product['code']} ended with 0x84C408: no instance needs it", rc=1)
    for instance in patched:
        raise_build(server, instance, build)


def raise_build(server: WindowsServer, instance: Instance, build: str) -> None:
    """Note the build that an update brings to an instance."""
    instance["build"] = build
    Registry(server).set(rf"{ROOT}\{instance['id']}\Setup", "PatchLevel", "string", build)


software.ON_INSTALL["sql_update"] = update
