# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes computed from the hardware: tables of cases, and what holds for any server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.sizing import (
    memory_megabytes,
    parallelism,
    tempdb_files,
)

MEMORY = st.integers(min_value=256, max_value=16 * 1024 * 1024)
PROCESSORS = st.integers(min_value=1, max_value=1024)
NODES = st.integers(min_value=1, max_value=16)


@pytest.mark.parametrize(("gigabytes", "left"), [(2, 1), (4, 2), (8, 5), (16, 11), (32, 25), (64, 53), (128, 109)])
def test_memory_by_the_rule(gigabytes, left):
    assert memory_megabytes(gigabytes * 1024) == left * 1024


@given(MEMORY, MEMORY)
def test_memory_grows_with_the_servers_and_stays_below_it(one, other):
    low, high = sorted((one, other))
    assert memory_megabytes(low) <= memory_megabytes(high)
    assert 128 <= memory_megabytes(high) < high
    assert memory_megabytes(high) >= high // 2


@pytest.mark.parametrize(
    ("processors", "nodes", "degree"),
    [(1, 1, 1), (4, 1, 4), (8, 1, 8), (24, 1, 8), (16, 2, 8), (32, 2, 16), (64, 2, 16), (48, 2, 12), (80, 4, 10)],
)
def test_parallelism_by_microsofts_table(processors, nodes, degree):
    assert parallelism(processors, nodes) == degree


@given(PROCESSORS, NODES)
def test_parallelism_is_never_more_than_a_node_nor_than_16(processors, nodes):
    degree = parallelism(processors, nodes)
    assert 1 <= degree <= 16
    assert degree <= max(1, processors // nodes)
    if nodes == 1:
        assert degree <= 8


@given(PROCESSORS)
def test_tempdb_has_a_file_for_each_processor_up_to_eight(processors):
    assert tempdb_files(processors) == min(processors, 8)
