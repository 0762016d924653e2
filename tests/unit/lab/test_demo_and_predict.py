# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration's table and the judgement of check mode, from journals written by hand."""

from __future__ import annotations

import json

import pytest

from lab import demo, predict
from lab.playbook import PlaybookRun, TaskRun, read_journal


def task(host="web01", name="nginx", status="ok", item=None, seconds=1.0, path="roles/x/tasks/main.yml:3"):
    return TaskRun(
        host=host,
        play="p",
        task=name,
        action="ansible.builtin.service",
        path=path,
        handler=False,
        item=item,
        status=status,
        seconds=seconds,
        delegated=False,
    )


def run(*tasks, returncode=0):
    return PlaybookRun(returncode=returncode, seconds=10.0, tasks=tuple(tasks))


def test_each_server_whose_drift_was_not_seen_is_named():
    done = run(task(status="changed"), task(host="db01"), task(host="localhost"), task(host="web02", status="skipped"))
    assert predict.unseen(done) == [
        "db01: the run changed nothing: the drift was not seen",
        "web02: the run changed nothing: the drift was not seen",
    ]


def test_a_journal_is_read_back_and_a_half_written_line_is_left_out():
    whole = json.dumps(vars(task(status="changed")))
    assert read_journal([whole, whole[: len(whole) // 2]]) == (task(status="changed"),)


def test_items_are_not_counted_as_tasks():
    done = run(task(status="changed"), task(status="changed", item="a"), task(status="changed", item="b"))
    assert done.count("web01", "changed") == 1
    assert len(done.changed()) == 3


def test_check_mode_that_foresees_everything_has_no_disagreement():
    both = run(task(status="changed"), task(name="other"))
    assert predict.disagreements(both, both) == []


@pytest.mark.parametrize(
    ("predicted", "done", "sentence"),
    [
        (task(status="ok"), task(status="changed"), "changed by the run, not predicted by check mode: web01: nginx"),
        (task(status="changed"), task(status="ok"), "predicted by check mode, not changed by the run: web01: nginx"),
        (
            task(status="changed", item="a"),
            task(status="changed", item="b"),
            "predicted by check mode, not changed by the run: web01: nginx (item=a)",
        ),
    ],
)
def test_each_disagreement_is_named(predicted, done, sentence):
    found = predict.disagreements(run(predicted), run(done))
    assert any(line.startswith(sentence) for line in found), found


def test_a_run_that_ends_badly_without_a_failed_task_is_reported():
    assert predict.failures("run", run(returncode=4)) == ["run: ansible-playbook ended with 4"]
    assert predict.failures("run", run(task(status="unreachable"), returncode=4)) == [
        "run: web01: nginx unreachable [roles/x/tasks/main.yml:3]"
    ]


def test_the_table_counts_each_run_apart_and_sorts_by_address():
    hosts = {
        "web10": {
            "infogerance_server": {"functions": ["wordpress"], "system": "ubuntu_2404"},
            "ansible_host": "10.0.0.10",
        },
        "dc01": {
            "infogerance_server": {"functions": ["domain_controller"], "system": "windows_2022"},
            "ansible_host": "10.0.0.9",
        },
    }
    first = run(task(host="web10", status="changed", seconds=2), task(host="dc01", status="failed", seconds=3))
    second = run(task(host="web10", seconds=1))
    lines = demo.rows(hosts, first, second)
    assert [(row.server, row.changes, row.failures, row.seconds) for row in lines] == [
        ("dc01", (0, 0), 1, 3.0),
        ("web10", (1, 0), 0, 3.0),
    ]
    shown = demo.table(lines).splitlines()
    assert shown[0].split() == [
        "Server",
        "Function",
        "System",
        "Address",
        "Run",
        "1",
        "Run",
        "2",
        "Failures",
        "Seconds",
    ]
    assert shown[2].split() == [
        "web10",
        "wordpress",
        "ubuntu_2404",
        "10.0.0.10",
        "1",
        "changed",
        "0",
        "changed",
        "0",
        "3",
    ]
