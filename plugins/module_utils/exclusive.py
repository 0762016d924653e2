# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One program at a time on one object, on this machine: held while the process lives, released by its death.

Controllers on other machines are kept apart by the engine itself: a configuration is only written when it is still
the one that was read, and two creations of one name ask for one number.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def exclusively(what: str, scope: str = "", folder: str | None = None) -> Iterator[None]:
    """Hold an object for this process.

    Args:
        what: the object, in words: `server dc01`.
        scope: what tells objects of one name apart, for example the API's address.
        folder: where the lock files lie, by default the system's folder for temporary files.

    Raises:
        ConflictError: another process of this machine holds it; the sentence says which, and since when.
    """
    digest = hashlib.sha256(f"{scope}\n{what}".encode()).hexdigest()[:24]
    path = Path(folder or tempfile.gettempdir()) / f"infogerance-{os.getuid()}-{digest}.lock"
    handle = _hold(path, what)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _hold(path: Path, what: str) -> int:
    """Answer the open, locked file; opened again when another process removed it between opening and locking."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise ConflictError(
                f"{what}: another run works on it on this machine ({holder}), so this one does not. Let it end, then "
                "run again."
            ) from None
        if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
        os.close(handle)
