# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on one server: with real processes, living and dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError
from ansible_collections.cnosf.infogerance.plugins.module_utils.run_lock import Run, born, take


@pytest.fixture
def other():
    """A process that lives, as another run of Ansible's."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_and_told_who_holds_the_server(tmp_path, other):
    take("10.0.0.1", other.pid, tmp_path)
    with pytest.raises(
        ConflictError, match=rf"^10\.0\.0\.1: another run works on it: process {other.pid} of \w+, since"
    ):
        take("10.0.0.1", os.getpid(), tmp_path)
    take("10.0.0.2", os.getpid(), tmp_path)


def test_a_run_takes_again_what_it_holds(tmp_path):
    take("10.0.0.1", os.getpid(), tmp_path)
    take("10.0.0.1", os.getpid(), tmp_path)


def test_what_a_dead_run_held_is_free(tmp_path, other):
    take("10.0.0.1", other.pid, tmp_path)
    other.kill()
    other.wait()
    take("10.0.0.1", os.getpid(), tmp_path)


def test_a_process_that_has_a_dead_runs_number_holds_nothing(tmp_path, other):
    take("10.0.0.1", other.pid, tmp_path)
    (note,) = tmp_path.glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"born": "1"}))
    take("10.0.0.1", os.getpid(), tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"process": 1}'])
def test_a_note_that_nobody_understands_holds_nothing(tmp_path, other, text):
    take("10.0.0.1", other.pid, tmp_path)
    (note,) = tmp_path.glob("*.json")
    note.write_text(text)
    take("10.0.0.1", os.getpid(), tmp_path)


def test_another_users_run_counts_as_well(tmp_path, other):
    take("10.0.0.1", other.pid, tmp_path)
    (note,) = tmp_path.glob("*.json")
    assert note.stat().st_mode & 0o777 == 0o644
    note.rename(tmp_path / note.name.replace(f"-{os.getuid()}.", "-4242."))
    with pytest.raises(ConflictError):
        take("10.0.0.1", os.getpid(), tmp_path)


def test_a_link_in_the_place_of_the_guard_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    (tmp_path / "infogerance-run.guard").symlink_to(target)
    with pytest.raises(OSError, match=r"infogerance-run\.guard"):
        take("10.0.0.1", os.getpid(), tmp_path)
    assert not target.exists()


def test_processes_are_told_apart_by_their_birth(other):
    assert born(os.getpid()) not in {None, "", born(other.pid)}
    assert born(2**22 + 1) is None
    assert Run.of(os.getpid()).alive
    assert not Run(os.getpid(), "1", "x", "now").alive
