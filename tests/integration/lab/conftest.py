# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of :mod:`lab.testing`."""

from lab.testing import lab_empty, lab_running

__all__ = ["lab_empty", "lab_running"]
