# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server may reach: an allow-list under a firewall that blocks everything else that goes out.

What comes in (WinRM, monitoring) is the baseline's; its answers pass, because the firewall keeps track of connections.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, REMOVE, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.firewall_rules import addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item

    from .declared import Declaration, Flow
    from .observed import Observation, Rule

PROFILES = ("domain", "private", "public")
CONTROLLER_TCP = "88,135,389,445,464,636,3268,3269,9389,49152-65535"
CONTROLLER_UDP = "88,123,389,464"
"""Microsoft, "How to configure a firewall for Active Directory domains and trusts", and ADWS (9389)."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One rule of the allow-list; no address means every address."""

    name: str
    protocol: str
    ports: str
    addresses: tuple[str, ...]


def dns_servers(declared: Declaration, found: Observation) -> tuple[str, ...]:
    """DNS servers that the server may ask: the declared ones, else its own."""
    return declared.dns_servers or found.dns_servers


def controllers(declared: Declaration, found: Observation) -> tuple[str, ...]:
    """Domain controllers that it may reach: the declared ones, else its DNS servers where it is in a domain."""
    return declared.domain_controllers or (found.dns_servers if found.domain else ())


def allowed(declared: Declaration, found: Observation) -> list[Allowed]:
    """The whole allow-list."""
    group = declared.firewall_group
    dns = dns_servers(declared, found)
    domain = controllers(declared, found)
    rules = [Allowed(f"{group}: DNS {kind}", kind, "53", dns) for kind in ("udp", "tcp") if dns]
    if domain:
        rules.append(Allowed(f"{group}: domaine tcp", "tcp", CONTROLLER_TCP, domain))
        rules.append(Allowed(f"{group}: domaine udp", "udp", CONTROLLER_UDP, domain))
    time = declared.time_servers or domain
    if time:
        rules.append(Allowed(f"{group}: heure", "udp", "123", time))
    # Lists of revoked certificates and OCSP are fetched without TLS (RFC 5280, 8): port 80.
    rules.append(Allowed(f"{group}: révocation", "tcp", "80", declared.revocation_addresses))
    flows = [
        Allowed(f"{group}: flux {flow.name}", "tcp", str(flow.far_port), far_addresses(flow)) for flow in declared.flows
    ]
    others = [
        Allowed(f"{group}: {opening.name}", opening.protocol, opening.ports, opening.addresses)
        for opening in declared.outbound
    ]
    return rules + flows + others


def far_addresses(flow: Flow) -> tuple[str, ...]:
    """Addresses of a flow's far end: the declared ones, else its host where that is an address."""
    return flow.addresses or ((flow.host,) if is_address(flow.host) else ())


def is_address(text: str) -> bool:
    """Whether a text is an IP address or network, as the firewall takes it."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def rules(declared: Declaration, found: Observation) -> list[Item]:
    """Rules to write or remove, as ``win_firewall_rule`` takes them."""
    if not declared.firewall:
        return []
    wanted = allowed(declared, found)
    items = []
    for rule in wanted:
        matches = [own for own in found.rules if own.name == rule.name]
        why = [CREATE] if not matches else list(_differing(rule, matches[0]))
        if len(matches) > 1:
            why = ["double"]
        if why:
            items.append(
                item(
                    rule.name,
                    why,
                    foreseen=False,
                    name=rule.name,
                    state="present",
                    protocol=rule.protocol,
                    remoteport=rule.ports,
                    remoteip=",".join(rule.addresses) or "any",
                )
            )
    if declared.purge:
        names = {rule.name for rule in wanted}
        strays = sorted({own.name for own in found.rules} - names)
        items += [item(name, [REMOVE], foreseen=False, name=name, state="absent") for name in strays]
    return items


def _differing(rule: Allowed, own: Rule) -> Iterator[str]:
    if not own.enabled:
        yield "enabled"
    if own.direction != "out" or own.action != "allow":
        yield "action"
    if own.protocol != rule.protocol:
        yield "protocol"
    if _ports(own.remote_ports) != _ports(rule.ports):
        yield "ports"
    if addresses(own.remote_addresses) != addresses(rule.addresses):
        yield "addresses"
    if set(own.profiles) != set(PROFILES):
        yield "profiles"


def _ports(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip()) - {"any", "*"}


def block(declared: Declaration, found: Observation) -> list[Item]:
    """The one item that turns on blocking, where a profile still lets everything out."""
    open_profiles = open_to_all(found)
    if not declared.firewall or not open_profiles:
        return []
    return [item("outbound", open_profiles, foreseen=False)]


def open_to_all(found: Observation) -> list[str]:
    """Profiles that are off, or let out what no rule names."""
    return [own.name for own in found.profiles if not own.enabled or own.outbound_action != "block"]
