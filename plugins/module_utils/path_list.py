# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders, files and links with the owner, mode and text they shall have: a whole list of them at once."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KINDS = ("directory", "file", "link", "absent")
REPLACED = "\N{REPLACEMENT CHARACTER}"
"""What decoding puts in the place of bytes that are no UTF-8."""


@dataclass(frozen=True)
class Wanted:
    """A path as it shall be.

    Attributes:
        path: absolute.
        kind: `directory`; `file`; `link`; `absent`, for files and links only.
        owner: name of the user; a link's owner is left alone.
        group: name of the group.
        mode: permission bits.
        target: what a link points at.
        content: text of a file; None leaves the text alone and creates an empty file.
        once: the text is given when the file is created, and kept as it is afterwards.
        secret: the text is compared, and shown in no diff.
        settings: values of lines `NAME value`, by name, in a file whose other lines are left alone (login.defs(5)).
        validate: command that judges the new text before it is put in place; `%s` is the file that holds it. It is run
            without a shell, and a return code other than 0 refuses the text.
    """

    path: str
    kind: str = "directory"
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755
    target: str = ""
    content: str | None = None
    once: bool = False
    secret: bool = False
    settings: Mapping[str, str] | None = None
    validate: str = ""

    @property
    def compares_text(self) -> bool:
        """Whether the text that is there decides anything."""
        return (self.content is not None and not self.once) or bool(self.settings)

    def text(self, found: str | None) -> str | None:
        """The text that the file shall have, from the one that it has (None: none yet); None leaves it alone."""
        return with_settings(found or "", self.settings) if self.settings else self.content


@dataclass(frozen=True)
class Found:
    """A path as it is; `kind` is `other` for what is none of the kinds; `content` only where it is to compare."""

    kind: str = "absent"
    owner: str = ""
    group: str = ""
    mode: int = 0
    target: str = ""
    content: str | None = None


def check(paths: Sequence[Wanted]) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: a path is relative or declared twice, a link has no target, a validation names no file.
    """
    seen = set()
    for wanted in paths:
        if not wanted.path.startswith("/"):
            raise InputError(f"{wanted.path} must be an absolute path.")
        if wanted.path in seen:
            raise InputError(f"{wanted.path} is declared twice.")
        seen.add(wanted.path)
        if wanted.kind == "link" and not wanted.target:
            raise InputError(f"{wanted.path} is declared as a link and needs a target.")
        if (wanted.content is not None or wanted.settings) and wanted.kind != "file":
            raise InputError(f"{wanted.path} is declared as {wanted.kind}, and only a file has content or settings.")
        if wanted.content is not None and wanted.settings:
            raise InputError(f"{wanted.path} is declared with content and with settings: declare one of them.")
        for name, value in (wanted.settings or {}).items():
            if not re.fullmatch(r"[^\s#]+", name) or "\n" in value or not value.strip():
                raise InputError(f"{wanted.path}: '{name} {value}' is no line of a name and its value.")
        if wanted.validate and (
            (wanted.content is None and not wanted.settings) or "%s" not in shlex.split(wanted.validate)
        ):
            raise InputError(f"{wanted.path}: validate needs a text to judge, and %s in the place of its file.")


def plan(paths: Sequence[Wanted], found: Mapping[str, Found]) -> list[Change]:
    """Answer the changes that remain, in the order of the list. Pure.

    Raises:
        ConflictError: something of another kind is in the way, and it is not ours to remove; or settings belong into
            a file that is no UTF-8.
    """
    changes = []
    for wanted in paths:
        now = found[wanted.path]
        if wanted.kind == "absent":
            if now.kind in {"file", "link"}:
                changes.append(Change("remove", wanted.path, {"kind": now.kind}, {"kind": "absent"}))
            elif now.kind != "absent":
                raise ConflictError(f"{wanted.path} is no file or link: remove it by hand if it may go.")
            continue
        if now.kind not in {"absent", wanted.kind}:
            raise ConflictError(
                f"{wanted.path} is there as {now.kind}, and must be a {wanted.kind}: move it away first."
            )
        if wanted.kind == "link":
            after = {"target": wanted.target}
            before = {"target": now.target} if now.kind == "link" else {}
        else:
            after = {"owner": wanted.owner, "group": wanted.group, "mode": f"{wanted.mode:04o}"}
            before = {} if now.kind == "absent" else {"owner": now.owner, "group": now.group, "mode": f"{now.mode:04o}"}
        if wanted.settings and REPLACED in (now.content or ""):
            raise ConflictError(f"{wanted.path} is no text in UTF-8, and is not rewritten: put it right by hand first.")
        content = wanted.text(now.content)
        if now.kind == "absent":
            text = {} if content is None else {"text": _shown(wanted, content.splitlines())}
            changes.append(Change("create", wanted.path, {}, {"kind": wanted.kind, **after, **text}))
            continue
        differing = [name for name in after if before[name] != after[name]]
        old, new = {name: before[name] for name in differing}, {name: after[name] for name in differing}
        if content is not None and wanted.compares_text and now.content != content:
            lost, gained = _difference(now.content or "", content)
            old["text"], new["text"] = _shown(wanted, lost), _shown(wanted, gained)
        if new:
            changes.append(Change("set", wanted.path, old, new))
    return changes


def with_settings(text: str, settings: Mapping[str, str]) -> str:
    """Answer a text with the values of these settings; its other lines stay as they are.

    The last line of a name is the one that counts and gets the value; a name without a line is added at the end.
    """
    # str.splitlines() would take a form feed for the end of a line, too.
    found = text.removesuffix("\n").split("\n") if text else []
    lines = list(found)
    for name, value in settings.items():
        places = [place for place, line in enumerate(lines) if line.split(maxsplit=1)[:1] == [name]]
        if not places:
            lines.append(f"{name} {value}")
        elif lines[places[-1]].split()[1:] != value.split():
            lines[places[-1]] = f"{name} {value}"
    return text if lines == found else "".join(f"{line}\n" for line in lines)


def _difference(before: str, after: str) -> tuple[list[str], list[str]]:
    """Answer the lines that only the one text has, and those that only the other has."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    lost = [line[2:] for line in lines if line.startswith("- ")]
    gained = [line[2:] for line in lines if line.startswith("+ ")]
    return lost, gained


def _shown(wanted: Wanted, lines: Sequence[str]) -> str:
    return "(not shown)" if wanted.secret else "".join(f"\n  {line}" for line in lines)


class Paths:
    """Reads and writes paths of this machine.

    Args:
        user: answers the name of a user's number, or the number of a name.
        group: the same for groups.
    """

    def __init__(self, user: Callable[[int], str], group: Callable[[int], str]) -> None:
        self._user = user
        self._group = group
        self._known: dict[str, Found] = {}

    def read(self, paths: Sequence[Wanted]) -> dict[str, Found]:
        """Answer every path as it is; one is looked at once, and again after it was written."""
        for wanted in paths:
            if wanted.path not in self._known:
                self._known[wanted.path] = self._read(wanted)
        return dict(self._known)

    def _read(self, wanted: Wanted) -> Found:
        path = Path(wanted.path)
        try:
            entry = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return Found()
        tests = (("link", stat.S_ISLNK), ("directory", stat.S_ISDIR), ("file", stat.S_ISREG))
        kind = next((name for name, test in tests if test(entry.st_mode)), "other")
        return Found(
            kind,
            self._user(entry.st_uid),
            self._group(entry.st_gid),
            stat.S_IMODE(entry.st_mode),
            str(path.readlink()) if kind == "link" else "",
            path.read_bytes().decode(errors="replace") if kind == "file" and wanted.compares_text else None,
        )

    def apply(self, change: Change, paths: Sequence[Wanted], numbers: Callable[[str, str], tuple[int, int]]) -> None:
        """Perform one planned change; `numbers` answers the numbers of a user's and a group's name."""
        wanted = next(item for item in paths if item.path == change.subject)
        path = Path(wanted.path)
        found = self._known.pop(wanted.path, Found())
        if wanted.kind == "absent":
            path.unlink()
            return
        if wanted.kind == "link":
            fresh = path.with_name(f".{path.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(wanted.target)
            fresh.replace(path)
            return
        content = wanted.text(found.content)
        if content is not None and "text" in change.after:
            self._write(wanted, content, numbers)
            return
        if change.action == "create":
            if wanted.kind == "directory":
                path.mkdir(mode=0o700)
            else:
                path.touch(mode=0o600, exist_ok=False)
        # Never through a link that somebody put in the place meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchown(descriptor, *numbers(wanted.owner, wanted.group))
            os.fchmod(descriptor, wanted.mode)
        finally:
            os.close(descriptor)

    @staticmethod
    def _write(wanted: Wanted, content: str, numbers: Callable[[str, str], tuple[int, int]]) -> None:
        """Put a text in its place at once, with its owner and mode: nobody reads half of it, or reads it too early."""
        path = Path(wanted.path)
        owner, group = numbers(wanted.owner, wanted.group)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(content)
                file.flush()
                os.fchown(file.fileno(), owner, group)
                os.fchmod(file.fileno(), wanted.mode)
                os.fsync(file.fileno())
            _validate(wanted, name)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _validate(wanted: Wanted, name: str) -> None:
    """Let the command of a path judge the text that waits in a file.

    Raises:
        InputError: the command refuses it, with what it printed.
        ConflictError: the command is not on this server.
    """
    if not wanted.validate:
        return
    command = [name if word == "%s" else word for word in shlex.split(wanted.validate)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    except FileNotFoundError as error:
        raise ConflictError(
            f"{wanted.path} cannot be judged: {command[0]} is not on this server. Install it first."
        ) from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        shown = "it holds secrets and is not shown" if wanted.secret else said or f"code {done.returncode}"
        raise InputError(f"{wanted.path} stays as it was: {command[0]} refuses the new text: {shown}")
