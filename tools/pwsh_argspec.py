# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers ansible-test as ``pwsh ps_argspec.ps1 MANIFEST`` would, from the module's source and without PowerShell.

ansible-test compares a PowerShell module's documentation with the specification that its code declares. Ours are
literals: anything else is refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab.windows.powershell_spec import Unknown, argument_spec

#: What Ansible.Basic adds to a specification that does not say it.
BASIC_DEFAULTS: dict[str, Any] = {
    "mutually_exclusive": [],
    "required_together": [],
    "required_one_of": [],
    "required_if": [],
    "required_by": {},
    "supports_check_mode": False,
}


def unread(value: Any, path: str = "$spec") -> list[str]:
    """Where a specification holds something that only PowerShell could work out."""
    if isinstance(value, Unknown):
        return [path]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in unread(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for number, item in enumerate(value) for found in unread(item, f"{path}[{number}]")]
    return []


def main() -> int:
    """Write the specification as JSON; return 1 with a sentence where it cannot be read."""
    if len(sys.argv) != 3 or Path(sys.argv[1]).name != "ps_argspec.ps1":
        print("pwsh: this reads argument specifications for ansible-test and runs no PowerShell", file=sys.stderr)
        return 1
    module = Path(json.loads(sys.argv[2])["module_path"])
    spec = argument_spec(module.read_text(encoding="utf-8-sig"))
    if spec is None or unread(spec):
        places = ", ".join(unread(spec)) or "no $spec"
        print(f"{module.name}: the specification is not a literal ({places})", file=sys.stderr)
        return 1
    print(json.dumps({**BASIC_DEFAULTS, "options": {}, **spec}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
