# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of API calls: the proof of what a run read and of what it wrote."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "Journal"]

KEPT = 20_000
FILE_LIMIT = 16 * 1024**2


@dataclass
class Entry:
    """One call; ``kind`` is read, write or login, ``status`` the HTTP status once answered (0 before)."""

    sequence: int
    time: float
    kind: str
    method: str
    path: str
    user: str | None
    body: str
    status: int = 0


class Journal:
    """Numbers every call, counts them by kind, keeps the latest in memory and the writes in a file."""

    def __init__(self, file: Path | None = None) -> None:
        """Keep writes in this file, which starts anew when it has grown past 16 MiB."""
        self.file = file
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.counts = {"read": 0, "write": 0, "login": 0}
        if file is not None and file.exists() and file.stat().st_size > FILE_LIMIT:
            file.unlink()

    @property
    def sequence(self) -> int:
        """Number of the latest call."""
        return sum(self.counts.values())

    def note(self, method: str, path: str, user: str | None, body: str) -> Entry:
        """Record a call before it is answered."""
        if method in ("GET", "HEAD"):
            kind = "read"
        elif path.endswith("/access/ticket"):
            kind = "login"
        else:
            kind = "write"
        self.counts[kind] += 1
        entry = Entry(self.sequence, time.time(), kind, method, path, user, body)
        self.entries.append(entry)
        return entry

    def answered(self, entry: Entry, status: int) -> None:
        """Complete a call with its answer's status; a write goes to the file."""
        entry.status = status
        if entry.kind == "write" and self.file is not None:
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(entry)) + "\n")

    def since(self, sequence: int = 0, *, writes: bool = False) -> list[dict[str, Any]]:
        """The calls after this number that are still kept, oldest first."""
        return [
            asdict(entry)
            for entry in self.entries
            if entry.sequence > sequence and (entry.kind == "write" or not writes)
        ]

    def counters(self) -> dict[str, int]:
        """How many calls of each kind since the lab started, and the latest number."""
        return {"sequence": self.sequence, **{f"{kind}s": count for kind, count in self.counts.items()}}
