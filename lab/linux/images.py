# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the lab's Linux templates: built once from the distributor's archive, kept as a tar."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import tempfile
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.credentials import LINUX_USER
from lab.linux.commands import LinuxLabError, run, tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.linux.runtime import Runtime

FILES = Path(__file__).with_name("files")
REPOSITORY = "localhost/cnosf-infogerance-lab"
BUILD_SECONDS = 1200

# What a cloud image of either distribution has and a bare debootstrap has not.
PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-resolved", "systemd-timesyncd", "libpam-systemd", "dbus", "udev"),
    *("openssh-server", "sudo", "python3", "python3-apt", "locales", "tzdata", "ca-certificates", "gnupg", "curl"),
    *("iproute2", "iputils-ping", "netbase", "procps", "kmod", "acl", "cron", "logrotate", "less"),
)


@dataclass(frozen=True)
class Keyring:
    """The package that holds an archive's keys, and its digest as it was checked when this was written."""

    url: str
    sha256: str
    member: str


@dataclass(frozen=True)
class Recipe:
    """How a system's image is made.

    Attributes:
        script: debootstrap's script; the one that both Debian's and Ubuntu's debootstrap know.
        sources: apt's own sources, deb822.
    """

    system: str
    label: str
    suite: str
    script: str
    mirror: str
    components: str
    keyring: Keyring
    sources: str
    packages: tuple[str, ...] = PACKAGES

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the image's content, so that a changed recipe is a new image."""
        digest = hashlib.sha256(repr(asdict(self)).encode())
        for file in sorted(FILES.rglob("*")):
            if file.is_file():
                digest.update(str(file.relative_to(FILES)).encode() + file.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def tag(self) -> str:
        """Name of the image in podman."""
        return f"{REPOSITORY}:{self.system}-{self.fingerprint}"


def _sources(mirror: str, security: tuple[str, str], suite: str, components: str, keyring: str) -> str:
    """Apt's sources, deb822; `security` is the URL and the suite of the security updates."""
    head = f"Components: {components}\nSigned-By: /usr/share/keyrings/{keyring}\n"
    return (
        f"Types: deb\nURIs: {mirror}\nSuites: {suite} {suite}-updates\n{head}\n"
        f"Types: deb\nURIs: {security[0]}\nSuites: {security[1]}\n{head}"
    )


UBUNTU = "http://archive.ubuntu.com/ubuntu"
DEBIAN = "http://deb.debian.org/debian"
RECIPES = {
    recipe.system: recipe
    for recipe in (
        Recipe(
            system="ubuntu_2404",
            label="Ubuntu 24.04",
            suite="noble",
            script="gutsy",
            mirror=UBUNTU,
            components="main,universe",
            keyring=Keyring(
                f"{UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb",
                "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8",
                "usr/share/keyrings/ubuntu-archive-keyring.gpg",
            ),
            sources=_sources(
                *(UBUNTU, ("http://security.ubuntu.com/ubuntu", "noble-security"), "noble", "main universe"),
                "ubuntu-archive-keyring.gpg",
            ),
        ),
        Recipe(
            system="debian_12",
            label="Debian 12",
            suite="bookworm",
            script="sid",
            mirror=DEBIAN,
            components="main",
            keyring=Keyring(
                f"{DEBIAN}/pool/main/d/debian-archive-keyring/debian-archive-keyring_2023.3+deb12u2_all.deb",
                "f699e2f88dca05212f2a452b58475f2993cb6993dfbafb1d0205a3291eb8b4b8",
                "usr/share/keyrings/debian-archive-keyring.gpg",
            ),
            sources=_sources(
                *(DEBIAN, ("http://deb.debian.org/debian-security", "bookworm-security"), "bookworm", "main"),
                "debian-archive-keyring.gpg",
            ),
        ),
    )
}
SUBSTITUTE = "debian_12"


@dataclass(frozen=True)
class Image:
    """An image ready in podman: its tag, and the system that it really holds."""

    tag: str
    system: str
    label: str


def cache_home() -> Path:
    """The user's cache folder of this project; downloads and images survive `make clean` there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cnosf-infogerance"


class Images:
    """Builds and imports images, each once, whoever asks at the same time.

    Args:
        runtime: this machine's podman.
        say: told what takes long, in one sentence each.
    """

    def __init__(self, runtime: Runtime, say: Callable[[str], None]) -> None:
        self.runtime = runtime
        self.say = say
        self.folder = cache_home() / "images"
        self._locks: dict[str, asyncio.Lock] = {}

    async def ensure(self, system: str) -> Image:
        """Return the image of a system, building it first when needed (about a minute).

        Ubuntu is built where its archive answers; elsewhere Debian 12 takes its place and that is said.

        Raises:
            LinuxLabError: the system is unknown to the lab, or its archive does not answer and nothing is cached.
        """
        recipe = RECIPES.get(system)
        if recipe is None:
            raise LinuxLabError(f"the lab has no image for the system '{system}'; known: {', '.join(sorted(RECIPES))}")
        async with self._locks.setdefault(system, asyncio.Lock()):
            if await self._imported(recipe):
                return Image(recipe.tag, recipe.system, recipe.label)
            archive = self._archive(recipe)
            if not archive.exists() and not await asyncio.to_thread(answers, recipe):
                if system == SUBSTITUTE:
                    raise LinuxLabError(
                        f"{recipe.mirror} does not answer and {archive} does not exist: "
                        f"the image of {recipe.label} cannot be built; check this machine's network and DNS"
                    )
                substitute = RECIPES[SUBSTITUTE]
                self.say(f"{recipe.mirror} does not answer: {substitute.label} takes the place of {recipe.label}")
                return await self.ensure(SUBSTITUTE)
            with locked(self.folder / f"{recipe.system}.lock") as acquired:
                await acquired
                if not archive.exists():
                    await self._build(recipe, archive)
            self.say(f"importing the image of {recipe.label}")
            await run(*self.runtime.podman, "import", "--quiet", str(archive), recipe.tag, seconds=600)
        return Image(recipe.tag, recipe.system, recipe.label)

    async def forget(self) -> list[str]:
        """Remove the lab's images from podman, those of snapshots too; give their names. The tars stay in the cache."""
        said = await run(
            *(*self.runtime.podman, "images", "--format", "{{.Repository}}:{{.Tag}}"),
            *("--filter", f"reference={REPOSITORY}", "--filter", f"reference={REPOSITORY}-*"),
        )
        names = list(dict.fromkeys(said.split()))
        for name in names:
            await run(*self.runtime.podman, "rmi", "--force", name)
        return names

    def _archive(self, recipe: Recipe) -> Path:
        return self.folder / f"{recipe.system}-{recipe.fingerprint}.tar"

    async def _imported(self, recipe: Recipe) -> bool:
        said = await run(*self.runtime.podman, "images", "--quiet", "--filter", f"reference={recipe.tag}")
        return bool(said.strip())

    async def _build(self, recipe: Recipe, archive: Path) -> None:
        self.say(f"building the image of {recipe.label} from {recipe.mirror} (about a minute, once)")
        folder = Path(tempfile.mkdtemp(prefix=f"{recipe.system}-", dir=self.folder))
        log = self.folder / f"{recipe.system}.log"
        log.unlink(missing_ok=True)
        try:
            keyring = await self._keyring(recipe.keyring, folder)
            root = folder / "root"
            # A mount namespace of its own: whatever a killed build leaves mounted vanishes with it.
            isolated = ("unshare", "--mount", "--propagation", "private")
            await run(
                *(*isolated, "debootstrap", "--variant=minbase", f"--keyring={keyring}"),
                *(f"--components={recipe.components}", f"--include={','.join(recipe.packages)}"),
                *(recipe.suite, str(root), recipe.mirror, recipe.script),
                seconds=BUILD_SECONDS,
                log=log,
            )
            (root / "etc/apt/sources.list").unlink(missing_ok=True)
            name = "ubuntu" if recipe.system.startswith("ubuntu") else "debian"
            (root / f"etc/apt/sources.list.d/{name}.sources").write_text(recipe.sources)
            await asyncio.to_thread(shutil.copytree, FILES / "root", root, dirs_exist_ok=True)
            await run(
                *(*isolated, "sh", str(FILES / "finish.sh"), str(root), LINUX_USER),
                seconds=BUILD_SECONDS,
                log=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            )
            part = archive.with_suffix(".part")
            await run(
                *("tar", "--numeric-owner", "--one-file-system", "-C", str(root), "-cf", str(part), "."), seconds=300
            )
            part.rename(archive)
        except LinuxLabError as error:
            raise LinuxLabError(f"the image of {recipe.label} could not be built: {error}\n{tail(log)}") from error
        finally:
            await run("rm", "--recursive", "--force", "--one-file-system", str(folder), seconds=300)
        for other in self.folder.glob(f"{recipe.system}-*.tar"):
            if other != archive:
                other.unlink()

    async def _keyring(self, keyring: Keyring, folder: Path) -> Path:
        package = folder / "keyring.deb"
        content = await asyncio.to_thread(_download, keyring.url)
        digest = hashlib.sha256(content).hexdigest()
        if digest != keyring.sha256:
            raise LinuxLabError(f"{keyring.url} has the digest {digest}, not the pinned {keyring.sha256}: not trusted")
        package.write_bytes(content)
        await run("dpkg-deb", "--extract", str(package), str(folder / "keyring"))
        return folder / "keyring" / keyring.member


def answers(recipe: Recipe) -> bool:
    """Tell whether the archive of a recipe answers from here."""
    try:
        _download(f"{recipe.mirror}/dists/{recipe.suite}/Release", limit=4096)
    except LinuxLabError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[asyncio.Future[None]]:
    """Hold a lock between processes; await what it gives, as it may be held elsewhere for a minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        loop = asyncio.get_running_loop()
        yield loop.run_in_executor(None, fcntl.flock, handle, fcntl.LOCK_EX)


def _download(url: str, limit: int = -1) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:  # noqa: S310 - constants of this file, http only
            content: bytes = answer.read(limit)
    except OSError as error:
        raise LinuxLabError(f"{url} cannot be fetched: {error}") from error
    return content
