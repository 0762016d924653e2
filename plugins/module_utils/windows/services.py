# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services differ from their declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.declared import Entry


def service_changes(declared: Sequence[Mapping[str, Any]], current: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Services whose start mode or state differs, with what they should have.

    Args:
        declared: ``name``, ``start_mode`` (auto, delayed, manual, disabled), ``state`` (started, stopped, or
            not given when it does not matter) and ``required`` (default true for services that must run).
        current: ``services`` of ``win_baseline_info``.

    Raises:
        InputError: A service that must run is not installed.
    """
    states = {str(entry["name"]).casefold(): entry for entry in current}
    changes = []
    for entry in declared:
        state = states.get(str(entry["name"]).casefold(), {"exists": False})
        if not state["exists"]:
            if entry.get("state") == "started" and entry.get("required", True):
                raise InputError(
                    f"service {entry['name']} must run and is not installed: "
                    "install it, or declare it with required: false"
                )
            continue
        running = {"started": "running", "stopped": "stopped", None: state["state"]}[entry.get("state")]
        if state["start_mode"] != entry["start_mode"] or state["state"] != running:
            change = {"name": entry["name"], "start_mode": entry["start_mode"]}
            if entry.get("state"):
                change["state"] = entry["state"]
            changes.append(change)
    return changes
