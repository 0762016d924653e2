# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure rules of the Windows baseline, as tables of cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import (
    baseline,
    declared,
    firewall_rules,
    local_accounts,
    registry_policy,
    services,
    transport,
)

SMB = r"HKLM:\SYSTEM\CurrentControlSet\Services\LanmanServer\Parameters"
CATALOGUE = [
    {
        "group": "smb",
        "path": SMB,
        "values": [
            {"name": "SMB1", "data": 0, "source": "CIS", "reboot": True},
            {"name": "Signature", "data": 1, "source": "CIS", "roles": ["member"]},
            {"name": "New", "data": 1, "source": "CIS", "min_build": 20348},
            {"name": "Old", "data": 1, "source": "CIS", "max_build": 14393},
            {"name": "Maybe", "data": 1, "source": "CIS", "when": False},
        ],
    },
    {
        "group": "time",
        "path": r"HKLM:\SYSTEM\CurrentControlSet\Services\W32Time",
        "values": [{"name": "Type", "type": "string", "data": "NTP", "source": "Microsoft", "restart": "W32Time"}],
    },
]


def names(values):
    return [value["name"] for value in values]


class TestRegistryValues:
    @pytest.mark.parametrize(
        ("build", "role", "groups", "expected"),
        [
            (20348, "standalone", ["smb"], ["SMB1", "New"]),
            (14393, "standalone", ["smb"], ["SMB1", "Old"]),
            (17763, "member", ["smb"], ["SMB1", "Signature"]),
            (20348, "controller", ["smb", "time"], ["SMB1", "New", "Type"]),
            (20348, "controller", [], []),
        ],
    )
    def test_chosen(self, build, role, groups, expected):
        assert names(registry_policy.registry_values(CATALOGUE, build=build, role=role, groups=groups)) == expected

    def test_only_what_the_module_takes(self):
        value = registry_policy.registry_values(CATALOGUE, build=14393, role="standalone", groups=["time"])[0]
        assert value == {
            "path": r"HKLM:\SYSTEM\CurrentControlSet\Services\W32Time",
            "name": "Type",
            "type": "string",
            "data": "NTP",
            "state": "present",
            "restart": "W32Time",
        }

    def test_exception_leaves_alone_or_replaces(self):
        def choose(**waiver):
            waiver = {"path": SMB.lower(), "name": "smb1", "reason": "old scanner", **waiver}
            return registry_policy.registry_values(
                CATALOGUE, build=20348, role="standalone", groups=["smb"], exceptions=[waiver]
            )

        assert names(choose()) == ["New"]
        assert choose(data=1)[0]["data"] == 1

    def test_exception_for_nothing_is_refused(self):
        with pytest.raises(InputError, match=r"no such value.*remove"):
            registry_policy.registry_values(
                CATALOGUE,
                build=20348,
                role="standalone",
                groups=["smb"],
                exceptions=[{"path": SMB, "name": "SBM1", "reason": "typing"}],
            )

    def test_unknown_group_is_refused(self):
        with pytest.raises(InputError, match="no registry group smp: the catalogue has smb, time"):
            registry_policy.registry_values(CATALOGUE, build=20348, role="member", groups=["smp"])

    def test_extra_replaces_and_adds(self):
        extra = [
            {"path": SMB, "name": "SMB1", "data": 2, "source": "us"},
            {"path": SMB, "name": "Gone", "state": "absent", "source": "us"},
        ]
        values = registry_policy.registry_values(CATALOGUE, build=20348, role="member", groups=["smb"], extra=extra)
        assert values[0]["data"] == 2
        assert values[-1] == {"path": SMB, "name": "Gone", "type": "dword", "state": "absent"}

    def test_what_a_change_waits_for_goes_with_it(self):
        values = registry_policy.registry_values(CATALOGUE, build=20348, role="standalone", groups=["smb", "time"])
        assert [value.get("reboot", False) for value in values] == [True, False, False]
        assert values[-1]["restart"] == "W32Time"

    @pytest.mark.parametrize(
        ("change", "left"),
        [
            ({"path": SMB, "name": "SMB1", "after": 0}, []),
            ({"path": SMB.lower() + "\\", "name": "smb1", "after": "0"}, []),
            ({"path": SMB, "name": "SMB1", "after": 1}, ["SMB1"]),
            ({"path": SMB, "name": "SMB1", "after": None}, ["SMB1"]),
            ({"path": SMB, "name": "SMB2", "after": 0}, ["SMB1"]),
        ],
    )
    def test_what_an_earlier_task_sees_to_is_not_foreseen_twice(self, change, left):
        values = [{"path": SMB, "name": "SMB1", "data": 0}]
        assert [value["name"] for value in registry_policy.unforeseen(values, [change])] == left

    def test_a_value_that_an_earlier_task_removes_is_gone(self):
        gone = {"path": SMB, "name": "SMB1", "state": "absent"}
        many = {"path": SMB, "name": "Pipes", "type": "multistring", "data": ["a", "b"]}
        changes = [{"path": SMB, "name": "SMB1", "after": None}, {"path": SMB, "name": "Pipes", "after": ["a", "b"]}]
        assert registry_policy.unforeseen([gone, many], changes) == []
        assert registry_policy.unforeseen([gone], changes[1:]) == [gone]


class TestTls:
    def test_both_sides_and_both_values(self):
        sections = registry_policy.tls_sections({"TLS 1.0": False, "TLS 1.2": True}, 20348)
        found = {
            (section["path"].split("\\")[-2], section["path"].split("\\")[-1], value["name"]): value["data"]
            for section in sections
            for value in section["values"]
        }
        assert found == {
            ("TLS 1.0", "Client", "Enabled"): 0,
            ("TLS 1.0", "Client", "DisabledByDefault"): 1,
            ("TLS 1.0", "Server", "Enabled"): 0,
            ("TLS 1.0", "Server", "DisabledByDefault"): 1,
            ("TLS 1.2", "Client", "Enabled"): 1,
            ("TLS 1.2", "Client", "DisabledByDefault"): 0,
            ("TLS 1.2", "Server", "Enabled"): 1,
            ("TLS 1.2", "Server", "DisabledByDefault"): 0,
        }

    def test_tls13_waits_for_2022(self):
        assert registry_policy.tls_sections({"TLS 1.3": True}, 14393) == []
        assert len(registry_policy.tls_sections({"TLS 1.3": True}, 20348)) == 2


class TestLists:
    def test_merge_lays_over(self):
        base = [{"name": "Spooler", "start_mode": "disabled", "source": "CIS"}, {"name": "W32Time"}]
        extra = [{"name": "spooler", "start_mode": "auto"}, {"name": "New"}]
        assert declared.merge(base, extra, "name") == [
            {"name": "spooler", "start_mode": "auto", "source": "CIS"},
            {"name": "W32Time"},
            {"name": "New"},
        ]

    def test_applicable(self):
        entries = [
            {"name": "a", "roles": ["controller"]},
            {"name": "b", "min_build": 20348, "source": "x"},
            {"name": "c", "source": "x"},
        ]
        assert names(declared.applicable(entries, 14393, "member")) == ["c"]
        assert declared.applicable(entries, 20348, "controller", ["name"]) == [
            {"name": "a"},
            {"name": "b"},
            {"name": "c"},
        ]

    def test_differences_in_words(self):
        changes = [
            {"path": "HKLM:\\X", "name": "A", "before": None, "after": [1, 2]},
            {"subcategory": "Logon", "before": "none", "after": "success"},
            {"name": "Security", "property": "mode", "before": "retain", "after": "circular"},
            {"name": "Spooler", "start_mode": "disabled"},
        ]
        assert declared.differences(changes) == [
            "HKLM:\\X\\A: - -> 1, 2",
            "Logon: none -> success",
            "Security mode: retain -> circular",
            "Spooler",
        ]


class TestServices:
    CURRENT = (
        {"name": "W32Time", "exists": True, "state": "stopped", "start_mode": "manual"},
        {"name": "Spooler", "exists": True, "state": "running", "start_mode": "auto"},
        {"name": "Xbl", "exists": False, "state": None, "start_mode": None},
    )

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            (
                {"name": "w32time", "start_mode": "auto", "state": "started"},
                [{"name": "w32time", "start_mode": "auto", "state": "started"}],
            ),
            ({"name": "Spooler", "start_mode": "auto", "state": "started"}, []),
            ({"name": "Spooler", "start_mode": "auto"}, []),
            ({"name": "Spooler", "start_mode": "manual"}, [{"name": "Spooler", "start_mode": "manual"}]),
            (
                {"name": "Spooler", "start_mode": "auto", "state": "stopped"},
                [{"name": "Spooler", "start_mode": "auto", "state": "stopped"}],
            ),
            ({"name": "Xbl", "start_mode": "disabled", "state": "stopped"}, []),
            ({"name": "Xbl", "start_mode": "auto", "state": "started", "required": False}, []),
        ],
    )
    def test_changes(self, entry, expected):
        assert services.service_changes([entry], self.CURRENT) == expected

    def test_a_required_service_that_is_not_there_is_an_error(self):
        with pytest.raises(InputError, match="service Xbl must run and is not installed"):
            services.service_changes([{"name": "Xbl", "start_mode": "auto", "state": "started"}], self.CURRENT)


def rule(**changes):
    return {
        "name": "G: WinRM",
        "group": "G",
        "enabled": True,
        "direction": "in",
        "action": "allow",
        "protocol": "tcp",
        "local_ports": "5986",
        "remote_addresses": "10.42.0.0/255.255.0.0",
        "profiles": ["domain", "private", "public"],
        **changes,
    }


DECLARED_RULE = {"name": "G: WinRM", "protocol": "tcp", "port": "5986", "addresses": ["10.42.0.0/16"]}


class TestFirewall:
    def test_as_declared(self):
        assert firewall_rules.firewall_changes([DECLARED_RULE], [rule()], "G", purge=True) == []

    @pytest.mark.parametrize(
        "drift",
        [
            {"enabled": False},
            {"action": "block"},
            {"direction": "out"},
            {"protocol": "udp"},
            {"local_ports": "5985"},
            {"local_ports": ""},
            {"remote_addresses": "*"},
            {"remote_addresses": "10.0.0.0/8"},
            {"profiles": ["domain"]},
            {"group": ""},
        ],
    )
    def test_any_difference_is_one(self, drift):
        changes = firewall_rules.firewall_changes([DECLARED_RULE], [rule(**drift)], "G", purge=True)
        assert names(changes) == ["G: WinRM"]
        assert changes[0]["remoteip"] == "10.42.0.0/16"
        assert changes[0]["localport"] == "5986"

    def test_two_rules_of_one_name_are_made_one_declaration(self):
        assert (
            len(firewall_rules.firewall_changes([DECLARED_RULE], [rule(), rule(action="block")], "G", purge=False)) == 1
        )

    def test_purge_takes_only_the_group(self):
        current = [rule(), rule(name="G: old"), rule(name="other", group="Windows")]
        assert firewall_rules.firewall_changes([DECLARED_RULE], current, "G", purge=True) == [
            {"name": "G: old", "state": "absent"}
        ]
        assert firewall_rules.firewall_changes([DECLARED_RULE], current, "G", purge=False) == []
        assert firewall_rules.firewall_changes(
            [DECLARED_RULE], current, "G", purge=False, absent=["other", "G: WinRM"]
        ) == [{"name": "other", "state": "absent"}]

    def test_icmp_has_no_port(self):
        wanted = {"name": "ping", "protocol": "icmpv4", "icmp_type_code": ["8:*"]}
        (change,) = firewall_rules.firewall_changes([wanted], [], "G", purge=False)
        assert "localport" not in change
        assert change["icmp_type_code"] == ["8:*"]
        assert change["remoteip"] == "any"

    def test_groups_with_a_rule_in_force(self):
        current = [rule(group="@a", enabled=False), rule(group="@b")]
        assert firewall_rules.enabled_groups(["@a", "@b", "@c"], current) == ["@b"]

    @pytest.mark.parametrize(
        ("clients", "networks", "expected"),
        [
            (["10.42.0.1"], [], []),
            (["10.42.0.1"], ["10.42.0.0/16"], []),
            (["10.42.0.1", "127.0.0.1"], ["10.9.0.0/16"], ["10.42.0.1"]),
            (["10.42.0.1", "192.0.2.7"], ["10.9.0.0/16", "192.0.2.7"], []),
            (["127.0.0.1", "::1"], ["10.9.0.0/16"], []),
            (["fe80::1%4"], ["10.9.0.0/16"], ["fe80::1"]),
        ],
    )
    def test_clients_that_would_be_cut(self, clients, networks, expected):
        assert firewall_rules.clients_cut(clients, networks) == expected

    @given(st.ip_addresses(v=4), st.integers(0, 32))
    def test_a_network_is_the_same_by_mask_or_length(self, address, length):
        mask = firewall_rules.ipaddress.ip_network(f"0.0.0.0/{length}").netmask
        assert firewall_rules.addresses(f"{address}/{mask}") == firewall_rules.addresses([f"{address}/{length}"])


SIDS = {"CNOSF\\Admins": "S-1-5-21-1-512", "CNOSF\\Nobody": None}


class TestAccounts:
    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            ({"name": "SeA", "users": ["S-1-5-32-546"]}, []),
            ({"name": "SeA", "users": ["S-1-5-32-545", "S-1-5-32-546"]}, ["S-1-5-32-545"]),
            ({"name": "SeA", "users": ["S-1-5-32-546"], "action": "remove"}, ["S-1-5-32-546"]),
            ({"name": "SeA", "users": ["S-1-5-32-545"], "action": "remove"}, []),
            ({"name": "SeB", "users": ["cnosf\\admins"]}, ["cnosf\\admins"]),
        ],
    )
    def test_rights(self, entry, expected):
        changes = local_accounts.right_changes([entry], {"SeA": ["S-1-5-32-546"]}, SIDS)
        assert [change["users"] for change in changes] == ([expected] if expected else [])

    def test_unknown_principal(self):
        with pytest.raises(InputError, match=r"knows no account or group CNOSF\\Nobody"):
            local_accounts.right_changes([{"name": "SeA", "users": ["CNOSF\\Nobody"]}], {}, SIDS)

    def test_a_principal_that_this_run_makes(self):
        rights = local_accounts.right_changes([{"name": "SeA", "users": ["CNOSF\\Nobody"]}], {}, SIDS, strict=False)
        assert rights == [{"name": "SeA", "users": ["CNOSF\\Nobody"], "action": "add", "awaited": ["CNOSF\\Nobody"]}]
        current = [{"name": "Administrateurs", "sid": "S-1-5-32-544", "members": []}]
        entry = {"group": "S-1-5-32-544", "members": ["CNOSF\\Nobody"]}
        assert local_accounts.group_changes([entry], current, SIDS, strict=False)[0]["awaited"] == ["CNOSF\\Nobody"]

    @pytest.mark.parametrize(
        ("action", "members", "state"),
        [
            ("add", ["S-1-5-21-1-512"], "present"),
            ("add", ["S-1-5-21-9-500"], None),
            ("remove", ["S-1-5-21-9-500"], "absent"),
            ("remove", ["CNOSF\\Admins"], None),
            ("exact", ["CNOSF\\Admins"], "pure"),
            ("exact", ["S-1-5-21-9-500"], None),
        ],
    )
    def test_groups(self, action, members, state):
        current = [{"name": "Administrateurs", "sid": "S-1-5-32-544", "members": ["S-1-5-21-9-500"]}]
        entry = {"group": "S-1-5-32-544", "members": members, "action": action}
        changes = local_accounts.group_changes([entry], current, SIDS)
        expected = [{"name": "Administrateurs", "members": members, "state": state, "awaited": []}] if state else []
        assert changes == expected

    def test_unknown_group(self):
        with pytest.raises(InputError, match="no local group S-1-5-32-999"):
            local_accounts.group_changes([{"group": "S-1-5-32-999", "members": []}], [], {})

    USERS = (
        {
            "name": "Administrateur",
            "sid": "S-1-5-21-9-500",
            "enabled": True,
            "full_name": "",
            "description": "",
            "password_never_expires": False,
        },
        {
            "name": "Invité",
            "sid": "S-1-5-21-9-501",
            "enabled": True,
            "full_name": "",
            "description": "",
            "password_never_expires": False,
        },
    )

    def test_builtin_by_rid(self):
        changes = local_accounts.user_changes(
            [{"rid": 500, "enabled": True}, {"rid": 501, "enabled": False}], self.USERS
        )
        assert changes == [
            {"name": "Invité", "declared_name": "Invité", "state": "present", "account_disabled": True},
        ]

    def test_created_changed_removed(self):
        declaration = [
            {"name": "secours", "full_name": "Secours", "password": "never shown", "enabled": True},
            {"name": "administrateur", "description": "x", "password_never_expires": True},
            {"name": "Invité", "state": "absent"},
            {"name": "inconnu", "state": "absent"},
        ]
        changes = local_accounts.user_changes(declaration, self.USERS)
        assert [(change["name"], change["state"]) for change in changes] == [
            ("secours", "present"),
            ("Administrateur", "present"),
            ("Invité", "absent"),
        ]
        assert "never shown" not in str(changes)
        assert changes[1] == {
            "name": "Administrateur",
            "declared_name": "administrateur",
            "state": "present",
            "description": "x",
            "password_never_expires": True,
        }

    def test_unknown_rid(self):
        with pytest.raises(InputError, match="no local user with RID 502"):
            local_accounts.user_changes([{"rid": 502}], self.USERS)


ALLOWED = {"basic": False, "kerberos": True, "negotiate": True, "certificate": False, "credssp": False}


class TestTransports:
    @pytest.mark.parametrize(
        ("transports", "expected"),
        [
            ("kerberos", ["kerberos"]),
            (["ntlm", "basic"], ["ntlm"]),
            ("basic", []),
            ("ssl, credssp", []),
            (None, ["kerberos"]),
            ("", ["kerberos"]),
        ],
    )
    def test_what_survives(self, transports, expected):
        assert transport.surviving_transports(transports, ALLOWED) == expected

    def test_unknown(self):
        with pytest.raises(InputError, match="unknown WinRM transport carrier-pigeon"):
            transport.surviving_transports("carrier-pigeon", ALLOWED)


STATE = {
    "domain_controller": False,
    "winrm_clients": ["10.42.0.1"],
    "services": [],
    "firewall_rules": [],
    "user_rights": {},
    "sids": {},
    "users": [],
    "groups": [],
}
DECLARATION = {
    "rights": [{"name": "SeA", "users": ["S-1-5-32-546"]}],
    "users": [{"name": "secours"}],
    "firewall": {
        "rules": [DECLARED_RULE],
        "group": "G",
        "purge": True,
        "absent": [],
        "disabled_groups": [],
        "management": ["10.9.0.0/16"],
    },
}


class TestPlan:
    def test_everything_that_differs(self):
        plan = baseline.plan(DECLARATION, STATE)
        assert {name: len(changes) for name, changes in plan.items()} == {
            "cut": 1,
            "services": 0,
            "firewall": 1,
            "disabled_groups": 0,
            "rights": 1,
            "users": 1,
            "groups": 0,
        }

    def test_a_domain_controller_has_no_local_accounts(self):
        plan = baseline.plan(DECLARATION, {**STATE, "domain_controller": True})
        assert plan["users"] == []
        assert len(plan["rights"]) == 1
