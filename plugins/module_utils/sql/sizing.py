# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory, parallelism and tempdb an instance gets from the hardware of its server."""

from __future__ import annotations

_FIRST = 16 * 1024
"""Megabytes of which a quarter is kept; of what is above, an eighth."""
MAXIMUM_SINGLE_NODE = 8
MAXIMUM_MULTIPLE_NODES = 16
MAXIMUM_TEMPDB_FILES = 8


def memory_megabytes(installed: int) -> int:
    """Value of ``max server memory (MB)`` for a server that has nothing else to do.

    The operating system keeps 1 GB, 1 GB for each 4 GB up to 16 GB and 1 GB for each 8 GB above: the rule of Jonathan
    Kehayias ("How much memory does my SQL Server actually need?", SQLskills), which dbatools' Test-DbaMaxMemory counts
    with too; here in proportion between those steps, so that more memory never means less. SQL Server's own default is
    all there is.

    Args:
        installed: memory of the server in MB (binary).

    Returns:
        Megabytes, never less than half of what is installed nor than the 128 MB that SQL Server accepts.
    """
    kept = 1024 + min(installed, _FIRST) // 4 + max(installed - _FIRST, 0) // 8
    return max(installed - kept, installed // 2, 128)


def parallelism(processors: int, nodes: int) -> int:
    """Value of ``max degree of parallelism``.

    Microsoft, "Configure the max degree of parallelism (server configuration option)", recommendations for SQL Server
    2016 and later: one NUMA node, all logical processors and 8 at most; several nodes, all processors of a node up to
    16, half of them (16 at most) above.

    Args:
        processors: logical processors that the instance sees.
        nodes: NUMA nodes they are spread over.
    """
    if nodes <= 1:
        return max(1, min(processors, MAXIMUM_SINGLE_NODE))
    each = max(1, processors // nodes)
    return each if each <= MAXIMUM_MULTIPLE_NODES else min(each // 2, MAXIMUM_MULTIPLE_NODES)


def tempdb_files(processors: int) -> int:
    """How many data files tempdb gets: one for each logical processor and 8 at most (Microsoft, "tempdb database")."""
    return max(1, min(processors, MAXIMUM_TEMPDB_FILES))
