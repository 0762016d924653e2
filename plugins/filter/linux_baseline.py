# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role linux_baseline: what differs on a server, and which sources a firewall rule admits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.linux import baseline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def linux_baseline_plan(
    declared: Mapping[str, Any],
    state: Mapping[str, Any],
    written: Iterable[str] = (),
) -> dict[str, Any]:
    """What a run has to do."""
    plan = baseline.plan(_plain(declared), _plain(state), tuple(_plain(list(written))))
    return {field.name: getattr(plan, field.name) for field in fields(plan)}


def linux_baseline_admits(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of these networks."""
    try:
        return baseline.admits(str(address), [str(network) for network in networks])
    except baseline.DeclarationError as error:
        raise AnsibleFilterError(str(error)) from error


def linux_baseline_families(networks: Iterable[str]) -> dict[str, list[str]]:
    """Networks sorted by family."""
    try:
        return baseline.split_families([str(network) for network in networks])
    except baseline.DeclarationError as error:
        raise AnsibleFilterError(str(error)) from error


def _plain(value: Any) -> Any:
    """Plain lists and dictionaries: Ansible hands containers that template themselves when they are read."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        return {
            "linux_baseline_plan": linux_baseline_plan,
            "linux_baseline_admits": linux_baseline_admits,
            "linux_baseline_families": linux_baseline_families,
        }
