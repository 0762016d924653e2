# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory on a lab instance of the tests' own, and what tests do with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.playbook import PlaybookRun, host_variables, run_playbook

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass
class Estate:
    """An inventory on a lab instance."""

    instance: str
    number: int
    inventory: Path
    logs: Path

    @property
    def network(self) -> str:
        return f"10.{42 + self.number}.0"

    @property
    def home(self) -> Path:
        return REPOSITORY / ".lab" / self.instance

    @property
    def environment(self) -> dict[str, str]:
        return {
            "INFOGERANCE_LAB_INSTANCE": self.instance,
            "INFOGERANCE_LAB_HOME": str(REPOSITORY / ".lab"),
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        }

    @property
    def arguments(self) -> list[str]:
        return [
            "-i",
            str(self.inventory),
            "-e",
            f"infogerance_network={self.network}",
            "-e",
            "infogerance_boot_timeout=60",
        ]

    def secrets(self) -> dict[str, Any]:
        return yaml.safe_load((self.home / "secrets.yml").read_text(encoding="utf-8"))

    def lab(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lab", "--instance", self.instance, "--number", str(self.number), *words]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}\n{done.stderr}"
        return done

    def play(self, playbook: str, *words: str, timeout: float = 900) -> tuple[PlaybookRun, str]:
        """Run a playbook; return what it did and what it printed."""
        log = self.logs / f"{time.monotonic_ns()}-{Path(playbook).stem}.log"
        with log.open("w", encoding="utf-8") as output:
            done = run_playbook(
                playbook, [*self.arguments, *words], environment=self.environment, output=output, timeout=timeout
            )
        return done, log.read_text(encoding="utf-8")

    def converge(self, playbook: str, *words: str) -> PlaybookRun:
        """Run a playbook that must succeed."""
        done, text = self.play(playbook, *words)
        assert done.returncode == 0, text[-6000:]
        return done

    def writes(self) -> int:
        """How many writing calls the datacenter's API has had so far."""
        return json.loads(self.lab("journal", "--count").stdout)["writes"]

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Host variables of the inventory, by server."""
        return host_variables(["-i", str(self.inventory)], environment=self.environment)

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of Ansible's commands on this inventory."""
        done = subprocess.run(
            [str(BIN / words[0]), "-i", str(self.inventory), *words[1:]],
            cwd=REPOSITORY,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


def descendants(parent: int) -> list[int]:
    """Every process below one: Ansible's workers lead sessions of their own, and outlive a kill of its group."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(stat.parent.name))
    return [pid for child in children for pid in (child, *descendants(child))]


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a run with every process below it, as the controller's loss would."""
    for pid in (process.pid, *descendants(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
