# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what is declared of a Linux server with what was found there: pure functions, no input or output."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.linux import units

if TYPE_CHECKING:
    from collections.abc import Iterable


class DeclarationError(ValueError):
    """The declaration contradicts itself; the message names the entry."""


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Attributes:
        sysctl: `key=value` of kernel settings to change now.
        sysctl_frozen: settings that differ and are read-only, because the kernel belongs to a host.
        sysctl_absent: settings that this kernel does not have.
        paths: files and folders whose owner, group or mode differs, or folders that are missing.
        files: configuration files whose content, owner or mode differs, or that are missing.
        unwanted: configuration files that are there and must not be.
        path_list: `paths`, `files`, `login_defs` and `unwanted`, in that order, as the module path_list takes them.
        locales: languages that are declared and not generated.
        login_defs: settings of login.defs that differ, by name.
        units: services to start, stop, enable or disable, or whose failure is to be forgotten, since they must not run.
        restart: running services that started before their configuration was written.
        strangers: members of administrators' groups that nobody declared, as `user` and `group`.
        pam: PAM profiles that are not in use.
        sshd: settings that the SSH server does not apply as declared.
        firewall: the rules that the kernel applies are not those of the file, or wait to be confirmed.
    """

    sysctl: list[str] = field(default_factory=list)
    sysctl_frozen: list[str] = field(default_factory=list)
    sysctl_absent: list[str] = field(default_factory=list)
    paths: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)
    path_list: list[dict[str, Any]] = field(default_factory=list)
    locales: list[str] = field(default_factory=list)
    login_defs: dict[str, str] = field(default_factory=dict)
    units: list[dict[str, Any]] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)
    strangers: list[dict[str, str]] = field(default_factory=list)
    pam: list[str] = field(default_factory=list)
    sshd: list[str] = field(default_factory=list)
    firewall: bool = False


def plan(declared: dict[str, Any], state: dict[str, Any], written: tuple[str, ...] = ()) -> Plan:
    """Compare.

    Args:
        declared: the role's declaration: sysctl, paths, login_defs, units, files with their texts (in the same order),
            unwanted (paths of files), administration (groups) and administrators, pam, sshd.
        state: what the module linux_baseline_info returned.
        written: configuration files that this run has written, or would write.
    """
    writable, frozen, absent = _sysctl(declared.get("sysctl", {}), state.get("sysctl", {}))
    firewall = state.get("firewall") or {}
    paths = [entry for entry in declared.get("paths", []) if _path_differs(entry, state["paths"].get(entry["path"]))]
    texts = list(zip(declared.get("files", []), declared.get("texts", []), strict=False))  # none read yet: no file
    files = [(entry, text) for entry, text in texts if _file_differs(entry, text, state["paths"].get(entry["path"]))]
    login_defs = {
        name: str(value)
        for name, value in declared.get("login_defs", {}).items()
        if state.get("login_defs", {}).get(name) != str(value)
    }
    unwanted = [path for path in declared.get("unwanted", []) if state["paths"].get(path) is not None]
    return Plan(
        sysctl=writable,
        sysctl_frozen=frozen,
        sysctl_absent=absent,
        paths=paths,
        files=[entry for entry, _text in files],
        unwanted=unwanted,
        path_list=[
            *(_path(entry, state["paths"].get(entry["path"])) for entry in paths),
            *(_file(entry, text) for entry, text in files),
            *([_login_defs(login_defs)] if login_defs else []),
            *({"path": path, "kind": "absent"} for path in unwanted),
        ],
        locales=[
            locale
            for locale in declared.get("locales", [])
            if locale.lower().replace("-", "") not in {known.lower().replace("-", "") for known in state["locales"]}
        ],
        login_defs=login_defs,
        units=[entry for entry in declared.get("units", []) if _unit_differs(entry, state["units"].get(entry["name"]))],
        restart=_restart(declared, state, frozenset(written)),
        strangers=[
            {"user": user, "group": group}
            for group in declared.get("administration", [])
            for user in state.get("groups", {}).get(group, [])
            if user not in declared["administrators"]
        ],
        pam=[
            profile["name"]
            for profile in declared.get("pam", [])
            if profile["module"] not in state.get("pam", {}).get(profile["stack"], [])
        ],
        sshd=[
            name
            for name, value in declared.get("sshd", {}).items()
            if state.get("sshd", {}).get(name.lower(), "").lower() != str(value).lower()
        ],
        firewall=bool(firewall.get("pending")) or not firewall.get("applied", False),
    )


def admits(address: str, networks: list[str]) -> bool:
    """Tell whether an address lies in one of these networks; no network at all means every address.

    Raises:
        DeclarationError: an entry is no network, or the address is none.
    """
    if not networks:
        return True
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError as error:
        raise DeclarationError(f"'{address}' is not an address") from error
    return any(ip in network for network in _networks(networks) if network.version == ip.version)


def split_families(networks: list[str]) -> dict[str, list[str]]:
    """Sort networks by family, as nftables wants them: `ipv4` and `ipv6`, each in canonical form, without overlap.

    Raises:
        DeclarationError: an entry is no network.
    """
    found = _networks(networks)
    return {
        "ipv4": _texts(ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv4Network))),
        "ipv6": _texts(ipaddress.collapse_addresses(n for n in found if isinstance(n, ipaddress.IPv6Network))),
    }


def _texts(networks: Iterable[ipaddress.IPv4Network] | Iterable[ipaddress.IPv6Network]) -> list[str]:
    return [str(network) for network in networks]


def _networks(networks: list[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for text in networks:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise DeclarationError(f"'{text}' is neither an address nor a network") from error
    return found


def _sysctl(declared: dict[str, Any], found: dict[str, dict[str, Any]]) -> tuple[list[str], list[str], list[str]]:
    frozen, absent, right, wrong = [], [], [], []
    for key, value in declared.items():
        current = found.get(key) or {}
        if current.get("value") is None:
            absent.append(key)
        elif current["value"].split() == str(value).split():
            right.append(key)
        elif current.get("writable"):
            wrong.append(key)
        else:
            frozen.append(key)
    # The kernel resets what it accepts when a host becomes a router or ceases to be one: all is written anew.
    forwarding = [key for key in wrong if _is_forwarding(key)]
    if forwarding:
        reset = [key for key in right if key.startswith("net.") and found[key].get("writable")]
        wrong = forwarding + [key for key in declared if key in {*wrong, *reset} and key not in forwarding]
    return [f"{key}={declared[key]}" for key in wrong], frozen, absent


def _is_forwarding(key: str) -> bool:
    return key.endswith((".ip_forward", ".forwarding"))


def _path_differs(entry: dict[str, Any], found: dict[str, Any] | None) -> bool:
    if found is None:
        return bool(entry.get("create"))  # what a package did not bring needs no mode
    wanted = {"mode": entry["mode"], "owner": entry.get("owner", "root"), "group": entry.get("group", "root")}
    return any(found[key] != value for key, value in wanted.items())


def _path(entry: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    """Owner, group and mode of a folder or of somebody else's file, whose text is left alone."""
    file = found is not None and found["sha256"] is not None
    owner, group = entry.get("owner", "root"), entry.get("group", "root")
    kind = "file" if file else "directory"
    return {"path": entry["path"], "kind": kind, "owner": owner, "group": group, "mode": entry["mode"]}


def _file(entry: dict[str, Any], text: str) -> dict[str, Any]:
    wanted = {"path": entry["path"], "kind": "file", "mode": entry.get("mode", "0644"), "content": text}
    return wanted | ({"validate": entry["validate"]} if "validate" in entry else {})


def _login_defs(settings: dict[str, str]) -> dict[str, Any]:
    return {"path": "/etc/login.defs", "kind": "file", "mode": "0644", "settings": settings}


def _file_differs(entry: dict[str, Any], text: str, found: dict[str, Any] | None) -> bool:
    if found is None:
        return True
    digest = hashlib.sha256(text.encode()).hexdigest()
    wanted = {"sha256": digest, "mode": entry.get("mode", "0644"), "owner": "root", "group": "root"}
    return any(found[key] != value for key, value in wanted.items())


def _unit_differs(entry: dict[str, Any], found: dict[str, Any] | None) -> bool:
    unit = units.Found()
    if found and found["load"] != "not-found":
        unit = units.Found(found["load"], found["active"], found["enabled"])
    return bool(units.plan([units.Wanted(**entry)], {entry["name"]: unit}, {entry["name"]: unit}))


def _restart(declared: dict[str, Any], state: dict[str, Any], written: frozenset[str]) -> list[str]:
    stale_units: list[str] = []
    for entry in declared.get("files", []):
        unit = entry.get("unit")
        found = state["units"].get(unit) if unit else None
        if not found or found["load"] == "not-found" or found["active"] != "active" or unit in stale_units:
            continue
        file = state["paths"].get(entry["path"])
        stale = file is not None and file["mtime"] > found["since"]
        if stale or entry["path"] in written:
            stale_units.append(str(unit))
    return stale_units
