# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local users and groups: win_user, win_group, win_group_membership, win_whoami."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.identity import Principal, nt_hash
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

User = dict[str, Any]
Group = dict[str, Any]


def local_accounts(call: Call) -> dict[str, Any]:
    """The server's own accounts.

    Raises:
        NotSimulated: It is a domain controller, whose accounts are the domain's.
    """
    accounts = call.server.section("accounts")
    if accounts.get("domain_controller"):
        raise NotSimulated(f"The lab does not simulate {call.module} on a domain controller: use microsoft.ad.")
    return accounts


def next_sid(accounts: dict[str, Any]) -> str:
    """SID of the next account made on the server."""
    accounts["next_rid"] += 1
    return f"{accounts['machine_sid']}-{accounts['next_rid'] - 1}"


def principal_of(call: Call, name: str, message: str) -> Principal:
    """Who a name means.

    Raises:
        ModuleFailure: With the message given, when nobody.
    """
    found = call.server.resolve(name)
    if found is None:
        raise ModuleFailure(message)
    return found


def _groups_of(accounts: dict[str, Any], sid: str) -> list[Group]:
    return [group for group in accounts["groups"].values() if sid in group["members"]]


def _check_password(server: WindowsServer, user: User, password: str) -> None:
    """Hold a new password against the local policy, as Windows does."""
    policy = server.section("security_policy")["System Access"]
    kinds = (str.isupper, str.islower, str.isdigit, lambda char: not char.isalnum())
    weak = sum(any(kind(char) for char in password) for kind in kinds) < 3
    if user["name"].casefold() in password.casefold() and len(user["name"]) > 2:
        weak = True
    if len(password) < int(policy["MinimumPasswordLength"]) or (policy["PasswordComplexity"] == "1" and weak):
        raise ModuleFailure(
            'Exception calling "SetPassword" with "1" argument(s): "Le mot de passe ne répond pas aux spécifications '
            "de la stratégie de mot de passe. Vérifiez la longueur minimale du mot de passe, sa complexité et les "
            'conditions de son historique."'
        )


_PLAIN = (
    ("fullname", "full_name"),
    ("description", "description"),
    ("home_directory", "home_directory"),
    ("login_script", "login_script"),
    ("profile", "profile"),
    ("password_expired", "password_expired"),
    ("password_never_expires", "password_never_expires"),
    ("user_cannot_change_password", "user_cannot_change_password"),
    ("account_disabled", "disabled"),
    ("account_expires", "expires"),
)


def _new_user(accounts: dict[str, Any], name: str) -> User:
    user = {
        "name": name,
        "sid": next_sid(accounts),
        "full_name": "",
        "description": "",
        "nt_hash": nt_hash(""),
        "disabled": False,
        "locked": False,
        "password_never_expires": False,
        "password_expired": False,
        "user_cannot_change_password": False,
    }
    accounts["users"][name.casefold()] = user
    return user


def _set_groups(call: Call, accounts: dict[str, Any], user: User) -> bool:
    wanted = set()
    for name in call.args["groups"]:
        if not name.strip():
            continue
        principal = call.server.resolve(name)
        group = next(
            (entry for entry in accounts["groups"].values() if principal and entry["sid"] == principal.sid), None
        )
        if group is None:
            raise ModuleFailure(f"group '{name}' not found")
        wanted.add(group["sid"])
    current = {group["sid"] for group in _groups_of(accounts, user["sid"])}
    action = call.args["groups_action"]
    add = wanted - current if action in {"add", "replace"} else set()
    drop = current - wanted if action == "replace" else wanted & current if action == "remove" else set()
    for group in accounts["groups"].values():
        if group["sid"] in add:
            group["members"].append(user["sid"])
        elif group["sid"] in drop:
            group["members"].remove(user["sid"])
    return bool(add or drop)


def _show(call: Call, accounts: dict[str, Any], user: User) -> Result:
    return {
        "account_disabled": user["disabled"],
        "account_locked": user["locked"],
        "description": user["description"],
        "fullname": user["full_name"],
        "groups": [
            {"name": group["name"], "path": f"WinNT://WORKGROUP/{call.server.computer_name}/{group['name']}"}
            for group in _groups_of(accounts, user["sid"])
        ],
        "password_expired": user["password_expired"],
        "password_never_expires": user["password_never_expires"],
        "path": f"WinNT://WORKGROUP/{call.server.computer_name}/{user['name']}",
        "sid": user["sid"],
        "user_cannot_change_password": user["user_cannot_change_password"],
    }


@handles("ansible.windows.win_user", source="ansible.windows 3.3.0 win_user documentation and source")
def win_user(call: Call) -> Result:
    """Make, change, remove or describe a local user."""
    args = call.args
    name = args["name"].rpartition("\\")[2] if args["name"].startswith(".\\") else args["name"]
    if args["account_locked"]:
        raise ModuleFailure("account_locked must be set to 'no' if provided")
    accounts = local_accounts(call)
    user: User | None = accounts["users"].get(name.casefold())
    result: Result = {"changed": False, "name": name}
    if args["state"] == "query":
        result["msg"] = f"Querying user '{name}'"
        return {**result, **_show(call, accounts, user)} if user else result
    if args["state"] == "absent":
        if user is None:
            return {**result, "msg": f"User '{name}' was not found"}
        if user["sid"].endswith(("-500", "-501", "-503", "-504")):
            raise ModuleFailure(
                f"Failed to remove user '{name}': impossible d’effectuer cette opération sur les comptes intégrés."
            )
        for group in _groups_of(accounts, user["sid"]):
            group["members"].remove(user["sid"])
        del accounts["users"][name.casefold()]
        return {**result, "changed": True, "msg": f"User '{user['name']}' deleted successfully"}
    created = user is None
    if user is None:
        user = _new_user(accounts, name)
        result["changed"] = True
    password, when = args["password"], args["update_password"]
    if password is not None and (created or when == "always"):
        matches = nt_hash(password) == user["nt_hash"] and not (user["disabled"] or user["password_expired"])
        if created or not matches:
            _check_password(call.server, user, password)
            user["nt_hash"] = nt_hash(password)
            user["password_expired"] = False
            result["changed"] = True
    for option, key in _PLAIN:
        if args[option] is not None and user.get(key) != args[option]:
            user[key] = args[option]
            result["changed"] = True
    if args["account_locked"] is False and user["locked"]:
        user["locked"] = False
        result["changed"] = True
    if args["groups"] is not None and _set_groups(call, accounts, user):
        result["changed"] = True
    return {**result, **_show(call, accounts, user)}


def _find_group(call: Call, accounts: dict[str, Any], name: str) -> Group | None:
    plain = name.rpartition("\\")[2] if "\\" in name else name
    group: Group | None = accounts["groups"].get(plain.casefold()) or accounts["groups"].get(
        plain.casefold().replace("'", "’")
    )
    if group is None:
        principal = call.server.resolve(name)
        if principal is not None and principal.kind == "alias":
            group = next((entry for entry in accounts["groups"].values() if entry["sid"] == principal.sid), None)
    return group


@handles("ansible.windows.win_group", source="ansible.windows 3.3.0 win_group documentation and source")
def win_group(call: Call) -> Result:
    """Make, change or remove a local group."""
    args = call.args
    accounts = local_accounts(call)
    key = args["name"].casefold()
    group: Group | None = accounts["groups"].get(key)
    before = _diff(call, group)
    changed = False
    if args["state"] == "absent":
        if group is not None:
            if group["sid"].startswith("S-1-5-32-"):
                raise ModuleFailure(
                    'Exception calling "Delete" with "2" argument(s): "Impossible d’effectuer cette opération sur les '
                    'comptes intégrés."'
                )
            del accounts["groups"][key]
            changed = True
        result: Result = {"changed": changed, "sid": None}
        return {**result, "diff": {"before": before, "after": None}} if call.diff else result
    if group is None:
        group = {"name": args["name"], "sid": next_sid(accounts), "description": "", "members": []}
        accounts["groups"][key] = group
        changed = True
    if args["description"] is not None and group["description"] != args["description"]:
        group["description"] = args["description"]
        changed = True
    members = args["members"] or {"add": [], "remove": [], "set": None}

    def sids(names: list[str]) -> set[str]:
        failure = "Failed to translate '{}' to a SecurityIdentifier: le nom n’a pas pu être traduit."
        return {principal_of(call, name, failure.format(name)).sid for name in names}

    current = set(group["members"])
    if members["set"] is not None:
        wanted = sids(members["set"])
    else:
        wanted = (current | sids(members["add"] or [])) - sids(members["remove"] or [])
    if wanted != current:
        group["members"] = [sid for sid in group["members"] if sid in wanted] + sorted(wanted - current)
        changed = True
    result = {"changed": changed, "sid": group["sid"]}
    if call.diff:
        result["diff"] = {"before": before, "after": _diff(call, group)}
    return result


def _diff(call: Call, group: Group | None) -> dict[str, Any] | None:
    if group is None:
        return None
    return {
        "name": group["name"],
        "description": group["description"],
        "members": sorted(call.server.account_name(sid) for sid in group["members"]),
    }


@handles(
    "ansible.windows.win_group_membership",
    source="ansible.windows 3.3.0 win_group_membership documentation and source",
)
def win_group_membership(call: Call) -> Result:
    """Add members to a local group, remove some, or set them all."""
    args = call.args
    accounts = local_accounts(call)
    group = _find_group(call, accounts, args["name"])
    if group is None:
        raise ModuleFailure(f"Could not find local group {args['name']}")
    wanted = {}
    for name in args["members"]:
        message = f"Could not resolve group member {name}: le compte n’existe pas."
        wanted[principal_of(call, name, message).sid] = name
    current = list(group["members"])
    added = [sid for sid in wanted if sid not in current] if args["state"] != "absent" else []
    removed = [sid for sid in wanted if sid in current] if args["state"] == "absent" else []
    if args["state"] == "pure":
        removed = [sid for sid in current if sid not in wanted]
    group["members"] = [sid for sid in current if sid not in removed] + added
    show = call.server.account_name
    return {
        "changed": bool(added or removed),
        "name": args["name"],
        "added": [show(sid) for sid in added],
        "removed": [show(sid) for sid in removed],
        "members": [show(sid) for sid in group["members"]],
    }


def _described(principal: Principal) -> dict[str, Any]:
    kinds = {"user": "User", "group": "Group", "alias": "Alias", "wellknown": "WellKnownGroup", "computer": "Computer"}
    return {
        "account_name": principal.name,
        "domain_name": principal.domain,
        "sid": principal.sid,
        "type": kinds[principal.kind],
    }


@handles("ansible.windows.win_whoami", source="ansible.windows 3.3.0 win_whoami documentation and source")
def win_whoami(call: Call) -> Result:
    """Describe the account that runs the module."""
    server = call.server
    principal = principal_of(call, call.user, f"account {call.user} is not known")
    groups = []
    for sid in sorted(server.groups_of(principal)):
        group = server.resolve(sid)
        if group is not None:
            groups.append({**_described(group), "attributes": ["Mandatory", "Enabled by default", "Enabled"]})
    administrator = any(group["sid"] == "S-1-5-32-544" for group in groups) or principal.sid == "S-1-5-18"
    rights = server.section("user_rights")
    mine = {principal.sid, "S-1-1-0", "S-1-5-11", *(group["sid"] for group in groups)}
    return {
        "changed": False,
        "account": _described(principal),
        "authentication_package": "NTLM",
        "dns_domain_name": server.domain or "",
        "groups": groups,
        "impersonation_level": "SecurityAnonymous",
        "label": {
            "account_name": "High Mandatory Level" if administrator else "Medium Mandatory Level",
            "domain_name": "Mandatory Label",
            "sid": "S-1-16-12288" if administrator else "S-1-16-8192",
            "type": "Label",
        },
        "login_domain": principal.domain,
        "login_time": server.now().strftime("%Y-%m-%dT%H:%M:%S.0000000+00:00"),
        "logon_id": 999 if principal.sid == "S-1-5-18" else 4_242_424,
        "logon_server": server.computer_name,
        "logon_type": "Network",
        "privileges": {
            name: "enabled" for name, sids in rights.items() if name.endswith("Privilege") and mine.intersection(sids)
        },
        "rights": [name for name, sids in rights.items() if name.endswith("Right") and mine.intersection(sids)],
        "token_type": "TokenPrimary",
        "upn": "",
        "user_flags": "None",
    }
