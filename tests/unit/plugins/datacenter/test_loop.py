# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: read, plan, apply, read again; and waiting, and holding an object alone."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    ConflictError,
    LockedError,
    NotAppliedError,
    RereadError,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.exclusive import exclusively
from ansible_collections.cnosf.infogerance.plugins.module_utils.patience import Patience
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import MAX_ROUNDS, Change, reconcile

if TYPE_CHECKING:
    from pathlib import Path

states = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6)


class World:
    """A mapping to bring to what is wanted, one key at a time."""

    def __init__(self, state: dict[str, int], wanted: dict[str, int]) -> None:
        self.state, self.wanted, self.log = dict(state), wanted, []

    def read(self) -> dict[str, int]:
        self.log.append("read")
        return dict(self.state)

    def plan(self, state: dict[str, int]) -> list[Change]:
        return [
            Change("set", key, {"value": state.get(key)}, {"value": value})
            for key, value in sorted(self.wanted.items())
            if state.get(key) != value
        ]

    def apply(self, change: Change, _state: dict[str, int]) -> None:
        self.log.append(change.subject)
        self.state[change.subject] = change.after["value"]


@given(states, states)
def test_check_predicts_the_run_and_a_second_run_is_empty(state: dict[str, int], wanted: dict[str, int]) -> None:
    checked = World(state, wanted)
    predicted = reconcile(checked.read, checked.plan, checked.apply, check=True)
    assert (checked.state, checked.log) == (state, ["read"])
    world = World(state, wanted)
    done = reconcile(world.read, world.plan, world.apply, check=False)
    assert (done.changes, done.changed, done.diff) == (predicted.changes, predicted.changed, predicted.diff)
    assert world.state == {**state, **wanted}
    again = reconcile(world.read, world.plan, world.apply, check=False)
    assert (again.changed, again.changes) == (False, ())


def test_reads_again_after_each_change() -> None:
    world = World({}, {"a": 1, "b": 2})
    outcome = reconcile(world.read, world.plan, world.apply, check=False)
    assert world.log == ["read", "a", "read", "b", "read"]
    assert outcome.state == {"a": 1, "b": 2}


def test_success_without_effect_is_an_error() -> None:
    world = World({}, {"a": 1})
    with pytest.raises(
        NotAppliedError, match=r"a: the engine reported that set succeeded, .* nothing changed \(value: 1\)"
    ):
        reconcile(world.read, world.plan, lambda _change, _state: None, check=False)


def test_a_deletion_without_effect_is_an_error() -> None:
    gone = Change("delete", "server x", {"id": 1})
    with pytest.raises(NotAppliedError, match="it is still there"):
        reconcile(lambda: None, lambda _state: [gone], lambda _change, _state: None, check=False)


def test_a_plan_that_never_ends_is_an_error() -> None:
    rounds = iter(range(10**6))
    with pytest.raises(NotAppliedError):
        reconcile(
            lambda: next(rounds), lambda state: [Change("set", str(state))], lambda _change, _state: None, check=False
        )
    assert next(rounds) == MAX_ROUNDS + 1


def test_what_had_to_wait_is_planned_anew() -> None:
    world = World({}, {"a": 1, "b": 2})
    refusals = iter([True, True, False, False])

    def apply(change: Change, state: dict[str, int]) -> None:
        if next(refusals):
            world.state["b"] = 2  # somebody else did it meanwhile
            raise RereadError
        world.apply(change, state)

    assert [change.subject for change in reconcile(world.read, world.plan, apply, check=False).changes] == ["a"]


def test_the_diff_reads_well() -> None:
    change = Change(
        "set",
        "server x",
        {"on": False, "tags": [], "none": None},
        {"on": True, "tags": ["a", "b"], "net": {"v": 2, "w": None}, "gib": 16.0},
    )
    outcome = reconcile(lambda: None, lambda _state: [change], lambda _change, _state: None, check=True)
    assert outcome.diff == {
        "before": "server x: on: false\nserver x: tags: none\n",
        "after": "server x: on: true\nserver x: tags: a, b\nserver x: net: v=2\nserver x: gib: 16\n",
    }


class Clock:
    def __init__(self) -> None:
        self.now, self.naps = 0.0, []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps.append(seconds)


def wait_forever(patience: Patience, error: LockedError) -> None:
    for _attempt in range(1000):
        patience.wait(error)


@given(st.floats(0, 500))
def test_patience_lasts_as_long_as_it_says(timeout: float) -> None:
    clock, told = Clock(), []
    patience = Patience(timeout, told.append, sleep=clock.sleep, clock=lambda: clock.now)
    error = LockedError("x is locked by 'backup'.", "backup")
    with pytest.raises(LockedError, match=r"x is locked by 'backup'\. Gave up after"):
        wait_forever(patience, error)
    assert clock.now == pytest.approx(timeout)
    assert len(told) == 1
    assert max(clock.naps, default=0) <= 5


def test_patience_starts_afresh_after_a_success() -> None:
    clock, told = Clock(), []
    patience = Patience(10, told.append, sleep=clock.sleep, clock=lambda: clock.now)
    for _attempt in range(3):
        patience.wait(LockedError("locked."))
    patience.succeeded()
    patience.wait(LockedError("locked again."))
    assert told == ["locked. Waiting up to 10 s.", "locked again. Waiting up to 10 s."]
    assert clock.naps[-1] == 0.5


def test_patience_without_a_named_lock_still_says_what_to_do() -> None:
    with pytest.raises(LockedError, match="Wait for the other operation to end and run again"):
        Patience(0).wait(LockedError("x: busy."))


def test_exclusively_refuses_the_second_and_tells_names_apart(tmp_path: Path) -> None:
    folder = str(tmp_path)
    expected = rf"server a: another run .* \(process {os.getpid()} since "
    with exclusively("server a", "https://one", folder):
        with pytest.raises(ConflictError, match=expected), exclusively("server a", "https://one", folder):
            pass
        with exclusively("server a", "https://two", folder), exclusively("server b", "https://one", folder):
            pass
    with exclusively("server a", "https://one", folder):
        pass
    assert list(tmp_path.iterdir()) == []


def test_exclusively_survives_a_file_removed_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, removals = fcntl.flock, iter([True, False, False])

    def removing(handle: int, operation: int) -> None:
        original(handle, operation)
        if next(removals):
            next(tmp_path.iterdir()).unlink()

    monkeypatch.setattr(fcntl, "flock", removing)
    with exclusively("server a", "", str(tmp_path)):
        assert "process" in next(tmp_path.iterdir()).read_text(encoding="utf-8")


def test_exclusively_does_not_follow_links(tmp_path: Path) -> None:
    with exclusively("server a", "", str(tmp_path)):
        file = next(tmp_path.iterdir())
        assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "victim").write_text("precious", encoding="utf-8")
    file.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), exclusively("server a", "", str(tmp_path)):
        pass
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "precious"
