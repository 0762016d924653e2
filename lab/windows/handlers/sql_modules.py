# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules of lowlydba.sqlserver 2.7.0, which work through dbatools 2: it encrypts, and validates the certificate.

In check mode several of them always report a change of what exists (agent_job, agent_job_step, agent_job_schedule,
nonquery, maintenance_solution), and so do the handlers.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from lab.windows import network
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.powershell_modules import versions
from lab.windows.handlers.sql_jobs import NEVER, advance
from lab.windows.handlers.sql_server import (
    DATABASE_ROLES,
    SERVER_ROLES,
    Instance,
    binary_sid,
    database,
    instances,
    is_running,
    lets_itself_in,
    login,
    roles_of,
    stamp,
    validates,
)
from lab.windows.handlers.sql_statements import execute
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

_SOURCE = "lowlydba.sqlserver 2.7.0 {name} documentation and source"
_VERSION = re.compile(rb"Version: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_SUBSYSTEMS = {"TransactSql": "TSQL", "CmdExec": "CmdExec", "PowerShell": "PowerShell"}


def _source(name: str) -> str:
    return _SOURCE.format(name=name)


def connect(call: Call) -> Instance:
    """The instance that sql_instance (``host,port``) names, for the account that runs the module."""
    server, target = call.server, call.args["sql_instance"]
    held = versions(server, "dbatools")
    if not held:
        raise ModuleFailure(
            'The script cannot be run because the following modules that are specified by the "#requires" statements of'
            " the script are missing: dbatools."
        )
    if held[-1].partition(".")[0] == "1" or call.args["sql_username"]:
        raise NotSimulated("The lab simulates dbatools 2 with Windows authentication only.")
    advance(server)
    host, _comma, port = target.partition(",")
    instance = _listening(call, host, port)
    problem = validates(server, instance, host)
    if problem:
        raise ModuleFailure(problem)
    if not lets_itself_in(server, host):
        raise ModuleFailure(
            "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."
        )
    account = server.resolve(call.user)
    roles = roles_of(server, instance, account) if account else None
    if roles is None:
        raise ModuleFailure(f"Échec de l’ouverture de session de l’utilisateur « {call.user} ».")
    if "sysadmin" not in roles:
        raise ModuleFailure("The user does not have permission to perform this action.")
    return instance


def _listening(call: Call, host: str, port: str) -> Instance:
    if not port.isdigit():
        raise NotSimulated("The lab knows sql_instance in the form host,port only.")
    unreachable = ModuleFailure(
        "Une erreur liée au réseau ou spécifique à l’instance s’est produite lors de l’établissement d’une connexion à"
        f" SQL Server ({host},{port})."
    )
    try:
        target, _address = network.find(call.server, host)
    except network.Unreachable:
        raise unreachable from None
    # In check mode the server is a copy of itself.
    if target is None or target.name != call.server.name:
        raise NotSimulated("The lab simulates lowlydba.sqlserver on the server of the instance only.")
    for instance in instances(call.server).values():
        if is_running(call.server, instance) and instance["in_force"]["port"] == int(port):
            return instance
    raise unreachable


def _find(held: dict[str, Any], name: str, what: str) -> dict[str, Any]:
    found: dict[str, Any] | None = held.get(name.casefold())
    if found is None:
        raise ModuleFailure(f"{what} [{name}] does not exist.")
    return found


# -- logins ----------------------------------------------------------------------------------------------------------


@handles("lowlydba.sqlserver.login", source=_source("login"))
def login_module(call: Call) -> Result:
    """A login of a Windows account."""
    args = call.args
    if any(args[name] is not None for name in ("password", "sid", "language", "password_must_change")):
        raise NotSimulated("The lab does not simulate logins with passwords.")
    held = connect(call)["logins"]
    found = held.get(args["login"].casefold())
    if args["state"] == "absent":
        return {"changed": held.pop(args["login"].casefold(), None) is not None}
    if found is None:
        principal = call.server.resolve(args["login"])
        if principal is None or args["login"].upper().startswith("S-1-"):
            raise ModuleFailure(f"Configuring login failed: Windows NT user or group '{args['login']}' not found.")
        kind = "U" if principal.kind == "user" else "G"
        new = login(args["login"], kind, binary_sid(principal.sid))
        new.update(disabled=not args["enabled"], default_database=args["default_database"] or "master")
        held[args["login"].casefold()] = new
        return {"changed": True}
    changed = found["disabled"] is args["enabled"]
    if changed:
        found["disabled"] = not args["enabled"]
        found["default_database"] = args["default_database"] or found["default_database"]
    return {"changed": changed}


@handles("lowlydba.sqlserver.login_role", source=_source("login_role"))
def login_role(call: Call) -> Result:
    """A server role of a login."""
    args = call.args
    found = _find(connect(call)["logins"], args["login"], "Login")
    role = next((known for known in SERVER_ROLES if known.casefold() == args["server_role"].casefold()), None)
    if role is None:
        raise ModuleFailure(f"Server role [{args['server_role']}] does not exist.")
    return _membership(found["roles"], role, args["state"])


def _membership(roles: list[str], role: str, state: str) -> Result:
    changed = (role in roles) is (state == "absent")
    if changed and state == "present":
        roles.append(role)
    elif changed:
        roles.remove(role)
    return {"changed": changed}


@handles("lowlydba.sqlserver.sa", source=_source("sa"))
def sa(call: Call) -> Result:
    """The login sa, by its SID."""
    args = call.args
    if any(args[name] is not None for name in ("password", "password_must_change", "password_expiration_enabled")):
        raise NotSimulated("The lab does not simulate passwords of sa.")
    instance = connect(call)
    held = instance["logins"]
    found = next(one for one in held.values() if one["sid"] == "0x01")
    changed = found["disabled"] is args["enabled"]
    found["disabled"] = not args["enabled"]
    new = args["new_name"]
    if new and new != found["name"]:
        if new.casefold() in held and held[new.casefold()] is not found:
            raise ModuleFailure(f"Configuring 'sa' login failed: the login '{new}' exists already.")
        changed = True
        _rename(instance, found, new)
    return {"changed": changed}


def _rename(instance: Instance, found: dict[str, Any], new: str) -> None:
    """Rename a login; what it owns is kept by SID and shows the new name."""
    old = found["name"]
    del instance["logins"][old.casefold()]
    found["name"] = new
    instance["logins"][new.casefold()] = found
    for owned in (*instance["databases"].values(), *instance["jobs"].values()):
        if owned["owner"] == old:
            owned["owner"] = new


# -- databases -------------------------------------------------------------------------------------------------------


@handles("lowlydba.sqlserver.database", source=_source("database"))
def database_module(call: Call) -> Result:
    """A database."""
    args = call.args
    if args["secondary_maxdop"] is not None:
        raise NotSimulated("The lab does not simulate availability groups.")
    instance = connect(call)
    held = instance["databases"]
    name = args["database"]
    found = held.get(name.casefold())
    if found is not None and found["system"]:
        raise NotSimulated("lowlydba.sqlserver.database leaves system databases out, and creating one again fails.")
    if args["state"] == "absent":
        return {"changed": held.pop(name.casefold(), None) is not None}
    if args["owner"] is not None and args["owner"].casefold() not in instance["logins"]:
        raise ModuleFailure(f"Creating database [{name}] failed. Login {args['owner']} does not exist.")
    changed = found is None
    if found is None:
        for option in ("data_file_path", "log_file_path"):
            if args[option] and not FileSystem(call.server).is_dir(args[option]):
                raise ModuleFailure(f"Creating database [{name}] failed. The path {args[option]} does not exist.")
        owner = call.server.resolve(call.user)
        found = database(name, args["owner"] or (owner.account if owner else "sa"), stamp(call.server.now()))
        found["recovery_model"] = held["model"]["recovery_model"]
        found.update(data_path=args["data_file_path"] or "", log_path=args["log_file_path"] or "")
        held[name.casefold()] = found
    wanted = {
        "owner": args["owner"],
        "recovery_model": args["recovery_model"],
        "read_committed_snapshot": args["rcsi"],
        "maxdop": args["maxdop"],
        "compatibility": args["compatibility"],
    }
    for key, value in wanted.items():
        if value is not None and found[key] != value:
            found[key] = value
            changed = True
    return {"changed": changed}


def _database(call: Call) -> tuple[Instance, dict[str, Any]]:
    instance = connect(call)
    return instance, _find(instance["databases"], call.args["database"], "Database")


@handles("lowlydba.sqlserver.user", source=_source("user"))
def user(call: Call) -> Result:
    """A user of a database."""
    args = call.args
    if args["external_provider"]:
        raise NotSimulated("The lab does not simulate users of Entra ID.")
    instance, held = _database(call)
    users = held["users"]
    found = users.get(args["username"].casefold())
    if args["state"] == "absent":
        return {"changed": users.pop(args["username"].casefold(), None) is not None}
    mapped = _find(instance["logins"], args["login"], "Login")
    if found is None:
        group = mapped["kind"] == "G"
        schema = "" if group and args["default_schema"] == "dbo" else args["default_schema"]
        users[args["username"].casefold()] = {
            "name": args["username"],
            "login": mapped["name"],
            "default_schema": schema,
            "roles": [],
        }
        return {"changed": True}
    changed = bool(found["default_schema"]) and found["default_schema"] != args["default_schema"]
    if changed:
        found["default_schema"] = args["default_schema"]
    return {"changed": changed}


@handles("lowlydba.sqlserver.user_role", source=_source("user_role"))
def user_role(call: Call) -> Result:
    """A role of a user in a database."""
    args = call.args
    _instance, held = _database(call)
    found = held["users"].get(args["username"].casefold())
    if found is None:
        raise ModuleFailure(f"User [{args['username']}] does not exist in database [{held['name']}].")
    role = next((known for known in DATABASE_ROLES if known.casefold() == args["role"].casefold()), None)
    if role is None:
        raise ModuleFailure(f"Role [{args['role']}] does not exist in database [{held['name']}].")
    return _membership(found["roles"], role, args["state"])


# -- the agent -------------------------------------------------------------------------------------------------------


@handles("lowlydba.sqlserver.agent_job", source=_source("agent_job"))
def agent_job(call: Call) -> Result:
    """A job of the agent."""
    args = call.args
    for option in ("category", "schedule", "start_step_id"):
        if args[option] is not None:
            raise NotSimulated(f"The lab does not simulate the option {option} of agent_job.")
    instance = connect(call)
    jobs = instance["jobs"]
    found = jobs.get(args["job"].casefold())
    if args["state"] == "absent":
        return {"changed": jobs.pop(args["job"].casefold(), None) is not None}
    owner = args["owner_login"]
    if owner is not None and owner.casefold() not in instance["logins"]:
        raise ModuleFailure(f"Error configuring SQL Agent job: the login {owner} does not exist")
    if found is None:
        account = call.server.resolve(call.user)
        jobs[args["job"].casefold()] = {
            "name": args["job"],
            "enabled": args["enabled"],
            "owner": owner or (account.account if account else "sa"),
            "description": args["description"] or "No description available.",
            "created": stamp(call.server.now()),
            "last_outcome": NEVER,
            "last_run": "",
            "operator": "",
            "notify": 0,
            "steps": [],
            "schedules": {},
        }
        return {"changed": True}
    wanted = {"enabled": args["enabled"], "owner": owner, "description": args["description"]}
    different = {key: value for key, value in wanted.items() if value is not None and found[key] != value}
    found.update(different)
    return {"changed": call.check or bool(different)}


@handles("lowlydba.sqlserver.agent_job_step", source=_source("agent_job_step"))
def agent_job_step(call: Call) -> Result:
    """A step of a job."""
    args = call.args
    if args["subsystem"] not in _SUBSYSTEMS:
        raise NotSimulated(f"The lab does not simulate the subsystem {args['subsystem']}.")
    jobs = connect(call)["jobs"]
    found = jobs.get(args["job"].casefold())
    if found is None:
        raise ModuleFailure("Error configuring SQL Agent job step.")
    step = next((one for one in found["steps"] if one["name"] == args["step_name"]), None)
    if args["state"] == "absent":
        found["steps"] = [one for one in found["steps"] if one is not step]
        return {"changed": step is not None}
    if not args["step_name"] or not args["step_id"]:
        raise ModuleFailure("Step name and step_id must be specified when state=present.")
    if step is not None and step["id"] != args["step_id"]:
        raise ModuleFailure(f"There is already a step named '{step['name']}' for this job with an ID of {step['id']}.")
    wanted = {
        "id": args["step_id"],
        "name": args["step_name"],
        "database": args["database"],
        "command": args["command"] or "",
        "subsystem": _SUBSYSTEMS[args["subsystem"]],
    }
    changed = step != wanted
    found["steps"] = sorted([one for one in found["steps"] if one is not step] + [wanted], key=lambda one: one["id"])
    return {"changed": changed or (call.check and step is not None)}


_DAYS = {
    **{day: 1 << number for number, day in enumerate(("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday"))},
    "Friday": 32,
    "Saturday": 64,
    "Weekdays": 62,
    "Weekend": 65,
    "EveryDay": 127,
}


@handles("lowlydba.sqlserver.agent_job_schedule", source=_source("agent_job_schedule") + "; New-DbaAgentSchedule")
def agent_job_schedule(call: Call) -> Result:
    """A schedule of a job."""
    args = call.args
    jobs = connect(call)["jobs"]
    found = jobs.get(args["job"].casefold())
    if found is None:
        raise ModuleFailure("Error configuring SQL Agent job schedule.")
    held = found["schedules"].get(args["schedule"])
    if args["state"] == "absent":
        return {"changed": found["schedules"].pop(args["schedule"], None) is not None}
    wanted = {**(held or {}), **_schedule(args), "name": args["schedule"]}
    wanted["enabled"] = args["enabled"] is not False if held is None or args["enabled"] is not None else held["enabled"]
    found["schedules"][args["schedule"]] = wanted
    return {"changed": held != wanted or call.check}


def _schedule(args: dict[str, Any]) -> dict[str, int]:
    """Columns of sysschedules for the options given."""
    kind, interval = args["frequency_type"], args["frequency_interval"]
    if kind not in {"Daily", "Weekly"} or args["frequency_subday_type"] not in {"Time", "Minutes"}:
        raise NotSimulated("The lab simulates schedules by day or week, once or every so many minutes.")
    if kind == "Weekly" and not args["frequency_recurrence_factor"]:
        raise ModuleFailure("Error configuring SQL Agent job schedule.")
    if interval not in _DAYS:
        raise NotSimulated(f"The lab does not simulate the frequency_interval {interval}.")
    return {
        "freq_type": 4 if kind == "Daily" else 8,
        "freq_interval": 1 if kind == "Daily" else _DAYS[interval],
        "freq_recurrence_factor": args["frequency_recurrence_factor"] or 0,
        "freq_subday_type": 4 if args["frequency_subday_type"] == "Minutes" else 1,
        "freq_subday_interval": args["frequency_subday_interval"] or 0,
        "active_start_time": int(args["start_time"] or "0"),
    }


@handles("lowlydba.sqlserver.maintenance_solution", source=_source("maintenance_solution"))
def maintenance_solution(call: Call) -> Result:
    """Ola Hallengren's solution from its archive: it brings the version that its scripts state."""
    args = call.args
    if args["install_jobs"] or args["solution"] != "All" or not args["local_file"]:
        raise NotSimulated("The lab installs the whole maintenance solution from a local file, without its jobs.")
    instance, held = _database(call)
    place = held["name"].casefold()
    if place in instance["maintenance"] and not args["replace_existing"]:
        return {"changed": False}
    files = FileSystem(call.server)
    if not files.is_file(args["local_file"]):
        if call.check:
            return {"changed": True}
        raise ModuleFailure("Installing Maintenance Solution failed.")
    with zipfile.ZipFile(io.BytesIO(files.read(args["local_file"]))) as archive:
        scripts = [archive.read(name) for name in archive.namelist() if name.endswith(".sql")]
    match = next((found for text in scripts if (found := _VERSION.search(text))), None)
    if match is None:
        raise ModuleFailure("Installing Maintenance Solution failed.")
    instance["maintenance"][place] = {"version": match.group(1).decode(), "logs": args["log_to_table"]}
    return {"changed": True}


@handles("lowlydba.sqlserver.nonquery", source=_source("nonquery") + "; Microsoft Learn for each statement")
def nonquery(call: Call) -> Result:
    """Transact-SQL of the kinds that are modelled; check mode parses only (NOEXEC)."""
    instance, held = _database(call)
    execute(call, instance, held["name"], call.args["nonquery"])
    return {"changed": True}
