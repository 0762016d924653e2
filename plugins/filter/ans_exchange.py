# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role ans_exchange: what to ask a server, what differs there, and how it fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange import health, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.observed import Observation
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def ans_exchange_request(declared: Mapping[str, Any], domain: str | None = None) -> dict[str, Any]:
    """What the probe must be asked for a declaration."""
    return plan.request(_declaration(declared), domain)


def ans_exchange_plan(
    declared: Mapping[str, Any],
    server: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    check: bool = False,
    language: Language = "fr",
) -> dict[str, Any]:
    """What differs on the server."""
    return plan.plan(_declaration(declared), _observation(server, state), check=check, language=language)


def ans_exchange_ready(
    declared: Mapping[str, Any],
    server: Mapping[str, Any],
    state: Mapping[str, Any],
    replies: Iterable[Mapping[str, Any]],
    *,
    language: Language = "fr",
) -> list[str]:
    """What forbids letting the tasks run."""
    return health.readiness(
        _declaration(declared), _observation(server, state), health.answers(replies), language=language
    )


def ans_exchange_health(
    declared: Mapping[str, Any],
    server: Mapping[str, Any],
    state: Mapping[str, Any],
    replies: Iterable[Mapping[str, Any]],
    *,
    language: Language = "fr",
) -> list[dict[str, Any]]:
    """The verdict of each probe."""
    verdicts = health.judge(
        _declaration(declared), _observation(server, state), health.answers(replies), language=language
    )
    return [asdict(verdict) for verdict in verdicts]


def _declaration(values: Mapping[str, Any]) -> Declaration:
    try:
        return Declaration.read(values)
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from None  # Ansible would print the cause as well, in the same words


def _observation(server: Mapping[str, Any], state: Mapping[str, Any]) -> Observation:
    try:
        return Observation.read(server, state)
    except ShapeError as error:
        raise AnsibleFilterError(f"The probe answered something unexpected: {error}") from None


class FilterModule:
    """Ansible's way to the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "ans_exchange_request": ans_exchange_request,
            "ans_exchange_plan": ans_exchange_plan,
            "ans_exchange_ready": ans_exchange_ready,
            "ans_exchange_health": ans_exchange_health,
        }
