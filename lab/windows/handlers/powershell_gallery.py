# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PowerShell repositories and modules: win_psrepository, win_psrepository_info, win_psmodule_info."""

from __future__ import annotations

import fnmatch
import uuid
from typing import TYPE_CHECKING, Any

from lab.windows.handlers import features
from lab.windows.handlers.powershell_modules import versions
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_GALLERY = "https://www.powershellgallery.com/api/v2"
_PLAIN = ("source_location", "script_source_location", "publish_location", "script_publish_location")
_FOLDER = r"C:\Program Files\WindowsPowerShell\Modules"
_SYSTEM = r"C:\Windows\system32\WindowsPowerShell\v1.0\Modules"

# Modules that come with the system, and those that a feature brings (Get-Module -ListAvailable).
_OWN = {
    "Microsoft.PowerShell.Management": "3.1.0.0",
    "Microsoft.PowerShell.Utility": "3.1.0.0",
    "NetSecurity": "2.0.0.0",
    "NetTCPIP": "1.0.0.0",
    "PSDesiredStateConfiguration": "1.1",
    "ScheduledTasks": "1.0.0.0",
    "ServerManager": "2.0.0.0",
    "SmbShare": "2.0.0.0",
}
_BY_FEATURE = {
    "RSAT-AD-PowerShell": ("ActiveDirectory", "1.0.1.0"),
    "AD-Domain-Services": ("ADDSDeployment", "1.0.0.0"),
    "GPMC": ("GroupPolicy", "1.0.0.0"),
    "RSAT-DNS-Server": ("DnsServer", "2.0.0.0"),
    "RSAT-DHCP": ("DhcpServer", "2.0.0.0"),
    "Web-Mgmt-Console": ("WebAdministration", "1.0.0.0"),
    "Windows-Server-Backup": ("WindowsServerBackup", "1.0.0.0"),
    "RSAT-Print-Services": ("PrintManagement", "1.1"),
}


@section("powershell_repositories")
def _repositories(_spec: ServerSpec) -> dict[str, Any]:
    return {"psgallery": _repository("PSGallery", _GALLERY, "untrusted")}


def _repository(name: str, source: str | None, policy: str) -> dict[str, Any]:
    return {
        "name": name,
        "installation_policy": policy,
        "source_location": source,
        "publish_location": f"{source}/package/" if source else None,
        "script_source_location": f"{source}/items/psscript" if source else None,
        "script_publish_location": f"{source}/package/" if source else None,
    }


@handles(
    "community.windows.win_psrepository", source="community.windows 3.1.0 win_psrepository documentation and source"
)
def win_psrepository(call: Call) -> Result:
    """Register, change or unregister a repository."""
    args = call.args
    if args["username"] or args["password"] or args["proxy"]:
        raise NotSimulated("The lab does not simulate credentials or a proxy of win_psrepository.")
    state = call.server.section("powershell_repositories")
    names = call.server.section("powershell_modules")["repositories"]
    key = args["name"].casefold()
    known = state.get(key)
    if args["state"] == "absent":
        if known is not None:
            del state[key]
            names[:] = [name for name in names if name.casefold() != key]
        return {"changed": known is not None}
    if args["force"] and not args["source_location"]:
        raise ModuleFailure("'source_location' is required when using 'force'.")
    wanted = {name: args[name] for name in (*_PLAIN, "installation_policy") if args[name] is not None}
    if known is None:
        if not args["source_location"]:
            raise ModuleFailure("'source_location' is required when registering a new repository.")
        new = _repository(args["name"], args["source_location"], args["installation_policy"] or "trusted")
        state[key] = {**new, **wanted}
        names.append(args["name"])
        return {"changed": True}
    changed = any(known[name] != value for name, value in wanted.items())
    known.update(wanted)
    return {"changed": changed}


@handles(
    "community.windows.win_psrepository_info", source="community.windows 3.1.0 win_psrepository_info documentation"
)
def win_psrepository_info(call: Call) -> Result:
    """Describe repositories by name or pattern."""
    found = [
        {
            **entry,
            "trusted": entry["installation_policy"] == "trusted",
            "package_management_provider": "NuGet",
            "provider_options": {},
            "registered": True,
        }
        for key, entry in call.server.section("powershell_repositories").items()
        if fnmatch.fnmatchcase(key, call.args["name"].casefold())
    ]
    return {"changed": False, "repositories": found}


def available(server: WindowsServer) -> list[tuple[str, str, str, str | None]]:
    """All modules: name, version, folder and the repository they came from."""
    found: list[tuple[str, str, str, str | None]] = [
        (name, version, rf"{_SYSTEM}\{name}", None) for name, version in _OWN.items()
    ]
    for feature, (name, version) in _BY_FEATURE.items():
        if features.installed(server, feature):
            found.append((name, version, rf"{_SYSTEM}\{name}", None))
    for name in server.section("powershell_modules")["installed"]:
        found += [(name, version, rf"{_FOLDER}\{name}\{version}", "PSGallery") for version in versions(server, name)]
    return found


@handles("community.windows.win_psmodule_info", source="community.windows 3.1.0 win_psmodule_info documentation")
def win_psmodule_info(call: Call) -> Result:
    """Describe modules by name or pattern; what only their files could tell is left out."""
    modules = []
    for name, version, folder, repository in available(call.server):
        if not fnmatch.fnmatchcase(name.casefold(), call.args["name"].casefold()):
            continue
        if call.args["repository"] and (repository or "").casefold() != call.args["repository"].casefold():
            continue
        modules.append(
            {
                "name": name,
                "version": version,
                "guid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
                "path": rf"{folder}\{name}.psd1",
                "module_base": folder,
                "installed_location": folder if repository else None,
                "module_type": "Manifest",
                "repository": repository,
                "repository_source_location": _GALLERY if repository else None,
                "access_mode": "ReadWrite",
            }
        )
    return {"changed": False, "modules": modules}
