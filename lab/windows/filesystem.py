# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and folders of a simulated server, kept in its state; contents lie beside it under their SHA-256."""

from __future__ import annotations

import ntpath
import re
from typing import TYPE_CHECKING, Any

from lab.windows.registry import ModuleFailure, section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.windows.server import ServerSpec, WindowsServer

ADMINISTRATORS = "S-1-5-32-544"
SYSTEM = "S-1-5-18"
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

_HOSTS = (
    "# Copyright (c) 1993-2009 Microsoft Corp.\r\n#\r\n"
    "# This is a sample HOSTS file used by Microsoft TCP/IP for Windows.\r\n"
)


def normalise(path: str) -> str:
    """Bring a path into the form in which Windows shows it: backslashes, no trailing one, no ``..``."""
    text = path.replace("/", "\\")
    for prefix in ("\\\\?\\", "\\\\.\\"):
        text = text.removeprefix(prefix)
    text = ntpath.normpath(text)
    if re.fullmatch(r"[A-Za-z]:", text):
        text += "\\"
    return text


def key(path: str) -> str:
    """Name under which the state keeps a path."""
    return normalise(path).casefold()


class FileSystem:
    """Works on the ``files`` section of a server (of its scratch copy in check mode)."""

    def __init__(self, server: WindowsServer) -> None:
        self.server = server
        self.entries: dict[str, Any] = server.section("files")

    def now(self) -> float:
        """Unix time of the lab, in seconds."""
        return self.server.now().timestamp()

    def get(self, path: str) -> dict[str, Any] | None:
        """Entry of a path, links not followed."""
        entry: dict[str, Any] | None = self.entries.get(key(path))
        return entry

    def resolve(self, path: str) -> dict[str, Any] | None:
        """Entry of a path, a link at its end followed."""
        entry = self.get(path)
        for _hop in range(8):
            if entry is None or entry["type"] != "link":
                return entry
            entry = self.get(entry["target"])
        return None

    def is_dir(self, path: str) -> bool:
        """Whether a folder is there."""
        entry = self.resolve(path)
        return entry is not None and entry["type"] == "directory"

    def is_file(self, path: str) -> bool:
        """Whether a file is there."""
        entry = self.resolve(path)
        return entry is not None and entry["type"] == "file"

    def children(self, path: str) -> list[dict[str, Any]]:
        """Entries directly below a folder, in the order of their names."""
        folder = key(path)
        return sorted(
            (entry for name, entry in self.entries.items() if name != folder and key(ntpath.dirname(name)) == folder),
            key=lambda entry: str(entry["path"]).casefold(),
        )

    def walk(self, path: str) -> Iterator[dict[str, Any]]:
        """All entries below a folder, parents first."""
        for entry in self.children(path):
            yield entry
            if entry["type"] == "directory":
                yield from self.walk(entry["path"])

    def make_dir(self, path: str, owner: str = ADMINISTRATORS) -> bool:
        """Make a folder and its parents; tell whether anything was made.

        Raises:
            ModuleFailure: A file is in the way, the drive does not exist or the disk is full.
        """
        shown = normalise(path)
        entry = self.resolve(shown)
        if entry is not None:
            if entry["type"] != "directory":
                raise ModuleFailure(f"Cannot create directory '{shown}': a file with that name already exists.")
            return False
        parent = ntpath.dirname(shown)
        if parent == shown:
            raise ModuleFailure(f"Impossible de trouver le lecteur. Il n’existe aucun lecteur nommé « {shown[:1]} ».")
        self.make_dir(parent, owner)
        self.need_space()
        self.entries[key(shown)] = self._entry(shown, "directory", owner)
        return True

    def write(self, path: str, content: bytes, owner: str = ADMINISTRATORS) -> None:
        """Write a file whose folder exists.

        Raises:
            ModuleFailure: No such folder, a folder of that name, or the disk is full.
        """
        shown = normalise(path)
        if not self.is_dir(ntpath.dirname(shown)):
            raise ModuleFailure(f"Impossible de trouver une partie du chemin d’accès '{shown}'.")
        existing = self.resolve(shown)
        if existing is not None and existing["type"] == "directory":
            raise ModuleFailure(f"L’accès au chemin d’accès '{shown}' est refusé.")
        self.need_space()
        entry = existing or self._entry(shown, "file", owner)
        entry["content"] = self.server.store(content)
        entry["size"] = len(content)
        entry["modified"] = self.now()
        self.entries[key(entry["path"])] = entry

    def read(self, path: str) -> bytes:
        """Content of a file.

        Raises:
            ModuleFailure: There is no such file.
        """
        entry = self.resolve(path)
        if entry is None or entry["type"] != "file":
            raise ModuleFailure(f"Impossible de trouver le fichier '{normalise(path)}'.")
        return self.server.content(entry["content"])

    def remove(self, path: str) -> bool:
        """Remove a path and everything below; tell whether anything was there."""
        wanted = key(path)
        if wanted not in self.entries:
            return False
        below = wanted.rstrip("\\") + "\\"
        for name in [name for name in self.entries if name == wanted or name.startswith(below)]:
            del self.entries[name]
        return True

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        shown = normalise(path)
        entry = self._entry(shown, "link", ADMINISTRATORS)
        entry["target"] = normalise(target)
        self.entries[key(shown)] = entry

    def need_space(self) -> None:
        """Fail as Windows does when the disk is full."""
        if self.server.faults.disk_full:
            raise ModuleFailure("Espace insuffisant sur le disque.")

    def ensure_profile(self, user: str) -> str:
        """Make an account's profile at its first logon; give its folder."""
        profile = rf"C:\Users\{user}"
        if self.get(profile) is None and not self.server.faults.disk_full:
            for folder in (r"AppData\Local\Temp", r"AppData\Roaming", "Desktop", "Documents"):
                self.make_dir(rf"{profile}\{folder}")
        return profile

    def _entry(self, shown: str, kind: str, owner: str) -> dict[str, Any]:
        moment = self.now()
        return {
            "path": shown,
            "type": kind,
            "created": moment,
            "modified": moment,
            "owner": owner,
            "attributes": ["Directory"] if kind == "directory" else ["Archive"],
        }


@section("files")
def _files(_spec: ServerSpec) -> dict[str, Any]:
    moment = 1_600_000_000.0
    folders = (
        ("C:\\", SYSTEM),
        (r"C:\Program Files", TRUSTED_INSTALLER),
        (r"C:\Program Files\Common Files", TRUSTED_INSTALLER),
        (r"C:\Program Files\WindowsPowerShell", TRUSTED_INSTALLER),
        (r"C:\Program Files\WindowsPowerShell\Modules", TRUSTED_INSTALLER),
        (r"C:\Program Files (x86)", TRUSTED_INSTALLER),
        (r"C:\ProgramData", SYSTEM),
        (r"C:\ProgramData\Microsoft", SYSTEM),
        (r"C:\Users", SYSTEM),
        (r"C:\Users\Public", ADMINISTRATORS),
        (r"C:\Windows", TRUSTED_INSTALLER),
        (r"C:\Windows\System32", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\config", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\drivers", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\drivers\etc", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\winevt", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\winevt\Logs", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\WindowsPowerShell", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\WindowsPowerShell\v1.0", TRUSTED_INSTALLER),
        (r"C:\Windows\System32\WindowsPowerShell\v1.0\Modules", TRUSTED_INSTALLER),
        (r"C:\Windows\SysWOW64", TRUSTED_INSTALLER),
        (r"C:\Windows\Temp", SYSTEM),
    )
    return {
        key(path): {
            "path": path,
            "type": "directory",
            "created": moment,
            "modified": moment,
            "owner": owner,
            "attributes": ["Directory"],
        }
        for path, owner in folders
    }


def hosts_file(server: WindowsServer) -> str:
    """Text of the hosts file; the one that Windows ships when nobody has written it."""
    path = r"C:\Windows\System32\drivers\etc\hosts"
    files = FileSystem(server)
    return files.read(path).decode("utf-8", "replace") if files.is_file(path) else _HOSTS
