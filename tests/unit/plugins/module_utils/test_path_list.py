# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of paths: planned purely, made and put right on a real file system."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.path_list import (
    Found,
    Paths,
    Wanted,
    check,
    plan,
    with_settings,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile

FOLDER = Found("directory", "root", "root", 0o755)


@pytest.mark.parametrize(
    ("wanted", "found", "before", "after"),
    [
        (Wanted("/a"), FOLDER, None, None),
        (Wanted("/a"), Found(), {}, {"kind": "directory", "owner": "root", "group": "root", "mode": "0755"}),
        (Wanted("/a", mode=0o2750, group="www-data"), FOLDER, {"group": "root", "mode": "0755"},
         {"group": "www-data", "mode": "2750"}),
        (Wanted("/a", "link", target="b"), Found("link", target="c"), {"target": "c"}, {"target": "b"}),
        (Wanted("/a", "link", target="b"), Found("link", owner="x", target="b"), None, None),
        (Wanted("/a", "absent"), Found("file", "x", "x", 0o644), {"kind": "file"}, {"kind": "absent"}),
        (Wanted("/a", "absent"), Found(), None, None),
        (Wanted("/a", "file", content="a\nc\n"), Found("file", "root", "root", 0o755, content="a\nb\n"),
         {"text": "\n  b"}, {"text": "\n  c"}),
        (Wanted("/a", "file", content="x", secret=True), Found("file", "root", "root", 0o755, content="y"),
         {"text": "(not shown)"}, {"text": "(not shown)"}),
        (Wanted("/a", "file", content="x", once=True), Found("file", "root", "root", 0o755), None, None),
        (Wanted("/a", "file", content="x"), Found("file", "root", "root", 0o755, content="x"), None, None),
    ],
)  # fmt: skip
def test_plan(wanted, found, before, after):
    changes = plan([wanted], {"/a": found})
    assert [(change.before, change.after) for change in changes] == ([] if after is None else [(before, after)])


@pytest.mark.parametrize(
    ("wanted", "found", "message"),
    [
        (Wanted("/a"), Found("link"), "/a is there as link, and must be a directory: move it away first"),
        (Wanted("/a", "file"), Found("other"), "/a is there as other, and must be a file"),
        (Wanted("/a", "absent"), FOLDER, "/a is no file or link: remove it by hand"),
    ],
)
def test_what_is_in_the_way_is_never_removed(wanted, found, message):
    with pytest.raises(ConflictError, match=message):
        plan([wanted], {"/a": found})


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([Wanted("a")], "a must be an absolute path"),
        ([Wanted("/a"), Wanted("/a", "file")], "/a is declared twice"),
        ([Wanted("/a", "link")], "/a is declared as a link and needs a target"),
        ([Wanted("/a", content="x")], "/a is declared as directory, and only a file has content"),
        ([Wanted("/a", settings={"A": "1"})], "/a is declared as directory, and only a file has content or settings"),
        ([Wanted("/a", "file", content="x", settings={"A": "1"})], "/a is declared with content and with settings"),
        ([Wanted("/a", "file", settings={"A B": "1"})], "/a: 'A B 1' is no line of a name and its value"),
        ([Wanted("/a", "file", settings={"A": "1\nB 2"})], "is no line of a name and its value"),
        ([Wanted("/a", "file", settings={"A": " "})], "is no line of a name and its value"),
    ],
)
def test_nonsense_is_refused(paths, message):
    with pytest.raises(InputError, match=message):
        check(paths)


def run(paths, *, check_only=False):
    store = Paths(lambda _: "me", lambda _: "us")
    return reconcile(
        lambda: store.read(paths),
        lambda found: plan(paths, found),
        lambda change, _: store.apply(change, paths, lambda _owner, _group: (os.getuid(), os.getgid())),
        check=check_only,
    )


def test_makes_the_list_once_and_puts_right_what_drifts(tmp_path):
    paths = [
        Wanted(f"{tmp_path}/a", owner="me", group="us", mode=0o2750),
        Wanted(f"{tmp_path}/a/f", "file", "me", "us", 0o640),
        Wanted(f"{tmp_path}/a/l", "link", target="f"),
        Wanted(f"{tmp_path}/old", "absent"),
    ]
    (tmp_path / "old").write_text("x")
    assert len(run(paths, check_only=True).changes) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    run(paths)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o2750
    assert (tmp_path / "a/l").resolve() == tmp_path / "a/f"
    (tmp_path / "a/f").write_text("kept")
    (tmp_path / "a/f").chmod(0o666)
    (tmp_path / "a/l").unlink()
    (tmp_path / "a/l").symlink_to("/etc/passwd")
    assert [change.after for change in run(paths).changes] == [{"mode": "0640"}, {"target": "f"}]
    assert (tmp_path / "a/f").read_text() == "kept"
    assert not run(paths).changed


def test_more_paths_than_a_server_has_changes(tmp_path):
    paths = [Wanted(f"{tmp_path}/{number}", owner="me", group="us") for number in range(150)]
    assert len(run(paths).changes) == 150


def test_texts_are_put_in_place_whole_and_a_text_given_once_is_kept(tmp_path):
    paths = [
        Wanted(f"{tmp_path}/conf", "file", "me", "us", 0o640, content="é\r\nline\n"),
        Wanted(f"{tmp_path}/key", "file", "me", "us", 0o600, content="drawn", once=True),
    ]
    run(paths)
    assert (tmp_path / "conf").read_bytes() == "é\r\nline\n".encode()
    (tmp_path / "conf").write_text("edited")
    (tmp_path / "conf").chmod(0o666)
    again = [paths[0], Wanted(f"{tmp_path}/key", "file", "me", "us", 0o600, content="another", once=True)]
    assert [change.subject for change in run(again, check_only=True).changes] == [f"{tmp_path}/conf"]
    assert (tmp_path / "conf").read_text() == "edited"
    run(again)
    assert (tmp_path / "conf").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "key").read_text() == "drawn"
    (tmp_path / "key").chmod(0o666)
    assert run(again).changed
    assert (tmp_path / "key").read_text() == "drawn"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "key"]


def test_a_text_that_its_program_refuses_never_takes_the_place(tmp_path):
    good = Wanted(f"{tmp_path}/conf", "file", "me", "us", 0o640, content="good\n", validate="grep -q good %s")
    run([good])
    bad = replace(good, content="bad\n")
    assert run([bad], check_only=True).changed
    with pytest.raises(InputError, match=r"conf stays as it was: grep refuses the new text: code 1"):
        run([bad])
    with pytest.raises(ConflictError, match="/nonexistent is not on this server"):
        run([replace(bad, validate="/nonexistent %s")])
    with pytest.raises(InputError) as refused:
        run([replace(bad, secret=True, validate="sh -c 'cat \"$1\"; exit 1' - %s")])
    assert "not shown" in str(refused.value)
    assert "bad" not in str(refused.value)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["good\n"]


@pytest.mark.parametrize("wanted", [{"validate": "true"}, {"content": None, "validate": "true %s"}])
def test_a_validation_without_its_file_is_refused(wanted):
    with pytest.raises(InputError, match="validate needs a text"):
        check([Wanted(**{"path": "/a/f", "kind": "file", "content": "x", **wanted})])


LINES = """# UMASK 022 is the default
UMASK\t\t022
\tUMASK  077 \n
#HOME_MODE 0700
HOME_MODES 1"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"UMASK": "077"}, LINES),
        ({"UMASK": "027"}, LINES.replace("\tUMASK  077 ", "UMASK 027") + "\n"),
        ({"HOME_MODE": "0750", "NEW": "1"}, LINES + "\nHOME_MODE 0750\nNEW 1\n"),
    ],
)
def test_of_a_file_with_other_lines_only_the_settings_are_written(settings, expected):
    assert with_settings(LINES, settings) == expected


def test_characters_that_end_no_line_of_a_configuration_stay():
    assert with_settings("# a\fb\x85c\r\nUMASK 022\n", {"UMASK": "027"}) == "# a\fb\x85c\r\nUMASK 027\n"


@given(
    text=st.text(alphabet="AB 1\n\t#"),
    settings=st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "2 3"])),
)
def test_settings_come_to_rest_and_leave_other_lines_alone(text, settings):
    done = with_settings(text, settings)
    assert with_settings(done, settings) == done
    for name, value in settings.items():
        told = [line.split()[1:] for line in done.splitlines() if line.split()[:1] == [name]]
        assert told[-1] == value.split()
    others = [line for line in text.splitlines() if line.split()[:1] not in ([name] for name in settings)]
    assert [line for line in done.splitlines() if line.split()[:1] not in ([name] for name in settings)] == others


def test_settings_are_put_into_a_file_and_keep_its_other_lines(tmp_path):
    file = tmp_path / "login.defs"
    wanted = [Wanted(str(file), "file", "me", "us", 0o644, settings={"UMASK": "027", "HOME_MODE": "0750"})]
    assert run(wanted, check_only=True).changed
    assert not file.exists()
    run(wanted)
    assert file.read_text() == "UMASK 027\nHOME_MODE 0750\n"
    file.write_text("# kept\nUMASK 022\nHOME_MODE 0750\n")
    [change] = run(wanted).changes
    assert (change.before, change.after) == ({"text": "\n  UMASK 022"}, {"text": "\n  UMASK 027"})
    assert file.read_text() == "# kept\nUMASK 027\nHOME_MODE 0750\n"
    assert not run(wanted).changed
    file.write_bytes(b"UMASK 022\n# \xe9\n")
    with pytest.raises(ConflictError, match=r"login.defs is no text in UTF-8"):
        run(wanted)
    assert file.read_bytes() == b"UMASK 022\n# \xe9\n"
