# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of sp_configure that an instance gets: sizes computed from the server, and less to attack.

Each hardened option stands with where it comes from: "CIS" is the CIS Microsoft SQL Server 2022 Benchmark, section 2
(surface area reduction); the rest are Microsoft's own articles on server configuration options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sizing import memory_megabytes, parallelism

if TYPE_CHECKING:
    from .declared import Declaration
    from .observed import Observation

HARDENED: dict[str, tuple[int, str]] = {
    "Ad Hoc Distributed Queries": (0, "CIS 2.1"),
    "clr enabled": (0, "CIS 2.2"),
    "clr strict security": (1, 'Microsoft, "CLR strict security": assemblies count as unsafe unless they are signed'),
    "cross db ownership chaining": (0, "CIS 2.3"),
    "Ole Automation Procedures": (0, "CIS 2.5"),
    "remote access": (0, "CIS 2.6"),
    "remote admin connections": (0, "CIS 2.7: no remote use of the dedicated administrator's connection"),
    "scan for startup procs": (0, "CIS 2.8"),
    "xp_cmdshell": (0, "CIS 2.15"),
    "default trace enabled": (1, "CIS 5.2"),
    "contained database authentication": (0, 'Microsoft, "Security best practices with contained databases"'),
    "external scripts enabled": (0, 'Microsoft, "external scripts enabled": off where no machine learning is used'),
    "allow updates": (0, 'Microsoft, "allow updates": must be 0, it has no function any more'),
}
"""Option to value and source."""

MAIL = "Database Mail XPs"
AGENT = "Agent XPs"
COMPRESSION = "backup compression default"


def settings(declared: Declaration, observed: Observation) -> dict[str, int]:
    """The wanted value of each option that the role settles; what is declared by name wins."""
    wanted = {
        "max server memory (MB)": declared.memory_maximum_megabytes or memory_megabytes(observed.memory_megabytes),
        "min server memory (MB)": declared.memory_minimum_megabytes,
        "max degree of parallelism": declared.parallelism or parallelism(observed.processors, observed.numa_nodes),
        "cost threshold for parallelism": declared.cost_threshold,
        COMPRESSION: int(declared.backup.compress),
        # CIS 2.4 wants Database Mail off; an operator is told by nothing else.
        MAIL: int(declared.mail is not None),
    }
    if declared.hardening:
        wanted |= {name: value for name, (value, _source) in HARDENED.items()}
    return wanted | {setting.name: setting.value for setting in declared.configuration}
