# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entra Connect Sync: the collection's own modules adsync_info and adsync_scheduler.

What the server does by itself is ``lab/windows/entra.py``.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes

from lab.windows import entra
from lab.windows.handlers import certificates, services
from lab.windows.handlers.registry_values import AWAITED
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, Result, handles
from lab.windows.systems import system

_FRAMEWORKS = (
    r"HKLM:\SOFTWARE\Microsoft\.NETFramework\v4.0.30319",
    r"HKLM:\SOFTWARE\Wow6432Node\Microsoft\.NETFramework\v4.0.30319",
)
_SCHEDULER = ("cycle_enabled", "maintenance", "run_history_days", "next_policy")


def _services(call: Call) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys([entra.ENGINE, *call.args["services"]]):
        entry = services.find(call.server, name)
        found = (
            {"state": entry["state"], "start_mode": entry["start_mode"]} if entry else {"state": "", "start_mode": ""}
        )
        rows.append({"name": name, **found})
    return rows


def _certificate(entry: dict[str, Any], store: str) -> dict[str, Any]:
    certificate = certificates.load(entry)
    return {
        "thumbprint": certificates.thumbprint(certificate),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex().upper(),
        "subject": certificate.subject.rfc4514_string().replace(",", ", "),
        "store": store,
        "not_before": entra.stamp(certificate.not_valid_before_utc),
        "not_after": entra.stamp(certificate.not_valid_after_utc),
    }


def _engine(call: Call, state: dict[str, Any]) -> dict[str, Any]:
    """What only the sync engine can tell."""
    machine = call.server.section("certificates")["LocalMachine"]["My"].values()
    return {
        "configured": True,
        "engine_version": state["engine_version"],
        "scheduler": {
            **{name: state[name] for name in _SCHEDULER},
            "staging_mode": state["staging"],
            "suspended": entra.suspended(call.server),
            "in_progress": False,
            "interval_minutes": max(state["interval_minutes"], entra.ALLOWED_MINUTES),
            "allowed_interval_minutes": entra.ALLOWED_MINUTES,
        },
        "identity": dict(state["identity"]),
        "certificates": [
            *(_certificate(entry, "current_user") for entry in state["certificates"]),
            *(_certificate(entry, "local_machine") for entry in machine if entry["private_key"]),
        ],
        "runs": [dict(run) for run in state["runs"]],
    }


@handles("cnosf.infogerance.adsync_info", source="documentation of cnosf.infogerance.adsync_info")
def adsync_info(call: Call) -> Result:
    """Everything about the server; nothing of the engine where it does not run."""
    server = call.server
    entra.advance(server)
    registry = Registry(server)
    state = server.section("adsync")
    spooler = services.find(server, "Spooler")
    answering = state["configured"] and entra.running(server)
    since = entra.stamp(server.now() - entra.days(call.args["event_days"]))
    return {
        "changed": False,
        "state": {
            "time": entra.stamp(server.now()),
            "in_domain": server.domain is not None,
            "dotnet_release": system(server.section("system")["system"]).dotnet_release,
            "version": entra.installed_version(server),
            "engine_version": "",
            "configured": False,
            "restart_awaited": registry.data(AWAITED, f"restart:{entra.ENGINE}") is not None,
            "spooler_running": spooler is not None and spooler["state"] == "running",
            "services": _services(call),
            "tls": [
                {"path": path, "name": name, "data": registry.data(path, name)}
                for path in _FRAMEWORKS
                for name in ("SchUseStrongCrypto", "SystemDefaultTlsVersions")
            ],
            "scheduler": None,
            "identity": None,
            "certificates": [],
            "runs": [],
            "events": [
                {"id": event["id"], "time": event["time"]}
                for event in state["events"]
                if event["source"] in call.args["event_sources"] and event["time"] >= since
            ],
            "export": entra.export_state(server, call.args["export_task"], call.args["export_folder"]),
            **(_engine(call, state) if answering else {}),
        },
    }


@handles("cnosf.infogerance.adsync_scheduler", source="documentation of cnosf.infogerance.adsync_scheduler")
def adsync_scheduler(call: Call) -> Result:
    """Set what differs, then run a cycle; no cycle of the lab lasts long enough to be waited for."""
    server, args = call.server, call.args
    entra.advance(server)
    state = server.section("adsync")
    if not state["configured"] or not entra.running(server):
        raise ModuleFailure(
            "The sync engine does not answer; see that ADSync runs and that the account of Ansible is in ADSyncAdmins:"
            " The"
            " specified module 'ADSync' was not loaded because no valid module file was found in any module directory."
        )
    held = {**{name: state[name] for name in _SCHEDULER}, "staging_mode": state["staging"]}
    held["interval_minutes"] = max(state["interval_minutes"], entra.ALLOWED_MINUTES)
    after = {name: args[name] for name, value in held.items() if args[name] is not None and args[name] != value}
    before = {name: held[name] for name in after}
    for name, value in after.items():
        state["staging" if name == "staging_mode" else name] = value
    if args["run_cycle"]:
        after["run_cycle"] = args["run_cycle"]
        if entra.suspended(server):
            raise ModuleFailure(
                "The scheduler is suspended, so that no cycle can run; close or finish AzureADConnect.exe on the server"
            )
        for run in entra.cycle(server, args["run_cycle"], server.now()):
            if run["result"] not in args["accepted_results"]:
                raise ModuleFailure(
                    f"The {args['run_cycle']} cycle did not succeed: {run['connector']}, {run['profile']}:"
                    f" {run['result']}; see"
                    " the Synchronization Service Manager, and correct or accept it (adsync_accepted_results)"
                )
    return {"changed": bool(after), "diff": {"before": before, "after": after}}
