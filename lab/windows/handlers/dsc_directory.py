# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DSC resources of ActiveDirectoryDsc 6.6.0: password policies, optional features, KDS keys, sites and subnets."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.windows.domains import DEFAULT_SITE, Domain, open_domain
from lab.windows.handlers.dsc import Dsc, resource

if TYPE_CHECKING:
    from lab.windows.identity import Principal

MODULE = "ActiveDirectoryDsc"
_SOURCE = "ActiveDirectoryDsc, source/DSCResources/MSFT_{name}: schema.mof and psm1"
_POLICY = {
    "ComplexityEnabled": "bool",
    "LockoutDuration": "uint32",
    "LockoutObservationWindow": "uint32",
    "LockoutThreshold": "uint32",
    "MinPasswordAge": "uint32",
    "MaxPasswordAge": "uint32",
    "MinPasswordLength": "uint32",
    "PasswordHistoryCount": "uint32",
    "ReversibleEncryptionEnabled": "bool",
    "DomainController": "str",
    "Credential": "credential",
}
_CHOICES = tuple(name for name in _POLICY if name not in {"DomainController", "Credential"})


def _source(name: str) -> str:
    return _SOURCE.format(name=name)


def member_of(domain: Domain, account: Principal, *rids: int) -> bool:
    """Whether an account is in one of the domain's groups of these numbers."""
    entry = domain.find(account.sid)
    if entry is None:
        return False
    groups = {
        str(group["attributes"].get("objectSid"))
        for name in domain.members_of(entry["dn"])
        if (group := domain.get(name))
    }
    return bool(groups & {f"{domain.sid}-{rid}" for rid in rids})


def _check_policy(dsc: Dsc, policy: dict[str, Any]) -> None:
    """Refuse what the directory refuses of a password policy ([MS-SAMR] 3.1.1.7)."""
    if policy["LockoutDuration"] and policy["LockoutObservationWindow"] > policy["LockoutDuration"]:
        raise dsc.fail("LockoutObservationWindow must not be greater than LockoutDuration")
    if policy["MaxPasswordAge"] and policy["MinPasswordAge"] >= policy["MaxPasswordAge"]:
        raise dsc.fail("MinPasswordAge must be less than MaxPasswordAge")
    if policy["PasswordHistoryCount"] > 24:
        raise dsc.fail("PasswordHistoryCount must not be greater than 24")


def _differences(dsc: Dsc, current: dict[str, Any]) -> dict[str, Any]:
    return {
        name: dsc.properties[name]
        for name in _CHOICES
        if name in dsc.properties and dsc.properties[name] != current.get(name)
    }


@resource(
    "ADDomainDefaultPasswordPolicy",
    module=MODULE,
    schema={"DomainName": "key str", **_POLICY},
    source=_source("ADDomainDefaultPasswordPolicy"),
)
def default_policy(dsc: Dsc) -> bool:
    """The default password policy of the domain."""
    with open_domain(dsc.call) as domain:
        if not domain.called(dsc.properties["DomainName"]):
            raise dsc.fail(f"Cannot find an object with identity: '{dsc.properties['DomainName']}'")
        changes = _differences(dsc, domain.data["password_policy"])
        domain.data["password_policy"].update(changes)
        _check_policy(dsc, domain.data["password_policy"])
        return bool(changes)


@resource(
    "ADFineGrainedPasswordPolicy",
    module=MODULE,
    schema={
        "Name": "key str",
        "DisplayName": "str",
        **_POLICY,
        "ProtectedFromAccidentalDeletion": "bool",
        "Precedence": "uint32",
    },
    source=_source("ADFineGrainedPasswordPolicy"),
)
def fine_grained_policy(dsc: Dsc) -> bool:
    """A fine-grained password policy, without whom it applies to."""
    with open_domain(dsc.call) as domain:
        dn = f"CN={dsc.properties['Name']},CN=Password Settings Container,CN=System,{domain.dn}"
        entry = domain.get(dn)
        changed = entry is None
        if entry is None:
            if "Precedence" not in dsc.properties:
                raise dsc.fail("a new fine grained password policy needs a Precedence")
            # What New-ADFineGrainedPasswordPolicy sets when it is not told (Microsoft Learn).
            defaults = {
                "ComplexityEnabled": True,
                "LockoutDuration": 30,
                "LockoutObservationWindow": 30,
                "LockoutThreshold": 0,
                "MinPasswordAge": 1440,
                "MaxPasswordAge": 60480,
                "MinPasswordLength": 7,
                "PasswordHistoryCount": 24,
                "ReversibleEncryptionEnabled": True,
            }
            entry = domain.add(dn, "msDS-PasswordSettings", **defaults)
            entry["attributes"]["msDS-PSOAppliesTo"] = []
        attributes = entry["attributes"]
        for name in (*_CHOICES, "Precedence", "DisplayName"):
            if name in dsc.properties and attributes.get(name) != dsc.properties[name]:
                attributes[name] = dsc.properties[name]
                changed = True
        protect = dsc.given("ProtectedFromAccidentalDeletion")
        if protect is not None and protect != entry["protected"]:
            entry["protected"] = protect
            changed = True
        _check_policy(dsc, attributes)
        return changed


@resource(
    "ADOptionalFeature",
    module=MODULE,
    schema={
        "FeatureName": "key str",
        "ForestFQDN": "key str",
        "EnterpriseAdministratorCredential": "required credential",
    },
    source=_source("ADOptionalFeature"),
)
def optional_feature(dsc: Dsc) -> bool:
    """An optional feature of the forest; it cannot be turned off again."""
    with open_domain(dsc.call) as domain:
        name = dsc.properties["FeatureName"]
        if not domain.called(dsc.properties["ForestFQDN"]):
            raise dsc.fail(f"Cannot find the forest {dsc.properties['ForestFQDN']}")
        if name not in {"Recycle Bin Feature", "Privileged Access Management Feature"}:
            raise dsc.fail(f"Cannot find an object with identity: '{name}'")
        if name in domain.data["optional_features"]:
            return False
        if not member_of(domain, dsc.properties["EnterpriseAdministratorCredential"], 519):
            raise dsc.fail("Accès refusé: EnterpriseAdministratorCredential is not an enterprise administrator")
        domain.data["optional_features"].append(name)
        return True


@resource(
    "ADKDSKey",
    module=MODULE,
    schema={
        "EffectiveTime": "key str",
        "Ensure": "str Present|Absent",
        "AllowUnsafeEffectiveTime": "bool",
        "ForceRemove": "bool",
    },
    source=_source("ADKDSKey"),
)
def kds_key(dsc: Dsc) -> bool:
    """A root key of the key distribution service."""
    with open_domain(dsc.call) as domain:
        if dsc.account is not None and not member_of(domain, dsc.account, 512, 519):
            raise dsc.fail(f"{dsc.account.account} has not the rights of a domain administrator")
        try:
            effective = datetime.fromisoformat(dsc.properties["EffectiveTime"])
        except ValueError as error:
            raise dsc.fail(
                f"EffectiveTime '{dsc.properties['EffectiveTime']}' is not a date that every culture reads"
                " (the lab takes ISO 8601)"
            ) from error
        if effective.tzinfo is None:
            raise dsc.fail("EffectiveTime without a time zone means the server's own; the lab wants one, such as Z")
        effective = effective.astimezone(UTC)
        keys = domain.data["kds_root_keys"]
        same = [key for key in keys if datetime.fromisoformat(key["effective_time"]) == effective]
        if dsc.given("Ensure", "Present") == "Absent":
            if same and len(keys) == 1 and not dsc.given("ForceRemove", False):
                raise dsc.fail("This is the last KDS root key; ForceRemove is needed to remove it")
            domain.data["kds_root_keys"] = [key for key in keys if key not in same]
            return bool(same)
        if same:
            return False
        if effective <= dsc.server.now() and not dsc.given("AllowUnsafeEffectiveTime", False):
            raise dsc.fail(
                f"Effective date of '{effective.isoformat()}' is in the past,"
                " and AllowUnsafeEffectiveTime is not enabled"
            )
        keys.append({"id": str(uuid.uuid4()), "effective_time": effective.isoformat()})
        return True


@resource(
    "ADReplicationSite",
    module=MODULE,
    schema={
        "Name": "key str",
        "Ensure": "str Present|Absent",
        "RenameDefaultFirstSiteName": "bool",
    },
    source=_source("ADReplicationSite"),
)
def site(dsc: Dsc) -> bool:
    """A site of the directory, new or the default one renamed."""
    with open_domain(dsc.call) as domain:
        sites = domain.data["sites"]
        name = dsc.properties["Name"]
        present = next((own for own in sites if own.casefold() == name.casefold()), None)
        if dsc.given("Ensure", "Present") == "Absent":
            if present is not None:
                del sites[present]
            return present is not None
        if present is not None:
            return False
        if dsc.given("RenameDefaultFirstSiteName", False) and DEFAULT_SITE in sites:
            sites[name] = sites.pop(DEFAULT_SITE)
            for subnet in domain.data["subnets"].values():
                subnet["site"] = name if subnet["site"] == DEFAULT_SITE else subnet["site"]
            for controller in domain.data["controllers"].values():
                controller["site"] = name if controller["site"] == DEFAULT_SITE else controller["site"]
        else:
            sites[name] = {}
        return True


@resource(
    "ADReplicationSubnet",
    module=MODULE,
    schema={
        "Name": "key str",
        "Site": "required str",
        "Ensure": "str Present|Absent",
        "Location": "str",
    },
    source=_source("ADReplicationSubnet"),
)
def subnet(dsc: Dsc) -> bool:
    """A network of a site."""
    with open_domain(dsc.call) as domain:
        subnets = domain.data["subnets"]
        name = dsc.properties["Name"]
        if dsc.given("Ensure", "Present") == "Absent":
            return subnets.pop(name, None) is not None
        owner = next((own for own in domain.data["sites"] if own.casefold() == dsc.properties["Site"].casefold()), None)
        if owner is None and not dsc.call.check:
            raise dsc.fail(f"Cannot find an object with identity: '{dsc.properties['Site']}'")
        wanted = {"site": owner or dsc.properties["Site"], "location": dsc.given("Location", "")}
        if subnets.get(name) == wanted:
            return False
        subnets[name] = wanted
        return True
