# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin against community.proxmox's: the same facts of the same guests, from the same answers.

What is measured: the time Ansible takes to parse an inventory file (`InventoryManager`, imports not counted), in a
fresh process each time, with its largest resident memory. The answers are fakepve's, recorded once and replayed by a
server in a process of its own, so that the fake's slowness is neither's; each is delayed by what the line says.
The same facts are: configuration, guest agent's addresses and snapshots of each guest, besides its status and use; the
benchmark compares what both plugins found and stops when they differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests
import yaml

from benchmarks._replay import SECRET, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
OURS, THEIRS = "cnosf.infogerance.datacenter", "community.proxmox.proxmox"
# At least so many times faster, at most so many seconds and megabytes more.
WANTED_RATIO, WANTED_SECONDS, WANTED_MEGABYTES = 30.0, 5.0, 500.0


class Bench:
    """Starts the API once for a number of guests, and measures plugins against it."""

    def __init__(self, guests: int, folder: Path) -> None:
        """Start the API."""
        self.guests = guests
        self.folder = folder
        command = [sys.executable, "-m", "benchmarks._replay", str(guests), str(folder)]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        told = self.server.stdout.readline() if self.server.stdout else ""
        if not told:
            raise SystemExit("the replayed API did not start: see the error above")
        self.where = json.loads(told)

    def __enter__(self) -> Self:
        """Use with `with`, so that the API ends."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the API."""
        self.server.terminate()
        self.server.wait(10)

    def control(self, milliseconds: int) -> int:
        """Set the delay of each answer; answers the calls since the last time."""
        return int(requests.get(f"{self.where['url']}/bench/{milliseconds}", verify=self.where["ca"], timeout=30).text)

    def options(self, plugin: str, *, facts: bool) -> dict[str, Any]:
        """Answer the inventory file for a plugin."""
        if plugin == OURS:
            more: dict[str, Any] = {"want_details": facts, "details": ["config", "agent", "snapshots"]}
            return {
                "plugin": OURS,
                "url": self.where["url"],
                "token_id": TOKEN,
                "token_secret": SECRET,
                "ca_file": self.where["ca"],
                **more,
            }
        return {
            "plugin": THEIRS,
            "url": self.where["url"],
            "user": "root@pam",
            "token_id": "bench",
            "token_secret": SECRET,
            "validate_certs": True,
            "want_facts": facts,
        }

    def run(self, plugin: str, *, facts: bool, milliseconds: int) -> dict[str, Any]:
        """Measure a plugin in a process of its own."""
        name = "datacenter" if plugin == OURS else "proxmox"
        file = self.folder / f"bench.{name}.yml"
        file.write_text(yaml.safe_dump(self.options(plugin, facts=facts)), encoding="utf-8")
        self.control(milliseconds)
        command = [sys.executable, "-m", "benchmarks._measure", str(file), plugin]
        settings = self.folder / "ansible.cfg"
        settings.touch()
        environment = {**os.environ, "ANSIBLE_CONFIG": str(settings), "REQUESTS_CA_BUNDLE": self.where["ca"]}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment, check=True)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        result["calls"] = self.control(0)
        if result["hosts"] != self.guests:
            raise SystemExit(f"{plugin} found {result['hosts']} of {self.guests} guests")
        return result


def line(label: str, result: dict[str, Any]) -> None:
    """Print one measurement: wall time, processor time of the plugin's process, calls, largest resident memory."""
    print(
        f"  {label:<67} {result['seconds']:7.2f} s  {result['processor']:6.2f} s cpu  {result['calls']:5d} calls  "
        f"{result['megabytes']:4.0f} MB",
        flush=True,
    )


def verdict(label: str, *, good: bool) -> bool:
    """Print one figure against what it shall be."""
    print(f"  {'reached' if good else 'MISSED '}  {label}", flush=True)
    return good


def compare(guests: int, folder: Path) -> Iterator[bool]:
    """Print the figures of the same facts; answers whether each is reached."""
    with Bench(guests, folder) as bench:
        print(f"{guests} guests, the same facts of each (configuration, agent's addresses, snapshots)")
        bench.run(OURS, facts=True, milliseconds=0)  # records the answers
        bench.run(THEIRS, facts=False, milliseconds=0)
        theirs_fast = bench.run(THEIRS, facts=True, milliseconds=0)
        line(f"{THEIRS}, want_facts, 0 ms", theirs_fast)
        ours_fast = bench.run(OURS, facts=True, milliseconds=0)
        line(f"{OURS}, want_details, 0 ms", ours_fast)
        ours = bench.run(OURS, facts=True, milliseconds=20)
        line(f"{OURS}, want_details, 20 ms", ours)
        theirs = bench.run(THEIRS, facts=True, milliseconds=20)
        line(f"{THEIRS}, want_facts, 20 ms", theirs)
        different = [name for name, facts in ours["facts"].items() if theirs["facts"].get(name) != facts]
        if different:
            name = different[0]
            raise SystemExit(f"not the same facts of {name}: {ours['facts'][name]} and {theirs['facts'].get(name)}")
        ratio = theirs["seconds"] / ours["seconds"]
        yield verdict(
            f"{ratio:.1f} times faster at 20 ms an answer (at least {WANTED_RATIO:g})", good=ratio >= WANTED_RATIO
        )
        bulk, plain = (
            min((bench.run(plugin, facts=False, milliseconds=0) for _time in range(3)), key=lambda run: run["seconds"])
            for plugin in (OURS, THEIRS)
        )
        line(f"{THEIRS}, without facts, 0 ms, best of 3", plain)
        line(f"{OURS}, without details, 0 ms, best of 3", bulk)
        ratio = plain["seconds"] / bulk["seconds"]
        yield verdict(f"{ratio:.1f} times faster at 0 ms without facts (at least 1)", good=ratio >= 1)


def grow(folder: Path) -> Iterator[bool]:
    """Print the figures of a large datacenter; answers whether each is reached."""
    print("10,000 guests against 10, without details")
    results = {}
    for guests in (10, 10_000):
        with Bench(guests, folder) as bench:
            bench.run(OURS, facts=False, milliseconds=0)
            results[guests] = bench.run(OURS, facts=False, milliseconds=0)
            line(f"{OURS}, {guests} guests", results[guests])
    more = results[10_000]["seconds"] - results[10]["seconds"]
    yield verdict(f"{more:.2f} s more (under {WANTED_SECONDS:g})", good=more < WANTED_SECONDS)
    megabytes = results[10_000]["megabytes"]
    yield verdict(f"{megabytes:.0f} MB (under {WANTED_MEGABYTES:g})", good=megabytes < WANTED_MEGABYTES)


def main() -> int:
    """Run the comparison; answers 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guests", type=int, default=1000, help="guests of the comparison (default: 1000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reached = [*compare(options.guests, Path(folder)), *grow(Path(folder))]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
