# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a whole Windows baseline with a server: pure, from the state that ``win_baseline_info`` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.firewall_rules import (
    clients_cut,
    enabled_groups,
    firewall_changes,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.local_accounts import (
    group_changes,
    right_changes,
    user_changes,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.services import service_changes

if TYPE_CHECKING:
    from collections.abc import Mapping


def plan(declaration: Mapping[str, Any], state: Mapping[str, Any], *, strict: bool = True) -> dict[str, list[Any]]:
    """Compare a whole declaration with the state that ``win_baseline_info`` returned.

    Args:
        declaration: ``services``, ``firewall`` (``rules``, ``group``, ``purge``, ``absent``,
            ``disabled_groups``, ``management``), ``rights``, ``users`` and ``groups``; what is missing is not compared.
        state: Result of ``win_baseline_info``.
        strict: Whether a name that the server does not know is an error; false while this run may still make it.

    Returns:
        What must change, by the same names; ``disabled_groups`` for groups of Windows' own firewall rules, ``cut``
        for clients that the management networks would shut out.
    """
    firewall = declaration.get(
        "firewall", {"rules": [], "group": "", "purge": False, "absent": [], "disabled_groups": [], "management": []}
    )
    controller = bool(state["domain_controller"])
    return {
        "cut": clients_cut(state["winrm_clients"], firewall["management"]),
        "services": service_changes(declaration.get("services", []), state["services"]),
        "firewall": firewall_changes(
            firewall["rules"],
            state["firewall_rules"],
            firewall["group"],
            purge=firewall["purge"],
            absent=firewall["absent"],
        ),
        "disabled_groups": enabled_groups(firewall["disabled_groups"], state["firewall_rules"]),
        "rights": right_changes(declaration.get("rights", []), state["user_rights"], state["sids"], strict=strict),
        "users": [] if controller else user_changes(declaration.get("users", []), state["users"]),
        "groups": []
        if controller
        else group_changes(declaration.get("groups", []), state["groups"], state["sids"], strict=strict),
    }
