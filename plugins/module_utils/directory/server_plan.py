# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between declared and actual settings of the server itself: registry, DNS client, PowerShell modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .declared import GpoBackup
from .directory_plan import encryption_bits
from .items import CREATE, Item, item
from .language import Text, about

if TYPE_CHECKING:
    from .declared import Declaration, PolicyValue
    from .observed import Observation, Server

SERVICES = "HKLM:\\SYSTEM\\CurrentControlSet\\Services"
TIME = f"{SERVICES}\\W32Time"
LAPS = "HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\LAPS"
KERBEROS = "HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System\\Kerberos\\Parameters"

_SIGNING = {"none": 1, "required": 2}
_BINDING = {"never": 0, "when_supported": 1, "always": 2}
_FUTURE_TYPES = 0x7FFFFFE0
"""Bits of SupportedEncryptionTypes that stand for "future encryption types" (CIS Windows Server 2022, 2.3.11.4)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A registry value the role wants."""

    path: str
    name: str
    data: str
    type: str


def settings(declared: Declaration, *, primary: bool) -> list[Setting]:
    """All registry values that a declaration asks for.

    Args:
        declared: the declaration.
        primary: whether the server holds the PDC emulator: it alone takes its time from outside the domain.
    """
    found = [
        *_time(declared, primary=primary),
        # Microsoft ADV190023: LDAP channel binding and LDAP signing.
        _dword(f"{SERVICES}\\NTDS\\Parameters", "LDAPServerIntegrity", _SIGNING[declared.ldap_signing]),
        _dword(
            f"{SERVICES}\\NTDS\\Parameters",
            "LdapEnforceChannelBinding",
            _BINDING[declared.ldap_channel_binding],
        ),
        # CIS Windows Server 2022, 2.3.11.4: types that this server offers as a client.
        _dword(
            KERBEROS,
            "SupportedEncryptionTypes",
            encryption_bits(declared.kerberos_encryption_types) | _FUTURE_TYPES,
        ),
        # Microsoft KB5021131 and CVE-2026-20833: types assumed for accounts that declare none.
        _dword(
            f"{SERVICES}\\KDC",
            "DefaultDomainSupportedEncTypes",
            encryption_bits(declared.kerberos_encryption_types),
        ),
    ]
    if declared.laps.enabled:
        # Microsoft Learn, "Configure policy settings for Windows LAPS": BackupDirectory 2 is Active Directory.
        found += [
            _dword(LAPS, "BackupDirectory", 2),
            _dword(LAPS, "PasswordAgeDays", declared.laps.password_age_days),
            _dword(LAPS, "PasswordComplexity", declared.laps.password_complexity),
            _dword(LAPS, "PasswordLength", declared.laps.password_length),
            _dword(LAPS, "ADPasswordEncryptionEnabled", int(declared.laps.encrypt)),
            _dword(LAPS, "ADBackupDSRMPassword", int(declared.laps.dsrm)),
        ]
    own = {(value.path.casefold(), value.name.casefold()) for value in declared.registry}
    kept = [value for value in found if (value.path.casefold(), value.name.casefold()) not in own]
    return kept + [Setting(value.path, value.name, value.data, value.type) for value in declared.registry]


def _dword(path: str, name: str, data: int) -> Setting:
    return Setting(path, name, str(data), "dword")


def _time(declared: Declaration, *, primary: bool) -> list[Setting]:
    """Time: the PDC emulator follows outside servers, the others the domain (Microsoft Learn, W32Time registry)."""
    values = [
        _dword(
            f"{TIME}\\TimeProviders\\VMICTimeProvider", "Enabled", int(declared.time_from_hypervisor)
        )  # two sources of time in one virtual machine fight each other
    ]
    if not primary:
        return [*values, Setting(f"{TIME}\\Parameters", "Type", "NT5DS", "string")]
    if not declared.time_servers:
        return values
    peers = " ".join(f"{server},0x8" for server in declared.time_servers)
    return [
        *values,
        Setting(f"{TIME}\\Parameters", "NtpServer", peers, "string"),
        Setting(f"{TIME}\\Parameters", "Type", "NTP", "string"),
        _dword(f"{TIME}\\Config", "AnnounceFlags", 5),
    ]


class ServerPlan:
    """Compares a declaration with the server itself; each method answers one loop of the role."""

    def __init__(self, declared: Declaration, observation: Observation) -> None:
        self.declared = declared
        self.found: Server = observation.server
        forest = declared.promotion == "forest"
        self.primary = self.found.primary if self.found.promoted else forest

    def problems(self) -> list[Text]:
        """Sentences on what forbids making this server the domain controller that is declared."""
        found = self.found
        name, wanted = found.hostname, self.declared.domain
        texts = []
        if found.promoted and found.domain.casefold() != wanted.casefold():
            texts.append(
                about(
                    "domain_controller_domain",
                    f"{name} is a domain controller of {found.domain}, not of {wanted}; a domain is not renamed or"
                    " changed here",
                    f"{name} est contrôleur du domaine {found.domain}, non de {wanted} ; on ne renomme ni ne change"
                    " ici de domaine",
                )
            )
        if found.promoted and self.declared.hostname and name.casefold() != self.declared.hostname.casefold():
            texts.append(
                about(
                    "domain_controller_hostname",
                    f"{name} is a domain controller already; renaming one to {self.declared.hostname} is not done here"
                    " (netdom computername)",
                    f"{name} est déjà contrôleur de domaine ; le renommer en {self.declared.hostname} ne se fait pas"
                    " ici (netdom computername)",
                )
            )
        if found.role == "member" and self.declared.promotion == "forest":
            texts.append(
                about(
                    "domain_controller_promotion",
                    f"{name} is a member of {found.domain}; it cannot found a forest",
                    f"{name} est membre de {found.domain} ; il ne peut fonder une forêt",
                )
            )
        if not any(interface.addresses for interface in found.interfaces):
            texts.append(
                Text(
                    f"{name} has no IPv4 address; give it a static one first",
                    f"{name} n'a pas d'adresse IPv4 ; donnez-lui d'abord une adresse fixe",
                )
            )
        for interface in found.interfaces:
            if interface.dhcp and interface.addresses:
                held = ", ".join(interface.addresses)
                texts.append(
                    Text(
                        f"{name}: card {interface.name} has its address {held} from DHCP; a domain controller needs a"
                        " static one (infogerance_servers[].networks[].address)",
                        f"{name} : la carte {interface.name} tient son adresse {held} de DHCP ; un contrôleur de"
                        " domaine veut une adresse fixe (infogerance_servers[].networks[].address)",
                    )
                )
        if self.declared.laps.enabled and _build(found.version) and _build(found.version) < 17763:
            texts.append(
                about(
                    "domain_controller_laps.enabled",
                    f"{name} runs build {found.version}; Windows LAPS needs Windows Server 2019 or later",
                    f"{name} est en version {found.version} ; Windows LAPS veut Windows Server 2019 ou ultérieur",
                )
            )
        return texts

    def registry(self) -> list[dict[str, str | int]]:
        """All registry values of the declaration: win_registry_values compares them itself, in one command."""
        return [
            {
                "path": wanted.path,
                "name": wanted.name,
                "type": wanted.type,
                "data": int(wanted.data) if wanted.type in {"dword", "qword"} else wanted.data,
            }
            for wanted in settings(self.declared, primary=self.primary)
        ]

    def group_policies(self) -> list[dict[str, Any]]:
        """All group policies of the declaration, on the PDC emulator: the module compares them itself."""
        if not self.primary:
            return []
        found = []
        for policy in self.declared.group_policies:
            backup = policy.backup or GpoBackup("", "")
            found.append(
                {
                    "name": policy.name,
                    "backup_path": backup.path,
                    "backup_id": backup.id,
                    "backup_version": backup.version,
                    "purge": policy.purge,
                    "values": [_policy_value(value) for value in policy.values],
                }
            )
        return found

    def dns_client(self) -> list[Item]:
        """Cards whose DNS servers differ: the declared ones, else the server itself."""
        items = []
        for interface in self.found.interfaces:
            if not interface.addresses:
                continue
            servers = self.declared.dns_client_servers or (interface.addresses[0], "127.0.0.1")
            if servers != interface.dns_servers:
                items.append(
                    item(interface.name, servers, foreseen=False, adapter=interface.name, servers=list(servers))
                )
        return items

    def dsc_modules(self) -> list[Item]:
        """PowerShell modules to install: those declared whose version is missing; DHCP's only where DHCP is."""
        found = {module.name.casefold(): module.versions for module in self.found.powershell_modules}
        return [
            item(module.name, [CREATE], foreseen=False, name=module.name, version=module.version)
            for module in self.declared.dsc_modules
            if module.version not in found.get(module.name.casefold(), ())
            and (self.declared.dhcp or module.name != "DhcpServerDsc")
        ]


def _policy_value(value: PolicyValue) -> dict[str, Any]:
    """A registry value as the module group_policies takes it."""
    found: dict[str, Any] = {"key": value.key, "name": value.name, "type": value.type, "state": value.state}
    if value.state == "present":
        number = value.type in {"dword", "qword"}
        found["data"] = list(value.lines) if value.type == "multistring" else int(value.data) if number else value.data
    return found


def _build(version: str) -> int:
    """Build number of a Windows version such as ``10.0.20348``; 0 when it has none."""
    parts = version.split(".")
    return int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else 0
