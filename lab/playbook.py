# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook and reads back what each task did, from the journal that a callback writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
FAILED = ("failed", "unreachable")


@dataclass(frozen=True)
class TaskRun:
    """One task of one host, or one item of its loop.

    Attributes:
        host: inventory name.
        task: the task's name, with its role's.
        action: fully qualified name of the module.
        path: file and line of the task.
        handler: whether it is a handler.
        item: label of the loop's item; None for the task itself.
        status: ok, changed, failed, ignored, skipped or unreachable.
        seconds: duration as the controller saw it.
        delegated: whether another host ran it.
    """

    host: str
    play: str
    task: str
    action: str
    path: str
    handler: bool
    item: str | None
    status: str
    seconds: float
    delegated: bool

    @property
    def where(self) -> str:
        """Host, task and item, as a person would name them."""
        item = "" if self.item is None else f" (item={self.item})"
        return f"{self.host}: {self.task}{item}"


@dataclass(frozen=True)
class PlaybookRun:
    """What one run of ansible-playbook did."""

    returncode: int
    seconds: float
    tasks: tuple[TaskRun, ...]

    def changed(self) -> frozenset[tuple[str, str, str, str | None]]:
        """The identity (host, file and line, name, item) of everything that reported changed."""
        return frozenset((run.host, run.path, run.task, run.item) for run in self.tasks if run.status == "changed")

    def count(self, host: str, *statuses: str) -> int:
        """How many tasks (not items) of a host ended in one of these states."""
        return sum(run.host == host and run.item is None and run.status in statuses for run in self.tasks)

    def failures(self) -> list[TaskRun]:
        """Tasks that failed and hosts that did not answer."""
        return [run for run in self.tasks if run.status in FAILED]


def lab_environment() -> dict[str, str]:
    """This process's environment, with this repository's configuration and lab."""
    return os.environ | {
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "INFOGERANCE_LAB_HOME": os.environ.get("INFOGERANCE_LAB_HOME") or str(REPOSITORY / ".lab"),
    }


def read_journal(lines: Iterable[str]) -> tuple[TaskRun, ...]:
    """Read the callback's journal.

    Args:
        lines: JSON lines; an unfinished last line (a killed run) is left out.
    """
    runs = []
    for line in lines:
        try:
            runs.append(TaskRun(**json.loads(line)))
        except json.JSONDecodeError:
            continue
    return tuple(runs)


def run_playbook(
    playbook: str | Path,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    output: Any = None,
    timeout: float | None = None,
) -> PlaybookRun:
    """Run a playbook and return what each task did.

    Args:
        playbook: its path.
        arguments: further words of the command line (``-i``, ``--check``, ``--limit`` ...).
        environment: variables added to this process's own.
        output: file object that receives standard output and error; this process's own when None.
        timeout: seconds after which the run is killed and ``subprocess.TimeoutExpired`` raised.
    """
    descriptor, name = tempfile.mkstemp(prefix="task-journal-", suffix=".jsonl")
    os.close(descriptor)
    journal = Path(name)
    env = lab_environment() | {
        "ANSIBLE_CALLBACK_PLUGINS": str(REPOSITORY / "lab" / "ansible"),
        "ANSIBLE_CALLBACKS_ENABLED": "task_journal",
        "INFOGERANCE_TASK_JOURNAL": name,
    }
    env.update(environment or {})
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook), *arguments]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=env,
            stdout=output,
            stderr=output,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - started
        return PlaybookRun(done.returncode, seconds, read_journal(journal.read_text(encoding="utf-8").splitlines()))
    finally:
        journal.unlink(missing_ok=True)


def host_variables(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Read an inventory.

    Args:
        arguments: words of the command line that choose it (``-i PATH``).
        environment: variables added to this process's own.

    Returns:
        Variables of each host, by its name.
    """
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), *arguments, "--list"],
        cwd=REPOSITORY,
        env=lab_environment() | dict(environment or {}),
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, dict[str, Any]] = _plain(json.loads(done.stdout)["_meta"]["hostvars"])
    return found


def _plain(value: Any) -> Any:
    """The value without the marks that ansible-inventory puts around text from outside."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
