# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNS servers: win_dns_zone, win_dns_record, and the resources of DnsServerDsc 3.0.3.

Zones kept in the directory belong to the domain and are the same on all its controllers; forwarders, scavenging and the
other zones are the server's own.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from lab.windows.domains import is_controller, open_domain
from lab.windows.handlers import features, services
from lab.windows.handlers.dsc import Dsc, resource
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.windows.server import ServerSpec, WindowsServer

MODULE = "DnsServerDsc"
Zone = dict[str, Any]
_SCOPES = {"forest": "Forest", "domain": "Domain", "legacy": "Legacy"}
_UPDATES = {"secure": "Secure", "none": "None", "nonsecureandsecure": "NonsecureAndSecure"}
_NAMED = frozenset({"CNAME", "NS", "PTR", "SRV"})


@section("dns_server")
def _dns_server(_spec: ServerSpec) -> dict[str, Any]:
    return {
        "forwarders": [],
        "use_root_hints": True,
        "timeout": 3,
        "reordering": True,
        # What a new server shows (Microsoft Learn, Get-DnsServerScavenging).
        "scavenging": {
            "ScavengingState": False,
            "ScavengingInterval": 0,
            "RefreshInterval": 168,
            "NoRefreshInterval": 168,
        },
        "zones": {},
    }


def available(server: WindowsServer) -> bool:
    """Whether the DNS server and its PowerShell module are there and run."""
    service = services.find(server, "DNS")
    return features.installed(server, "RSAT-DNS-Server") and service is not None and service["state"] == "running"


class Zones:
    """All zones that a server answers for."""

    def __init__(self, own: dict[str, Zone], shared: dict[str, Zone]) -> None:
        self.own = own
        self.shared = shared

    def find(self, name: str) -> Zone | None:
        """A zone by its name."""
        wanted = name.casefold().rstrip(".")
        for zones in (self.own, self.shared):
            for zone in zones.values():
                if zone["name"].casefold() == wanted:
                    return zone
        return None

    def all(self) -> list[Zone]:
        """Every zone, by name."""
        return sorted([*self.own.values(), *self.shared.values()], key=lambda zone: zone["name"])

    def add(self, zone: Zone) -> None:
        """Keep a new zone where it belongs."""
        (self.shared if zone["replication"] != "None" else self.own)[zone["name"].casefold()] = zone

    def remove(self, zone: Zone) -> None:
        """Remove a zone with its records."""
        for zones in (self.own, self.shared):
            zones.pop(zone["name"].casefold(), None)


@contextlib.contextmanager
def open_zones(call: Call) -> Iterator[Zones]:
    """Work on the zones of the server that runs a module; nothing is kept in check mode or on failure."""
    own = call.server.section("dns_server")["zones"]
    if is_controller(call.server):
        with open_domain(call) as domain:
            yield Zones(own, domain.data["zones"])
    else:
        yield Zones(own, {})


def _need(call: Call) -> None:
    if not features.installed(call.server, "RSAT-DNS-Server"):
        raise ModuleFailure(
            "The DnsServer module failed to load properly: The specified module 'DnsServer' was not loaded because no"
            " valid module file was found in any module directory."
        )
    if not available(call.server):
        raise ModuleFailure("Failed to get the DNS server: the service DNS does not run")


def _shown(zone: Zone) -> dict[str, Any]:
    """A zone as win_dns_zone returns it."""
    found: dict[str, Any] = {
        "name": zone["name"].lower(),
        "type": zone["type"].lower(),
        "paused": False,
        "shutdown": False,
        "replication": zone["replication"].lower(),
    }
    if zone.get("dynamic_update"):
        found["dynamic_update"] = zone["dynamic_update"].lower()
    if zone["name"].endswith(".arpa"):
        found["reverse_lookup"] = True
    if zone["type"] == "Forwarder":
        found["forwarder_timeout"] = zone["timeout"]
    if zone.get("servers"):
        found["dns_servers"] = zone["servers"]
    if zone["replication"] == "None":
        found["zone_file"] = f"{zone['name']}.dns"
    return found


@handles("ansible.windows.win_dns_zone", source="ansible.windows 3.3.0 win_dns_zone documentation and source")
def win_dns_zone(call: Call) -> Result:
    """Primary zones and conditional forwarders.

    Check mode is the module's own: it fails on a zone that does not exist yet, and reports no change of one that does.
    """
    args = call.args
    _need(call)
    if args["type"] in {"secondary", "stub"}:
        raise NotSimulated(f"a {args['type']} zone")
    with open_zones(call) as zones:
        current = zones.find(args["name"])
        if args["state"] == "absent":
            if current is None or call.check:
                return {"changed": False}
            zones.remove(current)
            return {"changed": True, "diff": {"before": _shown(current), "after": ""}}
        kind = args["type"] or (current["type"].lower() if current else None)
        if kind is None:
            raise NotSimulated("a new zone without a type, of which the module makes nothing")
        if current is None and kind == "forwarder" and not args["dns_servers"]:
            raise ModuleFailure(
                "The dns_servers param is required when creating new stub, forwarder or secondary zones"
            )
        if current is None and call.check:
            raise ModuleFailure(
                f"Failed to lookup new zone {args['name']}: La zone {args['name']} est introuvable sur le serveur"
                f" {call.server.computer_name}."
            )
        if current is not None and current["type"].lower() != kind:
            if kind == "forwarder":
                raise ModuleFailure(f"Failed to convert DNS zone {args['name']} to {kind}, unsupported conversion")
            raise NotSimulated(f"the conversion of a {current['type']} zone")
        wanted = _wanted_zone(call, kind, current)
        if current is None:
            zones.add(wanted)
            return {"changed": True, "zone": _shown(wanted), "diff": {"before": "", "after": _shown(wanted)}}
        before = _shown(current)
        changed = _shown(wanted) != before
        if not call.check:
            current.update(wanted)
        if call.check or not changed:
            return {"changed": False, "diff": {"before": before, "after": _shown(wanted)}}
        return {"changed": True, "zone": _shown(current), "diff": {"before": before, "after": _shown(current)}}


def _wanted_zone(call: Call, kind: str, current: Zone | None) -> Zone:
    """The zone as it will be."""
    args = call.args
    asked = args["replication"]
    integrated = current is not None and current["replication"] != "None"
    if current is not None and asked is not None and integrated != (asked != "none") and kind == "primary":
        target = "Active Directory integrated zone" if asked != "none" else "file backed DNS zone"
        raise ModuleFailure(f"Converting this DNS zone to {target} is unsupported")
    scope = _SCOPES.get(asked or "", "None") if asked or current is None else current["replication"]
    if scope != "None" and not is_controller(call.server):
        raise ModuleFailure(f"Failed to add {kind} zone {args['name']}: the directory service is not available")
    if kind == "forwarder":
        given = args["forwarder_timeout"]
        if given is not None and not 0 <= given <= 15:
            call.warnings.append("The forwarder_timeout param must be an integer value between 0 and 15")
        timeout = given or (current["timeout"] if current else 5)
        servers = args["dns_servers"] or (current["servers"] if current else [])
        return {"name": args["name"], "type": "Forwarder", "replication": scope, "servers": servers, "timeout": timeout}
    update = (
        _UPDATES[args["dynamic_update"]] if args["dynamic_update"] else (current or {}).get("dynamic_update", "None")
    )
    if scope == "None" and args["dynamic_update"] == "secure":
        call.warnings.append("Secure DNS updates are available only for Active Directory-integrated zones")
        update = "None"
    fresh = {"aging": False, "refresh_hours": 168, "no_refresh_hours": 168, "records": []}
    kept = {name: current[name] for name in fresh} if current else fresh
    return {"name": args["name"], "type": "Primary", "replication": scope, "dynamic_update": update, **kept}


def _written(kind: str, value: str) -> str:
    """A value as the server stores it."""
    return value if kind not in _NAMED or value.endswith(".") else f"{value}."


def _line(zone: str, record: dict[str, Any]) -> str:
    return f"[{zone}] {record['name']} {record['ttl_seconds']} IN {record['type']} {record['value']}\n"


@handles("ansible.windows.win_dns_record", source="ansible.windows 3.3.0 win_dns_record documentation and source")
def win_dns_record(call: Call) -> Result:
    """All values of one name and type."""
    args = call.args
    _need(call)
    if args["zone_scope"]:
        raise NotSimulated("zone scopes")
    if args["computer_name"]:
        raise NotSimulated("another DNS server (computer_name)")
    if args["type"] == "DHCID":
        raise NotSimulated("DHCID records")
    present = args["state"] == "present"
    if present and not args["value"]:
        raise ModuleFailure("Parameter 'values' must be non-empty when state='present'")
    if not present and args["value"]:
        raise ModuleFailure("Parameter 'values' must be undefined or empty when state='absent'")
    if not 1 <= args["ttl"] <= 31_557_600:
        raise ModuleFailure("Parameter 'ttl' must be between 1 and 31557600")
    with open_zones(call) as zones:
        zone = zones.find(args["zone"])
        if zone is None or zone["type"] != "Primary":
            if not present or call.check:
                return {"changed": present, "diff": {"before": "", "after": ""}}
            raise ModuleFailure(
                f"Error adding DNS {args['type']} resource {args['name']} in zone {args['zone']} with value"
                f" {args['value'][0]}"
            )
        return _set_records(call, zone)


def _set_records(call: Call, zone: Zone) -> Result:
    args = call.args
    name, kind = args["name"], args["type"]
    records = zone["records"]
    old = [record for record in records if record["name"].casefold() == name.casefold() and record["type"] == kind]
    service = {"port": args["port"], "priority": args["priority"], "weight": args["weight"]} if kind == "SRV" else {}
    wanted = [_written(kind, value) for value in args["value"]]
    new = []
    for value in wanted:
        # As the module does: a kept value of another aging is removed and added anew.
        kept = next((record for record in old if record["value"] == value and record["aged"] == args["aging"]), None)
        # New SRV records are added without a time to live, which is then the zone's: one hour.
        ttl = 3600 if kind == "SRV" and kept is None else args["ttl"]
        new.append({"name": name, "type": kind, "value": value, "ttl_seconds": ttl, "aged": args["aging"], **service})
    changed = sorted(map(_compared, old), key=str) != sorted(map(_compared, new), key=str)
    if changed:
        records[:] = [record for record in records if record not in old] + new
    before = "".join(_line(zone["name"], record) for record in old)
    after = "".join(_line(zone["name"], record) for record in new)
    result: Result = {"changed": changed, "diff": {"before": before, "after": after}}
    return result


def _compared(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in ("value", "ttl_seconds", "aged", "port", "priority", "weight"))


@resource(
    "DnsServerForwarder",
    module=MODULE,
    schema={
        "IsSingleInstance": "key str Yes",
        "IPAddresses": "str[]",
        "UseRootHint": "bool",
        "EnableReordering": "bool",
        "Timeout": "uint32",
    },
    source="DnsServerDsc, source/DSCResources/DSC_DnsServerForwarder/DSC_DnsServerForwarder.schema.mof",
)
def forwarder(dsc: Dsc) -> bool:
    """The server's forwarders."""
    _need_dsc(dsc)
    state = dsc.server.section("dns_server")
    wanted = {
        "forwarders": dsc.given("IPAddresses", state["forwarders"]),
        "use_root_hints": dsc.given("UseRootHint", state["use_root_hints"]),
        "reordering": dsc.given("EnableReordering", state["reordering"]),
        "timeout": dsc.given("Timeout", state["timeout"]),
    }
    changed = any(state[name] != value for name, value in wanted.items())
    state.update(wanted)
    return changed


def _need_dsc(dsc: Dsc) -> None:
    if not available(dsc.server):
        raise dsc.fail("the DNS server does not answer")


def _hours(dsc: Dsc, name: str, current: int) -> int:
    """Hours of a duration as .NET writes it (``7.00:00:00``)."""
    text = dsc.given(name)
    if text is None:
        return current
    days, dot, clock = text.rpartition(".")
    parts = clock.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts) or (dot and not days.isdigit()):
        raise dsc.fail(f"{name} has the value '{text}' that cannot be converted to a TimeSpan")
    hours = int(days or 0) * 24 + int(parts[0])
    if not 0 <= hours <= 365 * 24:
        raise dsc.fail(f"{name} must be between 0 and 365 days")
    return hours


@resource(
    "DnsServerScavenging",
    module=MODULE,
    schema={
        "DnsServer": "key str",
        "ScavengingState": "bool",
        "ScavengingInterval": "str",
        "RefreshInterval": "str",
        "NoRefreshInterval": "str",
    },
    source="DnsServerDsc, source/Classes/030.DnsServerScavenging.ps1",
)
def scavenging(dsc: Dsc) -> bool:
    """The server's scavenging."""
    _need_dsc(dsc)
    if dsc.properties["DnsServer"] not in {"localhost", dsc.server.computer_name, dsc.server.fqdn}:
        raise dsc.fail(f"the DNS server {dsc.properties['DnsServer']} cannot be reached")
    state = dsc.server.section("dns_server")["scavenging"]
    wanted = {
        "ScavengingState": dsc.given("ScavengingState", state["ScavengingState"]),
        **{
            name: _hours(dsc, name, state[name])
            for name in ("ScavengingInterval", "RefreshInterval", "NoRefreshInterval")
        },
    }
    changed = wanted != state
    state.update(wanted)
    return bool(changed)


def _span(dsc: Dsc, name: str) -> int | None:
    """Seconds of a TimeSpan (``1.02:03:04``), None when it was not given."""
    text = dsc.given(name)
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+)\.)?([01]\d|2[0-3]):([0-5]\d):([0-5]\d)", text)
    if match is None:
        raise dsc.fail(f"{name} has the value '{text}' that the lab does not read as a TimeSpan")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@resource(
    "DnsRecordMx",
    module=MODULE,
    schema={
        "ZoneName": "key str",
        "EmailDomain": "key str",
        "MailExchange": "key str",
        "Priority": "required uint16",
        "TimeToLive": "str",
        "DnsServer": "str",
        "Ensure": "str Present|Absent",
    },
    source="DnsServerDsc, source/Classes/030.DnsRecordMx.ps1 and 015.DnsRecordBase.ps1",
)
def mail_exchanger(dsc: Dsc) -> bool:
    """One mail exchanger of a domain: found by domain and server, its preference and time to live corrected."""
    _need_dsc(dsc)
    zone_name, domain = dsc.properties["ZoneName"], dsc.properties["EmailDomain"]
    if not re.search(rf"^((.*?)\.)?{zone_name}$", domain, re.IGNORECASE):
        raise dsc.fail(f"The email domain '{domain}' is not a subdomain of the zone '{zone_name}'")
    if not 0 <= dsc.properties["Priority"] <= 65535:
        raise dsc.fail("Priority is too large or too small for a UInt16")
    ttl = _span(dsc, "TimeToLive")
    name = domain[: -len(zone_name)].rstrip(".") or "@"
    host = f"{dsc.properties['MailExchange']}."  # as the resource does, whether there is a dot already or not
    with open_zones(dsc.call) as zones:
        zone = zones.find(zone_name)
        if zone is None or zone["type"] != "Primary":
            raise dsc.fail(f"the zone {zone_name} was not found on the server")
        records = zone["records"]
        found = next(
            (
                record
                for record in records
                if record["type"] == "MX"
                and record["name"].casefold() == name.casefold()
                and record["value"].casefold() == host.casefold()
            ),
            None,
        )
        if dsc.given("Ensure", "Present") == "Absent":
            if found is not None:
                records.remove(found)
            return found is not None
        if found is None:
            fresh = {"name": name, "type": "MX", "value": host, "ttl_seconds": 3600, "aged": False}
            records.append(
                {**fresh, "priority": dsc.properties["Priority"], **({} if ttl is None else {"ttl_seconds": ttl})}
            )
            return True
        wanted = {"priority": dsc.properties["Priority"], "ttl_seconds": found["ttl_seconds"] if ttl is None else ttl}
        changed = any(found[key] != value for key, value in wanted.items())
        found.update(wanted)
        return changed


@resource(
    "DnsServerZoneAging",
    module=MODULE,
    schema={"Name": "key str", "Enabled": "required bool", "RefreshInterval": "uint32", "NoRefreshInterval": "uint32"},
    source="DnsServerDsc, source/DSCResources/DSC_DnsServerZoneAging/DSC_DnsServerZoneAging.schema.mof",
)
def zone_aging(dsc: Dsc) -> bool:
    """Aging of a zone."""
    _need_dsc(dsc)
    with open_zones(dsc.call) as zones:
        zone = zones.find(dsc.properties["Name"])
        if zone is None or zone["type"] != "Primary":
            raise dsc.fail(
                f"La zone {dsc.properties['Name']} est introuvable sur le serveur {dsc.server.computer_name}."
            )
        wanted = {
            "aging": dsc.properties["Enabled"],
            "refresh_hours": dsc.given("RefreshInterval", zone["refresh_hours"]),
            "no_refresh_hours": dsc.given("NoRefreshInterval", zone["no_refresh_hours"]),
        }
        changed = any(zone[name] != value for name, value in wanted.items())
        zone.update(wanted)
        return changed


@handles("cnosf.infogerance.dns_state_info", source="documentation of cnosf.infogerance.dns_state_info")
def dns_state_info(call: Call) -> Result:
    """Forwarders, scavenging, zones and the records asked for."""
    if not features.installed(call.server, "RSAT-DNS-Server") or services.find(call.server, "DNS") is None:
        return {"changed": False, "state": {"available": False}}
    if not available(call.server):
        raise ModuleFailure("The DNS server does not answer; see that the service DNS runs: (the service is stopped)")
    state = call.server.section("dns_server")
    with open_zones(call) as zones:
        return {
            "changed": False,
            "state": {
                "available": True,
                "forwarders": {"addresses": state["forwarders"], "use_root_hints": state["use_root_hints"]},
                "scavenging": {
                    "enabled": state["scavenging"]["ScavengingState"],
                    "interval_hours": state["scavenging"]["ScavengingInterval"],
                    "refresh_hours": state["scavenging"]["RefreshInterval"],
                    "no_refresh_hours": state["scavenging"]["NoRefreshInterval"],
                },
                "zones": [_zone_state(zone) for zone in zones.all()],
                "records": [
                    _record_state(zone, asked)
                    for asked in call.args["records"]
                    if (zone := zones.find(asked["zone"])) is not None
                ],
            },
        }


def _zone_state(zone: Zone) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": zone["name"],
        "type": zone["type"].lower(),
        "ds_integrated": zone["replication"] != "None",
        "replication": zone["replication"].lower(),
        "servers": list(zone.get("servers", [])),
    }
    if zone["type"] == "Forwarder":
        found["timeout_seconds"] = zone["timeout"]
    else:
        found["dynamic_update"] = zone["dynamic_update"].lower()
        found["aging"] = zone["aging"]
        found["refresh_hours"] = zone["refresh_hours"]
        found["no_refresh_hours"] = zone["no_refresh_hours"]
    return found


def _record_state(zone: Zone, asked: dict[str, Any]) -> dict[str, Any]:
    found = [
        record
        for record in zone.get("records", [])
        if record["name"].casefold() == asked["name"].casefold() and record["type"] == asked["type"]
    ]
    names = ("value", "ttl_seconds", "aged", "port", "priority", "weight")
    values = [{name: record[name] for name in names if name in record} for record in found]
    return {"zone": asked["zone"], "name": asked["name"], "type": asked["type"], "values": values}
