# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between the declared and the actual content of a directory."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from . import names
from .declared import PREFIX, PasswordPolicy
from .items import CREATE, REMOVE, Item, differing, item
from .language import Text, about
from .observed import DEFAULT_SITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .declared import Declaration, Group, ServiceAccount
    from .observed import Directory, GroupState, Observation

DSC_MODULE = "ActiveDirectoryDsc"
KEY_DELAY = timedelta(hours=10)
"""How long a KDS root key waits before it may be used, so that every controller has it (Microsoft Learn, Create the KDS
root key)."""

_DSC_NAMES = {
    "minimum_length": "MinPasswordLength",
    "complexity": "ComplexityEnabled",
    "history": "PasswordHistoryCount",
    "maximum_age_days": "MaxPasswordAge",
    "minimum_age_days": "MinPasswordAge",
    "lockout_threshold": "LockoutThreshold",
    "lockout_minutes": "LockoutDuration",
    "lockout_window_minutes": "LockoutObservationWindow",
    "reversible_encryption": "ReversibleEncryptionEnabled",
}
"""Our names of a password policy's settings and those of the DSC resources, whose ages are minutes."""

_POLICY_FIELDS = tuple(field.name for field in fields(PasswordPolicy))


class DirectoryPlan:
    """Compares a declaration with what the probe found; each method answers one loop of the role."""

    def __init__(self, declared: Declaration, observation: Observation) -> None:
        self.declared = declared
        self.found: Directory = observation.directory
        self.time = datetime.fromisoformat(observation.server.time).astimezone(UTC)
        self.blind = not self.found.available
        modules = {module.name for module in observation.server.powershell_modules if module.versions}
        self.no_dsc = self.blind or DSC_MODULE not in modules
        self.groups_found = {group.asked.casefold(): group for group in self.found.groups}
        self.principals_found = {entry.asked.casefold(): entry for entry in self.found.principals}
        self.new = self._new_principals()

    def _new_principals(self) -> frozenset[str]:
        """Folded names of the declared principals that do not exist yet."""
        existing = (
            {group.name.casefold() for group in self.found.groups}
            | {user.name.casefold() for user in self.found.users}
            | {account.name.casefold() for account in self.found.service_accounts}
        )
        return frozenset(name for name in self.declared.created() if name.removesuffix("$") not in existing)

    def problems(self) -> list[Text]:
        """Sentences on principals that are neither declared nor in the directory."""
        if self.blind:
            return []
        created = self.declared.created()
        variables = f"{PREFIX}groups, users, service_accounts, fine_grained_policies"
        return [
            about(
                variables,
                f"{name!r} is referred to, but it is neither declared nor an account of {self.declared.domain}",
                f"« {name} » est cité, mais n'est ni déclaré ni un compte de {self.declared.domain}",
            )
            for name in self.declared.principals()
            if name.casefold() not in self.principals_found and name.casefold() not in created
        ]

    def organizational_units(self) -> list[Item]:
        """Organisational units to create or correct, parents first."""
        found = {names.key(unit.distinguished_name): unit for unit in self.found.organizational_units}
        items = []
        for unit in sorted(
            self.declared.organizational_units, key=lambda unit: names.depth(self.declared.unit_dn(unit))
        ):
            dn = self.declared.unit_dn(unit)
            wanted = {"description": unit.description, "protect_from_deletion": unit.protect_from_deletion}
            current = found.get(names.key(dn))
            why = [CREATE] if current is None else differing(wanted, asdict(current))
            if why:
                path = self.declared.place(unit.path)
                items.append(item(dn, why, foreseen=self.blind, name=unit.name, path=path, **wanted))
        return items

    def groups(self) -> list[Item]:
        """Groups to create, move, correct or remove; members come later, when everybody exists."""
        items = []
        for group in self.declared.groups:
            current = self.groups_found.get(group.name.casefold())
            if group.state == "absent":
                if current is not None:
                    items.append(item(group.name, [REMOVE], foreseen=False, identity=group.name, state="absent"))
                continue
            wanted = self._group_arguments(group)
            why = (
                [CREATE] if current is None else self._moved(current.distinguished_name, self.declared.group_dn(group))
            )
            if current is not None:
                why += differing({key: wanted[key] for key in ("scope", "category", "description")}, asdict(current))
            if why:
                items.append(item(group.name, why, foreseen=self.blind, state="present", **wanted))
        return items

    def _group_arguments(self, group: Group) -> dict[str, str]:
        return {
            "identity": group.name,
            "name": group.name,
            "path": self.declared.place(group.path, "CN=Users"),
            "scope": group.scope,
            "category": group.category,
            "description": group.description,
        }

    @staticmethod
    def _moved(current: str, wanted: str) -> list[str]:
        return [] if names.key(names.parent(current)) == names.key(names.parent(wanted)) else ["path"]

    def users(self) -> list[Item]:
        """Users to create, move, correct or remove. Passwords are not in here: the task looks them up by name."""
        found = {user.name.casefold(): user for user in self.found.users}
        items = []
        for user in self.declared.users:
            current = found.get(user.name.casefold())
            if user.state == "absent":
                if current is not None:
                    items.append(
                        item(user.name, [REMOVE], foreseen=False, name=user.name, state="absent", create=False)
                    )
                continue
            wanted = {
                "upn": user.upn or f"{user.name}@{self.declared.domain}",
                "firstname": user.firstname,
                "surname": user.surname,
                "display_name": user.display_name
                or " ".join(filter(None, (user.firstname, user.surname)))
                or user.name,
                "email": user.email,
                "description": user.description,
                "enabled": user.enabled,
                "password_never_expires": user.password_never_expires,
                "user_cannot_change_password": user.user_cannot_change_password,
            }
            if user.kerberos_encryption_types:
                wanted["kerberos_encryption_types"] = list(user.kerberos_encryption_types)
            why = [CREATE] if current is None else self._moved(current.distinguished_name, self.declared.user_dn(user))
            if current is not None:
                why += differing(wanted, asdict(current))
            if why:
                items.append(
                    item(
                        user.name,
                        why,
                        foreseen=self.blind,
                        state="present",
                        create=current is None,
                        name=user.name,
                        path=self.declared.place(user.path, "CN=Users"),
                        change_password_at_logon=user.change_password_at_logon,
                        encryption_bits=encryption_bits(user.kerberos_encryption_types),
                        **wanted,
                    )
                )
        return items

    def memberships(self) -> list[Item]:
        """Groups that lack members, or hold some they must not: one item a group."""
        wanted: dict[str, tuple[str, list[str], bool]] = {}
        declared = {group.name.casefold(): group for group in self.declared.groups if group.state == "present"}
        for group in declared.values():
            if group.members or group.members_exact:
                wanted[group.name.casefold()] = (group.name, list(group.members), group.members_exact)
        for user in self.declared.users:
            for name in user.groups if user.state == "present" else ():
                spelled, members, exact = wanted.get(name.casefold(), (name, [], False))
                wanted[name.casefold()] = (spelled, [*members, user.name], exact)
        items = []
        for folded, (name, members, exact) in wanted.items():
            current = self.groups_found.get(folded)
            present = {names.key(member) for member in current.members} if current else set()
            add = [member for member in members if not self._known_key(member) & present]
            remove = self._surplus(current, members) if exact else []
            if add or remove:
                own = declared.get(folded)
                arguments = self._group_arguments(own) if own else {"identity": self._spelled(name)}
                unknown = any(self._is_new(member) for member in add)
                why = [f"+{member}" for member in add] + [f"-{member}" for member in remove]
                items.append(
                    item(
                        name,
                        why,
                        foreseen=self.blind or current is None or unknown,
                        add=[self._spelled(member) for member in add],
                        remove=remove,
                        **arguments,
                    )
                )
        return items

    def _known_key(self, name: str) -> set[str]:
        """Key of a principal's distinguished name, if the directory has it."""
        entry = self.principals_found.get(name.casefold())
        if entry is None:
            users = [user for user in self.found.users if user.name.casefold() == name.casefold()]
            return {names.key(user.distinguished_name) for user in users}
        return {names.key(entry.distinguished_name)}

    def _surplus(self, current: GroupState | None, members: Iterable[str]) -> list[str]:
        allowed = {key for member in members for key in self._known_key(member)}
        return [member for member in (current.members if current else ()) if names.key(member) not in allowed]

    def _spelled(self, name: str) -> str:
        return names.principal(name, self.found.domain.sid)

    def _is_new(self, name: str) -> bool:
        return name.casefold() in self.new

    def password_policy(self) -> list[Item]:
        """The default password policy, when a setting of it differs."""
        wanted = asdict(self.declared.password_policy)
        why = differing(wanted, asdict(self.found.password_policy))
        return [item(self.declared.domain, why, foreseen=self.no_dsc, settings=_dsc(wanted))] if why else []

    def fine_grained_policies(self) -> list[Item]:
        """Fine-grained policies to create or correct, without their subjects."""
        found = {policy.name.casefold(): policy for policy in self.found.fine_grained_policies}
        items = []
        for policy in self.declared.fine_grained_policies:
            wanted = asdict(policy)
            del wanted["subjects"], wanted["name"]
            current = found.get(policy.name.casefold())
            why = [CREATE] if current is None else differing(wanted, asdict(current))
            if why:
                items.append(item(policy.name, why, foreseen=self.no_dsc, name=policy.name, settings=_dsc(wanted)))
        return items

    def policy_subjects(self) -> list[Item]:
        """Fine-grained policies whose subjects differ."""
        found = {policy.name.casefold(): policy for policy in self.found.fine_grained_policies}
        items = []
        for policy in self.declared.fine_grained_policies:
            current = found.get(policy.name.casefold())
            wanted = [self._subject_dn(name) for name in policy.subjects]
            present = {names.key(subject) for subject in current.subjects} if current else set()
            if {names.key(subject) for subject in wanted} != present:
                unknown = self.blind or current is None or any(self._is_new(name) for name in policy.subjects)
                container = f"CN=Password Settings Container,CN=System,{self.declared.root}"
                items.append(
                    item(
                        policy.name,
                        ["subjects"],
                        foreseen=unknown,
                        identity=f"CN={names.escape(policy.name)},{container}",
                        subjects=wanted,
                    )
                )
        return items

    def _subject_dn(self, name: str) -> str:
        """Distinguished name of a policy's subject: found, or foreseen from its declaration."""
        entry = self.principals_found.get(name.casefold())
        if entry is not None and not self._is_new(name):
            return entry.distinguished_name
        for group in self.declared.groups:
            if group.name.casefold() == name.casefold():
                return self.declared.group_dn(group)
        for user in self.declared.users:
            if user.name.casefold() == name.casefold():
                return self.declared.user_dn(user)
        return name

    def recycle_bin(self) -> list[Item]:
        """The recycle bin, when it is asked for and off. It cannot be turned off again."""
        wanted = self.declared.recycle_bin and not self.found.recycle_bin
        return [item("Recycle Bin Feature", ["enable"], foreseen=self.no_dsc)] if wanted else []

    def kds_root_key(self) -> list[Item]:
        """The first KDS root key, with the moment it takes effect."""
        if not self.declared.kds_root_key or self.found.kds_root_keys:
            return []
        now = self.declared.kds_root_key_effective_immediately
        effective = self.time - KEY_DELAY if now else self.time + KEY_DELAY
        stamp = effective.strftime("%Y-%m-%dT%H:%M:%SZ")
        return [item("KDS root key", [CREATE], foreseen=self.no_dsc, effective_time=stamp, unsafe=now)]

    def _keys_ready(self) -> bool:
        if not self.found.kds_root_keys:
            return self.declared.kds_root_key and self.declared.kds_root_key_effective_immediately
        return any(datetime.fromisoformat(key.effective_time) <= self.time for key in self.found.kds_root_keys)

    def deferred_service_accounts(self) -> list[str]:
        """Service accounts that must wait until the KDS root key takes effect."""
        return [] if self._keys_ready() else [account.name for account in self._missing_accounts()]

    def _missing_accounts(self) -> list[ServiceAccount]:
        found = {account.name.casefold() for account in self.found.service_accounts}
        return [account for account in self.declared.service_accounts if account.name.casefold() not in found]

    def service_accounts(self) -> list[Item]:
        """Group managed service accounts to create, move or correct."""
        found = {account.name.casefold(): account for account in self.found.service_accounts}
        deferred = set(self.deferred_service_accounts())
        items = []
        for account in self.declared.service_accounts:
            if account.name in deferred:
                continue
            current = found.get(account.name.casefold())
            wanted = {
                "dns_hostname": account.dns_hostname or f"{account.name}.{self.declared.domain}",
                "description": account.description,
                "spns": list(account.spns),
                "kerberos_encryption_types": list(account.kerberos_encryption_types),
            }
            why = [CREATE]
            if current is not None:
                why = self._moved(current.distinguished_name, self.declared.account_dn(account))
                why += differing(wanted, asdict(current))
                allowed = {key for name in account.allowed_to_retrieve_password for key in self._known_key(name)}
                present = {names.key(name) for name in current.allowed_to_retrieve_password}
                unknown = any(self._is_new(name) for name in account.allowed_to_retrieve_password)
                why += ["allowed_to_retrieve_password"] if unknown or allowed != present else []
            if why:
                items.append(
                    item(
                        account.name,
                        why,
                        foreseen=self.blind
                        or not self.found.kds_root_keys
                        or any(self._is_new(name) for name in account.allowed_to_retrieve_password),
                        name=account.name,
                        path=self.declared.place(account.path, "CN=Managed Service Accounts"),
                        allowed=[self._spelled(name) for name in account.allowed_to_retrieve_password],
                        **wanted,
                    )
                )
        return items

    def sites(self) -> list[Item]:
        """Sites to create, or the default one to rename."""
        found = {name.casefold() for name in self.found.sites}
        return [
            item(
                site.name,
                ["rename the default site" if self._renames(site.rename_default) else CREATE],
                foreseen=self.no_dsc,
                name=site.name,
                rename_default=self._renames(site.rename_default),
            )
            for site in self.declared.sites
            if site.name.casefold() not in found
        ]

    def _renames(self, asked: bool) -> bool:
        return asked and DEFAULT_SITE in self.found.sites

    def subnets(self) -> list[Item]:
        """Networks to create, or to hand to another site."""
        found = {subnet.name: subnet.site for subnet in self.found.subnets}
        return [
            item(
                subnet,
                [CREATE if subnet not in found else "site"],
                foreseen=self.no_dsc,
                name=subnet,
                site=site.name,
            )
            for site in self.declared.sites
            for subnet in site.subnets
            if found.get(subnet, "").casefold() != site.name.casefold()
        ]

    def gpo_links(self) -> list[Item]:
        """Links of group policies that are missing or not as declared."""
        found = {(names.key(link.target), link.gpo.casefold()): link for link in self.found.gpo_links}
        items = []
        for link in self.declared.gpo_links:
            target = self.declared.place(link.target)
            wanted = {"enabled": link.enabled, "enforced": link.enforced}
            current = found.get((names.key(target), link.gpo.casefold()))
            why = [CREATE] if current is None else differing(wanted, asdict(current))
            if why:
                made = link.gpo.casefold() in {policy.name.casefold() for policy in self.declared.group_policies}
                items.append(
                    item(
                        f"{link.gpo} on {target}",
                        why,
                        foreseen=self.blind or made,
                        gpo=link.gpo,
                        target=target,
                        **wanted,
                    )
                )
        return items

    def laps(self) -> list[Item]:
        """What the directory lacks for Windows LAPS: its schema, and the right of computers to write their password."""
        if not self.declared.laps.enabled:
            return []
        found = {names.key(target) for target in self.found.laps.targets}
        targets = [self.declared.place(target) for target in self.declared.laps.targets]
        missing = [target for target in targets if names.key(target) not in found]
        why = ([] if self.found.laps.schema else ["schema"]) + missing
        units = {names.key(unit.distinguished_name) for unit in self.found.organizational_units}
        made = {names.key(self.declared.unit_dn(unit)) for unit in self.declared.organizational_units} - units
        foreseen = self.blind or any(names.key(target) in made for target in missing)
        return [item("Windows LAPS", why, foreseen=foreseen, targets=targets)] if why else []


def encryption_bits(types: Iterable[str]) -> int:
    """Value of msDS-SupportedEncryptionTypes for some Kerberos encryption types (MS-KILE 2.2.7); 0 for none."""
    bits = {"des": 0x3, "rc4": 0x4, "aes128": 0x8, "aes256": 0x10}
    return sum(bits[name] for name in set(types))


def _dsc(policy: Mapping[str, object]) -> dict[str, object]:
    """Properties of the DSC resources for a password policy: ages in minutes."""
    settings: dict[str, object] = {}
    for name, value in policy.items():
        if name in _POLICY_FIELDS:
            minutes = isinstance(value, int) and name.endswith("_age_days")
            settings[_DSC_NAMES[name]] = value * 1440 if minutes and isinstance(value, int) else value
    if "precedence" in policy:
        settings["Precedence"] = policy["precedence"]
        settings["ProtectedFromAccidentalDeletion"] = policy["protect_from_deletion"]
    return settings
