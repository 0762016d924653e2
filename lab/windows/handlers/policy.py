# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security policy of the server: win_user_right, win_security_policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec

_ADMINS, _USERS, _BACKUP, _EVERYONE = "S-1-5-32-544", "S-1-5-32-545", "S-1-5-32-551", "S-1-1-0"
_LOCAL_SERVICE, _NETWORK_SERVICE, _SERVICE = "S-1-5-19", "S-1-5-20", "S-1-5-6"

# Defaults of a member server (Microsoft, "User Rights Assignment").
_RIGHTS: dict[str, tuple[str, ...]] = {
    "SeAssignPrimaryTokenPrivilege": (_LOCAL_SERVICE, _NETWORK_SERVICE),
    "SeAuditPrivilege": (_LOCAL_SERVICE, _NETWORK_SERVICE),
    "SeBackupPrivilege": (_ADMINS, _BACKUP),
    "SeBatchLogonRight": (_ADMINS, _BACKUP, "S-1-5-32-559"),
    "SeChangeNotifyPrivilege": (_EVERYONE, _LOCAL_SERVICE, _NETWORK_SERVICE, _ADMINS, _USERS, _BACKUP),
    "SeCreateGlobalPrivilege": (_LOCAL_SERVICE, _NETWORK_SERVICE, _ADMINS, _SERVICE),
    "SeCreatePagefilePrivilege": (_ADMINS,),
    "SeCreatePermanentPrivilege": (),
    "SeCreateSymbolicLinkPrivilege": (_ADMINS,),
    "SeCreateTokenPrivilege": (),
    "SeDebugPrivilege": (_ADMINS,),
    "SeDelegateSessionUserImpersonatePrivilege": (_ADMINS,),
    "SeDenyBatchLogonRight": (),
    "SeDenyInteractiveLogonRight": (),
    "SeDenyNetworkLogonRight": (),
    "SeDenyRemoteInteractiveLogonRight": (),
    "SeDenyServiceLogonRight": (),
    "SeEnableDelegationPrivilege": (),
    "SeImpersonatePrivilege": (_LOCAL_SERVICE, _NETWORK_SERVICE, _ADMINS, _SERVICE),
    "SeIncreaseBasePriorityPrivilege": (_ADMINS, "S-1-5-90-0"),
    "SeIncreaseQuotaPrivilege": (_LOCAL_SERVICE, _NETWORK_SERVICE, _ADMINS),
    "SeIncreaseWorkingSetPrivilege": (_USERS,),
    "SeInteractiveLogonRight": (_ADMINS, _USERS, _BACKUP),
    "SeLoadDriverPrivilege": (_ADMINS,),
    "SeLockMemoryPrivilege": (),
    "SeMachineAccountPrivilege": (),
    "SeManageVolumePrivilege": (_ADMINS,),
    "SeNetworkLogonRight": (_EVERYONE, _ADMINS, _USERS, _BACKUP),
    "SeProfileSingleProcessPrivilege": (_ADMINS,),
    "SeRelabelPrivilege": (),
    "SeRemoteInteractiveLogonRight": (_ADMINS, "S-1-5-32-555"),
    "SeRemoteShutdownPrivilege": (_ADMINS,),
    "SeRestorePrivilege": (_ADMINS, _BACKUP),
    "SeSecurityPrivilege": (_ADMINS,),
    "SeServiceLogonRight": ("S-1-5-80-0",),
    "SeShutdownPrivilege": (_ADMINS, _BACKUP),
    "SeSyncAgentPrivilege": (),
    "SeSystemEnvironmentPrivilege": (_ADMINS,),
    "SeSystemProfilePrivilege": (_ADMINS, "S-1-5-80-3139157870-2983391045-3678747466-658725712-1809340420"),
    "SeSystemtimePrivilege": (_LOCAL_SERVICE, _ADMINS),
    "SeTakeOwnershipPrivilege": (_ADMINS,),
    "SeTcbPrivilege": (),
    "SeTimeZonePrivilege": (_LOCAL_SERVICE, _ADMINS),
    "SeTrustedCredManAccessPrivilege": (),
    "SeUndockPrivilege": (_ADMINS,),
}

# What "secedit /export" shows on a fresh stand-alone server.
_ACCESS = {
    "MinimumPasswordAge": "0",
    "MaximumPasswordAge": "42",
    "MinimumPasswordLength": "0",
    "PasswordComplexity": "1",
    "PasswordHistorySize": "0",
    "LockoutBadCount": "0",
    "RequireLogonToChangePassword": "0",
    "ForceLogoffWhenHourExpire": "0",
    "NewAdministratorName": '"Administrateur"',
    "NewGuestName": '"Invité"',
    "ClearTextPassword": "0",
    "LSAAnonymousNameLookup": "0",
    "EnableAdminAccount": "1",
    "EnableGuestAccount": "0",
}
# Keys that show only once they matter: the lockout's figures need a threshold.
_ACCESS_ALSO = {"LockoutDuration", "ResetLockoutCount", "AllowAdministratorLockout"}
_AUDIT = (
    "AuditSystemEvents", "AuditLogonEvents", "AuditObjectAccess", "AuditPrivilegeUse", "AuditPolicyChange",
    "AuditAccountManage", "AuditProcessTracking", "AuditDSAccess", "AuditAccountLogon",
)  # fmt: skip


@section("user_rights")
def _user_rights(_spec: ServerSpec) -> dict[str, Any]:
    return {name: list(sids) for name, sids in _RIGHTS.items()}


@section("security_policy")
def _security_policy(_spec: ServerSpec) -> dict[str, Any]:
    return {
        "Unicode": {"Unicode": "yes"},
        "System Access": dict(_ACCESS),
        "Event Audit": dict.fromkeys(_AUDIT, "0"),
        "Registry Values": {},
        "Version": {"signature": '"$CHICAGO$"', "Revision": "1"},
    }


@handles("ansible.windows.win_user_right", source="ansible.windows 3.3.0 win_user_right documentation and source")
def win_user_right(call: Call) -> Result:
    """Grant a right to accounts, revoke it, or set its holders."""
    args = call.args
    rights = call.server.section("user_rights")
    wanted = []
    for user in args["users"]:
        principal = call.server.resolve(user)
        if principal is None:
            raise ModuleFailure(f"Failed to translate the account '{user}' to a SID", added=[], removed=[])
        wanted.append(principal.sid)
    name = next((right for right in rights if right.casefold() == args["name"].casefold()), None)
    if name is None:
        raise ModuleFailure(f"the specified right {args['name']} is not a valid right", added=[], removed=[])
    current = list(rights[name])
    add = [sid for sid in dict.fromkeys(wanted) if sid not in current] if args["action"] != "remove" else []
    drop = [sid for sid in current if sid in wanted] if args["action"] == "remove" else []
    if args["action"] == "set":
        drop = [sid for sid in current if sid not in wanted]
    rights[name] = [sid for sid in current if sid not in drop] + add
    show = call.server.account_name
    result: Result = {
        "changed": bool(add or drop),
        "added": [show(sid) for sid in add],
        "removed": [show(sid) for sid in drop],
    }
    if call.diff:
        result["diff"] = {
            "before": {name: [show(sid) for sid in current]},
            "after": {name: [show(sid) for sid in rights[name]]},
        }
    return result


def _privilege_rights(call: Call) -> dict[str, str]:
    """Section ``Privilege Rights`` of an export: SIDs with a star, rights without holders left out."""
    return {
        name: ",".join(f"*{sid}" for sid in sids) for name, sids in call.server.section("user_rights").items() if sids
    }


@handles(
    "community.windows.win_security_policy",
    source="community.windows 3.1.0 win_security_policy documentation and source",
)
def win_security_policy(call: Call) -> Result:
    """Set one value of the local security policy, as secedit exports and imports it."""
    args = call.args
    policy = call.server.section("security_policy")
    wanted_section, key, value = args["section"], args["key"], args["value"]
    result: Result = {"changed": False, "section": wanted_section, "key": key, "value": value}
    names = {name.casefold(): name for name in (*policy, "Privilege Rights")}
    section_name = names.get(wanted_section.casefold())
    if section_name is None:
        raise ModuleFailure(f"The section '{wanted_section}' does not exist in SecEdit.exe output ini", **result)
    current = _privilege_rights(call) if section_name == "Privilege Rights" else policy[section_name]
    known = next((name for name in current if name.casefold() == key.casefold()), None)
    if (known is not None and current[known] == value) or (known is None and not value):
        return result
    if call.diff:
        old = f"-{key} = {current[known]}\n" if known else ""
        result["diff"] = {"prepared": f"[{wanted_section}]\n{old}+{key} = {value}\n"}
    result["changed"] = True
    if section_name == "Privilege Rights":
        _import_right(call, key, value, result)
        return result
    if known is None:
        valid = section_name == "Registry Values" or (section_name == "System Access" and key in _ACCESS_ALSO)
        if not valid:
            raise ModuleFailure(
                f"The key '{key}' in section '{wanted_section}' is not a valid key, cannot set this value", **result
            )
    policy[section_name][known or key] = value
    return result


def _import_right(call: Call, key: str, value: str, result: Result) -> None:
    rights = call.server.section("user_rights")
    name = next((right for right in rights if right.casefold() == key.casefold()), None)
    sids = []
    for part in filter(None, (part.strip().lstrip("*") for part in value.split(","))):
        principal = call.server.resolve(part)
        if principal is not None:
            sids.append(principal.sid)
    if name is None or ",".join(f"*{sid}" for sid in sids) != value:
        raise ModuleFailure(
            f"The key '{key}' in section '{result['section']}' is not a valid key, cannot set this value", **result
        )
    rights[name] = sids
