# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own modules of the exchange server: ans_exchange_info, win_exact_acls."""

from __future__ import annotations

import html
import ntpath
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.windows import exchanges, far_ends
from lab.windows.filesystem import FileSystem, key
from lab.windows.handlers import rights
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, Result, handles

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_MASKS = {"full": 0x1F01FF, "modify": 0x1301BF, "read": 0x1200A9}
_PROTOCOLS = {6: "tcp", 17: "udp"}
_PROFILES = ((1, "domain"), (2, "private"), (4, "public"))
_EVENTS = r"HKLM:\SYSTEM\CurrentControlSet\Services\EventLog\Application"
_LOGON_TYPES = {"password": "Password", "s4u": "S4U", "interactive_token": "InteractiveToken", "group": "Group"}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp_of(entry: dict[str, Any]) -> str:
    return _stamp(datetime.fromtimestamp(entry["modified"], UTC))


def _paths(call: Call) -> list[dict[str, Any]]:
    files = FileSystem(call.server)
    found = []
    for path in call.args["paths"]:
        exists = files.resolve(path) is not None
        found.append({"path": path, "exists": exists, "sddl": rights.sddl(call.server, path) if exists else ""})
    return found


def _rules(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "name": rule["name"],
            "enabled": rule["enabled"],
            "direction": rule["direction"],
            "action": rule["action"],
            "protocol": _PROTOCOLS.get(rule["protocol"], str(rule["protocol"])),
            "remote_ports": rule["remoteport"],
            "remote_addresses": rule["remoteip"],
            "profiles": [name for bit, name in _PROFILES if rule["profiles"] & bit],
        }
        for rule in call.server.section("firewall")["rules"]
        if (rule["group"] or "") == call.args["firewall_group"]
    ]


def _tasks(call: Call) -> list[dict[str, Any]]:
    folder = call.args["task_folder"].strip("\\").casefold()
    last = exchanges.runs(call.server)
    found = []
    for name, task in call.server.section("scheduled_tasks")["tasks"].items():
        if task["folder"].strip("\\").casefold() != folder:
            continue
        run = last.get(name)
        found.append(
            {
                "name": task["name"],
                "definition": definition(task),
                "registered": _stamp(datetime.fromisoformat(task["registered"])),
                "last_run": _stamp(datetime.fromisoformat(run["at"])) if run else "",
                "last_result": run["result"] if run else 0x41303,
            }
        )
    return found


def definition(task: dict[str, Any]) -> str:
    """A task as the scheduler keeps it: https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema."""
    triggers = "".join(_trigger(trigger) for trigger in task["triggers"])
    actions = "".join(
        f"<Exec><Command>{html.escape(action['path'], quote=False)}</Command>"
        f"<Arguments>{html.escape(action.get('arguments') or '', quote=False)}</Arguments></Exec>"
        for action in task["actions"]
    )
    principal, settings = task["principal"], task["settings"]
    level = "HighestAvailable" if principal["run_level"] == "highest" else "LeastPrivilege"
    instances = ("Parallel", "Queue", "IgnoreNew", "StopExisting")[settings["multiple_instances"]]
    enabled = str(settings["enabled"]).lower()
    return (
        '<?xml version="1.0" encoding="UTF-16"?>'
        '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">'
        f"<Triggers>{triggers}</Triggers>"
        f'<Principals><Principal id="Author"><UserId>{principal["user"]}</UserId>'
        f"<LogonType>{_LOGON_TYPES.get(principal['logon_type'], principal['logon_type'])}</LogonType>"
        f"<RunLevel>{level}</RunLevel></Principal></Principals>"
        f"<Settings><MultipleInstancesPolicy>{instances}</MultipleInstancesPolicy><Enabled>{enabled}</Enabled>"
        f"<ExecutionTimeLimit>{settings['execution_time_limit']}</ExecutionTimeLimit></Settings>"
        f'<Actions Context="Author">{actions}</Actions></Task>'
    )


def _trigger(trigger: dict[str, Any]) -> str:
    interval = trigger.get("repetition", {}).get("interval")
    repetition = f"<Repetition><Interval>{interval}</Interval></Repetition>" if interval else ""
    return (
        f"<CalendarTrigger>{repetition}<StartBoundary>{trigger.get('start_boundary', '')}</StartBoundary>"
        f"<Enabled>{str(trigger['enabled']).lower()}</Enabled>"
        "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger>"
    )


def _traffic(server: WindowsServer, flow: dict[str, Any]) -> dict[str, Any]:
    files = FileSystem(server)
    kept = sorted(
        (entry for entry in files.children(flow["archive"]) if entry["type"] == "file"),
        key=lambda entry: float(entry["modified"]),
    )
    metrics = files.get(flow["metrics"]) if flow["metrics"] else None
    return {
        "name": flow["name"],
        "backlog": sum(entry["type"] == "file" for folder in flow["backlog"] for entry in files.children(folder)),
        "newest_archive": _stamp_of(kept[-1]) if kept else "",
        "oldest_archive": _stamp_of(kept[0]) if kept else "",
        "metrics": _stamp_of(metrics) if metrics else "",
    }


def _far_end(call: Call, asked: dict[str, Any]) -> dict[str, Any]:
    end = far_ends.find(call.server, asked["host"], asked["port"])
    up = end is not None and far_ends.reachable(call.server, end)
    scan = ntpath.join(call.args["openssh_directory"], "ssh-keyscan.exe")
    scanned = end is not None and up and FileSystem(call.server).is_file(scan)
    return {"name": asked["name"], "reachable": up, "host_keys": list(end.host_keys) if end and scanned else []}


@handles("cnosf.infogerance.ans_exchange_info", source="documentation of cnosf.infogerance.ans_exchange_info")
def ans_exchange_info(call: Call) -> Result:
    """Read; what runs since the last look have left is there."""
    server = call.server
    tasks = _tasks(call)  # first: runs that are due change the rest
    sources = server.section("eventlogs")["application"]["sources"]
    registered = call.args["event_source"] in sources or Registry(server).exists(
        f"{_EVENTS}\\{call.args['event_source']}"
    )
    return {
        "changed": False,
        "state": {
            "folders": _paths(call),
            "profiles": [
                {
                    "name": name.lower(),
                    "enabled": profile["enabled"],
                    "outbound_action": profile["outbound"].replace("_", ""),
                }
                for name, profile in server.section("firewall")["profiles"].items()
            ],
            "rules": _rules(call),
            "tasks": tasks,
            "flows": [_traffic(server, flow) for flow in call.args["flows"]],
            "far_ends": [_far_end(call, asked) for asked in call.args["far_ends"]],
            "event_source": registered,
            "clock_offset": server.section("exchanges")["clock_offset"] if call.args["time_server"] else "",
        },
    }


@handles("cnosf.infogerance.win_exact_acls", source="documentation of cnosf.infogerance.win_exact_acls")
def win_exact_acls(call: Call) -> Result:
    """Make folders and give them, and files, exactly the declared entries."""
    files = FileSystem(call.server)
    acls = call.server.section("acls")
    changes, before, after = [], [], []
    for wanted in call.args["paths"]:
        path, name = wanted["path"], key(wanted["path"])
        exists = files.resolve(path) is not None
        if not exists and wanted["kind"] == "file" and not call.check:
            raise ModuleFailure(f"'{path}' does not exist: write the file before its rights are set")
        entries = [_entry(entry, wanted["kind"]) for entry in wanted["entries"]]
        own = acls.get(name, {"protected": False, "aces": [], "audit": []})
        if wanted["exact"]:
            target = {"protected": True, "aces": entries, "audit": own["audit"]}
        else:
            added = [entry for entry in entries if not any(_covers(held, entry) for held in own["aces"])]
            target = {**own, "aces": [*own["aces"], *added]}
        if exists and target["protected"] == own["protected"] and _sorted(target["aces"]) == _sorted(own["aces"]):
            continue
        changes.append(path)
        if exists:
            before.append(f"{path}\n{rights.sddl(call.server, path)}")
        if not exists and wanted["kind"] == "directory":
            files.make_dir(path)
        acls[name] = target
        after.append(f"{path}\n{rights.sddl(call.server, path)}")
    diff = {"before": "\n".join(before), "after": "\n".join(after)}
    return {"changed": bool(changes), "changes": changes, "diff": diff}


def _entry(entry: dict[str, str], kind: str) -> dict[str, Any]:
    inherit = 3 if kind == "directory" else 0
    return {
        "sid": entry["sid"],
        "type": "allow",
        "rights": _MASKS[entry["rights"]],
        "inherit": inherit,
        "propagation": 0,
    }


def _covers(held: dict[str, Any], entry: dict[str, Any]) -> bool:
    same = all(held[part] == entry[part] for part in ("sid", "type", "inherit", "propagation"))
    return same and held["rights"] & entry["rights"] == entry["rights"]


def _sorted(aces: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((ace["sid"], ace["type"], ace["rights"], ace["inherit"], ace["propagation"]) for ace in aces)
