# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten more items of each kind for the functions of the example estate: what a cost must not grow with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNT = 10
ITEMS: dict[str, dict[str, Any]] = {
    "domain_controller_groups": {"name": "GG-Banc-{n}"},
    "domain_controller_dns_records": {
        "zone": "{{ infogerance_domain }}",
        "name": "banc{n}",
        "type": "A",
        "values": ["10.99.0.{n}"],
    },
    "domain_controller_registry": {"path": "HKLM:\\SOFTWARE\\Banc", "name": "DC{n}", "data": "{n}"},
    "windows_baseline_registry_extra": {
        "path": "HKLM:\\SOFTWARE\\Banc",
        "name": "B{n}",
        "source": "benchmark",
        "data": "{n}",
        "type": "string",
    },
    "print_server_queues": {"name": "Banc {n}", "driver": "Microsoft PCL6 Class Driver", "port": "secretariat"},
    "sql_server_databases": {"name": "Banc{n}"},
    "sql_server_operators": {"name": "Banc {n}", "email": "banc{n}@{{ infogerance_domain }}"},
    "iis_pools": {"name": "banc{n}"},
    "iis_sites": {
        "name": "banc{n}",
        "pool": "banc{n}",
        "bindings": [{"host": "banc{n}.{{ infogerance_domain }}"}],
        "health_status": [403, 404],  # nothing is there
    },
    "ans_exchange_flows": {
        "name": "banc{n}",
        "protocol": "sftp",
        "host": "sftp.echanges.example",
        "addresses": ["192.0.2.21"],
        "user": "cnosf",
        "identity": "sftp-ans",
        "host_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILeSq3ajHiWCXbcwLeKyxydNyRF0gDGXSyEDfvkWTlXP"],
        "remote_path": "banc{n}",
    },
    "ans_exchange_outbound": {"name": "Banc {n}", "protocol": "tcp", "ports": "443", "addresses": ["192.0.2.{n}"]},
}
"""One item by variable; ``{n}`` is its number."""


def numbered(value: Any, number: int) -> Any:
    """An item with its number in the place of ``{n}``; other braces are templates and stay."""
    if isinstance(value, dict):
        return {key: numbered(inner, number) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbered(inner, number) for inner in value]
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def more(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Extra variables: what the inventory's hosts declare and ten more of each kind.

    Args:
        hosts: variables of each host, as the inventory has them.
    """
    found: dict[str, Any] = {}
    for name, item in ITEMS.items():
        declared: list[Any] = next((variables[name] for variables in hosts.values() if variables.get(name)), [])
        found[name] = [*declared, *(numbered(item, number) for number in range(1, COUNT + 1))]
    return found
