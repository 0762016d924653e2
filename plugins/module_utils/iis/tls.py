# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS policy of a web server as registry values: those of the baseline, and more ciphers that are turned off.

Both write the same values for the same protocols, so that neither undoes the other; suites and their order are the
baseline's alone. Source: https://learn.microsoft.com/windows-server/security/tls/tls-registry-settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.registry_policy import (
    registry_values,
    tls_sections,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CIPHERS = "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\SecurityProviders\\SCHANNEL\\Ciphers"


def registry(protocols: Mapping[str, bool], ciphers_disabled: Iterable[str], *, build: int) -> list[dict[str, Any]]:
    """Values as win_registry_values takes them; each comes into force at the next boot."""
    sections = [dict(section) for section in tls_sections(protocols, build)]
    sections += [
        {
            "group": "tls",
            "path": f"{_CIPHERS}\\{cipher}",
            "values": [{"name": "Enabled", "data": 0, "reboot": True}],
        }
        for cipher in ciphers_disabled
    ]
    return [dict(value) for value in registry_values(sections, build=build, role="standalone", groups=("tls",))]
