# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The advanced audit policy: win_audit_policies.

The initial policy is the one that a fresh Windows Server has, from Microsoft's "Audit policy recommendations".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec

_DEFAULTS = {
    "Security State Change": "success",
    "System Integrity": "success_and_failure",
    "Other System Events": "success_and_failure",
    "Logon": "success_and_failure",
    "Logoff": "success",
    "Account Lockout": "success",
    "Special Logon": "success",
    "Network Policy Server": "success_and_failure",
    "Audit Policy Change": "success",
    "Authentication Policy Change": "success",
    "Computer Account Management": "success",
    "Security Group Management": "success",
    "User Account Management": "success",
    "Directory Service Access": "success",
    "Kerberos Service Ticket Operations": "success",
    "Kerberos Authentication Service": "success",
    "Credential Validation": "success",
}


@section("audit_policy")
def _audit_policy(_spec: ServerSpec) -> dict[str, Any]:
    return dict(_DEFAULTS)


@handles("cnosf.infogerance.win_audit_policies", source="plugins/modules/win_audit_policies.yml")
def win_audit_policies(call: Call) -> Result:
    """Set the subcategories that differ."""
    policy = call.server.section("audit_policy")
    changes = []
    for entry in call.args["policies"]:
        before = policy.get(entry["subcategory"], "none")
        if before != entry["audit"]:
            policy[entry["subcategory"]] = entry["audit"]
            changes.append({"subcategory": entry["subcategory"], "before": before, "after": entry["audit"]})
    result: Result = {"changed": bool(changes), "changes": changes}
    if call.diff:
        result["diff"] = {
            side: "\n".join(f"{change['subcategory']} = {change[side]}" for change in changes)
            for side in ("before", "after")
        }
    return result
