# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rights on files, folders and registry keys: win_acl, win_acl_inheritance, win_owner, win_audit_rule."""

from __future__ import annotations

import ntpath
import re
from typing import TYPE_CHECKING, Any

from lab.windows import hive
from lab.windows.dispatch import expand
from lab.windows.filesystem import FileSystem, key
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.identity import Principal
    from lab.windows.server import ServerSpec, WindowsServer

_FILE_RIGHTS = {
    "ListDirectory": 0x1, "ReadData": 0x1, "CreateFiles": 0x2, "WriteData": 0x2, "AppendData": 0x4,
    "CreateDirectories": 0x4, "ReadExtendedAttributes": 0x8, "WriteExtendedAttributes": 0x10, "ExecuteFile": 0x20,
    "Traverse": 0x20, "DeleteSubdirectoriesAndFiles": 0x40, "ReadAttributes": 0x80, "WriteAttributes": 0x100,
    "Write": 0x116, "Delete": 0x10000, "ReadPermissions": 0x20000, "Read": 0x20089, "ReadAndExecute": 0x200A9,
    "Modify": 0x301BF, "ChangePermissions": 0x40000, "TakeOwnership": 0x80000, "Synchronize": 0x100000,
    "FullControl": 0x1F01FF,
}  # fmt: skip
_REGISTRY_RIGHTS = {
    "QueryValues": 0x1, "SetValue": 0x2, "CreateSubKey": 0x4, "EnumerateSubKeys": 0x8, "Notify": 0x10,
    "CreateLink": 0x20, "Delete": 0x10000, "ReadPermissions": 0x20000, "WriteKey": 0x20006, "ExecuteKey": 0x20019,
    "ReadKey": 0x20019, "ChangePermissions": 0x40000, "TakeOwnership": 0x80000, "FullControl": 0xF003F,
}  # fmt: skip
# Ansible.Windows._CertAclHelper.CertAccessRights, as the key's provider maps them on the file.
_KEY_RIGHTS = {"Read": 0x120089, "FullControl": 0x1F01FF}
_REGISTRY = re.compile(r"(HK(CC|CR|CU|LM|U):\\|Registry::)", re.IGNORECASE)
SYNCHRONIZE = 0x100000
_SDDL_ALIASES = {
    "S-1-5-18": "SY",
    "S-1-5-32-544": "BA",
    "S-1-5-32-545": "BU",
    "S-1-5-32-568": "IS",
    "S-1-1-0": "WD",
    "S-1-5-11": "AU",
}
"""SIDs that Windows words by two letters: https://learn.microsoft.com/windows/win32/secauthz/sid-strings."""


@section("acls")
def _acls(_spec: ServerSpec) -> dict[str, Any]:
    # What differs from a fresh system: path -> {protected, aces, audit}. What is not here has what it inherits.
    return {}


def _target(call: Call, path: str) -> tuple[str, str, str]:
    """Key of the state, kind (file, directory, registry) and the path shown.

    Raises:
        ModuleFailure: Nothing is there.
    """
    if _REGISTRY.match(path):
        registry = hive.Registry(call.server)
        if not registry.exists(path):
            raise ModuleFailure(f"{path} file or directory does not exist on the host")
        return hive.normalise(path).casefold(), "registry", path
    if path.casefold().startswith("cert:"):
        return key(_key_file(call, path)), "certificate", path
    if path.casefold().startswith("iis:"):
        raise NotSimulated(f"The lab does not simulate rights on {path}.")
    expanded = expand(call.server, path, call.user)
    entry = FileSystem(call.server).resolve(expanded)
    if entry is None:
        raise ModuleFailure(f"{path} file or directory does not exist on the host")
    return key(entry["path"]), entry["type"], entry["path"]


def _key_file(call: Call, path: str) -> str:
    """File of a certificate's private key, to whose rights win_acl goes through the key's provider."""
    parts = path.replace("/", "\\").rstrip("\\").split("\\")
    stores = call.server.section("certificates").get(parts[1] if len(parts) == 4 else "", {})
    entry = stores.get(parts[2] if len(parts) == 4 else "", {}).get(parts[-1].upper())
    if entry is None:
        raise ModuleFailure(f"{path} file or directory does not exist on the host")
    file = entry.get("key_file", "")
    if not file or FileSystem(call.server).resolve(file) is None:
        raise ModuleFailure(
            f"an error occurred when attempting to reach the private key of {path} - Clé introuvable (0x8009000D)"
        )
    return str(file)


def entries(server: WindowsServer, path: str) -> list[dict[str, Any]]:
    """Entries in force on a path: its own, and those it inherits."""
    name = key(path)
    acl = server.section("acls").get(name)
    own = acl["aces"] if acl else []
    return list(own) if acl and acl["protected"] else own + [ace for ace in inherited(server, name) if ace not in own]


def _own(call: Call, name: str) -> dict[str, Any]:
    acl: dict[str, Any] = call.server.section("acls").setdefault(name, {"protected": False, "aces": [], "audit": []})
    return acl


_INHERITED = (  # what files and folders below C:\ inherit on a fresh server
    ("S-1-5-18", 0x1F01FF),
    ("S-1-5-32-544", 0x1F01FF),
    ("S-1-5-32-545", 0x1200A9),
)


def inherited(server: WindowsServer, name: str) -> list[dict[str, Any]]:
    """Entries that a path gets from above."""
    acls = server.section("acls")
    parent = ntpath.dirname(name)
    found: list[dict[str, Any]] = []
    while parent and parent != name:
        above = acls.get(parent)
        if above is not None:
            found += [ace for ace in above["aces"] if ace["inherit"] and ace not in found]
            if above["protected"]:
                return found
        name, parent = parent, ntpath.dirname(parent)
    plain = [
        {"sid": sid, "type": "allow", "rights": rights, "inherit": 3, "propagation": 0} for sid, rights in _INHERITED
    ]
    return found + plain


def sddl(server: WindowsServer, path: str) -> str:
    """Discretionary list of a path as Windows words it: rights by letters where it has some, inherited entries last."""
    name = key(path)
    acl = server.section("acls").get(name, {"protected": False, "aces": []})
    above = [] if acl["protected"] else inherited(server, name)
    worded = [_worded(ace, "") for ace in acl["aces"]] + [_worded(ace, "ID") for ace in above]
    return f"D:{'P' if acl['protected'] else ''}AI" + "".join(worded)


def _worded(ace: dict[str, Any], extra: str) -> str:
    flags = ("OI" if ace["inherit"] & 2 else "") + ("CI" if ace["inherit"] & 1 else "")
    flags += {0: "", 1: "NP", 2: "IO"}[ace["propagation"]] + extra
    held = "FA" if ace["rights"] == _FILE_RIGHTS["FullControl"] else f"0x{ace['rights']:x}"
    return f"({'A' if ace['type'] == 'allow' else 'D'};{flags};{held};;;{_SDDL_ALIASES.get(ace['sid'], ace['sid'])})"


def _principal(call: Call, name: str) -> Principal:
    found = call.server.resolve(name)
    if found is None:
        raise ModuleFailure(f"{name} is not a valid user or group on the host machine or domain")
    return found


def mask(names: list[str], kind: str) -> int:
    """Access mask of rights by their .NET names, or of a number.

    Raises:
        ModuleFailure: A name is none of them.
    """
    table = {"registry": _REGISTRY_RIGHTS, "certificate": _KEY_RIGHTS}.get(kind, _FILE_RIGHTS)
    known = {name.casefold(): value for name, value in table.items()}
    value = 0
    for name in names:
        plain = name.strip()
        if re.fullmatch(r"0x[0-9a-f]+|\d+", plain, re.IGNORECASE):
            value |= int(plain, 0)
        elif plain.casefold() in known:
            value |= known[plain.casefold()]
        else:
            what = "REGISTRY" if kind == "registry" else "FILE SYSTEM"
            raise ModuleFailure(f"{plain} does not seem to be a valid {what} right")
    return value


def _inheritance(text: str | None, kind: str) -> int:
    if text is None:
        return 3 if kind == "directory" else 1 if kind == "registry" else 0
    return sum(
        {"containerinherit": 1, "objectinherit": 2, "none": 0}[part.strip().casefold()] for part in text.split(",")
    )


@handles("ansible.windows.win_acl", source="ansible.windows 3.3.0 win_acl documentation and source", check_mode=False)
def win_acl(call: Call) -> Result:
    """Add or remove one entry of a path's rights."""
    args = call.args
    name, kind, shown = _target(call, args["path"])
    principal = _principal(call, args["user"])
    rights = mask(args["rights"].split(","), kind)
    if kind != "registry" and args["type"] == "allow":
        rights |= SYNCHRONIZE
    ace = {
        "sid": principal.sid,
        "type": args["type"],
        "rights": rights,
        "inherit": _inheritance(args["inherit"], kind),
        "propagation": {"None": 0, "NoPropagateInherit": 1, "InheritOnly": 2}[args["propagation"]],
    }
    acl = _own(call, name)
    changed = False
    if args["state"] == "present":
        if ace not in acl["aces"]:
            merged = next(
                (
                    old
                    for old in acl["aces"]
                    if all(old[part] == ace[part] for part in ("sid", "type", "inherit", "propagation"))
                ),
                None,
            )
            if merged is not None and merged["rights"] & rights == rights:
                return {"changed": False, "msg": f"The exact rule already exists for {args['user']} on {shown}"}
            if merged is not None:
                merged["rights"] |= rights
            else:
                acl["aces"].append(ace)
            changed = True
    elif ace in acl["aces"]:
        acl["aces"].remove(ace)
        changed = True
    return {"changed": changed}


@handles(
    "ansible.windows.win_acl_inheritance",
    source="ansible.windows 3.3.0 win_acl_inheritance documentation and source",
)
def win_acl_inheritance(call: Call) -> Result:
    """Switch inheritance of rights on or off, keeping what was inherited when told to."""
    args = call.args
    name, _kind, _shown = _target(call, args["path"])
    acl = _own(call, name)
    on = not acl["protected"]
    if (args["state"] == "present") is on:
        return {"changed": False}
    above = inherited(call.server, name)
    if args["state"] == "present":
        acl["protected"] = False
        if args["reorganize"]:
            acl["aces"] = [ace for ace in acl["aces"] if ace not in above]
    else:
        acl["protected"] = True
        if args["reorganize"]:
            acl["aces"] += [ace for ace in above if ace not in acl["aces"]]
    return {"changed": True}


@handles("ansible.windows.win_owner", source="ansible.windows 3.3.0 win_owner documentation and source")
def win_owner(call: Call) -> Result:
    """Set the owner of a file or folder, and of what is below it when told to."""
    args = call.args
    files = FileSystem(call.server)
    entry = files.resolve(args["path"])
    if entry is None:
        raise ModuleFailure(f"{args['path']} file or directory does not exist on the host")
    sid = _principal(call, args["user"]).sid
    entries = [entry, *(files.walk(entry["path"]) if args["recurse"] else ())]
    changed = [item for item in entries if item["owner"] != sid]
    for item in changed:
        item["owner"] = sid
    return {"changed": bool(changed)}


def _rules(call: Call, acl: dict[str, Any], kind: str) -> dict[str, Any]:
    names = _REGISTRY_RIGHTS if kind == "registry" else _FILE_RIGHTS
    shown = {}
    for rule in acl["audit"]:
        rights = next((name for name, value in names.items() if value == rule["rights"]), str(rule["rights"]))
        shown[call.server.account_name(rule["sid"])] = {
            "rights": rights,
            "inheritance_flags": rule["inheritance"],
            "propagation_flags": rule["propagation"],
            "audit_flags": rule["flags"],
            "is_inherited": False,
        }
    return shown


@handles("ansible.windows.win_audit_rule", source="ansible.windows 3.3.0 win_audit_rule documentation and source")
def win_audit_rule(call: Call) -> Result:
    """Add an audit rule to a path, or remove those of an account."""
    args = call.args
    name, kind, _shown = _target(call, args["path"])
    principal = _principal(call, args["user"])
    acl = _own(call, name)
    changed = False
    if args["state"] == "absent":
        kept = [rule for rule in acl["audit"] if rule["sid"] != principal.sid]
        changed = kept != acl["audit"]
        acl["audit"] = kept
    else:
        flags = [flag for flag in args["inheritance_flags"] if flag != "None"]
        if kind == "file" and flags:
            raise ModuleFailure("The target type is a file. inheritance_flags must be changed to 'none'")
        rule = {
            "sid": principal.sid,
            "rights": mask(args["rights"], kind),
            "inheritance": ", ".join(flags) or "None",
            "propagation": args["propagation_flags"],
            "flags": ", ".join(sorted(flag.capitalize() for flag in args["audit_flags"])),
        }
        if rule not in acl["audit"]:
            acl["audit"].append(rule)
            changed = True
    return {"changed": changed, "current_audit_rules": _rules(call, acl, kind), "path_type": kind}
