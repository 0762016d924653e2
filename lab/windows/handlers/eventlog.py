# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Event logs of the classic kind: win_eventlog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec

_OVERFLOW = {
    "overwriteasneeded": "OverwriteAsNeeded",
    "overwriteolder": "OverwriteOlder",
    "donotoverwrite": "DoNotOverwrite",
}
_UNITS = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}


def _log(name: str, maximum_kb: int, sources: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "entries": 40,
        "maximum_size_kb": maximum_kb,
        "overflow_action": "OverwriteAsNeeded",
        "retention_days": 0,
        "sources": {source: {} for source in sources},
    }


@section("eventlogs")
def _eventlogs(_spec: ServerSpec) -> dict[str, Any]:
    logs = (
        _log("Application", 20480, ["Application", "MsiInstaller", "ESENT", "VSS"]),
        _log("Security", 20480, ["Security", "Microsoft-Windows-Security-Auditing"]),
        _log("System", 20480, ["System", "Service Control Manager", "USER32", "W32Time", "Tcpip"]),
        _log("Windows PowerShell", 15360, ["PowerShell"]),
        _log("HardwareEvents", 20480, ["HardwareEvents"]),
        _log("Key Management Service", 20480, ["KmsRequests"]),
    )
    return {str(log["name"]).casefold(): log for log in logs}


def _kb(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*(kb|mb|gb)", text.strip(), re.IGNORECASE)
    if match is None:
        raise ModuleFailure(f"Maximum size {text} is not properly specified")
    size = int(match.group(1)) * _UNITS[match.group(2).lower()]
    if size % 65536 or not 65536 <= size <= 4 * 1024**3:
        raise ModuleFailure(
            f"Maximum size {text} must be a multiple of 64 KB and lie between 64 KB and 4 GB (Limit-EventLog)"
        )
    return size // 1024


def _sources(logs: dict[str, Any], log: dict[str, Any], names: list[str], files: dict[str, str]) -> list[str]:
    changed = []
    for name in names:
        for other in logs.values():
            if other is not log and name in other["sources"]:
                raise ModuleFailure(f"Source {name} already exists, but is registered to log {other['name']}")
        known = log["sources"].get(name)
        if known is None or any(known.get(key) != value for key, value in files.items()):
            log["sources"][name] = {**(known or {}), **files}
            changed.append(name)
    return changed


@handles("ansible.windows.win_eventlog", source="ansible.windows 3.3.0 win_eventlog documentation and source")
def win_eventlog(call: Call) -> Result:
    """Make, limit, clear or remove a log or its sources."""
    args = call.args
    name, sources = args["name"], args["sources"] or []
    logs = call.server.section("eventlogs")
    log = logs.get(name.casefold())
    result: Result = {"changed": False, "name": name, "sources_changed": []}
    files = {key: args[key] for key in ("category_file", "message_file", "parameter_file") if args[key]}
    if args["state"] == "present":
        if log is None:
            if not sources:
                raise ModuleFailure(
                    "You must specify one or more sources when creating a log for the first time", **result
                )
            log = _log(name, 512, [name])
            log["entries"] = 0
            logs[name.casefold()] = log
            result["changed"] = True
        elif name in sources and files:
            raise ModuleFailure(
                f"Cannot modify default source {name} of log {name} - you must remove the log", **result
            )
        result["sources_changed"] = _sources(logs, log, sources, files)
        wanted = {
            "maximum_size_kb": _kb(args["maximum_size"]) if args["maximum_size"] else None,
            "overflow_action": _OVERFLOW[args["overflow_action"].casefold()] if args["overflow_action"] else None,
            "retention_days": args["retention_days"] or None,
        }
        if wanted["retention_days"] and (wanted["overflow_action"] or log["overflow_action"]) != "OverwriteOlder":
            raise ModuleFailure("RetentionDays is valid only with the overflow action OverwriteOlder", **result)
        for key, value in wanted.items():
            if value is not None and log[key] != value:
                log[key] = value
                result["changed"] = True
        result["changed"] = result["changed"] or bool(result["sources_changed"])
    elif args["state"] == "clear":
        if log is None:
            raise ModuleFailure(f"Cannot clear log {name} as it does not exist", **result)
        result["changed"] = log["entries"] > 0
        log["entries"] = 0
    else:
        if name in sources:
            raise ModuleFailure(
                f"Cannot remove default source {name} from log {name} - you must remove the log", **result
            )
        if log is not None and sources:
            gone = [source for source in sources if log["sources"].pop(source, None) is not None]
            result.update(changed=bool(gone), sources_changed=gone)
        elif log is not None:
            result.update(changed=True, sources_changed=list(log["sources"]))
            del logs[name.casefold()]
            log = None
    if call.check:
        result["sources_changed"] = []  # the module names only the ones that it really changed
    if log is None:
        return {**result, "exists": False}
    shown = ("entries", "maximum_size_kb", "overflow_action", "retention_days")
    return {**result, "exists": True, **{key: log[key] for key in shown}, "sources": list(log["sources"])}
