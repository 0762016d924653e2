# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every gate, cheapest first, says how long each took, and fails when one does.

All gates run even after a failure: one run tells everything that is wrong. Some run side by side, because they wait
(for a server to boot, for an answer) or work on one core: each of their lines begins with the gate's name.
"""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GATES = ("lint", "sanity", "unit", "molecule", "integration")
AT_ONCE = 3


def run(gate: str) -> tuple[str, bool, float]:
    """Run one gate and pass its lines on; return its name, whether it passed, and its seconds."""
    started = time.monotonic()
    process = subprocess.Popen(
        ["make", "--no-print-directory", gate],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:
        for line in process.stdout or ():
            print(f"{gate:<11} | {line}", end="", flush=True)
    return gate, process.returncode == 0, time.monotonic() - started


def main() -> int:
    """Run the gates named on the command line, or all; return 0 when all passed."""
    started = time.monotonic()
    chosen = sys.argv[1:] or GATES
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, [gate for gate in GATES if gate in chosen]))
    print("\nGate          Result   Seconds")
    for gate, passed, seconds in results:
        print(f"{gate:<13} {'passed' if passed else 'FAILED':<8} {seconds:7.0f}")
    print(f"{'in all':<13} {'':<8} {time.monotonic() - started:7.0f}")
    good = sum(passed for _, passed, _ in results)
    print(f"{good} passed, {len(results) - good} failed")
    return 0 if results and good == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
