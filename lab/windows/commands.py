# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few commands that a simulated server answers: no interpreter, a table of known ones."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.windows.filesystem import FileSystem
from lab.windows.registry import NotSimulated
from lab.windows.server import filetime

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.windows.server import WindowsServer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command leaves behind."""

    stdout: str = ""
    rc: int = 0
    stderr: str = ""
    changes: bool = False
    """Whether the command writes: such ones are not for check mode."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where and as whom a command runs."""

    server: WindowsServer
    user: str


COMMANDS: list[tuple[re.Pattern[str], Callable[[Context, re.Match[str]], Outcome], str]] = []


def command(
    pattern: str, *, source: str
) -> Callable[[Callable[[Context, re.Match[str]], Outcome]], Callable[[Context, re.Match[str]], Outcome]]:
    """Register a command by a pattern for its whole text (case ignored, runs of blanks count as one).

    Args:
        pattern: Regular expression.
        source: Where its output is documented.
    """
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)

    def register(
        function: Callable[[Context, re.Match[str]], Outcome],
    ) -> Callable[[Context, re.Match[str]], Outcome]:
        COMMANDS.append((compiled, function, source))
        return function

    return register


def run(server: WindowsServer, user: str, text: str) -> Outcome:
    """Run a command.

    Raises:
        NotSimulated: It is not in the table.
    """
    plain = re.sub(r"\s+", " ", text).strip().rstrip(";").strip()
    for pattern, function, _source in COMMANDS:
        match = pattern.fullmatch(plain)
        if match is not None:
            return function(Context(server, user), match)
    shown = plain if len(plain) <= 200 else plain[:200] + " ..."
    raise NotSimulated(f"The lab does not simulate the command: {shown}")


_REBOOT = "ansible.windows win_reboot, plugin_utils/_reboot.py"


@command(
    r"\(Get-CimInstance -ClassName Win32_OperatingSystem -Property LastBootUpTime\)\.LastBootUpTime\.ToFileTime\(\)",
    source=_REBOOT,
)
def _boot_time(context: Context, _match: re.Match[str]) -> Outcome:
    return Outcome(f"{filetime(context.server.boot_time)}\r\n")


@command(r".*shutdown\.exe /([rs]) /t (\d+) /c .*ConvertTo-Json.*", source=_REBOOT)
def _shutdown_json(context: Context, match: re.Match[str]) -> Outcome:
    outcome = _shutdown(context, match)
    return Outcome(
        json.dumps({"stdout": "", "stderr": outcome.stderr.strip(), "rc": outcome.rc}) + "\r\n", changes=True
    )


@command(
    r"(?:C:\\Windows\\System32\\)?shutdown(?:\.exe)? /([rs])(?: /f)?(?: /t (\d+))?(?: /c .*)?", source="shutdown /?"
)
def _shutdown(context: Context, match: re.Match[str]) -> Outcome:
    server = context.server
    if server.shutdown_request is not None:
        return Outcome(rc=1190, stderr="Un arrêt du système est déjà planifié.(1190)", changes=True)
    server.shutdown_request = "reboot" if match.group(1).lower() == "r" else "stop"
    server.shutdown_delay = float(match.group(2) or 30)
    return Outcome(changes=True)


@command(r"(?:C:\\Windows\\System32\\)?shutdown(?:\.exe)? /a", source="shutdown /?")
def _abort(context: Context, _match: re.Match[str]) -> Outcome:
    if context.server.shutdown_request is None:
        message = "Impossible d’abandonner l’arrêt du système car aucun arrêt n’était en cours.(1116)"
        return Outcome(rc=1116, stderr=message, changes=True)
    context.server.shutdown_request = None
    return Outcome(changes=True)


@command(r"Get-Item -LiteralPath '[^']*AutoLogonChecked' -ErrorAction Stop; '(success-[0-9a-f-]+)'", source=_REBOOT)
def _logged_on(_context: Context, match: re.Match[str]) -> Outcome:
    return Outcome(f"\r\n    Hive:\r\n\r\nName : AutoLogonChecked\r\n{match.group(1)}\r\n")


@command(r"Remove-Item '((?:[^']|'')+)' -Force(?: -Recurse)?", source="ansible-core, shell plugin powershell")
def _remove(context: Context, match: re.Match[str]) -> Outcome:
    path = match.group(1).replace("''", "'")
    if not FileSystem(context.server).remove(path):
        return Outcome(
            rc=1, stderr=f"Impossible de trouver le chemin d’accès « {path} », car il n’existe pas.", changes=True
        )
    return Outcome(changes=True)


@command(r"(?:cmd(?:\.exe)? /c )?whoami(?:\.exe)?", source="whoami /?")
def _whoami(context: Context, _match: re.Match[str]) -> Outcome:
    return Outcome(context.user.lower() + "\r\n")


@command(r"(?:cmd(?:\.exe)? /c )?hostname(?:\.exe)?", source="hostname /?")
def _hostname(context: Context, _match: re.Match[str]) -> Outcome:
    return Outcome(context.server.computer_name + "\r\n")


@command(r"exit (\d+)", source="PowerShell, about_Language_Keywords")
def _exit(_context: Context, match: re.Match[str]) -> Outcome:
    return Outcome(rc=int(match.group(1)))


@command(r"(?:echo|Write-Output) (?:'([^']*)'|\"([^\"$`]*)\"|([\w.:-]+))", source="PowerShell, Write-Output")
def _echo(_context: Context, match: re.Match[str]) -> Outcome:
    return Outcome(next(group for group in match.groups() if group is not None) + "\r\n")
