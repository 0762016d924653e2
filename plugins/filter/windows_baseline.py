# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role ``windows_baseline``: they translate between Jinja and the pure rules, and nothing else."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import (
    baseline,
    declared,
    registry_policy,
    systems,
    transport,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _told(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Give a rule as a filter: what the declaration cannot mean is shown as the rule words it."""

    def told(*args: Any, **options: Any) -> Any:
        try:
            return rule(*args, **options)
        except InputError as error:
            raise AnsibleFilterError(str(error)) from error

    return told


def windows_system(build: int) -> dict[str, Any]:
    """What is known of a version of Windows, nothing of an unknown one."""
    found = systems.system_of(int(build))
    return asdict(found) if found else {}


class FilterModule:
    """The filters and their names."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give each filter by its name."""
        return {
            "windows_applicable": _told(declared.applicable),
            "windows_plan": _told(baseline.plan),
            "windows_differences": _told(declared.differences),
            "windows_merge": _told(declared.merge),
            "windows_system": windows_system,
            "windows_registry_unforeseen": _told(registry_policy.unforeseen),
            "windows_registry_values": _told(registry_policy.registry_values),
            "windows_tls_sections": _told(registry_policy.tls_sections),
            "windows_transports": _told(transport.surviving_transports),
        }
