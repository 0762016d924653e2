# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's media folder: stand-ins of installers that publishers hand out after a logon (``media:``).

``python -m lab.windows.media FOLDER`` writes each with its SHA-256 beside it (``NAME.sha256``), as a technician does.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from lab.windows.publications import publications

SCHEME = "media:"


def write(folder: Path) -> list[Path]:
    """Write the installers and their checksums into a folder; gives the installers."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    written = []
    for entry in publications():
        if entry.url.startswith(SCHEME):
            path = folder / entry.url.removeprefix(SCHEME)
            path.write_bytes(entry.content)
            digest = entry.sha256 or hashlib.sha256(entry.content).hexdigest()
            path.with_name(f"{path.name}.sha256").write_text(f"{digest}\n", encoding="ascii")
            written.append(path)
    return written


if __name__ == "__main__":
    for installer in write(Path(sys.argv[1])):
        print(installer)
