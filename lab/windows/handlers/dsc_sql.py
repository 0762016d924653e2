# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DSC resources of SqlServerDsc 17.5.1: set-up, options, agent's operators and alerts, Database Mail."""

from __future__ import annotations

import ntpath
from typing import TYPE_CHECKING, Any

from lab.windows import publications
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import software
from lab.windows.handlers.dsc import Dsc, resource
from lab.windows.handlers.powershell_modules import versions
from lab.windows.handlers.sql_jobs import advance
from lab.windows.handlers.sql_server import (
    Instance,
    build_number,
    install,
    instances,
    is_running,
    raise_build,
    roles_of,
)
from lab.windows.registry import NotSimulated

if TYPE_CHECKING:
    from lab.windows.identity import Principal

MODULE = "SqlServerDsc"
_SOURCE = "SqlServerDsc, source/DSCResources/DSC_{name} or source/Classes/020.{name}.ps1: schema and code"
_STARTS = {"Automatic": "auto", "Manual": "manual", "Disabled": "disabled"}


def _source(name: str) -> str:
    return _SOURCE.format(name=name)


# -- set-up ----------------------------------------------------------------------------------------------------


def _media(dsc: Dsc) -> dict[str, Any]:
    """What the media under SourcePath install."""
    path = ntpath.join(dsc.properties["SourcePath"], "setup.exe")
    files = FileSystem(dsc.server)
    if path.startswith("\\\\"):
        raise NotSimulated("The lab does not simulate set-up from a network share; stage the media on the server.")
    if not files.is_file(path):
        raise dsc.fail(f"Setup executable was not found at '{path}'.")
    published = publications.by_content(files.read(path))
    if published is None or published.product.get("kind") != "sql_media":
        raise NotSimulated(f"The lab does not know the media {path}: it can install what it stands in for.")
    return published.product


def _updates(dsc: Dsc) -> list[dict[str, Any]]:
    """Cumulative updates found in UpdateSource."""
    folder = dsc.given("UpdateSource", "")
    if dsc.given("UpdateEnabled", "False") != "True" or not folder:
        return []
    files = FileSystem(dsc.server)
    if not files.is_dir(folder):
        raise dsc.fail(f"the folder of updates '{folder}' does not exist")
    found = []
    for entry in files.children(folder):
        published = publications.by_content(files.read(entry["path"])) if files.is_file(entry["path"]) else None
        if published is not None and published.product.get("kind") == "sql_update":
            found.append(published.product)
    return sorted(found, key=lambda product: build_number(str(product["version"])))


def _administrators(dsc: Dsc) -> list[Principal]:
    found = []
    for name in dsc.given("SQLSysAdminAccounts", []):
        principal = dsc.server.resolve(name)
        if principal is None or name.upper().startswith("S-1-"):
            raise dsc.fail(f"Setup ended with 0x851A0001: no mapping between the account name '{name}' and a SID")
        found.append(principal)
    return found


def _account(dsc: Dsc, name: str) -> str:
    principal = dsc.properties.get(name)
    return principal.account if principal else ""


@resource(
    "SqlSetup",
    module=MODULE,
    schema={
        "Action": "str Install|Upgrade|InstallFailoverCluster|AddNode|PrepareFailoverCluster|CompleteFailoverCluster",
        "SourcePath": "required str",
        "SourceCredential": "credential",
        "SuppressReboot": "bool",
        "ForceReboot": "bool",
        "Features": "str",
        "InstanceName": "key str",
        "UpdateEnabled": "str",
        "UpdateSource": "str",
        "SQLSvcAccount": "credential",
        "AgtSvcAccount": "credential",
        "SQLCollation": "str",
        "SQLSysAdminAccounts": "str[]",
        "SecurityMode": "str SQL|Windows",
        "SQLUserDBDir": "str",
        "SQLUserDBLogDir": "str",
        "SQLTempDBDir": "str",
        "SQLTempDBLogDir": "str",
        "SQLBackupDir": "str",
        "SqlSvcStartupType": "str Automatic|Disabled|Manual",
        "AgtSvcStartupType": "str Automatic|Disabled|Manual",
        "BrowserSvcStartupType": "str Automatic|Disabled|Manual",
        "SqlTempdbFileCount": "uint32",
        "SqlTempdbFileSize": "uint32",
        "SqlTempdbFileGrowth": "uint32",
        "SqlTempdbLogFileSize": "uint32",
        "SqlTempdbLogFileGrowth": "uint32",
        "NpEnabled": "bool",
        "TcpEnabled": "bool",
        "SetupProcessTimeout": "uint32",
        "UseEnglish": "bool",
        "SkipRule": "str[]",
    },
    source=_source("SqlSetup"),
)
def setup(dsc: Dsc) -> bool:
    """Install an instance; an existing one is left as it is (features are not added in the lab)."""
    name = dsc.properties["InstanceName"]
    if name.casefold() in instances(dsc.server):
        return False
    if dsc.server.pending_reboot:
        raise dsc.fail("Setup ended with 0x84BE0BC2: the rule RebootRequiredCheck failed; restart the computer")
    if dsc.given("Features", "") != "SQLENGINE":
        raise NotSimulated("The lab does not simulate features of SQL Server other than SQLENGINE.")
    if dsc.given("Action", "Install") != "Install" or dsc.given("SecurityMode", "Windows") != "Windows":
        raise NotSimulated("The lab simulates Action Install and SecurityMode Windows of SqlSetup only.")
    product = _media(dsc)
    updates = _updates(dsc)
    instance = install(
        dsc.server,
        name,
        product,
        {
            "sysadmins": _administrators(dsc),
            "service_account": _account(dsc, "SQLSvcAccount"),
            "agent_account": _account(dsc, "AgtSvcAccount"),
            "collation": dsc.given("SQLCollation", ""),
            "directories": {
                "data": dsc.given("SQLUserDBDir", ""),
                "log": dsc.given("SQLUserDBLogDir", ""),
                "tempdb": dsc.given("SQLTempDBDir", ""),
                "tempdb_log": dsc.given("SQLTempDBLogDir", ""),
                "backup": dsc.given("SQLBackupDir", ""),
            },
            "tempdb": {
                "files": dsc.given("SqlTempdbFileCount", min(8, dsc.server.section("system")["cpus"])),
                "size": dsc.given("SqlTempdbFileSize", 8),
                "growth": dsc.given("SqlTempdbFileGrowth", 64),
                "log_size": dsc.given("SqlTempdbLogFileSize", 8),
                "log_growth": dsc.given("SqlTempdbLogFileGrowth", 64),
            },
            "agent_start": _STARTS[dsc.given("AgtSvcStartupType", "Manual")],
            "browser": _STARTS[dsc.given("BrowserSvcStartupType", "Disabled")],
        },
    )
    for newer in updates:
        if build_number(str(newer["version"])) > build_number(instance["build"]):
            software.install(dsc.server, {**newer, "reboot": False})
            raise_build(dsc.server, instance, str(newer["version"]))
    return True


# -- what needs a connection -----------------------------------------------------------------------------------------


def connect(dsc: Dsc) -> Instance:
    """The instance, for whoever runs the resource; SYSTEM is no sysadmin of it.

    SMO of the module SqlServer 21 does not validate certificates; that of 22 does
    (microsoft/SQLServerPSModule, issue 35).
    """
    held = versions(dsc.server, "SqlServer")
    if not held:
        raise dsc.fail("Failed to find a dependent module. Unable to run SQL Server commands or use SQL Server types.")
    if int(held[-1].partition(".")[0]) >= 22:
        raise NotSimulated("The lab does not simulate SqlServerDsc with the module SqlServer 22 and its validation.")
    advance(dsc.server)
    name = dsc.properties["InstanceName"]
    instance = instances(dsc.server).get(name.casefold())
    account = dsc.account or dsc.server.resolve("S-1-5-18")
    roles = roles_of(dsc.server, instance, account) if instance and account else None
    if instance is None or not is_running(dsc.server, instance) or roles is None:
        raise dsc.fail(f"Failed to connect to SQL instance '{dsc.server.computer_name}\\{name}'. (SQLCOMMON0019)")
    if "sysadmin" not in roles:
        raise dsc.fail("The user does not have permission to perform this action.")
    return instance


def _server_is_own(dsc: Dsc) -> None:
    named = dsc.given("ServerName")
    if named and named.casefold() not in {"localhost", dsc.server.computer_name.casefold(), dsc.server.fqdn.casefold()}:
        raise NotSimulated("The lab simulates resources of SqlServerDsc on the server itself only.")


@resource(
    "SqlConfiguration",
    module=MODULE,
    schema={
        "InstanceName": "key str",
        "OptionName": "key str",
        "OptionValue": "required uint32",
        "ServerName": "str",
        "RestartService": "bool",
        "RestartTimeout": "uint32",
    },
    source=_source("SqlConfiguration"),
)
def configuration(dsc: Dsc) -> bool:
    """An option of sp_configure; one that needs a restart waits for it."""
    _server_is_own(dsc)
    if dsc.given("RestartService", default=False):
        raise NotSimulated("The lab does not simulate RestartService of SqlConfiguration.")
    instance = connect(dsc)
    option = instance["configuration"].get(dsc.properties["OptionName"].casefold())
    if option is None:
        raise dsc.fail(f"Specified option '{dsc.properties['OptionName']}' could not be found.")
    value = dsc.properties["OptionValue"]
    if not option["minimum"] <= value <= option["maximum"]:
        raise dsc.fail(f"'{value}' is not a valid value for configuration option '{option['name']}'.")
    changed = bool(option["value"] != value)
    option["value"] = value
    if option["is_dynamic"]:
        option["value_in_use"] = value
    return changed


@resource(
    "SqlAgentOperator",
    module=MODULE,
    schema={
        "Name": "key str",
        "Ensure": "str Present|Absent",
        "ServerName": "str",
        "InstanceName": "key str",
        "EmailAddress": "str",
    },
    source=_source("SqlAgentOperator"),
)
def operator(dsc: Dsc) -> bool:
    """An operator of the agent."""
    _server_is_own(dsc)
    held = connect(dsc)["operators"]
    name = dsc.properties["Name"]
    before = held.get(name.casefold())
    if dsc.given("Ensure", "Present") == "Absent":
        return held.pop(name.casefold(), None) is not None
    wanted = {"name": before["name"] if before else name, "email": dsc.given("EmailAddress", "")}
    held[name.casefold()] = wanted
    return bool(before != wanted)


@resource(
    "SqlAgentAlert",
    module=MODULE,
    schema={
        "Name": "key str",
        "Ensure": "str Present|Absent",
        "ServerName": "str",
        "InstanceName": "key str",
        "Severity": "uint32",
        "MessageId": "uint32",
        "Credential": "credential",
    },
    source=_source("SqlAgentAlert"),
)
def alert(dsc: Dsc) -> bool:
    """An alert of the agent: on a severity or on a message."""
    _server_is_own(dsc)
    if dsc.properties.get("Credential"):
        raise NotSimulated("The lab does not simulate Credential of SqlAgentAlert.")
    held = connect(dsc)["alerts"]
    name = dsc.properties["Name"]
    before = held.get(name.casefold())
    severity, message = dsc.properties.get("Severity"), dsc.properties.get("MessageId")
    if dsc.given("Ensure", "Present") == "Absent":
        if severity is not None or message is not None:
            raise dsc.fail("The parameters 'Severity' and 'MessageId' are not allowed when 'Ensure' is 'Absent'.")
        return held.pop(name.casefold(), None) is not None
    if (severity is None) is (message is None):
        raise dsc.fail("One of the parameters 'Severity' and 'MessageId' must be given, and not both.")
    wanted = {
        "name": before["name"] if before else name,
        "severity": severity or 0,
        "message": message or 0,
        "enabled": before["enabled"] if before else True,
        "operators": before["operators"] if before else [],
    }
    held[name.casefold()] = wanted
    return bool(before != wanted)


@resource(
    "SqlDatabaseMail",
    module=MODULE,
    schema={
        "AccountName": "key str",
        "InstanceName": "key str",
        "EmailAddress": "required str",
        "MailServerName": "required str",
        "ProfileName": "required str",
        "Ensure": "str Present|Absent",
        "ServerName": "str",
        "DisplayName": "str",
        "ReplyToAddress": "str",
        "Description": "str",
        "LoggingLevel": "str Normal|Extended|Verbose",
        "TcpPort": "uint32",
        "UseDefaultCredentials": "bool",
    },
    source=_source("SqlDatabaseMail"),
)
def mail(dsc: Dsc) -> bool:
    """An account of Database Mail with its profile; the extended procedures must be on."""
    _server_is_own(dsc)
    instance = connect(dsc)
    if not instance["configuration"]["database mail xps"]["value_in_use"]:
        raise dsc.fail("Database Mail XPs are disabled.")
    held = instance["mail"]
    name = dsc.properties["AccountName"]
    if dsc.given("Ensure", "Present") == "Absent":
        return held.pop(name.casefold(), None) is not None
    before = held.get(name.casefold())
    wanted = {
        "account": name,
        "profile": dsc.properties["ProfileName"],
        "address": dsc.properties["EmailAddress"],
        "display_name": dsc.given("DisplayName", dsc.properties["EmailAddress"]),
        "server": dsc.properties["MailServerName"],
        "port": dsc.given("TcpPort", 25),
    }
    held[name.casefold()] = wanted
    return bool(before != wanted)
