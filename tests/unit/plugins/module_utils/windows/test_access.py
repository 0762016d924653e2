# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rights are the same whichever way SDDL words them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import access

USERS = "S-1-5-21-1111111111-2222222222-3333333333-513"
SOMEBODY = "S-1-5-21-1111111111-2222222222-3333333333-1105"


def test_a_domains_own_group_may_be_written_by_its_alias():
    ace = access.Ace(USERS, access.MODIFY)
    acl = access.parse("D:P(A;OICI;0x1301bf;;;DU)", [USERS, access.SYSTEM])
    assert acl == access.Acl(protected=True, aces=frozenset([ace]))
    assert access.parse("D:P(A;OICI;0x1301bf;;;DU)").aces != frozenset([ace])


def test_a_mask_by_letters_is_the_number_they_stand_for():
    letters = access.parse("D:P(A;OICI;FRFX;;;IS)")
    assert letters == access.parse("D:P(A;OICI;0x1200a9;;;S-1-5-32-568)")


@given(
    st.frozensets(
        st.builds(
            access.Ace,
            st.sampled_from([USERS, SOMEBODY, access.SYSTEM, "S-1-5-32-545"]),
            st.sampled_from([access.FULL, access.MODIFY, access.READ, 0x1]),
            st.sampled_from(["A", "D"]),
            below=st.booleans(),
        )
    ),
    st.booleans(),
)
def test_what_is_written_in_sddl_is_read_again(aces, protected):
    assert access.parse(access.write(aces, protected=protected)) == access.Acl(protected, aces)


def test_the_module_is_given_rights_by_their_names():
    want = access.Wanted("C:\\Sites\\a", frozenset([access.Ace(access.SYSTEM, access.FULL)]))
    assert access.arguments(want) == {
        "path": "C:\\Sites\\a",
        "kind": "directory",
        "exact": True,
        "entries": [{"sid": access.SYSTEM, "rights": "full"}],
    }
