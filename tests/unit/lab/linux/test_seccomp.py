# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's system calls are podman's, but for what forces writes to the disk."""

from __future__ import annotations

import json

import pytest

from lab.linux import seccomp

PODMANS = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["bdflush"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["fstat", "fsync", "fdatasync", "mount"], "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["sync", "syncfs"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    ],
}


def test_only_what_forces_writes_changes():
    made = json.loads(seccomp.relaxed(json.dumps(PODMANS)))
    assert {key: made[key] for key in made if key != "syscalls"} == {
        key: PODMANS[key] for key in PODMANS if key != "syscalls"
    }
    first, second, last = made["syscalls"]
    assert first == PODMANS["syscalls"][0]
    assert second == PODMANS["syscalls"][1] | {"names": ["fstat", "mount"]}
    assert last == {"names": list(seccomp.FORCED), "action": "SCMP_ACT_ERRNO", "errnoRet": 0}


@pytest.mark.parametrize("profile", ["", "[]", "{}", '{"syscalls": [1]}', '{"syscalls": [{}]}'])
def test_what_is_no_profile_is_refused(profile):
    with pytest.raises(ValueError, match=r"no list of system calls|Expecting value"):
        seccomp.relaxed(profile)


def test_the_machines_own_profile_comes_first(tmp_path):
    own, packaged = tmp_path / "etc.json", tmp_path / "usr.json"
    packaged.write_text(json.dumps(PODMANS))
    made = seccomp.write(tmp_path / "guest", (own, packaged))
    assert json.loads(made.read_text())["defaultErrnoRet"] == PODMANS["defaultErrnoRet"]
    own.write_text(json.dumps(PODMANS | {"defaultErrnoRet": 1}))
    assert json.loads(seccomp.write(tmp_path / "guest", (own, packaged)).read_text())["defaultErrnoRet"] == 1


def test_without_a_profile_guests_have_podmans(tmp_path):
    assert seccomp.write(tmp_path / "guest", (tmp_path / "nowhere",)) is None
    assert not (tmp_path / "guest").exists()
