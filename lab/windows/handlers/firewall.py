# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows firewall: win_firewall, win_firewall_rule."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_PROFILES = ("Domain", "Private", "Public")
_BITS = {"domain": 1, "private": 2, "public": 4}
_ALL = 0x7FFFFFFF
_PROTOCOLS = {"any": 256, "icmpv4": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "icmpv6": 58, "hopopt": 0}


def new_rule(name: str, **values: Any) -> dict[str, Any]:
    """Make a rule's state; what is not given has the firewall's defaults (any address, any port, enabled)."""
    return {
        "name": name,
        "description": None,
        "group": None,
        "program": None,
        "service": None,
        "enabled": True,
        "profiles": _ALL,
        "action": "allow",
        "direction": "in",
        "localip": "*",
        "remoteip": "*",
        "localport": "*",
        "remoteport": "*",
        "protocol": 256,
        "icmp_type_code": None,
        **values,
    }


@section("firewall")
def _firewall(_spec: ServerSpec) -> dict[str, Any]:
    # Names are in the language of Windows; groups are resources that INetFwRule.Grouping gives as they are stored.
    winrm = "Gestion à distance de Windows"
    sharing = "Partage de fichiers et d’imprimantes"
    winrm_group, sharing_group, desktop_group = (f"@FirewallAPI.dll,-{number}" for number in (30267, 28502, 28752))
    rules = [
        new_rule(f"{winrm} (HTTP-Entrée)", group=winrm_group, localport="5985", protocol=6, profiles=3),
        new_rule("Windows Remote Management (HTTPS-In)", localport="5986", protocol=6),
        new_rule(f"{sharing} (SMB-Entrée)", group=sharing_group, localport="445", protocol=6, enabled=False),
        new_rule(
            f"{sharing} (Demande d’écho - Trafic entrant ICMPv4)",
            group=sharing_group,
            protocol=1,
            icmp_type_code=["8:*"],
            enabled=False,
        ),
        new_rule(
            "Bureau à distance - Mode utilisateur (TCP-Entrée)",
            group=desktop_group,
            localport="3389",
            protocol=6,
            enabled=False,
        ),
    ]
    profile = {"enabled": True, "inbound": "not_configured", "outbound": "not_configured"}
    return {"profiles": {name: dict(profile) for name in _PROFILES}, "rules": rules}


def _port_fits(ports: str, port: int) -> bool:
    for part in ports.split(","):
        low, _, high = part.strip().partition("-")
        if low == "*" or (low.isdigit() and int(low) <= port <= int(high or low)):
            return True
    return False


def _address_fits(server: WindowsServer, addresses: str, remote: ipaddress.IPv4Address) -> bool:
    for part in addresses.split(","):
        text = part.strip()
        if text == "*":
            return True
        if text.casefold() == "localsubnet":
            own = [nic["address"] for nic in server.section("system")["networks"] if nic["address"]]
            if any(remote in ipaddress.ip_interface(address).network for address in own):
                return True
            continue
        if ":" in text or not text[:1].isdigit():  # IPv6 and the other keywords: nobody in the lab comes from there
            continue
        low, _, high = text.partition("-")
        if high:
            if ipaddress.IPv4Address(low) <= remote <= ipaddress.IPv4Address(high):
                return True
        elif remote in ipaddress.ip_network(text, strict=False):
            return True
    return False


def lets_in(server: WindowsServer, port: int, remote: str) -> bool:
    """Whether the firewall lets a TCP connection in, in the profile that is active.

    That is the domain's on a member and the public one elsewhere. A block wins over an allow, and without either the
    profile's default action decides. Loopback is never filtered.

    Args:
        server: The server asked.
        port: Its TCP port.
        remote: IPv4 address of the client.
    """
    source = ipaddress.ip_address(remote)
    if not isinstance(source, ipaddress.IPv4Address) or source.is_loopback:
        return True
    state = server.section("firewall")
    active = "Domain" if server.domain else "Public"
    profile = state["profiles"][active]
    if not profile["enabled"]:
        return True
    bit = _BITS[active.casefold()]
    actions = {
        rule["action"]
        for rule in state["rules"]
        if rule["enabled"]
        and rule["direction"] == "in"
        and rule["profiles"] & bit
        and rule["protocol"] in {6, 256}
        and _port_fits(rule["localport"] if rule["protocol"] == 6 else "*", port)
        and _address_fits(server, rule["remoteip"], source)
    }
    if "block" in actions:
        return False
    return "allow" in actions or profile["inbound"] == "allow"


def lets_out(server: WindowsServer, port: int, remote: str) -> bool:
    """Whether the firewall lets a TCP connection out, in the profile that is active.

    Args:
        server: The server that connects.
        port: TCP port of the other side.
        remote: IPv4 address of the other side.
    """
    target = ipaddress.ip_address(remote)
    if not isinstance(target, ipaddress.IPv4Address) or target.is_loopback:
        return True
    state = server.section("firewall")
    active = "Domain" if server.domain else "Public"
    profile = state["profiles"][active]
    if not profile["enabled"]:
        return True
    actions = {
        rule["action"]
        for rule in state["rules"]
        if rule["enabled"]
        and rule["direction"] == "out"
        and rule["profiles"] & _BITS[active.casefold()]
        and rule["protocol"] in {6, 256}
        and _port_fits(rule["remoteport"] if rule["protocol"] == 6 else "*", port)
        and _address_fits(server, rule["remoteip"], target)
    }
    if "block" in actions:
        return False
    return "allow" in actions or profile["outbound"] != "block"


@handles("ansible.windows.win_firewall", source="ansible.windows 3.3.0 win_firewall documentation and source")
def win_firewall(call: Call) -> Result:
    """Switch the firewall's profiles on or off and set their default actions."""
    args = call.args
    profiles = call.server.section("firewall")["profiles"]
    changed = False
    for name in args["profiles"]:
        profile = profiles[name]
        wanted = {"enabled": args["state"] == "enabled"}
        if wanted["enabled"]:  # the default actions are looked at only then
            for key, option in (("inbound", "inbound_action"), ("outbound", "outbound_action")):
                if args[option] is not None:
                    wanted[key] = args[option]
        if any(profile[key] != value for key, value in wanted.items()):
            profile.update(wanted)
            changed = True
    return {"changed": changed, "profiles": ", ".join(args["profiles"]), "state": [args["state"]]}


def _protocol(text: str) -> int:
    if text.isdigit():
        return int(text)
    number = _PROTOCOLS.get(text.lower())
    if number is None:
        raise ModuleFailure(f"Unknown protocol '{text}'.")
    return number


def _profile_bits(names: list[str]) -> int:
    bits = 0
    for name in names:
        if name.casefold() in {"any", "all"}:
            return _ALL
        bit = _BITS.get(name.casefold())
        if bit is None:
            raise ModuleFailure(f"Unknown profile '{name}'.")
        bits |= bit
    return _ALL if bits == 7 else bits


def _addresses(text: str) -> str:
    """Addresses as the firewall gives them back: any is a star, a plain host has its full mask."""
    if text.casefold() in {"any", "*"}:
        return "*"
    out = []
    for part in text.split(","):
        plain = part.strip()
        if plain and plain[0].isdigit() and "/" not in plain and "-" not in plain and ":" not in plain:
            plain += "/255.255.255.255"
        elif "/" in plain and plain.rsplit("/", 1)[1].isdigit() and ":" not in plain:
            address, _, length = plain.partition("/")
            mask = (0xFFFFFFFF << (32 - int(length))) & 0xFFFFFFFF
            plain = f"{address}/" + ".".join(str(mask >> shift & 255) for shift in (24, 16, 8, 0))
        out.append(plain)
    return ",".join(out)


def _wanted(call: Call) -> dict[str, Any]:
    """Properties that the task gives, as the rule keeps them."""
    args = call.args
    wanted: dict[str, Any] = {}
    for option in ("description", "program", "service", "direction", "action", "enabled"):
        if option in call.given:
            wanted[option] = args[option]
    if "group" in call.given and args["name"] is not None:
        wanted["group"] = args["group"]
    for option in ("localip", "remoteip"):
        if args[option] is not None:
            wanted[option] = _addresses(args[option])
    if args["protocol"] is not None:
        wanted["protocol"] = _protocol(args["protocol"])
    for option in ("localport", "remoteport"):
        if args[option] is not None:
            wanted[option] = "*" if args[option].casefold() in {"any", "*"} else args[option]
            if args["protocol"] is None or wanted["protocol"] not in {6, 17}:
                raise ModuleFailure(
                    "Le port spécifié exige un protocole TCP ou UDP: give protocol tcp or udp with a port."
                )
    if args["profiles"] is not None:
        wanted["profiles"] = _profile_bits(args["profiles"])
    if args["icmp_type_code"] is not None:
        wanted["icmp_type_code"] = [code if ":" in code else f"{code}:*" for code in args["icmp_type_code"]]
    for option in ("program", "service"):
        if wanted.get(option) == "any":
            wanted[option] = None
    return wanted


def _same(key: str, old: Any, new: Any) -> bool:
    if key in {"localip", "remoteip"}:
        return set(str(old).split(",")) == set(str(new).split(","))
    return bool(old == new)


@handles(
    "community.windows.win_firewall_rule", source="community.windows 3.1.0 win_firewall_rule documentation and source"
)
def win_firewall_rule(call: Call) -> Result:
    """Make, change or remove a rule by name, or all rules of a group."""
    args = call.args
    state = call.server.section("firewall")
    name, group = args["name"], args["group"]
    if name is None and group is None:
        raise ModuleFailure("Either name or group must be specified")
    chosen = [
        rule
        for rule in state["rules"]
        if (name is not None and rule["name"] == name) or (name is None and rule["group"] == group)
    ]
    if args["state"] == "absent":
        if not chosen:
            return {"changed": False, "msg": f"Firewall rule(s) '{name or group}' did not exist."}
        state["rules"] = [rule for rule in state["rules"] if rule not in chosen]
        names = "', '".join(rule["name"] for rule in chosen)
        return {"changed": True, "msg": f"Firewall rule(s) '{names}' removed."}
    wanted = _wanted(call)
    if not chosen:
        if name is None:
            return {"changed": False, "msg": f"No rules found for group '{group}'."}
        state["rules"].append(new_rule(name, **wanted))
        return {"changed": True, "msg": f"Firewall rule '{name}' created."}
    changed: list[str] = []
    unchanged: list[str] = []
    for rule in chosen:
        different = {key: value for key, value in wanted.items() if not _same(key, rule[key], value)}
        rule.update(different)
        (changed if different else unchanged).append(rule["name"])
    return {
        "changed": bool(changed),
        "msg": f"Firewall rule(s) changed '{', '.join(changed)}' - unchanged '{', '.join(unchanged)}'",
    }
