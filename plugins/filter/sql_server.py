# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role sql_server: what to ask a server, what differs there, and how its instance fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql import health, plan, request
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.observed import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def sql_server_request(declared: Mapping[str, Any]) -> dict[str, Any]:
    """What the probe and the shared role must be told for a declaration."""
    return request.request(_declaration(declared))


def sql_server_plan(
    declared: Mapping[str, Any],
    state: Mapping[str, Any],
    thumbprint: str = "",
    *,
    foreseen: bool = False,
    language: Language = "fr",
) -> dict[str, Any]:
    """What forbids going on, and what differs."""
    return plan.plan(
        _declaration(declared), _observation(state), thumbprint=thumbprint, foreseen=foreseen, language=language
    )


def sql_server_health(
    declared: Mapping[str, Any],
    state: Mapping[str, Any],
    backup_max_age_hours: int,
    check_max_age_days: int,
    *,
    language: Language = "fr",
) -> list[dict[str, Any]]:
    """The verdict of each probe."""
    verdicts = health.judge(
        _declaration(declared),
        _observation(state),
        backup_max_age_hours=int(backup_max_age_hours),
        check_max_age_days=int(check_max_age_days),
        language=language,
    )
    return [asdict(verdict) for verdict in verdicts]


def _declaration(values: Mapping[str, Any]) -> Declaration:
    try:
        return Declaration.read(values)
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from None  # Ansible would print the cause as well, in the same words


def _observation(state: Mapping[str, Any]) -> Observation:
    try:
        return build(Observation, state, "state")
    except ShapeError as error:
        raise AnsibleFilterError(f"The probe answered something unexpected: {error}") from None


class FilterModule:
    """Ansible's way to the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "sql_server_request": sql_server_request,
            "sql_server_plan": sql_server_plan,
            "sql_server_health": sql_server_health,
        }
