# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between the declared and the actual content of a DHCP server."""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from .declared import plain_mac
from .items import CREATE, Item, differing, item
from .language import Text, about

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .declared import Declaration, DhcpOption, DhcpScope
    from .observed import Dhcp, Observation, OptionState, ScopeState

DSC_MODULE = "DhcpServerDsc"


class DhcpPlan:
    """Compares a declaration with what the probe found; each method answers one loop of the role."""

    def __init__(self, declared: Declaration, observation: Observation) -> None:
        self.declared = declared
        self.found: Dhcp = observation.dhcp
        self.blind = not self.found.available
        modules = {module.name for module in observation.server.powershell_modules if module.versions}
        self.no_dsc = self.blind or DSC_MODULE not in modules
        self.scopes_found = {scope.id: scope for scope in self.found.scopes}

    def setup(self) -> list[Item]:
        """The server's first configuration, when it was not done."""
        wanted = self.declared.dhcp and not self.found.configured
        return [item("DHCP server", ["first configuration"], foreseen=self.blind)] if wanted else []

    def authorization(self) -> list[Item]:
        """The server's authorisation in the directory, when it is not as declared."""
        if not self.declared.dhcp or self.declared.dhcp_authorized == self.found.authorized:
            return []
        ensure = "Present" if self.declared.dhcp_authorized else "Absent"
        return [item("authorisation", [ensure], foreseen=self.no_dsc, ensure=ensure)]

    def options(self) -> list[Item]:
        """The server's own options that differ."""
        return [
            item(f"option {option.id}", ["values"], foreseen=self.no_dsc, id=option.id, value=list(option.values))
            for option in _differing_options(self.declared.dhcp_options, self.found.options)
        ]

    def scopes(self) -> list[Item]:
        """Scopes to create or correct."""
        items = []
        for scope in self.declared.dhcp_scopes:
            current = self.scopes_found.get(scope.id)
            wanted = {
                "name": scope.name,
                "mask": scope.mask,
                "start": scope.start,
                "end": scope.end,
                "lease_minutes": scope.lease_hours * 60,
                "description": scope.description,
                "active": scope.active,
            }
            why = [CREATE] if current is None else differing(wanted, asdict(current))
            if why:
                lease = lease_time(scope.lease_hours)
                items.append(item(scope.id, why, foreseen=self.no_dsc, id=scope.id, lease=lease, **wanted))
        return items

    def _pairs(self) -> Iterator[tuple[DhcpScope, ScopeState | None, bool]]:
        """Each declared scope, the one found, and whether its content can only be foreseen."""
        for scope in self.declared.dhcp_scopes:
            current = self.scopes_found.get(scope.id)
            yield scope, current, self.no_dsc or current is None

    def exclusions(self) -> list[Item]:
        """Ranges of scopes to exclude."""
        return [
            item(
                f"{scope.id} {exclusion.start}-{exclusion.end}",
                [CREATE],
                foreseen=foreseen,
                scope=scope.id,
                start=exclusion.start,
                end=exclusion.end,
            )
            for scope, current, foreseen in self._pairs()
            for exclusion in scope.exclusions
            if (exclusion.start, exclusion.end)
            not in {(found.start, found.end) for found in (current.exclusions if current else ())}
        ]

    def scope_options(self) -> list[Item]:
        """Options of scopes that differ."""
        return [
            item(
                f"{scope.id} option {option.id}",
                ["values"],
                foreseen=foreseen,
                scope=scope.id,
                id=option.id,
                value=list(option.values),
            )
            for scope, current, foreseen in self._pairs()
            for option in _differing_options(scope.options, current.options if current else ())
        ]

    def reservations(self) -> list[Item]:
        """Reservations to create or correct."""
        items = []
        for scope, current, _foreseen in self._pairs():
            found = {plain_mac(entry.mac): entry for entry in (current.reservations if current else ())}
            for entry in scope.reservations:
                held = found.get(plain_mac(entry.mac))
                wanted = {"address": entry.address, "name": entry.name}
                if entry.description:  # win_dhcp_lease takes an empty description for "leave it"
                    wanted["description"] = entry.description
                why = [CREATE] if held is None else differing(wanted, asdict(held))
                if why:
                    items.append(
                        item(
                            f"{entry.name} {entry.address}",
                            why,
                            foreseen=self.blind or current is None,
                            scope=scope.id,
                            mac=dashed_mac(entry.mac),
                            **wanted,
                        )
                    )
        return items

    def problems(self) -> list[Text]:
        """Sentences on what a scope or reservation cannot become in place."""
        texts = []
        for index, scope in enumerate(self.declared.dhcp_scopes):
            current = self.scopes_found.get(scope.id)
            if current is None:
                continue
            path = f"domain_controller_dhcp_scopes[{index}]"
            if IPv4Address(current.mask) != IPv4Address(scope.mask):
                texts.append(
                    about(
                        f"{path}.mask",
                        f"scope {scope.id} exists with mask {current.mask}, which cannot be changed in place; remove"
                        " the scope by hand first (its leases go with it)",
                        f"l'étendue {scope.id} existe avec le masque {current.mask}, qui ne se change pas en place ;"
                        " supprimez-la d'abord à la main (ses baux aussi)",
                    )
                )
            held = {plain_mac(entry.mac): entry.address for entry in current.reservations}
            for number, entry in enumerate(scope.reservations):
                address = held.get(plain_mac(entry.mac), entry.address)
                if address != entry.address:
                    texts.append(
                        about(
                            f"{path}.reservations[{number}].address",
                            f"{entry.mac} holds {address}; win_dhcp_lease does not move a reservation, remove it by"
                            " hand first",
                            f"{entry.mac} tient {address} ; win_dhcp_lease ne déplace pas une réservation,"
                            " supprimez-la d'abord à la main",
                        )
                    )
        return texts


def _differing_options(wanted: Iterable[DhcpOption], found: Iterable[OptionState]) -> list[DhcpOption]:
    current = {option.id: option.values for option in found}
    return [option for option in wanted if current.get(option.id) != option.values]


def lease_time(hours: int) -> str:
    """A duration as .NET writes it: ``8.00:00:00`` for 192 hours."""
    days, rest = divmod(hours, 24)
    return f"{days}.{rest:02d}:00:00"


def dashed_mac(mac: str) -> str:
    """A MAC address as the DHCP server writes it: ``aa-bb-cc-dd-ee-ff``."""
    plain = plain_mac(mac)
    return "-".join(plain[start : start + 2] for start in range(0, 12, 2))
