# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows Update: win_updates and the operations of its action plugin."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import yaml

from lab.windows.data import DATA
from lab.windows.hive import CURRENT_VERSION, Registry
from lab.windows.registry import Call, Result, handles, on_boot, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

Update = dict[str, Any]
_NAMES = {
    "CriticalUpdates": "Critical Updates",
    "DefinitionUpdates": "Definition Updates",
    "DeveloperKits": "Developer Kits",
    "FeaturePacks": "Feature Packs",
    "SecurityUpdates": "Security Updates",
    "ServicePacks": "Service Packs",
    "UpdateRollups": "Update Rollups",
}


@functools.cache
def catalogue(system: str) -> tuple[Update, ...]:
    """Updates that the lab's Windows Update has for a system."""
    return tuple(yaml.safe_load((DATA / "updates.yml").read_text(encoding="utf-8"))[system])


@section("updates")
def _updates(_spec: ServerSpec) -> dict[str, Any]:
    # installed and waiting: KB -> id; waiting ones count as installed once the server has booted
    return {"installed": {}, "waiting": {}, "downloaded": []}


@on_boot(order=15)
def finish_updates(server: WindowsServer) -> None:
    """Finish what waited for the reboot; a cumulative update raises the build's revision."""
    state = server.section("updates")
    for update in catalogue(server.section("system")["system"]):
        if update["kb"][0] in state["waiting"] and update.get("revision"):
            Registry(server).set(CURRENT_VERSION, "UBR", "dword", update["revision"])
    state["installed"].update(state["waiting"])
    state["waiting"] = {}


def offered(server: WindowsServer) -> list[Update]:
    """Updates that a search finds now."""
    state = server.section("updates")
    found = []
    for update in catalogue(server.section("system")["system"]):
        done = update["kb"][0] in state["installed"] or update["kb"][0] in state["waiting"]
        if not done and ("after" not in update or update["after"] in state["installed"].values()):
            found.append(update)
    return found


def _matches(update: Update, patterns: list[str]) -> bool:
    return any(
        re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in (update["title"], *update["kb"])
    )


def _reasons(update: Update, args: dict[str, Any]) -> list[str]:
    reasons = []
    categories = [_NAMES.get(name, name).casefold() for name in args["category_names"]]
    if args["accept_list"] and not _matches(update, args["accept_list"]):
        reasons.append("accept_list")
    if args["reject_list"] and _matches(update, args["reject_list"]):
        reasons.append("reject_list")
    if (
        categories
        and "*" not in categories
        and not {name.casefold() for name in update["categories"]} & set(categories)
    ):
        reasons.append("category_names")
    if args["skip_optional"] and update.get("optional"):
        reasons.append("skip_optional")
    return reasons


def _search(call: Call) -> tuple[list[Update], dict[str, list[str]]]:
    found = offered(call.server)
    filtered = {update["id"]: reasons for update in found if (reasons := _reasons(update, call.args))}
    return found, filtered


def _install(call: Call, chosen: list[Update]) -> bool:
    """Install updates; tells whether a reboot is needed."""
    state = call.server.section("updates")
    reboot = False
    for update in chosen:
        state["waiting" if update["reboot"] else "installed"][update["kb"][0]] = update["id"]
        reboot = reboot or update["reboot"]
    if reboot:
        call.server.reboot_pending("Windows Update")
    return reboot


def _run(call: Call) -> list[dict[str, Any]]:
    """Do the whole work; gives the progress messages that the action plugin collects."""
    args, server = call.args, call.server
    found, filtered = _search(call)
    chosen = [update for update in found if update["id"] not in filtered]
    output: list[dict[str, Any]] = [
        {"task": "started", "result": {}},
        {
            "task": "search_result",
            "result": {
                "updates": [{key: update[key] for key in ("id", "title", "kb", "categories")} for update in found],
                "filtered": [{"id": key, "reasons": reasons} for key, reasons in filtered.items()],
            },
        },
    ]
    waiting = bool(server.section("updates")["waiting"])
    final: dict[str, Any] = {"changed": False, "reboot_required": waiting, "failed": False}
    if call.check or args["state"] == "searched" or not chosen:
        final["changed"] = bool(chosen) and args["state"] != "searched"
    elif waiting:
        message = "A reboot is required before more updates can be installed"
        final.update(failed=True, exception={"message": message, "exception": message})
    else:
        info = [{"id": update["id"], "result_code": 2, "hresult": 0} for update in chosen]
        state = server.section("updates")
        fresh = [update["id"] for update in chosen if update["id"] not in state["downloaded"]]
        state["downloaded"] += fresh
        output.append({"task": "download_result", "result": {"info": [dict(entry) for entry in info]}})
        if args["state"] == "installed":
            final["reboot_required"] = _install(call, chosen)
            output.append({"task": "install_result", "result": {"info": info}})
        final["changed"] = bool(fresh) or args["state"] == "installed"
    output.append({"task": "exit", "result": final})
    return output


def _summary(output: list[dict[str, Any]]) -> Result:
    """Result of an asynchronous run, which the module words itself."""
    result: Result = {"rebooted": False, "updates": {}, "filtered_updates": {}}
    infos: dict[str, dict[str, Any]] = {}
    filtered: dict[str, list[str]] = {}
    for message in output:
        task, content = message["task"], message["result"]
        if task == "search_result":
            filtered = {entry["id"]: entry["reasons"] for entry in content["filtered"]}
            for update in content["updates"]:
                plain = [kb.removeprefix("KB") for kb in update["kb"]]
                infos[update["id"]] = {**update, "kb": plain, "installed": False, "downloaded": False}
        elif task in {"download_result", "install_result"}:
            key = "downloaded" if task == "download_result" else "installed"
            for entry in content["info"]:
                infos[entry["id"]][key] = True
        elif task == "exit":
            result.update({key: content[key] for key in ("changed", "reboot_required", "failed")})
            if "exception" in content:
                result["msg"] = content["exception"]["message"]
    for key, info in infos.items():
        if key in filtered:
            result["filtered_updates"][key] = {**info, "filtered_reasons": filtered[key]}
        else:
            result["updates"][key] = info
    chosen = result["updates"].values()
    result.update(
        found_update_count=len(chosen),
        failed_update_count=0,
        installed_update_count=sum(info["installed"] for info in chosen),
    )
    return result


@handles(
    "ansible.windows.win_updates", source="ansible.windows 3.3.0 win_updates documentation, source and action plugin"
)
def win_updates(call: Call) -> Result:
    """Search, download and install updates: one operation of the action plugin, or all of it when asynchronous."""
    options = call.args["_operation_options"] or {}
    match call.args["_operation"]:
        case "poll":
            return {"changed": False, "output": options["output"]}
        case "cancel":
            return {"changed": False}
        case _:
            output = _run(call)
            if options.get("wait"):
                return _summary(output)
            # The start hands the outcome to the poll: the work takes no time here, and check mode keeps nothing.
            return {"changed": False, "poll_options": {"output": output}, "cancel_options": {"cancel_id": "lab"}}
