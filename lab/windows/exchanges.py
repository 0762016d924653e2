# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the transfer script on the lab's clock: what one leaves in folders, metrics and the scheduler.

Written from the script itself (roles/ans_exchange/files) and the configuration that the role writes. A run that is due
is made up for when somebody looks: one run then stands for all that were due since the last look.
"""

from __future__ import annotations

import json
import ntpath
import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lab.windows import far_ends
from lab.windows.domains import domain_of
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.certificates import load
from lab.windows.handlers.clock import iana_zone
from lab.windows.registry import DIRECTORIES, ModuleFailure, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

SUCCESS, FAILURE, NOT_FOUND, LOGON_FAILURE = 0, 1, 0xFFFD0000, 0x8007052E
"""Results of a task: the script's own two, powershell.exe's for a script that is not there, and a refused logon's."""

_ACTION = re.compile(r'-File "(?P<script>[^"]+Invoke-AnsExchange\.ps1)" -Flow (?P<flow>\S+)')
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_UNFINISHED = re.compile(r"\.(part|tmp|filepart)$")
_INTERVAL = re.compile(r"PT(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?")


@section("exchanges")
def _exchanges(_spec: ServerSpec) -> dict[str, Any]:
    # runs: key of the task -> {at, result}.
    return {"runs": {}, "clock_offset": "+00.0012345"}


class RunFailure(Exception):  # noqa: N818 - what a run is
    """The script ends with an error, whose sentence goes into the event log."""


def runs(server: WindowsServer) -> dict[str, Any]:
    """Last runs by the key of their task, those that are due made up for first."""
    state = server.section("exchanges")["runs"]
    for name, task in server.section("scheduled_tasks")["tasks"].items():
        match = _ACTION.search(str(task["actions"][0].get("arguments") or ""))
        if match is None or not task["settings"]["enabled"]:
            continue
        at = due(server, task)
        if at is not None and (name not in state or datetime.fromisoformat(state[name]["at"]) < at):
            state[name] = {"at": at.isoformat(), "result": _run(server, task, match["script"], match["flow"])}
    return dict(state)


def due(server: WindowsServer, task: dict[str, Any]) -> datetime | None:
    """The last moment at which a task should have started since it was registered; None before its first."""
    zone = zoneinfo.ZoneInfo(iana_zone(server.section("clock")["timezone"]))
    now = server.now().astimezone(zone)
    found = []
    for trigger in task["triggers"]:
        if trigger["type"] != "daily" or not trigger["enabled"]:
            continue
        start = datetime.fromisoformat(trigger["start_boundary"]).replace(tzinfo=zone)
        today = start.replace(year=now.year, month=now.month, day=now.day)
        begun = today if today <= now else today - timedelta(days=1)
        interval = _INTERVAL.fullmatch(str(trigger.get("repetition", {}).get("interval") or ""))
        if interval is not None:
            step = timedelta(hours=int(interval["hours"] or 0), minutes=int(interval["minutes"] or 0))
            begun += step * ((now - begun) // step)
        found.append(begun.astimezone(UTC))
    last = max(found, default=None)
    return last if last is not None and last >= datetime.fromisoformat(task["registered"]) else None


@dataclass(frozen=True, slots=True)
class _Run:
    server: WindowsServer
    files: FileSystem
    flow: dict[str, Any]
    now: datetime


def _run(server: WindowsServer, task: dict[str, Any], script: str, flow: str) -> int:
    files = FileSystem(server)
    configuration = ntpath.join(ntpath.dirname(ntpath.dirname(script)), "etc", "exchange.json")
    if not _may_log_on(server, task["principal"]["user"]):
        return LOGON_FAILURE
    if not files.is_file(script):
        return NOT_FOUND
    if not files.is_file(configuration):
        return FAILURE
    values = json.loads(files.read(configuration))
    own = next((entry for entry in values["flows"] if entry["name"] == flow), None)
    if own is None:
        return FAILURE
    run = _Run(server, files, own, server.now())
    try:
        _transfer(run, values)
        _prune(run)
    except (RunFailure, ModuleFailure):
        _measure(run, success=False)
        return FAILURE
    _measure(run, success=True)
    return SUCCESS


def _may_log_on(server: WindowsServer, sid: str | None) -> bool:
    """Whether an account can be logged on as a batch job: a managed one, whose password the server may ask for."""
    domain = domain_of(server)
    account = domain.find(sid) if domain is not None and sid else None
    own = domain.find(f"{server.computer_name}$") if domain is not None else None
    if domain is None or account is None or own is None or account["class"] != "msDS-GroupManagedServiceAccount":
        return False
    computer = str(own["attributes"]["objectSid"])
    mine = {computer} | {group for directory in DIRECTORIES for group in directory.groups_of(server, computer)}
    allowed = [domain.get(name) for name in account["attributes"].get("msDS-GroupMSAMembership", ())]
    trusted = {str(entry["attributes"]["objectSid"]) for entry in allowed if entry is not None}
    return bool(mine & trusted) and sid in server.section("user_rights").get("SeBatchLogonRight", ())


def _transfer(run: _Run, values: dict[str, Any]) -> None:
    if run.flow["protocol"] == "sftp":
        _reach_sftp(run, values)
    else:
        _reach_https(run)
    if run.flow["direction"] == "in":
        name = f"{run.flow['name']}-{run.now:%Y%m%dT%H%M%SZ}"
        for folder in ("archive", "drop"):
            run.files.write(ntpath.join(run.flow[folder], name), b"from the far end")
        return
    for entry in [*waiting(run.files, run.flow["drop"]), *waiting(run.files, run.flow["sending"])]:
        name = ntpath.basename(entry["path"])
        if not _SAFE.fullmatch(name):
            raise RunFailure("files have names with other characters")
        run.files.write(ntpath.join(run.flow["archive"], name), run.files.read(entry["path"]))
        run.files.remove(entry["path"])


def waiting(files: FileSystem, folder: str) -> list[dict[str, Any]]:
    """Files of a folder that are whole."""
    return [
        entry for entry in files.children(folder) if entry["type"] == "file" and not _UNFINISHED.search(entry["path"])
    ]


def _option(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def _reach_sftp(run: _Run, values: dict[str, Any]) -> None:
    arguments = run.flow["arguments"]
    user, _, host = arguments[-1].partition("@")
    port = int(_option(arguments, "-P"))
    pinned = next(text.partition("=")[2] for text in arguments if text.startswith("UserKnownHostsFile="))
    end = far_ends.find(run.server, host, port)
    if not run.files.is_file(values["sftp"]) or not run.files.is_file(_option(arguments, "-i")) or not user:
        raise RunFailure("sftp or its key is missing")
    if end is None or not far_ends.reachable(run.server, end):
        raise RunFailure("the far end cannot be reached")
    place = host if port == 22 else f"[{host}]:{port}"
    lines = run.files.read(pinned).decode().splitlines()
    known = {line.partition(" ")[2] for line in lines if line.partition(" ")[0] == place}
    if not known & set(end.host_keys):
        raise RunFailure("the far end is not the pinned one")


def _reach_https(run: _Run) -> None:
    host, _, rest = run.flow["url"].removeprefix("https://").partition("/")
    name, _, port = host.partition(":")
    end = far_ends.find(run.server, name, int(port or 443))
    if end is None or not far_ends.reachable(run.server, end):
        raise RunFailure(f"the far end cannot be reached for {rest}")
    if far_ends.fault(run.server, run.flow["thumbprint"]):
        raise RunFailure("the certificate is of no use")


def _prune(run: _Run) -> None:
    days = int(run.flow["retention_days"])
    limit = (run.now - timedelta(days=days)).timestamp()
    for entry in waiting(run.files, run.flow["archive"]):
        if days and float(entry["modified"]) < limit:
            run.files.remove(entry["path"])


def _measure(run: _Run, *, success: bool) -> None:
    flow, files = run.flow, run.files
    marker = ntpath.join(flow["home"], "last_success.tmp")
    if success:
        files.write(marker, b"")
    if not flow["metrics"]:
        return
    folders = [flow["receiving"]] if flow["direction"] == "in" else [flow["drop"], flow["sending"]]
    label = f'{{flow="{flow["name"]}"}}'
    values = {"flow_backlog_files": sum(len(files.children(folder)) for folder in folders)}
    last = files.get(marker)
    if last is not None:
        values["flow_last_success_timestamp_seconds"] = int(last["modified"])
    stored = run.server.section("certificates")["LocalMachine"]["My"].get(flow["thumbprint"].upper())
    if stored is not None:
        values["cert_not_after"] = int(load(stored).not_valid_after_utc.timestamp())
    text = "".join(f"# TYPE {name} gauge\n{name}{label} {value}\n" for name, value in values.items())
    files.write(flow["metrics"], text.encode())
