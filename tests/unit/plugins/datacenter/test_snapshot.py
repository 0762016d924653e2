# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots against the simulated datacenter: writes to the letter, verification, permission, age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Power, Server, Snapshot
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.snapshots import (
    Shots,
    SnapshotSpec,
    from_options,
    plan,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    InputError,
    LockedError,
    NotAppliedError,
    NotFoundError,
    PermissionMissingError,
)

if TYPE_CHECKING:
    from tests.unit.plugins.datacenter.conftest import Estate

DAY = 86400


@pytest.fixture
def running(estate: Estate, web01: dict[str, Any]) -> str:
    """web01, running; answers its path below the API."""
    server = estate.server(**web01)["server"]
    return f"nodes/{server['node']}/qemu/{server['id']}"


def test_takes_once(estate: Estate, running: str) -> None:
    wanted = {"server": "web01", "name": "before_patching", "description": "Novembre"}
    predicted = estate.snapshot(check=True, **wanted)
    with estate.recording() as writes:
        result = estate.snapshot(**wanted)
    assert writes == [("POST", f"{running}/snapshot", {"snapname": "before_patching", "description": "Novembre"})]
    assert result["changes"] == predicted["changes"]
    assert predicted["snapshots"] == []
    assert [(s["name"], s["description"]) for s in result["snapshots"]] == [("before_patching", "Novembre")]
    assert result["diff"]["after"] == (
        "snapshot before_patching of web01: description: Novembre\nsnapshot before_patching of web01: memory: false\n"
    )
    with estate.recording() as writes:
        again = estate.snapshot(**wanted)
    assert (again["changed"], writes) == (False, [])


@pytest.mark.parametrize(("start", "power"), [(None, "running"), (False, "stopped"), (True, "running")])
def test_rolls_back_each_time_and_keeps_the_power(estate: Estate, running: str, start: bool | None, power: str) -> None:
    estate.snapshot(server="web01", name="one")
    vm = estate.vm("web01")
    estate.site.call(lambda: vm.config.update(cores=16))
    wanted = {"server": "web01", "name": "one", "state": "rolled_back", "start": start}
    with estate.recording() as writes, pytest.raises(InputError, match="is not rolled back without 'force: true'"):
        estate.snapshot(**wanted)
    assert writes == []
    predicted = estate.snapshot(check=True, **wanted, force=True)
    with estate.recording() as writes:
        result = estate.snapshot(**wanted, force=True)
    assert writes == [("POST", f"{running}/snapshot/one/rollback", {} if start is False else {"start": "1"})]
    assert result["changes"] == predicted["changes"]
    assert int(vm.config["cores"]) == 4
    assert vm.status == power
    assert estate.snapshot(**wanted, force=True)["changed"] is True


def test_a_rollback_that_did_not_happen_is_not_believed(
    estate: Estate, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.snapshot(server="web01", name="one")
    estate.snapshot(server="web01", name="two")

    async def deaf(_self: Any, values: Any, user: str) -> str:
        async def body() -> None:
            """Do nothing and succeed."""

        return await estate.pve.task(values["node"], "qmrollback", values["vmid"], user, body)

    from lab.datacenter import Datacenter

    monkeypatch.setattr(Datacenter, "_qm_rollback", deaf)
    estate.site.restart()  # routes hold the methods: open again with the deaf one
    with pytest.raises(NotAppliedError, match="the engine reported a rollback and the server is not at 'one'"):
        estate.snapshot(server="web01", name="one", state="rolled_back", force=True)


def test_unknown_snapshot_and_server(estate: Estate, running: str) -> None:
    estate.snapshot(server="web01", name="one")
    with pytest.raises(InputError, match=r"has no snapshot 'none' to roll back to\. Known snapshots: one\."):
        estate.snapshot(server="web01", name="none", state="rolled_back", force=True)
    with pytest.raises(NotFoundError, match="There is no server 'web99': check its name and the token's privileges"):
        estate.snapshot(server="web99", name="one")
    with pytest.raises(NotFoundError, match="There is no server 'tpl-debian-12'"):
        estate.snapshot(server="tpl-debian-12", name="one")


def test_removes_by_name_and_by_age_with_permission(estate: Estate, running: str) -> None:
    for name in ("one", "two", "keep"):
        estate.snapshot(server="web01", name=name)
    vm = estate.vm("web01")

    def age() -> None:
        vm.snapshots["one"]["snaptime"] = 1000
        vm.snapshots["keep"]["snaptime"] = 1000

    estate.site.call(age)
    with pytest.raises(InputError, match=r"snapshots are not removed without 'force: true': one\."):
        estate.snapshot(server="web01", state="absent", older_than_days=7, pattern="o*", now=1000 + 8 * DAY)
    with estate.recording() as writes:
        result = estate.snapshot(
            server="web01", state="absent", older_than_days=7, pattern="o*", now=1000 + 8 * DAY, force=True
        )
    assert writes == [("DELETE", f"{running}/snapshot/one", {})]
    assert [s["name"] for s in result["snapshots"]] == ["keep", "two"]
    estate.snapshot(server="web01", name="two", state="absent", force=True)
    assert sorted(vm.snapshots) == ["keep"]
    assert estate.snapshot(server="web01", name="two", state="absent")["changed"] is False


def test_waits_for_a_backup_and_gives_up(estate: Estate, running: str) -> None:
    estate.lock("web01", "backup")
    with pytest.raises(LockedError, match=r"locked by 'backup'\. Gave up after 5 s"):
        estate.snapshot(server="web01", name="one", timeout=5)
    estate.clock.hook = lambda _count: estate.lock("web01", None)
    assert estate.snapshot(server="web01", name="one", timeout=5)["changed"] is True


def test_missing_privilege(estate: Estate, running: str) -> None:
    estate.token = "inventory"
    with pytest.raises(PermissionMissingError) as refused:
        estate.snapshot(server="web01", name="one")
    assert refused.value.privilege == "VM.Snapshot"


def test_with_memory_asks_for_it(estate: Estate, running: str) -> None:
    with estate.recording() as writes, pytest.raises(Exception, match="snapshots with memory"):
        estate.snapshot(server="web01", name="one", memory=True)
    assert writes[0][2]["vmstate"] == "1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "1st"}, "'1st' cannot name a snapshot"),
        ({"name": "current"}, "'current' and 'pending' are taken"),
        ({"name": "x" * 41}, "cannot name a snapshot: use 2 to 40 letters"),
        ({}, "Give the snapshot's name; only 'state: absent' with 'older_than_days' does without."),
        ({"state": "absent"}, "Give the snapshot's name"),
        ({"older_than_days": 3}, "Give the snapshot's name"),
        ({"name": "one", "state": "absent", "older_than_days": 3}, "older_than_days selects the snapshots to remove"),
        ({"state": "absent", "older_than_days": -1}, "older_than_days cannot be negative, it is -1."),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        from_options({"server": "web01", "state": "present", **options})
    assert message in str(refused.value)


SERVER = Server(id="1", name="web01", power=Power.OFF, host="pve", cpus=1, memory_mib=512)


def test_an_unfinished_snapshot_is_no_snapshot() -> None:
    shots = Shots(SERVER, (Snapshot("one", 5, unfinished="prepare"),))
    for state in ("present", "rolled_back"):
        with pytest.raises(InputError, match=r"was cut short \(prepare\): remove it with 'state: absent' first"):
            plan(SnapshotSpec("web01", state, "one", force=True), shots, 10)


@given(
    times=st.lists(st.integers(0, 10**6), unique=True, max_size=8),
    days=st.floats(0, 12),
    now=st.integers(0, 10**6),
)
def test_age_removes_exactly_the_older_ones(times: list[int], days: float, now: int) -> None:
    shots = Shots(SERVER, tuple(Snapshot(f"s{when}", when) for when in times))
    going = plan(SnapshotSpec("web01", "absent", older_than_days=days, force=True), shots, now)
    assert {change.before["taken_at"] for change in going} == {when for when in times if (now - when) / DAY > days}
