# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The baseline's own modules on simulated servers: predicted, done, at rest, and refused."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.windows.handlers.certificates import put
from lab.windows.hive import Registry

REPOSITORY = Path(__file__).parents[4]
LSA = r"HKLM:\SYSTEM\CurrentControlSet\Control\Lsa"
OWN = "cnosf.infogerance."


class TestRegistryValues:
    VALUES = (
        {"path": LSA, "name": "LmCompatibilityLevel", "data": 5},
        {"path": LSA, "name": "RestrictRemoteSAM", "type": "string", "data": "O:BAG:BAD:(A;;RC;;;BA)"},
        {"path": r"HKLM:\SOFTWARE\Autre", "name": "Servers", "type": "multistring", "data": ["a", "b"]},
        {"path": r"HKLM:\SOFTWARE\Autre", "name": "Big", "type": "qword", "data": 2**63},
        {"path": LSA, "name": "RestrictAnonymous", "state": "absent"},
        {
            "path": r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Ciphers\RC4 128/128",
            "name": "Enabled",
            "data": 0,
        },
    )

    def test_all_types(self, twice, server):
        result = twice(server, OWN + "win_registry_values", {"values": list(self.VALUES)})
        assert len(result["changes"]) == len(self.VALUES)
        assert result["changes"][0] == {
            "path": LSA,
            "name": "LmCompatibilityLevel",
            "type": "dword",
            "before": 3,
            "after": 5,
            "reboot": False,
            "restart": None,
        }
        registry = Registry(server)
        assert registry.data(r"HKLM:\SOFTWARE\Autre", "Big") == 2**63
        assert registry.value(LSA, "RestrictAnonymous") is None

    def test_a_key_may_hold_a_slash(self, run, server):
        run(server, OWN + "win_registry_values", {"values": [self.VALUES[-1]]})
        found = run(server, "ansible.windows.win_reg_stat", {"path": self.VALUES[-1]["path"], "name": "Enabled"})
        assert found["exists"] is True

    def test_text_for_a_number_is_the_same_number(self, run, server):
        values = [{"path": LSA, "name": "LmCompatibilityLevel", "data": "3"}]
        assert run(server, OWN + "win_registry_values", {"values": values})["changed"] is False

    def test_another_type_is_a_difference(self, run, server):
        values = [{"path": LSA, "name": "LmCompatibilityLevel", "type": "string", "data": "3"}]
        assert run(server, OWN + "win_registry_values", {"values": values}, check=True)["changed"] is True

    def test_diff_shows_both_sides(self, run, server):
        result = run(server, OWN + "win_registry_values", {"values": [self.VALUES[0]]}, check=True, diff=True)
        assert result["diff"] == {
            "before": f"{LSA}\\LmCompatibilityLevel = 3",
            "after": f"{LSA}\\LmCompatibilityLevel = 5",
        }

    def test_what_is_awaited_is_noted_until_the_next_boot(self, run, server):
        values = [
            {"path": LSA, "name": "RunAsPPL", "data": 1, "reboot": True},
            {"path": r"HKLM:\SYSTEM\X", "name": "Type", "type": "string", "data": "NTP", "restart": "W32Time"},
            {"path": LSA, "name": "LmCompatibilityLevel", "data": 3, "reboot": True, "restart": "Netlogon"},
        ]
        run(server, OWN + "win_registry_values", {"values": values}, check=True)
        assert run(server, OWN + "win_baseline_info", {})["pending_reboot"] == []
        run(server, OWN + "win_registry_values", {"values": values})
        found = run(server, OWN + "win_baseline_info", {})
        assert found["pending_reboot"] == ["registry values"]
        assert found["awaited_restarts"] == ["W32Time"]
        server.boot()
        found = run(server, OWN + "win_baseline_info", {})
        assert (found["pending_reboot"], found["awaited_restarts"]) == ([], [])

    @pytest.mark.parametrize(
        ("value", "sentence"),
        [
            ({"path": r"HKCU:\X", "name": "a", "data": 1}, "must start with HKLM:"),
            ({"path": LSA, "name": "a"}, "data is required when state is present"),
            ({"path": LSA, "name": "a", "data": 2**32}, "too large or too small"),
            ({"path": LSA, "name": "a", "data": "five"}, "not in a correct format"),
        ],
    )
    def test_refusals_name_the_value(self, run, server, value, sentence):
        result = run(server, OWN + "win_registry_values", {"values": [value]}, fails=True)
        assert sentence in result["msg"]
        assert f"{value['path']}\\a" in result["msg"]


class TestAuditPolicies:
    def test_set(self, twice, server):
        policies = [{"subcategory": "Logon", "audit": "success"}, {"subcategory": "File System", "audit": "failure"}]
        result = twice(server, OWN + "win_audit_policies", {"policies": policies})
        assert result["changes"][1] == {"subcategory": "File System", "before": "none", "after": "failure"}

    def test_unknown_subcategory(self, run, server):
        policies = [{"subcategory": "Ouverture de session", "audit": "success"}]
        assert "Logon" in run(server, OWN + "win_audit_policies", {"policies": policies}, fails=True)["msg"]

    def test_the_modules_names_are_all_mapped(self):
        text = (REPOSITORY / "plugins" / "modules" / "win_audit_policies.ps1").read_text(encoding="utf-8")
        mapped = re.findall(r"^    '(.*)' = '(0CCE92[0-9A-F]{2})'$", text, re.MULTILINE)
        document = yaml.safe_load((REPOSITORY / "plugins" / "modules" / "win_audit_policies.yml").read_text("utf-8"))
        options = document["DOCUMENTATION"]["options"]["policies"]["suboptions"]
        assert [name for name, _guid in mapped] == options["subcategory"]["choices"]
        assert len({guid for _name, guid in mapped}) == len(mapped) == 59


class TestEventChannels:
    def test_only_what_is_given(self, twice, server):
        channels = [
            {"name": "Security", "max_size_mib": 1024},
            {"name": "Microsoft-Windows-CAPI2/Operational", "enabled": True},
        ]
        result = twice(server, OWN + "win_event_channels", {"channels": channels})
        assert result["changes"] == [
            {"name": "Security", "property": "max_size_mib", "before": 20, "after": 1024},
            {"name": "Microsoft-Windows-CAPI2/Operational", "property": "enabled", "before": False, "after": True},
        ]
        assert server.section("event_channels")["Security"]["mode"] == "circular"

    @pytest.mark.parametrize(
        "channel", [{"name": "Sécurité", "max_size_mib": 20}, {"name": "Security", "enabled": False}]
    )
    def test_refusals(self, run, server, channel):
        result = run(server, OWN + "win_event_channels", {"channels": [channel]}, fails=True)
        assert f"event channel '{channel['name']}'" in result["msg"]


@pytest.fixture
def certificate(server):
    """Put a certificate in the server's store; gives its thumbprint."""

    def make(issuer: str = "Autorité", days: int = 90, *, key: bool = True, server_use: bool = True) -> str:
        private = ec.generate_private_key(ec.SECP256R1())
        now = server.now()
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server_use else ExtendedKeyUsageOID.CLIENT_AUTH
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "srv01")]))
            .issuer_name(
                x509.Name(
                    [
                        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ordre"),
                        x509.NameAttribute(NameOID.COMMON_NAME, issuer),
                    ]
                )
            )
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=100))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(private, hashes.SHA256())
        )
        name = put(server, "My", built, with_key=key)
        server.save()
        return name

    return make


class TestWinrmService:
    HARD = {  # noqa: RUF012 - read only
        "kerberos": True,
        "basic": False,
        "credssp": False,
        "allow_unencrypted": False,
        "channel_binding": "strict",
        "max_envelope_kib": 500,
    }

    def test_hardening_reaches_the_endpoint(self, twice, server):
        result = twice(server, OWN + "win_winrm_service", self.HARD)
        assert [change["name"] for change in result["changes"]] == ["channel_binding", "basic"]
        assert server.section("winrm")["auth"]["Basic"] is False

    def test_thumbprint(self, twice, server, certificate):
        name = certificate()
        result = twice(server, OWN + "win_winrm_service", {"certificate_thumbprint": name.lower()})
        assert result["changes"][0]["after"] == f"{name}:5986"

    def test_the_issuers_longest_certificate(self, run, server, certificate):
        certificate(days=30)
        best = certificate(days=300)
        certificate(days=900, key=False)
        certificate(days=900, server_use=False)
        certificate(days=-1)
        certificate("Another", days=900)
        result = run(server, OWN + "win_winrm_service", {"certificate_issuer": "CN=Autorité, O=Ordre"})
        assert result["changes"][0]["after"] == f"{best}:5986"

    @pytest.mark.parametrize(
        "options", [{"certificate_thumbprint": "AB" * 20}, {"certificate_issuer": "CN=Nobody"}], ids=str
    )
    def test_nothing_changes_without_a_certificate(self, run, server, options):
        before = server.section("winrm_listeners")["listeners"][:]
        result = run(server, OWN + "win_winrm_service", {**options, **self.HARD}, fails=True)
        assert "the HTTPS listener needs" in result["msg"]
        assert server.section("winrm_listeners")["listeners"] == before
        assert server.section("winrm")["auth"]["Basic"] is True

    def test_listeners_on_one_address_go_after_the_new_one(self, run, server):
        own = {
            "transport": "https",
            "address": "IP:10.42.0.11",
            "port": 5986,
            "enabled": True,
            "certificate_thumbprint": "A",
        }
        listeners = server.section("winrm_listeners")["listeners"]
        listeners[:] = [listeners[0], own, {**listeners[1], "enabled": False}]
        result = run(server, OWN + "win_winrm_service", {})
        assert [change["name"] for change in result["changes"]] == ["https_listener", "https_listener IP:10.42.0.11"]
        kept = server.section("winrm_listeners")["listeners"]
        assert [(item["transport"], item["address"]) for item in kept] == [("http", "*"), ("https", "*")]

    def test_both_ways_to_choose_are_refused(self, run, server):
        options = {"certificate_thumbprint": "AB", "certificate_issuer": "CN=x"}
        assert "mutually exclusive" in run(server, OWN + "win_winrm_service", options, fails=True)["msg"]

    def test_another_port_is_tried_beside_the_old_one(self, twice, run, server):
        old = server.section("winrm_listeners")["listeners"][1]
        tried = twice(server, OWN + "win_winrm_service", {"https_port": 5987, "https_trial": True})["changes"]
        assert tried == [
            {
                "name": "https_listener IP:10.42.0.11",
                "before": None,
                "after": f"{old['certificate_thumbprint']}:5987",
            }
        ]
        assert old in server.section("winrm_listeners")["listeners"]
        back = run(server, OWN + "win_winrm_service", {"https_port": 5986}, check=True)["changes"]
        assert [change["name"] for change in back] == ["https_listener IP:10.42.0.11"]
        moved = twice(server, OWN + "win_winrm_service", {"https_port": 5987})["changes"]
        assert [change["name"] for change in moved] == ["https_listener", "https_listener IP:10.42.0.11"]
        assert run(server, OWN + "win_winrm_service", {"https_port": 5987, "https_trial": True})["changed"] is False


class TestInfo:
    def test_a_fresh_server(self, run, server):
        found = run(
            server,
            OWN + "win_baseline_info",
            {
                "services": ["W32Time", "Nothing"],
                "firewall_groups": ["@FirewallAPI.dll,-30267"],
                "principals": ["Invités", "Nobody"],
                "products": ["{0}"],
                "features": ["FS-SMB1", "windows-defender", "Nothing"],
            },
        )
        assert found["features"] == {"FS-SMB1": "Available", "windows-defender": "Installed", "Nothing": None}
        assert found["services"][0]["exists"] is True
        assert found["services"][1] == {"name": "Nothing", "exists": False, "state": None, "start_mode": None}
        assert [rule["local_ports"] for rule in found["firewall_rules"]] == ["5985"]
        assert found["firewall_rules"][0]["profiles"] == ["domain", "private"]
        assert found["sids"] == {"Invités": "S-1-5-32-546", "Nobody": None}
        assert found["products"] == []
        assert {user["sid"].rsplit("-", 1)[1]: user["enabled"] for user in found["users"]}["501"] is False
        assert found["winrm"]["auth"]["basic"] is True
        assert {entry["server_enabled"] for entry in found["tls_protocols"]} == {None}
        assert found["antivirus"]["real_time"] is True
        assert found["pending_reboot"] == []
        assert found["domain"] is None
        assert found["domain_controller"] is False

    def test_what_other_modules_change_is_seen(self, run, server):
        run(
            server,
            "community.windows.win_firewall_rule",
            {
                "name": "x",
                "group": "G",
                "direction": "in",
                "action": "allow",
                "protocol": "tcp",
                "localport": "80",
                "remoteip": "10.0.0.0/8",
            },
        )
        run(server, "ansible.windows.win_hostname", {"name": "NEW"})
        run(server, "ansible.windows.win_service", {"name": "W32Time", "state": "stopped"})
        run(server, "ansible.windows.win_timezone", {"timezone": "Romance Standard Time_dstoff"})
        run(server, "community.windows.win_power_plan", {"guid": "8C5E7FDA-E8BF-4A96-9A85-A6E23A8C635C"})
        found = run(server, OWN + "win_baseline_info", {"firewall_groups": ["G"], "services": ["W32Time"]})
        assert found["hostname"] == "NEW"
        assert found["timezone"] == "Romance Standard Time_dstoff"
        assert found["power_plan"] == "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"
        assert found["firewall_rules"] == [
            {
                "name": "x",
                "group": "G",
                "enabled": True,
                "direction": "in",
                "action": "allow",
                "protocol": "tcp",
                "local_ports": "80",
                "remote_addresses": "10.0.0.0/255.0.0.0",
                "profiles": ["domain", "private", "public"],
            }
        ]
        assert found["pending_reboot"] == ["computer name"]
        assert found["services"][0]["state"] == "stopped"
        assert "0x80070426" in found["time_source"]

    def test_the_clock_follows_its_peer(self, run, server):
        values = [
            {
                "path": r"HKLM:\SYSTEM\CurrentControlSet\Services\W32Time\Parameters",
                "name": "NtpServer",
                "type": "string",
                "data": "ntp.example,0x8",
            }
        ]
        run(server, OWN + "win_registry_values", {"values": values})
        run(server, "ansible.windows.win_service", {"name": "W32Time", "state": "started"})
        assert run(server, OWN + "win_baseline_info", {})["time_source"] == "ntp.example,0x8"
