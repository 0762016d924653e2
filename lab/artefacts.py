# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the archives that WordPress's own site publishes, from Debian's signed packages.

The lab has no way to wordpress.org. Debian ships WordPress in parts (bundled libraries and themes are packages of
their own, left behind as symbolic links): each archive here is the tree put together again, in the layout of the
upstream archive, so that the role meets what it meets in production. Two releases of WordPress are built, because an
update and its way back can only be tested between two.

apt fetches and verifies the packages in a private root: neither the host's sources nor its package state are touched.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import posixpath
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ARCHIVE = "http://deb.debian.org"
FORMAT = 2  # of the archives and of the manifest: a change here rebuilds a cache made by an earlier version
_TREE = "usr/share/wordpress"
_OWN_TO_DEBIAN = ("wp-config.php", ".htaccess")


class ArtefactError(RuntimeError):
    """An archive cannot be built; the message names the package or the tool and what to do."""


@dataclass(frozen=True)
class Recipe:
    """One archive: the packages of one Debian suite it is made of, and the part of their tree it holds.

    `root` is the folder of the packages' tree that becomes `prefix` in the archive; `keep` limits it to names that
    match. `version` is the file and the expression that say the release; without it the package's own version does.
    """

    name: str
    suite: str
    packages: tuple[str, ...]
    root: str
    prefix: str = ""
    keep: str = ""
    version: tuple[str, str] | None = None


_CORE_VERSION = (f"{_TREE}/wp-includes/version.php", r"\$wp_version = '([^']+)'")
_LIBRARIES = ("libjs-cropper", "libjs-underscore", "php-getid3", "ca-certificates")

# Oldest release first: the manifest keeps this order.
RECIPES = (
    Recipe(
        "wordpress",
        "bookworm",
        ("wordpress", "wordpress-theme-twentytwentythree", *_LIBRARIES),
        _TREE,
        prefix="wordpress",
        version=_CORE_VERSION,
    ),
    Recipe(
        "wordpress",
        "trixie",
        ("wordpress", "wordpress-theme-twentytwentyfive", "libjs-lodash", *_LIBRARIES),
        _TREE,
        prefix="wordpress",
        version=_CORE_VERSION,
    ),
    Recipe("language-fr_FR", "bookworm", ("wordpress-l10n",), f"{_TREE}/wp-content/languages", keep=r"fr_FR\.(mo|po)$"),
    Recipe("language-fr_FR", "trixie", ("wordpress-l10n",), f"{_TREE}/wp-content/languages", keep=r"fr_FR\.(mo|po)$"),
    Recipe(
        "theme-twentytwentyfour",
        "trixie",
        ("wordpress-theme-twentytwentyfour",),
        f"{_TREE}/wp-content/themes/twentytwentyfour",
        prefix="twentytwentyfour",
    ),
    Recipe(
        "plugin-xrds-simple",
        "bookworm",
        ("wordpress-xrds-simple",),
        f"{_TREE}/wp-content/plugins/xrds-simple",
        prefix="xrds-simple",
    ),
)


def cache_directory() -> Path:
    """Return the folder that keeps the archives between labs: `$XDG_CACHE_HOME/cnosf-infogerance/artefacts`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cnosf-infogerance" / "artefacts"


@dataclass(frozen=True)
class Node:
    """A file or a symbolic link of a package's tree."""

    content: bytes = b""
    link: str | None = None
    executable: bool = False


Tree = dict[str, Node]


def read_tree(fsys_tar: bytes) -> Tree:
    """Return the files and links of a package's file system archive by path, without the leading `./`."""
    tree: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(fsys_tar)) as archive:
        for member in archive:
            path = posixpath.normpath(member.name)
            if member.issym():
                tree[path] = Node(link=member.linkname)
            elif member.isfile():
                handle = archive.extractfile(member)
                content = handle.read() if handle else b""
                tree[path] = Node(content=content, executable=bool(member.mode & 0o100))
    return tree


def resolve(tree: Tree, path: str) -> Node:
    """Follow the symbolic links of `tree` from `path` to a file.

    Raises:
        ArtefactError: a link leads out of the tree, or in a circle.
    """
    seen = path
    for _ in range(10):
        node = tree.get(seen)
        if node is None:
            raise ArtefactError(f"{path} leads to {seen}, which no package of the recipe holds: add the one that does.")
        if node.link is None:
            return node
        seen = posixpath.normpath(posixpath.join("/", posixpath.dirname(seen), node.link)).lstrip("/")
    raise ArtefactError(f"{path} is a symbolic link that leads back to itself.")


def certificate_bundle(tree: Tree) -> Node:
    """Return the authorities of package ca-certificates as one file, as its post-installation script would write it."""
    names = sorted(path for path in tree if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt"))
    if not names:
        raise ArtefactError("The package ca-certificates holds no certificate any more: read its new layout.")
    return Node(content=b"".join(tree[name].content for name in names))


def assemble(recipe: Recipe, tree: Tree) -> dict[str, Node]:
    """Return what the archive of `recipe` holds: regular files only, by their path in the archive."""
    if "ca-certificates" in recipe.packages:
        tree = {**tree, "etc/ssl/certs/ca-certificates.crt": certificate_bundle(tree)}
    found: dict[str, Node] = {}
    for path in tree:
        if not path.startswith(recipe.root + "/"):
            continue
        relative = path[len(recipe.root) + 1 :]
        if relative in _OWN_TO_DEBIAN or (recipe.keep and not re.search(recipe.keep, relative)):
            continue
        found[posixpath.join(recipe.prefix, relative)] = resolve(tree, path)
    if not found:
        raise ArtefactError(
            f"The packages {', '.join(recipe.packages)} of {recipe.suite} hold nothing under {recipe.root}."
        )
    return found


def pack(files: dict[str, Node]) -> bytes:
    """Return `files` as a tar.gz whose bytes depend on nothing but names and contents."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path].content)
            entry.mode = 0o755 if files[path].executable else 0o644
            archive.addfile(entry, io.BytesIO(files[path].content))
    return gzip.compress(plain.getvalue(), compresslevel=6, mtime=0)


class PrivateApt:
    """apt with sources, lists and cache of its own under `home`."""

    def __init__(self, home: Path, *, archive: str = ARCHIVE, proxy: str | None = None) -> None:
        self.home = home
        self.archive = archive
        self.options = {
            "Dir::Etc": str(home / "etc"),
            "Dir::Etc::Parts": str(home / "etc/apt.conf.d"),
            "Dir::State": str(home / "state"),
            "Dir::State::status": str(home / "state/status"),
            "Dir::Cache": str(home / "cache"),
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        if proxy:
            self.options["Acquire::http::Proxy"] = proxy

    def _run(self, *words: str, cwd: Path) -> str:
        command = [words[0], *(f"-o{key}={value}" for key, value in self.options.items()), *words[1:]]
        try:
            done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=600)
        except FileNotFoundError as error:
            raise ArtefactError(
                f"{words[0]} is not installed: the lab's archives are built on Debian or Ubuntu."
            ) from error
        if done.returncode != 0:
            raise ArtefactError(
                f"{words[0]} {' '.join(words[1:])} failed: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def update(self, suites: list[str]) -> None:
        """Read the package lists of `suites` and of their security archives."""
        if not KEYRING.exists():
            raise ArtefactError(f"{KEYRING} is missing: install the package debian-archive-keyring.")
        for folder in (
            "etc/sources.list.d",
            "etc/preferences.d",
            "etc/apt.conf.d",
            "state/lists/partial",
            "cache/archives/partial",
        ):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        lines = [
            f"deb [signed-by={KEYRING}] {self.archive}/{place} main\n"
            for suite in suites
            for place in (f"debian {suite}", f"debian-security {suite}-security")
        ]
        (self.home / "etc/sources.list").write_text("".join(lines))
        (self.home / "state/status").touch()
        # Without Error-Mode apt-get update reports success although a list could not be read.
        self._run("apt-get", "-oAPT::Update::Error-Mode=any", "update", cwd=self.home)

    def offers(self, packages: list[str]) -> dict[tuple[str, str], str]:
        """Return the newest version of each package by package and suite; the security archive counts as its suite."""
        newest: dict[tuple[str, str], str] = {}
        for line in self._run("apt-cache", "madison", *packages, cwd=self.home).splitlines():
            package, version, source = (part.strip() for part in line.split("|"))
            suite = source.split()[1].split("/")[0].removesuffix("-security")
            newest.setdefault((package, suite), version)
        return newest

    def download(self, chosen: set[tuple[str, str]]) -> dict[tuple[str, str], Path]:
        """Fetch packages by name and version and return their files; apt checks them against the signed lists."""
        folder = self.home / "packages"
        folder.mkdir(exist_ok=True)
        self._run("apt-get", "download", *sorted(f"{package}={version}" for package, version in chosen), cwd=folder)
        return {
            (package, version): next(folder.glob(f"{package}_{version.replace(':', '%3a')}_*.deb"))
            for package, version in chosen
        }


def _tree_of(package: Path) -> Tree:
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], check=False, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise ArtefactError(f"{package.name} cannot be read: {done.stderr.decode(errors='replace').strip()}")
    return read_tree(done.stdout)


def _choice(recipe: Recipe, offers: dict[tuple[str, str], str]) -> dict[str, str]:
    """Return the version of each package of `recipe` that its suite offers."""
    missing = [package for package in recipe.packages if (package, recipe.suite) not in offers]
    if missing:
        raise ArtefactError(
            f"Debian {recipe.suite} has no package {', '.join(missing)} any more: change lab/artefacts.py's recipes."
        )
    return {package: offers[package, recipe.suite] for package in recipe.packages}


def _usable(directory: Path) -> dict[str, object] | None:
    """Return the manifest of a cache that is whole and of this format."""
    try:
        manifest: dict[str, object] = json.loads((directory / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    entries = manifest.get("artefacts")
    if manifest.get("format") != FORMAT or not isinstance(entries, list) or len(entries) != len(RECIPES):
        return None
    for entry in entries:
        file = directory / entry["file"]
        if not file.exists() or file.stat().st_size != entry["size"]:
            return None
    return manifest


def build(directory: Path | None = None, *, refresh: bool = False, proxy: str | None = None) -> Path:
    """Build every archive that is missing and return the folder that holds them and `manifest.json`.

    The manifest lists for each archive its name, version, file, size, SHA-256 and packages, oldest release first. A
    folder that is already whole is used as it is, without network, unless `refresh` asks for newer packages.

    Raises:
        ArtefactError: a tool, the keyring or a package is missing, or the packages cannot be fetched.
    """
    directory = directory or cache_directory()
    if not refresh and _usable(directory):
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    apt = PrivateApt(directory / "apt", proxy=proxy)
    apt.update(sorted({recipe.suite for recipe in RECIPES}))
    offers = apt.offers(sorted({package for recipe in RECIPES for package in recipe.packages}))
    choices = [_choice(recipe, offers) for recipe in RECIPES]
    files = apt.download({item for choice in choices for item in choice.items()})
    entries = []
    for recipe, chosen in zip(RECIPES, choices, strict=True):
        tree: Tree = {}
        for item in chosen.items():
            tree.update(_tree_of(files[item]))
        if recipe.version:
            file, expression = recipe.version
            match = re.search(expression, tree[file].content.decode())
            if not match:
                raise ArtefactError(f"{file} of {recipe.suite} does not say its version as {expression} expects.")
            version = match.group(1)
        else:
            version = re.sub(r"^\d+:|[+~-].*$", "", chosen[recipe.packages[0]])
        content = pack(assemble(recipe, tree))
        name = f"{recipe.name}-{version}.tar.gz"
        (directory / f"{name}.part").write_bytes(content)
        (directory / f"{name}.part").replace(directory / name)
        entries.append(
            {
                "name": recipe.name,
                "version": version,
                "file": name,
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "packages": chosen,
            }
        )
    manifest = directory / "manifest.json.part"
    manifest.write_text(json.dumps({"format": FORMAT, "artefacts": entries}, indent=2) + "\n")
    manifest.replace(directory / "manifest.json")
    return directory
