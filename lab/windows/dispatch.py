# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one module on a simulated server: judges its arguments, calls its handler, keeps state and journal."""

from __future__ import annotations

import contextlib
import difflib
import logging
from typing import TYPE_CHECKING, Any

from lab.windows import arguments, documentation, registry
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.windows.server import WindowsServer

LOG = logging.getLogger(__name__)

_ALIASES = {
    "setup": "ansible.windows.setup",
    "slurp": "ansible.windows.slurp",
    "async_status": "ansible.windows.async_status",
    # What action plugins of ansible-core 2.16 to 2.18 call by the names of the Python modules.
    "stat": "ansible.windows.win_stat",
    "file": "ansible.windows.win_file",
    "copy": "ansible.windows.win_copy",
    "ping": "ansible.windows.win_ping",
}
_PREFIXES = ("ansible.legacy.", "ansible.builtin.")


def full_name(module: str) -> str:
    """Give the name that handlers use for a name that Ansible sends.

    Args:
        module: ``ansible_collections.ns.coll.plugins.modules.name.ps1``, ``ns.coll.name``, ``ansible.legacy.setup``
            or a short name.
    """
    name = module.removesuffix(".ps1")
    parts = name.split(".")
    if parts[0] == "ansible_collections" and len(parts) >= 6:
        return f"{parts[1]}.{parts[2]}.{parts[-1]}"
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    if "." not in name:
        if name in _ALIASES:
            return _ALIASES[name]
        for collection in ("ansible.windows", "community.windows"):
            if f"{collection}.{name}" in registry.HANDLERS:
                return f"{collection}.{name}"
    return name


def _unknown(module: str) -> str:
    close = difflib.get_close_matches(module, registry.HANDLERS, n=3, cutoff=0.7)
    message = f"The lab does not simulate the module {module} on Windows."
    if close:
        message += f" It does simulate {', '.join(close)}."
    if registry.PROBLEMS:
        broken = "; ".join(f"{name} ({reason})" for name, reason in sorted(registry.PROBLEMS.items()))
        message += f" Some handler files could not be loaded: {broken}."
    return message


def run_module(
    server: WindowsServer,
    module: str,
    args: Mapping[str, Any],
    *,
    check: bool = False,
    diff: bool = False,
    user: str = "SYSTEM",
    environment: Mapping[str, str] | None = None,
    network: tuple[str, str] | None = None,
) -> Result:
    """Run a module and give its result as it goes back to Ansible.

    Args:
        server: Where it runs.
        module: Its name in any of the forms that Ansible sends.
        args: Its arguments; ``_ansible_*`` among them are ignored.
        check: Check mode: the handler works on a copy.
        diff: Whether a diff is wanted.
        user: The account that runs it.
        environment: Environment variables of the task.
        network: Account and password that it shows to other servers; a WinRM session has none.
    """
    registry.load_handlers()
    name = full_name(module)
    registration = registry.HANDLERS.get(name)
    plain = {key: value for key, value in args.items() if not key.startswith("_ansible_")}
    if registration is None:
        server.journal(kind="module", module=name, args={}, check=check, changed=False, failed=True)
        return {"failed": True, "changed": False, "msg": _unknown(name)}
    judged: arguments.Judged | None = None
    guard: Any = contextlib.nullcontext() if registration.waits else server.lock
    try:
        doc = documentation.module_doc(name)
        if doc is None:
            raise NotSimulated(  # noqa: TRY301 - one place turns every gap into a result
                f"No installed collection documents {name}: the lab cannot judge its arguments."
            )
        if "free_form" in doc.options and "_raw_params" in plain:  # documentation's name for a task's bare text
            plain["free_form"] = plain.pop("_raw_params")
        if registration.document is not None:
            doc = registration.document(server, doc, plain)
        judged = arguments.judge(
            doc, plain, internal=registration.internal, expand=lambda path: expand(server, path, user)
        )
        supported = doc.check_mode is not False and registration.check_mode
        if check and not supported:
            result: Result = {
                "changed": False,
                "skipped": True,
                "msg": f"remote module ({name}) does not support check mode",
            }
        else:
            target = server.scratch() if check else server
            call = Call(
                name,
                judged.args,
                target,
                check,
                diff,
                user,
                judged.given,
                environment or {},
                list(judged.warnings),
                network,
            )
            with guard:
                result = registration.handler(call)
                server.save()
            if call.warnings:
                result["warnings"] = [*result.get("warnings", []), *call.warnings]
    except ModuleFailure as failure:
        server.save()
        result = {"changed": False, **failure.extra, "failed": True, "msg": failure.msg}
    except NotSimulated as gap:
        server.roll_back()
        text = str(gap)
        result = {
            "changed": False,
            "failed": True,
            "msg": text if "lab" in text else f"The lab does not simulate this: {text}",
        }
    except Exception as error:
        LOG.exception("Handler of %s failed on %s", name, server.name)
        server.roll_back()
        result = {
            "changed": False,
            "failed": True,
            "msg": f"The lab's handler of {name} broke down: {type(error).__name__}: {error}. "
            "This is a defect of the lab, not of the task.",
        }
    result.setdefault("changed", False)
    secrets = judged.secrets if judged else []
    shown = arguments.mask(judged.args if judged else plain, secrets)
    if registration.journal:
        server.journal(
            kind="module",
            module=name,
            args=arguments.mask({key: judged.args[key] for key in judged.given}, secrets) if judged else {},
            check=check,
            changed=bool(result["changed"]),
            failed=bool(result.get("failed", False)),
        )
    result = arguments.mask(result, secrets)
    result.setdefault("invocation", {"module_args": shown})
    return result


def expand(server: WindowsServer, path: str, user: str = "SYSTEM") -> str:
    """Replace ``%VARIABLES%`` by the server's environment; unknown ones stay as they are, as Windows does."""
    if "%" not in path:
        return path
    values = variables(server, user)
    parts = path.split("%")
    out = [parts[0]]
    index = 1
    while index < len(parts):
        if index + 1 < len(parts) and parts[index].casefold() in values:
            out.append(values[parts[index].casefold()] + parts[index + 1])
            index += 2
        else:
            out.append("%" + parts[index])
            index += 1
    return "".join(out)


def variables(server: WindowsServer, user: str) -> dict[str, str]:
    """Environment of a process of an account: casefolded names to values."""
    name = user.rpartition("\\")[2] or user
    if name.casefold() in {"system", "système"}:
        profile, temp = r"C:\Windows\System32\config\systemprofile", r"C:\Windows\TEMP"
    else:
        profile = rf"C:\Users\{name}"
        temp = rf"{profile}\AppData\Local\Temp"
    values = {
        "systemroot": r"C:\Windows",
        "windir": r"C:\Windows",
        "systemdrive": "C:",
        "programfiles": r"C:\Program Files",
        "programfiles(x86)": r"C:\Program Files (x86)",
        "programdata": r"C:\ProgramData",
        "allusersprofile": r"C:\ProgramData",
        "public": r"C:\Users\Public",
        "comspec": r"C:\Windows\system32\cmd.exe",
        "computername": server.computer_name,
        "username": name,
        "userprofile": profile,
        "appdata": rf"{profile}\AppData\Roaming",
        "localappdata": rf"{profile}\AppData\Local",
        "temp": temp,
        "tmp": temp,
    }
    if "environment" in registry.SECTIONS:
        for key, entry in server.section("environment").get("machine", {}).items():
            if key not in {"temp", "tmp", "username"}:
                values[key] = str(entry["value"]).replace("%SystemRoot%", r"C:\Windows")
    return values
