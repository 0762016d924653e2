# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of WordPress: what is planned, and what an update does step by step, on a real folder with fake tools."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.releases import (
    Journal,
    Releases,
    Site,
    Wanted,
    plan,
    version_key,
)

WANTED = Wanted("paris", "/srv/paris", "6.8.3")
LAYOUTS = {"6.1.9": 10, "6.7.1": 20, "6.8.3": 30}
OLD = Site(current="6.7.1", releases=("6.7.1", "6.8.3"), tables=20, layouts=LAYOUTS)
NEW = replace(OLD, current="6.8.3", tables=30)


@pytest.mark.parametrize(
    ("site", "actions"),
    [
        (Site(), ["link"]),
        (replace(OLD, tables=0), ["link"]),
        (OLD, ["upgrade"]),
        (NEW, []),
        (replace(NEW, tables=None), []),
        (replace(NEW, closed=True), ["open"]),
        (replace(NEW, tables=20), ["migrate"]),
        (replace(NEW, journal=Journal("6.7.1", "6.8.3", "d"), closed=True), ["undo", "upgrade"]),
        (replace(OLD, journal=Journal("6.8.3", "6.9")), ["undo"]),
        (replace(NEW, releases=("6.1.9", "6.7.1", "6.8.3")), ["prune"]),
        (replace(NEW, dumps=("a", "b", "c", "d")), ["prune"]),
    ],
)
def test_plan(site, actions):
    assert [change.action for change in plan([WANTED], {"paris": site})] == actions


def test_pruning_keeps_the_newest_and_the_release_being_left():
    site = replace(OLD, releases=("6.1.9", "6.2", "6.7.1", "6.8.3"))
    changes = plan([replace(WANTED, keep_releases=2)], {"paris": site})
    assert [change.before for change in changes] == [{"release": "6.7.1"}, {"kept": ["releases/6.1.9"]}]
    site = replace(NEW, releases=("6.9", "6.10", "6.8.3"))
    assert plan([WANTED], {"paris": site})[0].before == {"kept": ["releases/6.9"]}
    assert plan([replace(WANTED, keep_releases=0)], {"paris": NEW})[0].before == {"kept": ["releases/6.7.1"]}


def test_an_older_release_is_refused_unless_the_way_back_is_allowed_and_there_is_a_dump():
    older = replace(WANTED, version="6.7.1")
    with pytest.raises(InputError, match=r"runs release 6\.8\.3, whose tables release 6\.7\.1 does not know"):
        plan([older], {"paris": NEW})
    with pytest.raises(InputError, match="no dump made before it was left is kept in /srv/paris/dumps"):
        plan([replace(older, way_back=True)], {"paris": NEW})
    site = replace(NEW, dumps=("6.7.1-to-6.8.2-1.sql.gz", "6.7.1-to-6.8.3-2.sql.gz", "6.8.3-to-6.9-3.sql.gz"))
    change = plan([replace(older, way_back=True)], {"paris": site})[0]
    assert (change.action, change.after["database"]) == ("return", "6.7.1-to-6.8.3-2.sql.gz")
    same = replace(NEW, layouts={**LAYOUTS, "6.7.1": 30})
    assert plan([older], {"paris": same})[0].action == "upgrade"


def test_versions_are_ordered_by_their_numbers():
    assert sorted(["6.10", "6.9", "6.8.12", "6.8.2"], key=version_key) == ["6.8.2", "6.8.12", "6.9", "6.10"]


class Tools:
    """A database in a file, and a site that is as healthy as it is told to be."""

    def __init__(self, home):
        self.home = home
        self.database = {"tables": 20, "posts": 3}
        self.steps = []
        self.sick = None
        self.fails = None

    def step(self, name):
        closed = (self.home / "maintenance").exists()
        self.steps.append(f"{name} {'closed' if closed else 'open'} on {(self.home / 'current').readlink().name}")
        if self.fails == name:
            raise EngineError(f"{name} failed.")

    def tables(self, _site):
        return self.database["tables"]

    def dump(self, _site, destination):
        self.step("dump")
        destination.write_text(json.dumps(self.database))

    def restore(self, _site, source):
        self.step("restore")
        self.database = json.loads(source.read_text())

    def upgrade(self, _site):
        self.step("upgrade")
        self.database["tables"] = 30

    def flush(self, _site):
        self.step("flush")

    def unhealthy(self, _site):
        self.step("look")
        return self.sick


@pytest.fixture
def home(tmp_path):
    for name, layout in (("6.7.1", 20), ("6.8.3", 30)):
        folder = tmp_path / "releases" / name / "wp-includes"
        folder.mkdir(parents=True)
        (folder / "version.php").write_text(f"<?php\n$wp_version = '{name}';\n$wp_db_version = {layout};\n")
        (folder.parent / "wp-load.php").touch()
    (tmp_path / "releases" / "wp-config.php").touch()
    (tmp_path / "current").symlink_to("releases/6.7.1")
    return tmp_path


def run(tools, check=False, **options):
    sites = [replace(Wanted("paris", str(tools.home), "6.8.3"), **options)]
    server = Releases(tools)
    return reconcile(
        lambda: server.read(sites),
        lambda found: plan(sites, found),
        lambda change, found: server.apply(change, sites, found),
        check=check,
    )


def left(home):
    return sorted(path.name for path in home.iterdir() if path.name in {"upgrade.json", "maintenance", "current.new"})


def test_an_update_closes_dumps_moves_upgrades_looks_and_opens(home):
    tools = Tools(home)
    assert run(tools, check=True).changed
    assert tools.steps == []
    assert [change.action for change in run(tools).changes] == ["upgrade"]
    assert tools.steps == ["dump closed on 6.7.1", "upgrade closed on 6.8.3", "look closed on 6.8.3"]
    assert tools.database == {"tables": 30, "posts": 3}
    assert len(list((home / "dumps").glob("6.7.1-to-6.8.3-*.sql.gz"))) == 1
    assert left(home) == []
    assert not run(tools).changed


@pytest.mark.parametrize("failing", ["dump", "upgrade", "look", "sick"])
def test_an_update_that_goes_wrong_at_any_step_leaves_all_as_it_was(home, failing):
    tools = Tools(home)
    tools.fails = failing
    tools.sick = "/ answers 500." if failing == "sick" else None
    with pytest.raises(
        EngineError, match=r"Site paris does not work with release 6\.8\.3: .* It is back on release 6\.7\.1"
    ):
        run(tools)
    assert (home / "current").readlink().name == "6.7.1"
    assert tools.database == {"tables": 20, "posts": 3}
    assert left(home) == []
    tools.fails = tools.sick = None
    assert run(tools).changed
    assert tools.database["tables"] == 30


def test_a_restore_that_fails_leaves_the_site_closed_and_the_next_run_finishes(home):
    tools = Tools(home)
    tools.sick = "/ answers 500."
    tools.fails = "restore"
    with pytest.raises(EngineError, match="restore failed"):
        run(tools)
    assert left(home) == ["maintenance", "upgrade.json"]
    tools.fails = tools.sick = None
    assert [change.action for change in run(tools).changes] == ["undo", "upgrade"]
    assert tools.database == {"tables": 30, "posts": 3}
    assert left(home) == []


@pytest.mark.parametrize("killed", ["dump", "upgrade", "look"])
def test_a_run_that_was_killed_is_undone_and_done_again(home, killed):
    tools = Tools(home)

    def die(name):
        if name == killed:
            raise KeyboardInterrupt
        tools.steps.append(name)

    tools.step = die
    with pytest.raises(KeyboardInterrupt):
        run(tools)
    assert left(home) == ["maintenance", "upgrade.json"]
    tools.step = tools.steps.append
    assert run(tools).changed
    assert (home / "current").readlink().name == "6.8.3"
    assert tools.database == {"tables": 30, "posts": 3}
    assert left(home) == []


def test_the_way_back_restores_what_was_and_keeps_what_is(home):
    tools = Tools(home)
    run(tools)
    tools.database["posts"] = 4
    changes = run(tools, version="6.7.1", way_back=True).changes
    assert [change.action for change in changes] == ["return"]
    # The fake's upgrade sets 30 on any release: what counts is the posts, and the dump of what was lost.
    assert tools.database["posts"] == 3
    kept = next((home / "dumps").glob("6.8.3-to-6.7.1-*.sql.gz"))
    assert json.loads(kept.read_text()) == {"tables": 30, "posts": 4}


def test_a_release_that_is_not_unpacked_is_named(home):
    with pytest.raises(EngineError, match=r"releases/6\.9 holds no WordPress: unpack it first"):
        run(Tools(home), version="6.9")
    assert left(home) == []
