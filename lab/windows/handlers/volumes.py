# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes on further disks: those of the hardware are raw until somebody makes a volume of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec


@section("volumes")
def _volumes(_spec: ServerSpec) -> dict[str, Any]:
    return {"disks": {}}  # number of the disk as text -> {letter, label}


@handles("cnosf.infogerance.backup_volume", source="documentation of cnosf.infogerance.backup_volume")
def backup_volume(call: Call) -> Result:
    """One volume over a whole empty disk."""
    number, letter = call.args["disk"], call.args["letter"].rstrip(":").upper()
    if not re.fullmatch("[D-Z]", letter):
        raise ModuleFailure(f"'{call.args['letter']}' is no letter for a data volume; D to Z are")
    if not 0 <= number < len(call.server.section("system")["disks_gib"]):
        raise ModuleFailure(f"There is no disk {number}; give the server a further one first")
    if number == 0:
        raise ModuleFailure(f"Disk {number} holds the system; the backup needs one of its own")
    disks = call.server.section("volumes")["disks"]
    owner = next((disk for disk, volume in disks.items() if volume["letter"] == letter), str(number))
    if owner != str(number):
        raise ModuleFailure(f"The letter {letter} belongs to disk {owner}, not to disk {number}")
    held = disks.get(str(number))
    if held is not None and held["letter"] != letter:
        raise ModuleFailure(
            f"Disk {number} holds a partition already and nothing is erased here; give that one the letter {letter}, or"
            " empty the disk"
        )
    there = held is not None
    disks.setdefault(str(number), {"letter": letter, "label": call.args["label"]})
    before = {
        "disk": number,
        "initialised": there,
        "letter": letter if there else "",
        "format": "NTFS" if there else "",
    }
    after = {"disk": number, "initialised": True, "letter": letter, "format": "NTFS"}
    return {"changed": not there, "diff": {"before": before, "after": after}}
