# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders that hold exactly what an archive of a known checksum holds: code that was published, and nothing else.

What was unpacked is remembered by the digest of each file in a record that only root can write. A file that was
changed, is missing, was added, or has another owner or mode is found by comparing with the record, without the archive;
it is put right from the archive, which is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

FOLDER_MODE = 0o755
FILE_MODE = 0o644
PROGRAM_MODE = 0o755
BLOCK = 1 << 20
# A diff names this many files of each kind and counts the others.
NAMED = 10


@dataclass(frozen=True)
class Tree:
    """A folder as it shall be.

    Attributes:
        path: the folder, absolute. It belongs to the archive as a whole: whatever else is found in it is removed.
        url: where the archive is fetched from.
        checksum: SHA-256 of the archive, 64 hexadecimal digits.
        root: folder inside the archive that becomes `path`; empty for all of it.
        exclude: names directly below `root` that are left out.
        links: symbolic links to add, by name relative to `path`.
    """

    path: str
    url: str
    checksum: str
    root: str = ""
    exclude: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides on the folder's content, the address left out."""
        parts = [self.checksum, self.root, sorted(self.exclude), sorted(self.links.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """A folder as it is, compared with the record of what was unpacked there.

    Attributes:
        exists: the folder is there.
        fingerprint: of the tree it was made from; None when nothing is recorded.
        altered: files, folders and links that differ in content, kind, owner or mode, relative to the folder.
        missing: those that are gone.
        extra: those that do not come from the archive.
    """

    exists: bool = False
    fingerprint: str | None = None
    altered: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


def check(trees: Sequence[Tree]) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: a path is not absolute, lies in another tree's, or appears twice; a checksum is no SHA-256.
    """
    for tree in trees:
        if not tree.path.startswith("/") or posixpath.normpath(tree.path) != tree.path or tree.path.count("/") < 2:
            raise InputError(f"{tree.path} cannot be a tree: give an absolute, normal path at least two folders deep.")
        if not re.fullmatch(r"[0-9a-f]{64}", tree.checksum):
            raise InputError(f"{tree.path}: the checksum must be the archive's SHA-256, 64 hexadecimal digits.")
        for other in trees:
            if other is not tree and (tree.path + "/").startswith(other.path + "/"):
                raise InputError(f"{tree.path} and {other.path} overlap: each tree owns its whole folder.")


def plan(trees: Sequence[Tree], found: Mapping[str, Found]) -> list[Change]:
    """Answer the changes that remain, in the order of `trees`. Pure."""
    changes = []
    for tree in trees:
        now = found[tree.path]
        if not now.exists:
            changes.append(Change("unpack", tree.path, {}, {"archive": tree.url}))
        elif now.fingerprint != tree.fingerprint:
            origin = "unknown" if now.fingerprint is None else "another archive, or another part of it"
            changes.append(Change("replace", tree.path, {"archive": origin}, {"archive": tree.url}))
        elif now.altered or now.missing or now.extra:
            kinds = {"altered": now.altered, "missing": now.missing, "extra": now.extra}
            before = {kind: _names(names) for kind, names in kinds.items() if names}
            changes.append(Change("repair", tree.path, before, dict.fromkeys(before, "as in the archive")))
    return changes


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _digest(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(path: str, owner: tuple[int, int]) -> list[Any] | None:
    """Answer kind, mode and content of an entry, as the record keeps them; None for what no archive brings."""
    entry = os.lstat(path)
    if (entry.st_uid, entry.st_gid) != owner:
        return None
    if stat.S_ISLNK(entry.st_mode):
        return ["link", str(Path(path).readlink())]
    if stat.S_ISDIR(entry.st_mode):
        return ["folder", stat.S_IMODE(entry.st_mode)]
    if stat.S_ISREG(entry.st_mode):
        return ["file", stat.S_IMODE(entry.st_mode), _digest(Path(path))]
    return None


class Trees:
    """Reads and writes trees on this machine.

    Args:
        state: folder of the records, readable by root only.
        cache: folder of the archives.
        fetch: downloads a URL into a file; raises InfogeranceError.
        owner: user and group number of everything unpacked; root's by default.
    """

    def __init__(
        self, state: Path, cache: Path, fetch: Callable[[str, Path], None], owner: tuple[int, int] = (0, 0)
    ) -> None:
        self._state = state
        self._cache = cache
        self._fetch = fetch
        self._owner = owner
        self._known: dict[str, Found] = {}

    def read(self, trees: Sequence[Tree]) -> dict[str, Found]:
        """Compare each tree with its record; a tree is read once, and again after it was written."""
        for tree in trees:
            if tree.path not in self._known:
                self._known[tree.path] = self._read(tree)
        return dict(self._known)

    def _record(self, path: str) -> Path:
        return self._state / f"{hashlib.sha256(path.encode()).hexdigest()}.json"

    def _load(self, path: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._record(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record

    def _read(self, tree: Tree) -> Found:
        folder = Path(tree.path)
        if not folder.is_dir() or folder.is_symlink():
            return Found(exists=os.path.lexists(folder))
        record = self._load(tree.path)
        if record is None:
            return Found(exists=True)
        expected: dict[str, list[Any]] = record["entries"]
        if record["fingerprint"] != tree.fingerprint:
            return Found(exists=True, fingerprint=record["fingerprint"])
        altered, extra, seen = [], [], set()
        for relative, path in _walk(tree.path):
            seen.add(relative)
            if relative not in expected:
                extra.append(relative)
            elif _describe(path, self._owner) != expected[relative]:
                altered.append(relative)
        missing = [relative for relative in expected if relative not in seen]
        return Found(True, record["fingerprint"], tuple(sorted(altered)), tuple(sorted(missing)), tuple(sorted(extra)))

    def apply(self, change: Change, trees: Sequence[Tree], found: Mapping[str, Found]) -> None:
        """Perform one planned change and forget what was read of its tree.

        Raises:
            EngineError: the archive is not the one announced, or cannot be unpacked.
            InputError: the archive holds what it must not, or not the folder named.
        """
        tree = next(tree for tree in trees if tree.path == change.subject)
        archive = self._archive(tree)
        self._known.pop(tree.path, None)
        fresh = Path(f"{tree.path}.new")
        _remove(fresh)
        try:
            fresh.mkdir(parents=True, mode=0o700)
            if change.action == "repair":
                self._repair(tree, archive, fresh, found[tree.path])
            else:
                self._install(tree, archive, fresh)
        finally:
            _remove(fresh)
        self._forget_archives(trees)

    def _archive(self, tree: Tree) -> Path:
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = self._cache / tree.checksum
        if kept.exists() and _digest(kept) == tree.checksum:
            return kept
        part = self._cache / f"{tree.checksum}.part"
        self._fetch(tree.url, part)
        got = _digest(part)
        if got != tree.checksum:
            part.unlink()
            raise EngineError(
                f"{tree.url} is not the archive announced for {tree.path}: its SHA-256 is {got}, not {tree.checksum}. "
                "Compare with the publisher's before you change the checksum."
            )
        part.replace(kept)
        return kept

    def _forget_archives(self, trees: Sequence[Tree]) -> None:
        declared = {tree.checksum for tree in trees}
        for file in self._cache.iterdir():
            if file.name not in declared:
                file.unlink()

    def _unpack(
        self, tree: Tree, archive: Path, fresh: Path, needed: Collection[str] | None = None
    ) -> dict[str, list[Any]]:
        """Unpack all files of an archive that the tree takes, or those that are needed, as they shall be.

        Returns:
            What was made, by name relative to the tree, as the record keeps it.
        """
        made: dict[str, list[Any]] = {}
        for name, program, content in _members(archive, tree, needed):
            self._make_folders(fresh, posixpath.dirname(name), made)
            mode, digest = PROGRAM_MODE if program else FILE_MODE, hashlib.sha256()
            with (fresh / name).open("xb") as file:
                while block := content.read(BLOCK):
                    digest.update(block)
                    file.write(block)
                os.fchown(file.fileno(), *self._owner)
                os.fchmod(file.fileno(), mode)
            made[name] = ["file", mode, digest.hexdigest()]
        return made

    def _make_folders(self, fresh: Path, name: str, made: dict[str, list[Any]]) -> None:
        if not name or name in made:
            return
        self._make_folders(fresh, posixpath.dirname(name), made)
        self._make_folder(fresh / name)
        made[name] = ["folder", FOLDER_MODE]

    def _make_folder(self, path: Path) -> None:
        """Make a folder, or give one that is there its owner and mode."""
        path.mkdir(exist_ok=True)
        os.chown(path, *self._owner)
        path.chmod(FOLDER_MODE)

    def _make_link(self, path: Path, target: str) -> list[Any]:
        path.symlink_to(target)
        os.chown(path, *self._owner, follow_symlinks=False)
        return ["link", target]

    def _install(self, tree: Tree, archive: Path, fresh: Path) -> None:
        entries = self._unpack(tree, archive, fresh)
        if not entries:
            raise InputError(
                f"{tree.url} holds no file{f' under {tree.root}' if tree.root else ''}: check the archive."
            )
        for name, target in tree.links.items():
            entries[name] = self._make_link(fresh / name, target)
        self._make_folder(fresh)
        entries["."] = ["folder", FOLDER_MODE]
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._record(tree.path).with_suffix(".part")
        part.write_text(json.dumps({"path": tree.path, "fingerprint": tree.fingerprint, "entries": entries}))
        part.replace(self._record(tree.path))
        old = Path(f"{tree.path}.old")
        _remove(old)
        if os.path.lexists(tree.path):
            Path(tree.path).rename(old)
        fresh.rename(tree.path)
        _remove(old)

    def _repair(self, tree: Tree, archive: Path, fresh: Path, found: Found) -> None:
        folder = Path(tree.path)
        wrong = {*found.altered, *found.missing}
        made = self._unpack(tree, archive, fresh, wrong)
        for relative in found.extra:
            _remove(folder / relative)
        # Folders first: a file's place must be right before the file.
        for relative in sorted(wrong, key=lambda name: (name != ".", name.count("/"), name)):
            path = folder / relative
            if relative in tree.links:
                _remove(path)
                self._make_link(path, tree.links[relative])
            elif made.get(relative, ["folder"])[0] == "file":
                if path.is_dir() and not path.is_symlink():
                    _remove(path)
                (fresh / relative).replace(path)
            else:
                if path.is_symlink() or not path.is_dir():
                    _remove(path)
                self._make_folder(path)


def _walk(folder: str) -> Iterator[tuple[str, str]]:
    """Yield everything below a folder, and the folder itself as `.`, with its path; links are not followed."""
    yield ".", folder
    for base, folders, files in os.walk(folder):
        below = base[len(folder) + 1 :]
        for name in (*folders, *files):
            yield f"{below}/{name}" if below else name, f"{base}/{name}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _place(name: str, tree: Tree) -> str | None:
    """Answer where a member goes, relative to the tree; None when the tree leaves it out."""
    normal = posixpath.normpath(name)
    if normal.startswith(("/", "..")):
        raise InputError(f"{tree.url} holds {name}, which leads out of its folder: it is not unpacked.")
    root = posixpath.normpath(tree.root) if tree.root else "."
    if root != "." and not normal.startswith(root + "/"):
        return None
    relative = normal if root == "." else normal[len(root) + 1 :]
    return None if relative.split("/", 1)[0] in tree.exclude else relative


def _members(archive: Path, tree: Tree, needed: Collection[str] | None) -> Iterator[tuple[str, bool, Any]]:
    """Yield place, whether it is a program, and an open file, for each file of an archive that the tree takes.

    Args:
        archive: a tar archive or a zip.
        tree: what is taken, and where it goes.
        needed: places of those that are yielded; None for all.

    Raises:
        InputError: the archive holds a link or a device.
        EngineError: it is neither a tar archive nor a zip, or is damaged.
    """
    try:
        with contextlib.ExitStack() as stack:
            if zipfile.is_zipfile(archive):
                bundle = stack.enter_context(zipfile.ZipFile(archive))
                for info in bundle.infolist():
                    mode = info.external_attr >> 16
                    if stat.S_ISLNK(mode):
                        raise InputError(f"{tree.url} holds the link {info.filename}: only files are unpacked.")
                    place = None if info.is_dir() else _place(info.filename, tree)
                    if place and (needed is None or place in needed):
                        with bundle.open(info) as content:
                            yield place, bool(mode & 0o100), content
                return
            tar = stack.enter_context(tarfile.open(archive))
            for member in tar:
                if not (member.isfile() or member.isdir()):
                    raise InputError(f"{tree.url} holds {member.name}, which is no file: only files are unpacked.")
                place = None if member.isdir() else _place(member.name, tree)
                if place and (needed is None or place in needed):
                    yield place, bool(member.mode & 0o100), tar.extractfile(member)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise EngineError(f"{tree.url} cannot be unpacked into {tree.path}: {error}") from error
