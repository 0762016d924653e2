# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PowerShell modules of a server and the repositories they come from: win_psmodule, win_psmodule_info."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

GALLERY: dict[str, tuple[str, ...]] = {
    "ActiveDirectoryDsc": ("6.4.0", "6.5.0", "6.6.0"),
    "AuditPolicyDsc": ("1.4.0.0",),
    "ComputerManagementDsc": ("9.1.0", "9.2.0"),
    "DhcpServerDsc": ("3.1.1", "4.0.0"),
    "DnsServerDsc": ("3.0.0", "3.0.1", "3.0.2", "3.0.3"),
    "SecurityPolicyDsc": ("2.10.0.0",),
    "SqlServer": ("21.1.18256", "22.3.0"),
    "SqlServerDsc": ("17.5.0", "17.5.1"),
    "WebAdministrationDsc": ("4.1.0", "4.2.1"),
    "dbatools": ("2.1.30", "2.5.5"),
}
"""Modules that the lab's repository offers, oldest version first."""


@section("powershell_modules")
def _modules(_spec: ServerSpec) -> dict[str, Any]:
    return {"repositories": ["PSGallery"], "installed": {}, "nuget": False}


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def versions(server: WindowsServer, name: str) -> list[str]:
    """Installed versions of a PowerShell module, oldest first; names are caseless."""
    installed: dict[str, list[str]] = server.section("powershell_modules")["installed"]
    found = next((held for own, held in installed.items() if own.casefold() == name.casefold()), [])
    return sorted(found, key=_order)


def _offered(name: str) -> str:
    found = next((own for own in GALLERY if own.casefold() == name.casefold()), None)
    if found is None:
        raise ModuleFailure(
            f"Problems installing {name} module: No match was found for the specified search criteria and module name"
            f" '{name}'. (The lab's repository offers {', '.join(sorted(GALLERY))}.)"
        )
    return found


def _chosen(call: Call, name: str) -> str:
    """Version that the options ask for."""
    args = call.args
    matching = [
        version
        for version in GALLERY[name]
        if (not args["required_version"] or version == args["required_version"])
        and (not args["minimum_version"] or _order(version) >= _order(args["minimum_version"]))
        and (not args["maximum_version"] or _order(version) <= _order(args["maximum_version"]))
    ]
    if not matching:
        raise ModuleFailure(
            f"Problems installing {name} module: No match was found for the specified search criteria and module name"
            f" '{name}'. (The lab's repository offers versions {', '.join(GALLERY[name])}.)"
        )
    return matching[-1]


@handles("community.windows.win_psmodule", source="community.windows 3.1.0 win_psmodule documentation and source")
def win_psmodule(call: Call) -> Result:
    """Install a module side by side with its other versions, or remove it."""
    args = call.args
    if args["username"] or args["password"]:
        raise NotSimulated("a PowerShell repository that asks for credentials")
    state = call.server.section("powershell_modules")
    repository = args["repository"]
    if repository and repository.casefold() not in {known.casefold() for known in state["repositories"]}:
        raise ModuleFailure(f"Problems getting {args['name']} module: Unable to find repository '{repository}'.")
    result: Result = {"changed": False, "nuget_changed": False, "repository_changed": False}
    name = _offered(args["name"])
    held = versions(call.server, name)
    if args["state"] == "absent":
        gone = [version for version in held if not args["required_version"] or version == args["required_version"]]
        left = [version for version in held if version not in gone]
        state["installed"][name] = left
        message = f"Module {name} removed" if gone else f"Module {name} is not present"
        return {**result, "changed": bool(gone), "output": message}
    if not state["nuget"]:
        state["nuget"] = True
        result["nuget_changed"] = True
        result["changed"] = True
    wanted = _chosen(call, name)
    asked = args["required_version"] or args["minimum_version"] or args["maximum_version"]
    present = wanted in held if asked or args["state"] == "latest" else bool(held)
    if present:
        return {**result, "output": f"Module {name} already present"}
    state["installed"][name] = [*held, wanted]
    return {**result, "changed": True, "output": f"Module {name} installed"}
