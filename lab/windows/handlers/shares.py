# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SMB shares: win_share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem, key
from lab.windows.identity import LogonFailure
from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_EVERYONE = "S-1-1-0"


def new_share(name: str, path: str, **values: Any) -> dict[str, Any]:
    """Make a share's state: readable by everyone, as New-SmbShare leaves it."""
    return {
        "name": name,
        "path": path,
        "description": "",
        "enumeration": "Unrestricted",
        "caching_mode": "Manual",
        "encrypt": False,
        "scope_name": "*",
        "access": [{"sid": _EVERYONE, "type": "Allow", "right": "Read"}],
        **values,
    }


@section("shares")
def _shares(_spec: ServerSpec) -> dict[str, Any]:
    full = [{"sid": "S-1-5-32-544", "type": "Allow", "right": "Full"}]
    return {
        "admin$": new_share("ADMIN$", r"C:\Windows", description="Administration à distance", access=list(full)),
        "c$": new_share("C$", "C:\\", description="Partage par défaut", access=list(full)),
    }


def add(server: WindowsServer, name: str, path: str, **values: Any) -> None:
    """Share a folder, as the set-up of a role does (SYSVOL, NETLOGON); an existing share stays as it is."""
    server.section("shares").setdefault(name.casefold(), new_share(name, path, **values))


def open_file(call: Call, path: str) -> bytes | None:
    r"""Content of ``\\server\share\file`` as this server reads it; None when it is not let in or not there.

    A WinRM session shows no account to other servers, so that only ``netcredentials_only`` gets through.
    """
    host, _slash, rest = path.lstrip("\\").partition("\\")
    share_name, _slash, inner = rest.partition("\\")
    target = call.server.estate.named(host) or call.server.estate.at(host)
    share = target.section("shares").get(share_name.casefold()) if target else None
    if target is None or share is None or call.network is None:
        return None
    try:
        caller = target.logon(*call.network)
    except LogonFailure:
        return None
    who = {caller.sid, _EVERYONE, *target.groups_of(caller)}
    granted = [entry["type"] for entry in share["access"] if entry["sid"] in who]
    if "Allow" not in granted or "Deny" in granted:
        return None
    files = FileSystem(target)
    wanted = rf"{share['path'].rstrip(chr(92))}\{inner}"
    return files.read(wanted) if files.is_file(wanted) else None


def _accounts(call: Call, text: str | None) -> list[str]:
    sids = []
    for name in filter(None, (part.strip() for part in (text or "").split(","))):
        principal = call.server.resolve(name)
        if principal is None:
            raise ModuleFailure(f"Unable to find group, user or account '{name}'.")
        if principal.sid not in sids:
            sids.append(principal.sid)
    return sids


def _access(call: Call, share: dict[str, Any], actions: list[str]) -> None:
    args = call.args
    name, show = share["name"], call.server.account_name
    full, change, read = (_accounts(call, args[level]) for level in ("full", "change", "read"))
    change = [sid for sid in change if sid not in full]
    read = [sid for sid in read if sid not in full and sid not in change]
    wanted = [{"sid": sid, "type": "Deny", "right": "Full"} for sid in _accounts(call, args["deny"])]
    for right, sids in (("Read", read), ("Change", change), ("Full", full)):
        wanted += [{"sid": sid, "type": "Allow", "right": right} for sid in sids]
    if args["rule_action"] == "set":
        for entry in list(share["access"]):
            if entry not in wanted:
                share["access"].remove(entry)
                verb = "Unblock" if entry["type"] == "Deny" else "Revoke"
                actions.append(f"{verb}-SmbShareAccess -Force -Name {name} -AccountName {show(entry['sid'])}")
    for entry in wanted:
        if entry in share["access"]:
            continue
        if entry["type"] == "Allow":  # granting replaces what the account was granted before
            share["access"] = [old for old in share["access"] if old["sid"] != entry["sid"] or old["type"] != "Allow"]
            who, right = show(entry["sid"]), entry["right"]
            actions.append(f"Grant-SmbShareAccess -Force -Name {name} -AccountName {who} -AccessRight {right}")
        else:
            actions.append(f"Block-SmbShareAccess -Force -Name {name} -AccountName {show(entry['sid'])}")
        share["access"].append(entry)


@handles("ansible.windows.win_share", source="ansible.windows 3.3.0 win_share documentation and source")
def win_share(call: Call) -> Result:
    """Make, change or remove a share and its permissions."""
    args = call.args
    shares = call.server.section("shares")
    name = args["name"]
    share = shares.get(name.casefold())
    actions: list[str] = []
    if args["state"] == "absent":
        if share is not None:
            del shares[name.casefold()]
            actions.append(f"Remove-SmbShare -Force -Name {name}")
        return {"changed": share is not None, "actions": actions}
    path = args["path"]
    if path is None:
        raise ModuleFailure("Get-AnsibleParam: Missing required argument path")
    if not FileSystem(call.server).is_dir(path):
        raise ModuleFailure(f"{path} directory does not exist on the host")
    if share is not None and key(share["path"]) != key(path):
        actions.append(f"Remove-SmbShare -Force -Name {name}")
        share = None
    if share is None:
        share = new_share(name, path.rstrip("\\"))
        shares[name.casefold()] = share
        actions.append(f"New-SmbShare -Name {name} -Path {path}")
    settings = {
        "description": ("Description", args["description"] or ""),
        "enumeration": ("FolderEnumerationMode", "Unrestricted" if args["list"] else "AccessBased"),
        "caching_mode": ("CachingMode", args["caching_mode"]),
        "encrypt": ("EncryptData", args["encrypt"]),
    }
    if args["scope_name"]:
        settings["scope_name"] = ("ScopeName", args["scope_name"])
    for field, (parameter, value) in settings.items():
        if share[field] != value:
            share[field] = value
            actions.append(f"Set-SmbShare -Force -Name {name} -{parameter} {value}")
    _access(call, share, actions)
    return {"changed": bool(actions), "actions": actions}
