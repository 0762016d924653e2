# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which firewall rules differ from their declaration."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.declared import Entry


def _address(text: str) -> str:
    text = text.strip()
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text.casefold()
    return str(network)


def addresses(text: str | Sequence[str]) -> frozenset[str]:
    """Bring addresses of a firewall rule to one form; nothing, ``any`` and ``*`` mean every address (an empty set)."""
    parts = text.split(",") if isinstance(text, str) else text
    found = {_address(str(part)) for part in parts if str(part).strip()}
    return frozenset(found - {"any", "*"})


def _ports(text: str | int | None) -> frozenset[str]:
    parts = {part.strip() for part in str(text or "").split(",") if part.strip()}
    return frozenset(parts - {"any", "*"})


def _same_rule(declared: Mapping[str, Any], rule: Mapping[str, Any], group: str) -> bool:
    return (
        bool(rule["enabled"])
        and rule["group"] == group
        and rule["direction"] == declared["direction"]
        and rule["action"] == declared["action"]
        and rule["protocol"] == declared["protocol"]
        and _ports(rule["local_ports"]) == _ports(declared.get("port"))
        and addresses(rule["remote_addresses"]) == addresses(declared.get("addresses", ()))
        and set(rule["profiles"]) == set(declared["profiles"])
    )


def firewall_changes(
    declared: Sequence[Mapping[str, Any]],
    current: Sequence[Mapping[str, Any]],
    group: str,
    *,
    purge: bool,
    absent: Sequence[str] = (),
) -> list[Entry]:
    """Rules to write or remove, as ``win_firewall_rule`` takes them.

    Args:
        declared: ``name``, ``protocol``, ``port``, ``addresses``, ``action``, ``direction``, ``profiles``.
        current: ``firewall_rules`` of ``win_baseline_info``.
        group: Group that marks the rules as declared here.
        purge: Whether rules of that group that are no longer declared go away.
        absent: Names of rules that go away, whatever their group.
    """
    changes = []
    names = set()
    for entry in declared:
        rule = {"direction": "in", "action": "allow", "profiles": ["domain", "private", "public"], **entry}
        names.add(rule["name"])
        matches = [found for found in current if found["name"] == rule["name"]]
        if len(matches) == 1 and _same_rule(rule, matches[0], group):
            continue
        change = {
            "name": rule["name"],
            "group": group,
            "state": "present",
            "enabled": True,
            "direction": rule["direction"],
            "action": rule["action"],
            "protocol": rule["protocol"],
            "profiles": list(rule["profiles"]),
            "remoteip": ",".join(rule.get("addresses", ())) or "any",
        }
        if rule["protocol"] in {"tcp", "udp"}:
            change["localport"] = str(rule.get("port") or "any")
        if rule.get("icmp_type_code"):
            change["icmp_type_code"] = list(rule["icmp_type_code"])
        changes.append(change)
    stale = {rule["name"] for rule in current if rule["name"] in absent or (purge and rule["group"] == group)}
    changes += [{"name": name, "state": "absent"} for name in sorted(stale - names)]
    return changes


def enabled_groups(groups: Sequence[str], current: Sequence[Mapping[str, Any]]) -> list[str]:
    """Groups of Windows' own rules that must be disabled and still have a rule in force."""
    active = {rule["group"] for rule in current if rule["enabled"]}
    return [group for group in groups if group in active]


def clients_cut(clients: Sequence[str], networks: Sequence[str]) -> list[str]:
    """Clients of WinRM that management networks would shut out; none where at least one of them stays inside.

    The caller is among the clients, and the server cannot tell which one it is: when nobody is inside, it is cut off.

    Args:
        clients: Addresses of established connections, ``winrm_clients`` of ``win_baseline_info``.
        networks: Networks that may come in; nothing means all.
    """
    found = [ipaddress.ip_address(client.partition("%")[0]) for client in clients]
    remote = [address for address in found if not address.is_loopback]
    allowed = [ipaddress.ip_network(network, strict=False) for network in networks]
    if not allowed or any(address in network for address in remote for network in allowed):
        return []
    return sorted(str(address) for address in remote)
