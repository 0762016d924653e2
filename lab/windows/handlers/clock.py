# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time zone and regional settings: win_timezone, win_region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.registry import Call, ModuleFailure, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec

# Windows' names of zones with the IANA zone that stands for each (Unicode CLDR, windowsZones.xml): the ones of France,
# its overseas territories and Europe, and UTC.
_ZONES = {
    "Romance Standard Time": "Europe/Paris",
    "W. Europe Standard Time": "Europe/Berlin",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "E. Europe Standard Time": "Europe/Chisinau",
    "FLE Standard Time": "Europe/Kiev",
    "GTB Standard Time": "Europe/Bucharest",
    "SA Western Standard Time": "America/La_Paz",
    "SA Eastern Standard Time": "America/Cayenne",
    "Saint Pierre Standard Time": "America/Miquelon",
    "Mauritius Standard Time": "Indian/Mauritius",
    "E. Africa Standard Time": "Africa/Nairobi",
    "Central Pacific Standard Time": "Pacific/Guadalcanal",
    "West Asia Standard Time": "Asia/Tashkent",
    "Hawaiian Standard Time": "Pacific/Honolulu",
    "Marquesas Standard Time": "Pacific/Marquesas",
    "UTC": "Etc/UTC",
    "Eastern Standard Time": "America/New_York",
    "Pacific Standard Time": "America/Los_Angeles",
    "Tokyo Standard Time": "Asia/Tokyo",
}


def iana_zone(name: str) -> str:
    """IANA zone that stands for a zone of Windows."""
    return _ZONES[name.removesuffix("_dstoff")]


@section("clock")
def _clock(spec: ServerSpec) -> dict[str, Any]:
    return {"timezone": spec.timezone, "location": "84", "format": spec.language, "unicode_language": spec.language}


@handles("ansible.windows.win_timezone", source="ansible.windows 3.3.0 win_timezone documentation and source")
def win_timezone(call: Call) -> Result:
    """Set the time zone."""
    wanted = call.args["timezone"]
    names = {name.casefold(): name for name in _ZONES}
    base = wanted.removesuffix("_dstoff")
    if base.casefold() not in names:
        raise ModuleFailure(f"The specified timezone: {wanted} isn't supported on the machine.")
    zone = names[base.casefold()] + wanted[len(base) :]
    state = call.server.section("clock")
    previous = state["timezone"]
    state["timezone"] = zone
    result: Result = {"changed": previous != zone, "previous_timezone": previous, "timezone": zone}
    if call.diff:
        result["diff"] = {"before": previous, "after": zone}
    return result


@handles("ansible.windows.win_region", source="ansible.windows 3.3.0 win_region documentation and source")
def win_region(call: Call) -> Result:
    """Set location, formats and the language of programs without Unicode; the last needs a restart."""
    args = call.args
    if not any(args[name] for name in ("location", "format", "unicode_language")):
        raise ModuleFailure("An argument for 'format', 'location' or 'unicode_language' needs to be supplied")
    state = call.server.section("clock")
    changed = restart = False
    for name in ("location", "format", "unicode_language"):
        if args[name] and state[name].casefold() != args[name].casefold():
            state[name] = args[name]
            changed = True
            restart = restart or name == "unicode_language"
    if restart:
        call.server.reboot_pending("regional settings")
    return {"changed": changed, "restart_required": restart}
