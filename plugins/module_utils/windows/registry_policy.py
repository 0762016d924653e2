# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which registry values a server must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.declared import ROLES, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PROTOCOLS_PATH = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"
_TLS13_BUILD = 20348
"""Windows Server 2022, the first whose SChannel has TLS 1.3."""


def registry_key(path: str, name: str) -> str:
    """Give the identity of a registry value: Windows does not tell upper from lower case."""
    return f"{path.rstrip(chr(92))}\\{name}".casefold()


def tls_sections(protocols: Mapping[str, bool], build: int) -> list[Entry]:
    """Write the SChannel policy for both sides of each protocol.

    Args:
        protocols: Protocol as SChannel names it (``TLS 1.2``) and whether it is allowed.
        build: Build of Windows; TLS 1.3 is left out before Windows Server 2022.

    Source: https://learn.microsoft.com/windows-server/security/tls/tls-registry-settings.
    """
    sections = []
    for protocol, allowed in protocols.items():
        if protocol == "TLS 1.3" and build < _TLS13_BUILD:
            continue
        source = "Microsoft, TLS registry settings; ANSSI, guide TLS"
        for side in ("Client", "Server"):
            values = [
                {"name": "Enabled", "data": int(allowed), "source": source, "reboot": True},
                {"name": "DisabledByDefault", "data": int(not allowed), "source": source, "reboot": True},
            ]
            sections.append({"group": "tls", "path": f"{_PROTOCOLS_PATH}\\{protocol}\\{side}", "values": values})
    return sections


def _flat(sections: Iterable[Mapping[str, Any]]) -> Iterable[Entry]:
    for section in sections:
        for value in section["values"]:
            yield {"group": section["group"], "path": section["path"], "type": "dword", "state": "present", **value}


def _applies(entry: Mapping[str, Any], build: int, role: str, groups: Sequence[str]) -> bool:
    return (
        entry["group"] in groups
        and entry.get("min_build", 0) <= build <= entry.get("max_build", build)
        and role in entry.get("roles", ROLES)
        and bool(entry.get("when", True))
    )


def registry_values(
    sections: Sequence[Mapping[str, Any]],
    *,
    build: int,
    role: str,
    groups: Sequence[str],
    exceptions: Sequence[Mapping[str, Any]] = (),
    extra: Sequence[Mapping[str, Any]] = (),
) -> list[Entry]:
    """Choose the registry values that a server must have, as ``win_registry_values`` takes them.

    Args:
        sections: The catalogue: ``group``, ``path`` and ``values`` each; a value has ``name``, ``data``, ``source`` and
            may have ``type``, ``state``, ``reboot``, ``restart``, ``min_build``, ``max_build``, ``roles`` and ``when``.
        build: Build of Windows.
        role: One of ``ROLES``.
        groups: Groups of the catalogue that are wanted.
        exceptions: ``path``, ``name``, ``reason`` and optionally ``data``: with it the value is declared differently,
            without it the value is nobody's.
        extra: Values beyond the catalogue; one of the same identity replaces the catalogue's.

    Raises:
        InputError: An exception names a value that the catalogue does not have, or a group does not exist.
    """
    flat = list(_flat(sections))
    known = {entry["group"] for entry in flat}
    unknown = sorted(set(groups) - known)
    if unknown:
        raise InputError(f"no registry group {', '.join(unknown)}: the catalogue has {', '.join(sorted(known))}")
    waived = {registry_key(entry["path"], entry["name"]): entry for entry in exceptions}
    missing = set(waived) - {registry_key(entry["path"], entry["name"]) for entry in flat}
    if missing:
        names = ", ".join(f"{waived[key]['path']}\\{waived[key]['name']}" for key in sorted(missing))
        raise InputError(f"registry exception for {names}: the catalogue has no such value, remove the exception")
    chosen: dict[str, Entry] = {}
    for entry in flat:
        if not _applies(entry, build, role, groups):
            continue
        key = registry_key(entry["path"], entry["name"])
        waiver = waived.get(key)
        if waiver is not None:
            if waiver.get("data") is None:
                continue
            entry["data"] = waiver["data"]
        chosen[key] = entry
    for added in extra:
        chosen[registry_key(added["path"], added["name"])] = {"type": "dword", "state": "present", **added}
    return [
        {
            name: entry[name]
            for name in ("path", "name", "type", "data", "state", "reboot", "restart")
            if entry.get(name) is not None
        }
        for entry in chosen.values()
    ]


def unforeseen(values: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Values that an earlier task of the run has not yet changed, or foreseen to change, to what they must be.

    Two roles may declare the same value. The second one finds it written in a run, and not in check mode: without this,
    both would foresee the change that only the first one makes.

    Args:
        values: what ``win_registry_values`` is to be given.
        changes: what the earlier ``win_registry_values`` returned as ``changes``.
    """
    after = {registry_key(change["path"], change["name"]): change["after"] for change in changes}
    return [
        dict(value)
        for value in values
        if (key := registry_key(value["path"], value.get("name", ""))) not in after
        or _shown(after[key]) != _shown(value.get("data") if value.get("state", "present") == "present" else None)
    ]


def _shown(data: Any) -> list[str] | str | None:
    """Data as two ways to write them compare: 1 and "1" are one number."""
    if data is None:
        return None
    return [str(item) for item in data] if isinstance(data, (list, tuple)) else str(data)
