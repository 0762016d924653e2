# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the scenario's releases, the same bytes each time; the last one of the intranet is sick."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path

CONTENTS = {
    "intranet-1.0.0.zip": {"index.html": "<p>1.0.0</p>", "sante.txt": "bonjour 1.0.0"},
    "intranet-1.1.0.zip": {"index.html": "<p>1.1.0</p>", "sante.txt": "bonjour 1.1.0"},
    "intranet-2.0.0.zip": {"index.html": "<p>2.0.0</p>", "sante.txt": "en panne"},
    "extranet-5.2.zip": {"index.html": "<p>5.2</p>"},
}
folder = Path(sys.argv[1])
sums = {}
for name, files in CONTENTS.items():
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
(folder / "sommes.json").write_text(json.dumps(sums), encoding="utf-8")
