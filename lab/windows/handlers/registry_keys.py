# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registry keys and values: win_regedit, win_reg_stat, win_regmerge."""

from __future__ import annotations

import re
from typing import Any

from lab.windows import hive
from lab.windows.dispatch import expand
from lab.windows.filesystem import FileSystem
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

_PATH = re.compile(r"HK(CC|CR|CU|LM|U):\\", re.IGNORECASE)


def opened(call: Call) -> Registry:
    """Open the registry as the account that runs the module sees it."""
    principal = call.server.resolve(call.user)
    return Registry(call.server, principal.sid if principal else "S-1-5-18")


def _bytes(text: str) -> list[int]:
    plain = re.sub(r"[^a-f0-9,:]", "", re.sub(r"^hex:", "", text.lower())).replace(",", ":")
    if not plain:
        return []
    if ":" in plain:
        return [int(part, 16) for part in plain.split(":") if part]
    if len(plain) == 1:
        return [int(plain, 16)]
    return [int(plain[i : i + 2], 16) for i in range(0, len(plain), 2)] if len(plain) % 2 == 0 else []


def _number(data: Any, kind: str) -> int:
    bits = 32 if kind == "dword" else 64
    if data is None:
        return 0
    if isinstance(data, float) and data % 1:
        raise ModuleFailure(
            f"data '{data}' cannot be a decimal or float value with a remainder when type is dword or qword"
        )
    try:
        number = int(str(data), 0) if isinstance(data, str) else int(data)
    except (TypeError, ValueError):
        raise ModuleFailure(
            f'Cannot convert value "{data}" to type "System.UInt64". Error: "Input string was not in a correct format."'
        ) from None
    if number < 0:
        number += 1 << bits
    if not 0 <= number < 1 << bits:
        raise ModuleFailure(f"data cannot be larger than 0x{'f' * (bits // 4)} when type is {kind}")
    return number


def typed(kind: str, data: Any) -> Any:
    """Bring data into the form in which the registry keeps a type.

    Raises:
        ModuleFailure: They do not fit, in win_regedit's words.
    """
    match kind:
        case "dword" | "qword":
            return _number(data, kind)
        case "binary" | "none":
            if isinstance(data, list):
                return [int(entry) for entry in data]
            if isinstance(data, int):
                if data > 255:
                    raise ModuleFailure(
                        f"cannot convert binary data '{data}' to byte array, please specify this value as a yaml byte "
                        "array or a comma separated hex value string"
                    )
                return [data]
            return _bytes(str(data or ""))
        case "multistring":
            if data is None:
                return []
            return [str(entry) for entry in data] if isinstance(data, list) else [str(data)]
        case _:
            return str(data)


def _diff(value: dict[str, Any]) -> dict[str, Any]:
    data, kind = value["data"], value["type"]
    names = {"expandstring": "ExpandString", "multistring": "MultiString", "dword": "DWord", "qword": "QWord"}
    if kind in {"binary", "none"}:
        data = [f"0x{byte:02x}" for byte in data]
    elif kind == "dword":
        data = f"0x{data:08x}"
    elif kind == "qword":
        data = f"0x{data:016x}"
    return {"type": names.get(kind, kind.capitalize()), "value": data}


@handles("ansible.windows.win_regedit", source="ansible.windows 3.3.0 win_regedit documentation and source")
def win_regedit(call: Call) -> Result:
    """Write or remove one key or value."""
    args = call.args
    path, name, kind = args["path"], args["name"] or None, args["type"]
    if args["hive"]:
        raise NotSimulated("The lab does not simulate the hive option of win_regedit.")
    if not _PATH.match(path):
        raise ModuleFailure(f"path: {path} is not a valid powershell path, see module documentation for examples.")
    if args["name"] is None and kind != "string":
        call.warnings.append(
            "the data type when name is not specified can only be 'string', the type has automatically been converted"
        )
        kind = "string"
    registry = opened(call)
    result: Result = {"changed": False, "data_changed": False, "data_type_changed": False}
    old = registry.value(path, name)
    there = registry.exists(path)
    before: dict[str, Any] = {path: {}} if there else {}
    after: dict[str, Any] = {path: {}}
    if old is not None:
        before[path][old["name"]] = _diff(old)
    if args["state"] == "absent":
        if args["delete_key"] and not name:
            result["changed"] = registry.delete(path)
            after = {}
        else:
            result["changed"] = registry.unset(path, name)
    else:
        data = args["data"]
        if data is None and (kind not in {"string", "expandstring"} or name):
            data = "" if kind in {"string", "expandstring"} else [] if kind == "multistring" else None
            wanted: Any = typed(kind, data)
        else:
            wanted = None if data is None else typed(kind, data)
        if wanted is None or (args["data"] is None and name is None):
            result["changed"] = registry.create(path)
        else:
            if old is not None:
                result["data_type_changed"] = old["type"] != kind
                result["data_changed"] = old["data"] != wanted
            result["changed"] = registry.set(path, name, kind, wanted)
            after[path][name or ""] = _diff({"type": kind, "data": wanted})
    if call.diff:
        result["diff"] = {"before": before, "after": after}
    return result


def _stat(call: Call, value: dict[str, Any]) -> dict[str, Any]:
    data, kind = value["data"], value["type"]
    raw: Any = [f"0x{byte:02x}" for byte in data] if kind in {"binary", "none"} else data
    shown = expand(call.server, data, call.user) if kind == "expandstring" else data
    return {"type": hive.TYPES[kind], "value": shown, "raw_value": raw}


@handles("ansible.windows.win_reg_stat", source="ansible.windows 3.3.0 win_reg_stat documentation and source")
def win_reg_stat(call: Call) -> Result:
    """Read a key with its values and subkeys, or one value."""
    path, name = call.args["path"], call.args["name"]
    if not _PATH.match(path):
        raise ModuleFailure(f"path: {path} is not a valid registry path, see module documentation for examples.")
    registry = opened(call)
    if not registry.exists(path):
        return {"changed": False, "exists": False}
    if name is not None:
        value = registry.value(path, name)
        if value is None:
            return {"changed": False, "exists": False}
        return {"changed": False, "exists": True, **_stat(call, value)}
    key = registry.key(path) or {"values": {}}
    return {
        "changed": False,
        "exists": True,
        "properties": {value["name"]: _stat(call, value) for value in key["values"].values()},
        "sub_keys": registry.subkeys(path),
    }


def _unescape(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")


def parse_reg(text: str) -> list[tuple[str, bool, list[tuple[str | None, str | None, Any]]]]:
    """Read a .reg file: for each key its path, whether it is to go, and its values (type None: the value is to go).

    Raises:
        ModuleFailure: A line is not understood.
    """
    found: list[tuple[str, bool, list[tuple[str | None, str | None, Any]]]] = []
    joined = re.sub(r"\\\r?\n\s*", "", text.lstrip("\ufeff"))
    lines = joined.splitlines()
    if not lines or not lines[0].startswith(("Windows Registry Editor", "REGEDIT4")):
        raise ModuleFailure("error importing registry values: the file does not begin with a registry editor's header")
    for line in lines[1:]:
        plain = line.strip()
        if not plain or plain.startswith(";"):
            continue
        if plain.startswith("["):
            path = plain.strip("[]")
            found.append((path.lstrip("-"), path.startswith("-"), []))
            continue
        match = re.fullmatch(r'(?:"((?:[^"\\]|\\.)*)"|(@))\s*=\s*(.*)', plain)
        if match is None or not found:
            raise ModuleFailure(f"error importing registry values: line not understood: {plain}")
        name = None if match.group(2) else _unescape(match.group(1))
        found[-1][2].append((name, *_reg_value(match.group(3))))
    return found


def _reg_value(text: str) -> tuple[str | None, Any]:
    if text == "-":
        return None, None
    if text.startswith('"'):
        return "string", _unescape(text[1:-1])
    kind, _, data = text.partition(":")
    match kind.lower():
        case "dword":
            return "dword", int(data, 16)
        case "hex":
            return "binary", _bytes(data)
        case "hex(b)":
            return "qword", int.from_bytes(bytes(_bytes(data)), "little")
        case "hex(2)":
            return "expandstring", bytes(_bytes(data)).decode("utf-16-le").rstrip("\0")
        case "hex(7)":
            return "multistring", [part for part in bytes(_bytes(data)).decode("utf-16-le").split("\0") if part]
        case "hex(0)":
            return "none", _bytes(data)
        case _:
            raise ModuleFailure(f"error importing registry values: type not understood: {text}")


@handles("community.windows.win_regmerge", source="community.windows 3.1.0 win_regmerge documentation and source")
def win_regmerge(call: Call) -> Result:
    """Import a .reg file; reports a change each time unless it is told what key to compare with."""
    path, content, compare_to = call.args["path"], call.args["content"], call.args["compare_to"]
    if not path and not content:
        raise ModuleFailure("either a path or content must be provided")
    if content is None:
        raw = FileSystem(call.server).read(path)
        content = raw.decode("utf-16") if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else raw.decode("utf-8-sig")
    registry = opened(call)
    differences = 0
    for key, gone, values in parse_reg(content):
        if gone:
            differences += registry.delete(key)
            continue
        differences += registry.create(key)
        for name, kind, data in values:
            differences += registry.unset(key, name) if kind is None else registry.set(key, name, kind, data)
    if compare_to is None:
        return {"changed": True, "compared": False}
    return {"changed": differences > 0, "compared": True, "difference_count": differences}
