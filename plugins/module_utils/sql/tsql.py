# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transact-SQL texts and values: names and literals quoted, SIDs and builds compared."""

from __future__ import annotations


def name(value: str) -> str:
    """An identifier in brackets."""
    return "[" + value.replace("]", "]]") + "]"


def text(value: str) -> str:
    """A Unicode literal."""
    return "N'" + value.replace("'", "''") + "'"


def build(value: str) -> tuple[int, ...]:
    """A build (``16.0.4215.2``) as numbers, which compare as builds do; empty when it is none."""
    parts = value.split(".")
    return tuple(int(part) for part in parts) if len(parts) == 4 and all(part.isdigit() for part in parts) else ()


def sid(value: str) -> str:
    """A SID (``S-1-5-32-544``) as SQL Server shows it: its binary form in hexadecimal ([MS-DTYP] 2.4.2.2)."""
    parts = value.split("-")
    if len(parts) < 4 or parts[0].upper() != "S" or not all(part.isdigit() for part in parts[1:]):
        return ""
    revision, authority, *rest = (int(part) for part in parts[1:])
    data = bytes([revision, len(rest)]) + authority.to_bytes(6, "big")
    return "0x" + (data + b"".join(part.to_bytes(4, "little") for part in rest)).hex().upper()
