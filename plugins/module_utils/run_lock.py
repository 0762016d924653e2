# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time on one server, for all users of this controller: held by a run that lives, free when it is dead.

A run is a process of Ansible's. Each user's run leaves a note of its own, which every user may read; a note counts
while the process that it names lives and was born when the note says: numbers of processes come back.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator

START_FIELD = 19
"""Place of a process's start time behind its name in /proc/PID/stat (proc_pid_stat(5), field 22)."""


@dataclass(frozen=True)
class Run:
    """A run that holds a server.

    Attributes:
        process: number of Ansible's main process.
        born: start of that process in ticks since boot; empty where the system does not tell.
        user: who started it.
        since: when it took the server, local time, ISO 8601.
    """

    process: int
    born: str
    user: str
    since: str

    @classmethod
    def of(cls, process: int) -> Run:
        """Answer the run of a process, from now on."""
        return cls(process, born(process) or "", pwd.getpwuid(os.getuid()).pw_name, time.strftime("%Y-%m-%dT%H:%M:%S"))

    @property
    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return born(self.process) == self.born


def born(process: int) -> str | None:
    """When a process started, as text to compare; None when there is none, empty where the system does not tell."""
    try:
        words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return None
    else:
        return words[START_FIELD]
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # somebody else's, so it lives
        pass
    return ""


def take(server: str, process: int, folder: Path) -> None:
    """Hold a server for a run, until its process ends; a run may take what it holds already.

    Args:
        server: what tells the server apart on this controller, for example its address.
        process: number of Ansible's main process.
        folder: where the notes lie; every user of the controller may write there (sticky, as /run/lock).

    Raises:
        ConflictError: another run that lives holds it; the sentence names process, user and time.
    """
    stem = f"infogerance-run-{hashlib.sha256(server.encode()).hexdigest()[:24]}"
    with _guard(folder / "infogerance-run.guard"):
        for note in sorted(folder.glob(f"{stem}-*.json")):
            holder = _read(note)
            if holder is not None and holder.alive and holder.process != process:
                raise ConflictError(
                    f"{server}: another run works on it: process {holder.process} of {holder.user}, since "
                    f"{holder.since}. This run changes nothing there. Let the other one end, then run again."
                )
        path = folder / f"{stem}-{os.getuid()}.json"
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(Run.of(process)), file)
        fresh.replace(path)


def _read(note: Path) -> Run | None:
    """Who left a note; None when it says nothing that can be understood."""
    try:
        return Run(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Let one process after the other look and write."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
