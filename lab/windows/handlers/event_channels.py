# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Event channels: win_event_channels. Sizes and states are those of a fresh Windows Server 2022."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec

_CHANNELS = {
    "Application": (True, 20),
    "Security": (True, 20),
    "Setup": (True, 1),
    "System": (True, 20),
    "Windows PowerShell": (True, 15),
    "Microsoft-Windows-PowerShell/Operational": (True, 15),
    "Microsoft-Windows-TaskScheduler/Operational": (False, 10),
    "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational": (True, 1),
    "Microsoft-Windows-SMBServer/Audit": (True, 8),
    "Microsoft-Windows-SMBServer/Security": (True, 8),
    "Microsoft-Windows-NTLM/Operational": (True, 1),
    "Microsoft-Windows-DNS-Client/Operational": (False, 1),
    "Microsoft-Windows-WinRM/Operational": (True, 1),
    "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall": (True, 1),
    "Microsoft-Windows-CAPI2/Operational": (False, 1),
    "Microsoft-Windows-Windows Defender/Operational": (True, 16),
}
_CLASSIC = {"Application", "Security", "Setup", "System", "Windows PowerShell"}


@section("event_channels")
def _event_channels(_spec: ServerSpec) -> dict[str, Any]:
    return {
        name: {"enabled": enabled, "max_size_mib": size, "mode": "circular"}
        for name, (enabled, size) in _CHANNELS.items()
    }


@handles("cnosf.infogerance.win_event_channels", source="plugins/modules/win_event_channels.yml")
def win_event_channels(call: Call) -> Result:
    """Set what is given and differs."""
    channels = call.server.section("event_channels")
    known = {name.casefold(): name for name in channels}
    changes = []
    for entry in call.args["channels"]:
        name = known.get(entry["name"].casefold())
        if name is None:
            raise ModuleFailure(
                f"event channel '{entry['name']}': Le canal spécifié est introuvable. "
                "Vérifiez la configuration du canal."
            )
        if name in _CLASSIC and entry["enabled"] is False:
            raise ModuleFailure(f"event channel '{entry['name']}': Cette opération n’est pas prise en charge.")
        for option in ("enabled", "max_size_mib", "mode"):
            wanted = entry[option]
            if wanted is not None and channels[name][option] != wanted:
                changes.append(
                    {"name": entry["name"], "property": option, "before": channels[name][option], "after": wanted}
                )
                channels[name][option] = wanted
    result: Result = {"changed": bool(changes), "changes": changes}
    if call.diff:
        result["diff"] = {
            side: "\n".join(f"{change['name']} {change['property']} = {change[side]}" for change in changes)
            for side in ("before", "after")
        }
    return result
