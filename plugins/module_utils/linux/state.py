# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the state of a Linux server that the role linux_baseline compares with its declaration."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[[list[str]], tuple[int, str]]

PROC_SYS = Path("/proc/sys")
PAM = Path("/etc/pam.d")
PENDING = Path("/var/lib/infogerance/firewall/pending")
UNIT_PROPERTIES = {
    "LoadState": "load",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "ActiveEnterTimestampMonotonic": "since",
}


def sysctl(keys: list[str]) -> dict[str, dict[str, Any]]:
    """Value of each kernel setting, None where the kernel has none, and whether it is ours to write."""
    found = {}
    for key in keys:
        path = PROC_SYS / sysctl_path(key)
        try:
            value: str | None = " ".join(path.read_text(encoding="ascii").split())
        except OSError:
            value = None
        found[key] = {"value": value, "writable": value is not None and os.access(path, os.W_OK)}
    return found


def sysctl_path(key: str) -> str:
    """The file of a kernel setting: dots separate, unless slashes do (an interface's name may hold a dot)."""
    return key if "/" in key else key.replace(".", "/")


def paths(names: list[str]) -> dict[str, dict[str, Any] | None]:
    """Owner, group, mode (four octal digits), time of modification and, of a file, digest; None where there is none."""
    found: dict[str, dict[str, Any] | None] = {}
    for name in names:
        try:
            seen = Path(name).stat()
        except FileNotFoundError:
            found[name] = None
            continue
        found[name] = {
            "mode": f"{stat.S_IMODE(seen.st_mode):04o}",
            "owner": _name_of(pwd.getpwuid, seen.st_uid),
            "group": _name_of(grp.getgrgid, seen.st_gid),
            "mtime": seen.st_mtime,
            "sha256": _digest(Path(name)) if stat.S_ISREG(seen.st_mode) else None,
        }
    return found


def timezone() -> str:
    """The time zone that /etc/localtime points to; empty when it is no link into the database."""
    target = os.path.realpath("/etc/localtime")
    return target.partition("/zoneinfo/")[2]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def units(names: list[str], run: Command) -> dict[str, dict[str, Any]]:
    """What systemd says of each unit; `since` is when it last started, in seconds since the epoch, 0.0 for never."""
    if not names:
        return {}
    properties = ",".join(["Id", *UNIT_PROPERTIES])
    _code, said = run(["systemctl", "show", "--property", properties, *names])
    return parse_units(names, said, time.time() - time.clock_gettime(time.CLOCK_MONOTONIC))


def shown(said: str) -> list[dict[str, str]]:
    """What `systemctl show` prints: the properties of each unit by name, in the order asked."""
    return [dict(line.partition("=")[::2] for line in block.splitlines()) for block in said.strip().split("\n\n")]


def parse_units(names: list[str], said: str, booted: float) -> dict[str, dict[str, Any]]:
    """Read what `systemctl show` prints: a block for each unit, in the order asked."""
    found = {}
    for name, values in zip(names, shown(said), strict=True):
        entry: dict[str, Any] = {key: values.get(prop, "") for prop, key in UNIT_PROPERTIES.items()}
        microseconds = int(entry["since"] or 0)
        entry["since"] = booted + microseconds / 1_000_000 if microseconds else 0.0
        found[name] = entry
    return found


def packages(names: list[str], run: Command) -> dict[str, bool]:
    """Whether each package is installed."""
    if not names:
        return {}
    _code, said = run(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *names])
    installed = {line.split()[0] for line in said.splitlines() if line.endswith(" installed")}
    return {name: name in installed for name in names}


def locales(run: Command) -> list[str]:
    """Languages that are generated, as the C library names them (`fr_FR.utf8`)."""
    return run(["locale", "--all-locales"])[1].split()


def package_index() -> bool:
    """Whether apt knows any package: a fresh server has no index."""
    return any(Path("/var/lib/apt/lists").glob("*_Packages*"))


def groups(names: list[str]) -> dict[str, list[str]]:
    """Members of each group that exists."""
    found = {}
    for name in names:
        try:
            found[name] = sorted(grp.getgrnam(name).gr_mem)
        except KeyError:
            continue
    return found


def accounts() -> list[dict[str, Any]]:
    """Every account: name, number, shell, and whether its password is `set`, `locked` or `empty`; never itself."""
    shadow = {}
    for line in Path("/etc/shadow").read_text(encoding="utf-8").splitlines():
        name, secret = line.split(":")[:2]
        shadow[name] = "empty" if not secret else "locked" if secret[0] in "!*" else "set"
    return [
        {
            "name": entry.pw_name,
            "uid": entry.pw_uid,
            "shell": entry.pw_shell,
            "password": shadow.get(entry.pw_name, "locked"),
        }
        for entry in sorted(pwd.getpwall(), key=lambda entry: entry.pw_uid)
    ]


def login_defs(names: list[str], text: str) -> dict[str, str]:
    """Value of each setting in login.defs(5)."""
    values = dict(re.findall(r"^\s*([A-Z_]+)\s+(\S+)", text, flags=re.MULTILINE))
    return {name: values[name] for name in names if name in values}


def pam() -> dict[str, list[str]]:
    """Modules of each common stack of PAM."""
    found = {}
    for path in sorted(PAM.glob("common-*")):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        found[path.name] = re.findall(r"\b(pam_\w+)\.so", "\n".join(lines))
    return found


def firewall(file: str, table: str, run: Command) -> dict[str, bool]:
    """Whether the kernel applies exactly the rules of a file, and whether they still wait to be confirmed.

    The file is loaded and listed in a network namespace of its own: both sides are then words of the kernel.
    """
    family, name = table.split()
    live_code, live = run(["nft", "--stateless", "--numeric", "list", "table", family, name])
    script = 'nft --file "$1" && nft --stateless --numeric list table "$2" "$3"'
    code, wanted = run(["unshare", "--net", "sh", "-c", script, "sh", file, family, name])
    return {"applied": live_code == 0 and code == 0 and live == wanted, "pending": PENDING.exists()}


def sshd(run: Command) -> dict[str, str]:
    """The settings that sshd applies, in lower case; those given several times joined by spaces."""
    code, said = run(["sshd", "-T"])
    found: dict[str, str] = {}
    if code == 0:
        for line in said.splitlines():
            name, _space, value = line.partition(" ")
            found[name] = f"{found[name]} {value}" if name in found else value
    return found


def _name_of(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)
