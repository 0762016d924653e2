# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of simulated servers: promotion, accounts, DNS, DHCP, DSC, each through the wire's own dispatcher."""

from __future__ import annotations

import pytest

from lab.windows.domains import domain_of, domains_of
from lab.windows.handlers.dsc import RESOURCES
from lab.windows.identity import LogonFailure
from lab.windows.registry import load_handlers
from lab.windows.server import Estate, Nic, ServerSpec, WindowsServer

PASSWORD = "Lab-Mot2passe!"
OTHER = "Autre-Mot2passe!"
ROOT = "DC=ordre,DC=example"
OWN = "cnosf.infogerance."
DSC = "ansible.windows.win_dsc"
FOREST = {
    "dns_domain_name": "ordre.example",
    "domain_netbios_name": "ORDRE",
    "safe_mode_password": PASSWORD,
    "install_dns": True,
}
ADMIN = {"domain_admin_user": "ORDRE\\Administrateur", "domain_admin_password": PASSWORD}
POLICY = {"resource_name": "ADDomainDefaultPasswordPolicy"}
SITE = {"resource_name": "ADReplicationSite", "Name": "a"}
RUN_AS = {"PsDscRunAsCredential_username": "ORDRE\\Administrateur", "PsDscRunAsCredential_password": PASSWORD}


@pytest.fixture
def estate():
    return Estate()


@pytest.fixture
def make(tmp_path, clock, estate):
    """Make a booted server of one network: ``make("dc02", 12, password=...)``."""

    def maker(name, last, password=PASSWORD, **options):
        spec = ServerSpec(
            administrator_password=password,
            computer_name=name.upper(),
            networks=(Nic(f"10.42.0.{last}/24", "10.42.0.1", f"BC:24:11:00:00:{last}"),),
            dns_servers=options.pop("dns_servers", ("10.42.0.11",)),
            **options,
        )
        server = WindowsServer(name, spec, tmp_path / name, clock, estate=estate)
        server.boot()
        server.save()
        return server

    return maker


@pytest.fixture
def controller(make, run):
    """The first controller of ordre.example, with everything installed."""
    server = make("dc01", 11)
    run(server, "microsoft.ad.domain", FOREST)
    server.boot()
    run(
        server,
        "ansible.windows.win_feature",
        {"name": ["DHCP", "DNS", "GPMC", "Windows-Server-Backup"], "include_management_tools": True},
    )
    for name, version in (("ActiveDirectoryDsc", "6.6.0"), ("DnsServerDsc", "3.0.3"), ("DhcpServerDsc", "4.0.0")):
        run(server, "community.windows.win_psmodule", {"name": name, "required_version": version})
    server.save()
    return server


class TestPromotion:
    def test_the_local_administrator_becomes_the_domains(self, make, run):
        server = make("dc01", 11)
        machine = server.section("accounts")["machine_sid"]
        assert run(server, "microsoft.ad.domain", FOREST, check=True)["changed"] is True
        result = run(server, "microsoft.ad.domain", FOREST)
        assert result["reboot_required"] is True
        # Until the reboot the server is what it was.
        assert server.domain is None
        assert server.logon("Administrateur", PASSWORD).domain == "DC01"
        server.boot()
        for user in ("Administrateur", "ORDRE\\Administrateur", "Administrateur@ordre.example"):
            principal = server.logon(user, PASSWORD)
            assert (principal.domain, principal.sid) == ("ORDRE", f"{machine}-500")
            assert server.may_manage(principal)
        with pytest.raises(LogonFailure):
            server.logon("Administrateur", OTHER)
        assert server.fqdn == "dc01.ordre.example"
        assert run(server, "microsoft.ad.domain", FOREST)["changed"] is False

    def test_in_check_mode_the_first_lack_is_that_of_features(self, make, run):
        result = run(make("dc01", 11), "microsoft.ad.domain", FOREST, check=True)
        assert result == {**result, "changed": True, "reboot_required": False}

    @pytest.mark.usefixtures("controller")
    def test_it_survives_the_process(self, tmp_path, clock):
        again = WindowsServer("dc01", ServerSpec(), tmp_path / "dc01", clock, estate=Estate())
        assert again.logon("ORDRE\\Administrateur", PASSWORD).domain == "ORDRE"

    def test_a_further_controller_forgets_its_own_administrator(self, controller, make, run):
        server = make("dc02", 12, OTHER)
        args = {"dns_domain_name": "ordre.example", "safe_mode_password": OTHER, "state": "domain_controller", **ADMIN}
        assert run(server, "microsoft.ad.domain_controller", args)["reboot_required"] is True
        server.boot()
        with pytest.raises(LogonFailure):
            server.logon("Administrateur", OTHER)
        assert server.logon("Administrateur", PASSWORD).domain == "ORDRE"
        assert run(server, "microsoft.ad.domain_controller", args)["changed"] is False
        # One directory: what one controller writes the other reads.
        run(server, "microsoft.ad.ou", {"name": "Postes"})
        found = run(controller, "microsoft.ad.object_info", {"identity": f"OU=Postes,{ROOT}"})
        assert [entry["Name"] for entry in found["objects"]] == ["Postes"]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"domain_admin_password": OTHER}, "password is incorrect"),
            ({"domain_admin_user": "Administrateur"}, "must be in domain\\user"),
            ({"domain_admin_user": "ORDRE\\simple"}, "not a domain administrator"),
            ({"dns": "10.42.0.1"}, "could not be contacted"),
            ({"site_name": "Nulle part"}, "The site Nulle part could not be found"),
        ],
    )
    def test_who_may_not_join_is_refused(self, controller, make, run, changes, words):
        run(controller, "microsoft.ad.user", {"name": "simple", "password": PASSWORD})
        changes = dict(changes)
        server = make("dc02", 12, dns_servers=(changes.pop("dns", "10.42.0.11"),))
        args = {"dns_domain_name": "ordre.example", "safe_mode_password": OTHER, "state": "domain_controller", **ADMIN}
        result = run(server, "microsoft.ad.domain_controller", {**args, **changes}, fails=True)
        assert words in result["msg"]

    def test_a_member_lets_the_domains_administrators_in_while_a_controller_runs(self, controller, make, run):
        member = make("srv01", 13, OTHER)
        args = {"dns_domain_name": "ordre.example", "state": "domain", **ADMIN}
        assert run(member, "microsoft.ad.membership", args)["reboot_required"] is True
        member.boot()
        principal = member.logon("ORDRE\\Administrateur", PASSWORD)
        assert member.may_manage(principal)
        assert member.logon("Administrateur", OTHER).domain == "SRV01"
        found = run(controller, "microsoft.ad.object_info", {"ldap_filter": "(sAMAccountName=SRV01$)"})
        assert found["objects"][0]["DistinguishedName"] == f"CN=SRV01,CN=Computers,{ROOT}"
        controller.set_power("off")
        with pytest.raises(LogonFailure):
            member.logon("ORDRE\\Administrateur", PASSWORD)
        assert run(member, "microsoft.ad.membership", args)["changed"] is False

    @pytest.mark.usefixtures("controller")
    def test_a_server_made_anew_under_an_old_name_is_no_controller(self, make, run, tmp_path):
        import shutil

        shutil.rmtree(tmp_path / "dc01")
        again = make("dc01", 11)
        assert domain_of(again) is None
        assert run(again, "microsoft.ad.domain", FOREST)["changed"] is True

    def test_what_is_not_simulated_says_so(self, make, run):
        result = run(make("dc01", 11), "microsoft.ad.domain", {**FOREST, "install_dns": False}, fails=True)
        assert "does not simulate" in result["msg"]


class TestObjects:
    def test_an_organisational_unit(self, controller, twice, run):
        args = {"name": "Postes", "description": "Postes de travail", "protect_from_deletion": True}
        twice(controller, "microsoft.ad.ou", args)
        result = run(controller, "microsoft.ad.ou", {**args, "description": ""}, diff=True)
        assert result["changed"] is True
        assert "description" not in result["diff"]["after"]
        below = run(controller, "microsoft.ad.ou", {"name": "A", "path": f"OU=Nulle part,{ROOT}"}, fails=True)
        assert "Objet de l’annuaire non trouvé" in below["msg"]

    def test_a_group_its_scope_and_its_members(self, controller, twice, run):
        missing = run(controller, "microsoft.ad.group", {"identity": "GG-Un"}, fails=True)
        assert "scope must be set" in missing["msg"]
        result = twice(controller, "microsoft.ad.group", {"identity": "GG-Un", "scope": "global"})
        assert result["distinguished_name"] == f"CN=GG-Un,CN=Users,{ROOT}"
        twice(controller, "microsoft.ad.group", {"identity": "GG-Un", "members": {"add": ["Administrateur"]}})
        twice(controller, "microsoft.ad.group", {"identity": result["sid"], "members": {"set": ["krbtgt"]}})
        twice(controller, "microsoft.ad.group", {"identity": "GG-Un", "members": {"remove": ["krbtgt"]}})
        unknown = {"identity": "GG-Un", "members": {"add": ["personne"]}}
        assert "Failed to find" in run(controller, "microsoft.ad.group", unknown, fails=True)["msg"]
        ignored = {"identity": "GG-Un", "members": {"add": ["personne"], "lookup_failure_action": "ignore"}}
        assert run(controller, "microsoft.ad.group", ignored)["changed"] is False
        twice(controller, "microsoft.ad.group", {"identity": "GG-Un", "scope": "universal"})
        run(controller, "microsoft.ad.group", {"identity": "GG-Un", "scope": "domainlocal"})
        direct = run(controller, "microsoft.ad.group", {"identity": "GG-Un", "scope": "global"}, fails=True)
        assert "make it universal first" in direct["msg"]
        twice(controller, "microsoft.ad.group", {"identity": "GG-Un", "state": "absent"})

    def test_a_user_logs_on_as_declared(self, controller, twice, run):
        args = {"name": "c.martin", "firstname": "Claire", "password": OTHER, "update_password": "on_create"}
        twice(controller, "microsoft.ad.user", args)
        assert controller.logon("ORDRE\\c.martin", OTHER).name == "c.martin"
        assert not controller.may_manage(controller.logon("c.martin", OTHER))
        twice(controller, "microsoft.ad.user", {"identity": "c.martin", "groups": {"add": ["Admins du domaine"]}})
        assert controller.may_manage(controller.logon("c.martin", OTHER))
        assert run(controller, "microsoft.ad.user", {**args, "update_password": "always"})["changed"] is True
        assert run(controller, "microsoft.ad.user", {**args, "update_password": "when_changed"})["changed"] is False
        twice(controller, "microsoft.ad.user", {"identity": "c.martin", "enabled": False})
        with pytest.raises(LogonFailure):
            controller.logon("c.martin", OTHER)

    @pytest.mark.parametrize("password", ["court", "sansmajuscule1", "c.martin-A1"])
    def test_the_domains_policy_judges_passwords(self, controller, run, password):
        result = run(controller, "microsoft.ad.user", {"name": "c.martin", "password": password}, fails=True)
        assert "ne répond pas aux spécifications" in result["msg"]
        assert password not in str(result)

    def test_no_enabled_user_without_a_password(self, controller, run):
        result = run(controller, "microsoft.ad.user", {"name": "c.martin", "enabled": True}, fails=True)
        assert "ne répond pas aux spécifications" in result["msg"]

    def test_a_move_takes_memberships_along(self, controller, run, twice):
        run(controller, "microsoft.ad.ou", {"name": "Siege"})
        run(controller, "microsoft.ad.user", {"name": "c.martin", "password": OTHER})
        run(controller, "microsoft.ad.group", {"identity": "GG", "scope": "global", "members": {"add": ["c.martin"]}})
        twice(controller, "microsoft.ad.user", {"identity": "c.martin", "path": f"OU=Siege,{ROOT}"})
        found = run(
            controller, "microsoft.ad.object_info", {"identity": f"CN=GG,CN=Users,{ROOT}", "properties": ["member"]}
        )
        assert found["objects"][0]["member"] == [f"CN=c.martin,OU=Siege,{ROOT}"]

    def test_a_service_account_needs_a_root_key_in_effect(self, controller, run, clock, twice):
        args = {"name": "gmsa-a", "dns_hostname": "a.ordre.example", "kerberos_encryption_types": {"set": ["aes256"]}}
        assert "La clé n’existe pas" in run(controller, "microsoft.ad.service_account", args, fails=True)["msg"]
        key = {"resource_name": "ADKDSKey", "EffectiveTime": "2026-11-23T18:00:00Z", **RUN_AS}
        run(controller, DSC, key)
        assert "La clé n’existe pas" in run(controller, "microsoft.ad.service_account", args, fails=True)["msg"]
        clock.forward(hours=10)
        result = run(controller, "microsoft.ad.service_account", args)
        assert result["distinguished_name"] == f"CN=gmsa-a,CN=Managed Service Accounts,{ROOT}"
        twice(
            controller,
            "microsoft.ad.service_account",
            {"identity": "gmsa-a$", "kerberos_encryption_types": {"set": ["aes128"]}},
        )

    def test_a_computer(self, controller, twice):
        twice(controller, "microsoft.ad.computer", {"name": "POSTE-1", "dns_hostname": "poste-1.ordre.example"})

    def test_check_mode_writes_no_domain(self, controller, run):
        file = next(domains_of(controller).folder.glob("*.json"))
        before = file.read_bytes()
        run(controller, "microsoft.ad.ou", {"name": "Postes"}, check=True)
        run(controller, "microsoft.ad.user", {"name": "a", "path": f"OU=Postes,{ROOT}", "password": OTHER}, check=True)
        run(controller, "microsoft.ad.ou", {"name": "Postes", "path": "OU=Non,DC=autre"}, fails=True)
        assert file.read_bytes() == before

    def test_the_credentials_and_server_named_are_judged(self, controller, run):
        base = {"name": "Postes"}
        wrong = {**base, "domain_username": "ORDRE\\Administrateur", "domain_password": OTHER}
        assert "rejected" in run(controller, "microsoft.ad.ou", wrong, fails=True)["msg"]
        elsewhere = {**base, "domain_server": "dc09.ordre.example"}
        assert "dc09.ordre.example" in run(controller, "microsoft.ad.ou", elsewhere, fails=True)["msg"]
        assert run(controller, "microsoft.ad.ou", {**base, "domain_server": "dc01.ordre.example"})["changed"] is True

    def test_no_directory_no_module(self, make, run):
        result = run(make("srv01", 13), "microsoft.ad.ou", {"name": "Postes"}, fails=True)
        assert "'ActiveDirectory' was not loaded" in result["msg"]

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("(sAMAccountName=krbtgt)", ["krbtgt"]),
            ("(&(objectClass=group)(cn=Admins du domaine))", ["Admins du domaine"]),
            ("(|(cn=krbtgt)(cn=Invité))", ["Invité", "krbtgt"]),
            ("(&(objectClass=user)(!(cn=krbtgt))(!(cn=Invité)))", ["Administrateur"]),
            ("(&(objectClass=user)(servicePrincipalName=*))", []),
        ],
    )
    def test_ldap_filters(self, controller, run, text, names):
        found = run(controller, "microsoft.ad.object_info", {"ldap_filter": text})
        assert sorted(entry["Name"] for entry in found["objects"]) == names

    def test_filters_that_are_not_simulated_say_so(self, controller, run):
        for args in ({"filter": "Name -eq 'a'"}, {"ldap_filter": "(cn=a*)"}, {"ldap_filter": "(whenCreated>=2026)"}):
            assert "does not simulate" in run(controller, "microsoft.ad.object_info", args, fails=True)["msg"]


class TestDsc:
    def test_every_resource_states_its_source_and_schema(self):
        load_handlers()
        assert len(RESOURCES) >= 14
        for found in RESOURCES.values():
            assert found.source
            assert any("key" in text.split() for text in found.schema.values()), found.name
            assert found.options()

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            ({"resource_name": "Inconnu"}, "Resource 'Inconnu' not found."),
            ({**SITE, "Colour": "red"}, "Unsupported parameters"),
            ({"resource_name": "ADReplicationSite"}, "missing required arguments: Name"),
            (
                {"resource_name": "ADReplicationSite", "Name": "a", "Ensure": "Perhaps"},
                "value of Ensure must be one of",
            ),
            (
                {
                    "resource_name": "ADDomainDefaultPasswordPolicy",
                    "DomainName": "ordre.example",
                    "MinPasswordLength": "x",
                },
                "MinPasswordLength",
            ),
            (
                {"resource_name": "ADReplicationSite", "Name": "a", "PsDscRunAsCredential_username": "x"},
                "parameters are required together",
            ),
            (
                {"resource_name": "ADReplicationSite", "Name": "a", "module_version": "1.0.0"},
                "Versions installed: '6.6.0'",
            ),
            (
                {"resource_name": "ADDomainDefaultPasswordPolicy", "DomainName": "autre.example"},
                "Cannot find an object",
            ),
        ],
    )
    def test_what_a_resource_does_not_take_is_refused(self, controller, run, args, words):
        assert words in run(controller, DSC, args, fails=True)["msg"]

    def test_without_its_module_there_is_no_resource(self, make, run):
        result = run(make("srv01", 13), DSC, {"resource_name": "ADReplicationSite", "Name": "a"}, fails=True)
        assert result["msg"] == "Resource 'ADReplicationSite' not found."

    def test_without_the_http_listener_there_is_no_dsc(self, controller, run):
        for listener in controller.section("winrm_listeners")["listeners"]:
            listener["enabled"] = listener["transport"] != "http"
        result = run(controller, DSC, {"resource_name": "ADReplicationSite", "Name": "a"}, fails=True)
        assert "requires the WSMan HTTP listener" in result["msg"]

    @pytest.mark.parametrize(
        "args",
        [
            {"resource_name": "ADDomainDefaultPasswordPolicy", "DomainName": "ordre.example", "MinPasswordLength": 14},
            {"resource_name": "ADFineGrainedPasswordPolicy", "Name": "PSO", "Precedence": 10, "MinPasswordLength": 20},
            {
                "resource_name": "ADOptionalFeature",
                "FeatureName": "Recycle Bin Feature",
                "ForestFQDN": "ordre.example",
                "EnterpriseAdministratorCredential_username": "ORDRE\\Administrateur",
                "EnterpriseAdministratorCredential_password": PASSWORD,
            },
            {"resource_name": "ADReplicationSite", "Name": "Paris", "RenameDefaultFirstSiteName": True},
            {"resource_name": "ADReplicationSubnet", "Name": "10.0.0.0/24", "Site": "Default-First-Site-Name"},
            {"resource_name": "ADKDSKey", "EffectiveTime": "2026-11-24T18:00:00Z", **RUN_AS},
            {"resource_name": "DnsServerForwarder", "IsSingleInstance": "Yes", "IPAddresses": ["9.9.9.9"]},
            {"resource_name": "DnsServerScavenging", "DnsServer": "localhost", "ScavengingInterval": "7.00:00:00"},
            {"resource_name": "DnsServerZoneAging", "Name": "ordre.example", "Enabled": True},
            {
                "resource_name": "xDhcpServerScope",
                "ScopeId": "10.42.0.0",
                "Name": "Bureaux",
                "SubnetMask": "255.255.255.0",
                "IPStartRange": "10.42.0.100",
                "IPEndRange": "10.42.0.200",
                "LeaseDuration": "8.00:00:00",
            },
            {
                "resource_name": "DhcpServerOptionValue",
                "OptionId": 6,
                "Value": ["10.42.0.11"],
                "VendorClass": "",
                "UserClass": "",
                "AddressFamily": "IPv4",
            },
            {
                "resource_name": "xDhcpServerAuthorization",
                "IsSingleInstance": "Yes",
                "Ensure": "Present",
                "DnsName": "dc01.ordre.example",
                "IPAddress": "10.42.0.11",
                **RUN_AS,
            },
        ],
        ids=lambda args: args["resource_name"],
    )
    def test_a_resource_is_foreseen_set_and_at_rest(self, controller, twice, args):
        twice(controller, DSC, args)

    def test_what_belongs_to_a_scope(self, controller, twice, run):
        scope = {"ScopeId": "10.42.0.0", "IPStartRange": "10.42.0.150", "IPEndRange": "10.42.0.160"}
        missing = run(controller, DSC, {"resource_name": "DhcpServerExclusionRange", **scope}, fails=True)
        assert "does not exist" in missing["msg"]
        run(
            controller,
            DSC,
            {
                "resource_name": "xDhcpServerScope",
                "ScopeId": "10.42.0.0",
                "Name": "Bureaux",
                "SubnetMask": "255.255.255.0",
                "IPStartRange": "10.42.0.100",
                "IPEndRange": "10.42.0.200",
            },
        )
        twice(controller, DSC, {"resource_name": "DhcpServerExclusionRange", **scope})
        option = {"ScopeId": "10.42.0.0", "OptionId": 3, "Value": ["10.42.0.1"], "VendorClass": "", "UserClass": ""}
        twice(controller, DSC, {"resource_name": "DhcpScopeOptionValue", "AddressFamily": "IPv4", **option})
        lease = {
            "mac": "00:11:22:33:44:55",
            "ip": "10.42.0.110",
            "scope_id": "10.42.0.0",
            "reservation_name": "imprimante",
        }
        result = run(controller, "ansible.windows.win_dhcp_lease", lease)
        assert result["lease"]["client_id"] == "00-11-22-33-44-55"
        assert run(controller, "ansible.windows.win_dhcp_lease", lease)["changed"] is False
        # The module's own way: check mode tells of every reservation that it would change it.
        assert run(controller, "ansible.windows.win_dhcp_lease", lease, check=True)["changed"] is True
        twice(controller, "ansible.windows.win_dhcp_lease", {"mac": "001122334455", "state": "absent"})

    def test_rights_are_those_of_the_account_that_runs_it(self, controller, run):
        run(controller, "microsoft.ad.user", {"name": "simple", "password": OTHER})
        authorise = {"resource_name": "xDhcpServerAuthorization", "IsSingleInstance": "Yes", "Ensure": "Present"}
        assert "enterprise administrator" in run(controller, DSC, authorise, fails=True)["msg"]
        simple = {"PsDscRunAsCredential_username": "ORDRE\\simple", "PsDscRunAsCredential_password": OTHER}
        assert "enterprise administrator" in run(controller, DSC, {**authorise, **simple}, fails=True)["msg"]
        key = {"resource_name": "ADKDSKey", "EffectiveTime": "2026-11-24T18:00:00Z"}
        assert "rights of a domain administrator" in run(controller, DSC, {**key, **simple}, fails=True)["msg"]
        wrong = {**RUN_AS, "PsDscRunAsCredential_password": OTHER}
        assert "mot de passe est incorrect" in run(controller, DSC, {**key, **wrong}, fails=True)["msg"]

    def test_a_key_in_the_past_is_unsafe(self, controller, run):
        key = {"resource_name": "ADKDSKey", "EffectiveTime": "2026-11-22T18:00:00Z", **RUN_AS}
        assert "AllowUnsafeEffectiveTime" in run(controller, DSC, key, fails=True)["msg"]
        assert run(controller, DSC, {**key, "AllowUnsafeEffectiveTime": True})["changed"] is True

    def test_the_last_key_stays(self, controller, run):
        key = {"resource_name": "ADKDSKey", "EffectiveTime": "2026-11-24T18:00:00Z", **RUN_AS}
        run(controller, DSC, key)
        assert "last KDS root key" in run(controller, DSC, {**key, "Ensure": "Absent"}, fails=True)["msg"]


class TestDns:
    def test_a_zone_and_the_modules_own_check_mode(self, controller, run):
        zone = {"name": "0.42.10.in-addr.arpa", "type": "primary", "replication": "domain", "dynamic_update": "secure"}
        new = run(controller, "ansible.windows.win_dns_zone", zone, check=True, fails=True)
        assert "Failed to lookup new zone" in new["msg"]
        result = run(controller, "ansible.windows.win_dns_zone", zone)
        assert (result["changed"], result["zone"]["reverse_lookup"]) == (True, True)
        assert run(controller, "ansible.windows.win_dns_zone", zone)["changed"] is False
        other = {**zone, "dynamic_update": "none"}
        assert run(controller, "ansible.windows.win_dns_zone", other, check=True)["changed"] is False
        assert run(controller, "ansible.windows.win_dns_zone", other)["changed"] is True
        gone = {"name": zone["name"], "state": "absent"}
        assert run(controller, "ansible.windows.win_dns_zone", gone, check=True)["changed"] is False
        assert run(controller, "ansible.windows.win_dns_zone", gone)["changed"] is True

    def test_a_conditional_forwarder(self, controller, run):
        args = {"name": "ans.example", "type": "forwarder", "dns_servers": ["10.50.0.53"], "replication": "forest"}
        needed = {"name": "ans.example", "type": "forwarder"}
        assert "dns_servers" in run(controller, "ansible.windows.win_dns_zone", needed, fails=True)["msg"]
        result = run(controller, "ansible.windows.win_dns_zone", args)
        assert result["zone"]["dns_servers"] == ["10.50.0.53"]
        assert run(controller, "ansible.windows.win_dns_zone", args)["changed"] is False

    @pytest.mark.parametrize(
        "record",
        [
            {"name": "www", "type": "A", "value": ["10.0.0.1", "10.0.0.2"]},
            {"name": "alias", "type": "CNAME", "value": ["www.ordre.example"]},
            {
                "name": "_sip._tls",
                "type": "SRV",
                "value": ["sip.ordre.example"],
                "port": 443,
                "priority": 1,
                "weight": 2,
            },
            {"name": "@", "type": "TXT", "value": ["v=spf1 -all"]},
        ],
        ids=lambda record: record["type"],
    )
    def test_records(self, controller, twice, run, record):
        args = {"zone": "ordre.example", **record}
        twice(controller, "ansible.windows.win_dns_record", args)
        asked = {"zone": "ordre.example", "name": record["name"], "type": record["type"]}
        state = run(controller, OWN + "dns_state_info", {"records": [asked]})["state"]
        assert len(state["records"][0]["values"]) == len(record["value"])
        gone = {key: value for key, value in args.items() if key != "value"} | {"state": "absent"}
        twice(controller, "ansible.windows.win_dns_record", gone)

    def test_mail_exchangers(self, controller, twice, run):
        exchanger = {
            "resource_name": "DnsRecordMx",
            "ZoneName": "ordre.example",
            "EmailDomain": "ordre.example",
            "MailExchange": "mx.ordre.example",
            "Priority": 10,
        }
        twice(controller, DSC, exchanger)
        twice(controller, DSC, exchanger | {"Priority": 20, "TimeToLive": "1.00:00:00"})
        asked = {"records": [{"zone": "ordre.example", "name": "@", "type": "MX"}]}
        state = run(controller, OWN + "dns_state_info", asked)["state"]
        assert state["records"][0]["values"] == [
            {"value": "mx.ordre.example.", "ttl_seconds": 86400, "aged": False, "priority": 20}
        ]
        twice(controller, DSC, exchanger | {"EmailDomain": "lettre.ordre.example"})
        twice(controller, DSC, exchanger | {"Ensure": "Absent"})
        for wrong, words in (
            ({"EmailDomain": "ailleurs.example"}, "not a subdomain"),
            ({"TimeToLive": "86400"}, "TimeSpan"),
            ({"Priority": 70000}, "UInt16"),
            ({"ZoneName": "rien.example", "EmailDomain": "rien.example"}, "was not found"),
        ):
            assert words in run(controller, DSC, exchanger | wrong, fails=True)["msg"]

    def test_an_aged_record_is_written_anew_as_a_static_one(self, controller, twice):
        args = {"zone": "ordre.example", "name": "dc01", "type": "A", "value": ["10.42.0.11"], "ttl": 1200}
        twice(controller, "ansible.windows.win_dns_record", args)

    def test_a_record_needs_its_zone(self, controller, run):
        args = {"zone": "autre.example", "name": "www", "type": "A", "value": ["10.0.0.1"]}
        assert run(controller, "ansible.windows.win_dns_record", args, check=True)["changed"] is True
        assert "Error adding DNS A" in run(controller, "ansible.windows.win_dns_record", args, fails=True)["msg"]

    def test_a_server_outside_a_domain_keeps_zones_in_files(self, make, run):
        server = make("ns01", 14)
        run(server, "ansible.windows.win_feature", {"name": ["DNS"], "include_management_tools": True})
        zone = {"name": "autre.example", "type": "primary"}
        assert run(server, "ansible.windows.win_dns_zone", zone)["zone"]["zone_file"] == "autre.example.dns"
        integrated = {"name": "encore.example", "type": "primary", "replication": "domain"}
        assert "directory service" in run(server, "ansible.windows.win_dns_zone", integrated, fails=True)["msg"]


class TestOwnModules:
    def test_a_server_without_domain_has_nothing_to_tell(self, make, run):
        server = make("srv01", 13)
        state = run(server, OWN + "windows_state_info", {"powershell_modules": ["DnsServerDsc"]})["state"]
        assert (state["role"], state["domain"], state["primary"]) == ("standalone", "", False)
        assert state["powershell_modules"] == [{"name": "DnsServerDsc", "versions": []}]
        for name in ("ad_state_info", "dns_state_info", "dhcp_state_info"):
            assert run(server, OWN + name, {})["state"] == {"available": False}

    def test_a_controllers_state(self, controller, run):
        state = run(controller, OWN + "windows_state_info", {"powershell_modules": ["DnsServerDsc"]})["state"]
        assert (state["role"], state["domain"], state["primary"]) == ("domain_controller", "ordre.example", True)
        asked = {
            "groups": ["rid:512", "nobody"],
            "users": ["Administrateur"],
            "principals": ["rid:500", "S-1-5-32-544", "personne"],
            "link_targets": [ROOT],
        }
        found = run(controller, OWN + "ad_state_info", asked)["state"]
        assert [group["name"] for group in found["groups"]] == ["Admins du domaine"]
        assert [entry["asked"] for entry in found["principals"]] == ["rid:500", "S-1-5-32-544"]
        assert found["gpo_links"] == [
            {"target": ROOT, "gpo": "Default Domain Policy", "enabled": True, "enforced": False}
        ]
        assert found["password_policy"]["maximum_age_days"] == 42

    def test_stopped_services_are_an_error_and_not_an_absence(self, controller, run):
        for service, module in (
            ("ADWS", "ad_state_info"),
            ("DNS", "dns_state_info"),
            ("DHCPServer", "dhcp_state_info"),
        ):
            run(
                controller,
                "ansible.windows.win_service",
                {"name": service, "state": "stopped", "force_dependent_services": True},
            )
            assert "does not answer" in run(controller, OWN + module, {}, fails=True)["msg"]

    def test_health_tells_a_stopped_service_in_each_place(self, controller, run):
        asked = {"domain": "ordre.example", "services": ["NTDS", "DNS"]}
        well = run(controller, OWN + "domain_controller_health_info", asked)["state"]
        assert (well["dcdiag"], well["stopped_services"]) == ([], [])
        assert well["srv_targets"] == ["dc01.ordre.example."]
        assert {"SYSVOL", "NETLOGON"} <= set(well["shares"])
        run(controller, "ansible.windows.win_service", {"name": "DNS", "state": "stopped"})
        ill = run(controller, OWN + "domain_controller_health_info", asked)["state"]
        assert (len(ill["dcdiag"]), ill["stopped_services"], ill["srv_targets"]) == (1, ["DNS"], [])

    def test_the_backup_runs_at_its_time(self, controller, run, clock):
        task = {
            "name": "Sauvegarde",
            "actions": [{"path": "wbadmin.exe", "arguments": "start systemstatebackup -backupTarget:E: -quiet"}],
            "triggers": [{"type": "daily", "start_boundary": "2026-01-01T21:30:00"}],
            "username": "SYSTEM",
        }
        asked = {"domain": "ordre.example", "backup_task": "Sauvegarde"}
        none = run(controller, OWN + "domain_controller_health_info", asked)["state"]["backup"]
        assert none == {"last_success": "", "task_registered": ""}
        run(controller, "community.windows.win_scheduled_task", task)
        waiting = run(controller, OWN + "domain_controller_health_info", asked)["state"]["backup"]
        assert waiting == {"last_success": "", "task_registered": "2026-11-23T08:00:00Z"}
        clock.forward(days=2)
        without = run(controller, OWN + "domain_controller_health_info", asked)["state"]["backup"]
        assert without["last_success"] == ""  # there is no volume E
        controller.resize(disks_gib=(64, 32))
        run(controller, OWN + "backup_volume", {"disk": 1, "letter": "E"})
        done = run(controller, OWN + "domain_controller_health_info", asked)["state"]["backup"]
        assert done["last_success"] == "2026-11-24T20:30:00Z"  # 21:30 in Paris

    def test_the_first_configuration_of_dhcp_is_done_once(self, controller, twice, run):
        twice(controller, OWN + "dhcp_server_setup", {})
        found = run(controller, "microsoft.ad.object_info", {"ldap_filter": "(cn=Administrateurs DHCP)"})
        assert len(found["objects"]) == 1

    def test_laps_and_links(self, controller, twice, run):
        run(controller, "microsoft.ad.ou", {"name": "Postes"})
        target = f"OU=Postes,{ROOT}"
        twice(controller, OWN + "laps_directory", {"targets": [target]})
        twice(controller, OWN + "gpo_link", {"links": [{"gpo": "Default Domain Policy", "target": target}]})
        twice(
            controller,
            OWN + "gpo_link",
            {"links": [{"gpo": "Default Domain Policy", "target": target, "enforced": True, "enabled": False}]},
        )
        unknown = {"links": [{"gpo": "Inconnue", "target": target}]}
        assert "no group policy named 'Inconnue'" in run(controller, OWN + "gpo_link", unknown, fails=True)["msg"]

    def test_windows_2016_has_no_laps(self, make, run):
        server = make("dc16", 15, system="windows_2016")
        run(server, "microsoft.ad.domain", FOREST)
        server.boot()
        assert "Windows Server 2019" in run(server, OWN + "laps_directory", {}, fails=True)["msg"]


class TestPowerShellModules:
    def test_versions_stand_side_by_side(self, make, run, twice):
        server = make("srv01", 13)
        twice(server, "community.windows.win_psmodule", {"name": "DnsServerDsc", "required_version": "3.0.2"})
        twice(server, "community.windows.win_psmodule", {"name": "dnsserverdsc", "minimum_version": "3.0.3"})
        state = run(server, OWN + "windows_state_info", {"powershell_modules": ["DnsServerDsc"]})["state"]
        assert state["powershell_modules"][0]["versions"] == ["3.0.2", "3.0.3"]
        twice(server, "community.windows.win_psmodule", {"name": "DnsServerDsc", "state": "absent"})

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            ({"name": "Inconnu"}, "No match was found"),
            ({"name": "DnsServerDsc", "required_version": "9.9.9"}, "No match was found"),
            ({"name": "DnsServerDsc", "repository": "Interne"}, "Unable to find repository 'Interne'"),
        ],
    )
    def test_what_the_repository_does_not_have(self, make, run, args, words):
        assert words in run(make("srv01", 13), "community.windows.win_psmodule", args, fails=True)["msg"]
