# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the read-only probes found on a server, as objects; their defaults are those of a server not promoted yet.

The defaults of the directory are those of a new forest (Microsoft Learn, security policy settings, account policies),
so that check mode can foresee what a promotion will leave to change.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_SITE = "Default-First-Site-Name"


@dataclass(frozen=True, slots=True)
class Interface:
    """A network card with an IPv4 address."""

    name: str
    addresses: tuple[str, ...] = ()
    dhcp: bool = False
    dns_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstalledModule:
    """A PowerShell module and the versions of it that are installed."""

    name: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """The server: ``role`` is ``standalone``, ``member`` or ``domain_controller``; ``time`` is UTC (ISO 8601)."""

    hostname: str
    role: str
    time: str
    domain: str = ""
    primary: bool = False
    version: str = ""
    reboot_pending: bool = False
    interfaces: tuple[Interface, ...] = ()
    powershell_modules: tuple[InstalledModule, ...] = ()

    @property
    def promoted(self) -> bool:
        """Whether it is a domain controller."""
        return self.role == "domain_controller"


@dataclass(frozen=True, slots=True)
class Domain:
    """The domain's identity."""

    dns_name: str = ""
    netbios_name: str = ""
    distinguished_name: str = ""
    sid: str = ""
    mode: str = ""
    pdc_emulator: str = ""


@dataclass(frozen=True, slots=True)
class PolicyState:
    """A password policy in force."""

    minimum_length: int = 7
    complexity: bool = True
    history: int = 24
    maximum_age_days: int = 42
    minimum_age_days: int = 1
    lockout_threshold: int = 0
    lockout_minutes: int = 10
    lockout_window_minutes: int = 10
    reversible_encryption: bool = False


@dataclass(frozen=True, slots=True)
class FineGrainedState(PolicyState):
    """A fine-grained password policy in force; subjects are distinguished names."""

    name: str = ""
    precedence: int = 0
    subjects: tuple[str, ...] = ()
    protect_from_deletion: bool = False


@dataclass(frozen=True, slots=True)
class UnitState:
    """An organisational unit that exists."""

    distinguished_name: str
    description: str = ""
    protect_from_deletion: bool = False


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group that exists; ``asked`` is how the probe was asked for it."""

    asked: str
    name: str
    distinguished_name: str
    scope: str = ""
    category: str = ""
    description: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserState:
    """A user that exists."""

    name: str
    distinguished_name: str
    upn: str = ""
    firstname: str = ""
    surname: str = ""
    display_name: str = ""
    email: str = ""
    description: str = ""
    enabled: bool = False
    password_never_expires: bool = False
    user_cannot_change_password: bool = False
    kerberos_encryption_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceAccountState:
    """A group managed service account that exists."""

    name: str
    distinguished_name: str
    dns_hostname: str = ""
    description: str = ""
    allowed_to_retrieve_password: tuple[str, ...] = ()
    spns: tuple[str, ...] = ()
    kerberos_encryption_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrincipalState:
    """A principal that exists; ``asked`` is how the probe was asked for it."""

    asked: str
    distinguished_name: str
    sid: str = ""


@dataclass(frozen=True, slots=True)
class RootKey:
    """A KDS root key and the moment it takes effect (UTC, ISO 8601)."""

    id: str
    effective_time: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """A network of a site."""

    name: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class LinkState:
    """A group policy's link."""

    target: str
    gpo: str
    enabled: bool = True
    enforced: bool = False


@dataclass(frozen=True, slots=True)
class LapsState:
    """Windows LAPS: the schema, and the containers whose computers may write their password."""

    schema: bool = False
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory; ``available`` is false on a server that cannot answer for one yet."""

    available: bool = False
    domain: Domain = Domain()
    password_policy: PolicyState = PolicyState()
    fine_grained_policies: tuple[FineGrainedState, ...] = ()
    recycle_bin: bool = False
    kds_root_keys: tuple[RootKey, ...] = ()
    sites: tuple[str, ...] = (DEFAULT_SITE,)
    subnets: tuple[Subnet, ...] = ()
    organizational_units: tuple[UnitState, ...] = ()
    groups: tuple[GroupState, ...] = ()
    users: tuple[UserState, ...] = ()
    service_accounts: tuple[ServiceAccountState, ...] = ()
    principals: tuple[PrincipalState, ...] = ()
    gpo_links: tuple[LinkState, ...] = ()
    laps: LapsState = LapsState()


@dataclass(frozen=True, slots=True)
class Forwarders:
    """Where the DNS server sends what it does not know."""

    addresses: tuple[str, ...] = ()
    use_root_hints: bool = True


@dataclass(frozen=True, slots=True)
class ScavengingState:
    """The DNS server's scavenging."""

    enabled: bool = False
    interval_hours: int = 0
    refresh_hours: int = 168
    no_refresh_hours: int = 168


@dataclass(frozen=True, slots=True)
class ZoneState:
    """A zone of the DNS server."""

    name: str
    type: str = "primary"
    ds_integrated: bool = True
    replication: str = "domain"
    dynamic_update: str = "secure"
    aging: bool = False
    refresh_hours: int = 168
    no_refresh_hours: int = 168
    servers: tuple[str, ...] = ()
    timeout_seconds: int = 0


@dataclass(frozen=True, slots=True)
class RecordValue:
    """One value of a record; ``aged`` when it carries a time stamp, which a static record does not."""

    value: str
    ttl_seconds: int = 3600
    port: int | None = None
    priority: int | None = None
    weight: int | None = None
    aged: bool = False


@dataclass(frozen=True, slots=True)
class RecordState:
    """All values of one name and type."""

    zone: str
    name: str
    type: str
    values: tuple[RecordValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Dns:
    """The DNS server."""

    available: bool = False
    forwarders: Forwarders = Forwarders()
    scavenging: ScavengingState = ScavengingState()
    zones: tuple[ZoneState, ...] = ()
    records: tuple[RecordState, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionState:
    """A DHCP option in force."""

    id: int
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExclusionState:
    """A range that is not leased."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class ReservationState:
    """A reserved address."""

    address: str
    mac: str
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ScopeState:
    """A DHCP scope in force."""

    id: str
    name: str
    mask: str
    start: str
    end: str
    lease_minutes: int
    description: str = ""
    active: bool = True
    exclusions: tuple[ExclusionState, ...] = ()
    options: tuple[OptionState, ...] = ()
    reservations: tuple[ReservationState, ...] = ()


@dataclass(frozen=True, slots=True)
class Dhcp:
    """The DHCP server; ``configured`` once its groups exist and Server Manager was told."""

    available: bool = False
    configured: bool = False
    authorized: bool = False
    options: tuple[OptionState, ...] = ()
    scopes: tuple[ScopeState, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """All that the probes found."""

    server: Server
    directory: Directory = Directory()
    dns: Dns = Dns()
    dhcp: Dhcp = Dhcp()
