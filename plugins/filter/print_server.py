"""Filters of the role print_server: what to ask a server, what its modules are given, and how it fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.printing import plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.health import Readings, State, judge
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def print_server_request(declared: Mapping[str, Any], *, language: Language = "fr") -> dict[str, Any]:
    """What the probes must be asked for a declaration, and what is wrong with it."""
    return plan.request(_declaration(declared), language)


def print_server_plan(
    declared: Mapping[str, Any],
    server: Mapping[str, Any],
    printing: Mapping[str, Any],
    awaited: Sequence[str],
    *,
    foreseen: bool = False,
    language: Language = "fr",
) -> dict[str, Any]:
    """What the modules are given, and what the server cannot do."""
    return plan.plan(
        _declaration(declared),
        state=_state(printing),
        domain=str(server.get("domain") or ""),
        sids=server["sids"],
        awaited=awaited,
        foreseen=foreseen,
        language=language,
    )


def print_server_health(
    declared: Mapping[str, Any],
    printing: Mapping[str, Any],
    differences: Mapping[str, Sequence[Any]],
    *,
    language: Language = "fr",
) -> list[dict[str, Any]]:
    """The verdict of each probe."""
    found = {name: tuple(values) for name, values in differences.items()}
    readings = Readings(_state(printing), **found)
    return [asdict(verdict) for verdict in judge(_declaration(declared), readings, language)]


def _declaration(values: Mapping[str, Any]) -> Declaration:
    try:
        return Declaration.read(values)
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from None  # Ansible would print the cause as well, in the same words


def _state(found: Mapping[str, Any]) -> State:
    try:
        return build(State, found, "print_server_info")
    except ShapeError as error:
        raise AnsibleFilterError(f"The probe answered something unexpected: {error}") from None


class FilterModule:
    """Ansible's way to the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {
            "print_server_request": print_server_request,
            "print_server_plan": print_server_plan,
            "print_server_health": print_server_health,
        }
