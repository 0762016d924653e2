# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a playbook to its word: check mode writes nothing and predicts exactly what the next run changes.

``python -m lab.predict PLAYBOOK [arguments of ansible-playbook]`` runs it in check mode, then for real, then once
more. It fails when check mode predicted a change that did not come or missed one that did, when check mode left a trace
on a server, when nothing was changed on one of them (its drift was not seen), or when the last run still changed
something. It names what was changed.

A playbook whose roles end by reading their server again and requiring that nothing differs has proven by itself that
the repair is whole: ``--settles`` spares it the last run.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from lab.playbook import PlaybookRun, run_playbook
from lab.traces import Traces

if TYPE_CHECKING:
    from collections.abc import Sequence


def disagreements(predicted: PlaybookRun, done: PlaybookRun) -> list[str]:
    """Sentences on what check mode predicted and the run did not do, or the other way round."""
    foreseen, changed = predicted.changed(), done.changed()

    return [
        f"predicted by check mode, not changed by the run: {_name(key)}" for key in sorted(foreseen - changed, key=str)
    ] + [
        f"changed by the run, not predicted by check mode: {_name(key)}" for key in sorted(changed - foreseen, key=str)
    ]


def _name(key: tuple[str, str, str, str | None]) -> str:
    host, path, task, item = key
    return f"{host}: {task}{'' if item is None else f' (item={item})'} [{path}]"


def failures(title: str, run: PlaybookRun) -> list[str]:
    """Sentences on a run that did not end well."""
    found = [f"{title}: {task.where} {task.status} [{task.path}]" for task in run.failures()]
    return found or ([f"{title}: ansible-playbook ended with {run.returncode}"] if run.returncode else [])


def unseen(done: PlaybookRun) -> list[str]:
    """Sentences on the servers of a run that nothing was changed on, which each had drifted."""
    quiet = {task.host for task in done.tasks} - {"localhost"} - {host for host, *_rest in done.changed()}
    return [f"{host}: the run changed nothing: the drift was not seen" for host in sorted(quiet)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the three runs; return 0 when the playbook keeps its word."""
    parser = argparse.ArgumentParser(prog="python -m lab.predict", description=__doc__)
    parser.add_argument("playbook")
    parser.add_argument(
        "--settles", action="store_true", help="the run itself requires at its end that nothing differs"
    )
    options, arguments = parser.parse_known_args(argv)

    before = Traces.take()
    predicted = run_playbook(options.playbook, ["--check", "--diff", *arguments])
    problems = failures("check mode", predicted)
    problems += [
        f"check mode wrote: {trace}" for trace in before.changes_since(frozenset(task.host for task in predicted.tasks))
    ]
    done = run_playbook(options.playbook, arguments)
    problems += failures("run", done)
    problems += disagreements(predicted, done)
    problems += unseen(done)
    if not options.settles:
        again = run_playbook(options.playbook, arguments)
        problems += failures("second run", again)
        problems += [
            f"second run changed: {task.where} [{task.path}]" for task in again.tasks if task.status == "changed"
        ]

    for key in sorted(done.changed(), key=str):
        print(f"predict: changed: {_name(key)}")
    for problem in problems:
        print(f"predict: {problem}", file=sys.stderr)
    if not problems:
        print(f"predict: check mode foresaw exactly the {len(done.changed())} changes of the run, and wrote nothing")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
