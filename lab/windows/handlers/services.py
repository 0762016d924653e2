# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services: win_service, win_service_info."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

import yaml

from lab.windows.data import DATA
from lab.windows.registry import Call, ModuleFailure, Result, handles, on_boot, section

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.windows.server import ServerSpec, WindowsServer

_SVCHOST = r"C:\Windows\system32\svchost.exe -k netsvcs -p"


def new_service(name: str, **values: Any) -> dict[str, Any]:
    """Make a service's state; what is not given has the defaults of New-Service."""
    return {
        "name": name,
        "display_name": name,
        "description": None,
        "path": "",
        "start_mode": "auto",
        "state": "stopped",
        "username": "LocalSystem",
        "dependencies": [],
        "desktop_interact": False,
        "error_control": "normal",
        "service_type": "win32_own_process",
        "sid_info": "none",
        "load_order_group": "",
        "failure_actions": [],
        "failure_actions_on_non_crash_failure": False,
        "failure_command": None,
        "failure_reboot_msg": None,
        "failure_reset_period_sec": 0,
        "pre_shutdown_timeout_ms": 180000,
        "required_privileges": [],
        **values,
    }


@section("services")
def _services(_spec: ServerSpec) -> dict[str, Any]:
    entries = yaml.safe_load((DATA / "services.yml").read_text(encoding="utf-8"))
    return {
        entry["name"].casefold(): new_service(
            entry["name"],
            display_name=entry["display"],
            start_mode=entry["start"],
            state=entry["state"],
            username=entry["account"],
            path=entry.get("path", _SVCHOST),
            dependencies=list(entry.get("depends", ())),
            service_type="win32_own_process" if "path" in entry else "win32_share_process",
        )
        for entry in entries
    }


def find(server: WindowsServer, name: str) -> dict[str, Any] | None:
    """A service by its name or display name."""
    services = server.section("services")
    found: dict[str, Any] | None = services.get(name.casefold())
    if found is not None:
        return found
    return next((entry for entry in services.values() if entry["display_name"].casefold() == name.casefold()), None)


def add(server: WindowsServer, name: str, **values: Any) -> None:
    """Put a service on a server, as the set-up of a role or program does; an existing one stays as it is."""
    server.section("services").setdefault(name.casefold(), new_service(name, **values))


def remove(server: WindowsServer, name: str) -> None:
    """Take a service off a server; nothing happens when it is not there."""
    server.section("services").pop(name.casefold(), None)


def dependents(server: WindowsServer, name: str) -> list[str]:
    """Names of the services that depend on one."""
    return [
        entry["name"]
        for entry in server.section("services").values()
        if name.casefold() in (other.casefold() for other in entry["dependencies"])
    ]


@on_boot(order=20)
def start_automatic(server: WindowsServer) -> None:
    """Start what starts by itself; everything else is stopped after a boot, save what starts on demand."""
    for entry in server.section("services").values():
        if entry["start_mode"] in {"auto", "delayed"} and entry["name"] not in {"RemoteRegistry", "MapsBroker", "BITS"}:
            entry["state"] = "running"
        elif entry["start_mode"] == "disabled":
            entry["state"] = "stopped"


ON_START: dict[str, Callable[[WindowsServer], None]] = {}
"""What happens when a service starts, by its name in lower case. Handlers of other families add theirs."""

ON_INSTANCE_START: dict[str, Callable[[WindowsServer, str], None]] = {}
"""The same for services called ``family$instance``, by ``family$``; the function is told the service's name."""


def _start(server: WindowsServer, entry: dict[str, Any], module: str) -> None:
    if entry["start_mode"] == "disabled":
        raise ModuleFailure(
            f"Failed to start service '{entry['name']}': Le service « {entry['display_name']} ({entry['name']}) » ne "
            "peut pas être démarré en raison de l’erreur suivante : le service est désactivé."
        )
    for name in entry["dependencies"]:
        needed = find(server, name)
        if needed is None:
            raise ModuleFailure(f"Failed to start service '{entry['name']}': {module} needs the service {name}")
        if needed["state"] != "running":
            _start(server, needed, module)
    entry["state"] = "running"
    if entry["name"].casefold() in ON_START:
        ON_START[entry["name"].casefold()](server)
    family = entry["name"].casefold().partition("$")[0] + "$"
    if family in ON_INSTANCE_START:
        ON_INSTANCE_START[family](server, entry["name"])


def _stop(server: WindowsServer, entry: dict[str, Any], *, force: bool) -> list[dict[str, Any]]:
    """Stop a service; gives the ones that were stopped with it."""
    stopped = []
    for name in dependents(server, entry["name"]):
        other = find(server, name)
        if other is not None and other["state"] == "running":
            if not force:
                raise ModuleFailure(
                    f"Failed to stop service '{entry['name']}': Impossible d’arrêter le service "
                    f"« {entry['display_name']} ({entry['name']}) » parce qu’il a des services dépendants : {name}."
                )
            stopped += [*_stop(server, other, force=True), other]
    entry["state"] = "stopped"
    return stopped


def _account(call: Call, name: str) -> str:
    plain = name.casefold()
    if plain in {"system", "localsystem", r"nt authority\system", ".\\localsystem"}:
        return "LocalSystem"
    for word, sid in (("localservice", "S-1-5-19"), ("networkservice", "S-1-5-20")):
        if plain.replace(" ", "").endswith(word):
            return call.server.account_name(sid)
    principal = call.server.resolve(name)
    if principal is None:
        raise ModuleFailure(f"Failed to convert account name '{name}' to a SID: le compte n’existe pas.")
    return principal.account


def _actions(value: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"delay_ms": int(action["delay_ms"]), "type": action["type"]} for action in value]


_PLAIN = (
    "description", "display_name", "error_control", "failure_actions_on_non_crash_failure", "failure_command",
    "failure_reboot_msg", "load_order_group", "path", "required_privileges", "service_type", "sid_info", "start_mode",
)  # fmt: skip


def _configure(call: Call, entry: dict[str, Any], *, created: bool) -> bool:
    args = call.args
    before = dict(entry)
    for name in _PLAIN:
        if args[name] is not None:
            entry[name] = args[name]
    for name in ("failure_reset_period_sec", "pre_shutdown_timeout_ms"):
        if args[name] is not None:
            entry[name] = int(args[name])
    if args["failure_actions"] is not None:
        entry["failure_actions"] = _actions(args["failure_actions"])
    if args["dependencies"] is not None:
        wanted = args["dependencies"]
        current = entry["dependencies"]
        if args["dependency_action"] == "add":
            entry["dependencies"] = current + [name for name in wanted if name not in current]
        elif args["dependency_action"] == "remove":
            entry["dependencies"] = [name for name in current if name not in wanted]
        elif set(current) != set(wanted):
            entry["dependencies"] = wanted
    if args["username"] is not None:
        entry["username"] = _account(call, args["username"])
    if "desktop_interact" in call.given:
        if args["desktop_interact"] and entry["username"] != "LocalSystem":
            raise ModuleFailure("Can only set 'desktop_interact' to true when 'username' equals 'SYSTEM'")
        entry["desktop_interact"] = args["desktop_interact"]
    changed = entry != before
    # The module cannot read the old password and reports a change whenever it sets one.
    when = args["update_password"]
    renewed = args["password"] is not None and (created or when == "always")
    return changed or renewed


def _state(call: Call, entry: dict[str, Any]) -> bool:
    wanted, server, now = call.args["state"], call.server, entry["state"]
    force = call.args["force_dependent_services"]
    if wanted == "started" and now != "running":
        _start(server, entry, call.module)
    elif wanted == "stopped" and now != "stopped":
        _stop(server, entry, force=force)
    elif wanted == "restarted":
        others = _stop(server, entry, force=force) if now == "running" else []
        _start(server, entry, call.module)
        for other in others:
            _start(server, other, call.module)
        return True
    elif wanted == "paused" and now != "paused":
        raise ModuleFailure(f"failed to pause service {entry['name']}: The service does not support pausing")
    return bool(entry["state"] != now)


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "password": "REDACTED"}


@handles("ansible.windows.win_service", source="ansible.windows 3.3.0 win_service documentation and source")
def win_service(call: Call) -> Result:
    """Make, configure, start, stop or remove a service."""
    args, server = call.args, call.server
    entry = find(server, args["name"])
    before: Any = _shown(entry) if entry else ""
    if args["state"] == "absent":
        if entry is not None:
            _stop(server, entry, force=args["force_dependent_services"])
            remove(server, entry["name"])
        result: Result = {"changed": entry is not None, "exists": False}
        return {**result, "diff": {"before": before, "after": ""}} if call.diff else result
    options = call.given - {"name", "force_dependent_services", "dependency_action", "update_password"}
    if entry is None and not options:
        return {"changed": False, "exists": False}
    created = entry is None
    if entry is None:
        if args["path"] is None:
            raise ModuleFailure(
                f"Service '{args['name']}' is not installed, need to set 'path' to create a new service"
            )
        entry = new_service(args["name"])
        server.section("services")[args["name"].casefold()] = entry
    changed = _configure(call, entry, created=created)
    changed = _state(call, entry) or changed or created
    result = {
        "changed": changed,
        "exists": True,
        "can_pause_and_continue": False,
        "depended_by": dependents(server, entry["name"]),
        **{
            key: entry[key]
            for key in (
                "name", "display_name", "description", "path", "start_mode", "state", "username", "dependencies",
                "desktop_interact",
            )
        },
    }  # fmt: skip
    if call.diff:
        result["diff"] = {"before": before, "after": _shown(entry)}
    return result


@handles("ansible.windows.win_service_info", source="ansible.windows 3.3.0 win_service_info documentation")
def win_service_info(call: Call) -> Result:
    """Describe services: all, or those whose name or display name fits a pattern."""
    server = call.server
    pattern = (call.args["name"] or "*").casefold()
    found = []
    for entry in server.section("services").values():
        if not any(fnmatch.fnmatchcase(entry[key].casefold(), pattern) for key in ("name", "display_name")):
            continue
        running = entry["state"] == "running"
        found.append(
            {
                "checkpoint": 0,
                "controls_accepted": ["stop", "shutdown"] if running else [],
                "dependencies": entry["dependencies"],
                "dependency_of": dependents(server, entry["name"]),
                "description": entry["description"],
                "desktop_interact": entry["desktop_interact"],
                "display_name": entry["display_name"],
                "error_control": entry["error_control"],
                "failure_actions": entry["failure_actions"],
                "failure_action_on_non_crash_failure": entry["failure_actions_on_non_crash_failure"],
                "failure_command": entry["failure_command"],
                "failure_reboot_msg": entry["failure_reboot_msg"],
                "failure_reset_period_sec": entry["failure_reset_period_sec"],
                "launch_protection": "none",
                "load_order_group": entry["load_order_group"],
                "name": entry["name"],
                "path": entry["path"],
                "pre_shutdown_timeout_ms": entry["pre_shutdown_timeout_ms"],
                "preferred_node": None,
                "process_id": 0 if not running else 1000 + sum(map(ord, entry["name"])) * 4,
                "required_privileges": entry["required_privileges"],
                "service_exit_code": 0,
                "service_flags": [],
                "service_type": entry["service_type"],
                "sid_info": entry["sid_info"],
                "start_mode": entry["start_mode"],
                "state": {"running": "started"}.get(entry["state"], entry["state"]),
                "triggers": [],
                "username": r"AUTORITE NT\Système" if entry["username"] == "LocalSystem" else entry["username"],
                "wait_hint_ms": 0,
                "win32_exitcode": 0 if running else 1077,
            }
        )
    return {"changed": False, "exists": bool(found), "services": found}
