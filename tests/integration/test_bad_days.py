# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days before anything runs: no root, ports taken, half an earlier lab left over."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest

from tests.integration.support import REPOSITORY, Estate


@pytest.fixture
def other(tmp_path):
    """A lab instance that is not up; whatever a test leaves is removed."""
    found = Estate("badday", 7, REPOSITORY / "inventories" / "lab", tmp_path)
    yield found
    found.lab("down", "--purge", check=False)
    assert "ilab7" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert not found.home.exists()


def test_without_root_the_setup_says_what_to_do(tmp_path):
    """A copy of the set-up, run by nobody, changes nothing and names sudo."""
    (tmp_path / "tools").mkdir()
    shutil.copy(REPOSITORY / "tools" / "setup.sh", tmp_path / "tools")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", str(tmp_path / "tools" / "setup.sh")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "MAKE_GOAL": "demo"},
    )
    assert done.returncode == 1
    assert "sudo make demo" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tools"]


def test_a_taken_port_is_named_with_its_process(other):
    with socket.socket() as taken:
        taken.bind(("127.0.17.1", 8006))
        taken.listen()
        done = other.lab("up", check=False)
    assert done.returncode != 0
    assert "127.0.17.1:8006" in done.stderr
    assert str(os.getpid()) in done.stderr


def test_half_an_earlier_lab_is_cleaned_and_the_lab_starts(other):
    subprocess.run(["ip", "link", "add", "ilab7", "type", "bridge"], check=True)
    subprocess.run(["ip", "netns", "add", "ilab7-100"], check=True)
    other.home.mkdir(parents=True)
    (other.home / "lab.pid").write_text("999999\n", encoding="ascii")
    other.lab("up")
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "ilab7-100" not in namespaces


def test_a_second_up_on_a_live_lab_is_harmless(other):
    other.lab("up")
    before = (other.home / "lab.pid").read_text(encoding="ascii")
    other.lab("up")
    assert (other.home / "lab.pid").read_text(encoding="ascii") == before
