# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role adsync: what differs on a synchronisation server, and how it fares."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.entra import health, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.declared import PREFIX, Declaration, Settings
from ansible_collections.cnosf.infogerance.plugins.module_utils.entra.observed import Observation, Peer
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def adsync_plan(
    declared: Mapping[str, Any],
    name: str,
    found: Mapping[str, Any],
    peers: Iterable[Mapping[str, Any]] = (),
    *,
    language: Language = "fr",
) -> dict[str, Any]:
    """What differs on a synchronisation server."""
    return plan.plan(_declaration(declared), name, _observation(found, name), _peers(peers), language)


def adsync_health(
    declared: Mapping[str, Any],
    name: str,
    found: Mapping[str, Any],
    peers: Iterable[Mapping[str, Any]] = (),
    *,
    language: Language = "fr",
) -> list[dict[str, Any]]:
    """The verdict of each probe."""
    verdicts = health.judge(_declaration(declared), name, _observation(found, name), _peers(peers), language)
    return [asdict(verdict) for verdict in verdicts]


def adsync_peers(
    names: Iterable[str],
    variables: Mapping[str, Mapping[str, Any]],
    in_play: Iterable[str],
    answers: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The other servers of a group: what their inventory declares, and what they told in this run or were asked."""
    settings = [field.name for field in fields(Settings)]
    together = set(in_play)
    made = []
    for name in names:
        own = variables[name]
        told = own["__adsync_found"] if name in together and "__adsync_found" in own else answers.get(name)
        declared = {setting: own[PREFIX + setting] for setting in settings if PREFIX + setting in own}
        made.append({"name": name, "in_play": name in together, "declared": declared, "found": told})
    return made


def _declaration(values: Mapping[str, Any]) -> Declaration:
    try:
        return Declaration.read(values)
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from None  # Ansible would print the cause as well, in the same words


def _observation(found: Mapping[str, Any], name: str) -> Observation:
    try:
        return build(Observation, found, "adsync_info")
    except ShapeError as error:
        raise AnsibleFilterError(f"The probe of {name} answered something unexpected: {error}") from None


def _peers(peers: Iterable[Mapping[str, Any]]) -> tuple[Peer, ...]:
    made = []
    for peer in peers:
        name = str(peer["name"])
        try:
            declared = build(Settings, peer["declared"], f"{name}: adsync")
        except ShapeError as error:
            raise AnsibleFilterError(str(error)) from None
        found = _observation(peer["found"], name) if peer.get("found") else None
        made.append(Peer(name, bool(peer.get("in_play")), declared, found))
    return tuple(made)


class FilterModule:
    """Ansible's way to the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {"adsync_plan": adsync_plan, "adsync_health": adsync_health, "adsync_peers": adsync_peers}
