# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role domain_controller: what to ask a server, what differs there, and how it fares."""

from __future__ import annotations

import base64
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory import plan, request
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.health import Health, judge
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import say_all
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.ldaps import examine
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.observed import Observation, Server
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def domain_controller_request(declared: Mapping[str, Any]) -> dict[str, Any]:
    """What the probes must be asked for a declaration."""
    return request.request(_declaration(declared))


def domain_controller_server_plan(
    declared: Mapping[str, Any], server: Mapping[str, Any], *, language: Language = "fr"
) -> dict[str, Any]:
    """What differs on the server itself."""
    return plan.server_plan(_declaration(declared), _observation({"server": _of_the_server(server)}), language)


def domain_controller_domain_plan(
    declared: Mapping[str, Any],
    server: Mapping[str, Any],
    directory: Mapping[str, Any],
    dns: Mapping[str, Any],
    dhcp: Mapping[str, Any],
    *,
    language: Language = "fr",
) -> dict[str, Any]:
    """What differs in the domain and its services."""
    found = {"server": _of_the_server(server), "directory": directory, "dns": dns, "dhcp": dhcp}
    return plan.domain_plan(_declaration(declared), _observation(found), language)


def domain_controller_health(
    declared: Mapping[str, Any],
    health: Mapping[str, Any],
    fqdn: str,
    backup_max_age_hours: int,
    *,
    ldaps_thumbprint: str = "",
    language: Language = "fr",
) -> list[dict[str, Any]]:
    """The verdict of each probe."""
    try:
        facts = build(Health, health, "health")
    except ShapeError as error:
        raise AnsibleFilterError(f"The health probe answered something unexpected: {error}") from None
    hours = int(backup_max_age_hours)
    verdicts = judge(
        _declaration(declared),
        facts,
        fqdn=fqdn,
        backup_max_age_hours=hours,
        ldaps_thumbprint=ldaps_thumbprint,
        language=language,
    )
    return [asdict(verdict) for verdict in verdicts]


def domain_controller_ldaps(
    declared: Mapping[str, Any], file: Mapping[str, Any], server: Mapping[str, Any], *, language: Language = "fr"
) -> dict[str, Any]:
    """Thumbprint of the certificate of LDAPS, and what forbids serving it."""
    declaration = _declaration(declared)
    found = _observation({"server": _of_the_server(server)}).server
    thumbprint, problems = examine(
        declaration.ldaps_certificate.source,
        base64.b64decode(file["content"]) if file["exists"] else None,
        declaration.ldaps_certificate.password,
        fqdn=f"{declaration.hostname or found.hostname}.{declaration.domain}".lower(),
        now=datetime.fromisoformat(found.time).astimezone(UTC),
    )
    return {"thumbprint": thumbprint, "problems": say_all(problems, language)}


def _declaration(values: Mapping[str, Any]) -> Declaration:
    try:
        return Declaration.read(values)
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from None  # Ansible would print the cause as well, in the same words


def _of_the_server(state: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan reads of windows_state_info, which other roles ask for more."""
    known = {field.name for field in fields(Server)}
    return {name: value for name, value in state.items() if name in known}


def _observation(found: Mapping[str, Any]) -> Observation:
    try:
        return build(Observation, found, "probe")
    except ShapeError as error:
        raise AnsibleFilterError(f"A probe answered something unexpected: {error}") from None


class FilterModule:
    """Ansible's way to the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "domain_controller_request": domain_controller_request,
            "domain_controller_server_plan": domain_controller_server_plan,
            "domain_controller_domain_plan": domain_controller_domain_plan,
            "domain_controller_health": domain_controller_health,
            "domain_controller_ldaps": domain_controller_ldaps,
        }
