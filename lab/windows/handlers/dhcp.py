# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DHCP servers: win_dhcp_lease, the resources of DhcpServerDsc 4.0.0, and what the role asks of them."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from lab.windows.domains import open_domain
from lab.windows.handlers import features, services
from lab.windows.handlers.dsc import Dsc, resource
from lab.windows.handlers.dsc_directory import member_of
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

MODULE = "DhcpServerDsc"
MARK = r"HKLM:\SOFTWARE\Microsoft\ServerManager\Roles\12"
_NO_MODULE = (
    "The specified module 'DhcpServer' was not loaded because no valid module file was found in any module directory."
)
Scope = dict[str, Any]


@section("dhcp_server")
def _dhcp_server(_spec: ServerSpec) -> dict[str, Any]:
    return {"options": {}, "scopes": {}}


def available(server: WindowsServer) -> bool:
    """Whether the DHCP server and its PowerShell module are there."""
    return features.installed(server, "RSAT-DHCP") and services.find(server, "DHCPServer") is not None


def running(server: WindowsServer) -> bool:
    """Whether the DHCP server answers."""
    service = services.find(server, "DHCPServer")
    return available(server) and service is not None and service["state"] == "running"


def _scope_of(server: WindowsServer, address: str) -> Scope | None:
    for scope in server.section("dhcp_server")["scopes"].values():
        if ipaddress.ip_address(address) in ipaddress.ip_network(f"{scope['id']}/{scope['mask']}"):
            found: Scope = scope
            return found
    return None


def _dashed(mac: str) -> str | None:
    if len(mac) == 12:
        return "-".join(mac[start : start + 2] for start in range(0, 12, 2)).lower()
    return mac.replace(":", "-").lower() if len(mac) == 17 else None


def _lease(reservation: dict[str, Any], scope: Scope) -> dict[str, Any]:
    return {
        "address_state": "InactiveReservation",
        "client_id": reservation["mac"],
        "ip_address": reservation["address"],
        "scope_id": scope["id"],
        "name": reservation["name"],
        "description": reservation["description"] or None,
    }


@handles("ansible.windows.win_dhcp_lease", source="ansible.windows 3.3.0 win_dhcp_lease documentation and source")
def win_dhcp_lease(call: Call) -> Result:
    """Reservations. As the module does, check mode reports a change of every reservation that exists."""
    args = call.args
    if not available(call.server):
        raise ModuleFailure(f"The DhcpServer module failed to load properly: {_NO_MODULE}")
    if args["type"] == "lease":
        raise NotSimulated("leases (type: lease), only reservations")
    mac = _dashed(args["mac"]) if args["mac"] else None
    if args["mac"] and mac is None:
        raise ModuleFailure("The MAC Address is not properly formatted")
    scopes = call.server.section("dhcp_server")["scopes"]
    every = [(scope, held) for scope in scopes.values() for held in scope["reservations"]]
    found = next((pair for pair in every if mac and pair[1]["mac"] == mac), None) or next(
        (pair for pair in every if args["ip"] and pair[1]["address"] == args["ip"]), None
    )
    if args["state"] == "absent":
        if found is None:
            return {"changed": False, "msg": "The lease doesn't exist."}
        found[0]["reservations"].remove(found[1])
        return {"changed": True}
    if found is not None:
        owner, known = found
        before = dict(known)
        known["mac"] = mac or known["mac"]
        known["description"] = args["description"] or known["description"]
        known["name"] = args["reservation_name"] or known["name"]
        return {"changed": call.check or known != before, "lease": _lease(known, owner)}
    if not args["scope_id"]:
        raise ModuleFailure(
            "The scope_id parameter is required for state=present when a lease or reservation doesn't already exist"
        )
    if not args["mac"] or not args["ip"]:
        raise ModuleFailure("Could not create DHCP reservation: mac and ip are needed for a new reservation")
    target: Scope | None = scopes.get(args["scope_id"])
    if target is None or _scope_of(call.server, args["ip"]) is not target:
        raise ModuleFailure(
            f"Could not create DHCP reservation: Failed to add reservation {args['ip']} to scope {args['scope_id']}"
        )
    made: dict[str, Any] = {
        "address": args["ip"],
        "mac": mac,
        "name": args["reservation_name"] or f"reservation-{mac}",
        "description": args["description"] or "",
    }
    target["reservations"].append(made)
    return {"changed": True, "lease": _lease(made, target)}


def _need(dsc: Dsc) -> None:
    if not available(dsc.server):
        raise dsc.fail(_NO_MODULE)
    if not running(dsc.server):
        raise dsc.fail("Failed to get version of the DHCP server: the service DHCPServer does not run")


def _address(dsc: Dsc, name: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(dsc.properties[name])
    except ipaddress.AddressValueError as error:
        raise dsc.fail(f"Value of {name} property is not in a valid IPv4 address format") from error


def _minutes(dsc: Dsc, text: str) -> int:
    """Minutes of a duration as .NET writes it (``8.00:00:00``)."""
    days, _dot, clock = text.rpartition(".")
    parts = clock.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in (*parts, days or "0")):
        raise dsc.fail(f"LeaseDuration '{text}' is not a valid time span")
    return int(days or 0) * 1440 + int(parts[0]) * 60 + int(parts[1])


@resource(
    "xDhcpServerScope",
    module=MODULE,
    schema={
        "ScopeId": "key str",
        "Name": "required str",
        "SubnetMask": "required str",
        "IPStartRange": "required str",
        "IPEndRange": "required str",
        "Description": "str",
        "LeaseDuration": "str",
        "State": "str Active|Inactive",
        "AddressFamily": "str IPv4",
        "Ensure": "str Present|Absent",
    },
    source="DhcpServerDsc, source/DSCResources/DSC_xDhcpServerScope/DSC_xDhcpServerScope.schema.mof",
)
def scope(dsc: Dsc) -> bool:
    """A scope's own settings."""
    _need(dsc)
    scopes = dsc.server.section("dhcp_server")["scopes"]
    identifier = str(_address(dsc, "ScopeId"))
    current = scopes.get(identifier)
    if dsc.given("Ensure", "Present") == "Absent":
        return scopes.pop(identifier, None) is not None
    start, end = _address(dsc, "IPStartRange"), _address(dsc, "IPEndRange")
    network = ipaddress.ip_network(f"{identifier}/{_address(dsc, 'SubnetMask')}")
    if start > end or start not in network or end not in network:
        raise dsc.fail(f"the range {start} to {end} is not a valid range of the scope {network}")
    if current is not None and current["mask"] != dsc.properties["SubnetMask"]:
        raise dsc.fail(f"the mask of the scope {identifier} cannot be changed")
    wanted = {
        "id": identifier,
        "name": dsc.properties["Name"],
        "mask": dsc.properties["SubnetMask"],
        "start": str(start),
        "end": str(end),
        "lease_minutes": _minutes(dsc, dsc.given("LeaseDuration", "8.00:00:00")),
        "description": dsc.given("Description", current["description"] if current else ""),
        "active": dsc.given("State", "Active") == "Active",
    }
    if current is None:
        scopes[identifier] = {**wanted, "exclusions": [], "options": {}, "reservations": []}
        return True
    changed = any(current[name] != value for name, value in wanted.items())
    current.update(wanted)
    return changed


def _find_scope(dsc: Dsc) -> Scope:
    found = dsc.server.section("dhcp_server")["scopes"].get(dsc.properties["ScopeId"])
    if found is None:
        raise dsc.fail(f"ScopeId {dsc.properties['ScopeId']} is either not valid or does not exist")
    own: Scope = found
    return own


@resource(
    "DhcpServerExclusionRange",
    module=MODULE,
    schema={
        "ScopeId": "required str",
        "IPStartRange": "key str",
        "IPEndRange": "key str",
        "AddressFamily": "str IPv4",
        "Ensure": "str Present|Absent",
    },
    source="DhcpServerDsc, source/DSCResources/DSC_DhcpServerExclusionRange/DSC_DhcpServerExclusionRange.schema.mof",
)
def exclusion(dsc: Dsc) -> bool:
    """A range of a scope that is not leased."""
    _need(dsc)
    own = _find_scope(dsc)
    wanted = {"start": str(_address(dsc, "IPStartRange")), "end": str(_address(dsc, "IPEndRange"))}
    present = wanted in own["exclusions"]
    if dsc.given("Ensure", "Present") == "Absent":
        if present:
            own["exclusions"].remove(wanted)
        return present
    if not present:
        own["exclusions"].append(wanted)
    return not present


_OPTION = {
    "OptionId": "key uint32",
    "Value": "str[]",
    "VendorClass": "key str",
    "UserClass": "key str",
    "AddressFamily": "key str IPv4",
    "Ensure": "str Present|Absent",
}


def _option(dsc: Dsc, options: dict[str, list[str]]) -> bool:
    if dsc.properties["VendorClass"] or dsc.properties["UserClass"]:
        raise dsc.fail("The lab simulates options without vendor and user classes only")
    if not 1 <= dsc.properties["OptionId"] <= 255:
        raise dsc.fail("OptionId must be between 1 and 255")
    name = str(dsc.properties["OptionId"])
    if dsc.given("Ensure", "Present") == "Absent":
        return options.pop(name, None) is not None
    wanted = dsc.given("Value", [])
    if not wanted:
        raise dsc.fail(f"option {name} has no value")
    changed = bool(options.get(name) != wanted)
    options[name] = wanted
    return changed


@resource(
    "DhcpServerOptionValue",
    module=MODULE,
    schema=_OPTION,
    source="DhcpServerDsc, source/DSCResources/DSC_DhcpServerOptionValue/DSC_DhcpServerOptionValue.schema.mof",
)
def server_option(dsc: Dsc) -> bool:
    """An option of the server."""
    _need(dsc)
    return _option(dsc, dsc.server.section("dhcp_server")["options"])


@resource(
    "DhcpScopeOptionValue",
    module=MODULE,
    schema={"ScopeId": "key str", **_OPTION},
    source="DhcpServerDsc, source/DSCResources/DSC_DhcpScopeOptionValue/DSC_DhcpScopeOptionValue.schema.mof",
)
def scope_option(dsc: Dsc) -> bool:
    """An option of a scope."""
    _need(dsc)
    return _option(dsc, _find_scope(dsc)["options"])


@resource(
    "xDhcpServerAuthorization",
    module=MODULE,
    schema={
        "IsSingleInstance": "key str Yes",
        "Ensure": "required str Present|Absent",
        "DnsName": "str",
        "IPAddress": "str",
    },
    source="DhcpServerDsc, source/DSCResources/DSC_xDhcpServerAuthorization/DSC_xDhcpServerAuthorization.schema.mof",
)
def authorization(dsc: Dsc) -> bool:
    """The server's authorisation in the directory, which an enterprise administrator gives."""
    _need(dsc)
    server = dsc.server
    with open_domain(dsc.call) as domain:
        addresses = server.addresses()
        entry = {
            "name": dsc.given("DnsName", server.fqdn).lower(),
            "address": dsc.given("IPAddress", addresses[0] if addresses else ""),
        }
        servers = domain.data["dhcp_servers"]
        present = entry in servers
        if present == (dsc.properties["Ensure"] == "Present"):
            return False
        if dsc.account is None or not member_of(domain, dsc.account, 519):
            raise dsc.fail("Accès refusé: only an enterprise administrator authorises a DHCP server")
        if present:
            servers.remove(entry)
        else:
            servers.append(entry)
        return True


def configured(server: WindowsServer) -> bool:
    """Whether Server Manager holds the mark that the first configuration was done."""
    return bool(Registry(server).data(MARK, "ConfigurationState") == 2)


def authorized(call: Call) -> bool:
    """Whether the directory authorises the server that runs a module."""
    if call.server.domain is None:
        return False
    with open_domain(call) as domain:
        return any(entry["name"] == call.server.fqdn for entry in domain.data["dhcp_servers"])


@handles("cnosf.infogerance.dhcp_server_setup", source="documentation of cnosf.infogerance.dhcp_server_setup")
def dhcp_server_setup(call: Call) -> Result:
    """Security groups and Server Manager's mark, once."""
    done = configured(call.server)
    diff = {"before": {"configured": done}, "after": {"configured": True}}
    if done:
        return {"changed": False, "diff": diff}
    if not call.check:
        if not available(call.server):
            raise ModuleFailure(
                "The first configuration of the DHCP server failed; see that the DHCP feature is installed: "
                + _NO_MODULE
            )
        with open_domain(call) as domain:
            for name in ("Administrateurs DHCP", "Utilisateurs DHCP"):
                if domain.find(name) is None:
                    group = domain.add(f"CN={name},CN=Users,{domain.dn}", "group", sAMAccountName=name, member=[])
                    group["attributes"]["groupType"] = 0x4 - 0x80000000
        Registry(call.server).set(MARK, "ConfigurationState", "dword", 2)
    return {"changed": True, "diff": diff}


@handles("cnosf.infogerance.dhcp_state_info", source="documentation of cnosf.infogerance.dhcp_state_info")
def dhcp_state_info(call: Call) -> Result:
    """Scopes, options, authorisation."""
    if not available(call.server):
        return {"changed": False, "state": {"available": False}}
    if not running(call.server):
        raise ModuleFailure("The DHCP server does not answer; see that the service DHCPServer runs: (it is stopped)")
    state = call.server.section("dhcp_server")
    return {
        "changed": False,
        "state": {
            "available": True,
            "configured": configured(call.server),
            "authorized": authorized(call),
            "options": _options(state["options"]),
            "scopes": [{**own, "options": _options(own["options"])} for own in state["scopes"].values()],
        },
    }


def _options(options: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {"id": int(name), "values": list(values)}
        for name, values in sorted(options.items(), key=lambda item: int(item[0]))
    ]
