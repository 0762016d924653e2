# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which release of WordPress a site runs, how it gets to another one, and how it comes back.

A site's folder holds `releases/<version>`, the link `current`, and `dumps`. An update closes the site to visitors,
writes its database to a dump, moves the link, lets the new code upgrade the tables, and opens the site again once it is
healthy; otherwise link and database return to what they were. What an update that was killed left behind is told by
`upgrade.json`: the next run first returns to where that one started.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOURNAL = "upgrade.json"
# nginx answers 503 to visitors while this file exists; the server's own requests pass.
CLOSED = "maintenance"


@dataclass(frozen=True)
class Wanted:
    """A site and the release it shall run.

    Attributes:
        name: the site's name in messages.
        home: its folder, absolute.
        version: release, as the folder below `releases` is named.
        keep_releases: releases to keep besides the current one.
        keep_dumps: dumps to keep.
        way_back: go to a release older than the database by restoring the dump made when that release was left; what
            was written since is lost to the site (a dump of it is kept).
    """

    name: str
    home: str
    version: str
    keep_releases: int = 1
    keep_dumps: int = 3
    way_back: bool = False


@dataclass(frozen=True)
class Journal:
    """An update under way: from which release, to which, and the dump that undoes it (None until it is complete)."""

    before: str
    after: str
    dump: str | None = None


@dataclass(frozen=True)
class Site:
    """A site as it is.

    Attributes:
        current: release the link points at; None without a link.
        releases: releases unpacked, oldest first.
        tables: number of the database's table layout; 0 when WordPress is not installed; None when unknown.
        layouts: number of the table layout that each unpacked release works with.
        dumps: names of the dumps, oldest first.
        journal: the update that was interrupted, if any.
        closed: visitors are turned away.
    """

    current: str | None = None
    releases: tuple[str, ...] = ()
    tables: int | None = 0
    layouts: Mapping[str, int] | None = None
    dumps: tuple[str, ...] = ()
    journal: Journal | None = None
    closed: bool = False


class Tools(Protocol):
    """What an update needs of the server."""

    def tables(self, site: Wanted) -> int | None:
        """Answer the number of the database's table layout; 0 when WordPress is not installed, None when unknown."""

    def dump(self, site: Wanted, destination: Path) -> None:
        """Write the site's database into a compressed file that only root reads."""

    def restore(self, site: Wanted, source: Path) -> None:
        """Replace the site's database by a dump."""

    def upgrade(self, site: Wanted) -> None:
        """Let the current release upgrade the tables, and empty the cache."""

    def flush(self, site: Wanted) -> None:
        """Empty the site's object cache."""

    def unhealthy(self, site: Wanted) -> str | None:
        """Answer what is wrong with the site as the web server shows it, or None."""


def version_key(version: str) -> tuple[int, ...]:
    """Answer a key that orders releases: 6.10 after 6.9, 6.8 before 6.8.1, a candidate before nothing."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def way_back_dump(site: Site, version: str) -> str | None:
    """Answer the newest dump that was made when `version` was left."""
    fitting = [name for name in site.dumps if name.startswith(f"{version}-to-")]
    return fitting[-1] if fitting else None


def plan(sites: Sequence[Wanted], found: Mapping[str, Site]) -> list[Change]:
    """Answer the changes that remain. Pure.

    Raises:
        InputError: a release is asked for whose code is older than the site's tables, without a way back.
    """
    return [change for site in sites for change in _plan_site(site, found[site.name])]


def _plan_site(wanted: Wanted, site: Site) -> list[Change]:
    subject = f"site {wanted.name}"
    changes = []
    current, tables = site.current, site.tables
    if site.journal:
        update = f"{site.journal.before} to {site.journal.after}"
        changes.append(Change("undo", subject, {"interrupted_update": update}, {"release": site.journal.before}))
        current = site.journal.before
        # What the tables will be once undone is known by the release alone.
        tables = (site.layouts or {}).get(current, tables)
    elif site.closed:
        changes.append(Change("open", subject, {"closed": True}, {"closed": False}))
    if current != wanted.version:
        before = {"release": current or "none"}
        after = {"release": wanted.version}
        if not current or tables == 0:
            changes.append(Change("link", subject, before, after))
        elif _older(wanted, site, tables):
            changes.append(_return(wanted, site, before, after))
        else:
            changes.append(Change("upgrade", subject, before, after))
    elif not site.journal and tables and tables < (site.layouts or {}).get(wanted.version, 0):
        layout = (site.layouts or {})[wanted.version]
        changes.append(Change("migrate", subject, {"tables": tables}, {"tables": layout}))
    surplus = _surplus(wanted, site)
    if surplus:
        changes.append(Change("prune", subject, {"kept": surplus}, {"kept": "none of these"}))
    return changes


def _older(wanted: Wanted, site: Site, tables: int | None) -> bool:
    layout = (site.layouts or {}).get(wanted.version)
    if layout is None or tables is None:
        return False
    return layout < tables


def _return(wanted: Wanted, site: Site, before: dict[str, str], after: dict[str, str]) -> Change:
    dump = way_back_dump(site, wanted.version)
    if not wanted.way_back:
        raise InputError(
            f"Site {wanted.name} runs release {site.current}, whose tables release {wanted.version} does not know. "
            "Keep the release, or allow the way back: it restores the dump made before the update, and what was "
            "written since is lost to the site."
        )
    if dump is None:
        raise InputError(
            f"Site {wanted.name} cannot return to release {wanted.version}: no dump made before it was left is kept in "
            f"{wanted.home}/dumps. Restore the database from the backups first."
        )
    return Change("return", f"site {wanted.name}", before, {**after, "database": dump})


def _surplus(wanted: Wanted, site: Site) -> list[str]:
    """Answer the releases and dumps beyond those to keep, as paths below the site's folder."""
    others = [name for name in site.releases if name not in {wanted.version, site.current}]
    # The release being left counts among those to keep once the link has moved.
    room = wanted.keep_releases - (site.current not in {None, wanted.version})
    kept = sorted(others, key=version_key)[len(others) - max(0, room) :] if room > 0 else []
    releases = [f"releases/{name}" for name in others if name not in kept]
    return releases + [f"dumps/{name}" for name in site.dumps[: max(0, len(site.dumps) - wanted.keep_dumps)]]


class Releases:
    """Reads and moves the sites of this machine."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def read(self, sites: Sequence[Wanted]) -> dict[str, Site]:
        """Answer each site as it is, by name."""
        return {site.name: self._read(site) for site in sites}

    def _read(self, wanted: Wanted) -> Site:
        home = Path(wanted.home)
        link = home / "current"
        folder = home / "releases"
        names = [path.name for path in folder.iterdir() if (path / "wp-load.php").exists()] if folder.is_dir() else []
        layouts = {name: _layout(folder / name) for name in names}
        dumps = home / "dumps"
        return Site(
            current=link.readlink().name if link.is_symlink() else None,
            releases=tuple(sorted(names, key=version_key)),
            tables=self._tools.tables(wanted),
            layouts=layouts,
            dumps=tuple(
                path.name
                for path in sorted(dumps.glob("*.sql.gz"), key=lambda path: (path.stat().st_mtime_ns, path.name))
            )
            if dumps.is_dir()
            else (),
            journal=_journal(home),
            closed=(home / CLOSED).exists(),
        )

    def apply(self, change: Change, sites: Sequence[Wanted], found: Mapping[str, Site]) -> None:
        """Perform one planned change.

        Raises:
            EngineError: a step failed; the message says where the site stands.
        """
        wanted = next(site for site in sites if f"site {site.name}" == change.subject)
        site = found[wanted.name]
        if change.action == "link":
            self._require(wanted)
            _link(wanted, wanted.version)
        elif change.action == "undo":
            self._undo(wanted)
        elif change.action == "open":
            (Path(wanted.home) / CLOSED).unlink(missing_ok=True)
        elif change.action == "migrate":
            self._change_release(wanted, wanted.version, None)
        elif change.action == "prune":
            for name in change.before["kept"]:
                _remove(Path(wanted.home) / name)
        else:
            dump = way_back_dump(site, wanted.version) if change.action == "return" else None
            self._require(wanted)
            self._change_release(wanted, str(site.current), dump)

    def _require(self, wanted: Wanted) -> None:
        if not (Path(wanted.home) / "releases" / wanted.version / "wp-load.php").exists():
            raise EngineError(
                f"Site {wanted.name}: {wanted.home}/releases/{wanted.version} holds no WordPress: unpack it first."
            )

    def _change_release(self, wanted: Wanted, before: str, restored: str | None) -> None:
        home = Path(wanted.home)
        journal = Journal(before, wanted.version)
        _write_journal(home, journal)
        (home / CLOSED).touch(mode=0o644)
        (home / "dumps").mkdir(mode=0o700, exist_ok=True)
        name = f"{before}-to-{wanted.version}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.sql.gz"
        try:
            self._tools.dump(wanted, home / "dumps" / name)
            _write_journal(home, Journal(before, wanted.version, name))
            if restored:
                self._tools.restore(wanted, home / "dumps" / restored)
            _link(wanted, wanted.version)
            self._tools.upgrade(wanted)
            problem = self._tools.unhealthy(wanted)
        except EngineError as error:
            problem = str(error)
        if problem:
            self._undo(wanted)
            raise EngineError(
                f"Site {wanted.name} does not work with release {wanted.version}: {problem} It is back on release "
                f"{before}, with the database as it was."
            )
        (home / JOURNAL).unlink()
        (home / CLOSED).unlink()

    def _undo(self, wanted: Wanted) -> None:
        home = Path(wanted.home)
        journal = _journal(home)
        if journal is None:
            return
        if journal.dump:
            self._tools.restore(wanted, home / "dumps" / journal.dump)
        _link(wanted, journal.before)
        self._tools.flush(wanted)
        (home / JOURNAL).unlink()
        (home / CLOSED).unlink(missing_ok=True)


def _layout(release: Path) -> int:
    """Answer the number of the table layout that a release works with; 0 when its version file does not say it."""
    try:
        text = (release / "wp-includes" / "version.php").read_text(encoding="utf-8")
    except OSError:
        return 0
    match = re.search(r"^\$wp_db_version\s*=\s*(\d+);", text, re.MULTILINE)
    return int(match.group(1)) if match else 0


def _journal(home: Path) -> Journal | None:
    try:
        return Journal(**json.loads((home / JOURNAL).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _write_journal(home: Path, journal: Journal) -> None:
    part = home / f"{JOURNAL}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(journal), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(home / JOURNAL)


def _link(wanted: Wanted, version: str) -> None:
    fresh = Path(wanted.home) / "current.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"releases/{version}")
    fresh.replace(Path(wanted.home) / "current")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
