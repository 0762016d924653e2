# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogues of what a fresh server holds."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).resolve().parent
"""Folder of the catalogues."""
