# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain controller's variables declare, as objects.

Each class mirrors one nested structure of the role's ``meta/argument_specs.yml``: same keys, same defaults (a test
compares them). Addresses are IPv4, ages in days, delays in minutes or hours as the name says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build

from . import names

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "domain_controller_"


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
class GpoBackup:
    """A backup that GPMC or Backup-GPO wrote to a folder on the server or a share."""

    path: str
    id: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """A registry value of a group policy; ``lines`` is the data of a multistring, ``data`` that of all other types."""

    key: str
    name: str
    type: str = "dword"
    data: str = ""
    lines: tuple[str, ...] = ()
    state: str = "present"


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """A group policy, with the backup it is made from and the registry values it holds."""

    name: str
    backup: GpoBackup | None = None
    values: tuple[PolicyValue, ...] = ()
    purge: bool = False


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
    """All values of one name and type in a zone; those of an MX record are written ``10 mail.example.org``."""

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
class LdapsCertificate:
    """The certificate of LDAPS, a PKCS#12 file on Ansible's controller; none is managed without a source."""

    source: str = ""
    password: str = field(default="", repr=False)
    chain: tuple[str, ...] = ()


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
    group_policies: tuple[GroupPolicy, ...] = ()
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
    ldaps_certificate: LdapsCertificate = LdapsCertificate()
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


def plain_mac(mac: str) -> str:
    """A MAC address as its twelve hexadecimal digits, in lower case."""
    return mac.replace("-", "").replace(":", "").replace(".", "").casefold()
