# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of systemd units: planned purely, and brought to what they shall be on a systemd that is played here."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    EngineError,
    InputError,
    NotAppliedError,
    NotFoundError,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.linux.units import Found, Units, Wanted, check, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile


@dataclass
class Systemd:
    """What `systemctl` does to units, each a `Found` by its full name; `crashes` are those that fail when started."""

    units: dict[str, Found]
    crashes: frozenset[str] = frozenset()
    on_disk: dict[str, Found] = field(default_factory=dict)
    called: list[list[str]] = field(default_factory=list)
    lives: itertools.count[int] = field(default_factory=itertools.count)

    def __call__(self, arguments):
        self.called.append(list(arguments))
        verb, names = arguments[0], arguments[arguments.index("--") + 1 :] if "--" in arguments else []
        if verb == "show":
            blocks = []
            for name in names:
                unit = self.units.get(name, Found())
                blocks.append(
                    f"LoadState={unit.load}\nActiveState={unit.active}\nUnitFileState={unit.enabled}\n"
                    f"InvocationID={unit.invocation}\n"
                )
            return 0, "\n".join(blocks), ""
        if verb == "daemon-reload":
            self.units |= self.on_disk
            return 0, "", ""
        failed = [name for name in names if not self._do(verb, name)]
        return int(bool(failed)), "", "".join(f"Job for {name} failed.\n" for name in failed)

    def _do(self, verb, name):
        unit = self.units[name]
        active, enabled, invocation = unit.active, unit.enabled, unit.invocation
        match verb:
            case "enable" | "disable":
                enabled = f"{verb}d"
            case "start" | "restart":
                active = "failed" if name in self.crashes else "active"
                invocation = f"life{next(self.lives)}"
            case "stop" | "reset-failed":
                active = "inactive"
        self.units[name] = Found(unit.load, active, enabled, invocation)
        return not (verb in ("start", "restart") and name in self.crashes)


def run(systemd, wanted, *, check_only=False):
    store = Units(systemd, wanted, check=check_only)
    return reconcile(
        store.read,
        lambda found: plan(wanted, found, store.first),
        lambda change, _: store.apply(change),
        check=check_only,
    )


RUNS = Found("loaded", "active", "enabled", "a")
RESTS = Found("loaded", "inactive", "disabled", "a")
FAILED = Found("loaded", "failed", "disabled", "a")


@pytest.mark.parametrize(
    ("wanted", "found", "actions"),
    [
        (Wanted("u", "started", True), RUNS, []),
        (Wanted("u", "started", True), RESTS, ["enable", "start"]),
        (Wanted("u", "started"), RESTS, ["start"]),
        (Wanted("u", enabled=True), RESTS, ["enable"]),
        (Wanted("u", "started", True), FAILED, ["enable", "start"]),
        (Wanted("u", "stopped", False), RUNS, ["disable", "stop"]),
        (Wanted("u", "stopped", False), RESTS, []),
        (Wanted("u", "stopped", False), FAILED, ["reset-failed"]),
        (Wanted("u", "stopped", False), Found(), []),
        (Wanted("u", "restarted"), RUNS, ["restart"]),
        (Wanted("u", "restarted"), RESTS, ["start"]),
        (Wanted("u", "started", True), Found("loaded", "active", "static"), []),
        (Wanted("u", "stopped", False), Found("masked", "inactive", "masked"), []),
        (Wanted("u", "started", False), Found("loaded", "activating", "enabled-runtime"), ["disable"]),
        (Wanted("u", enabled=False), Found("loaded", "inactive", "indirect"), []),
        (Wanted("u", "stopped"), Found("loaded", "reloading", "enabled"), ["stop"]),
    ],
)
def test_plan(wanted, found, actions):
    assert [change.action for change in plan([wanted], {"u": found}, {"u": found})] == actions


def test_a_list_is_one_command_an_action():
    systemd = Systemd({"a.service": RESTS, "b.timer": RESTS, "c.service": RUNS, "d.service": RUNS})
    wanted = [
        Wanted("a", "started", enabled=True),
        Wanted("b.timer", "started", enabled=True),
        Wanted("c", "stopped", enabled=False),
        Wanted("d", "restarted"),
    ]
    foreseen = run(systemd, wanted, check_only=True)
    assert [call[0] for call in systemd.called] == ["show"]
    outcome = run(systemd, wanted)
    assert outcome.changes == foreseen.changes
    assert [change.as_dict() for change in outcome.changes] == [
        {"action": "disable", "subject": "units at boot", "before": {"c": "enabled"}, "after": {"c": "disabled"}},
        {
            "action": "enable",
            "subject": "units at boot",
            "before": {"a": "disabled", "b.timer": "disabled"},
            "after": {"a": "enabled", "b.timer": "enabled"},
        },
        {"action": "stop", "subject": "units now", "before": {"c": "active"}, "after": {"c": "inactive"}},
        {
            "action": "start",
            "subject": "units now",
            "before": {"a": "inactive", "b.timer": "inactive"},
            "after": {"a": "active", "b.timer": "active"},
        },
        {"action": "restart", "subject": "units now", "before": {"d": "active"}, "after": {"d": "active anew"}},
    ]
    done = [call for call in systemd.called if call[0] != "show"]
    assert done == [
        ["daemon-reload"],
        ["disable", "--", "c.service"],
        ["enable", "--", "a.service", "b.timer"],
        ["stop", "--", "c.service"],
        ["start", "--", "a.service", "b.timer"],
        ["restart", "--", "d.service"],
    ]
    assert not run(systemd, wanted[:3]).changed
    assert run(systemd, wanted[3:]).changed


def test_what_is_as_it_shall_be_costs_one_look():
    systemd = Systemd({"a.service": RUNS})
    assert not run(systemd, [Wanted("a", "started", enabled=True)]).changed
    assert [call[0] for call in systemd.called] == ["show"]
    assert run(systemd, []).changes == ()
    assert len(systemd.called) == 1


def test_a_file_that_was_just_written_is_read():
    systemd = Systemd({}, on_disk={"new.service": RESTS})
    assert run(systemd, [Wanted("new", "started")]).changed
    assert systemd.units["new.service"].running


def test_a_unit_that_does_not_exist_is_an_error_and_nothing_is_done():
    systemd = Systemd({"a.service": RESTS})
    wanted = [Wanted("a", "started"), Wanted("none", "started"), Wanted("gone", "stopped", enabled=False)]
    with pytest.raises(NotFoundError, match=r"^none: no such unit on this server\. Install what brings it"):
        run(systemd, wanted)
    assert systemd.units == {"a.service": RESTS}


def test_check_mode_foresees_a_unit_that_is_still_to_be_brought():
    changes = run(Systemd({}), [Wanted("none", "started", enabled=True)], check_only=True).changes
    assert [(change.action, change.before) for change in changes] == [
        ("enable", {"none": "not-found"}),
        ("start", {"none": "inactive"}),
    ]


def test_a_service_that_fails_is_told_in_systemds_words():
    systemd = Systemd({"a.service": RESTS, "b.service": RESTS}, crashes=frozenset({"b.service"}))
    with pytest.raises(EngineError) as told:
        run(systemd, [Wanted("a", "started"), Wanted("b", "started")])
    assert str(told.value) == (
        "a.service, b.service: systemctl start failed: Job for b.service failed. "
        "Look at journalctl --unit=NAME, mend what it tells and run again."
    )
    assert systemd.units["a.service"].running


def test_a_service_that_does_not_stay_is_no_success():
    class Dies(Systemd):
        def __call__(self, arguments):
            super().__call__(arguments)
            if arguments[0] == "start":
                self.units["a.service"] = RESTS
            return super().__call__(arguments) if arguments[0] == "show" else (0, "", "")

    with pytest.raises(NotAppliedError, match="units now: the engine reported that start succeeded"):
        run(Dies({"a.service": RESTS}), [Wanted("a", "started")])


def test_a_systemd_that_does_not_answer():
    words = "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
    with pytest.raises(EngineError, match=r"^systemd does not answer: System has not been booted"):
        Units(lambda _: (1, "", words), [Wanted("a")], check=False).read()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["*.service"], "no name of a unit"),
        (["--now"], "no name of a unit"),
        ([""], "no name of a unit"),
        (["a b"], "no name of a unit"),
        (["cron@.timer"], "cron@.timer is a template"),
        (["cron@"], "cron@ is a template"),
        (["nginx", "nginx.service"], "nginx.service is declared twice"),
        (["nginx.service", "nginx.timer"], None),
    ],
)
def test_names(names, message):
    units = [Wanted(name, "started") for name in names]
    if message is None:
        check(units)
        return
    with pytest.raises(InputError, match=message):
        check(units)


WANTED = st.builds(
    Wanted,
    st.sampled_from(["a", "b.timer", "c.socket"]),
    st.sampled_from([None, "started", "stopped", "restarted"]),
    st.sampled_from([None, True, False]),
)
UNIT = st.builds(
    Found,
    st.just("loaded"),
    st.sampled_from(["active", "inactive", "failed"]),
    st.sampled_from(["enabled", "disabled", "static"]),
    st.sampled_from(["", "x"]),
)


@given(
    st.lists(WANTED, unique_by=lambda unit: unit.name),
    st.fixed_dictionaries({"a.service": UNIT, "b.timer": UNIT, "c.socket": UNIT}),
)
def test_any_list_is_reached_as_foreseen_and_once(wanted, units):
    systemd = Systemd(dict(units))
    foreseen = run(systemd, wanted, check_only=True).changes
    assert systemd.units == units
    assert run(systemd, wanted).changes == foreseen
    again = run(systemd, wanted).changes
    assert {change.action for change in again} <= {"restart"}
