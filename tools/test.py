# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every gate, cheapest first, says how long each took, and fails when one does.

All gates run even after a failure: one run tells everything that is wrong.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GATES = ("lint", "unit", "sanity", "molecule", "integration")


def main() -> int:
    """Run the gates named on the command line, or all; return 0 when all passed."""
    results: list[tuple[str, bool, float]] = []
    for gate in sys.argv[1:] or GATES:
        print(f"\n==> make {gate}", flush=True)
        started = time.monotonic()
        done = subprocess.run(["make", "--no-print-directory", gate], cwd=REPOSITORY, check=False)
        results.append((gate, done.returncode == 0, time.monotonic() - started))
    print("\nGate          Result   Seconds")
    for gate, passed, seconds in results:
        print(f"{gate:<13} {'passed' if passed else 'FAILED':<8} {seconds:7.0f}")
    print(f"{'':<13} {'':<8} {sum(seconds for _, _, seconds in results):7.0f}")
    good = sum(passed for _, passed, _ in results)
    print(f"{good} passed, {len(results) - good} failed")
    return 0 if good == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
