# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``site.yml`` with nothing to change: remote commands per host and wall time, beside their floor.

A remote command is one that a Windows server's journal holds, or one task that a Linux server ran for Ansible. The
floor is one command per host (``ping``) and the wall time of a playbook that does only that; the ratio to it is
printed. Each function's own part is held against its budget, and what a server costs in all against one more; what a
function includes counts as its own. The three costliest tasks are named with the seconds they took on all hosts
together. ``--ten`` declares ten more items of each kind first: the figures must not grow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks import _ten
from lab.demo import INVENTORY
from lab.playbook import REPOSITORY, PlaybookRun, TaskRun, host_variables, run_playbook
from lab.traces import instance_home

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Characters of a failed run's output that are shown, from its first failure on.
SHOWN = 4000
#: Actions that the controller carries out alone: they cost no remote command.
ON_CONTROLLER = frozenset(
    f"ansible.builtin.{name}"
    for name in (
        "add_host",
        "assert",
        "debug",
        "fail",
        "group_by",
        "import_role",
        "import_tasks",
        "include_role",
        "include_tasks",
        "include_vars",
        "meta",
        "pause",
        "set_fact",
        "validate_argument_spec",
    )
)
FLOOR = """
- hosts: windows
  gather_facts: false
  tasks: [{ansible.windows.win_ping: {}}]
- hosts: linux
  gather_facts: false
  tasks: [{ansible.builtin.ping: {}}]
"""
#: Most remote commands of a converged Windows server: a function's own part, the baseline's, and all together.
OWN, BASELINE, ALL = 45, 25, 70
#: Roles that others include: what they cost is their includer's.
SHARED = frozenset(("windows_prerequisites",))
COSTLIEST = 3


def journal_lines(server: str) -> int:
    """How many remote commands a simulated Windows server has received so far; 0 for other servers."""
    journal = instance_home() / "windows" / server / "journal.jsonl"
    return len(journal.read_text(encoding="utf-8").splitlines()) if journal.exists() else 0


def windows_servers() -> list[str]:
    """Names of the lab's simulated Windows servers."""
    return sorted(path.parent.name for path in instance_home().glob("windows/*/journal.jsonl"))


def commands_by_host(run: PlaybookRun, before: dict[str, int]) -> dict[str, int]:
    """Remote commands that a run cost, by host."""
    found = {name: journal_lines(name) - count for name, count in before.items()}
    linux = Counter(task.host for task in remote_tasks(run) if task.host not in found and task.host != "localhost")
    return found | dict(linux)


def remote_tasks(run: PlaybookRun) -> list[TaskRun]:
    """Tasks that cost a remote command each: items instead of their loop, nothing the controller does alone."""
    looped = {(task.host, task.path) for task in run.tasks if task.item is not None}
    return [
        task
        for task in run.tasks
        if not task.delegated
        and task.status != "skipped"
        and task.action not in ON_CONTROLLER
        and (task.item is not None or (task.host, task.path) not in looped)
    ]


def parts_of(tasks: Iterable[TaskRun]) -> Counter[str]:
    """Remote commands by role, in the order they ran; a shared role's count as those of the role before it."""
    found: Counter[str] = Counter()
    current = "site.yml"
    for task in tasks:
        role = role_of(task.path)
        current = current if role in SHARED else role
        found[current] += 1
    return found


def role_of(path: str) -> str:
    """The role a task belongs to, from its file."""
    parts = path.split("/")
    return parts[parts.index("roles") + 1] if "roles" in parts else "site.yml"


def quiet_run(playbook: str | Path, *words: str) -> PlaybookRun:
    """Run a playbook on the lab without showing it; a failure is shown and ends the benchmark."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        run = run_playbook(playbook, ["-i", INVENTORY, *words], output=output)
        if run.returncode:
            output.seek(0)
            text = output.read()
            begin = text.find("fatal: ")
            sys.exit(f"{text[begin:][:SHOWN] if begin >= 0 else text[-SHOWN:]}\nsite: {playbook} failed")
    return run


def main() -> int:
    """Measure on the live lab, which is made first where there is none; return 1 when a budget is passed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=__doc__)
    parser.add_argument("--ten", action="store_true", help="declare ten more items of each kind (the lab keeps them)")
    options = parser.parse_args()
    subprocess.run([sys.executable, "-m", "lab", "up"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    quiet_run("playbooks/provision.yml")
    words = ["-e", json.dumps(_ten.more(host_variables(["-i", INVENTORY])))] if options.ten else []
    if quiet_run("site.yml", *words).changed():
        quiet_run("site.yml", *words)
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as floor:
        floor.write(FLOOR)
        floor.flush()
        least = quiet_run(floor.name)
    before = {name: journal_lines(name) for name in windows_servers()}
    run = quiet_run("site.yml", *words)
    if run.changed():
        print("site: the measured run changed something, so this is not the figure wanted:", file=sys.stderr)
        print(json.dumps(sorted(map(str, run.changed())), indent=1), file=sys.stderr)
        return 1
    status = show(run, commands_by_host(run, before), set(before))
    print(f"wall time  {run.seconds:6.1f} s   floor {least.seconds:.1f} s   ratio {run.seconds / least.seconds:.1f}x")
    seconds: Counter[str] = Counter()
    for task in run.tasks:
        if task.item is None:
            seconds[task.task] += task.seconds  # type: ignore[assignment]  # a Counter adds floats as well
    for name, total in seconds.most_common(COSTLIEST):
        print(f"costliest  {total:6.1f} s   {name}")
    return status


def show(run: PlaybookRun, counts: dict[str, int], windows: set[str]) -> int:
    """Print what each server and each of its parts costs, beside budgets and floor; return 1 when one is passed.

    Args:
        run: a run that changed nothing.
        counts: remote commands by server.
        windows: servers that budgets hold for.
    """
    print(f"{'server':<10} {'part':<22} {'commands':>8} {'budget':>7} {'floor':>6}")
    remote = remote_tasks(run)
    over = 0
    for host, count in sorted(counts.items()):
        own = parts_of(task for task in remote if task.host == host)
        rows = [(part, own[part], BASELINE if part == "windows_baseline" else OWN) for part in own]
        for part, found, budget in [*rows, ("in all", count, ALL)]:
            limit = budget if host in windows else 0
            passed = bool(limit) and found > limit
            over |= passed
            word = " OVER" if passed else ""
            least = 1 if part == "in all" else ""
            print(f"{host:<10} {part:<22} {found:>8} {limit or '':>7} {least:>6}{word}")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
