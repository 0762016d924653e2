# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's archives: what they hold, that their bytes are stable, and how the mirror serves them."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile

import aiohttp
import pytest

from lab import artefacts
from lab.artefacts import ArtefactError, Node, Recipe, assemble, pack, read_tree, resolve
from lab.mirror import Mirror


def package(entries):
    """A package's file system archive; a value that begins with `->` is a symbolic link."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for path, content in entries.items():
            entry = tarfile.TarInfo(f"./{path}")
            if content.startswith("->"):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[2:]
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content.encode()))
    return plain.getvalue()


def test_links_that_leave_the_tree_are_put_back_as_files():
    tree = read_tree(
        package(
            {
                "usr/share/wordpress/index.php": "<?php",
                "usr/share/wordpress/wp-config.php": "Debian's",
                "usr/share/wordpress/wp-includes/js/underscore.js": "->../../../javascript/underscore/underscore.js",
                "usr/share/javascript/underscore/underscore.js": "->underscore.min.js",
                "usr/share/javascript/underscore/underscore.min.js": "_",
            }
        )
    )
    files = assemble(Recipe("wordpress", "bookworm", ("wordpress",), "usr/share/wordpress", prefix="wordpress"), tree)
    assert {path: node.content for path, node in files.items()} == {
        "wordpress/index.php": b"<?php",
        "wordpress/wp-includes/js/underscore.js": b"_",
    }


def test_the_authorities_are_one_file_as_the_package_would_write_it():
    tree = read_tree(
        package(
            {
                "usr/share/wordpress/ca.crt": "->/etc/ssl/certs/ca-certificates.crt",
                "usr/share/ca-certificates/mozilla/B.crt": "second\n",
                "usr/share/ca-certificates/mozilla/A.crt": "first\n",
            }
        )
    )
    files = assemble(Recipe("wordpress", "bookworm", ("ca-certificates",), "usr/share/wordpress"), tree)
    assert files["ca.crt"].content == b"first\nsecond\n"


def test_a_library_no_package_brings_is_named():
    tree = {"a/b.js": Node(link="../javascript/b.js")}
    with pytest.raises(ArtefactError, match=r"a/b\.js leads to javascript/b\.js, which no package of the recipe holds"):
        resolve(tree, "a/b.js")
    with pytest.raises(ArtefactError, match="leads back to itself"):
        resolve({"a": Node(link="a")}, "a")


def test_the_same_files_give_the_same_bytes():
    one = pack({"b": Node(content=b"2"), "a": Node(content=b"1", executable=True)})
    two = pack({"a": Node(content=b"1", executable=True), "b": Node(content=b"2")})
    assert one == two
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert [(entry.name, entry.mode, entry.uid, entry.mtime) for entry in archive] == [
            ("a", 0o755, 0, 0),
            ("b", 0o644, 0, 0),
        ]


def test_a_whole_cache_is_used_without_apt_and_a_torn_one_is_not(tmp_path, monkeypatch):
    entries = [
        {"name": recipe.name, "version": "1", "file": f"{number}.tar.gz", "size": 1, "sha256": "", "packages": {}}
        for number, recipe in enumerate(artefacts.RECIPES)
    ]
    for entry in entries:
        (tmp_path / entry["file"]).write_bytes(b"x")
    (tmp_path / "manifest.json").write_text(json.dumps({"format": artefacts.FORMAT, "artefacts": entries}))
    monkeypatch.setattr(artefacts, "KEYRING", tmp_path / "no-keyring")
    assert artefacts.build(tmp_path) == tmp_path
    (tmp_path / "0.tar.gz").write_bytes(b"")
    with pytest.raises(ArtefactError, match="install the package debian-archive-keyring"):
        artefacts.build(tmp_path)


def test_the_mirror_serves_its_folder_and_nothing_above_it(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    (tmp_path / "secret").write_text("no")
    (folder / "a.tar.gz").write_bytes(b"archive" * 1000)

    async def scenario():
        mirror = Mirror(folder, "127.0.0.1")
        await mirror.start()
        try:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{mirror.url}/a.tar.gz") as answer:
                    content = await answer.read()
                async with session.get(f"{mirror.url}/b.tar.gz") as answer:
                    missing = answer.status, await answer.text()
                async with session.get(f"{mirror.url}/..%2Fsecret") as answer:
                    above = answer.status
        finally:
            await mirror.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", mirror.port)
        return content, missing, above

    content, missing, above = asyncio.run(scenario())
    assert content == b"archive" * 1000
    assert missing == (404, "The lab's mirror has no file b.tar.gz.\n")
    assert above == 404
