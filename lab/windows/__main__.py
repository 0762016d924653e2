# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m lab.windows`` lists the modules and plain commands that simulated Windows servers know."""

from __future__ import annotations

from lab.windows import commands, registry


def main() -> int:
    """Print one line per module and per command, with what each was written from; 1 when a file does not load."""
    registry.load_handlers()
    for name, entry in sorted(registry.HANDLERS.items()):
        print(f"{name:45} {entry.source}")
    print()
    for pattern, _function, source in commands.COMMANDS:
        print(f"{pattern.pattern[:60]:62} {source}")
    for name, problem in registry.PROBLEMS.items():
        print(f"lab/windows/handlers/{name}.py could not be loaded: {problem}")
    return 1 if registry.PROBLEMS else 0


if __name__ == "__main__":
    raise SystemExit(main())
