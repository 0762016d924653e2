# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Molecule's scenarios, two at a time, on the lab instance "test".

``python tools/molecule.py [ROLE]`` runs the scenario of a role, or all of them. Each scenario's output goes to
``.cache/molecule/<scenario>.log``, and what Molecule keeps of it to the folder of that name; a failed scenario's last
lines are shown.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LOGS = REPOSITORY / ".cache" / "molecule"
BIN = Path(sys.executable).parent
SHOWN_LINES = 60
INSTANCE = "test"


def scenarios(role: str | None) -> list[str]:
    """Name of the scenario of a role, or of all roles; the one thought to be longest first."""
    found = sorted(path.parent.name for path in (REPOSITORY / "molecule").glob("*/molecule.yml"))
    chosen = [name for name in found if role in (None, name)]
    return sorted(chosen, key=lambda name: (name != "wordpress", name != "linux_baseline", name))


def without_servers() -> bool:
    """Whether the lab holds nothing yet: no scenario has left servers there, which the next one would remove first."""
    command = [sys.executable, "-m", "lab", "--instance", INSTANCE, "status", "--json"]
    said = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    return not json.loads(said)["servers"]


def run(scenario: str, *, alone: bool, first: str) -> tuple[str, bool, float]:
    """Run one scenario; return its name, whether it passed, and its seconds.

    Args:
        scenario: its name.
        alone: show its output instead of keeping it.
        first: Molecule's action that the sequence begins with.
    """
    started = time.monotonic()
    log, state = LOGS / f"{scenario}.log", LOGS / scenario
    if first != "destroy":
        # What a run that was cut short left: Molecule would take its servers for those of this lab.
        shutil.rmtree(state, ignore_errors=True)
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "INFOGERANCE_LAB_INSTANCE": INSTANCE,
        "INFOGERANCE_SCENARIO_FIRST": first,
        "MOLECULE_EPHEMERAL_DIRECTORY": str(state),
    }
    command = [str(BIN / "molecule"), "test", "-s", scenario]
    if alone:
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, stdin=subprocess.DEVNULL)
        return scenario, done.returncode == 0, time.monotonic() - started
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return scenario, done.returncode == 0, time.monotonic() - started


def main() -> int:
    """Run the scenarios; return 0 when all passed."""
    role = sys.argv[1] if len(sys.argv) > 1 else None
    chosen = scenarios(role)
    if not chosen:
        known = ", ".join(scenarios(None))
        print(f"molecule: no scenario for {role!r}; there are: {known}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    real = "MOLECULE_INVENTORY" in os.environ
    if not real:
        subprocess.run([sys.executable, "-m", "lab", "--instance", INSTANCE, "up"], cwd=REPOSITORY, check=True)
    # The configuration disables "dependency": the sequence begins with nothing then.
    first = "destroy" if real or not without_servers() else "dependency"
    good = 0
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=1 if real else 2) as pool:
            futures = [pool.submit(run, name, alone=len(chosen) == 1, first=first) for name in chosen]
            for future in concurrent.futures.as_completed(futures):
                name, passed, seconds = future.result()
                good += passed
                print(f"molecule: {name:<32} {'passed' if passed else 'FAILED'} in {seconds:.0f} s", flush=True)
                log = LOGS / f"{name}.log"
                if not passed and log.exists() and len(chosen) > 1:
                    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
                    print("\n".join(f"    {line}" for line in text.splitlines()[-SHOWN_LINES:]), flush=True)
                    print(f"    (the whole is in {log.relative_to(REPOSITORY)})", flush=True)
    finally:
        if not real and "MOLECULE_KEEP_LAB" not in os.environ:
            subprocess.run(
                [sys.executable, "-m", "lab", "--instance", INSTANCE, "down", "--purge"], cwd=REPOSITORY, check=False
            )
    print(f"{good} passed, {len(chosen) - good} failed")
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
