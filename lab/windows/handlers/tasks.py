# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scheduled tasks: win_scheduled_task, win_scheduled_task_stat."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.windows.identity import LogonFailure
from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec

_LOGON_NAMES = {
    "none": "TASK_LOGON_NONE", "password": "TASK_LOGON_PASSWORD", "s4u": "TASK_LOGON_S4U",
    "interactive_token": "TASK_LOGON_INTERACTIVE_TOKEN", "group": "TASK_LOGON_GROUP",
    "service_account": "TASK_LOGON_SERVICE_ACCOUNT",
    "token_or_password": "TASK_LOGON_INTERACTIVE_TOKEN_OR_PASSWORD",
}  # fmt: skip
_TRIGGERS = {
    "event": "TASK_TRIGGER_EVENT", "time": "TASK_TRIGGER_TIME", "daily": "TASK_TRIGGER_DAILY",
    "weekly": "TASK_TRIGGER_WEEKLY", "monthly": "TASK_TRIGGER_MONTHLY", "monthlydow": "TASK_TRIGGER_MONTHLYDOW",
    "idle": "TASK_TRIGGER_IDLE", "registration": "TASK_TRIGGER_REGISTRATION", "boot": "TASK_TRIGGER_BOOT",
    "logon": "TASK_TRIGGER_LOGON", "session_state_change": "TASK_TRIGGER_SESSION_STATE_CHANGE",
}  # fmt: skip
_SETTINGS: dict[str, Any] = {
    "allow_demand_start": True, "allow_hard_terminate": True, "compatibility": 2, "delete_expired_task_after": None,
    "disallow_start_if_on_batteries": True, "enabled": True, "execution_time_limit": "PT72H", "hidden": False,
    "multiple_instances": 2, "priority": 7, "restart_count": 0, "restart_interval": None, "run_only_if_idle": False,
    "run_only_if_network_available": False, "start_when_available": False, "stop_if_going_on_batteries": True,
    "wake_to_run": False,
}  # fmt: skip
_REGISTRATION = ("author", "date", "description", "source", "version")
_NEED_START = {"time", "daily", "weekly", "monthly", "monthlydow"}
_DURATION = re.compile(r"P(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?")
_DAYS = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
_SERVICES = {"S-1-5-18", "S-1-5-19", "S-1-5-20"}


@section("scheduled_tasks")
def _scheduled_tasks(_spec: ServerSpec) -> dict[str, Any]:
    return {"folders": ["\\", r"\Microsoft", r"\Microsoft\Windows", r"\Microsoft\Windows\Defrag"], "tasks": {}}


def _folder(path: str) -> str:
    return "\\" + path.strip("\\")


def _key(folder: str, name: str) -> str:
    return f"{folder.rstrip(chr(92))}\\{name}".casefold()


def _trigger(trigger: dict[str, Any]) -> dict[str, Any]:
    """Check one trigger and give it as the task keeps it."""
    kind = trigger["type"]
    kept = {key: value for key, value in trigger.items() if value is not None and key != "type"}
    if kind in _NEED_START and "start_boundary" not in kept:
        raise ModuleFailure(f"The trigger of type {kind} needs start_boundary")
    for key in ("start_boundary", "end_boundary"):
        if key in kept and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?", kept[key]) is None:
            raise ModuleFailure(
                f"trigger option '{key}' must be in the format 'YYYY-MM-DDThh:mm:ss' format but was '{kept[key]}'"
            )
    for key in ("execution_time_limit", "delay", "random_delay"):
        if key in kept:
            _duration(key, kept[key])
    if kind == "event" and "subscription" not in kept:
        raise ModuleFailure("mandatory field 'subscription' must be set when using the trigger type 'event'")
    for key in ("interval", "duration"):
        if kept.get("repetition", {}).get(key):
            _duration(key, kept["repetition"][key])
    if kind in {"weekly", "monthlydow"}:
        days = [day.strip().lower() for day in str(kept.get("days_of_week", "")).split(",") if day.strip()]
        if kind == "weekly" and not days:
            raise ModuleFailure("The trigger of type weekly needs days_of_week")
        unknown = sorted(set(days) - _DAYS)
        if unknown:
            raise ModuleFailure(f"invalid day of week '{unknown[0]}', check the spelling matches the full day name")
    if kind == "session_state_change" and "state_change" not in kept:
        raise ModuleFailure("The trigger of type session_state_change needs state_change")
    return {"type": kind, "enabled": True, **kept}


def _duration(name: str, text: str) -> None:
    if _DURATION.fullmatch(text) is None or text in {"P", "PT"}:
        raise ModuleFailure(f"trigger option '{name}' must be in the XML duration format but was '{text}'")


def _principal(call: Call, task: dict[str, Any] | None) -> dict[str, Any]:
    args = call.args
    old = (task or {}).get("principal", {})
    principal = {
        "user": old.get("user"),
        "group": old.get("group"),
        "logon_type": old.get("logon_type", "none"),
        "run_level": old.get("run_level", "limited"),
    }
    if args["username"] and args["group"]:
        raise ModuleFailure("username and group can not be set at the same time")
    for option in ("username", "group"):
        if args[option] is None:
            continue
        found = call.server.resolve(args[option])
        if found is None:
            raise ModuleFailure(f"failed to find SID for user/group '{args[option]}': le nom n’a pas pu être traduit")
        principal["user" if option == "username" else "group"] = found.sid
        principal["group" if option == "username" else "user"] = None
        if args["logon_type"] is None:
            if option == "group":
                principal["logon_type"] = "group"
            elif found.sid in _SERVICES:
                principal["logon_type"] = "service_account"
            else:
                principal["logon_type"] = old.get("logon_type") or "interactive_token"
    if args["logon_type"] is not None:
        principal["logon_type"] = args["logon_type"]
    if args["run_level"] is not None:
        principal["run_level"] = args["run_level"]
    if principal["logon_type"] == "password":
        name = call.server.account_name(principal["user"]) if principal["user"] else ""
        managed = name.endswith("$")  # group managed service accounts have no password to give
        if args["password"] is None and task is None and not managed:
            raise ModuleFailure("password must be set when logon_type=password")
        if args["password"] is not None:
            try:
                call.server.logon(name, args["password"])
            except LogonFailure:
                raise ModuleFailure(
                    f"failed to register new task definition: (10,8):LogonType: Le nom d’utilisateur ou le mot de "
                    f"passe de {name} est incorrect."
                ) from None
    return principal


def _new(call: Call) -> dict[str, Any]:
    args = call.args
    if not args["actions"]:
        raise ModuleFailure("an action is required when creating a new task: give actions")
    principal = _principal(call, None)
    if principal["user"] is None and principal["group"] is None:
        found = call.server.resolve(call.user)
        principal["user"] = found.sid if found else None
        principal["logon_type"] = "interactive_token" if principal["logon_type"] == "none" else principal["logon_type"]
    return {
        "name": args["name"],
        "folder": _folder(args["path"]),
        "display_name": args["display_name"],
        "actions": [{key: value for key, value in action.items() if value is not None} for action in args["actions"]],
        "triggers": [_trigger(trigger) for trigger in args["triggers"] or []],
        "principal": principal,
        "registration": {key: args[key] for key in _REGISTRATION},
        "settings": {key: args[key] if args[key] is not None else default for key, default in _SETTINGS.items()},
        "registered": call.server.now().isoformat(),
    }


def _updated(call: Call, task: dict[str, Any]) -> dict[str, Any]:
    args = call.args
    new = {**task, "settings": dict(task["settings"]), "registration": dict(task["registration"])}
    if args["actions"] is not None:
        new["actions"] = [
            {key: value for key, value in action.items() if value is not None} for action in args["actions"]
        ]
    if args["triggers"] is not None:
        new["triggers"] = [_trigger(trigger) for trigger in args["triggers"]]
    if args["display_name"] is not None:
        new["display_name"] = args["display_name"]
    new["principal"] = _principal(call, task)
    for key in _SETTINGS:
        if args[key] is not None:
            new["settings"][key] = args[key]
    for key in _REGISTRATION:
        if args[key] is not None:
            new["registration"][key] = args[key]
    return new


@handles(
    "community.windows.win_scheduled_task", source="community.windows 3.1.0 win_scheduled_task documentation and source"
)
def win_scheduled_task(call: Call) -> Result:
    """Make, change or remove a scheduled task; a password always counts as a change unless told otherwise."""
    args = call.args
    state = call.server.section("scheduled_tasks")
    folder = _folder(args["path"])
    name = _key(folder, args["name"])
    task = state["tasks"].get(name)
    if args["state"] == "absent":
        changed = task is not None
        if task is not None:
            del state["tasks"][name]
            parent = folder
            while (
                parent != "\\"
                and not parent.startswith("\\Microsoft")
                and not any(
                    other["folder"].casefold().startswith(parent.casefold()) for other in state["tasks"].values()
                )
            ):
                state["folders"] = [known for known in state["folders"] if known.casefold() != parent.casefold()]
                parent = _folder(parent.rpartition("\\")[0])
        return {"changed": changed}
    if task is None:
        new = _new(call)
        parts = folder.strip("\\").split("\\") if folder != "\\" else []
        for count in range(1, len(parts) + 1):
            part = "\\" + "\\".join(parts[:count])
            if part.casefold() not in {known.casefold() for known in state["folders"]}:
                state["folders"].append(part)
    else:
        new = _updated(call, task)
    renew = args["password"] is not None and args["update_password"]
    changed = new != task or renew
    state["tasks"][name] = new
    result: Result = {"changed": changed}
    if call.diff and changed:
        result["diff"] = {"before": task or {}, "after": new}
    return result


def _stat_trigger(trigger: dict[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in trigger.items() if key != "type"}, "type": _TRIGGERS[trigger["type"]]}


@handles(
    "community.windows.win_scheduled_task_stat",
    source="community.windows 3.1.0 win_scheduled_task_stat documentation and source",
)
def win_scheduled_task_stat(call: Call) -> Result:
    """Describe a folder of tasks, or one task."""
    state = call.server.section("scheduled_tasks")
    folder = _folder(call.args["path"])
    exists = folder.casefold() in {known.casefold() for known in state["folders"]}
    result: Result = {"changed": False, "folder_exists": exists}
    if exists:
        names = [task["name"] for task in state["tasks"].values() if task["folder"].casefold() == folder.casefold()]
        result.update(folder_task_count=len(names), folder_task_names=names)
    if call.args["name"] is None:
        return result
    task = state["tasks"].get(_key(folder, call.args["name"]))
    result["task_exists"] = task is not None
    if task is None:
        return result
    principal, settings, show = task["principal"], task["settings"], call.server.account_name
    result["actions"] = [
        {
            "type": "TASK_ACTION_EXEC",
            "id": None,
            "path": action["path"],
            "arguments": action.get("arguments"),
            "working_directory": action.get("working_directory"),
        }
        for action in task["actions"]
    ]
    result["triggers"] = [_stat_trigger(trigger) for trigger in task["triggers"]]
    result["principal"] = {
        "display_name": None,
        "group_id": show(principal["group"]) if principal["group"] else None,
        "id": "Author",
        "logon_type": _LOGON_NAMES[principal["logon_type"]],
        "run_level": "TASK_RUNLEVEL_HIGHEST" if principal["run_level"] == "highest" else "TASK_RUNLEVEL_LUA",
        "user_id": show(principal["user"]) if principal["user"] else None,
    }
    result["registration_info"] = {
        **task["registration"],
        "documentation": None,
        "security_descriptor": None,
        "uri": f"{task['folder'].rstrip(chr(92))}\\{task['name']}",
    }
    result["settings"] = {
        **settings,
        "disallow_start_on_remote_app_session": False,
        "use_unified_scheduling_engine": True,
        "volatile": False,
        "maintenance_settings": None,
        "idle_settings": {
            "idle_duration": "PT10M",
            "restart_on_idle": False,
            "stop_on_idle_end": True,
            "wait_timeout": "PT1H",
        },
        "network_settings": {"id": None, "name": None},
    }
    result["state"] = {
        "last_run_time": "1999-11-30T00:00:00.0000000",
        "last_task_result": 267011,
        "next_run_time": None,
        "number_of_missed_runs": 0,
        "status": "TASK_STATE_READY" if settings["enabled"] else "TASK_STATE_DISABLED",
    }
    return result
