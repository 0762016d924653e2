# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine lets a container do: which runtime fits its control groups, which limits it may set."""

from __future__ import annotations

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.linux.commands import LinuxLabError

CGROUPS = Path("/sys/fs/cgroup")
WANTED_FILES = 65536
WANTED_PROCESSES = 16384


@dataclass(frozen=True)
class Runtime:
    """How containers are started on this machine.

    Attributes:
        name: OCI runtime, `crun` or `runc`.
        unified: control groups are version 2 only.
        files: open files a guest's process may have.
        processes: processes root may have in a guest.
    """

    name: str
    unified: bool
    files: int
    processes: int

    @property
    def podman(self) -> tuple[str, ...]:
        """The podman command with its runtime and cgroup manager."""
        return ("podman", "--runtime", self.name, "--cgroup-manager", "cgroupfs")


def choose_runtime(*, unified: bool, installed: frozenset[str]) -> str:
    """Name the runtime that boots systemd: crun refuses hybrid control groups, runc serves both layouts.

    Raises:
        LinuxLabError: none fits.
    """
    candidates = ("crun", "runc") if unified else ("runc",)
    for candidate in candidates:
        if candidate in installed:
            return candidate
    layout = "version 2" if unified else "version 1 or hybrid"
    raise LinuxLabError(
        f"no container runtime fits this machine's control groups ({layout}): install {' or '.join(candidates)}"
    )


def detect() -> Runtime:
    """Look at this machine.

    Limits never exceed what the caller may grant: without CAP_SYS_RESOURCE a runtime that raises one fails.

    Raises:
        LinuxLabError: podman or a fitting runtime is missing.
    """
    if shutil.which("podman") is None:
        raise LinuxLabError("podman is not installed: install the package `podman`")
    unified = (CGROUPS / "cgroup.controllers").exists()
    installed = frozenset(name for name in ("crun", "runc") if shutil.which(name))
    return Runtime(
        name=choose_runtime(unified=unified, installed=installed),
        unified=unified,
        files=_allowed(resource.RLIMIT_NOFILE, WANTED_FILES),
        processes=_allowed(resource.RLIMIT_NPROC, WANTED_PROCESSES),
    )


def _allowed(limit: int, wanted: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
