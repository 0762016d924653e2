# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles, role services and features: win_feature, win_feature_info, win_optional_feature."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from lab.windows.data import DATA
from lab.windows.handlers import services
from lab.windows.registry import Call, ModuleFailure, Result, handles, on_boot, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer


class Feature(NamedTuple):
    """One entry of Get-WindowsFeature."""

    name: str
    display: str
    parent: str = ""
    installed: bool = False
    needs: tuple[str, ...] = ()
    """Features that come with it, besides its parents."""
    tools: tuple[str, ...] = ()
    """Its management tools."""
    reboot: bool = False
    """Its installation or removal waits for a reboot."""
    services: tuple[tuple[str, str, str], ...] = ()
    """Services that it brings: name, display name, start mode."""
    kind: str = "Role Service"


def _load() -> tuple[Feature, ...]:
    entries = yaml.safe_load((DATA / "features.yml").read_text(encoding="utf-8"))
    return tuple(
        Feature(
            entry["name"],
            entry["display"],
            entry.get("parent", ""),
            entry.get("installed", False),
            tuple(entry.get("needs", ())),
            tuple(entry.get("tools", ())),
            entry.get("reboot", False),
            tuple((item["name"], item["display"], item["start"]) for item in entry.get("services", ())),
            entry.get("kind", "Role Service"),
        )
        for entry in entries
    )


_FEATURES = _load()
CATALOGUE = {feature.name.casefold(): feature for feature in _FEATURES}
_OPTIONAL: dict[str, tuple[bool, bool, str]] = {
    # name: enabled at first, reboot needed, parent (Get-WindowsOptionalFeature of Windows Server 2022)
    "SMB1Protocol": (False, True, ""),
    "SMB1Protocol-Client": (False, True, "SMB1Protocol"),
    "SMB1Protocol-Server": (False, True, "SMB1Protocol"),
    "MicrosoftWindowsPowerShellV2Root": (False, False, ""),
    "MicrosoftWindowsPowerShellV2": (False, False, "MicrosoftWindowsPowerShellV2Root"),
    "TelnetClient": (False, False, ""),
    "TFTP": (False, False, ""),
    "NetFx3": (False, False, ""),
    "NetFx4-AdvSrvs": (True, False, ""),
    "WorkFolders-Client": (False, False, ""),
    "Windows-Defender": (True, True, ""),
    "Printing-XPSServices-Features": (True, False, ""),
    "SearchEngine-Client-Package": (False, True, ""),
    "Microsoft-Hyper-V-All": (False, True, ""),
}


@section("features")
def _features(spec: ServerSpec) -> dict[str, Any]:
    state = {feature.name: "Installed" if feature.installed else "Available" for feature in _FEATURES}
    if spec.system == "windows_2016":  # SMB 1 and PowerShell 2 are still there on 2016
        for name in ("FS-SMB1", "PowerShell-V2"):
            state[name] = "Installed"
    optional = {name: enabled for name, (enabled, _reboot, _parent) in _OPTIONAL.items()}
    return {"roles": state, "optional": optional}


def installed(server: WindowsServer, name: str) -> bool:
    """Whether a role or feature is installed (and not waiting for a reboot)."""
    feature = CATALOGUE.get(name.casefold())
    return feature is not None and server.section("features")["roles"].get(feature.name) == "Installed"


@on_boot(order=10)
def finish_pending(server: WindowsServer) -> None:
    """Finish what an installation or removal left for the reboot."""
    roles = server.section("features")["roles"]
    for name, state in roles.items():
        roles[name] = {"InstallPending": "Installed", "UninstallPending": "Available"}.get(state, state)


def _children(name: str) -> list[Feature]:
    return [feature for feature in _FEATURES if feature.parent == name]


def _closure(names: list[str], *, sub: bool, tools: bool) -> list[Feature]:
    """Everything that an installation brings, in order, each once."""
    found: dict[str, Feature] = {}

    def visit(name: str) -> None:
        feature = CATALOGUE[name.casefold()]
        if feature.name in found:
            return
        if feature.parent:
            visit(feature.parent)
        found[feature.name] = feature
        for needed in feature.needs:
            visit(needed)

    def below(name: str) -> None:
        for child in _children(name):
            visit(child.name)
            below(child.name)

    for name in names:
        visit(name)
        if sub:
            below(CATALOGUE[name.casefold()].name)
    if tools:
        for feature in list(found.values()):
            for tool in feature.tools:
                visit(tool)
    return list(found.values())


def _check_names(names: list[str], verb: str) -> None:
    for name in names:
        if name.casefold() not in CATALOGUE:
            raise ModuleFailure(
                f"Failed to {verb} Windows Feature: ArgumentNotValid : Le nom du rôle, service de rôle ou de la "
                f"fonctionnalité n’est pas valide : « {name} ». Le nom est introuvable. (The lab knows: "
                f"{', '.join(sorted(feature.name for feature in _FEATURES))}.)"
            )


def install(
    server: WindowsServer, names: list[str], *, sub: bool = False, tools: bool = False
) -> tuple[list[Feature], bool]:
    """Install features with what they need; gives what was new and whether a reboot is needed."""
    roles = server.section("features")["roles"]
    new = []
    reboot = False
    for feature in _closure(names, sub=sub, tools=tools):
        if roles[feature.name] in {"Installed", "InstallPending"}:
            continue
        roles[feature.name] = "InstallPending" if feature.reboot else "Installed"
        reboot = reboot or feature.reboot
        new.append(feature)
        for name, display, start in feature.services:
            services.add(
                server, name, display_name=display, start_mode=start, state="running" if start == "auto" else "stopped"
            )
    return new, reboot


def uninstall(server: WindowsServer, names: list[str], *, tools: bool = False) -> tuple[list[Feature], bool]:
    """Remove features with what is below them and what needs them."""
    roles = server.section("features")["roles"]
    gone: dict[str, Feature] = {}

    def visit(feature: Feature) -> None:
        if feature.name in gone:
            return
        gone[feature.name] = feature
        for other in _FEATURES:
            if other.parent == feature.name or (feature.name in other.needs and feature.parent != other.name):
                visit(other)

    for name in names:
        feature = CATALOGUE[name.casefold()]
        visit(feature)
        if tools:
            for tool in feature.tools:
                visit(CATALOGUE[tool.casefold()])
    changed = []
    reboot = False
    for feature in gone.values():
        if roles[feature.name] not in {"Installed", "InstallPending"}:
            continue
        # A role's removal waits for a reboot, as Uninstall-WindowsFeature says of most roles.
        wait = feature.reboot or feature.kind == "Role"
        roles[feature.name] = "UninstallPending" if wait else "Available"
        reboot = reboot or wait
        changed.append(feature)
        for name, _display, _start in feature.services:
            services.remove(server, name)
    return changed, reboot


@handles("ansible.windows.win_feature", source="ansible.windows 3.3.0 win_feature documentation and source")
def win_feature(call: Call) -> Result:
    """Install or remove roles, role services and features."""
    args, server = call.args, call.server
    present = args["state"] == "present"
    _check_names(args["name"], "install" if present else "uninstall")
    if present:
        changed, reboot = install(
            server, args["name"], sub=args["include_sub_features"], tools=args["include_management_tools"]
        )
    else:
        changed, reboot = uninstall(server, args["name"], tools=args["include_management_tools"])
    if reboot:
        server.reboot_pending("Windows features")
    order = list(CATALOGUE)
    return {
        "changed": bool(changed),
        "exitcode": "SuccessRestartRequired" if reboot else "Success" if changed else "NoChangeNeeded",
        "feature_result": [
            {
                "id": 10 + order.index(feature.name.casefold()),
                "display_name": feature.display,
                "message": [],
                "reboot_required": reboot and (feature.reboot or not present),
                "skip_reason": "NotSkipped",
                "success": True,
            }
            for feature in changed
        ],
        "reboot_required": reboot,
    }


@handles("ansible.windows.win_feature_info", source="ansible.windows 3.3.0 win_feature_info documentation")
def win_feature_info(call: Call) -> Result:
    """Describe features by name or pattern."""
    roles = call.server.section("features")["roles"]
    found = []
    for number, feature in enumerate(_FEATURES):
        if not fnmatch.fnmatchcase(feature.name.casefold(), call.args["name"].casefold()):
            continue
        depth, path, parent = 1, feature.display, feature.parent
        while parent:
            above = CATALOGUE[parent.casefold()]
            depth, path, parent = depth + 1, f"{above.display}\\{path}", above.parent
        state = roles[feature.name]
        found.append(
            {
                "name": feature.name,
                "display_name": feature.display,
                "description": feature.display,
                "installed": state == "Installed",
                "install_state": state,
                "feature_type": feature.kind,
                "path": path,
                "depth": depth,
                "depends_on": list(feature.needs),
                "parent": feature.parent,
                "server_component_descriptor": f"ServerComponent_{feature.name.replace('-', '_')}",
                "sub_features": [child.name for child in _children(feature.name)],
                "system_service": [name for name, _display, _start in feature.services],
                "best_practices_model_id": "",
                "event_query": "",
                "post_configuration_needed": False,
                "additional_info": {
                    "major_version": 10,
                    "minor_version": 0,
                    "number_id_version": 10 + number,
                    "install_name": feature.name,
                },
            }
        )
    return {"changed": False, "exists": bool(found), "features": found}


@handles(
    "ansible.windows.win_optional_feature", source="ansible.windows 3.3.0 win_optional_feature documentation and source"
)
def win_optional_feature(call: Call) -> Result:
    """Enable or disable optional features."""
    args, server = call.args, call.server
    state = server.section("features")["optional"]
    names = {name.casefold(): name for name in _OPTIONAL}
    changed = reboot = False
    for wanted in args["name"]:
        name = names.get(wanted.casefold())
        if name is None:
            raise ModuleFailure(f"Failed to find feature '{wanted}' (the lab knows: {', '.join(sorted(_OPTIONAL))})")
        chosen = [name]
        parent = _OPTIONAL[name][2]
        if args["state"] == "present" and parent and not state[parent]:
            if not args["include_parent"]:
                raise ModuleFailure(
                    f"Failed to enable feature '{name}': un ou plusieurs composants parents sont désactivés ({parent})."
                )
            chosen.insert(0, parent)
        for item in chosen:
            target = args["state"] == "present"
            if state[item] is not target:
                state[item] = target
                changed = True
                reboot = reboot or _OPTIONAL[item][1]
    if reboot:
        server.reboot_pending("optional features")
    return {"changed": changed, "reboot_required": reboot}
