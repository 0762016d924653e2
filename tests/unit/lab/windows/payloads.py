# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Payloads of the shape that ansible-core sends, both generations, without any of its scripts' text."""

from __future__ import annotations

import base64
import json
from typing import Any

SEPARATOR = b"\0\0\0\0"
POWERSHELL = "PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand "


def encoded(script: str) -> str:
    """A command line that runs a script."""
    return POWERSHELL + base64.b64encode(script.encode("utf-16-le")).decode()


def manifest_2_19(actions: list[dict[str, Any]], data: bytes | None = None) -> bytes:
    """Standard input of ansible-core 2.19."""
    head = json.dumps({"name": "exec_wrapper", "script": "# wrapper", "params": {}}).encode()
    scripts = {action["name"]: {"path": "x", "script": base64.b64encode(b"# script").decode()} for action in actions}
    body = json.dumps({"scripts": scripts, "actions": actions, "signed_hashlist": []}).encode()
    payload = head + b"\n" + SEPARATOR + b"\n" + body
    return payload if data is None else payload + b"\n" + SEPARATOR + b"\n" + data


def action(name: str, secure: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    """One action of a 2.19 manifest."""
    return {"name": name, "params": params, "secure_params": secure or {}}


def module_2_19(module: str, args: dict[str, Any], *before: dict[str, Any], check: bool = False) -> bytes:
    """A module run as 2.19 sends it."""
    namespace, collection, name = module.split(".")
    variables = [
        {
            "Name": "complex_args",
            "Value": {**args, "_ansible_check_mode": check, "_ansible_diff": False},
            "Scope": "Global",
        }
    ]
    script = f"ansible_collections.{namespace}.{collection}.plugins.modules.{name}.ps1"
    last = action("module_wrapper.ps1", Script=script, Environment={}, Variables=variables, ForModule=True)
    return manifest_2_19([*before, last])


def module_2_16(module: str, args: dict[str, Any], *, check: bool = False, **extra: Any) -> bytes:
    """A module run as 2.16 to 2.18 send it; ``actions`` among the extras go before the module's wrapper."""
    names = [*extra.pop("actions", []), "module_powershell_wrapper"]
    body = {
        "module_entry": base64.b64encode(b"# module").decode(),
        "powershell_modules": {},
        "csharp_utils": {},
        "csharp_utils_module": [],
        "module_args": {**args, "_ansible_module_name": module, "_ansible_check_mode": check, "_ansible_diff": False},
        "actions": names,
        "environment": [],
        "encoded_output": False,
        **extra,
    }
    return b"begin {\n  # wrapper\n}" + SEPARATOR + json.dumps(body).encode()
