# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many registry values at once: win_registry_values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.handlers.registry_keys import opened, typed
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, Result, handles, on_boot

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

AWAITED = r"HKLM:\SOFTWARE\cnosf.infogerance.awaited"
"""Volatile key of what changed values wait for."""


@on_boot(order=5)
def drop_volatile_keys(server: WindowsServer) -> None:
    """Forget what a boot settles, as Windows drops volatile keys."""
    Registry(server).delete(AWAITED)


def _note(registry: Registry, entry: dict[str, Any]) -> None:
    if entry["reboot"]:
        registry.set(AWAITED, "reboot", "dword", 1)
    if entry["restart"]:
        registry.set(AWAITED, f"restart:{entry['restart']}", "dword", 1)


def _stored(entry: dict[str, Any]) -> Any:
    if entry["type"] in {"dword", "qword"}:
        bits = 32 if entry["type"] == "dword" else 64
        try:
            number = int(entry["data"])
        except (TypeError, ValueError):
            raise ModuleFailure("Input string was not in a correct format.") from None
        if not 0 <= number < 1 << bits:
            raise ModuleFailure(f"Value was either too large or too small for a UInt{bits}.")
        return number
    return typed(entry["type"], entry["data"])


def _change(call: Call, entry: dict[str, Any]) -> dict[str, Any] | None:
    registry = opened(call)
    path, name = entry["path"], entry["name"]
    if not path.casefold().startswith("hklm:\\") or len(path.rstrip("\\")) <= len("HKLM:\\"):
        raise ModuleFailure(f"the path '{path}' must start with HKLM:\\")
    old = registry.value(path, name)
    before = None if old is None else old["data"]
    change = {
        "path": path,
        "name": name,
        "type": entry["type"],
        "before": before,
        "after": None,
        "reboot": entry["reboot"],
        "restart": entry["restart"],
    }
    if entry["state"] == "absent":
        if old is None:
            return None
        _note(registry, entry)
        registry.unset(path, name)
        return change
    if entry["data"] is None:
        raise ModuleFailure("data is required when state is present")
    wanted = _stored(entry)
    if old is not None and old["type"] == entry["type"] and old["data"] == wanted:
        return None
    _note(registry, entry)
    registry.set(path, name, entry["type"], wanted)
    return {**change, "after": wanted}


def _line(entry: dict[str, Any], side: str) -> str:
    data = entry[side]
    shown = ", ".join(map(str, data)) if isinstance(data, list) else "" if data is None else str(data)
    return f"{entry['path']}\\{entry['name']} = {shown}"


@handles("cnosf.infogerance.win_registry_values", source="plugins/modules/win_registry_values.yml")
def win_registry_values(call: Call) -> Result:
    """Write, change and remove values; report each that differed."""
    changes = []
    for entry in call.args["values"]:
        try:
            change = _change(call, entry)
        except ModuleFailure as failure:
            raise ModuleFailure(f"registry value {entry['path']}\\{entry['name']}: {failure.msg}") from failure
        if change is not None:
            changes.append(change)
    result: Result = {"changed": bool(changes), "changes": changes}
    if call.diff:
        result["diff"] = {side: "\n".join(_line(change, side) for change in changes) for side in ("before", "after")}
    return result
