# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of programs, compared as numbers."""

from __future__ import annotations

import re

_FORM = re.compile(r"\d+(\.\d+){1,3}")


def is_version(text: str) -> bool:
    """Whether a text is a version of two to four numbers, such as ``2.6.84.0``."""
    return _FORM.fullmatch(text) is not None


def parts(text: str) -> tuple[int, ...]:
    """A version's numbers, four of them; an empty text comes before every version.

    Raises:
        ValueError: the text is not a version.
    """
    if not text:
        return (-1, -1, -1, -1)
    if not is_version(text):
        raise ValueError(f"{text!r} is not a version such as 2.6.84.0")
    numbers = [int(number) for number in text.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def older(text: str, other: str) -> bool:
    """Whether a version is lower than another one."""
    return parts(text) < parts(other)
