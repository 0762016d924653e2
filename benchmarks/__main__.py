# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: every benchmark, or those named (``python -m benchmarks site``), printing ratios of one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run each benchmark in a process of its own, so that memory is measured for it alone."""
    found = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    chosen = sys.argv[1:] or found
    unknown = sorted(set(chosen) - set(found))
    if unknown:
        print(f"bench: no benchmark {', '.join(unknown)}; there are: {', '.join(found)}", file=sys.stderr)
        return 2
    status = 0
    for name in chosen:
        print(f"\n==> {name}", flush=True)
        status |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
