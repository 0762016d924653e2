# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which system calls a guest may make: those podman lets through, and a write forced to the disk returns at once.

Installing packages waits mostly for the disk: dpkg, databases and journals force every file down. The disks of the
lab's servers are throw-away layers that need not outlive a power cut of this machine, so that there is nothing to
force. A guest that is killed loses nothing by it: what it wrote is with the kernel.
"""

from __future__ import annotations

import json
from pathlib import Path

#: Where podman looks for the profile of containers, in its order (containers.conf(5), seccomp_profile).
PODMANS = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))
FORCED = ("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "sync_file_range2")


def relaxed(profile: str) -> str:
    """Make a profile answer success to what forces writes to the disk.

    Args:
        profile: a seccomp profile as podman reads it, in JSON.

    Raises:
        ValueError: it is none.
    """
    content = json.loads(profile)
    try:
        named = [(rule, [name for name in rule["names"] if name not in FORCED]) for rule in content["syscalls"]]
    except (KeyError, TypeError) as error:
        raise ValueError("it has no list of system calls") from error
    kept = [rule | {"names": names} for rule, names in named if names]
    content["syscalls"] = [*kept, {"names": [*FORCED], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]
    return json.dumps(content)


def write(folder: Path, podmans: tuple[Path, ...] = PODMANS) -> Path | None:
    """Write the guests' profile into a folder.

    Returns:
        Its path; None where podman has its profile in no file, and guests get podman's own.
    """
    source = next((path for path in podmans if path.exists()), None)
    if source is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "seccomp.json"
    made.write_text(relaxed(source.read_text(encoding="utf-8")), encoding="utf-8")
    return made
