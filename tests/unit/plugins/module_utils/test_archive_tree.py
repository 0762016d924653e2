# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of published code: planned purely, unpacked, tampered with and put right on a real file system."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import zipfile

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.archive_tree import Found, Tree, Trees, check, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile

FILES = {"wordpress/index.php": "<?php", "wordpress/wp-admin/a.php": "a", "wordpress/wp-content/hello.php": "no"}
SUM = "a" * 64


def tar(path, files, *, link=None):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/shadow"
            archive.addfile(entry)
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Server:
    """A folder to unpack into, a publisher, and the count of downloads."""

    def __init__(self, home):
        self.home = home
        self.downloads = []

    def store(self):
        return Trees(self.home / "state", self.home / "cache", self.fetch, (os.getuid(), os.getgid()))

    def fetch(self, url, destination):
        self.downloads.append(url)
        destination.write_bytes((self.home / url).read_bytes())

    def run(self, *trees, check=False):
        store = self.store()
        return reconcile(
            lambda: store.read(trees),
            lambda found: plan(trees, found),
            lambda change, found: store.apply(change, trees, found),
            check=check,
        )


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


@pytest.fixture
def tree(server):
    archive = tar(server.home / "one.tar.gz", FILES)
    return Tree(
        str(server.home / "srv/one"),
        "one.tar.gz",
        digest(archive),
        "wordpress",
        ("wp-content",),
        {"wp-content": "../c"},
    )


@pytest.mark.parametrize(
    ("found", "actions"),
    [
        (Found(), ["unpack"]),
        (Found(exists=True), ["replace"]),
        (Found(exists=True, fingerprint="other"), ["replace"]),
        (Found(exists=True, fingerprint=Tree("/a/b", "u", SUM).fingerprint), []),
        (Found(exists=True, fingerprint=Tree("/a/b", "u", SUM).fingerprint, extra=("x.php",)), ["repair"]),
    ],
)
def test_plan(found, actions):
    assert [change.action for change in plan([Tree("/a/b", "u", SUM)], {"/a/b": found})] == actions


def test_a_diff_names_ten_files_and_counts_the_rest():
    tree = Tree("/a/b", "u", SUM)
    found = Found(exists=True, fingerprint=tree.fingerprint, altered=tuple(f"{n:02}" for n in range(13)))
    assert plan([tree], {"/a/b": found})[0].before == {"altered": "00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 3 more"}


def test_the_address_alone_does_not_unpack_again():
    assert Tree("/a/b", "one", SUM).fingerprint == Tree("/a/b", "two", SUM).fingerprint
    assert Tree("/a/b", "one", SUM).fingerprint != Tree("/a/b", "one", SUM, exclude=("x",)).fingerprint


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        ([Tree("srv/a", "u", SUM)], "srv/a cannot be a tree"),
        ([Tree("/srv", "u", SUM)], "/srv cannot be a tree"),
        ([Tree("/srv/../a", "u", SUM)], "cannot be a tree"),
        ([Tree("/srv/a", "u", "md5")], "the checksum must be the archive's SHA-256"),
        ([Tree("/srv/a", "u", SUM), Tree("/srv/a/b", "u", SUM)], "/srv/a/b and /srv/a overlap"),
    ],
)
def test_nonsense_is_refused(trees, message):
    with pytest.raises(InputError, match=message):
        check(trees)


def test_unpacks_once_and_then_does_nothing(server, tree):
    assert server.run(tree, check=True).changed
    assert not (server.home / "srv").exists()
    assert server.downloads == []
    assert [change.action for change in server.run(tree).changes] == ["unpack"]
    folder = server.home / "srv/one"
    assert sorted(path.name for path in folder.iterdir()) == ["index.php", "wp-admin", "wp-content"]
    assert str((folder / "wp-content").readlink()) == "../c"
    assert (folder / "index.php").stat().st_mode & 0o777 == 0o644
    assert not server.run(tree).changed
    assert server.downloads == ["one.tar.gz"]


def test_every_tampering_is_seen_in_check_mode_and_put_right(server, tree):
    server.run(tree)
    folder = server.home / "srv/one"
    (folder / "index.php").write_text("<?php eval();")
    (folder / "wp-admin/shell.php").write_text("<?php")
    (folder / "uploads/deep").mkdir(parents=True)
    (folder / "wp-content").unlink()
    (folder / "wp-content").mkdir()
    (folder / "wp-admin/a.php").chmod(0o666)
    foreseen = server.run(tree, check=True)
    assert foreseen.changes[0].before == {
        "altered": "index.php, wp-admin/a.php, wp-content",
        "extra": "uploads, uploads/deep, wp-admin/shell.php",
    }
    assert (folder / "index.php").read_text() == "<?php eval();"
    assert server.run(tree).changes == foreseen.changes
    assert (folder / "index.php").read_text() == "<?php"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "index.php",
        "wp-admin",
        "wp-admin/a.php",
        "wp-content",
    ]
    assert server.downloads == ["one.tar.gz"]


def test_a_repair_writes_only_what_differs(server, tree):
    server.run(tree)
    folder = server.home / "srv/one"
    kept, written = ((folder / name).stat().st_ino for name in ("wp-admin/a.php", "index.php"))
    (folder / "index.php").chmod(0o600)
    assert server.run(tree).changed
    assert (folder / "wp-admin/a.php").stat().st_ino == kept
    assert (folder / "index.php").stat().st_ino != written
    assert [path.name for path in (server.home / "srv").iterdir()] == ["one"]


def test_a_missing_folder_and_one_turned_into_a_file_come_back(server, tree):
    server.run(tree)
    folder = server.home / "srv/one"
    shutil.rmtree(folder / "wp-admin")
    (folder / "wp-admin").write_text("a file")
    (folder / "index.php").unlink()
    (folder / "index.php").mkdir()
    assert server.run(tree).changed
    assert (folder / "wp-admin/a.php").read_text() == "a"
    assert (folder / "index.php").read_text() == "<?php"
    folder.chmod(0o777)
    assert server.run(tree, check=True).changes[0].before == {"altered": "."}
    assert server.run(tree).changed
    assert folder.stat().st_mode & 0o777 == 0o755


def test_another_archive_replaces_the_folder_and_the_old_archive_is_forgotten(server, tree):
    server.run(tree)
    newer = tar(server.home / "two.tar.gz", {"wordpress/new.php": "2"})
    second = Tree(tree.path, "two.tar.gz", digest(newer), "wordpress")
    assert [change.action for change in server.run(second).changes] == ["replace"]
    assert [path.name for path in (server.home / "srv/one").iterdir()] == ["new.php"]
    assert [path.name for path in (server.home / "cache").iterdir()] == [second.checksum]
    assert not (server.home / "srv/one.old").exists()


def test_a_folder_nobody_recorded_is_replaced(server, tree):
    (server.home / "srv/one").mkdir(parents=True)
    (server.home / "srv/one/by-hand").write_text("x")
    assert [change.action for change in server.run(tree).changes] == ["replace"]
    assert not (server.home / "srv/one/by-hand").exists()


def test_a_zip_is_unpacked_too(server):
    path = server.home / "p.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("plugin/plugin.php", "<?php")
    tree = Tree(str(server.home / "srv/p"), "p.zip", digest(path), "plugin")
    server.run(tree)
    assert (server.home / "srv/p/plugin.php").read_text() == "<?php"


def test_the_wrong_archive_is_refused_and_nothing_is_left(server, tree):
    tar(server.home / "one.tar.gz", {"wordpress/evil.php": "x"})
    with pytest.raises(EngineError, match=r"one\.tar\.gz is not the archive announced for .*: its SHA-256 is"):
        server.run(tree)
    assert not (server.home / "srv").exists()
    assert list((server.home / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "link", "root", "message"),
    [
        ({"a/b": "x"}, "a/l", "a", "holds a/l, which is no file"),
        ({"../../etc/cron.d/x": "x"}, None, "", "leads out of its folder"),
        ({"/etc/x": "x"}, None, "", "leads out of its folder"),
        ({"other/x": "x"}, None, "wordpress", "holds no file under wordpress"),
    ],
)
def test_an_archive_that_holds_what_it_must_not_is_refused(server, files, link, root, message):
    archive = tar(server.home / "x.tar.gz", files, link=link)
    with pytest.raises(InputError, match=message):
        server.run(Tree(str(server.home / "srv/x"), "x.tar.gz", digest(archive), root))
    assert not (server.home / "srv/x").exists()
    assert not (server.home / "srv/x.new").exists()


def test_what_is_no_archive_is_said(server):
    (server.home / "x").write_text("<html>")
    with pytest.raises(EngineError, match="x cannot be unpacked into"):
        server.run(Tree(str(server.home / "srv/x"), "x", digest(server.home / "x")))
