# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release a site must be brought to, where it goes back to, and which old ones go.

A release's folder lies among others of its site. Beside it lie two small files, its marks: ``<version>.unpacked`` is
written when the archive is wholly unpacked, ``<version>.healthy`` when the release has passed its health check; both
hold the archive's SHA-256. A folder without the first never goes live, so that a run that was killed while unpacking
starts again; a current release without the second is checked again: a run that was killed before the check proves
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from .declared import PREFIX, same

if TYPE_CHECKING:
    from .declared import Declaration, Release
    from .observed import Folder, Observation

UNPACKED = "unpacked"
HEALTHY = "healthy"
KEEP_AT_LEAST = 2


def mark(folder: str, kind: str) -> str:
    """Path of a mark of a release."""
    return f"{folder}.{kind}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A site's releases as they stand."""

    declared: Declaration
    release: Release
    folders: dict[str, Folder]
    current: str
    """Name of the release that is served, in lower case; empty where it is none of them."""

    @property
    def own(self) -> Folder | None:
        """The folder of the declared release."""
        return self.folders.get(self.release.version.casefold())

    @property
    def unpacked(self) -> bool:
        """Whether the declared release is wholly there."""
        return self.own is not None and same(self.own.unpacked, self.release.checksum)

    @property
    def live(self) -> bool:
        """Whether the declared release is served."""
        return self.current == self.release.version.casefold()

    @property
    def healthy(self) -> bool:
        """Whether the declared release has passed its health check once."""
        return self.own is not None and same(self.own.healthy, self.release.checksum)

    @property
    def previous(self) -> str:
        """Release to return to: the one that is served, else the one that was last found healthy; empty for none."""
        if self.current and not self.live and self.folders[self.current].unpacked:
            return self.folders[self.current].name
        others = [
            folder
            for name, folder in self.folders.items()
            if name != self.release.version.casefold() and folder.unpacked and folder.healthy
        ]
        return max(others, key=lambda folder: (folder.since, folder.name)).name if others else ""


def standing(declared: Declaration, found: Observation, release: Release) -> Standing:
    """How the releases of a site stand."""
    root = declared.releases_folder(release.site)
    folders = found.folders(root)
    site = found.site(release.site)
    head, _slash, name = (site.physical_path if site else "").rpartition("\\")
    current = name.casefold() if same(head, root) and name.casefold() in folders else ""
    return Standing(declared, release, folders, current)


def problems(declared: Declaration, found: Observation) -> list[Text]:
    """What forbids a release: another archive of the same version is there."""
    texts = []
    for index, release in enumerate(declared.releases):
        own = standing(declared, found, release).own
        if own is not None and own.unpacked and not same(own.unpacked, release.checksum):
            texts.append(
                about(
                    f"{PREFIX}releases[{index}].checksum",
                    f"{release.site} already holds a version {release.version} from another archive ({own.unpacked});"
                    " a release does not change: give this one another version",
                    f"{release.site} possède déjà une version {release.version} issue d'une autre archive"
                    f" ({own.unpacked}) ; une livraison ne change pas : donnez à celle-ci une autre version",
                )
            )
    return texts


def deployments(declared: Declaration, found: Observation) -> list[Item]:
    """Sites whose declared release must be unpacked, switched to or checked."""
    items = []
    for index, release in enumerate(declared.releases):
        now = standing(declared, found, release)
        site = next(own for own in declared.sites if same(own.name, release.site))
        if now.unpacked and now.live and now.healthy:
            continue
        steps = [UNPACKED] * (not now.unpacked) + ["live"] * (not now.live) + [HEALTHY] * (not now.healthy)
        folder = declared.release_folder(release)
        previous = now.previous
        items.append(
            item(
                f"{release.site} {release.version}",
                steps,
                foreseen=True,
                index=index,
                site=site.name,
                pool=site.pool,
                version=release.version,
                checksum=release.checksum.lower(),
                source=release.source,
                remote=release.remote,
                archive=f"{declared.staging}\\{release.site}-{release.version}.zip",
                folder=folder,
                unpack=not now.unpacked,
                remnant=not now.unpacked and now.own is not None,
                switch=not now.live,
                confirm=not now.healthy,
                unpacked_mark=mark(folder, UNPACKED),
                healthy_mark=mark(folder, HEALTHY),
                previous=previous,
                previous_folder=(
                    f"{declared.releases_folder(release.site)}\\{previous}"
                    if previous
                    else declared.empty_folder(release.site)
                ),
                health=_check(site, release),
            )
        )
    return items


def _check(site: Any, release: Release) -> dict[str, Any]:
    """The health check as win_uri takes it: this very server is asked, whatever the name resolves to elsewhere.

    .NET Framework sends the header's host as the TLS server name too, and compares the certificate with it
    (HttpWebRequest.Host, since .NET Framework 4).
    """
    front = site.front
    address = "127.0.0.1" if front.ip == "*" else front.ip
    path = release.health.path or site.health_path
    return {
        "url": f"{front.protocol}://{address}:{front.number}{path}",
        "host": front.host,
        "status": list(release.health.status),
        "contains": release.health.contains,
        "retries": release.health.retries,
        "delay": release.health.delay_seconds,
        "timeout": release.health.timeout_seconds,
        "validate_certs": release.health.validate_certs and bool(front.host),
    }


def kept(now: Standing) -> set[str]:
    """Names, in lower case, of the releases that stay: the declared, the served, then those last found healthy.

    The served one stays even where it is not declared, so that a release that fails leaves something to return to.
    """
    must = {now.release.version.casefold(), *([now.current] if now.current else [])}
    others = sorted(
        (folder for name, folder in now.folders.items() if name not in must and folder.unpacked and folder.healthy),
        key=lambda folder: (folder.since, folder.name),
        reverse=True,
    )
    room = max(0, now.release.keep - len(must))
    return must | {folder.name.casefold() for folder in others[:room]}


def surplus(declared: Declaration, found: Observation) -> list[Item]:
    """Old releases to remove: folders and marks; what was never wholly unpacked goes too."""
    items = []
    for release in declared.releases:
        now = standing(declared, found, release)
        stay = kept(now)
        for name, folder in sorted(now.folders.items()):
            if name in stay:
                continue
            path = f"{declared.releases_folder(release.site)}\\{folder.name}"
            items += [
                item(f"{release.site} {folder.name}", [kind], foreseen=False, path=gone)
                for kind, gone in (
                    *([(HEALTHY, mark(path, HEALTHY))] if folder.healthy else []),
                    *([(UNPACKED, mark(path, UNPACKED))] if folder.unpacked else []),
                    ("folder", path),
                )
            ]
    return items
