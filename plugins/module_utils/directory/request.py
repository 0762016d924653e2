# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the read-only probes must be asked so that a declaration can be compared with what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .declared import Declaration


def request(declared: Declaration) -> dict[str, Any]:
    """Arguments of the modules windows_state_info, ad_state_info and dns_state_info, by module."""
    groups = [group.name for group in declared.groups] + [name for user in declared.users for name in user.groups]
    return {
        "server": {"powershell_modules": _each(module.name for module in declared.dsc_modules)},
        "directory": {
            "organizational_units": [declared.unit_dn(unit) for unit in declared.organizational_units],
            "groups": _each(groups),
            "users": [user.name for user in declared.users],
            "service_accounts": [account.name for account in declared.service_accounts],
            "principals": declared.principals(),
            "link_targets": _each(declared.place(link.target) for link in declared.gpo_links),
            "laps_targets": [declared.place(target) for target in declared.laps.targets if declared.laps.enabled],
        },
        "dns": {
            "records": [
                {"zone": record.zone, "name": record.name, "type": record.type} for record in declared.dns_records
            ],
        },
    }


def _each(values: Iterable[str]) -> list[str]:
    """Each value once, whatever its case, in the order of appearance."""
    seen: dict[str, str] = {}
    for value in values:
        seen.setdefault(value.casefold(), value)
    return list(seen.values())
