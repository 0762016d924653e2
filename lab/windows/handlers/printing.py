# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Printing: print_drivers, print_ports, print_queues, print_server_info.

Modelled on the pages of the module PrintManagement for Windows Server 2022 (Add-Printer, Set-Printer,
Set-PrintConfiguration, Add-PrinterDriver, Get-PrintJob), of Win32_TCPIPPrinterPort and of pnputil.
"""

from __future__ import annotations

import ntpath
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.windows import network
from lab.windows.devices import answers, device_at, inbox_drivers
from lab.windows.domains import domain_of, domains_of
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.print_security import entries, normalised
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section
from lab.windows.systems import system

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

IPP_DRIVER = "Microsoft IPP Class Driver"
DEFAULT_SDDL = (
    "G:SYD:(A;OIIO;GA;;;CO)(A;OIIO;GA;;;AC)(A;;SWRC;;;WD)(A;CIIO;GX;;;WD)(A;;SWRC;;;AC)(A;CIIO;GX;;;AC)"
    "(A;;LCSWDTSDRCWDWO;;;BA)(A;OICIIO;GA;;;BA)"
)
"""What Windows gives a new queue."""

_STOPPED = "The print spooler does not run: start the service Spooler first"
_BY_NAME = "The print spooler does not run: drivers, ports and queues are compared by their names alone"
_RPC = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows NT\Printers\RPC"
_PAPERS = {
    "A2", "A3", "A4", "A5", "A6", "B4", "B5", "Letter", "Legal", "Tabloid", "Executive", "Folio", "Statement",
    "EnvelopeDL", "EnvelopeC5", "Custom",
}  # fmt: skip


def new_queue(name: str, driver: str, port: str) -> dict[str, Any]:
    """Make a queue's state as Add-Printer leaves it."""
    return {
        "name": name,
        "driver": driver,
        "port": port,
        "shared": False,
        "share": "",
        "published": False,
        "location": "",
        "comment": "",
        "sddl": normalised(DEFAULT_SDDL),
        "duplex": "OneSided",
        "paper": "A4",
        "color": True,
        "paused": False,
        "jobs": [],
    }


@section("printing")
def _printing(_spec: ServerSpec) -> dict[str, Any]:
    drivers = [driver for driver in inbox_drivers() if driver.installed]
    queues = [
        new_queue("Microsoft XPS Document Writer", "Microsoft XPS Document Writer v4", "PORTPROMPT:"),
        new_queue("Microsoft Print to PDF", "Microsoft Print To PDF", "PORTPROMPT:"),
    ]
    return {
        "store": {driver.name: driver.version for driver in inbox_drivers()},
        "drivers": {driver.name.casefold(): {"name": driver.name, "version": driver.version} for driver in drivers},
        "ports": {},
        "ipp_ports": {},
        "queues": {queue["name"].casefold(): queue for queue in queues},
        "next_job": 2,
    }


def _rpc_ports(server: WindowsServer) -> tuple[int, ...]:
    """The fixed port of the spooler's RPC, when a policy gives it one."""
    port = Registry(server).data(_RPC, "RpcTcpPort", 0)
    return (int(port),) if port else ()


network.SERVICE_PORTS["spooler"] = _rpc_ports


def runs(server: WindowsServer) -> bool:
    """Whether the print spooler runs."""
    return bool(server.section("services")["spooler"]["state"] == "running")


def submit(server: WindowsServer, queue: str, moment: datetime) -> int:
    """Put a job into a queue, as somebody who prints does, and give its number."""
    printing = server.section("printing")
    number = int(printing["next_job"])
    printing["next_job"] = number + 1
    printing["queues"][queue.casefold()]["jobs"].append({"id": number, "submitted": moment.isoformat()})
    return number


def _ready(call: Call) -> bool:
    """Whether the spooler answers; in check mode names are known without it."""
    running = runs(call.server)
    if not running and not call.check:
        raise ModuleFailure(_STOPPED)
    return running


def _answer(call: Call, changes: list[dict[str, Any]], pattern: str = "{name} {property} = ", **more: Any) -> Result:
    result: Result = {"changed": bool(changes), "changes": changes, **more}
    if call.diff:
        result["diff"] = {
            side: "\n".join(
                pattern.format(**change) + ("" if change[side] is None else str(change[side])) for change in changes
            )
            for side in ("before", "after")
        }
    return result


def _change(name: str, what: str, before: Any, after: Any) -> dict[str, Any]:
    return {"name": name, "property": what, "before": before, "after": after}


# -- drivers ---------------------------------------------------------------------------------------------------------


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _add_inf(call: Call, path: str) -> None:
    """What ``pnputil /add-driver`` does with an INF file: its drivers go into the store."""
    files = FileSystem(call.server)
    if not files.is_file(path):
        raise ModuleFailure(f"pnputil refuses {path} (exit code 2)")
    text = files.read(path).decode("utf-8", "replace")
    catalogue = re.search(r"^\s*CatalogFile[\w.]*\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    version = re.search(r"^\s*DriverVer\s*=\s*[^,]+,\s*([\d.]+)", text, re.MULTILINE | re.IGNORECASE)
    if version is None:
        raise ModuleFailure(f"pnputil refuses {path} (exit code 13)")
    beside = catalogue and ntpath.join(ntpath.dirname(path), catalogue.group(1))
    if not beside or not files.is_file(beside):  # 0xE000022F: the INF has no digital signature
        raise ModuleFailure(f"pnputil refuses {path} (exit code -536870353)")
    store = call.server.section("printing")["store"]
    for name in re.findall(r'^\s*"([^"]+)"\s*=', text, re.MULTILINE):
        store[name] = version.group(1)


@handles(
    "cnosf.infogerance.print_drivers",
    source="plugins/modules/print_drivers.yml; pages of Add-PrinterDriver and pnputil",
)
def print_drivers(call: Call) -> Result:
    """Install what is missing or too old."""
    running = _ready(call)
    printing = call.server.section("printing")
    changes = []
    for wanted in call.args["drivers"]:
        current = printing["drivers"].get(wanted["name"].casefold())
        lowest = wanted["version"]
        old = bool(current and running and lowest and _version(current["version"]) < _version(lowest))
        if current is not None and not old:
            continue
        changes.append(_change(wanted["name"], "driver", current and current["version"], lowest))
        if call.check:
            continue
        try:
            if wanted["inf"]:
                _add_inf(call, wanted["inf"])
            held = {name.casefold(): name for name in printing["store"]}.get(wanted["name"].casefold())
            if held is None:
                raise ModuleFailure(  # noqa: TRY301 - the one place that names the driver
                    "Le pilote d’imprimante spécifié n’existe pas dans le magasin de pilotes."
                )
        except ModuleFailure as failure:
            raise ModuleFailure(f"printer driver '{wanted['name']}': {failure.msg}") from None
        printing["drivers"][held.casefold()] = {"name": held, "version": printing["store"][held]}
    return _answer(call, changes, "{name} = ")


# -- ports -----------------------------------------------------------------------------------------------------------


@handles("cnosf.infogerance.print_ports", source="plugins/modules/print_ports.yml; page of Win32_TCPIPPrinterPort")
def print_ports(call: Call) -> Result:
    """Make what is missing, change what differs."""
    running = _ready(call)
    ports = call.server.section("printing")["ports"]
    changes = []
    for wanted in call.args["ports"]:
        current = ports.get(wanted["name"].casefold())
        if current is None:
            changes.append(_change(wanted["name"], "port", None, "present"))
            ports[wanted["name"].casefold()] = dict(wanted)
            continue
        if not running:
            continue
        for option in ("address", "protocol", "number", "lpr_queue", "snmp"):
            after = wanted[option]
            if after is not None and str(current[option]).casefold() != str(after).casefold():
                changes.append(_change(wanted["name"], option, current[option], after))
                current[option] = after
    return _answer(call, changes)


# -- queues ----------------------------------------------------------------------------------------------------------


def _directory(call: Call, queue: dict[str, Any], *, listed: bool) -> None:
    """Keep the object by which the directory knows a published queue: the spooler writes it below its computer."""
    server = call.server
    if call.check or server.domain is None:
        return
    store = domains_of(server)
    with store.lock:
        domain = domain_of(server)
        computer = None if domain is None else domain.find(f"{server.computer_name}$")
        if domain is None or computer is None:
            if listed:
                raise ModuleFailure("Le service d’annuaire n’est pas disponible.")
            return
        dn = f"CN={server.computer_name}-{queue['name']},{computer['dn']}"
        current = domain.get(dn)
        if listed and current is None:
            domain.add(
                dn,
                "printQueue",
                printerName=queue["name"],
                uNCName=rf"\\{server.fqdn}\{queue['share']}",
                driverName=queue["driver"],
                location=queue["location"],
            )
            store.write(domain)
        elif not listed and current is not None:
            domain.remove(current)
            store.write(domain)


def _ipp_port(printing: dict[str, Any], url: str) -> str | None:
    return next((name for name, held in printing["ipp_ports"].items() if held.casefold() == url.casefold()), None)


def _add(call: Call, wanted: dict[str, Any]) -> None:
    """Add-Printer, by driver and port or by the address of an IPP device."""
    printing = call.server.section("printing")
    name, url = wanted["name"], wanted["ipp_url"]
    if url:
        if system(call.server.section("system")["system"]).build < 20348:
            raise ModuleFailure("Impossible de trouver un paramètre correspondant au nom « IppURL ».")
        parts = urlsplit(url)
        device = device_at(call.server, parts.hostname or "")
        if device is None or not device.ipp or parts.path != device.ipp or (parts.port or 631) not in device.ports:
            raise ModuleFailure("Le périphérique IPP spécifié est introuvable.")
        port = f"IPP-{len(printing['ipp_ports']) + 1:04d}"
        printing["ipp_ports"][port] = url
        printing["drivers"].setdefault(
            IPP_DRIVER.casefold(), {"name": IPP_DRIVER, "version": printing["store"][IPP_DRIVER]}
        )
        printing["queues"][name.casefold()] = new_queue(name, IPP_DRIVER, port)
        return
    _driver(printing, wanted["driver"])
    _port(printing, wanted["port"])
    printing["queues"][name.casefold()] = new_queue(name, wanted["driver"], wanted["port"])


def _driver(printing: dict[str, Any], name: str | None) -> None:
    if (name or "").casefold() not in printing["drivers"]:
        raise ModuleFailure(
            "Le pilote spécifié n’existe pas. Utilisez Add-PrinterDriver pour ajouter un nouveau pilote."
        )


def _port(printing: dict[str, Any], name: str | None) -> None:
    if (name or "").casefold() not in printing["ports"] and name not in printing["ipp_ports"]:
        raise ModuleFailure("Le port spécifié n’existe pas. Utilisez Add-PrinterPort pour ajouter un nouveau port.")


def _differs(option: str, before: Any, after: Any) -> bool:
    if option == "sddl":
        return entries(before) != entries(after)
    return bool(before != after)


_OPTIONS = ("driver", "port", "shared", "share", "published", "location", "comment", "sddl", "duplex", "paper", "color")


def _write(call: Call, queue: dict[str, Any], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Set-Printer and Set-PrintConfiguration on what differs."""
    printing, server = call.server.section("printing"), call.server
    found = []
    for option in _OPTIONS:
        after = wanted[option]
        if after is None or not _differs(option, queue[option], after):
            continue
        before = queue[option]
        found.append(_change(queue["name"], option, before, after))
        if option == "driver":
            _driver(printing, after)
        if option == "port":
            _port(printing, after)
        if option == "paper" and after not in _PAPERS:
            raise NotSimulated(f"The lab does not simulate the paper {after} (it knows {', '.join(sorted(_PAPERS))}).")
        if option == "share" and any(
            other is not queue and other["shared"] and other["share"].casefold() == after.casefold()
            for other in printing["queues"].values()
        ):
            raise ModuleFailure(f"Le nom de partage {after} est déjà utilisé par une autre imprimante.")
        if option == "published" and after and (server.domain is None or not queue["shared"]):
            raise ModuleFailure(
                "Cette opération n’est pas prise en charge: only a shared printer of a domain is listed."
            )
        queue[option] = normalised(after) if option == "sddl" else after
    if any(change["property"] in {"published", "share", "shared"} for change in found):
        _directory(call, queue, listed=queue["published"])
    return found


def _drop(call: Call, name: str) -> None:
    queue = call.server.section("printing")["queues"].pop(name.casefold())
    _directory(call, queue, listed=False)


def _one(call: Call, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring one queue to its declaration; gives what it changed, or would."""
    printing = call.server.section("printing")
    name = wanted["name"]
    queue = printing["queues"].get(name.casefold())
    port = _ipp_port(printing, wanted["ipp_url"]) if wanted["ipp_url"] else wanted["port"]
    changes = []
    if queue is None or (wanted["ipp_url"] and port is None):
        moved = queue is not None
        change = ("ipp_url", None, wanted["ipp_url"]) if moved else ("queue", None, "present")
        changes = [_change(name, *change)]
        if moved:
            _drop(call, name)
        if call.check:
            return changes
        _add(call, wanted)
        port = _ipp_port(printing, wanted["ipp_url"]) if wanted["ipp_url"] else wanted["port"]
        queue = printing["queues"][name.casefold()]
    if call.check:
        return _foresee(queue, {**wanted, "port": port})
    written = _write(call, queue, {**wanted, "port": port})
    return changes or written


def _foresee(queue: dict[str, Any], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """What check mode says: it compares, and what the spooler would refuse it cannot know."""
    return [
        _change(queue["name"], option, queue[option], wanted[option])
        for option in _OPTIONS
        if wanted[option] is not None and _differs(option, queue[option], wanted[option])
    ]


@handles(
    "cnosf.infogerance.print_queues", source="plugins/modules/print_queues.yml; pages of Add-Printer and Set-Printer"
)
def print_queues(call: Call) -> Result:
    """Make what is missing, change what differs, remove what is not declared when asked."""
    running = _ready(call)
    if not running:
        call.warnings.append(_BY_NAME)
    queues = call.server.section("printing")["queues"]
    names = [queue["name"] for queue in queues.values()]
    changes: list[dict[str, Any]] = []
    for wanted in call.args["queues"]:
        if not running and wanted["name"].casefold() in queues:
            continue
        try:
            changes += _one(call, wanted)
        except ModuleFailure as failure:
            raise ModuleFailure(f"print queue '{wanted['name']}': {failure.msg}") from None
    declared = {wanted["name"].casefold() for wanted in call.args["queues"]}
    declared |= {name.casefold() for name in call.args["keep"]}
    undeclared = [name for name in names if name.casefold() not in declared]
    if call.args["purge"]:
        for name in undeclared:
            _drop(call, name)
            changes.append(_change(name, "queue", "present", None))
    return _answer(call, changes, undeclared=undeclared)


# -- how it fares ----------------------------------------------------------------------------------------------------


def _status(server: WindowsServer, queue: dict[str, Any]) -> str:
    """Status as Get-Printer words it: SNMP and IPP tell when a device does not answer, a raw port does not."""
    printing = server.section("printing")
    if queue["paused"]:
        return "Paused"
    port = printing["ports"].get(queue["port"].casefold())
    url = printing["ipp_ports"].get(queue["port"])
    if url is not None:
        parts = urlsplit(url)
        return "Normal" if answers(server, parts.hostname or "", parts.port or 631) else "Offline"
    if port is not None and port["snmp"] and device_at(server, port["address"]) is None:
        return "Offline"
    return "Normal"


@handles(
    "cnosf.infogerance.print_server_info",
    source="plugins/modules/print_server_info.yml; pages of Get-Printer and Get-PrintJob",
)
def print_server_info(call: Call) -> Result:
    """Read; never change."""
    server = call.server
    now = server.now()
    queues = [
        {
            "name": queue["name"],
            "status": _status(server, queue),
            "jobs": [
                {
                    "id": job["id"],
                    "age_minutes": int((now - datetime.fromisoformat(job["submitted"])).total_seconds() // 60),
                }
                for job in queue["jobs"]
            ],
        }
        for queue in server.section("printing")["queues"].values()
    ]
    devices = [
        {**device, "reachable": answers(server, device["address"], device["port"])} for device in call.args["devices"]
    ]
    state = {
        "version": system(server.section("system")["system"]).version.rpartition(".")[0],
        "spooler": runs(server),
        "queues": queues if runs(server) else [],
        "devices": devices,
    }
    return {"changed": False, "state": state}
