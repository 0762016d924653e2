# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused of a declaration, by its path, before anything is touched."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import get_args, get_origin, get_type_hints

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.checks import problems
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.declared import (
    Declaration,
    ShapeError,
)

SCOPE = {"id": "10.0.0.0", "name": "Bureaux", "mask": "255.255.255.0", "start": "10.0.0.10", "end": "10.0.0.20"}


def declare(**values):
    return Declaration.read({"domain": "example.org", **values})


GUID = "{5A2C9C3E-7C59-4F1C-9E0E-3C1D5E0C9B11}"


def policy_value(*more, **changes):
    """A group policy with one value, changed, and some more."""
    first = {"key": "HKLM\\a", "name": "b", "type": "dword", "data": "1"} | changes
    if first["type"] != "dword" and "data" not in changes:
        del first["data"]
    return {"group_policies": [{"name": "a", "values": [first, *more]}]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"users": [{"name": "a", "pathh": "x"}]}, "domain_controller_users[0].pathh: unknown key"),
        ({"users": [{"path": "x"}]}, "domain_controller_users[0].name: missing"),
        ({"users": {"name": "a"}}, "domain_controller_users: a list is expected, not a mapping"),
        ({"users": ["a"]}, "domain_controller_users[0]: a mapping is expected, not 'a'"),
        ({"users": [{"name": "a", "enabled": "perhaps"}]}, "domain_controller_users[0].enabled: true or false"),
        (
            {"dhcp_scopes": [{**SCOPE, "lease_hours": "long"}]},
            "domain_controller_dhcp_scopes[0].lease_hours: a whole number is expected, not 'long'",
        ),
        (
            {"dhcp_scopes": [{**SCOPE, "exclusions": [{"start": "10.0.0.1"}]}]},
            "domain_controller_dhcp_scopes[0].exclusions[0].end: missing",
        ),
        ({"groups": [{"name": ["a"]}]}, "domain_controller_groups[0].name: a text is expected, not a list"),
        ({"laps": {"targets": "OU=a"}}, "domain_controller_laps.targets: a list is expected, not 'OU=a'"),
        ({"nonsense": 1}, "domain_controller_nonsense: unknown key"),
    ],
)
def test_shape(values, message):
    with pytest.raises(ShapeError) as error:
        declare(**values)
    assert str(error.value).startswith(message)


def test_numbers_and_booleans_of_templates_are_texts():
    declared = declare(users=[{"name": "a", "enabled": "False"}], dhcp_scopes=[{**SCOPE, "lease_hours": "12"}])
    assert declared.users[0].enabled is False
    assert declared.dhcp_scopes[0].lease_hours == 12


@pytest.mark.parametrize(
    ("values", "fragment"),
    [
        ({"domain": "localdomain"}, "domain: 'localdomain' is not a DNS name"),
        ({"netbios_name": "A" * 16}, "netbios_name:"),
        ({"hostname": "A" * 16}, "hostname:"),
        ({"groups": [{"name": "a"}, {"name": "A"}]}, "groups[1]: A is declared twice"),
        ({"groups": [{"name": "a"}], "users": [{"name": "a", "password": "x"}]}, "users[0].name: 'a' is also the name"),
        ({"groups": [{"name": "a+b"}]}, "groups[0].name: 'a+b' holds a character"),
        ({"organizational_units": [{"name": "a", "path": "Postes"}]}, "organizational_units[0].path: 'Postes' is not"),
        ({"groups": [{"name": "a", "path": "OU=x,DC=other,DC=org"}]}, "groups[0].path: 'OU=x,DC=other,DC=org' is not"),
        ({"users": [{"name": "a" * 21, "password": "x"}]}, "more than the 20 characters"),
        ({"service_accounts": [{"name": "a" * 16}]}, "more than the 15 characters"),
        ({"users": [{"name": "a"}]}, "users[0].password: missing"),
        ({"users": [{"name": "a", "password": "x", "groups": ["rid:513"]}]}, "users[0].groups"),
        (
            {"users": [{"name": "a", "password": "x", "password_never_expires": True}]},
            "change_password_at_logon and password_never_expires exclude each other",
        ),
        ({"groups": [{"name": "a", "state": "absent"}]}, "groups[0]: state absent removes it for good"),
        ({"dns_records": [{"zone": "z", "name": "a", "type": "A", "state": "absent"}]}, "dns_records[0]: state absent"),
        ({"password_policy": {"minimum_age_days": 30, "maximum_age_days": 30}}, "password_policy.minimum_age_days"),
        ({"password_policy": {"lockout_minutes": 5, "lockout_window_minutes": 6}}, "lockout_window_minutes"),
        ({"password_policy": {"history": 25}}, "password_policy.history"),
        ({"fine_grained_policies": [{"precedence": 1}]}, "fine_grained_policies[0].name: missing"),
        ({"fine_grained_policies": [{"name": "a"}]}, "fine_grained_policies[0].precedence: 0"),
        ({"sites": [{"name": "a", "subnets": ["10.0.0.1/24"]}]}, "sites[0].subnets[0]: 10.0.0.1/24 has host bits set"),
        (
            {"sites": [{"name": "a", "subnets": ["10.0.0.0/24"]}, {"name": "b", "subnets": ["10.0.0.0/24"]}]},
            "sites[1].subnets[0]: 10.0.0.0/24 already belongs to site a",
        ),
        (
            {"sites": [{"name": "a", "rename_default": True}, {"name": "b", "rename_default": True}]},
            "only one site can be the renamed",
        ),
        ({"dns_records": [{"zone": "z", "name": "a", "type": "A"}]}, "dns_records[0].values: missing"),
        ({"dns_records": [{"zone": "z", "name": "@", "type": "MX", "values": ["mx"]}]}, "values[0]: 'mx' is not a"),
        ({"dns_records": [{"zone": "z", "name": "@", "type": "MX", "values": ["65536 mx"]}]}, "'65536 mx' is not a"),
        ({"dns_records": [{"zone": "z", "name": "@", "type": "MX", "values": ["10 a b"]}]}, "'10 a b' is not a"),
        ({"dns_records": [{"zone": "z", "name": "a", "type": "A", "values": ["x"]}]}, "dns_records[0].values[0]: 'x'"),
        ({"dns_records": [{"zone": "z", "name": "a", "type": "SRV", "values": ["x"]}]}, "needs port, priority and"),
        (
            {"dns_records": [{"zone": "z", "name": "a", "type": "CNAME", "values": ["x"], "port": 1}]},
            "port, priority and weight are an SRV",
        ),
        ({"dns_records": [{"zone": "z", "name": "a", "type": "CNAME", "values": ["x", "y"]}]}, "a CNAME has one value"),
        (
            {"dns_records": [{"zone": "z", "name": "a", "type": "TXT", "values": ["x"], "ttl_seconds": 0}]},
            "dns_records[0].ttl_seconds",
        ),
        (
            {
                "dns_records": [
                    {"zone": "z", "name": "a", "type": "A", "state": "absent", "force": True, "values": ["10.0.0.1"]}
                ]
            },
            "an absent record loses all its values",
        ),
        ({"dns_forwarders": ["dns.example"]}, "dns_forwarders[0]: 'dns.example' is not an IPv4 address"),
        ({"dns_conditional_forwarders": [{"name": "a", "servers": []}]}, "dns_conditional_forwarders[0].servers"),
        (
            {"dns_conditional_forwarders": [{"name": "a", "servers": ["10.0.0.1"], "timeout_seconds": 16}]},
            "timeout_seconds: 16",
        ),
        ({"dhcp_scopes": [SCOPE]}, "dhcp: scopes or options are declared"),
        (
            {"dhcp": True, "dhcp_scopes": [{**SCOPE, "id": "10.0.0.1"}]},
            "dhcp_scopes[0]: 10.0.0.1/24 has host bits set",
        ),
        ({"dhcp": True, "dhcp_scopes": [{**SCOPE, "end": "10.0.1.20"}]}, "dhcp_scopes[0].end: 10.0.1.20 is not in"),
        ({"dhcp": True, "dhcp_scopes": [{**SCOPE, "end": "10.0.0.9"}]}, "comes after end 10.0.0.9"),
        ({"dhcp": True, "dhcp_scopes": [{**SCOPE, "lease_hours": 0}]}, "dhcp_scopes[0].lease_hours: 0"),
        (
            {"dhcp": True, "dhcp_scopes": [{**SCOPE, "exclusions": [{"start": "10.0.0.5", "end": "10.0.0.11"}]}]},
            "dhcp_scopes[0].exclusions[0]: 10.0.0.5 to 10.0.0.11 is not within",
        ),
        (
            {
                "dhcp": True,
                "dhcp_scopes": [{**SCOPE, "reservations": [{"address": "10.0.0.9", "mac": "zz", "name": "a"}]}],
            },
            "dhcp_scopes[0].reservations[0].mac: 'zz' is not a MAC address",
        ),
        (
            {
                "dhcp": True,
                "dhcp_scopes": [
                    {
                        **SCOPE,
                        "reservations": [
                            {"address": "10.0.0.9", "mac": "00:11:22:33:44:55", "name": "a"},
                            {"address": "10.0.0.8", "mac": "00-11-22-33-44-55", "name": "b"},
                        ],
                    }
                ],
            },
            "reservations[1]: 001122334455 is already reserved by reservations[0]",
        ),
        ({"laps": {"password_length": 7}}, "laps.password_length: 7 is not between 8 and 64"),
        ({"laps": {"targets": ["Postes"]}}, "laps.targets[0]: 'Postes' is not a distinguished name"),
        ({"gpo_links": [{"gpo": "a", "target": "Postes"}]}, "gpo_links[0].target: 'Postes'"),
        ({"kerberos_encryption_types": []}, "kerberos_encryption_types: at least one"),
        (
            {"group_policies": [{"name": "a", "purge": True, "backup": {"path": "C:\\a", "id": GUID}}]},
            "group_policies[0].purge: purge would remove",
        ),
        (
            {"group_policies": [{"name": "a", "backup": {"path": "C:\\a", "id": "Postes"}}]},
            "group_policies[0].backup.id: 'Postes' is not",
        ),
        ({"group_policies": [{"name": "a"}, {"name": "A"}]}, "group_policies[1]: A is declared twice"),
        (policy_value(key="Software\\a"), "group_policies[0].values[0].key: 'Software\\\\a' does not start"),
        (policy_value(key="HKLM\\"), "values[0].key: "),
        (policy_value(data="many"), "values[0].data: 'many' is not an unsigned number"),
        (policy_value(data=str(2**32)), "values[0].data: '4294967296' is not"),
        (policy_value(type="multistring", data="a"), "values[0].data: the data of a multistring is given in lines"),
        (policy_value(type="string", lines=["a"]), "values[0].lines: the data of a string is given in data"),
        (policy_value({"key": "hkcu\\a", "name": "B", "data": "1"}, key="HKCU\\a"), "values[1]: B is declared twice"),
        ({"registry": [{"path": "HKCU:\\x", "name": "a", "data": "1"}]}, "registry[0].path"),
        ({"registry": [{"path": "HKLM:\\x", "name": "a", "data": "one"}]}, "registry[0].data: 'one'"),
    ],
)
def test_problems(values, fragment):
    found = problems(declare(**values))
    assert len(found) == 1, found
    assert found[0].en.startswith("domain_controller_")
    assert fragment in found[0].en
    # The same path, in a sentence of its own.
    assert found[0].fr.partition(" : ")[0] == found[0].en.partition(": ")[0]
    assert found[0].fr.partition(" : ")[2] not in {"", found[0].en.partition(": ")[2]}


def test_a_full_declaration_has_no_problem():
    declared = declare(
        netbios_name="EXAMPLE",
        organizational_units=[{"name": "Postes"}, {"name": "Siège", "path": "OU=Postes"}],
        groups=[{"name": "GG-Un", "path": "OU=Postes", "members": ["u.un"]}],
        users=[{"name": "u.un", "password": "x", "groups": ["rid:512"]}],
        dhcp=True,
        dhcp_scopes=[{**SCOPE, "exclusions": [{"start": "10.0.0.10", "end": "10.0.0.11"}]}],
        dns_records=[{"zone": "example.org", "name": "www", "type": "A", "values": ["10.0.0.1"]}],
    )
    assert problems(declared) == []
    assert declared.principals() == ["rid:512", "u.un"]


def defaults(kind):
    """Default of each key of a dataclass, nested ones included, as argument_specs spells them."""
    hints = get_type_hints(kind)
    found = {}
    for field in fields(kind):
        hint = hints[field.name]
        inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
        inner = next((part for part in get_args(inner) if is_dataclass(part)), inner)
        found[field.name] = (field, inner if is_dataclass(inner) else None)
    return found


@pytest.fixture(scope="module")
def specification(pytestconfig):
    import yaml

    path = pytestconfig.rootpath / "roles/domain_controller/meta/argument_specs.yml"
    options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return {name.removeprefix("domain_controller_"): option for name, option in options.items()}


def compare(kind, options, path):
    from dataclasses import MISSING

    for name, (field, inner) in defaults(kind).items():
        option = options[name]
        where = f"{path}.{name}"
        if inner is not None:
            assert set(option["options"]) == {own.name for own in fields(inner)}, where
            compare(inner, option["options"], where)
        if field.default is MISSING:
            assert option.get("required"), where
        elif is_dataclass(field.default) or inner is not None:
            continue
        else:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            given = option.get("default", [] if option["type"] == "list" else None)
            if default == "" and "default" not in option:
                given = ""
            if default is not None and not option.get("required"):
                assert given == default, where


def test_the_classes_mirror_the_roles_argument_specs(specification):
    compare(Declaration, specification, "domain_controller")
