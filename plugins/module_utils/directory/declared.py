# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain controller's variables declare, as objects, and what is wrong with them before anything is touched.

Each class mirrors one nested structure of the role's ``meta/argument_specs.yml``: same keys, same defaults (a test
compares them). Addresses are IPv4, ages in days, delays in minutes or hours as the name says.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError, ip_network
from typing import TYPE_CHECKING, Any

from . import names
from .shape import ShapeError, build, build_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PREFIX = "domain_controller_"

_UNSAFE = frozenset('"+\\<>;=#/')
"""Characters that microsoft.ad 1.10 does not escape when it looks an object up by name (it escapes the comma)."""


@dataclass(frozen=True, slots=True)
class OrganizationalUnit:
    """An organisational unit; ``path`` is relative to the domain unless it names it."""

    name: str
    path: str = ""
    description: str = ""
    protect_from_deletion: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """A group; with ``members_exact`` whoever is not declared leaves it."""

    name: str
    path: str = ""
    scope: str = "global"
    category: str = "security"
    description: str = ""
    members: tuple[str, ...] = ()
    members_exact: bool = False
    state: str = "present"
    force: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """A user; its password is only ever set when it is created."""

    name: str
    path: str = ""
    upn: str = ""
    firstname: str = ""
    surname: str = ""
    display_name: str = ""
    email: str = ""
    description: str = ""
    enabled: bool = True
    password: str = ""
    change_password_at_logon: bool = True
    password_never_expires: bool = False
    user_cannot_change_password: bool = False
    groups: tuple[str, ...] = ()
    kerberos_encryption_types: tuple[str, ...] = ()
    state: str = "present"
    force: bool = False


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A group managed service account (gMSA)."""

    name: str
    path: str = ""
    dns_hostname: str = ""
    description: str = ""
    allowed_to_retrieve_password: tuple[str, ...] = ()
    spns: tuple[str, ...] = ()
    kerberos_encryption_types: tuple[str, ...] = ("aes128", "aes256")


Named = OrganizationalUnit | Group | User | ServiceAccount


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The domain's default password policy."""

    minimum_length: int = 14
    complexity: bool = True
    history: int = 24
    maximum_age_days: int = 365
    minimum_age_days: int = 1
    lockout_threshold: int = 5
    lockout_minutes: int = 15
    lockout_window_minutes: int = 15
    reversible_encryption: bool = False


@dataclass(frozen=True, slots=True)
class FineGrainedPolicy(PasswordPolicy):
    """A password policy of its own for some groups or users; the lowest precedence wins."""

    name: str = ""
    precedence: int = 0
    subjects: tuple[str, ...] = ()
    protect_from_deletion: bool = True


@dataclass(frozen=True, slots=True)
class Site:
    """A site of the directory and the networks (CIDR) that belong to it."""

    name: str
    subnets: tuple[str, ...] = ()
    rename_default: bool = False


@dataclass(frozen=True, slots=True)
class GpoLink:
    """The link of an existing group policy to a container."""

    gpo: str
    target: str = ""
    enabled: bool = True
    enforced: bool = False


@dataclass(frozen=True, slots=True)
class Laps:
    """Windows LAPS: who keeps its password in the directory, and how it is made."""

    enabled: bool = True
    targets: tuple[str, ...] = ()
    password_length: int = 20
    password_complexity: int = 4
    password_age_days: int = 30
    encrypt: bool = True
    dsrm: bool = True


@dataclass(frozen=True, slots=True)
class Aging:
    """Aging of a zone's dynamic records."""

    enabled: bool = True
    refresh_hours: int = 168
    no_refresh_hours: int = 168


@dataclass(frozen=True, slots=True)
class DnsZone:
    """A primary zone kept in the directory."""

    name: str
    replication: str = "domain"
    dynamic_update: str = "secure"
    aging: Aging | None = None


@dataclass(frozen=True, slots=True)
class ConditionalForwarder:
    """A domain whose questions go to servers of its own."""

    name: str
    servers: tuple[str, ...]
    replication: str = "domain"
    timeout_seconds: int = 5


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """All values of one name and type in a zone."""

    zone: str
    name: str
    type: str
    values: tuple[str, ...] = ()
    ttl_seconds: int = 3600
    port: int | None = None
    priority: int | None = None
    weight: int | None = None
    state: str = "present"
    force: bool = False


@dataclass(frozen=True, slots=True)
class DnsScavenging:
    """The server's removal of stale dynamic records."""

    enabled: bool = True
    interval_hours: int = 168
    refresh_hours: int = 168
    no_refresh_hours: int = 168


@dataclass(frozen=True, slots=True)
class DhcpOption:
    """A DHCP option by its number."""

    id: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DhcpExclusion:
    """Addresses of a scope that are never leased."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class DhcpReservation:
    """An address kept for one network card."""

    address: str
    mac: str
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class DhcpScope:
    """A DHCP scope with all that belongs to it."""

    id: str
    name: str
    mask: str
    start: str
    end: str
    lease_hours: int = 192
    description: str = ""
    active: bool = True
    exclusions: tuple[DhcpExclusion, ...] = ()
    options: tuple[DhcpOption, ...] = ()
    reservations: tuple[DhcpReservation, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """One registry value."""

    path: str
    name: str
    data: str
    type: str = "dword"


@dataclass(frozen=True, slots=True)
class DscModule:
    """A PowerShell module with DSC resources, at the version it was read at."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that the role's variables declare about the domain and its services."""

    domain: str
    netbios_name: str = ""
    promotion: str = "forest"
    hostname: str = ""
    organizational_units: tuple[OrganizationalUnit, ...] = ()
    groups: tuple[Group, ...] = ()
    users: tuple[User, ...] = ()
    service_accounts: tuple[ServiceAccount, ...] = ()
    password_policy: PasswordPolicy = PasswordPolicy()
    fine_grained_policies: tuple[FineGrainedPolicy, ...] = ()
    recycle_bin: bool = True
    kds_root_key: bool = True
    kds_root_key_effective_immediately: bool = False
    sites: tuple[Site, ...] = ()
    gpo_links: tuple[GpoLink, ...] = ()
    laps: Laps = Laps()
    dns_client_servers: tuple[str, ...] = ()
    dns_forwarders: tuple[str, ...] = ()
    dns_use_root_hints: bool = False
    dns_zones: tuple[DnsZone, ...] = ()
    dns_conditional_forwarders: tuple[ConditionalForwarder, ...] = ()
    dns_records: tuple[DnsRecord, ...] = ()
    dns_scavenging: DnsScavenging = DnsScavenging()
    dhcp: bool = False
    dhcp_authorized: bool = True
    dhcp_options: tuple[DhcpOption, ...] = ()
    dhcp_scopes: tuple[DhcpScope, ...] = ()
    time_servers: tuple[str, ...] = ("0.fr.pool.ntp.org", "1.fr.pool.ntp.org", "2.fr.pool.ntp.org")
    time_from_hypervisor: bool = False
    ldap_signing: str = "required"
    ldap_channel_binding: str = "always"
    kerberos_encryption_types: tuple[str, ...] = ("aes128", "aes256")
    registry: tuple[RegistryValue, ...] = ()
    dsc_modules: tuple[DscModule, ...] = ()

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Declaration:
        """Make a declaration out of the role's variables, their prefix left out.

        Raises:
            ShapeError: the first thing that has not the shape the role documents, by the variable's full name.
        """
        try:
            return build(cls, values, "")
        except ShapeError as error:
            raise ShapeError(PREFIX + str(error).removeprefix(".")) from None

    @property
    def root(self) -> str:
        """Distinguished name of the domain."""
        return names.domain_dn(self.domain)

    def place(self, path: str, default: str = "") -> str:
        """Absolute distinguished name of a container; ``default`` (relative) where no path is given."""
        return names.under(path or default, self.root)

    def unit_dn(self, unit: OrganizationalUnit) -> str:
        """Distinguished name of an organisational unit."""
        return f"OU={names.escape(unit.name)},{self.place(unit.path)}"

    def group_dn(self, group: Group) -> str:
        """Distinguished name of a group."""
        return f"CN={names.escape(group.name)},{self.place(group.path, 'CN=Users')}"

    def user_dn(self, user: User) -> str:
        """Distinguished name of a user; its common name is its account name."""
        return f"CN={names.escape(user.name)},{self.place(user.path, 'CN=Users')}"

    def account_dn(self, account: ServiceAccount) -> str:
        """Distinguished name of a group managed service account."""
        return f"CN={names.escape(account.name)},{self.place(account.path, 'CN=Managed Service Accounts')}"

    def principals(self) -> list[str]:
        """Every principal the declaration refers to, as it is spelled, each once."""
        referred: list[str] = []
        for group in self.groups:
            referred += group.members
        for user in self.users:
            referred += user.groups
        for policy in self.fine_grained_policies:
            referred += policy.subjects
        for account in self.service_accounts:
            referred += account.allowed_to_retrieve_password
        return sorted(set(referred), key=str.casefold)

    def created(self) -> frozenset[str]:
        """Folded names of the principals that the declaration itself brings into being."""
        both: tuple[Group | User, ...] = (*self.groups, *self.users)
        return frozenset(
            [item.name.casefold() for item in both if item.state == "present"]
            + [name for item in self.service_accounts for name in (item.name.casefold(), f"{item.name}$".casefold())]
        )


def problems(declared: Declaration) -> list[str]:
    """Sentences on what is wrong with a declaration by itself; each starts with the variable's name and path."""
    return [f"{PREFIX}{sentence}" for check in _CHECKS for sentence in check(declared)]


def _labels(declared: Declaration) -> Iterator[str]:
    labels = declared.domain.split(".")
    if len(labels) < 2 or not all(labels):
        yield f"domain: {declared.domain!r} is not a DNS name of two labels or more"
    if len(declared.netbios_name) > 15 or "." in declared.netbios_name:
        yield f"netbios_name: {declared.netbios_name!r} must have 15 characters or fewer, and no dot"
    if len(declared.hostname) > 15:
        yield f"hostname: {declared.hostname!r} has more than 15 characters, which NetBIOS does not allow"


def _repeated(declared: Declaration) -> Iterator[str]:
    lists: tuple[tuple[str, Iterable[Any], Callable[[Any], str]], ...] = (
        ("organizational_units", declared.organizational_units, declared.unit_dn),
        ("groups", declared.groups, lambda item: str(item.name)),
        ("users", declared.users, lambda item: str(item.name)),
        ("service_accounts", declared.service_accounts, lambda item: str(item.name)),
        ("fine_grained_policies", declared.fine_grained_policies, lambda item: str(item.name)),
        ("sites", declared.sites, lambda item: str(item.name)),
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
                yield f"{variable}[{index}]: {label(item)} is declared twice"
            seen.add(folded)
    accounts: dict[str, str] = {}
    both: tuple[tuple[str, tuple[Named, ...]], ...] = (("groups", declared.groups), ("users", declared.users))
    for variable, named in both:
        for index, item in enumerate(named):
            other = accounts.setdefault(item.name.casefold(), variable)
            if other != variable:
                yield f"{variable}[{index}].name: {item.name!r} is also the name of one of the {other}"


def _names(declared: Declaration) -> Iterator[str]:
    lists: tuple[tuple[str, tuple[Named, ...]], ...] = (
        ("organizational_units", declared.organizational_units),
        ("groups", declared.groups),
        ("users", declared.users),
        ("service_accounts", declared.service_accounts),
    )
    for variable, items in lists:
        for index, item in enumerate(items):
            unsafe = sorted(_UNSAFE & set(item.name))
            if unsafe or item.name != item.name.strip() or not item.name:
                yield f"{variable}[{index}].name: {item.name!r} holds a character that a name here cannot have"
            if item.path and not names.is_dn(item.path):
                yield (
                    f"{variable}[{index}].path: {item.path!r} is not a distinguished name;"
                    " write it as OU=Child,OU=Parent, relative to the domain"
                )
            elif "DC=" in item.path.upper() and not names.key(item.path).endswith(names.key(declared.root)):
                yield f"{variable}[{index}].path: {item.path!r} is not below {declared.root}"
    for index, user in enumerate(declared.users):
        if any(group.casefold() == "rid:513" for group in user.groups):
            yield f"users[{index}].groups: every user is in rid:513 (domain users) already, as its primary group"
        if len(user.name) > 20:
            yield f"users[{index}].name: {user.name!r} has more than the 20 characters of an account name"
    for index, account in enumerate(declared.service_accounts):
        if len(account.name) > 15:
            yield f"service_accounts[{index}].name: {account.name!r} has more than the 15 characters of a gMSA"


def _removals(declared: Declaration) -> Iterator[str]:
    lists: tuple[tuple[str, tuple[Group | User | DnsRecord, ...]], ...] = (
        ("groups", declared.groups),
        ("users", declared.users),
        ("dns_records", declared.dns_records),
    )
    for variable, items in lists:
        for index, item in enumerate(items):
            if item.state == "absent" and not item.force:
                yield f"{variable}[{index}]: state absent removes it for good; add force: true if that is meant"


def _users(declared: Declaration) -> Iterator[str]:
    for index, user in enumerate(declared.users):
        if user.state == "present" and user.enabled and not user.password:
            yield f"users[{index}].password: missing; an enabled user cannot be created without one (vault it)"
        if user.password_never_expires and user.change_password_at_logon:
            yield (
                f"users[{index}]: change_password_at_logon and password_never_expires exclude each other;"
                " set change_password_at_logon: false"
            )


def _policies(declared: Declaration) -> Iterator[str]:
    every: list[tuple[str, PasswordPolicy]] = [("password_policy", declared.password_policy)]
    every += [(f"fine_grained_policies[{index}]", item) for index, item in enumerate(declared.fine_grained_policies)]
    for path, policy in every:
        if policy.maximum_age_days and policy.minimum_age_days >= policy.maximum_age_days:
            yield f"{path}.minimum_age_days: {policy.minimum_age_days} must be less than maximum_age_days"
        if policy.lockout_minutes and policy.lockout_window_minutes > policy.lockout_minutes:
            yield f"{path}.lockout_window_minutes: {policy.lockout_window_minutes} must not exceed lockout_minutes"
        if not 0 <= policy.history <= 24:
            yield f"{path}.history: {policy.history} is not between 0 and 24"
    for index, item in enumerate(declared.fine_grained_policies):
        if not item.name:
            yield f"fine_grained_policies[{index}].name: missing"
        if item.precedence < 1:
            yield f"fine_grained_policies[{index}].precedence: {item.precedence} is not 1 or more"


def _sites(declared: Declaration) -> Iterator[str]:
    owners: dict[str, str] = {}
    for index, site in enumerate(declared.sites):
        for number, subnet in enumerate(site.subnets):
            path = f"sites[{index}].subnets[{number}]"
            try:
                network = str(ip_network(subnet))
            except ValueError as error:
                yield f"{path}: {error}"
                continue
            other = owners.setdefault(network, site.name)
            if other != site.name:
                yield f"{path}: {subnet} already belongs to site {other}"
    if sum(site.rename_default for site in declared.sites) > 1:
        yield "sites: only one site can be the renamed Default-First-Site-Name"


def _dns(declared: Declaration) -> Iterator[str]:
    for index, record in enumerate(declared.dns_records):
        path = f"dns_records[{index}]"
        if record.state == "present" and not record.values:
            yield f"{path}.values: missing"
        if record.state == "absent" and record.values:
            yield f"{path}.values: an absent record loses all its values; leave them out"
        if record.type == "SRV" and None in (record.port, record.priority, record.weight):
            yield f"{path}: an SRV record needs port, priority and weight"
        if record.type == "SRV" and record.ttl_seconds != 3600:
            yield f"{path}.ttl_seconds: win_dns_record adds an SRV record with the zone's own, 3600; leave it out"
        if record.type != "SRV" and {record.port, record.priority, record.weight} != {None}:
            yield f"{path}: port, priority and weight are an SRV record's"
        if record.type == "CNAME" and len(record.values) > 1:
            yield f"{path}.values: a CNAME has one value"
        if not 1 <= record.ttl_seconds <= 31_557_600:
            yield f"{path}.ttl_seconds: {record.ttl_seconds} is not between 1 and 31557600"
        if record.type == "A":
            yield from _addresses(path + ".values", record.values)
    yield from _addresses("dns_forwarders", declared.dns_forwarders)
    yield from _addresses("dns_client_servers", declared.dns_client_servers)
    for index, forwarder in enumerate(declared.dns_conditional_forwarders):
        yield from _addresses(f"dns_conditional_forwarders[{index}].servers", forwarder.servers)
        if not forwarder.servers:
            yield f"dns_conditional_forwarders[{index}].servers: missing"
        if not 1 <= forwarder.timeout_seconds <= 15:
            yield (
                f"dns_conditional_forwarders[{index}].timeout_seconds:"
                f" {forwarder.timeout_seconds} is not between 1 and 15"
            )


def _addresses(path: str, values: Iterable[str]) -> Iterator[str]:
    for index, value in enumerate(values):
        try:
            IPv4Address(value)
        except AddressValueError as error:
            yield f"{path}[{index}]: {value!r} is not an IPv4 address ({error})"


def _dhcp(declared: Declaration) -> Iterator[str]:
    if (declared.dhcp_scopes or declared.dhcp_options) and not declared.dhcp:
        yield "dhcp: scopes or options are declared, so it must be true"
    for index, scope in enumerate(declared.dhcp_scopes):
        yield from _scope(f"dhcp_scopes[{index}]", scope)


def _scope(path: str, scope: DhcpScope) -> Iterator[str]:
    try:
        network = IPv4Network(f"{scope.id}/{scope.mask}")
        start, end = IPv4Address(scope.start), IPv4Address(scope.end)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        yield f"{path}: {error}"
        return
    for name, address in (("start", start), ("end", end)):
        if address not in network:
            yield f"{path}.{name}: {address} is not in {network}"
    if start > end:
        yield f"{path}.start: {start} comes after end {end}"
    if not 1 <= scope.lease_hours <= 8760:
        yield f"{path}.lease_hours: {scope.lease_hours} is not between 1 and 8760"
    for number, exclusion in enumerate(scope.exclusions):
        try:
            first, last = IPv4Address(exclusion.start), IPv4Address(exclusion.end)
        except AddressValueError as error:
            yield f"{path}.exclusions[{number}]: {error}"
            continue
        if not start <= first <= last <= end:
            yield f"{path}.exclusions[{number}]: {first} to {last} is not within {start} to {end}"
    seen: dict[str, int] = {}
    for number, reservation in enumerate(scope.reservations):
        where = f"{path}.reservations[{number}]"
        try:
            if IPv4Address(reservation.address) not in network:
                yield f"{where}.address: {reservation.address} is not in {network}"
        except AddressValueError as error:
            yield f"{where}.address: {error}"
        mac = plain_mac(reservation.mac)
        if len(mac) != 12 or any(character not in "0123456789abcdef" for character in mac):
            yield f"{where}.mac: {reservation.mac!r} is not a MAC address"
        for value in (reservation.address, mac):
            if value in seen:
                yield f"{where}: {value} is already reserved by reservations[{seen[value]}]"
            seen[value] = number


def plain_mac(mac: str) -> str:
    """A MAC address as its twelve hexadecimal digits, in lower case."""
    return mac.replace("-", "").replace(":", "").replace(".", "").casefold()


def _ranges(declared: Declaration) -> Iterator[str]:
    laps = declared.laps
    for name, value, lowest, highest in (
        ("password_length", laps.password_length, 8, 64),
        ("password_complexity", laps.password_complexity, 1, 8),
        ("password_age_days", laps.password_age_days, 1, 365),
    ):
        if not lowest <= value <= highest:
            yield f"laps.{name}: {value} is not between {lowest} and {highest}"
    for index, link in enumerate(declared.gpo_links):
        if link.target and not names.is_dn(link.target):
            yield f"gpo_links[{index}].target: {link.target!r} is not a distinguished name"
    for index, target in enumerate(laps.targets):
        if target and not names.is_dn(target):
            yield f"laps.targets[{index}]: {target!r} is not a distinguished name"
    for index, entry in enumerate(declared.registry):
        if not entry.path.upper().startswith("HKLM:\\"):
            yield f"registry[{index}].path: {entry.path!r} does not start with HKLM:\\"
        if entry.type in {"dword", "qword"} and not entry.data.isdigit():
            yield f"registry[{index}].data: {entry.data!r} is not an unsigned number, which a {entry.type} is"
    if not declared.kerberos_encryption_types:
        yield "kerberos_encryption_types: at least one is needed"


_CHECKS: tuple[Callable[[Declaration], Iterator[str]], ...] = (
    _labels,
    _repeated,
    _names,
    _removals,
    _users,
    _policies,
    _sites,
    _dns,
    _dhcp,
    _ranges,
)

__all__ = ["Declaration", "ShapeError", "build_list", "plain_mac", "problems"]
