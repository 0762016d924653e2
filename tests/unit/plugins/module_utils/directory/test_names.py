# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distinguished names and principals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory import names

LABELS = st.text(st.characters(codec="utf-8", categories=("Lu", "Ll", "Nd")), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("", "DC=a,DC=b", "DC=a,DC=b"),
        ("OU=Postes", "DC=a,DC=b", "OU=Postes,DC=a,DC=b"),
        ("OU=Postes,dc=A,dc=b", "DC=a,DC=b", "OU=Postes,dc=A,dc=b"),
        ("OU=Postes, DC=a, DC=b", "DC=a,DC=b", "OU=Postes, DC=a, DC=b"),
    ],
)
def test_under(path, root, expected):
    assert names.under(path, root) == expected


def test_a_comma_in_a_name_does_not_split_it():
    name = f"CN={names.escape('Durand, Anne')},OU=x,DC=a"
    assert names.parts(name) == ["CN=Durand\\, Anne", "OU=x", "DC=a"]
    assert names.parent(name) == "OU=x,DC=a"
    assert names.depth(name) == 3


@given(st.lists(LABELS, min_size=1, max_size=5))
def test_key_ignores_case_and_spaces(labels):
    name = ",".join(f"OU={label}" for label in labels)
    other = " , ".join(f"ou = {label.upper()}" for label in labels)
    assert names.key(name.upper()) == names.key(other)


@given(LABELS, st.lists(LABELS, min_size=1, max_size=4))
def test_parent_undoes_a_child(child, labels):
    root = ",".join(f"DC={label}" for label in labels)
    assert names.parent(f"OU={names.escape(child)},{root}") == root


@pytest.mark.parametrize(
    ("name", "sid", "expected"),
    [
        ("rid:512", "S-1-5-21-1-2-3", "S-1-5-21-1-2-3-512"),
        ("RID:519", "S-1-5-21-1-2-3", "S-1-5-21-1-2-3-519"),
        ("rid:512", "", "rid:512"),
        ("GG-Secretariat", "S-1-5-21-1-2-3", "GG-Secretariat"),
        ("S-1-5-11", "S-1-5-21-1-2-3", "S-1-5-11"),
    ],
)
def test_principal(name, sid, expected):
    assert names.principal(name, sid) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("OU=a,DC=b", True), ("CN=Users", True), ("Postes", False), ("", False), ("OU=a,,DC=b", False), ("O=a", False)],
)
def test_is_dn(name, expected):
    assert names.is_dn(name) is expected
