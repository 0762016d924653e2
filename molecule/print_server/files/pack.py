# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the driver beside it as a manufacturer does: ``python pack.py ARCHIVE``."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for name in ("etiquettes.inf", "etiquettes.cat"):
        archive.write(Path(__file__).with_name(name), f"x64/{name}")
