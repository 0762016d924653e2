# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters hand declarations to the rules and their refusals to Ansible."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.filter.windows_baseline import FilterModule


def test_each_filter_is_documented():
    from pathlib import Path

    folder = Path(__file__).parents[4] / "plugins" / "filter"
    assert all((folder / f"{name}.yml").is_file() for name in FilterModule().filters())


def test_a_refusal_is_the_rules_own_sentence():
    filters = FilterModule().filters()
    with pytest.raises(AnsibleFilterError, match="unknown WinRM transport smoke"):
        filters["windows_transports"]("smoke", allowed={})
    assert filters["windows_transports"]("ntlm", allowed={"negotiate": True}) == ["ntlm"]
