# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permissions of queues as security descriptors, judged by the lab's own reading of SDDL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.access import (
    RIGHTS,
    descriptor,
    is_sid,
    names,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.declared import Permission
from lab.windows.handlers.print_security import entries, normalised
from lab.windows.handlers.printing import DEFAULT_SDDL

EVERYONE, CREATOR, ADMINISTRATORS, PACKAGES = "S-1-1-0", "S-1-3-0", "S-1-5-32-544", "S-1-15-2-1"


def test_the_rights_are_those_that_windows_gives_a_new_queue():
    permissions = (
        Permission(EVERYONE, ("print",)),
        Permission(PACKAGES, ("print", "manage_documents")),
        Permission(CREATOR, ("manage_documents",)),
        Permission(ADMINISTRATORS, ("manage_printer",)),
    )
    assert entries(descriptor(permissions, {})) == entries(DEFAULT_SDDL)


def test_denials_come_first():
    permissions = (Permission(EVERYONE, ("print",)), Permission("S-1-5-7", ("print",), "deny"))
    assert descriptor(permissions, {}).startswith("G:SYD:(D;;SWRC;;;S-1-5-7)")


def test_a_name_is_looked_up_whatever_its_case():
    permissions = (Permission("ORDRE\\GG-Compta", ("print",)),)
    assert "S-1-5-21-1-2-3-1104" in descriptor(permissions, {"ordre\\gg-compta": "S-1-5-21-1-2-3-1104"})


def test_names_are_asked_once_and_sids_are_not():
    permissions = [Permission(who, ("print",)) for who in ("GG-A", EVERYONE, "gg-a", "GG-B")]
    assert sorted(name.casefold() for name in names(permissions)) == ["gg-a", "gg-b"]


@pytest.mark.parametrize(("text", "sid"), [("S-1-5-11", True), ("s-1-5-11", True), ("S-1", False), ("GG-S-1-5", False)])
def test_what_is_a_sid(text, sid):
    assert is_sid(text) is sid


PERMISSIONS = st.lists(
    st.builds(
        Permission,
        st.sampled_from([EVERYONE, CREATOR, ADMINISTRATORS, "S-1-5-21-1-2-3-1104"]),
        st.lists(st.sampled_from(sorted(RIGHTS)), min_size=1, max_size=3).map(tuple),
        st.sampled_from(["allow", "deny"]),
    ),
    min_size=1,
    max_size=6,
)


@given(PERMISSIONS)
def test_windows_order_makes_no_difference_and_nothing_is_lost(permissions):
    written = descriptor(permissions, {})
    assert entries(normalised(written)) == entries(written)
    assert entries(descriptor(permissions[::-1], {})) == entries(written)
    wanted = {(entry.principal, right, entry.type) for entry in permissions for right in entry.rights}
    count = {(who, kind, *pair) for who, right, kind in wanted for pair in RIGHTS[right]}
    assert len(entries(written)) == len(count)
