# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Windows baseline declares, read at once: win_baseline_info."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.handlers.features import CATALOGUE, installed
from lab.windows.handlers.registry_values import AWAITED
from lab.windows.hive import Registry
from lab.windows.registry import Call, Result, handles

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_UNINSTALL = (
    r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
)
_SCHANNEL = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"
_PROTOCOLS = {1: "icmpv4", 6: "tcp", 17: "udp", 58: "icmpv6", 256: "any"}
_PROFILES = ((1, "domain"), (2, "private"), (4, "public"))
_TIME = r"HKLM:\SYSTEM\CurrentControlSet\Services\W32Time\Parameters"
_DEFENDER = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender\Real-Time Protection"


def _services(call: Call) -> list[dict[str, Any]]:
    services = call.server.section("services")
    found = []
    for name in call.args["services"]:
        entry = services.get(name.casefold())
        state = {"state": entry["state"], "start_mode": entry["start_mode"]} if entry else {}
        found.append({"name": name, "exists": entry is not None, "state": None, "start_mode": None, **state})
    return found


def _profiles(server: WindowsServer) -> list[dict[str, Any]]:
    return [
        {
            "name": name.lower(),
            "enabled": profile["enabled"],
            "inbound_action": profile["inbound"].replace("_", ""),
            "outbound_action": profile["outbound"].replace("_", ""),
        }
        for name, profile in server.section("firewall")["profiles"].items()
    ]


def _rules(call: Call) -> list[dict[str, Any]]:
    names, groups = call.args["firewall_names"], call.args["firewall_groups"]
    return [
        {
            "name": rule["name"],
            "group": rule["group"] or "",
            "enabled": rule["enabled"],
            "direction": rule["direction"],
            "action": rule["action"],
            "protocol": _PROTOCOLS.get(rule["protocol"], str(rule["protocol"])),
            "local_ports": rule["localport"] if rule["protocol"] in {6, 17} else "",
            "remote_addresses": rule["remoteip"],
            "profiles": [name for bit, name in _PROFILES if rule["profiles"] & bit],
        }
        for rule in call.server.section("firewall")["rules"]
        if rule["name"] in names or (rule["group"] or "") in groups
    ]


def _accounts(server: WindowsServer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    accounts = server.section("accounts")
    users = [
        {
            "name": user["name"],
            "sid": user["sid"],
            "enabled": not user["disabled"],
            "full_name": user["full_name"],
            "description": user["description"],
            "password_never_expires": user["password_never_expires"],
        }
        for user in accounts["users"].values()
    ]
    groups = [
        {"name": group["name"], "sid": group["sid"], "members": list(group["members"])}
        for group in accounts["groups"].values()
    ]
    return users, groups


def _winrm(server: WindowsServer) -> dict[str, Any]:
    winrm = server.section("winrm")
    return {
        "listeners": list(server.section("winrm_listeners")["listeners"]),
        "auth": {name.lower(): allowed for name, allowed in winrm["auth"].items()},
        "channel_binding": winrm["CbtHardeningLevel"].lower(),
        "allow_unencrypted": winrm["AllowUnencrypted"],
    }


def _tls(registry: Registry) -> list[dict[str, Any]]:
    found = []
    for protocol in ("SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"):
        enabled = registry.data(rf"{_SCHANNEL}\{protocol}\Server", "Enabled")
        found.append({"protocol": protocol, "server_enabled": None if enabled is None else enabled != 0})
    return found


def _antivirus(server: WindowsServer, registry: Registry) -> dict[str, Any]:
    if not installed(server, "Windows-Defender"):
        return {"defender": False, "running": None, "real_time": None, "signature_age_days": None}
    running = server.section("services")["windefend"]["state"] == "running"
    watching = running and not registry.data(_DEFENDER, "DisableRealtimeMonitoring", 0)
    return {"defender": True, "running": running, "real_time": watching, "signature_age_days": 0}


def _time_source(server: WindowsServer, registry: Registry) -> str:
    """Word the source as ``w32tm /query /source`` does on a French Windows: the lab's peers always answer."""
    if server.section("services")["w32time"]["state"] != "running":
        return "Le service n’a pas été démarré. (0x80070426)"
    kind = registry.data(_TIME, "Type", "")
    if kind == "NT5DS" and server.domain is not None and not _is_controller(server):
        controllers = [
            other for other in server.estate.servers.values() if other.domain == server.domain and _is_controller(other)
        ]
        return controllers[0].fqdn if controllers else "Local CMOS Clock"
    peers = str(registry.data(_TIME, "NtpServer", "")).split()
    return peers[0] if kind == "NTP" and peers else "Local CMOS Clock"


def _is_controller(server: WindowsServer) -> bool:
    return "controller" in str(server.section("system")["domain_role"])


@handles("cnosf.infogerance.win_baseline_info", source="plugins/modules/win_baseline_info.yml")
def win_baseline_info(call: Call) -> Result:
    """Read; never change."""
    server = call.server
    registry = Registry(server)
    principals = {name: server.resolve(name) for name in call.args["principals"]}
    noted = registry.key(AWAITED) or {"values": {}}
    marks = [value["name"] for value in noted["values"].values()]
    controller = _is_controller(server)
    users, groups = ([], []) if controller else _accounts(server)
    return {
        "changed": False,
        "services": _services(call),
        "firewall_profiles": _profiles(server),
        "firewall_rules": _rules(call),
        "user_rights": {name: list(sids) for name, sids in server.section("user_rights").items() if sids},
        "sids": {name: None if found is None else found.sid for name, found in principals.items()},
        "products": [
            code for code in call.args["products"] if any(registry.exists(rf"{root}\{code}") for root in _UNINSTALL)
        ],
        "features": {
            name: server.section("features")["roles"][CATALOGUE[name.casefold()].name]
            if name.casefold() in CATALOGUE
            else None
            for name in call.args["features"]
        },
        "users": users,
        "groups": groups,
        "winrm": _winrm(server),
        "winrm_clients": [server.winrm_client] if server.winrm_client else [],
        "tls_protocols": _tls(registry),
        "antivirus": _antivirus(server, registry),
        "time_source": _time_source(server, registry),
        "pending_reboot": [*server.pending_reboot, *(["registry values"] if "reboot" in marks else [])],
        "awaited_restarts": [mark.removeprefix("restart:") for mark in marks if mark.startswith("restart:")],
        "timezone": server.section("clock")["timezone"],
        "power_plan": server.section("power_plan")["active"],
        "hostname": server.section("system").get("pending_name") or server.section("system")["computer_name"],
        "domain": server.domain,
        "domain_controller": controller,
    }
