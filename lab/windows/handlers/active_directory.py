# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of a directory: microsoft.ad.ou, object, group, user, computer, service_account and object_info.

They share one engine, as the modules themselves do (``_ADObject.psm1`` of microsoft.ad 1.10.0): find by identity or by
name and path, then create, correct, rename, move or remove.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lab.windows import identity
from lab.windows.domains import (
    DISABLED,
    GLOBAL,
    LOCAL,
    NEVER_EXPIRES,
    NORMAL,
    SECURITY,
    UNIVERSAL,
    WORKSTATION,
    Domain,
    Object,
    dn_key,
    open_domain,
    parent_dn,
    split_dn,
    unescape,
)
from lab.windows.identity import LogonFailure
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SOURCE = "microsoft.ad 1.10.0 documentation, {module}.ps1 and _ADObject.psm1"
DEFAULT_PATH = "microsoft.ad.default_path"
_MASKED = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
_SCOPES = {"domainlocal": LOCAL, "global": GLOBAL, "universal": UNIVERSAL}
ENCRYPTION = {"des": 0x3, "rc4": 0x4, "aes128": 0x8, "aes256": 0x10}
"""Bits of msDS-SupportedEncryptionTypes ([MS-KILE] 2.2.7)."""

_REFUSED = "Le mot de passe ne répond pas aux spécifications de longueur, de complexité ou d’historique du domaine."
_FREE_ATTRIBUTES = frozenset(
    "comment company department displayName extensionName info ipPhone mail mobile msDS-PSOAppliesTo"
    " msDS-SupportedEncryptionTypes physicalDeliveryOfficeName telephoneNumber title wWWHomePage description l c st"
    " employeeID employeeNumber manager".casefold().split()
)
"""LDAP attributes that the ``attributes`` option may name here; others exist on a real server."""


@dataclass(frozen=True, slots=True)
class Property:
    """One option of a module and the attribute behind it."""

    option: str
    attribute: str = ""
    read: Callable[[Object], Any] | None = None
    write: Callable[[Object, Any], None] | None = None
    lookup: bool = False
    caseless: bool = False

    def value(self, entry: Object) -> Any:
        """What the object has now."""
        if self.read is not None:
            return self.read(entry)
        return entry["attributes"].get(self.attribute)

    def set(self, entry: Object, value: Any) -> None:
        """Give the object another value; nothing clears it."""
        if self.write is not None:
            self.write(entry, value)
        elif value in (None, "", []):
            entry["attributes"].pop(self.attribute, None)
        else:
            entry["attributes"][self.attribute] = value


def _bit(option: str, bit: int, *, inverted: bool = False) -> Property:
    """A boolean kept in userAccountControl."""

    def read(entry: Object) -> bool:
        return bool(entry["attributes"].get("userAccountControl", 0) & bit) != inverted

    def write(entry: Object, value: Any) -> None:
        control = entry["attributes"].get("userAccountControl", 0)
        entry["attributes"]["userAccountControl"] = control | bit if bool(value) != inverted else control & ~bit

    return Property(option, "userAccountControl", read, write)


def _read_scope(entry: Object) -> str:
    bits = entry["attributes"]["groupType"]
    return next(name for name, bit in _SCOPES.items() if bits & bit)


def _write_scope(entry: Object, value: Any) -> None:
    bits = entry["attributes"]["groupType"]
    current = _read_scope(entry)
    if {current, value} == {"domainlocal", "global"}:
        raise ModuleFailure(
            f"Set-ADGroup failed: a {current} group cannot become {value} directly; make it universal first"
        )
    entry["attributes"]["groupType"] = (bits & ~(GLOBAL | LOCAL | UNIVERSAL)) | _SCOPES[value]


def _read_category(entry: Object) -> str:
    return "security" if entry["attributes"]["groupType"] < 0 else "distribution"


def _write_category(entry: Object, value: Any) -> None:
    bits = entry["attributes"]["groupType"] & 0x7FFFFFFF
    entry["attributes"]["groupType"] = bits + SECURITY if value == "security" else bits


def _read_encryption(entry: Object) -> list[str]:
    bits = entry["attributes"].get("msDS-SupportedEncryptionTypes", 0)
    return [name for name, bit in ENCRYPTION.items() if bits & bit]


def _write_encryption(entry: Object, value: Any) -> None:
    entry["attributes"]["msDS-SupportedEncryptionTypes"] = sum(ENCRYPTION[name.casefold()] for name in value or ())


def _read_expired(entry: Object) -> bool:
    return bool(entry["attributes"].get("pwdLastSet", 1) == 0)


def _write_expired(entry: Object, value: Any) -> None:
    entry["attributes"]["pwdLastSet"] = 0 if value else 1


def _read_sam(entry: Object) -> Any:
    return entry["attributes"].get("sAMAccountName")


def _plain(*pairs: tuple[str, str]) -> tuple[Property, ...]:
    return tuple(Property(option, attribute) for option, attribute in pairs)


_COMMON = _plain(("description", "description"), ("display_name", "displayName"))
_ADDRESS = _plain(
    ("city", "l"), ("country", "c"), ("postal_code", "postalCode"), ("state_province", "st"), ("street", "street")
)
_SPN = Property("spn", "servicePrincipalName", caseless=True)
_ENCRYPTION = Property("kerberos_encryption_types", "", _read_encryption, _write_encryption, caseless=True)
_MANAGED_BY = Property("managed_by", "managedBy", lookup=True)
_DELEGATES = "delegates"


@dataclass(frozen=True, slots=True)
class Kind:
    """What one module manages."""

    noun: str
    object_class: str
    properties: tuple[Property, ...]
    container: str = ""
    prefix: str = "CN"
    before: Callable[[Call, Domain, Object | None], None] = lambda _call, _domain, _entry: None
    create: Callable[[Call, Domain, Object], None] = lambda _call, _domain, _entry: None
    change: Callable[[Call, Domain, Object], bool] = lambda _call, _domain, _entry: False
    classes: frozenset[str] = field(default_factory=frozenset)


def _authenticate(call: Call, domain: Domain) -> None:
    """Judge the server and the credentials that a module names."""
    args = call.args
    if args.get("domain_credentials"):
        raise NotSimulated("domain_credentials of microsoft.ad (use domain_username and domain_password)")
    named = args.get("domain_server")
    if named and named.casefold() not in {"localhost", domain.dns_name}:
        controllers = domain.data["controllers"]
        names = {name.casefold() for name in controllers} | {entry["fqdn"] for entry in controllers.values()}
        if named.casefold() not in names:
            raise ModuleFailure(
                f"Unable to contact the server {named}: it is no domain controller of {domain.dns_name}."
            )
    if args.get("domain_username"):
        try:
            call.server.logon(args["domain_username"], args["domain_password"])
        except LogonFailure as failure:
            raise ModuleFailure("The server has rejected the client credentials.") from failure


def _dn(domain: Domain, kind: Kind, name: str, path: str | None) -> str:
    container = path if path and path != DEFAULT_PATH else _default_path(domain, kind)
    escaped = name.replace(",", "\\,")
    return f"{kind.prefix}={escaped},{container}"


def _default_path(domain: Domain, kind: Kind) -> str:
    return f"{kind.container},{domain.dn}" if kind.container else domain.dn


def _lookup(domain: Domain, value: Any, context: str, action: str, call: Call) -> str | None:
    """Distinguished name of a principal, as ConvertTo-AnsibleADDistinguishedName finds it."""
    name = value
    if isinstance(value, dict):
        if set(value) - {"name", "server"}:
            raise ModuleFailure(
                f"{context} contains invalid keys: {', '.join(sorted(set(value) - {'name', 'server'}))}"
            )
        if value.get("server"):
            raise NotSimulated("the lookup of a principal on another server")
        name = value.get("name")
    entry = domain.principal(str(name))
    if entry is not None:
        return str(entry["dn"])
    message = f"Failed to find the following ActiveDirectory object(s) for {context}: '{name}'"
    if action == "fail":
        raise ModuleFailure(message)
    if action == "warn":
        call.warnings.append(message)
    return None


def _lookups(domain: Domain, values: Iterable[Any], context: str, action: str, call: Call) -> list[str]:
    found = (_lookup(domain, value, context, action, call) for value in values)
    return [name for name in found if name is not None]


def _same(left: Any, right: Any, *, caseless: bool) -> bool:
    return str(left).casefold() == str(right).casefold() if caseless else str(left) == str(right)


def _listed(current: list[Any], change: dict[str, list[Any] | None], *, caseless: bool) -> list[Any]:
    """Result of add, remove and set on a list."""
    if change.get("set") is not None:
        wanted = list(change["set"] or [])
        matching = len(wanted) == len(current) and all(
            any(_same(old, new, caseless=caseless) for old in current) for new in wanted
        )
        return current if matching else wanted
    kept = [
        value
        for value in current
        if not any(_same(value, gone, caseless=caseless) for gone in change.get("remove") or [])
    ]
    for value in change.get("add") or []:
        if not any(_same(value, old, caseless=caseless) for old in kept):
            kept.append(value)
    return kept


def _wanted(call: Call, domain: Domain, prop: Property, current: Any) -> Any:
    """The value an option asks for, given what is there."""
    value = call.args[prop.option]
    if isinstance(value, dict) and not ("name" in value and prop.lookup):
        action = str(value.get("lookup_failure_action") or "fail").casefold()
        change = {}
        for verb in ("add", "remove", "set"):
            given = value.get(verb)
            if given is not None and prop.lookup:
                given = _lookups(domain, given, f"{prop.option}.{verb}", action, call)
            change[verb] = given
        return _listed(list(current or []), change, caseless=prop.lookup or prop.caseless)
    if prop.lookup and value not in (None, ""):
        return _lookup(domain, value, prop.option, "fail", call)
    return value


def _attributes(call: Call, entry: Object) -> bool:
    """Apply the option ``attributes``; tells whether anything changed."""
    changed = False
    for verb in ("add", "remove", "set"):
        for name, given in (call.args["attributes"].get(verb) or {}).items():
            if name.casefold() not in _FREE_ATTRIBUTES:
                raise NotSimulated(f"the attribute {name} in the option attributes of {call.module}")
            values = given if isinstance(given, list) else [] if given is None else [given]
            converted = [_attribute_value(name, value) for value in values]
            present = entry["attributes"].get(name)
            current = present if isinstance(present, list) else [] if present is None else [present]
            result = _listed(list(current), {verb: converted}, caseless=False)
            if [str(value) for value in result] != [str(value) for value in current]:
                changed = True
                if not result:
                    entry["attributes"].pop(name, None)
                else:
                    single = not isinstance(present, list) and len(result) == 1 and name != "msDS-PSOAppliesTo"
                    entry["attributes"][name] = result[0] if single else result
    return changed


def _attribute_value(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) - {"type", "value"}:
        raise ModuleFailure(
            f"Attribute '{name}' entry should only contain the 'type' and 'value' keys, found: '{', '.join(value)}'"
        )
    kind = value.get("type", "raw")
    if kind == "int":
        return int(value["value"])
    if kind == "bool":
        return bool(value["value"])
    if kind in {"string", "raw"}:
        return value["value"]
    raise NotSimulated(f"an attribute of type {kind}")


def manage(call: Call, kind: Kind) -> Result:
    """Run one of the modules."""
    args = call.args
    with open_domain(call) as domain:
        _authenticate(call, domain)
        entry = domain.find(args["identity"] or _dn(domain, kind, args["name"], args["path"]))
        if entry is not None and kind.classes and entry["class"] not in kind.classes:
            entry = None
        kind.before(call, domain, entry)
        if args["state"] == "absent":
            result = _remove(call, domain, entry)
        elif entry is None:
            result = _create(call, domain, kind)
        else:
            result = _correct(call, domain, kind, entry)
        return result


def _remove(call: Call, domain: Domain, entry: Object | None) -> Result:
    if entry is None:
        return {
            "changed": False,
            "distinguished_name": None,
            "object_guid": None,
            "diff": {"before": None, "after": None},
        }
    result = _identity(entry)
    before = _shown(entry)
    if not call.check:
        domain.remove(entry)
    return {**result, "changed": True, "diff": {"before": before, "after": None}}


def _identity(entry: Object) -> Result:
    found: Result = {"distinguished_name": entry["dn"], "object_guid": entry["guid"]}
    if "objectSid" in entry["attributes"]:
        found["sid"] = entry["attributes"]["objectSid"]
    return found


def _shown(entry: Object) -> dict[str, Any]:
    hidden = {"nt_hash"}
    return {
        "name": entry["attributes"]["name"],
        "path": parent_dn(entry["dn"]),
        **{name: value for name, value in sorted(entry["attributes"].items()) if name not in hidden and name != "name"},
    }


def _create(call: Call, domain: Domain, kind: Kind) -> Result:
    args = call.args
    name = args["name"] or args["identity"]
    dn = _dn(domain, kind, name, args["path"])
    # In check mode New-AD... -WhatIf asks the directory nothing: a container made by the same run is no obstacle.
    if not call.check and domain.get(parent_dn(dn)) is None:
        raise ModuleFailure(f"New-{kind.noun} failed: Objet de l’annuaire non trouvé ({parent_dn(dn)})")
    if domain.get(dn) is not None:
        raise ModuleFailure(f"New-{kind.noun} failed: L’objet spécifié existe déjà ({dn})")
    entry = domain.add(dn, args["type"] if kind.noun == "ADObject" else kind.object_class)
    if kind.noun == "ADOrganizationalUnit":
        entry["protected"] = True
    kind.create(call, domain, entry)
    for prop in kind.properties:
        value = args.get(prop.option)
        if value in (None, "", {}, []):
            continue
        wanted = _wanted(call, domain, prop, prop.value(entry))
        if wanted not in (None, "", []):
            prop.set(entry, wanted)
    if args["protect_from_deletion"] is not None:
        entry["protected"] = args["protect_from_deletion"]
    _attributes(call, entry)
    kind.change(call, domain, entry)
    result = _identity(entry)
    if call.check:
        result["object_guid"] = "00000000-0000-0000-0000-000000000000"
        if "sid" in result:
            result["sid"] = "S-1-5-0000"
    return {**result, "changed": True, "diff": {"before": None, "after": _shown(entry)}}


def _correct(call: Call, domain: Domain, kind: Kind, entry: Object) -> Result:
    args = call.args
    before = _shown(entry)
    changed = False
    for prop in kind.properties:
        if args.get(prop.option) is None:
            continue
        current = prop.value(entry)
        wanted = _wanted(call, domain, prop, current)
        if isinstance(wanted, list):
            differs = {str(value).casefold() for value in wanted} != {str(value).casefold() for value in current or []}
        elif wanted in (None, ""):
            differs = current not in (None, "")
        else:
            differs = not _same(wanted, current, caseless=prop.lookup or prop.caseless)
        if differs:
            prop.set(entry, wanted)
            changed = True
    protect = args["protect_from_deletion"]
    if protect is not None and protect != entry["protected"]:
        entry["protected"] = protect
        changed = True
    changed = _attributes(call, entry) or changed
    changed = kind.change(call, domain, entry) or changed
    changed = _place(call, domain, kind, entry) or changed
    return {**_identity(entry), "changed": changed, "diff": {"before": before, "after": _shown(entry)}}


def _place(call: Call, domain: Domain, kind: Kind, entry: Object) -> bool:
    """Rename and move an object as asked; tells whether it did."""
    args = call.args
    name = entry["attributes"]["name"]
    wanted_name = args["name"] or name
    container = parent_dn(entry["dn"])
    path = args["path"]
    if path == DEFAULT_PATH:
        path = _default_path(domain, kind)
    wanted_container = path or container
    if wanted_name == name and dn_key(wanted_container) == dn_key(container):
        return False
    if not call.check and domain.get(wanted_container) is None:
        raise ModuleFailure(f"Move-ADObject failed: Objet de l’annuaire non trouvé ({wanted_container})")
    first = split_dn(entry["dn"])[0]
    if wanted_name != name:
        escaped = wanted_name.replace(",", "\\,")
        first = f"{kind.prefix}={escaped}"
    domain.move(entry, f"{first},{wanted_container}")
    return True


def _refuse(*options: str) -> Callable[[Call, Domain, Object | None], None]:
    def check(call: Call, _domain: Domain, _entry: Object | None) -> None:
        for option in options:
            if call.args.get(option):
                raise NotSimulated(f"the option {option} of {call.module}")

    return check


def _no_create(_call: Call, _domain: Domain, _entry: Object) -> None:
    """Nothing beside the properties."""


_OU = Kind(
    "ADOrganizationalUnit",
    "organizationalUnit",
    (*_COMMON, *_ADDRESS, _MANAGED_BY),
    prefix="OU",
    classes=frozenset({"organizationalUnit"}),
)


@handles("microsoft.ad.ou", source=SOURCE.format(module="ou"))
def unit(call: Call) -> Result:
    """Organisational units."""
    return manage(call, _OU)


_OBJECT = Kind("ADObject", "", _COMMON)


def _object_class(call: Call, _domain: Domain, entry: Object | None) -> None:
    wanted = call.args["type"]
    if call.args["state"] == "present" and not wanted:
        raise ModuleFailure("state is present but all of the following are missing: type")
    if entry is not None and wanted and entry["class"].casefold() != wanted.casefold():
        raise ModuleFailure(f"Cannot change object type {entry['class']} of existing object {entry['dn']} to {wanted}")


@handles("microsoft.ad.object", source=SOURCE.format(module="object"))
def any_object(call: Call) -> Result:
    """Objects of any class below the domain."""
    kind = Kind(
        "ADObject",
        "",
        _COMMON,
        prefix="OU" if call.args["type"] == "organizationalUnit" else "CN",
        before=_object_class,
    )
    return manage(call, kind)


def _before_group(call: Call, _domain: Domain, entry: Object | None) -> None:
    if call.args["state"] == "present" and not call.args["scope"] and entry is None:
        raise ModuleFailure("scope must be set when state=present and the group does not exist")


def _create_group(call: Call, _domain: Domain, entry: Object) -> None:
    attributes = entry["attributes"]
    attributes["groupType"] = _SCOPES[call.args["scope"].casefold()] + SECURITY
    attributes["sAMAccountName"] = call.args["sam_account_name"] or attributes["name"]
    attributes["member"] = []


_GROUP = Kind(
    "ADGroup",
    "group",
    (
        *_COMMON,
        Property("category", "", _read_category, _write_category, caseless=True),
        Property("scope", "", _read_scope, _write_scope, caseless=True),
        *_plain(("homepage", "wWWHomePage"), ("sam_account_name", "sAMAccountName")),
        _MANAGED_BY,
        Property(
            "members", "member", lookup=True, write=lambda entry, value: entry["attributes"].update(member=value or [])
        ),
    ),
    container="CN=Users",
    before=_before_group,
    create=_create_group,
    classes=frozenset({"group"}),
)


@handles("microsoft.ad.group", source=SOURCE.format(module="group"))
def group(call: Call) -> Result:
    """Groups and their members."""
    return manage(call, _GROUP)


def _check_password(domain: Domain, password: str, noun: str, name: str) -> None:
    """Refuse what the domain's policy refuses (Microsoft Learn, "Password must meet complexity requirements")."""
    policy = domain.data["password_policy"]
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    mixed = sum(any(kind(character) for character in password) for kind in kinds) >= 3
    named = len(name) > 2 and name.casefold() in password.casefold()
    if len(password) < policy["MinPasswordLength"] or (policy["ComplexityEnabled"] and (not mixed or named)):
        raise ModuleFailure(f"{noun} failed: {_REFUSED}")


def _create_user(call: Call, domain: Domain, entry: Object) -> None:
    args = call.args
    attributes = entry["attributes"]
    attributes["sAMAccountName"] = args["sam_account_name"] or attributes["name"]
    if domain.find(attributes["sAMAccountName"]) is not entry:
        raise ModuleFailure("New-ADUser failed: Le compte spécifié existe déjà")
    attributes["userAccountControl"] = NORMAL | DISABLED
    attributes["nt_hash"] = ""
    attributes["pwdLastSet"] = 0
    if args["password"]:
        _check_password(domain, args["password"], "New-ADUser", attributes["sAMAccountName"])
        attributes["nt_hash"] = identity.nt_hash(args["password"])
        attributes["pwdLastSet"] = 1
        if args["enabled"] is None:
            attributes["userAccountControl"] = NORMAL
    elif args["enabled"]:
        raise ModuleFailure(f"New-ADUser failed: {_REFUSED}")


def _before_user(call: Call, _domain: Domain, _entry: Object | None) -> None:
    if call.args.get(_DELEGATES):
        raise NotSimulated("the option delegates of microsoft.ad.user")
    if call.args["password_expired"] and call.args["password_never_expires"]:
        raise ModuleFailure("password_expired and password_never_expires are mutually exclusive")


def _change_user(call: Call, domain: Domain, entry: Object) -> bool:
    """Password, lock and groups of a user."""
    args = call.args
    attributes = entry["attributes"]
    changed = False
    if args["account_locked"] is False and attributes.get("lockedOut"):
        attributes["lockedOut"] = False
        changed = True
    created = attributes.pop("_created", False)
    if args["password"] and not created:
        same = attributes.get("nt_hash") == identity.nt_hash(args["password"])
        when = args["update_password"]
        if when.startswith("always") or (when.startswith("when") and not same):
            _check_password(domain, args["password"], "Set-ADAccountPassword", attributes["sAMAccountName"])
            attributes["nt_hash"] = identity.nt_hash(args["password"])
            changed = True
    if attributes["userAccountControl"] & DISABLED == 0 and not attributes.get("nt_hash"):
        raise ModuleFailure(f"Set-ADUser failed: {_REFUSED}")
    if args["groups"]:
        changed = _user_groups(call, domain, entry) or changed
    return changed


def _user_groups(call: Call, domain: Domain, entry: Object) -> bool:
    given = call.args["groups"]
    action = str(given.get("lookup_failure_action") or "fail").casefold()
    primary = domain.find(f"{domain.sid}-513")
    current = [*domain.members_of(entry["dn"]), *([primary["dn"]] if primary else [])]
    change = {
        verb: None if given.get(verb) is None else _lookups(domain, given[verb], f"groups.{verb}", action, call)
        for verb in ("add", "remove", "set")
    }
    wanted = {dn_key(name) for name in _listed(current, change, caseless=True)}
    present = {dn_key(name) for name in current}
    changed = False
    for name in wanted - present:
        target = domain.objects[name]
        target["attributes"]["member"] = [*target["attributes"].get("member", []), entry["dn"]]
        changed = True
    for name in present - wanted:
        target = domain.objects[name]
        if primary is not None and dn_key(primary["dn"]) == name:
            call.warnings.append(
                f"Cannot remove group '{target['dn']}' as it's the primary group of the user, skipping"
            )
        else:
            kept = [member for member in target["attributes"]["member"] if dn_key(member) != dn_key(entry["dn"])]
            target["attributes"]["member"] = kept
        changed = True
    return changed


def _mark_created(call: Call, domain: Domain, entry: Object) -> None:
    _create_user(call, domain, entry)
    entry["attributes"]["_created"] = True


_USER = Kind(
    "ADUser",
    "user",
    (
        *_COMMON,
        *_ADDRESS,
        *_plain(
            ("company", "company"),
            ("email", "mail"),
            ("firstname", "givenName"),
            ("surname", "sn"),
            ("upn", "userPrincipalName"),
            ("sam_account_name", "sAMAccountName"),
        ),
        _bit("enabled", DISABLED, inverted=True),
        _bit("password_never_expires", NEVER_EXPIRES),
        Property("password_expired", "", _read_expired, _write_expired),
        Property(
            "user_cannot_change_password",
            "",
            lambda entry: bool(entry["attributes"].get("cannotChangePassword", False)),
            lambda entry, value: entry["attributes"].update(cannotChangePassword=bool(value)),
        ),
        _SPN,
    ),
    container="CN=Users",
    before=_before_user,
    create=_mark_created,
    change=_change_user,
    classes=frozenset({"user"}),
)


@handles("microsoft.ad.user", source=SOURCE.format(module="user"))
def user(call: Call) -> Result:
    """Users, their password and their groups."""
    return manage(call, _USER)


def _sam_with_dollar(call: Call, entry: Object) -> None:
    sam = call.args["sam_account_name"] or entry["attributes"]["name"]
    if not sam.endswith("$") and not call.args["do_not_append_dollar_to_sam"]:
        sam += "$"
    entry["attributes"]["sAMAccountName"] = sam


def _sam_property() -> Property:
    def write(entry: Object, value: Any) -> None:
        entry["attributes"]["sAMAccountName"] = value if str(value).endswith("$") else f"{value}$"

    def read(entry: Object) -> Any:
        return str(_read_sam(entry)).removesuffix("$")

    return Property("sam_account_name", "sAMAccountName", read, write)


def _create_computer(call: Call, _domain: Domain, entry: Object) -> None:
    entry["attributes"]["userAccountControl"] = WORKSTATION
    _sam_with_dollar(call, entry)


_COMPUTER = Kind(
    "ADComputer",
    "computer",
    (
        *_COMMON,
        *_plain(("dns_hostname", "dNSHostName"), ("location", "location"), ("upn", "userPrincipalName")),
        _bit("enabled", DISABLED, inverted=True),
        _ENCRYPTION,
        _MANAGED_BY,
        _SPN,
    ),
    container="CN=Computers",
    before=_refuse(_DELEGATES, "trusted_for_delegation"),
    create=_create_computer,
    classes=frozenset({"computer"}),
)


@handles("microsoft.ad.computer", source=SOURCE.format(module="computer"))
def computer(call: Call) -> Result:
    """Computers' accounts."""
    return manage(call, _COMPUTER)


def _before_account(call: Call, domain: Domain, entry: Object | None) -> None:
    args = call.args
    _refuse(_DELEGATES, "trusted_for_delegation", "outbound_auth_only")(call, domain, entry)
    if args["state"] == "present" and entry is None and not args["dns_hostname"]:
        raise ModuleFailure("dns_hostname is required when creating a new service account.")
    if args["state"] == "present" and entry is None and not call.check:
        now = call.server.now()
        keys = domain.data["kds_root_keys"]
        if not any(datetime.fromisoformat(key["effective_time"]) <= now for key in keys):
            raise ModuleFailure("New-ADServiceAccount failed: La clé n’existe pas")


def _create_account(call: Call, _domain: Domain, entry: Object) -> None:
    entry["attributes"]["userAccountControl"] = WORKSTATION
    # New-ADServiceAccount lets every account use AES and RC4 unless it is told otherwise.
    entry["attributes"]["msDS-SupportedEncryptionTypes"] = 0x1C
    _sam_with_dollar(call, entry)


_ACCOUNT = Kind(
    "ADServiceAccount",
    "msDS-GroupManagedServiceAccount",
    (
        *_COMMON,
        *_plain(("dns_hostname", "dNSHostName"), ("upn", "userPrincipalName")),
        _bit("enabled", DISABLED, inverted=True),
        Property("allowed_to_retrieve_password", "msDS-GroupMSAMembership", lookup=True),
        _ENCRYPTION,
        _SPN,
    ),
    container="CN=Managed Service Accounts",
    before=_before_account,
    create=_create_account,
    classes=frozenset({"msDS-GroupManagedServiceAccount"}),
)


def _find_account(call: Call) -> None:
    """Get-ADServiceAccount takes an account name without its dollar."""
    name = call.args["identity"]
    if name and "," not in name and not name.endswith("$") and not identity.is_sid(name):
        call.args["identity"] = f"{name}$"
        call.args["name"] = call.args["name"] or name


@handles("microsoft.ad.service_account", source=SOURCE.format(module="service_account"))
def service_account(call: Call) -> Result:
    """Group managed service accounts."""
    _find_account(call)
    return manage(call, _ACCOUNT)


_INFO_NAMES = {
    "distinguishedname": "DistinguishedName",
    "name": "Name",
    "objectclass": "ObjectClass",
    "objectguid": "ObjectGUID",
}


@handles("microsoft.ad.object_info", source="microsoft.ad 1.10.0 object_info documentation and object_info.ps1")
def object_info(call: Call) -> Result:
    """Describe objects found by identity or by an LDAP filter."""
    args = call.args
    if args["filter"]:
        raise NotSimulated("the option filter of microsoft.ad.object_info (use ldap_filter or identity)")
    if args["include_deleted"]:
        raise NotSimulated("deleted objects (include_deleted)")
    with open_domain(call) as domain:
        _authenticate(call, domain)
        if args["identity"]:
            entry = domain.find(args["identity"])
            found = [entry] if entry is not None else []
        else:
            base = dn_key(args["search_base"] if args["search_base"] is not None else domain.dn)
            scope = args["search_scope"] or "subtree"
            condition = _parse_filter(args["ldap_filter"])
            found = [entry for key, entry in domain.objects.items() if _in_scope(key, base, scope) and condition(entry)]
        return {"changed": False, "objects": [_described(entry, args["properties"] or []) for entry in found]}


def _in_scope(key: str, base: str, scope: str) -> bool:
    if scope == "base":
        return key == base
    if scope == "one_level":
        return parent_dn(key) == base
    return key == base or key.endswith("," + base)


def _described(entry: Object, properties: list[str]) -> dict[str, Any]:
    attributes = entry["attributes"]
    shown: dict[str, Any] = {
        "DistinguishedName": entry["dn"],
        "Name": attributes["name"],
        "ObjectClass": entry["class"],
        "ObjectGUID": entry["guid"],
    }
    names = {name.casefold(): name for name in attributes if name not in {"nt_hash", "name"}}
    for asked in names.values() if "*" in properties else properties:
        if asked == "*" or asked.casefold() in _INFO_NAMES:
            continue
        name = names.get(asked.casefold())
        value = attributes[name] if name else None
        shown[name or asked] = (
            {"Sid": value, "Name": attributes.get("sAMAccountName")} if name == "objectSid" else value
        )
    return shown


def _parse_filter(text: str) -> Callable[[Object], bool]:
    """Understand (a=b), (a=*), and their combinations by & | ! (RFC 4515)."""
    condition, rest = _parse(text.strip())
    if rest.strip():
        raise ModuleFailure(f"The search filter cannot be recognized: {text}")
    return condition


def _parse(text: str) -> tuple[Callable[[Object], bool], str]:
    if not text.startswith("("):
        raise ModuleFailure(f"The search filter cannot be recognized: {text}")
    body = text[1:].lstrip()
    if body[:1] in {"&", "|", "!"}:
        operator, rest = body[0], body[1:].lstrip()
        parts = []
        while rest.startswith("("):
            part, rest = _parse(rest)
            parts.append(part)
            rest = rest.lstrip()
        if not rest.startswith(")"):
            raise ModuleFailure(f"The search filter cannot be recognized: {text}")
        if operator == "!":
            return (lambda entry: not parts[0](entry)), rest[1:]
        combine = all if operator == "&" else any
        return (lambda entry: combine(part(entry) for part in parts)), rest[1:]
    inner, closed, rest = body.partition(")")
    name, equals, value = inner.partition("=")
    if not closed or not equals or name[-1:] in {">", "<", "~", ":"}:
        raise NotSimulated(f"the LDAP filter ({inner})")
    if "*" in value and value != "*":
        raise NotSimulated(f"the LDAP filter ({inner}) with a wildcard")
    return (lambda entry: _matches(entry, name.strip(), value)), rest


def _matches(entry: Object, name: str, value: str) -> bool:
    if name.casefold() in {"objectclass", "objectcategory"}:
        held: Any = entry["class"]
    elif name.casefold() in {"distinguishedname", "dn"}:
        held = entry["dn"]
    else:
        attributes = {key.casefold(): held for key, held in entry["attributes"].items()}
        held = attributes.get("name" if name.casefold() == "cn" else name.casefold())
    if held is None:
        return False
    if value == "*":
        return True
    return any(
        str(item).casefold() == unescape(value).casefold() for item in (held if isinstance(held, list) else [held])
    )
