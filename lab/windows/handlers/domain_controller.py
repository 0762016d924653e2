# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own modules for domain controllers: their probes, Windows LAPS and links of group policies."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from lab.windows.domains import DISABLED, NEVER_EXPIRES, Domain, Object, dn_key, is_controller, open_domain
from lab.windows.handlers import dhcp, features, ldaps, services
from lab.windows.handlers.active_directory import ENCRYPTION
from lab.windows.handlers.clock import iana_zone
from lab.windows.handlers.promotion import CONTROLLER_SERVICES
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, Result, handles
from lab.windows.systems import system

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_OWN = "documentation of cnosf.infogerance.{name}"
_TIME = r"HKLM:\SYSTEM\CurrentControlSet\Services\W32Time\Parameters"
_POLICY = {
    "minimum_length": "MinPasswordLength",
    "complexity": "ComplexityEnabled",
    "history": "PasswordHistoryCount",
    "lockout_threshold": "LockoutThreshold",
    "lockout_minutes": "LockoutDuration",
    "lockout_window_minutes": "LockoutObservationWindow",
    "reversible_encryption": "ReversibleEncryptionEnabled",
}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _policy(held: dict[str, Any]) -> dict[str, Any]:
    """A password policy; the directory keeps minutes."""
    return {
        **{name: held[key] for name, key in _POLICY.items()},
        "maximum_age_days": held["MaxPasswordAge"] // 1440,
        "minimum_age_days": held["MinPasswordAge"] // 1440,
    }


def _encryption(entry: Object) -> list[str]:
    bits = entry["attributes"].get("msDS-SupportedEncryptionTypes", 0)
    return [name for name, bit in ENCRYPTION.items() if bits & bit]


class _Probe:
    """Answers what ad_state_info is asked of one domain."""

    def __init__(self, call: Call, domain: Domain) -> None:
        self.call = call
        self.domain = domain

    def find(self, name: str, *kinds: str) -> Object | None:
        """An object by what the ActiveDirectory cmdlets take, or by ``rid:``."""
        head, colon, rid = name.partition(":")
        spelled = f"{self.domain.sid}-{rid}" if colon and head.casefold() == "rid" and rid.isdigit() else name
        found = self.domain.find(spelled)
        return found if found is None or not kinds or found["class"] in kinds else None

    def units(self) -> list[dict[str, Any]]:
        """The organisational units asked for."""
        return [
            {
                "distinguished_name": entry["dn"],
                "description": entry["attributes"].get("description", ""),
                "protect_from_deletion": entry["protected"],
            }
            for name in self.call.args["organizational_units"]
            if (entry := self.domain.get(name)) is not None
        ]

    def groups(self) -> list[dict[str, Any]]:
        """The groups asked for."""
        found = []
        for asked in self.call.args["groups"]:
            entry = self.find(asked, "group")
            if entry is None:
                continue
            attributes = entry["attributes"]
            bits = attributes["groupType"]
            found.append(
                {
                    "asked": asked,
                    "name": attributes["sAMAccountName"],
                    "distinguished_name": entry["dn"],
                    "scope": "global" if bits & 2 else "domainlocal" if bits & 4 else "universal",
                    "category": "security" if bits < 0 else "distribution",
                    "description": attributes.get("description", ""),
                    "members": list(attributes.get("member", [])),
                }
            )
        return found

    def users(self) -> list[dict[str, Any]]:
        """The users asked for."""
        found = []
        for asked in self.call.args["users"]:
            entry = self.find(asked, "user")
            if entry is None:
                continue
            attributes = entry["attributes"]
            control = attributes["userAccountControl"]
            found.append(
                {
                    "name": attributes["sAMAccountName"],
                    "distinguished_name": entry["dn"],
                    "upn": attributes.get("userPrincipalName", ""),
                    "firstname": attributes.get("givenName", ""),
                    "surname": attributes.get("sn", ""),
                    "display_name": attributes.get("displayName", ""),
                    "email": attributes.get("mail", ""),
                    "description": attributes.get("description", ""),
                    "enabled": not control & DISABLED,
                    "password_never_expires": bool(control & NEVER_EXPIRES),
                    "user_cannot_change_password": bool(attributes.get("cannotChangePassword", False)),
                    "kerberos_encryption_types": _encryption(entry),
                }
            )
        return found

    def accounts(self) -> list[dict[str, Any]]:
        """The group managed service accounts asked for."""
        return [
            {
                "name": entry["attributes"]["name"],
                "distinguished_name": entry["dn"],
                "dns_hostname": entry["attributes"].get("dNSHostName", ""),
                "description": entry["attributes"].get("description", ""),
                "allowed_to_retrieve_password": list(entry["attributes"].get("msDS-GroupMSAMembership", [])),
                "spns": list(entry["attributes"].get("servicePrincipalName", [])),
                "kerberos_encryption_types": _encryption(entry),
            }
            for name in self.call.args["service_accounts"]
            for entry in self.domain.objects.values()
            if entry["class"] == "msDS-GroupManagedServiceAccount"
            and entry["attributes"]["name"].casefold() == name.casefold()
        ]

    def principals(self) -> list[dict[str, Any]]:
        """The principals asked for."""
        found = []
        for asked in self.call.args["principals"]:
            entry = self.find(asked) or self.domain.find(f"{asked}$")
            if entry is not None and "objectSid" in entry["attributes"]:
                sid = entry["attributes"]["objectSid"]
                found.append({"asked": asked, "distinguished_name": entry["dn"], "sid": sid})
        return found

    def policies(self) -> list[dict[str, Any]]:
        """All fine-grained password policies."""
        return [
            {
                **_policy(entry["attributes"]),
                "name": entry["attributes"]["name"],
                "precedence": entry["attributes"]["Precedence"],
                "subjects": list(entry["attributes"].get("msDS-PSOAppliesTo", [])),
                "protect_from_deletion": entry["protected"],
            }
            for entry in self.domain.objects.values()
            if entry["class"] == "msDS-PasswordSettings"
        ]

    def links(self) -> list[dict[str, Any]]:
        """Links of group policies to the targets asked for."""
        asked = {dn_key(target): target for target in self.call.args["link_targets"]}
        return [
            {**link, "target": asked[dn_key(link["target"])]}
            for link in self.domain.data["gpo_links"]
            if dn_key(link["target"]) in asked
        ]

    def laps(self) -> dict[str, Any]:
        """State of Windows LAPS."""
        granted = {dn_key(target) for target in self.domain.data["laps_targets"]}
        targets = [target for target in self.call.args["laps_targets"] if dn_key(target) in granted]
        return {"schema": self.domain.data["laps_schema"], "targets": targets}


@handles("cnosf.infogerance.ad_state_info", source=_OWN.format(name="ad_state_info"))
def ad_state_info(call: Call) -> Result:
    """The objects asked for and the domain's settings."""
    if not is_controller(call.server):
        return {"changed": False, "state": {"available": False}}
    _need(call.server, "NTDS", "ADWS")
    with open_domain(call) as domain:
        probe = _Probe(call, domain)
        data = domain.data
        return {
            "changed": False,
            "state": {
                "available": True,
                "domain": {
                    "dns_name": domain.dns_name,
                    "netbios_name": domain.netbios_name,
                    "distinguished_name": domain.dn,
                    "sid": domain.sid,
                    "mode": data["mode"],
                    "pdc_emulator": data["controllers"][data["pdc_emulator"]]["fqdn"],
                },
                "password_policy": _policy(data["password_policy"]),
                "fine_grained_policies": probe.policies(),
                "recycle_bin": "Recycle Bin Feature" in data["optional_features"],
                "kds_root_keys": [
                    {"id": key["id"], "effective_time": _stamp(datetime.fromisoformat(key["effective_time"]))}
                    for key in data["kds_root_keys"]
                ],
                "sites": sorted(data["sites"]),
                "subnets": [{"name": name, "site": held["site"]} for name, held in sorted(data["subnets"].items())],
                "organizational_units": probe.units(),
                "groups": probe.groups(),
                "users": probe.users(),
                "service_accounts": probe.accounts(),
                "principals": probe.principals(),
                "gpo_links": probe.links(),
                "laps": probe.laps(),
            },
        }


def _need(server: WindowsServer, *names: str) -> None:
    stopped = _stopped(server, names)
    if stopped:
        raise ModuleFailure(
            "The directory of this domain controller does not answer; see that the services NTDS and ADWS run:"
            f" {', '.join(stopped)} is stopped"
        )


def _stopped(server: WindowsServer, names: tuple[str, ...] | list[str]) -> list[str]:
    found = ((name, services.find(server, name)) for name in names)
    return [name for name, service in found if service is None or service["state"] != "running"]


@handles("cnosf.infogerance.domain_controller_health_info", source=_OWN.format(name="domain_controller_health_info"))
def health_info(call: Call) -> Result:
    """What a technician would check."""
    server = call.server
    if not is_controller(server):
        raise ModuleFailure(
            "The specified module 'ActiveDirectory' was not loaded because no valid module file was found in any module"
            " directory."
        )
    stopped = _stopped(server, CONTROLLER_SERVICES)
    with open_domain(call) as domain:
        records = domain.data["zones"].get(domain.dns_name, {"records": []})["records"]
        asked = call.args["domain"].casefold() == domain.dns_name and "DNS" not in stopped
        targets = [record["value"] for record in records if record["name"] == "_ldap._tcp" and record["type"] == "SRV"]
        primary = domain.data["pdc_emulator"] == server.computer_name
        authorized = any(entry["name"] == server.fqdn for entry in domain.data["dhcp_servers"])
        time_source = _time_source(server, domain, primary=primary)
    failures = [f"         {name} : le service n’est pas démarré." for name in stopped]
    return {
        "changed": False,
        "state": {
            "time": _stamp(server.now()),
            "primary": primary,
            "dcdiag": [] if "Services" in call.args["dcdiag_skip"] else failures,
            "replication_failures": [],
            "shares": [share["name"] for share in server.section("shares").values()],
            "time_source": time_source,
            "srv_targets": targets if asked else [],
            "stopped_services": _stopped(server, call.args["services"]),
            "dhcp_authorized": authorized and dhcp.available(server),
            "backup": _backup(server, call.args["backup_task"]),
            "ldaps": ldaps.served(server) if call.args["ldaps"] else {"thumbprint": "", "not_after": ""},
        },
    }


def _time_source(server: WindowsServer, domain: Domain, *, primary: bool) -> str:
    """What ``w32tm /query /source`` answers."""
    hive = Registry(server)
    if _stopped(server, ["W32Time"]):
        return "L’erreur suivante s’est produite : Le service n’a pas été démarré. (0x80070426)"
    if hive.data(_TIME, "Type") == "NTP":
        peers = str(hive.data(_TIME, "NtpServer", "")).split()
        return peers[0] if peers else "Local CMOS Clock"
    others = [entry["fqdn"] for name, entry in domain.data["controllers"].items() if name != server.computer_name]
    return "Local CMOS Clock" if primary or not others else others[0]


def _backup(server: WindowsServer, name: str) -> dict[str, str]:
    """The backup's task and its last run: at its time of day while it exists, a success when its volume is there."""
    state = {"last_success": "", "task_registered": ""}
    tasks = server.section("scheduled_tasks")["tasks"].values()
    task = next((entry for entry in tasks if name and entry["name"].casefold() == name.casefold()), None)
    if task is None:
        return state
    registered = _registered(server, task["name"])
    state["task_registered"] = _stamp(registered)
    if not features.installed(server, "Windows-Server-Backup") or not task["settings"]["enabled"]:
        return state
    letters = {"C", *(volume["letter"] for volume in server.section("volumes")["disks"].values())}
    targets = re.findall(
        r"-backupTarget:([A-Za-z]):", " ".join(action.get("arguments") or "" for action in task["actions"])
    )
    if any(target.upper() not in letters for target in targets):
        return state  # wbadmin finds no such volume
    zone = zoneinfo.ZoneInfo(iana_zone(server.section("clock")["timezone"]))
    runs = [
        run
        for trigger in task["triggers"]
        if trigger["type"] == "daily"
        and trigger["enabled"]
        and (run := _last_run(server.now().astimezone(zone), trigger["start_boundary"])) >= registered
    ]
    if runs:
        state["last_success"] = _stamp(max(runs))
    return state


def _last_run(now: datetime, start: str) -> datetime:
    """The latest moment at or before now that has a trigger's time of day."""
    at = time.fromisoformat(start.partition("T")[2][:8])
    today = datetime.combine(now.date(), at, tzinfo=now.tzinfo)
    return today if today <= now else today - timedelta(days=1)


def _registered(server: WindowsServer, name: str) -> datetime:
    """When the task was made: the server's journal says it."""
    for entry in server.read_journal():
        args = entry.get("args") or {}
        made = entry.get("module") == "community.windows.win_scheduled_task" and entry.get("changed")
        if made and not entry.get("check") and str(args.get("name", "")).casefold() == name.casefold():
            return datetime.fromisoformat(entry["time"])
    return server.boot_time


@handles("cnosf.infogerance.laps_directory", source=_OWN.format(name="laps_directory"))
def laps_directory(call: Call) -> Result:
    """The schema of Windows LAPS and the permission of computers below some containers."""
    if system(call.server.section("system")["system"]).build < 17763:
        raise ModuleFailure(
            "Windows LAPS or the directory does not answer; LAPS needs Windows Server 2019 with the April 2023 update:"
            " The specified module 'LAPS' was not loaded because no valid module file was found in any module"
            " directory."
        )
    with open_domain(call) as domain:
        granted = {dn_key(target) for target in domain.data["laps_targets"]}
        before = {
            "schema": domain.data["laps_schema"],
            "targets": [target for target in call.args["targets"] if dn_key(target) in granted],
        }
        missing = [target for target in call.args["targets"] if dn_key(target) not in granted]
        for target in missing:
            if domain.get(target) is None:
                raise ModuleFailure(f"Cannot find an object with identity: '{target}' under: '{domain.dn}'.")
        changed = bool(missing) or not domain.data["laps_schema"]
        domain.data["laps_schema"] = True
        domain.data["laps_targets"] += missing
        after = {"schema": True, "targets": list(call.args["targets"])}
        return {"changed": changed, "diff": {"before": before, "after": after}}


@handles("cnosf.infogerance.gpo_link", source=_OWN.format(name="gpo_link"))
def gpo_link(call: Call) -> Result:
    """Links of existing group policies."""
    if not features.installed(call.server, "GPMC"):
        raise ModuleFailure(
            "The GroupPolicy module does not load; install the feature GPMC: The specified module 'GroupPolicy' was not"
            " loaded because no valid module file was found in any module directory."
        )
    changed = False
    before = []
    after = []
    with open_domain(call) as domain:
        known = {name.casefold() for name in domain.data["gpos"]}
        for link in call.args["links"]:
            if link["gpo"].casefold() not in known:
                raise ModuleFailure(
                    f"There is no group policy named '{link['gpo']}'; create or import it before it is linked to"
                    f" {link['target']}"
                )
            if domain.get(link["target"]) is None:
                raise ModuleFailure(f"Cannot find the container {link['target']}")
            held = next((own for own in domain.data["gpo_links"] if _same_link(own, link)), None)
            if held is None:
                domain.data["gpo_links"].append(dict(link))
            else:
                before.append(dict(held))
                held.update(enabled=link["enabled"], enforced=link["enforced"])
            after.append(dict(link))
            changed = changed or held is None or before[-1]["enabled"] != link["enabled"]
            changed = changed or (held is not None and before[-1]["enforced"] != link["enforced"])
    return {"changed": changed, "diff": {"before": before, "after": after}}


def _same_link(own: dict[str, Any], link: dict[str, Any]) -> bool:
    return own["gpo"].casefold() == link["gpo"].casefold() and dn_key(own["target"]) == dn_key(link["target"])
