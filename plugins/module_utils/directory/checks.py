# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration by itself, before anything is touched."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_network
from typing import TYPE_CHECKING, Any, Protocol

from . import names
from .declared import PREFIX, plain_mac
from .language import Text, about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .declared import Declaration, DhcpScope, DnsRecord, Group, PasswordPolicy, PolicyValue, User

_GUID = re.compile(r"(\{)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?(1)\})", re.IGNORECASE)
_UNSAFE = frozenset('"+\\<>;=#/')
"""Characters that microsoft.ad 1.10 does not escape when it looks an object up by name (it escapes the comma)."""


class Named(Protocol):
    """What organisational units, groups, users and service accounts have in common."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def path(self) -> str:
        """Its container."""


def problems(declared: Declaration) -> list[Text]:
    """Sentences on what is wrong with a declaration; each starts with the variable's name and path."""
    found = (text for check in _CHECKS for text in check(declared))
    return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]


def _labels(declared: Declaration) -> Iterator[Text]:
    labels = declared.domain.split(".")
    if len(labels) < 2 or not all(labels):
        yield about(
            "domain",
            f"{declared.domain!r} is not a DNS name of two labels or more",
            f"« {declared.domain} » n'est pas un nom DNS d'au moins deux parties",
        )
    if len(declared.netbios_name) > 15 or "." in declared.netbios_name:
        yield about(
            "netbios_name",
            f"{declared.netbios_name!r} must have 15 characters or fewer, and no dot",
            f"« {declared.netbios_name} » doit avoir 15 caractères au plus, et aucun point",
        )
    if len(declared.hostname) > 15:
        yield about(
            "hostname",
            f"{declared.hostname!r} has more than 15 characters, which NetBIOS does not allow",
            f"« {declared.hostname} » a plus de 15 caractères, ce que NetBIOS n'admet pas",
        )


def _repeated(declared: Declaration) -> Iterator[Text]:
    lists: tuple[tuple[str, Iterable[Any], Callable[[Any], str]], ...] = (
        ("organizational_units", declared.organizational_units, declared.unit_dn),
        ("groups", declared.groups, lambda item: str(item.name)),
        ("users", declared.users, lambda item: str(item.name)),
        ("service_accounts", declared.service_accounts, lambda item: str(item.name)),
        ("fine_grained_policies", declared.fine_grained_policies, lambda item: str(item.name)),
        ("sites", declared.sites, lambda item: str(item.name)),
        ("group_policies", declared.group_policies, lambda item: str(item.name)),
        ("dns_zones", declared.dns_zones, lambda item: str(item.name)),
        ("dns_conditional_forwarders", declared.dns_conditional_forwarders, lambda item: str(item.name)),
        ("dns_records", declared.dns_records, lambda item: f"{item.name}.{item.zone} {item.type}"),
        ("dhcp_scopes", declared.dhcp_scopes, lambda item: str(item.id)),
        ("registry", declared.registry, lambda item: f"{item.path}\\{item.name}"),
    )
    for variable, items, label in lists:
        seen: set[str] = set()
        for index, item in enumerate(items):
            folded = label(item).casefold()
            if folded in seen:
                yield about(
                    f"{variable}[{index}]", f"{label(item)} is declared twice", f"{label(item)} est déclaré deux fois"
                )
            seen.add(folded)
    accounts: dict[str, str] = {}
    both: tuple[tuple[str, tuple[Named, ...]], ...] = (("groups", declared.groups), ("users", declared.users))
    for variable, named in both:
        for index, item in enumerate(named):
            other = accounts.setdefault(item.name.casefold(), variable)
            if other != variable:
                yield about(
                    f"{variable}[{index}].name",
                    f"{item.name!r} is also the name of one of the {other}",
                    f"« {item.name} » est aussi le nom d'un élément de domain_controller_{other}",
                )


def _names(declared: Declaration) -> Iterator[Text]:
    lists: tuple[tuple[str, tuple[Named, ...]], ...] = (
        ("organizational_units", declared.organizational_units),
        ("groups", declared.groups),
        ("users", declared.users),
        ("service_accounts", declared.service_accounts),
    )
    for variable, items in lists:
        for index, item in enumerate(items):
            yield from _name(f"{variable}[{index}]", item, declared)
    for index, user in enumerate(declared.users):
        if any(group.casefold() == "rid:513" for group in user.groups):
            yield about(
                f"users[{index}].groups",
                "every user is in rid:513 (domain users) already, as its primary group",
                "tout utilisateur est déjà dans rid:513 (utilisateurs du domaine), son groupe principal",
            )
        if len(user.name) > 20:
            yield about(
                f"users[{index}].name",
                f"{user.name!r} has more than the 20 characters of an account name",
                f"« {user.name} » dépasse les 20 caractères d'un nom de compte",
            )
    for index, account in enumerate(declared.service_accounts):
        if len(account.name) > 15:
            yield about(
                f"service_accounts[{index}].name",
                f"{account.name!r} has more than the 15 characters of a gMSA",
                f"« {account.name} » dépasse les 15 caractères d'un compte gMSA",
            )


def _name(path: str, item: Named, declared: Declaration) -> Iterator[Text]:
    if _UNSAFE & set(item.name) or item.name != item.name.strip() or not item.name:
        yield about(
            f"{path}.name",
            f"{item.name!r} holds a character that a name here cannot have",
            f"« {item.name} » contient un caractère qu'un nom ne peut avoir ici",
        )
    if item.path and not names.is_dn(item.path):
        yield about(
            f"{path}.path",
            f"{item.path!r} is not a distinguished name; write it as OU=Child,OU=Parent, relative to the domain",
            f"« {item.path} » n'est pas un nom unique ; écrivez-le OU=Enfant,OU=Parent, relatif au domaine",
        )
    elif "DC=" in item.path.upper() and not names.key(item.path).endswith(names.key(declared.root)):
        yield about(
            f"{path}.path",
            f"{item.path!r} is not below {declared.root}",
            f"« {item.path} » n'est pas sous {declared.root}",
        )


def _removals(declared: Declaration) -> Iterator[Text]:
    lists: tuple[tuple[str, tuple[Group | User | DnsRecord, ...]], ...] = (
        ("groups", declared.groups),
        ("users", declared.users),
        ("dns_records", declared.dns_records),
    )
    for variable, items in lists:
        for index, item in enumerate(items):
            if item.state == "absent" and not item.force:
                yield about(
                    f"{variable}[{index}]",
                    "state absent removes it for good; add force: true if that is meant",
                    "l'état absent le supprime définitivement ; ajoutez force: true si c'est voulu",
                )


def _users(declared: Declaration) -> Iterator[Text]:
    for index, user in enumerate(declared.users):
        if user.state == "present" and user.enabled and not user.password:
            yield about(
                f"users[{index}].password",
                "missing; an enabled user cannot be created without one (vault it)",
                "absent ; un utilisateur actif ne peut être créé sans mot de passe (mettez-le au coffre)",
            )
        if user.password_never_expires and user.change_password_at_logon:
            yield about(
                f"users[{index}]",
                "change_password_at_logon and password_never_expires exclude each other;"
                " set change_password_at_logon: false",
                "change_password_at_logon et password_never_expires s'excluent ;"
                " mettez change_password_at_logon: false",
            )


def _policies(declared: Declaration) -> Iterator[Text]:
    every: list[tuple[str, PasswordPolicy]] = [("password_policy", declared.password_policy)]
    every += [(f"fine_grained_policies[{index}]", item) for index, item in enumerate(declared.fine_grained_policies)]
    for path, policy in every:
        if policy.maximum_age_days and policy.minimum_age_days >= policy.maximum_age_days:
            yield about(
                f"{path}.minimum_age_days",
                f"{policy.minimum_age_days} must be less than maximum_age_days",
                f"{policy.minimum_age_days} doit être inférieur à maximum_age_days",
            )
        if policy.lockout_minutes and policy.lockout_window_minutes > policy.lockout_minutes:
            yield about(
                f"{path}.lockout_window_minutes",
                f"{policy.lockout_window_minutes} must not exceed lockout_minutes",
                f"{policy.lockout_window_minutes} ne doit pas dépasser lockout_minutes",
            )
        yield from _between(f"{path}.history", policy.history, 0, 24)
    for index, item in enumerate(declared.fine_grained_policies):
        path = f"fine_grained_policies[{index}]"
        if not item.name:
            yield about(f"{path}.name", "missing", "absent")
        if item.precedence < 1:
            yield about(
                f"{path}.precedence", f"{item.precedence} is not 1 or more", f"{item.precedence} n'est pas au moins 1"
            )


def _group_policies(declared: Declaration) -> Iterator[Text]:
    for index, policy in enumerate(declared.group_policies):
        path = f"group_policies[{index}]"
        if policy.purge and policy.backup:
            yield about(
                f"{path}.purge",
                "purge would remove what the backup brings; declare one of the two",
                "purge supprimerait ce que la sauvegarde apporte ; déclarez l'un ou l'autre",
            )
        if policy.backup and not _GUID.fullmatch(policy.backup.id):
            yield about(
                f"{path}.backup.id",
                f"{policy.backup.id!r} is not the identifier of a backup (the name of its folder)",
                f"« {policy.backup.id} » n'est pas l'identifiant d'une sauvegarde (le nom de son dossier)",
            )
        seen: set[str] = set()
        for number, value in enumerate(policy.values):
            where = f"{path}.values[{number}]"
            yield from _policy_value(where, value)
            folded = f"{value.key}\\{value.name}".casefold()
            if folded in seen:
                yield about(where, f"{value.name} is declared twice", f"{value.name} est déclaré deux fois")
            seen.add(folded)


def _policy_value(path: str, value: PolicyValue) -> Iterator[Text]:
    if not re.match(r"(HKLM|HKCU)\\[^\\]", value.key, re.IGNORECASE):
        yield about(
            f"{path}.key",
            f"{value.key!r} does not start with HKLM\\ (computers) or HKCU\\ (users)",
            f"« {value.key} » ne commence ni par HKLM\\ (ordinateurs) ni par HKCU\\ (utilisateurs)",
        )
    several = value.type == "multistring"
    if value.data if several else value.lines:
        good, bad = ("lines", "data") if several else ("data", "lines")
        yield about(
            f"{path}.{bad}",
            f"the data of a {value.type} is given in {good}",
            f"les données d'un {value.type} se donnent dans {good}",
        )
    limit = {"dword": 2**32, "qword": 2**64}.get(value.type)
    if limit and value.state == "present" and not (value.data.isdigit() and int(value.data) < limit):
        yield about(
            f"{path}.data",
            f"{value.data!r} is not an unsigned number, which a {value.type} is",
            f"« {value.data} » n'est pas un nombre sans signe, comme le veut le type {value.type}",
        )


def _between(path: str, value: int, lowest: int, highest: int) -> Iterator[Text]:
    if not lowest <= value <= highest:
        yield about(
            path,
            f"{value} is not between {lowest} and {highest}",
            f"{value} n'est pas compris entre {lowest} et {highest}",
        )


def _sites(declared: Declaration) -> Iterator[Text]:
    owners: dict[str, str] = {}
    for index, site in enumerate(declared.sites):
        for number, subnet in enumerate(site.subnets):
            path = f"sites[{index}].subnets[{number}]"
            try:
                network = str(ip_network(subnet))
            except ValueError as error:
                yield about(path, str(error), f"« {subnet} » n'est pas un réseau au format CIDR ({error})")
                continue
            other = owners.setdefault(network, site.name)
            if other != site.name:
                yield about(
                    path, f"{subnet} already belongs to site {other}", f"{subnet} appartient déjà au site {other}"
                )
    if sum(site.rename_default for site in declared.sites) > 1:
        yield about(
            "sites",
            "only one site can be the renamed Default-First-Site-Name",
            "un seul site peut être Default-First-Site-Name renommé",
        )


def _dns(declared: Declaration) -> Iterator[Text]:
    for index, record in enumerate(declared.dns_records):
        yield from _record(f"dns_records[{index}]", record)
    yield from _addresses("dns_forwarders", declared.dns_forwarders)
    yield from _addresses("dns_client_servers", declared.dns_client_servers)
    for index, forwarder in enumerate(declared.dns_conditional_forwarders):
        path = f"dns_conditional_forwarders[{index}]"
        yield from _addresses(f"{path}.servers", forwarder.servers)
        if not forwarder.servers:
            yield about(f"{path}.servers", "missing", "absent")
        yield from _between(f"{path}.timeout_seconds", forwarder.timeout_seconds, 1, 15)


def _record(path: str, record: DnsRecord) -> Iterator[Text]:
    service = (record.port, record.priority, record.weight)
    if record.state == "present" and not record.values:
        yield about(f"{path}.values", "missing", "absent")
    if record.state == "absent" and record.values:
        yield about(
            f"{path}.values",
            "an absent record loses all its values; leave them out",
            "un enregistrement absent perd toutes ses valeurs ; ne les indiquez pas",
        )
    if record.type == "SRV" and None in service:
        yield about(
            path, "an SRV record needs port, priority and weight", "un enregistrement SRV veut port, priority et weight"
        )
    if record.type == "SRV" and record.ttl_seconds != 3600:
        yield about(
            f"{path}.ttl_seconds",
            "win_dns_record adds an SRV record with the zone's own, 3600; leave it out",
            "win_dns_record crée un SRV avec la durée de la zone, 3600 ; ne l'indiquez pas",
        )
    if record.type == "MX" and record.state == "present":
        yield from _mail(f"{path}.values", record.values)
    if record.type != "SRV" and set(service) != {None}:
        yield about(
            path,
            "port, priority and weight are an SRV record's",
            "port, priority et weight sont propres aux enregistrements SRV",
        )
    if record.type == "CNAME" and len(record.values) > 1:
        yield about(f"{path}.values", "a CNAME has one value", "un CNAME n'a qu'une valeur")
    yield from _between(f"{path}.ttl_seconds", record.ttl_seconds, 1, 31_557_600)
    if record.type == "A":
        yield from _addresses(f"{path}.values", record.values)


def _mail(path: str, values: Iterable[str]) -> Iterator[Text]:
    for index, value in enumerate(values):
        preference, _space, host = value.partition(" ")
        if not (preference.isdigit() and int(preference) <= 65535 and host.strip(".") and " " not in host):
            yield about(
                f"{path}[{index}]",
                f"{value!r} is not a preference and a server; write it as '10 mail.example.org'",
                f"« {value} » n'est pas une préférence et un serveur ; écrivez « 10 mail.example.org »",
            )


def _addresses(path: str, values: Iterable[str]) -> Iterator[Text]:
    for index, value in enumerate(values):
        try:
            IPv4Address(value)
        except AddressValueError as error:
            yield about(
                f"{path}[{index}]",
                f"{value!r} is not an IPv4 address ({error})",
                f"« {value} » n'est pas une adresse IPv4 ({error})",
            )


def _dhcp(declared: Declaration) -> Iterator[Text]:
    if (declared.dhcp_scopes or declared.dhcp_options) and not declared.dhcp:
        yield about(
            "dhcp",
            "scopes or options are declared, so it must be true",
            "des étendues ou des options sont déclarées : il doit valoir true",
        )
    for index, scope in enumerate(declared.dhcp_scopes):
        yield from _scope(f"dhcp_scopes[{index}]", scope)


def _scope(path: str, scope: DhcpScope) -> Iterator[Text]:
    try:
        network = IPv4Network(f"{scope.id}/{scope.mask}")
        start, end = IPv4Address(scope.start), IPv4Address(scope.end)
    except ValueError as error:  # of an address or of a mask
        yield about(path, str(error), f"adresse ou masque incorrect ({error})")
        return
    for name, address in (("start", start), ("end", end)):
        if address not in network:
            yield about(f"{path}.{name}", f"{address} is not in {network}", f"{address} n'est pas dans {network}")
    if start > end:
        yield about(f"{path}.start", f"{start} comes after end {end}", f"{start} vient après la fin {end}")
    yield from _between(f"{path}.lease_hours", scope.lease_hours, 1, 8760)
    for number, exclusion in enumerate(scope.exclusions):
        where = f"{path}.exclusions[{number}]"
        try:
            first, last = IPv4Address(exclusion.start), IPv4Address(exclusion.end)
        except AddressValueError as error:
            yield about(where, str(error), f"adresse incorrecte ({error})")
            continue
        if not start <= first <= last <= end:
            yield about(
                where,
                f"{first} to {last} is not within {start} to {end}",
                f"{first} à {last} n'est pas compris dans {start} à {end}",
            )
    yield from _reservations(path, scope, network)


def _reservations(path: str, scope: DhcpScope, network: IPv4Network) -> Iterator[Text]:
    seen: dict[str, int] = {}
    for number, reservation in enumerate(scope.reservations):
        where = f"{path}.reservations[{number}]"
        try:
            if IPv4Address(reservation.address) not in network:
                yield about(
                    f"{where}.address",
                    f"{reservation.address} is not in {network}",
                    f"{reservation.address} n'est pas dans {network}",
                )
        except AddressValueError as error:
            yield about(f"{where}.address", str(error), f"adresse incorrecte ({error})")
        mac = plain_mac(reservation.mac)
        if len(mac) != 12 or any(character not in "0123456789abcdef" for character in mac):
            yield about(
                f"{where}.mac",
                f"{reservation.mac!r} is not a MAC address",
                f"« {reservation.mac} » n'est pas une adresse MAC",
            )
        for value in (reservation.address, mac):
            if value in seen:
                yield about(
                    where,
                    f"{value} is already reserved by reservations[{seen[value]}]",
                    f"{value} est déjà réservé par reservations[{seen[value]}]",
                )
            seen[value] = number


def _ranges(declared: Declaration) -> Iterator[Text]:
    laps = declared.laps
    yield from _between("laps.password_length", laps.password_length, 8, 64)
    yield from _between("laps.password_complexity", laps.password_complexity, 1, 8)
    yield from _between("laps.password_age_days", laps.password_age_days, 1, 365)
    targets = [(f"gpo_links[{index}].target", link.target) for index, link in enumerate(declared.gpo_links)]
    targets += [(f"laps.targets[{index}]", target) for index, target in enumerate(laps.targets)]
    for path, target in targets:
        if target and not names.is_dn(target):
            yield about(path, f"{target!r} is not a distinguished name", f"« {target} » n'est pas un nom unique")
    for index, entry in enumerate(declared.registry):
        if not entry.path.upper().startswith("HKLM:\\"):
            yield about(
                f"registry[{index}].path",
                f"{entry.path!r} does not start with HKLM:\\",
                f"« {entry.path} » ne commence pas par HKLM:\\",
            )
        if entry.type in {"dword", "qword"} and not entry.data.isdigit():
            yield about(
                f"registry[{index}].data",
                f"{entry.data!r} is not an unsigned number, which a {entry.type} is",
                f"« {entry.data} » n'est pas un nombre sans signe, comme le veut le type {entry.type}",
            )
    if not declared.kerberos_encryption_types:
        yield about("kerberos_encryption_types", "at least one is needed", "il en faut au moins un")


_CHECKS: tuple[Callable[[Declaration], Iterator[Text]], ...] = (
    _labels,
    _repeated,
    _names,
    _removals,
    _users,
    _policies,
    _group_policies,
    _sites,
    _dns,
    _dhcp,
    _ranges,
)
