# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role iis: what to ask a server, what differs there, and how it fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis import plan, request, tls
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.health import judge
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.observed import Observation
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def iis_request(declared: Mapping[str, Any]) -> dict[str, Any]:
    """What the probe must be asked for a declaration, and what the tasks need of it worked out."""
    return request.request(_declaration(declared))


def iis_tls(protocols: Mapping[str, bool], ciphers_disabled: Iterable[str], *, build: int) -> list[dict[str, Any]]:
    """The TLS policy as registry values."""
    return tls.registry(protocols, ciphers_disabled, build=int(build))


def iis_problems(
    declared: Mapping[str, Any],
    state: Mapping[str, Any],
    tls_protocols: Mapping[str, bool],
    *,
    baseline_tls_protocols: Mapping[str, bool] | None = None,
    language: Language = "fr",
) -> list[str]:
    """What forbids making the server what is declared."""
    return plan.problems(
        _declaration(declared),
        _observation(state),
        baseline_tls=baseline_tls_protocols or {},
        tls=tls_protocols,
        language=language,
    )


def iis_plan(declared: Mapping[str, Any], state: Mapping[str, Any], thumbprints: Mapping[str, str]) -> dict[str, Any]:
    """What differs on the server."""
    return plan.plan(_declaration(declared), _observation(state), thumbprints)


def iis_health(
    declared: Mapping[str, Any],
    state: Mapping[str, Any],
    thumbprints: Mapping[str, str],
    *,
    language: Language = "fr",
) -> list[dict[str, Any]]:
    """The verdict of each probe."""
    verdicts = judge(_declaration(declared), _observation(state), thumbprints, language=language)
    return [asdict(verdict) for verdict in verdicts]


def _declaration(values: Mapping[str, Any]) -> Declaration:
    try:
        return Declaration.read(values)
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from None  # Ansible would print the cause as well, in the same words


def _observation(found: Mapping[str, Any]) -> Observation:
    try:
        return build(Observation, found, "iis_info")
    except ShapeError as error:
        raise AnsibleFilterError(f"The probe answered something unexpected: {error}") from None


class FilterModule:
    """Ansible's way to the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "iis_request": iis_request,
            "iis_problems": iis_problems,
            "iis_plan": iis_plan,
            "iis_tls": iis_tls,
            "iis_health": iis_health,
        }
