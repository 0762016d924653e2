# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that simulated servers make of their further disks, and the backup that needs one."""

from __future__ import annotations

import pytest

from lab.windows.server import ServerSpec, WindowsServer

MODULE = "cnosf.infogerance.backup_volume"


@pytest.fixture
def server(tmp_path, clock):
    made = WindowsServer("srv01", ServerSpec(disks_gib=(64, 32, 16)), tmp_path / "srv01", clock)
    made.boot()
    made.save()
    return made


def test_an_empty_disk_becomes_a_volume_once(server, twice, run):
    twice(server, MODULE, {"disk": 1, "letter": "e:", "label": "Système"})
    facts = run(server, "community.windows.win_disk_facts", {"filter": ["partitions", "volumes"]})
    disks = facts["ansible_facts"]["ansible_disks"]
    assert [disk["partition_style"] for disk in disks] == ["GPT", "GPT", "RAW"]
    (partition,) = disks[1]["partitions"]
    assert (partition["drive_letter"], partition["volumes"][0]["label"]) == ("E", "Système")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"disk": 0, "letter": "E"}, "holds the system"),
        ({"disk": 3, "letter": "E"}, "There is no disk 3"),
        ({"disk": 1, "letter": "C"}, "no letter for a data volume"),
        ({"disk": 1, "letter": "\\\\srv\\a"}, "no letter for a data volume"),
        ({"disk": 1, "letter": "F"}, "belongs to disk 2, not to disk 1"),
        ({"disk": 2, "letter": "G"}, "holds a partition already"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_nothing_is_erased_and_what_cannot_be_is_named(server, run, asked, words, check):
    run(server, MODULE, {"disk": 2, "letter": "F"})
    assert words in run(server, MODULE, asked, check=check, fails=True)["msg"]
