# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the README's figure of PowerShell that no test executes: ``--write`` writes it, otherwise it is judged.

Lines are those of the modules' code: blank lines and comments are not counted.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FIGURE = re.compile(r"(?<=`plugins/modules/\*\.ps1`: )[\d,]+ modules, [\d,]+ lines")
COMMENT = re.compile(r"<#.*?#>", re.DOTALL)


def lines_of(source: str) -> int:
    """Lines of code of one PowerShell file."""
    lines = (line.strip() for line in COMMENT.sub("", source).splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def powershell(folder: Path) -> str:
    """The figure: how many modules in a folder, how many lines."""
    counts = [lines_of(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.ps1"))]
    return f"{len(counts)} modules, {sum(counts):,} lines"


def main() -> int:
    """Compare, or write; return 1 when the README tells another figure or none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the figure into the README")
    arguments = parser.parse_args()
    readme = REPOSITORY / "README.md"
    content = readme.read_text(encoding="utf-8")
    told = FIGURE.search(content)
    counted = powershell(REPOSITORY / "plugins" / "modules")
    if told is None:
        print("README.md: the figure of PowerShell lines is gone", file=sys.stderr)
        return 1
    if told.group() == counted:
        print(f"PowerShell: {counted}")
        return 0
    if arguments.write:
        readme.write_text(FIGURE.sub(counted, content), encoding="utf-8")
        print(f"PowerShell: {counted}")
        return 0
    print(f"README.md tells {told.group()} of PowerShell, there are {counted}: run 'make readme'", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
