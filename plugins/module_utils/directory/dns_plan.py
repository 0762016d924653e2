# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between the declared and the actual content of a DNS server."""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING

from .items import CREATE, REMOVE, Item, differing, item
from .language import Text, about
from .observed import ZoneState

if TYPE_CHECKING:
    from .declared import Declaration, DnsRecord
    from .observed import Dns, Observation, RecordState, RecordValue

DSC_MODULE = "DnsServerDsc"
_NAMED = frozenset({"CNAME", "MX", "NS", "PTR", "SRV"})
"""Types whose values are names: Windows stores them with their final dot."""


class DnsPlan:
    """Compares a declaration with what the probe found; each method answers one loop of the role."""

    def __init__(self, declared: Declaration, observation: Observation) -> None:
        self.declared = declared
        self.found: Dns = observation.dns
        self.blind = not self.found.available
        modules = {module.name for module in observation.server.powershell_modules if module.versions}
        self.no_dsc = self.blind or DSC_MODULE not in modules
        self.zones_found = {zone.name.casefold(): zone for zone in self.found.zones}
        if self.blind:  # a promotion creates the domain's own zone
            self.zones_found[declared.domain.casefold()] = ZoneState(declared.domain)

    def problems(self) -> list[Text]:
        """Sentences on zones that cannot become what is declared, and records whose zone is unknown."""
        found = []
        declared = {zone.name.casefold() for zone in self.declared.dns_zones}
        for index, zone in enumerate(self.declared.dns_zones):
            current = self.zones_found.get(zone.name.casefold())
            if current and (current.type != "primary" or not current.ds_integrated):
                found.append(
                    about(
                        f"domain_controller_dns_zones[{index}]",
                        f"{zone.name} exists as a {current.type} zone outside the directory; move it into the"
                        " directory by hand first, a zone is not converted here",
                        f"{zone.name} existe comme zone de type {current.type} hors de l'annuaire ; intégrez-la"
                        " d'abord à la main, une zone n'est pas convertie ici",
                    )
                )
        for index, forwarder in enumerate(self.declared.dns_conditional_forwarders):
            current = self.zones_found.get(forwarder.name.casefold())
            if current and current.type != "forwarder":
                found.append(
                    about(
                        f"domain_controller_dns_conditional_forwarders[{index}]",
                        f"{forwarder.name} exists as a {current.type} zone; remove that zone by hand first",
                        f"{forwarder.name} existe comme zone de type {current.type} ; supprimez d'abord cette zone à la"
                        " main",
                    )
                )
        for index, record in enumerate(self.declared.dns_records):
            zone_name = record.zone.casefold()
            if not self.blind and zone_name not in self.zones_found and zone_name not in declared:
                found.append(
                    about(
                        f"domain_controller_dns_records[{index}].zone",
                        f"{record.zone} is neither declared in domain_controller_dns_zones nor a zone of this server",
                        f"{record.zone} n'est ni déclarée dans domain_controller_dns_zones ni une zone de ce serveur",
                    )
                )
        return found

    def zones(self) -> list[Item]:
        """Zones to create or correct. Check mode of win_dns_zone cannot judge them: it is always foreseen."""
        items = []
        for zone in self.declared.dns_zones:
            current = self.zones_found.get(zone.name.casefold())
            wanted = {"replication": zone.replication, "dynamic_update": zone.dynamic_update}
            why = [CREATE] if current is None else differing(wanted, asdict(current))
            if why:
                items.append(item(zone.name, why, foreseen=True, name=zone.name, **wanted))
        return items

    def aging(self) -> list[Item]:
        """Zones whose aging differs."""
        items = []
        for zone in self.declared.dns_zones:
            if zone.aging is None:
                continue
            current = self.zones_found.get(zone.name.casefold())
            why = ["aging"]
            if current is not None:
                wanted = {
                    "aging": zone.aging.enabled,
                    "refresh_hours": zone.aging.refresh_hours,
                    "no_refresh_hours": zone.aging.no_refresh_hours,
                }
                why = differing(wanted, asdict(current))
            if why:
                foreseen = self.no_dsc or current is None
                items.append(item(zone.name, why, foreseen=foreseen, name=zone.name, **asdict(zone.aging)))
        return items

    def conditional_forwarders(self) -> list[Item]:
        """Conditional forwarders to create or correct; foreseen for the same reason as zones."""
        items = []
        for forwarder in self.declared.dns_conditional_forwarders:
            current = self.zones_found.get(forwarder.name.casefold())
            wanted = {
                "servers": list(forwarder.servers),
                "replication": forwarder.replication,
                "timeout_seconds": forwarder.timeout_seconds,
            }
            why = [CREATE] if current is None else differing(wanted, asdict(current))
            if why:
                items.append(item(forwarder.name, why, foreseen=True, name=forwarder.name, **wanted))
        return items

    def records(self) -> list[Item]:
        """Records to create, correct or remove."""
        found = {(state.zone.casefold(), state.name.casefold(), state.type): state for state in self.found.records}
        items = []
        for record in self.declared.dns_records:
            if record.type == "MX":
                continue
            label = f"{record.name}.{record.zone} {record.type}"
            current = found.get((record.zone.casefold(), record.name.casefold(), record.type))
            exists = current is not None and bool(current.values)
            why = self._record_why(record, current if exists else None)
            if why:
                missing_zone = record.zone.casefold() not in self.zones_found
                items.append(item(label, why, foreseen=self.blind or missing_zone, **_record_arguments(record)))
        return items

    def mail_records(self) -> list[Item]:
        """Mail exchangers to create, correct or remove, one item each: the DSC resource takes one server."""
        found = {
            (state.zone.casefold(), state.name.casefold()): state for state in self.found.records if state.type == "MX"
        }
        items = []
        for record in self.declared.dns_records:
            if record.type != "MX":
                continue
            state = found.get((record.zone.casefold(), record.name.casefold()))
            current = {comparable("MX", value.value): value for value in state.values} if state else {}
            wanted = {host: preference for preference, host in map(mail_exchanger, record.values)}
            foreseen = self.no_dsc or record.zone.casefold() not in self.zones_found
            for host, preference in wanted.items():
                held = current.get(host)
                why = [CREATE]
                if held is not None:
                    why = ["preference"] if held.priority != preference else []
                    why += ["ttl_seconds"] if held.ttl_seconds != record.ttl_seconds else []
                if why:
                    items.append(_mail_item(record, host, preference, why, "Present", foreseen=foreseen))
            items += [
                _mail_item(record, host, held.priority or 0, [REMOVE], "Absent", foreseen=foreseen)
                for host, held in current.items()
                if host not in wanted
            ]
        return items

    @staticmethod
    def _record_why(record: DnsRecord, current: RecordState | None) -> list[str]:
        if record.state == "absent":
            return [] if current is None else [REMOVE]
        if current is None:
            return [CREATE]
        found = {comparable(record.type, value.value): value for value in current.values}
        wanted = {comparable(record.type, value) for value in record.values}
        why = ["values"] if wanted != set(found) else []
        kept: list[RecordValue] = [value for name, value in found.items() if name in wanted]
        why += ["ttl_seconds"] if any(value.ttl_seconds != record.ttl_seconds for value in kept) else []
        why += ["aging"] if any(value.aged for value in kept) else []
        if record.type == "SRV":
            service = (record.port, record.priority, record.weight)
            why += ["service"] if any((value.port, value.priority, value.weight) != service for value in kept) else []
        return why

    def forwarders(self) -> list[Item]:
        """The server's forwarders, when some are declared and they differ; their order counts."""
        if not self.declared.dns_forwarders:
            return []
        wanted = {"use_root_hints": self.declared.dns_use_root_hints}
        why = differing(wanted, asdict(self.found.forwarders))
        why += ["addresses"] if self.declared.dns_forwarders != self.found.forwarders.addresses else []
        addresses = list(self.declared.dns_forwarders)
        return [item("forwarders", why, foreseen=self.no_dsc, addresses=addresses, **wanted)] if why else []

    def scavenging(self) -> list[Item]:
        """The server's scavenging, when it differs."""
        wanted = asdict(self.declared.dns_scavenging)
        if not wanted["enabled"]:
            wanted["interval_hours"] = 0
        why = differing(wanted, asdict(self.found.scavenging))
        return [item("scavenging", why, foreseen=self.no_dsc, **wanted)] if why else []


def comparable(kind: str, value: str) -> str:
    """A record's value as two equal ones are both written."""
    if kind in _NAMED:
        return value.rstrip(".").casefold()
    if kind == "AAAA":
        try:
            return IPv6Address(value).compressed
        except AddressValueError:
            return value
    return value


def mail_exchanger(value: str) -> tuple[int, str]:
    """Preference and server of an MX record's value (``10 mail.example.org``), the server as it is compared."""
    preference, _space, host = value.partition(" ")
    return int(preference), comparable("MX", host)


def _mail_item(record: DnsRecord, host: str, preference: int, why: list[str], ensure: str, *, foreseen: bool) -> Item:
    """One turn of the DSC resource DnsRecordMx: it adds the final dot to the server by itself."""
    domain = record.zone if record.name == "@" else f"{record.name}.{record.zone}"
    return item(
        f"{record.name}.{record.zone} MX {host}",
        why,
        foreseen=foreseen,
        zone=record.zone,
        domain=domain,
        host=host,
        preference=preference,
        ttl=_span(record.ttl_seconds),
        ensure=ensure,
    )


def _span(seconds: int) -> str:
    """A duration as .NET writes a TimeSpan (``1.02:03:04``): the resource compares the two as texts."""
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
    return f"{days}.{clock}" if days else clock


def _record_arguments(record: DnsRecord) -> Item:
    arguments: Item = {"zone": record.zone, "name": record.name, "type": record.type, "state": record.state}
    if record.state == "present":
        arguments |= {"value": list(record.values), "ttl": record.ttl_seconds}
    if record.type == "SRV":
        arguments |= {"port": record.port, "priority": record.priority, "weight": record.weight}
    return arguments
