# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what Ansible sends to a Windows server: the operation behind a command line and its standard input.

Two generations are known: ansible-core 2.19 (a bootstrap script fed with a manifest) and 2.16 to 2.18 (a wrapper
script and a flat manifest, commands encoded twice, copies as inline scripts).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any

_SEPARATOR = b"\0\0\0\0"
_ENCODED = re.compile(r"-EncodedCommand\s+([A-Za-z0-9+/=]+)", re.IGNORECASE)
_STRICT = re.compile(r"^Set-StrictMode -Version Latest\s*", re.IGNORECASE)
_EXIT = re.compile(
    r"[;\s]*If \(-not \$\?\) \{ If \(Get-Variable LASTEXITCODE -ErrorAction SilentlyContinue\) "
    r"\{ exit \$LASTEXITCODE \} Else \{ exit 1 \} \}\s*$",
    re.IGNORECASE,
)


class PayloadError(ValueError):
    """What arrived is not what any known Ansible sends."""


@dataclass(frozen=True, slots=True)
class Become:
    """Another account to run as."""

    user: str
    password: str | None = field(default=None, repr=False)
    logon_type: str = "Interactive"
    flags: str = ""

    @property
    def network_only(self) -> bool:
        """Whether the account is for other servers only (``NetCredentialsOnly``; before 2.19 in the plugin's words)."""
        return "netcredentialsonly" in self.flags.casefold().replace("_", "")


@dataclass(frozen=True, slots=True)
class AsyncJob:
    """Run in the background."""

    folder: str
    job_id: str
    timeout: int


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """Run a module."""

    name: str
    args: dict[str, Any] = field(repr=False)
    become: Become | None = None
    job: AsyncJob | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def check(self) -> bool:
        """Whether it runs in check mode."""
        return bool(self.args.get("_ansible_check_mode", False))

    @property
    def diff(self) -> bool:
        """Whether a diff is wanted."""
        return bool(self.args.get("_ansible_diff", False))


@dataclass(frozen=True, slots=True)
class MakeTemp:
    """Make a temporary folder and answer its path."""

    folder: str
    name: str


@dataclass(frozen=True, slots=True)
class ExpandUser:
    """Answer a path with ``~`` replaced."""

    path: str


@dataclass(frozen=True, slots=True)
class PutFile:
    """Write a file and answer its SHA-1."""

    path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FetchFile:
    """Answer a piece of a file."""

    path: str
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class RunScript:
    """Run a script file of the controller (``ansible.builtin.script``)."""

    name: str


@dataclass(frozen=True, slots=True)
class RawCommand:
    """Run a command as it is."""

    text: str


Operation = ModuleRun | MakeTemp | ExpandUser | PutFile | FetchFile | RunScript | RawCommand


def unwrap(command_line: str) -> str:
    """Undo ``PowerShell ... -EncodedCommand ...`` as often as it was done; give the script itself."""
    text = command_line
    for _layer in range(4):
        if not re.match(r"\s*(?:&\s*)?['\"]?(?:[A-Za-z]:\\\S*\\)?(?:powershell|pwsh)(?:\.exe)?\b", text, re.IGNORECASE):
            break
        match = _ENCODED.search(text)
        if match is None:
            break
        try:
            text = base64.b64decode(match.group(1), validate=True).decode("utf-16-le")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise PayloadError(f"The encoded command is not base64 of UTF-16: {error}") from None
    return text


def tidy(script: str) -> str:
    """Take off what Ansible puts around every plain command: strict mode and the passing on of the exit code."""
    text = script
    while True:
        stripped = _EXIT.sub("", _STRICT.sub("", text.strip()))
        if stripped == text:
            return stripped
        text = stripped


def decode(command_line: str, stdin: bytes) -> Operation:
    """Tell what operation a command line and its standard input ask for.

    Raises:
        PayloadError: It looks like a payload of Ansible and cannot be read.
    """
    script = unwrap(command_line)
    if _SEPARATOR in stdin[:1_000_000] or stdin[:1] == b"{":
        head, _, rest = stdin.partition(_SEPARATOR)
        if head.lstrip()[:1] == b"{":
            return _bootstrap(rest)
        return _legacy(rest)
    if stdin.startswith(b"#!") or (stdin and "$input" in script and "ConvertFrom-Json" in script):
        raise PayloadError(
            "its module is not written in PowerShell, so that Windows cannot run it; use the win_ module."
        )
    if stdin and re.search(r"File\]::Create\(\$path\)", script, re.IGNORECASE):
        return PutFile(_assigned(script, "path"), _lines(stdin))
    return _inline(script)


def _json(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise PayloadError(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise PayloadError(f"{what} is not a JSON object.")
    return value


def _bootstrap(rest: bytes) -> Operation:
    """2.19: ``{name, script, params}``, separator, ``{scripts, actions}`` and perhaps a separator and data."""
    text, _, data = rest.lstrip(b"\r\n").partition(b"\n" + _SEPARATOR)
    manifest = _json(text, "The manifest")
    actions = manifest.get("actions") or []
    if not actions:
        raise PayloadError("The manifest names no action.")
    become: Become | None = None
    job: AsyncJob | None = None
    folder, job_id, timeout = "", "", 0
    for action in actions[:-1]:
        params = action.get("params") or {}
        match action["name"]:
            case "become_wrapper.ps1":
                secure = action.get("secure_params") or {}
                become = Become(
                    params.get("BecomeUser") or "SYSTEM",
                    secure.get("BecomePassword"),
                    params.get("LogonType", "Interactive"),
                    params.get("LogonFlags", ""),
                )
            case "async_wrapper.ps1":
                folder, job_id = params["AsyncDir"], params["AsyncJid"]
            case "async_watchdog.ps1":
                timeout = int(params["Timeout"])
            case "coverage_wrapper.ps1":
                pass  # only measures the module's source
            case other:
                raise PayloadError(f"The manifest has an action that is not known: {other}.")
    if job_id:
        job = AsyncJob(folder, job_id, timeout)
    last = actions[-1]
    params = last.get("params") or {}
    match last["name"]:
        case "powershell_mkdtemp.ps1":
            return MakeTemp(params["Directory"], params["Name"])
        case "powershell_expand_user.ps1":
            return ExpandUser(params["Path"])
        case "winrm_put_file.ps1":
            return PutFile(params["Path"], _lines(data))
        case "winrm_fetch_file.ps1":
            return FetchFile(params["Path"], int(params["BufferSize"]), int(params["Offset"]))
        case "module_wrapper.ps1":
            name = params["Script"]
            if not params.get("ForModule"):
                return RunScript(name)
            values = {entry["Name"]: entry["Value"] for entry in params.get("Variables") or []}
            args = values.get("complex_args")
            if not isinstance(args, dict):
                raise PayloadError(f"The module {name} came without arguments.")
            return ModuleRun(name, args, become, job, params.get("Environment") or {})
        case other:
            raise PayloadError(f"The manifest ends in an action that is not known: {other}.")


def _legacy(rest: bytes) -> Operation:
    """2.16 to 2.18: one flat manifest after the wrapper's text."""
    manifest = _json(rest, "The manifest")
    actions = manifest.get("actions") or []
    if "module_script_wrapper" in actions:
        return RunScript("script")
    args = manifest.get("module_args")
    if not isinstance(args, dict) or not args.get("_ansible_module_name"):
        raise PayloadError("The manifest does not name its module.")
    become = None
    if "become_wrapper" in actions:
        become = Become(
            manifest.get("become_user") or "SYSTEM",
            manifest.get("become_password"),
            flags=manifest.get("become_flags") or "",
        )
    job = None
    environment = manifest.get("environment") or {}
    if isinstance(environment, list):  # a list of dictionaries, as tasks and plays stack them
        environment = {name: value for entry in environment for name, value in entry.items()}
    if "async_wrapper" in actions:
        job = AsyncJob(
            environment.get("ANSIBLE_ASYNC_DIR", r"%USERPROFILE%\.ansible_async"),
            manifest["async_jid"],
            int(manifest["async_timeout_sec"]),
        )
    return ModuleRun(str(args["_ansible_module_name"]), args, become, job, environment)


def _inline(script: str) -> Operation:
    """Plain commands; of 2.16 to 2.18 also folders and fetches as inline scripts."""
    if re.search(r"New-Item -Type Directory -Path \$tmp_path -Name", script):
        folder = re.search(r"ExpandEnvironmentVariables\('((?:[^']|'')*)'\)", script)
        name = re.search(r"-Name '((?:[^']|'')*)'", script)
        if folder is None or name is None:
            raise PayloadError("A temporary folder is asked for without naming it.")
        return MakeTemp(_quoted(folder.group(1)), _quoted(name.group(1)))
    if "$buffer_size" in script and "FileStream" in script:
        size = re.search(r"\$buffer_size = (\d+)", script)
        offset = re.search(r"\$offset = (\d+)", script)
        if size is None or offset is None:
            raise PayloadError("A file is fetched without saying which part.")
        return FetchFile(_assigned(script, "path"), int(size.group(1)), int(offset.group(1)))
    return RawCommand(tidy(script))


def _assigned(script: str, variable: str) -> str:
    match = re.search(rf"\${variable} = '((?:[^']|'')*)'", script)
    if match is None:
        raise PayloadError(f"The script does not say ${variable}.")
    return _quoted(match.group(1))


def _quoted(text: str) -> str:
    return text.replace("''", "'")


def _lines(data: bytes) -> bytes:
    """Undo base64 line by line, as the receiving script does."""
    try:
        return b"".join(base64.b64decode(line) for line in data.split() if line)
    except binascii.Error as error:
        raise PayloadError(f"The file's content is not base64: {error}") from None
