# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: starts the lab, creates the contract's servers, configures them twice, and shows what happened."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.playbook import REPOSITORY, PlaybookRun, host_variables, lab_environment, run_playbook
from lab.traces import instance_home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INVENTORY = "inventories/lab"
HEADINGS = ("Server", "Function", "System", "Address", "Run 1", "Run 2", "Failures", "Seconds")


@dataclass(frozen=True)
class Row:
    """One server's line: names, how many tasks changed it in each run, failures of both, seconds of both."""

    server: str
    functions: str
    system: str
    address: str
    changes: tuple[int, int]
    failures: int
    seconds: float

    def cells(self) -> tuple[str, ...]:
        """The line's cells as text."""
        first, second = self.changes
        return (
            self.server,
            self.functions,
            self.system,
            self.address,
            f"{first} changed",
            f"{second} changed",
            str(self.failures),
            f"{self.seconds:.0f}",
        )


def say(text: str) -> None:
    """Print a step's title so that it stands out."""
    print(f"\n\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"\n==> {text}", flush=True)


def rows(hosts: Mapping[str, Mapping[str, Any]], first: PlaybookRun, second: PlaybookRun) -> list[Row]:
    """One row per server, sorted by address."""
    found = []
    for name, variables in hosts.items():
        own = [run for run in (*first.tasks, *second.tasks) if run.host == name and run.item is None]
        found.append(
            Row(
                server=name,
                functions=", ".join(variables["infogerance_server"]["functions"]),
                system=str(variables["infogerance_server"]["system"]),
                address=str(variables.get("ansible_host", "")),
                changes=(first.count(name, "changed"), second.count(name, "changed")),
                failures=sum(run.status in ("failed", "unreachable") for run in own),
                seconds=sum(run.seconds for run in own),
            )
        )
    return sorted(found, key=lambda row: [int(part) if part.isdigit() else 0 for part in row.address.split(".")])


def table(lines: Sequence[Row]) -> str:
    """The rows under their headings, in columns."""
    cells = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def site_of(server: str) -> str:
    """Name of a web server's first site, as its variables say; empty where they say none."""
    command = [str(Path(sys.executable).parent / "ansible"), "-i", INVENTORY, server, "-m", "ansible.builtin.debug"]
    done = subprocess.run(
        [*command, "-a", "var=wordpress_sites[0].hostname"],
        cwd=REPOSITORY,
        env=lab_environment() | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        check=False,
        capture_output=True,
        text=True,
    )
    found: str = json.loads(done.stdout.partition("=>")[2] or "{}").get("wordpress_sites[0].hostname", "")
    return found


def next_steps(hosts: Mapping[str, Mapping[str, Any]]) -> str:
    """What to try on the live lab, as lines that can be pasted into a shell."""
    home = instance_home()
    lab = home.relative_to(REPOSITORY) if home.is_relative_to(REPOSITORY) else home
    lines = ["The estate is running. What to try next:"]
    sites = [name for name, values in hosts.items() if "wordpress" in values["infogerance_server"]["functions"]]
    for web in sites[:1]:
        address = hosts[web]["ansible_host"]
        login = f"ssh -i {lab}/ssh/id_ed25519 -o UserKnownHostsFile={lab}/ssh/known_hosts ansible@{address}"
        lines += [
            f"  log in              {login}",
            f"  open WordPress      curl --cacert {lab}/ca/ca.pem --connect-to ::{address}: https://{site_of(web)}/",
            f"  break something     {login} sudo systemctl stop nginx",
        ]
    lines += [
        "  see the drift       make converge ARGS='--check --diff'",
        "  repair it           make converge",
        "  a bad day           .venv/bin/python -m lab fault kinds",
        "  stop, and remove    make lab-down, make clean",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the demonstration; return 0 when nothing failed and the second run changed nothing."""
    started = time.monotonic()
    say("Starting the lab")
    if subprocess.run([sys.executable, "-m", "lab", "up"], cwd=REPOSITORY, check=False).returncode:
        return 1
    say("Creating the contract's servers through the datacenter's API (playbooks/provision.yml)")
    created = run_playbook("playbooks/provision.yml", ["-i", INVENTORY])
    if created.returncode:
        print("demo: the servers could not be created; the message above says why", file=sys.stderr)
        return 1
    runs = []
    for number in (1, 2):
        say(f"Configuring them (site.yml, run {number} of 2)")
        runs.append(run_playbook("site.yml", ["-i", INVENTORY]))
    hosts = host_variables(["-i", INVENTORY])
    lines = rows(hosts, *runs)
    say("The estate")
    print(table(lines))
    failed = any(run.returncode for run in runs)
    changed = sum(line.changes[1] for line in lines)
    seconds = time.monotonic() - started
    print(f"\n{len(lines)} servers in {seconds:.0f} s; the second run changed {changed or 'nothing'}.\n")
    if failed:
        for task in [task for run in runs for task in run.failures()]:
            print(f"demo: {task.where} {task.status} [{task.path}]", file=sys.stderr)
        return 1
    print(next_steps(hosts))
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
