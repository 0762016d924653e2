# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules, builds, SIDs and literals: small rules that the plan stands on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.sql import tsql
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.request import service_sid
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.schedules import Schedule


@pytest.mark.parametrize(
    ("schedule", "columns"),
    [
        (Schedule("21:00"), (4, 1, 0, 1, 0, 210000)),
        (Schedule("00:00", every_minutes=15), (4, 1, 0, 4, 15, 0)),
        (Schedule("02:00", "Saturday"), (8, 64, 1, 1, 0, 20000)),
        (Schedule("07:30:05", "Weekdays"), (8, 62, 1, 1, 0, 73005)),
    ],
)
def test_a_schedule_is_stored_in_the_columns_of_sysschedules(schedule, columns):
    assert tuple(schedule.stored().values()) == columns


@given(st.times())
def test_any_time_of_day_is_understood(moment):
    assert Schedule(moment.strftime("%H:%M:%S")).digits() == moment.strftime("%H%M%S")
    assert Schedule(moment.strftime("%H:%M")).digits() == moment.strftime("%H%M00")


@pytest.mark.parametrize("text", ["", "7:30", "24:00", "12:60", "12:00:60", "noon", "12", "1200"])
def test_what_is_no_time_of_day_is_none(text):
    assert Schedule(text).digits() is None


@given(st.text())
def test_a_literal_cannot_be_left(value):
    literal = tsql.text(value)
    assert re.fullmatch(r"N'(?:[^']|'')*'", literal, re.DOTALL)
    assert literal[2:-1].replace("''", "'") == value


@given(st.text())
def test_a_name_cannot_be_left(value):
    assert re.fullmatch(r"\[(?:[^\]]|\]\])*\]", tsql.name(value), re.DOTALL)


def test_builds_compare_as_numbers():
    assert tsql.build("16.0.4215.2") > tsql.build("16.0.999.9")
    assert tsql.build("16.0.4215") == tsql.build("16.0.x.2") == ()


def test_sids_are_those_that_sql_server_and_windows_make():
    # BUILTIN\Administrators in every sys.server_principals, and what "sc showsid MSSQLSERVER" prints.
    assert tsql.sid("S-1-5-32-544") == "0x01020000000000052000000020020000"
    assert tsql.sid("GG-Groupe") == ""
    assert service_sid("mssqlserver") == "S-1-5-80-3880718306-3832830129-1677859214-2598158968-1052248003"
