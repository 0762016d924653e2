# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain controller's plan holds: nothing where all is as declared, and each difference once where it is not."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory import names, observed, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.directory_plan import encryption_bits
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.request import request

SID = "S-1-5-21-1-2-3"
MODULES = ("ActiveDirectoryDsc", "DnsServerDsc", "DhcpServerDsc")


def server(**changes):
    found = observed.Server(
        hostname="DC01",
        role="domain_controller",
        time="2026-11-23T12:00:00Z",
        domain="example.org",
        primary=True,
        version="10.0.20348",
        interfaces=(observed.Interface("Ethernet", ("10.0.0.11",), False, ("10.0.0.11", "127.0.0.1")),),
        powershell_modules=tuple(observed.InstalledModule(name, ("1.0.0",)) for name in MODULES),
    )
    return replace(found, **changes)


VIRGIN = server(role="standalone", domain="", primary=False, powershell_modules=())


def declare(**values):
    return Declaration.read({"domain": "example.org", **values})


FULL = declare(
    organizational_units=[{"name": "Postes", "path": "OU=Siege"}, {"name": "Siege", "description": "Siège"}],
    groups=[
        {"name": "GG-Un", "path": "OU=Siege", "members": ["u.un", "rid:500"]},
        {"name": "GDL-Tous", "scope": "domainlocal", "members": ["GG-Un"], "members_exact": True},
        {"name": "Parti", "state": "absent", "force": True},
    ],
    users=[
        {
            "name": "u.un",
            "path": "OU=Siege",
            "firstname": "Une",
            "surname": "Un",
            "password": "x",
            "groups": ["rid:512"],
        },
        {"name": "u.deux", "enabled": False, "kerberos_encryption_types": ["aes256"]},
    ],
    service_accounts=[{"name": "gmsa-a", "allowed_to_retrieve_password": ["GG-Un"]}],
    fine_grained_policies=[{"name": "PSO-A", "precedence": 1, "subjects": ["GG-Un"], "minimum_length": 20}],
    sites=[{"name": "Paris", "subnets": ["10.0.0.0/24"], "rename_default": True}, {"name": "Lyon"}],
    gpo_links=[{"gpo": "Default Domain Policy", "target": "OU=Siege", "enforced": True}],
    laps={"targets": ["OU=Postes,OU=Siege"]},
    dns_forwarders=["10.0.0.1", "10.0.0.2"],
    dns_zones=[{"name": "0.0.10.in-addr.arpa", "aging": {"refresh_hours": 24}}],
    dns_conditional_forwarders=[{"name": "ans.example", "servers": ["10.0.9.9"]}],
    dns_records=[
        {"zone": "example.org", "name": "www", "type": "A", "values": ["10.0.0.5", "10.0.0.6"]},
        {"zone": "example.org", "name": "alias", "type": "CNAME", "values": ["www.example.org"]},
        {
            "zone": "example.org",
            "name": "_s._tcp",
            "type": "SRV",
            "values": ["a.org"],
            "port": 1,
            "priority": 2,
            "weight": 3,
        },
        {"zone": "example.org", "name": "v6", "type": "AAAA", "values": ["2001:DB8:0::1"]},
        {"zone": "example.org", "name": "parti", "type": "A", "state": "absent", "force": True},
        {"zone": "example.org", "name": "@", "type": "MX", "values": ["10 mx1.example.org", "20 MX2.example.org."]},
    ],
    dhcp=True,
    dhcp_options=[{"id": 6, "values": ["10.0.0.11"]}],
    dhcp_scopes=[
        {
            "id": "10.0.0.0",
            "name": "Bureaux",
            "mask": "255.255.255.0",
            "start": "10.0.0.100",
            "end": "10.0.0.200",
            "exclusions": [{"start": "10.0.0.150", "end": "10.0.0.160"}],
            "options": [{"id": 3, "values": ["10.0.0.1"]}],
            "reservations": [{"address": "10.0.0.110", "mac": "00:11:22:33:44:55", "name": "imprimante"}],
        }
    ],
)


def as_declared(declared: Declaration) -> observed.Observation:
    """The domain that has exactly what is declared."""
    root = declared.root
    known = {group.name: declared.group_dn(group) for group in declared.groups if group.state == "present"}
    known |= {user.name: declared.user_dn(user) for user in declared.users if user.state == "present"}

    def dn(name):
        return known.get(name, f"CN={name.replace(':', '')},CN=Users,{root}")

    groups = [
        observed.GroupState(
            group.name,
            group.name,
            declared.group_dn(group),
            group.scope,
            group.category,
            group.description,
            tuple(dn(member) for member in group.members)
            + tuple(dn(user.name) for user in declared.users if group.name in user.groups),
        )
        for group in declared.groups
        if group.state == "present"
    ]
    outside = {name for user in declared.users for name in user.groups} - set(known)
    groups += [
        observed.GroupState(
            name, name, dn(name), members=tuple(dn(user.name) for user in declared.users if name in user.groups)
        )
        for name in sorted(outside)
    ]
    users = [
        observed.UserState(
            user.name,
            declared.user_dn(user),
            user.upn or f"{user.name}@{declared.domain}",
            user.firstname,
            user.surname,
            user.display_name or " ".join(filter(None, (user.firstname, user.surname))) or user.name,
            user.email,
            user.description,
            user.enabled,
            user.password_never_expires,
            user.user_cannot_change_password,
            user.kerberos_encryption_types,
        )
        for user in declared.users
        if user.state == "present"
    ]
    shared = {field.name for field in fields(observed.PolicyState)}
    directory = observed.Directory(
        available=True,
        domain=observed.Domain("example.org", "EXAMPLE", root, SID),
        password_policy=observed.PolicyState(**asdict(declared.password_policy)),
        fine_grained_policies=tuple(
            observed.FineGrainedState(
                **{name: value for name, value in asdict(policy).items() if name in shared},
                name=policy.name,
                precedence=policy.precedence,
                subjects=tuple(dn(name) for name in policy.subjects),
                protect_from_deletion=policy.protect_from_deletion,
            )
            for policy in declared.fine_grained_policies
        ),
        recycle_bin=True,
        kds_root_keys=(observed.RootKey("a", "2026-11-01T00:00:00Z"),),
        sites=tuple(site.name for site in declared.sites),
        subnets=tuple(observed.Subnet(net, site.name) for site in declared.sites for net in site.subnets),
        organizational_units=tuple(
            observed.UnitState(declared.unit_dn(unit).upper(), unit.description, unit.protect_from_deletion)
            for unit in declared.organizational_units
        ),
        groups=tuple(groups),
        users=tuple(users),
        service_accounts=tuple(
            observed.ServiceAccountState(
                account.name,
                declared.account_dn(account),
                account.dns_hostname or f"{account.name}.{declared.domain}",
                account.description,
                tuple(dn(name) for name in account.allowed_to_retrieve_password),
                account.spns,
                account.kerberos_encryption_types,
            )
            for account in declared.service_accounts
        ),
        principals=tuple(observed.PrincipalState(name, dn(name)) for name in declared.principals()),
        gpo_links=tuple(
            observed.LinkState(declared.place(link.target), link.gpo, link.enabled, link.enforced)
            for link in declared.gpo_links
        ),
        laps=observed.LapsState(True, tuple(declared.place(target) for target in declared.laps.targets)),
    )
    zones = [observed.ZoneState(declared.domain)]
    for zone in declared.dns_zones:
        aging = {} if zone.aging is None else {**asdict(zone.aging)}
        aging["aging"] = aging.pop("enabled", False)
        state = observed.ZoneState(zone.name, "primary", True, zone.replication, zone.dynamic_update, **aging)
        zones = [held for held in zones if held.name != zone.name] + [state]
    zones += [
        observed.ZoneState(
            item.name,
            "forwarder",
            True,
            item.replication,
            servers=item.servers,
            timeout_seconds=item.timeout_seconds,
        )
        for item in declared.dns_conditional_forwarders
    ]
    dotted = {"CNAME", "NS", "PTR", "SRV"}

    def value_state(record, value):
        if record.type == "MX":
            preference, host = value.split(" ")
            return observed.RecordValue(host.rstrip(".") + ".", record.ttl_seconds, priority=int(preference))
        text = f"{value}." if record.type in dotted else value.lower()
        return observed.RecordValue(text, record.ttl_seconds, record.port, record.priority, record.weight)

    records = [
        observed.RecordState(
            record.zone,
            record.name.upper(),
            record.type,
            tuple(value_state(record, value) for value in record.values),
        )
        for record in declared.dns_records
    ]
    scavenging = asdict(declared.dns_scavenging)
    scavenging["interval_hours"] *= scavenging["enabled"]
    dns = observed.Dns(
        True,
        observed.Forwarders(declared.dns_forwarders, declared.dns_use_root_hints),
        observed.ScavengingState(**scavenging),
        tuple(zones),
        tuple(records),
    )
    dhcp = observed.Dhcp(
        True,
        True,
        declared.dhcp_authorized,
        tuple(observed.OptionState(option.id, option.values) for option in declared.dhcp_options),
        tuple(
            observed.ScopeState(
                scope.id,
                scope.name,
                scope.mask,
                scope.start,
                scope.end,
                scope.lease_hours * 60,
                scope.description,
                scope.active,
                tuple(observed.ExclusionState(item.start, item.end) for item in scope.exclusions),
                tuple(observed.OptionState(item.id, item.values) for item in scope.options),
                tuple(
                    observed.ReservationState(item.address, item.mac.replace(":", "-").upper(), item.name)
                    for item in scope.reservations
                ),
            )
            for scope in declared.dhcp_scopes
        ),
    )
    return observed.Observation(server(), directory, dns, dhcp)


def differences(declared, observation):
    return {kind: items for kind, items in plan.domain_plan(declared, observation).items() if items}


def test_nothing_differs_where_all_is_as_declared():
    assert differences(FULL, as_declared(FULL)) == {}


def test_on_a_server_without_domain_everything_is_foreseen():
    found = differences(replace(FULL, kds_root_key_effective_immediately=True), observed.Observation(VIRGIN))
    own = {"problems", "deferred_service_accounts"}
    assert set(found) == set(plan.domain_plan(FULL, observed.Observation(VIRGIN))) - own
    assert all(entry["foreseen"] for items in found.values() for entry in items)
    # What a promotion makes by itself is not foreseen again.
    assert [entry["name"] for entry in found["dns_zones"]] == ["0.0.10.in-addr.arpa"]
    assert found["sites"][0]["rename_default"] is True


def test_service_accounts_wait_for_the_root_key():
    fresh = as_declared(FULL)
    none = replace(fresh, directory=replace(fresh.directory, kds_root_keys=(), service_accounts=()))
    found = differences(FULL, none)
    assert found["deferred_service_accounts"] == ["gmsa-a"]
    assert "service_accounts" not in found
    (key,) = found["kds_root_key"]
    assert key["effective_time"] == "2026-11-23T22:00:00Z"
    assert key["unsafe"] is False

    future = (observed.RootKey("a", "2026-11-23T12:00:01Z"),)
    waiting = replace(none, directory=replace(none.directory, kds_root_keys=future))
    assert set(differences(FULL, waiting)) == {"deferred_service_accounts"}

    now = differences(replace(FULL, kds_root_key_effective_immediately=True), none)
    assert now["kds_root_key"][0]["effective_time"] == "2026-11-23T02:00:00Z"
    assert [entry["name"] for entry in now["service_accounts"]] == ["gmsa-a"]


def test_only_the_pdc_emulator_settles_what_controllers_share():
    other = replace(as_declared(FULL), server=server(primary=False), directory=observed.Directory(available=True))
    other = replace(other, dns=replace(other.dns, forwarders=observed.Forwarders(), zones=()))
    assert set(differences(FULL, other)) == {"dns_forwarders"}


def test_parents_come_before_children():
    found = differences(FULL, observed.Observation(VIRGIN))["organizational_units"]
    assert [entry["name"] for entry in found] == ["Siege", "Postes"]


def change_directory(**changes):
    base = as_declared(FULL)
    return replace(base, directory=replace(base.directory, **changes))


def change_dns(**changes):
    base = as_declared(FULL)
    return replace(base, dns=replace(base.dns, **changes))


def change_dhcp(**changes):
    base = as_declared(FULL)
    return replace(base, dhcp=replace(base.dhcp, **changes))


BASE = as_declared(FULL)
D, N, H = BASE.directory, BASE.dns, BASE.dhcp


def swap(items, index, **changes):
    return tuple(replace(item, **changes) if number == index else item for number, item in enumerate(items))


@pytest.mark.parametrize(
    ("observation", "kind", "label"),
    [
        (change_directory(recycle_bin=False), "recycle_bin", "Recycle Bin Feature (enable)"),
        (change_directory(sites=("Paris",)), "sites", "Lyon (create)"),
        (change_directory(subnets=swap(D.subnets, 0, site="Lyon")), "subnets", "10.0.0.0/24 (site)"),
        (change_directory(subnets=()), "subnets", "10.0.0.0/24 (create)"),
        (
            change_directory(password_policy=replace(D.password_policy, minimum_length=8, history=1)),
            "password_policy",
            "example.org (minimum_length, history)",
        ),
        (
            change_directory(organizational_units=swap(D.organizational_units, 1, description="x")),
            "organizational_units",
            "OU=Siege,DC=example,DC=org (description)",
        ),
        (change_directory(groups=swap(D.groups, 0, scope="universal")), "groups", "GG-Un (scope)"),
        (
            change_directory(groups=swap(D.groups, 0, distinguished_name="CN=GG-Un,CN=Users,DC=example,DC=org")),
            "groups",
            "GG-Un (path)",
        ),
        (
            change_directory(groups=(*D.groups, observed.GroupState("Parti", "Parti", "CN=Parti,DC=example,DC=org"))),
            "groups",
            "Parti (remove)",
        ),
        (change_directory(users=swap(D.users, 0, enabled=False)), "users", "u.un (enabled)"),
        (
            change_directory(users=swap(D.users, 1, kerberos_encryption_types=())),
            "users",
            "u.deux (kerberos_encryption_types)",
        ),
        (change_directory(groups=swap(D.groups, 0, members=())), "memberships", "GG-Un (+u.un, +rid:500)"),
        (
            change_directory(
                groups=swap(D.groups, 1, members=(*D.groups[1].members, "CN=X,CN=Users,DC=example,DC=org"))
            ),
            "memberships",
            "GDL-Tous (-CN=X,CN=Users,DC=example,DC=org)",
        ),
        (
            change_directory(groups=swap(D.groups, 2, members=())),
            "memberships",
            "rid:512 (+u.un)",
        ),
        (
            change_directory(fine_grained_policies=swap(D.fine_grained_policies, 0, precedence=9)),
            "fine_grained_policies",
            "PSO-A (precedence)",
        ),
        (
            change_directory(fine_grained_policies=swap(D.fine_grained_policies, 0, subjects=())),
            "policy_subjects",
            "PSO-A (subjects)",
        ),
        (change_directory(service_accounts=()), "service_accounts", "gmsa-a (create)"),
        (
            change_directory(service_accounts=swap(D.service_accounts, 0, allowed_to_retrieve_password=())),
            "service_accounts",
            "gmsa-a (allowed_to_retrieve_password)",
        ),
        (
            change_directory(laps=observed.LapsState(False, ())),
            "laps",
            "Windows LAPS (schema, OU=Postes,OU=Siege,DC=example,DC=org)",
        ),
        (
            change_directory(gpo_links=swap(D.gpo_links, 0, enforced=False)),
            "gpo_links",
            "Default Domain Policy on OU=Siege,DC=example,DC=org (enforced)",
        ),
        (
            change_dns(forwarders=observed.Forwarders(("10.0.0.2", "10.0.0.1"), False)),
            "dns_forwarders",
            "forwarders (addresses)",
        ),
        (change_dns(scavenging=observed.ScavengingState()), "dns_scavenging", "scavenging (enabled, interval_hours)"),
        (
            change_dns(zones=swap(N.zones, 1, dynamic_update="none")),
            "dns_zones",
            "0.0.10.in-addr.arpa (dynamic_update)",
        ),
        (change_dns(zones=swap(N.zones, 1, refresh_hours=168)), "dns_aging", "0.0.10.in-addr.arpa (refresh_hours)"),
        (
            change_dns(zones=swap(N.zones, 2, servers=("10.0.9.8",))),
            "dns_conditional_forwarders",
            "ans.example (servers)",
        ),
        (
            change_dns(records=swap(N.records, 0, values=N.records[0].values[:1])),
            "dns_records",
            "www.example.org A (values)",
        ),
        (
            change_dns(
                records=swap(
                    N.records, 0, values=tuple(replace(value, ttl_seconds=60) for value in N.records[0].values)
                )
            ),
            "dns_records",
            "www.example.org A (ttl_seconds)",
        ),
        (
            change_dns(
                records=swap(N.records, 0, values=tuple(replace(value, aged=True) for value in N.records[0].values))
            ),
            "dns_records",
            "www.example.org A (aging)",
        ),
        (
            change_dns(records=swap(N.records, 2, values=(replace(N.records[2].values[0], port=9),))),
            "dns_records",
            "_s._tcp.example.org SRV (service)",
        ),
        (
            change_dns(records=swap(N.records, 4, values=(observed.RecordValue("10.0.0.7"),))),
            "dns_records",
            "parti.example.org A (remove)",
        ),
        (
            change_dns(records=swap(N.records, 5, values=N.records[5].values[1:])),
            "dns_mail_records",
            "@.example.org MX mx1.example.org (create)",
        ),
        (
            change_dns(
                records=swap(
                    N.records,
                    5,
                    values=(replace(N.records[5].values[0], priority=99, ttl_seconds=60), N.records[5].values[1]),
                )
            ),
            "dns_mail_records",
            "@.example.org MX mx1.example.org (preference, ttl_seconds)",
        ),
        (
            change_dns(
                records=swap(
                    N.records,
                    5,
                    values=(*N.records[5].values, observed.RecordValue("former.example.org.", priority=30)),
                )
            ),
            "dns_mail_records",
            "@.example.org MX former.example.org (remove)",
        ),
        (change_dhcp(configured=False), "dhcp_setup", "DHCP server (first configuration)"),
        (change_dhcp(authorized=False), "dhcp_authorization", "authorisation (Present)"),
        (change_dhcp(options=()), "dhcp_options", "option 6 (values)"),
        (
            change_dhcp(scopes=swap(H.scopes, 0, active=False, lease_minutes=1)),
            "dhcp_scopes",
            "10.0.0.0 (lease_minutes, active)",
        ),
        (
            change_dhcp(scopes=swap(H.scopes, 0, exclusions=())),
            "dhcp_exclusions",
            "10.0.0.0 10.0.0.150-10.0.0.160 (create)",
        ),
        (change_dhcp(scopes=swap(H.scopes, 0, options=())), "dhcp_scope_options", "10.0.0.0 option 3 (values)"),
        (change_dhcp(scopes=swap(H.scopes, 0, reservations=())), "dhcp_reservations", "imprimante 10.0.0.110 (create)"),
    ],
)
def test_each_difference_is_found_once_and_alone(observation, kind, label):
    found = differences(FULL, observation)
    assert list(found) == [kind], found
    assert [entry["label"] for entry in found[kind]] == [label]


@pytest.mark.parametrize(
    ("name", "ttl", "domain", "span"),
    [("@", 3600, "example.org", "01:00:00"), ("news", 93_784, "news.example.org", "1.02:03:04")],
)
def test_a_mail_exchanger_is_told_as_the_resource_compares_it(name, ttl, domain, span):
    record = {"zone": "example.org", "name": name, "type": "MX", "values": ["5 Mx.Example.org."], "ttl_seconds": ttl}
    (entry,) = differences(declare(dns_records=[record]), observed.Observation(VIRGIN))["dns_mail_records"]
    assert (entry["domain"], entry["host"], entry["preference"], entry["ttl"], entry["ensure"], entry["foreseen"]) == (
        domain,
        "mx.example.org",
        5,
        span,
        "Present",
        True,
    )


POLICY = {
    "name": "Postes",
    "backup": {"path": "C:\\Strategies", "id": "{5A2C9C3E-7C59-4F1C-9E0E-3C1D5E0C9B11}", "version": "2"},
    "values": [
        {"key": "HKLM\\Software\\a", "name": "number", "data": "7"},
        {"key": "HKLM\\Software\\a", "name": "text", "type": "string", "data": "x, y"},
        {"key": "HKLM\\Software\\a", "name": "lines", "type": "multistring", "lines": ["x", "y"]},
        {"key": "HKCU\\Software\\a", "name": "gone", "state": "absent"},
    ],
}


def test_group_policies_are_handed_to_the_module_whole_and_by_the_pdc_emulator_alone():
    declared = declare(group_policies=[POLICY, {"name": "Vide", "purge": True}])
    first, second = plan.server_plan(declared, observed.Observation(server()))["group_policies"]
    assert (first["backup_path"], first["backup_id"], first["backup_version"]) == tuple(POLICY["backup"].values())
    assert [value.get("data") for value in first["values"]] == [7, "x, y", ["x", "y"], None]
    assert [value["state"] for value in first["values"]] == ["present"] * 3 + ["absent"]
    assert second == {**second, "backup_id": "", "backup_path": "", "purge": True, "values": []}
    assert plan.server_plan(declared, observed.Observation(server(primary=False)))["group_policies"] == []
    assert len(plan.server_plan(declared, observed.Observation(VIRGIN))["group_policies"]) == 2


@pytest.mark.parametrize(("declared_too", "foreseen"), [(True, True), (False, False)])
def test_the_link_of_a_group_policy_that_the_run_makes_is_foreseen(declared_too, foreseen):
    declared = declare(
        gpo_links=[{"gpo": "postes", "target": ""}], group_policies=[{"name": "Postes"}] if declared_too else []
    )
    (link,) = differences(declared, as_declared(declare()))["gpo_links"]
    assert link["foreseen"] is foreseen


def test_what_one_run_makes_is_foreseen_of_what_needs_it():
    gone = change_directory(users=D.users[1:], principals=tuple(p for p in D.principals if p.asked != "u.un"))
    found = differences(FULL, gone)
    assert {entry["label"]: entry["foreseen"] for entry in found["users"]} == {"u.un (create)": False}
    assert all(entry["foreseen"] for entry in found["memberships"])
    zone = change_dns(zones=N.zones[:1] + N.zones[2:])
    assert differences(FULL, zone)["dns_aging"][0]["foreseen"] is True
    scope = differences(FULL, change_dhcp(scopes=()))
    assert [entry["foreseen"] for entry in scope["dhcp_exclusions"] + scope["dhcp_reservations"]] == [True, True]
    assert scope["dhcp_scopes"][0]["foreseen"] is False


def test_an_item_carries_no_password():
    found = differences(FULL, observed.Observation(VIRGIN))
    assert all("password" not in entry for items in found.values() for entry in items)


@pytest.mark.parametrize(
    ("observation", "fragment"),
    [
        (
            change_directory(principals=tuple(p for p in D.principals if p.asked != "rid:500")),
            "'rid:500' is referred to",
        ),
        (change_dns(zones=swap(N.zones, 1, type="secondary")), "domain_controller_dns_zones[0]: 0.0.10.in-addr.arpa"),
        (change_dns(zones=swap(N.zones, 2, type="primary")), "domain_controller_dns_conditional_forwarders[0]"),
        (change_dns(zones=N.zones[1:]), "domain_controller_dns_records[0].zone: example.org is neither"),
        (change_dhcp(scopes=swap(H.scopes, 0, mask="255.255.0.0")), "domain_controller_dhcp_scopes[0].mask"),
        (
            change_dhcp(
                scopes=swap(
                    H.scopes, 0, reservations=(observed.ReservationState("10.0.0.111", "001122334455", "imprimante"),)
                )
            ),
            "domain_controller_dhcp_scopes[0].reservations[0].address",
        ),
    ],
)
def test_what_cannot_be_done_is_said(observation, fragment):
    found = plan.domain_plan(FULL, observation, "en")["problems"]
    assert any(fragment in sentence for sentence in found), found


@pytest.mark.parametrize(
    ("changes", "values", "fragment"),
    [
        ({"domain": "other.org"}, {}, "is a domain controller of other.org, not of example.org"),
        ({}, {"hostname": "dc09"}, "renaming one to dc09 is not done here"),
        ({"role": "member"}, {}, "it cannot found a forest"),
        ({"interfaces": ()}, {}, "has no IPv4 address"),
        ({"interfaces": (observed.Interface("Ethernet", ("10.0.0.5",), True),)}, {}, "from DHCP"),
        ({"version": "10.0.14393"}, {}, "Windows LAPS needs Windows Server 2019"),
    ],
)
def test_a_server_that_cannot_become_the_controller_is_refused(changes, values, fragment):
    found = plan.server_plan(declare(**values), observed.Observation(server(**changes)), "en")["problems"]
    assert any(fragment in sentence for sentence in found), found


def registry(declared, found):
    values = plan.server_plan(declared, observed.Observation(found))["registry"]
    return {(value["path"].rpartition("\\")[2], value["name"]): value["data"] for value in values}


def test_the_pdc_emulator_alone_takes_its_time_from_outside():
    declared = declare(time_servers=["a.example", "b.example"])
    first = registry(declared, server())
    assert first["Parameters", "NtpServer"] == "a.example,0x8 b.example,0x8"
    assert first["Parameters", "Type"] == "NTP"
    other = registry(declared, server(primary=False))
    assert other["Parameters", "Type"] == "NT5DS"
    assert ("Parameters", "NtpServer") not in other
    # Before the promotion, founding a forest makes the PDC emulator.
    assert registry(declared, VIRGIN)["Parameters", "Type"] == "NTP"
    assert registry(declare(time_servers=[]), server()).get(("Parameters", "Type")) is None


def test_registry_values_of_the_inventory_win():
    mine = {
        "path": r"HKLM:\SYSTEM\CurrentControlSet\Services\NTDS\Parameters",
        "name": "ldapserverintegrity",
        "data": "1",
    }
    values = plan.server_plan(declare(registry=[mine]), observed.Observation(server()))["registry"]
    ldap = [value for value in values if value["name"].casefold() == "ldapserverintegrity"]
    assert ldap == [{**mine, "type": "dword", "data": 1}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"ldap_signing": "none", "ldap_channel_binding": "never"},
            {"LDAPServerIntegrity": 1, "LdapEnforceChannelBinding": 0},
        ),
        (
            {"kerberos_encryption_types": ["aes128", "aes256"]},
            {"SupportedEncryptionTypes": 2147483640, "DefaultDomainSupportedEncTypes": 24},
        ),
        ({"laps": {"dsrm": False}}, {"BackupDirectory": 2, "ADBackupDSRMPassword": 0}),
    ],
)
def test_settings(values, expected):
    found = {name: data for (_key, name), data in registry(declare(**values), server()).items()}
    assert expected.items() <= found.items()


def test_no_laps_no_values():
    assert not any(key == "LAPS" for key, _name in registry(declare(laps={"enabled": False}), server()))


def test_the_server_asks_itself_for_names_unless_told_otherwise():
    elsewhere = server(interfaces=(observed.Interface("Ethernet", ("10.0.0.11",), False, ("9.9.9.9",)),))
    (item,) = plan.server_plan(declare(), observed.Observation(elsewhere))["dns_client"]
    assert item["servers"] == ["10.0.0.11", "127.0.0.1"]
    told = declare(dns_client_servers=["9.9.9.9"])
    assert plan.server_plan(told, observed.Observation(elsewhere))["dns_client"] == []


def test_modules_are_installed_at_their_version_and_dhcps_only_with_dhcp():
    modules = [{"name": name, "version": "2.0.0"} for name in MODULES]
    found = plan.server_plan(declare(dsc_modules=modules), observed.Observation(server()))["dsc_modules"]
    assert [item["name"] for item in found] == ["ActiveDirectoryDsc", "DnsServerDsc"]
    found = plan.server_plan(declare(dsc_modules=modules, dhcp=True), observed.Observation(server()))["dsc_modules"]
    assert [item["name"] for item in found] == list(MODULES)


def test_request_asks_for_each_thing_once():
    asked = request(FULL)
    assert asked["directory"]["groups"] == ["GG-Un", "GDL-Tous", "Parti", "rid:512"]
    assert asked["directory"]["principals"] == ["GG-Un", "rid:500", "rid:512", "u.un"]
    assert asked["directory"]["laps_targets"] == ["OU=Postes,OU=Siege,DC=example,DC=org"]
    assert len(asked["dns"]["records"]) == len(FULL.dns_records)


@given(st.sets(st.sampled_from(["des", "rc4", "aes128", "aes256"])))
def test_encryption_bits_tell_sets_apart(types):
    bits = encryption_bits(types)
    assert bool(bits & 0x10) == ("aes256" in types)
    assert bool(bits & 0x4) == ("rc4" in types)
    assert bits <= 0x1F


NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True), unique=True, max_size=6)


@settings(max_examples=60)
@given(NAMES, NAMES, st.randoms(use_true_random=False), st.booleans())
def test_the_plan_of_what_is_as_declared_is_empty(units, people, random, exact):
    groups = [f"g-{name}" for name in people]
    declared = declare(
        organizational_units=[
            {"name": name, "path": f"OU={units[index - 1]}" if index % 2 else ""} for index, name in enumerate(units)
        ],
        users=[{"name": name, "password": "x", "groups": random.sample(groups, k=len(groups) // 2)} for name in people],
        groups=[
            {"name": name, "members": random.sample(people, k=random.randint(0, len(people))), "members_exact": exact}
            for name in groups
        ],
    )
    assert differences(declared, as_declared(declared)) == {}
    virgin = differences(declared, observed.Observation(VIRGIN))
    assert len(virgin.get("users", [])) == len(people)
    order = [names.key(f"OU={entry['name']},{entry['path']}") for entry in virgin.get("organizational_units", [])]
    assert all(names.key(names.parent(dn)) not in order[index:] for index, dn in enumerate(order))
