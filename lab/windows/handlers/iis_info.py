# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own modules for IIS: iis_info, iis_hidden_segments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem
from lab.windows.handlers import certificates, features, iis_http, iis_logs, iis_state, rights, services
from lab.windows.handlers.registry_values import AWAITED
from lab.windows.hive import Registry
from lab.windows.network import Unreachable, WebRequest
from lab.windows.registry import Call, ModuleFailure, Result, handles
from lab.windows.systems import system

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_OLD = ("TLS 1.0", "TLS 1.1")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _releases(files: FileSystem, path: str) -> list[dict[str, str]]:
    found = []
    for entry in files.children(path) if files.is_dir(path) else []:
        if entry["type"] != "directory":
            continue
        marks = {kind: f"{entry['path']}.{kind}" for kind in ("unpacked", "healthy")}
        held = {kind: files.read(mark).decode().strip() if files.is_file(mark) else "" for kind, mark in marks.items()}
        own = files.get(marks["healthy"])
        since = _stamp(datetime.fromtimestamp(own["modified"], UTC)) if own and held["healthy"] else ""
        found.append({"name": entry["path"].rpartition("\\")[2], **held, "since": since})
    return found


def _rights(call: Call, path: str) -> dict[str, Any]:
    exists = FileSystem(call.server).is_dir(path)
    return {"path": path, "exists": exists, "sddl": rights.sddl(call.server, path) if exists else ""}


def _pool(server: WindowsServer, pool: dict[str, Any], passwords: dict[str, str]) -> dict[str, Any]:
    name = pool["name"].casefold()
    return {
        "name": pool["name"],
        "state": iis_state.run_state(server, pool),
        "attributes": [{"name": key, "value": str(value)} for key, value in pool["attributes"].items()],
        "recycle_times": list(pool["times"]),
        "password_matches": name not in passwords or pool["password"] == iis_state.digest(passwords[name]),
    }


def _directories(holder: dict[str, Any]) -> list[dict[str, str]]:
    return [dict(entry) for entry in holder["directories"].values()]


def _site(server: WindowsServer, site: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": site["name"],
        "state": iis_state.run_state(server, site),
        "pool": site["pool"],
        "physical_path": site["path"],
        "bindings": [
            {
                "protocol": item["protocol"],
                "information": item["information"],
                "sni": bool(item["flags"] & 1),
                "certificate": item["certificate"],
                "store": item["store"],
            }
            for item in site["bindings"]
        ],
        "virtual_directories": _directories(site),
        "applications": [
            {
                **{key: entry[key] for key in ("path", "pool", "physical_path")},
                "virtual_directories": _directories(entry),
            }
            for entry in site["applications"].values()
        ],
        "hsts": [{"name": key, "value": str(value)} for key, value in site["hsts"].items()]
        if system(server.section("system")["system"]).build >= 17763
        else [],
    }


def _answer(server: WindowsServer, endpoint: dict[str, Any]) -> dict[str, Any]:
    site, address, port = endpoint["site"], endpoint["address"], endpoint["port"]
    host = endpoint["host"] or address
    answer: dict[str, Any] = {
        "site": site,
        "error": "",
        "status": 0,
        "hsts": "",
        "certificate": "",
        "not_after": "",
        "old_protocols": [],
    }
    scheme = "https" if endpoint["tls"] else "http"
    if port not in iis_http.ports(server):
        refused = "Aucune connexion n’a pu être établie car l’ordinateur cible l’a expressément refusée"
        return {**answer, "error": f"{refused} {address}:{port}"}
    try:
        if endpoint["tls"]:
            certificate = iis_http.handshake(server, address, port, host)
            answer["certificate"] = certificates.thumbprint(certificate)
            answer["not_after"] = _stamp(certificate.not_valid_after_utc)
        asked = WebRequest(server, scheme, address, port, f"{host}:{port}", "GET", endpoint["path"], verify=False)
        reply = iis_http.serve(server, asked)
    except Unreachable as error:
        return {**answer, "error": str(error)}
    answer.update(status=reply.status, hsts=reply.headers.get("strict-transport-security", ""))
    for protocol in _OLD if endpoint["tls"] else ():
        try:
            iis_http.handshake(server, address, port, host, protocol)
        except Unreachable:
            continue
        answer["old_protocols"].append(protocol)
    return answer


def _settings(call: Call, state: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    attributes = []
    aspnet = features.installed(call.server, "Web-Net-Ext45")
    for wanted in call.args["attributes"] or []:
        values = state["attributes"].get(wanted["filter"])
        if values is None or wanted["name"] not in values:
            raise ModuleFailure(f"The lab knows no attribute {wanted['filter']}/@{wanted['name']} of IIS.")
        known = aspnet or not wanted["filter"].startswith("/system.web/")
        value = str(values[wanted["name"]]) if known else None
        attributes.append({"filter": wanted["filter"], "name": wanted["name"], "value": value})
    collections = []
    for wanted in call.args["collections"] or []:
        if wanted["filter"] not in state["collections"]:
            raise ModuleFailure(f"The lab knows no collection {wanted['filter']} of IIS.")
        names = iis_state.COLLECTIONS[wanted["filter"]][:2]
        if (wanted["key"], wanted["value"]) != names:
            raise ModuleFailure(f"Entries of {wanted['filter']} have {' and '.join(names)}.")
        collections.append({"filter": wanted["filter"], "entries": list(state["collections"][wanted["filter"]])})
    return attributes, collections


def _log(server: WindowsServer, log: dict[str, Any], directory: str | None) -> dict[str, Any]:
    files = FileSystem(server)
    entries = files.walk(directory) if directory and files.is_dir(directory) else []
    ages = [
        int((server.now().timestamp() - entry["modified"]) // 86400)
        for entry in entries
        if entry["type"] == "file" and entry["path"].casefold().endswith(".log")
    ]
    return {**log, "fields": list(log["fields"]), "oldest_days": max(ages, default=-1)}


def _retention(server: WindowsServer, name: str | None) -> dict[str, Any]:
    tasks = server.section("scheduled_tasks")["tasks"].values()
    task = next((task for task in tasks if name and task["name"].casefold() == name.casefold()), None)
    enabled = task is not None and bool(task["settings"]["enabled"])
    last = iis_logs.result(server, task) if task is not None else 0
    return {"exists": task is not None, "enabled": enabled, "last_result": last}


def _stale(server: WindowsServer, state: dict[str, Any]) -> bool:
    module = FileSystem(server).get(iis_state.HOSTING_MODULE)
    if module is None or not iis_state.running(server):
        return False
    return datetime.fromisoformat(state["started"]).timestamp() < float(module["created"])


@handles("cnosf.infogerance.iis_info", source="plugins/modules/iis_info.yml")
def iis_info(call: Call) -> Result:
    """Read; never change."""
    server, args = call.server, call.args
    files = FileSystem(server)
    found: dict[str, Any] = {
        "time": _stamp(server.now()),
        "build": system(server.section("system")["system"]).build,
        "installed": False,
        "reboot_awaited": Registry(server).data(AWAITED, "reboot") is not None,
        "missing_folders": [path for path in args["folders"] or [] if not files.is_dir(path)],
        "rights": [_rights(call, path) for path in args["rights"] or []],
        "releases": [{"path": path, "folders": _releases(files, path)} for path in args["releases"] or []],
    }
    if not iis_state.installed(server):
        return {"changed": False, "state": found}
    state = iis_state.iis(server)
    passwords = {entry["pool"].casefold(): entry["password"] for entry in args["credentials"] or []}
    attributes, collections = _settings(call, state)
    both = [service for name in ("W3SVC", "WAS") if (service := services.find(server, name)) is not None]
    found.update(
        installed=True,
        services=[{key: service[key] for key in ("name", "state", "start_mode")} for service in both],
        module_present=files.get(iis_state.HOSTING_MODULE) is not None,
        stale_module=_stale(server, state),
        pools=[_pool(server, pool, passwords) for pool in state["pools"].values()],
        sites=[_site(server, site) for site in state["sites"].values()],
        settings=attributes,
        collections=collections,
        retention=_retention(server, args["retention_task"]),
        log=_log(server, state["log"], args["log_directory"]),
        answers=[_answer(server, endpoint) for endpoint in args["endpoints"] or []],
    )
    return {"changed": False, "state": found}


@handles("cnosf.infogerance.iis_hidden_segments", source="plugins/modules/iis_hidden_segments.yml")
def iis_hidden_segments(call: Call) -> Result:
    """Add segments to those that are hidden."""
    if not iis_state.installed(call.server):
        raise ModuleFailure("IIS is not installed on this server: install the feature Web-Server first")
    path = "/system.webServer/security/requestFiltering/hiddenSegments"
    entries = iis_state.iis(call.server)["collections"][path]
    before = [entry["key"] for entry in entries]
    there = {name.casefold() for name in before}
    missing = [name for name in call.args["segments"] if name.casefold() not in there]
    entries += [{"key": name, "value": name} for name in missing]
    result: Result = {"changed": bool(missing)}
    if call.diff:
        result["diff"] = {"before": "\n".join(before), "after": "\n".join([*before, *missing])}
    return result
