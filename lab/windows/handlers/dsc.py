# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PowerShell DSC: win_dsc, and the registry of the resources that the lab simulates.

A resource is declared with the schema its authors publish (``*.schema.mof``, or its class), in a short notation:

    {"DomainName": "key str", "Ensure": "required str Present|Absent", "Value": "str[]", "Credential": "credential"}

Words before the type are ``key`` and ``required``; types are str, bool, uint16, uint32, lists, and credential; after it
come the values of the schema's ValueMap. What is not in the schema is refused, as on a server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab.windows.handlers.powershell_modules import versions
from lab.windows.identity import LogonFailure
from lab.windows.registry import Call, ModuleFailure, Result, handles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.windows.documentation import ModuleDoc
    from lab.windows.identity import Principal
    from lab.windows.server import WindowsServer

Properties = dict[str, Any]
"""Properties of a resource by their published names; those not given are absent."""

_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "str"},
    "bool": {"type": "bool"},
    "uint16": {"type": "int"},
    "uint32": {"type": "int"},
    "str[]": {"type": "list", "elements": "str"},
    "uint32[]": {"type": "list", "elements": "int"},
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A DSC resource of one module."""

    name: str
    module: str
    schema: Mapping[str, str]
    apply: Callable[[Dsc], bool]
    source: str

    def options(self) -> dict[str, Any]:
        """Options of win_dsc for it, as the module makes them from the resource's class."""
        found: dict[str, Any] = {}
        for name, text in [*self.schema.items(), ("PsDscRunAsCredential", "credential")]:
            words = text.split()
            kind = next(word for word in words if word in _TYPES or word == "credential")
            values = words[words.index(kind) + 1].split("|") if words[-1] != kind else None
            needed = {"required": True} if {"key", "required"} & set(words) else {}
            if kind == "credential":
                found[f"{name}_username"] = {"type": "str", **needed}
                found[f"{name}_password"] = {"type": "str", "no_log": True, **needed}
            else:
                found[name] = {**_TYPES[kind], **needed, **({"choices": values} if values else {})}
        return found

    def credentials(self) -> list[str]:
        """Names of the properties that are credentials."""
        own = [name for name, text in self.schema.items() if "credential" in text.split()]
        return [*own, "PsDscRunAsCredential"]


@dataclass(frozen=True, slots=True)
class Dsc:
    """One call of a resource."""

    call: Call
    resource: Resource
    properties: Properties
    account: Principal | None
    """Who runs it by PsDscRunAsCredential; None for SYSTEM, as the engine does by itself."""

    @property
    def server(self) -> WindowsServer:
        """The server it runs on."""
        return self.call.server

    def given(self, name: str, default: Any = None) -> Any:
        """Value of a property, a default where it was not given."""
        value = self.properties.get(name)
        return default if value is None else value

    def fail(self, message: str) -> ModuleFailure:
        """The error that the resource's method ends in, as win_dsc words it."""
        return ModuleFailure(f"Failed to invoke DSC Test method: {message}")


RESOURCES: dict[str, Resource] = {}


def resource(
    name: str, *, module: str, schema: Mapping[str, str], source: str
) -> Callable[[Callable[[Dsc], bool]], Callable[[Dsc], bool]]:
    """Register a resource.

    The decorated function brings the server into the desired state and tells whether it was in another one; check mode
    hands it a copy, so that the same function answers for the resource's Test method.

    Args:
        name: Its name, as win_dsc's resource_name.
        module: The PowerShell module that must be installed.
        schema: Its properties, in the notation of this file.
        source: Where the schema and the behaviour were read.
    """

    def register(apply: Callable[[Dsc], bool]) -> Callable[[Dsc], bool]:
        if name in RESOURCES:
            raise ValueError(f"the DSC resource {name} is registered twice")
        RESOURCES[name] = Resource(name, module, schema, apply, source)
        return apply

    return register


def _find(server: WindowsServer, args: Mapping[str, Any]) -> tuple[Resource, str]:
    """The resource asked for and the version of its module."""
    listeners = server.section("winrm_listeners")["listeners"]
    if not any(listener["transport"] == "http" and listener["enabled"] for listener in listeners):
        raise ModuleFailure(
            "The win_dsc module requires the WSMan HTTP listener to be configured and online. The port win_dsc is set "
            "to use is 5985 as configured by 'Get-Item -LiteralPath WSMan:\\localhost\\Client\\DefaultPorts\\HTTP'."
        )
    name = args.get("resource_name")
    if not name:
        raise ModuleFailure("missing required argument: resource_name")
    found = next((own for own in RESOURCES.values() if own.name.casefold() == str(name).casefold()), None)
    installed = versions(server, found.module) if found else []
    asked = str(args.get("module_version") or "latest")
    if found is None or not installed:
        known = f" (The lab simulates {', '.join(sorted(RESOURCES))}.)" if found is None else ""
        raise ModuleFailure(f"Resource '{name}' not found.{known}")
    if asked == "latest":
        return found, installed[-1]
    if asked not in installed:
        raise ModuleFailure(
            f"Resource '{name}' with version '{asked}' not found. Versions installed: '{', '.join(installed)}'."
        )
    return found, asked


def _document(server: WindowsServer, doc: ModuleDoc, args: Mapping[str, Any]) -> ModuleDoc:
    """Give win_dsc the options of the resource that is asked for, as the module builds them on the server."""
    found, _version = _find(server, args)
    own = {name: option for name, option in doc.options.items() if name != "free_form"}
    together = [[f"{name}_username", f"{name}_password"] for name in found.credentials()]
    constraints = {**doc.constraints, "required_together": together}
    return replace(doc, options={**own, **found.options()}, constraints=constraints)


@handles(
    "ansible.windows.win_dsc",
    source="ansible.windows 3.3.0 win_dsc documentation and source",
    document=_document,
)
def win_dsc(call: Call) -> Result:
    """Bring a resource into its desired state."""
    found, version = _find(call.server, call.args)
    account = None
    properties: Properties = {}
    for name in found.schema:
        if name in call.given:
            properties[name] = call.args[name]
    for name in found.credentials():
        user = call.args.get(f"{name}_username")
        if not user:
            continue
        try:
            principal = call.server.logon(user, call.args[f"{name}_password"])
        except LogonFailure as failure:
            raise ModuleFailure(
                "Failed to invoke DSC Test method: Le nom d’utilisateur ou le mot de passe est incorrect."
            ) from failure
        if name == "PsDscRunAsCredential":
            account = principal
        else:
            properties[name] = principal
    changed = found.apply(Dsc(call, found, properties, account))
    return {"changed": changed, "reboot_required": False, "module_version": version}
