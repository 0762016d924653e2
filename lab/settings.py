# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's settings: what ``lab.yml`` declares, checked on load, and what follows from an instance's number."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "Grant",
    "Instance",
    "Node",
    "Settings",
    "SettingsError",
    "Storage",
    "System",
    "Template",
    "instance",
    "load",
]

DEFAULT_FILE = Path(__file__).with_name("lab.yml")
REPOSITORY = Path(__file__).resolve().parent.parent
HIGHEST_NUMBER = 200
GIB = 1024**3


class SettingsError(Exception):
    """The settings cannot be used; the message names the key and what to do."""


@dataclass(frozen=True)
class Instance:
    """One lab on this machine: its name, its number and where it keeps its state.

    The number decides every address, so that several labs run side by side.
    """

    name: str
    number: int
    home: Path

    @property
    def bridge(self) -> str:
        """Name of the bridge the servers are on."""
        return f"ilab{self.number}"

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """Network of the servers: 10.42.0.0/16 for number 0."""
        return ipaddress.IPv4Network(f"10.{42 + self.number}.0.0/16")

    @property
    def bridge_address(self) -> str:
        """The controller's own address on the bridge."""
        return str(self.subnet.network_address + 1)

    @property
    def api_host(self) -> str:
        """Loopback address of the datacenter API."""
        return f"127.0.{10 + self.number}.1"

    @property
    def api_port(self) -> int:
        """Port of the datacenter API, PVE's own."""
        return 8006

    @property
    def api_url(self) -> str:
        """Where the datacenter API answers."""
        return f"https://{self.api_host}:{self.api_port}"


@dataclass(frozen=True)
class Node:
    """A node of the cluster."""

    name: str
    site: str
    cpus: int
    memory_gib: int
    bridges: tuple[str, ...]


@dataclass(frozen=True)
class Storage:
    """A storage of the cluster; ``shared`` ones are seen by every node."""

    name: str
    type: str
    content: tuple[str, ...]
    size_gib: int
    shared: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """An operating system: its family decides which kind of guest runs it."""

    name: str
    family: str
    ostype: str
    osinfo: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """A template servers are cloned from."""

    vmid: int
    name: str
    system: str
    node: str
    storage: str
    disk_gib: int
    cpus: int
    memory_gib: int
    bios: str = "seabios"


@dataclass(frozen=True)
class Grant:
    """Privileges on a path of the API and below it."""

    path: str
    privileges: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """All of ``lab.yml``."""

    instances: dict[str, int]
    cluster_name: str
    version: str
    release: str
    nodes: tuple[Node, ...]
    storages: tuple[Storage, ...]
    pools: tuple[str, ...]
    templates: tuple[Template, ...]
    systems: dict[str, System]
    tokens: dict[str, tuple[Grant, ...]]
    prepared: tuple[str, ...] = ()

    def node(self, name: str) -> Node:
        """The node of this name; raises SettingsError for an unknown one."""
        for node in self.nodes:
            if node.name == name:
                return node
        message = f"node '{name}' is not in lab.yml; known: {', '.join(n.name for n in self.nodes)}"
        raise SettingsError(message)


def _section(data: Any, where: str, required: dict[str, type], optional: dict[str, type]) -> dict[str, Any]:
    """A mapping with exactly these keys and types, or a SettingsError that names the key."""
    if not isinstance(data, dict):
        raise SettingsError(f"lab.yml: {where} must be a mapping, not {type(data).__name__}")
    known = {**required, **optional}
    for key, value in data.items():
        if key not in known:
            raise SettingsError(f"lab.yml: {where} has an unknown key '{key}'; known: {', '.join(sorted(known))}")
        if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
            raise SettingsError(f"lab.yml: {where}.{key} must be {known[key].__name__}, not {type(value).__name__}")
    for key in required:
        if key not in data:
            raise SettingsError(f"lab.yml: {where} lacks '{key}'")
    return data


def _items(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise SettingsError(f"lab.yml: {where} must be a list, not {type(data).__name__}")
    return data


def _node(data: Any, where: str) -> Node:
    raw = _section(data, where, {"name": str, "site": str, "cpus": int, "memory_gib": int, "bridges": list}, {})
    return Node(raw["name"], raw["site"], raw["cpus"], raw["memory_gib"], tuple(raw["bridges"]))


def _storage(data: Any, where: str) -> Storage:
    raw = _section(
        data,
        where,
        {"name": str, "type": str, "content": list, "size_gib": int},
        {"shared": bool, "options": dict},
    )
    return Storage(
        raw["name"],
        raw["type"],
        tuple(raw["content"]),
        raw["size_gib"],
        raw.get("shared", False),
        raw.get("options", {}),
    )


def _template(data: Any, where: str) -> Template:
    required = {
        "vmid": int,
        "name": str,
        "system": str,
        "node": str,
        "storage": str,
        "disk_gib": int,
        "cpus": int,
        "memory_gib": int,
    }
    return Template(**_section(data, where, required, {"bios": str}))


def _grants(data: Any, where: str) -> tuple[Grant, ...]:
    grants = []
    for index, item in enumerate(_items(data, where)):
        raw = _section(item, f"{where}[{index}]", {"path": str, "privileges": list}, {})
        grants.append(Grant(raw["path"], tuple(raw["privileges"])))
    return tuple(grants)


def load(path: Path = DEFAULT_FILE) -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: a key is unknown, missing or of the wrong type, or a name points to nothing.
    """
    with path.open(encoding="utf-8") as stream:
        data = yaml.safe_load(stream)
    root = _section(
        data,
        "top level",
        {"instances": dict, "cluster": dict, "templates": list, "systems": dict, "tokens": dict, "prepared": list},
        {},
    )
    cluster = _section(
        root["cluster"],
        "cluster",
        {"name": str, "version": str, "release": str, "nodes": list, "storages": list, "pools": list},
        {},
    )
    systems = {}
    for name, raw in root["systems"].items():
        item = _section(raw, f"systems.{name}", {"family": str, "ostype": str}, {"osinfo": dict})
        if item["family"] not in ("windows", "linux"):
            raise SettingsError(f"lab.yml: systems.{name}.family must be windows or linux, not '{item['family']}'")
        systems[name] = System(name, item["family"], item["ostype"], item.get("osinfo", {}))
    instances = {}
    for name, raw in root["instances"].items():
        instances[name] = _section(raw, f"instances.{name}", {"number": int}, {})["number"]
    settings = Settings(
        instances=instances,
        cluster_name=cluster["name"],
        version=cluster["version"],
        release=cluster["release"],
        nodes=tuple(_node(raw, f"cluster.nodes[{i}]") for i, raw in enumerate(cluster["nodes"])),
        storages=tuple(_storage(raw, f"cluster.storages[{i}]") for i, raw in enumerate(cluster["storages"])),
        pools=tuple(cluster["pools"]),
        templates=tuple(_template(raw, f"templates[{i}]") for i, raw in enumerate(root["templates"])),
        systems=systems,
        prepared=tuple(root["prepared"]),
        tokens={name: _grants(raw, f"tokens.{name}") for name, raw in root["tokens"].items()},
    )
    _check_references(settings)
    return settings


def _check_references(settings: Settings) -> None:
    """Every name used is declared, and nothing is declared twice."""
    storages = {storage.name for storage in settings.storages}
    for system in settings.prepared:
        if system not in settings.systems:
            raise SettingsError(f"lab.yml: prepared has an unknown system '{system}'")
    for template in settings.templates:
        settings.node(template.node)
        if template.system not in settings.systems:
            raise SettingsError(f"lab.yml: template {template.name} has an unknown system '{template.system}'")
        if template.storage not in storages:
            raise SettingsError(f"lab.yml: template {template.name} has an unknown storage '{template.storage}'")
    for what, names in (
        ("template", [t.name for t in settings.templates]),
        ("template number", [str(t.vmid) for t in settings.templates]),
        ("node", [n.name for n in settings.nodes]),
        ("storage", [s.name for s in settings.storages]),
        ("instance number", [str(n) for n in settings.instances.values()]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"lab.yml: {what} {', '.join(twice)} is declared twice")


def homes() -> Path:
    """The folder that holds every instance's state: ``INFOGERANCE_LAB_HOME`` or ``.lab`` in the repository."""
    return Path(os.environ.get("INFOGERANCE_LAB_HOME") or REPOSITORY / ".lab")


def instance(name: str, number: int | None = None, settings: Settings | None = None) -> Instance:
    """The instance of this name.

    Args:
        name: One of lab.yml, or any other together with a number.
        number: Its number, 0 to 200; it decides the addresses.
        settings: Loaded settings; read from lab.yml when omitted.

    Raises:
        SettingsError: the name is not declared and no number is given, or the number contradicts lab.yml.
    """
    known = (settings or load()).instances
    if not name.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(f"instance name '{name}' may hold letters, digits, - and _ only")
    remembered = homes() / name / "instance.json"
    if number is None and name not in known and remembered.exists():
        number = int(json.loads(remembered.read_text(encoding="utf-8"))["number"])
    if number is None:
        if name not in known:
            raise SettingsError(
                f"instance '{name}' is not in lab.yml ({', '.join(known)}): give its --number, 2 to {HIGHEST_NUMBER}",
            )
        number = known[name]
    elif known.get(name, number) != number:
        raise SettingsError(f"instance '{name}' has number {known[name]} in lab.yml, not {number}")
    elif name not in known and number in known.values():
        owner = next(other for other, taken in known.items() if taken == number)
        raise SettingsError(f"number {number} belongs to instance '{owner}' of lab.yml: choose another --number")
    if not 0 <= number <= HIGHEST_NUMBER:
        raise SettingsError(f"--number must be 0 to {HIGHEST_NUMBER}, not {number}")
    return Instance(name, number, homes() / name)
