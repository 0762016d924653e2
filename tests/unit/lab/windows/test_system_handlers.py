# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts, policy, machine, firewall, logs, rights, shares, tasks: check mode, for real, and again."""

from __future__ import annotations

import pytest

from lab.windows.filesystem import FileSystem
from lab.windows.handlers.firewall import lets_in
from lab.windows.identity import LogonFailure

SECRET = "Lab-Secret-2026!"


# -- users and groups ----------------------------------------------------------------------------------------------


def user(run, server, **options):
    return run(server, "ansible.windows.win_user", {"name": "exploitant", "password": SECRET, **options})


def test_user(twice, run, server):
    options = {
        "name": "exploitant",
        "password": SECRET,
        "groups": ["Administrateurs", "S-1-5-32-555"],
        "password_never_expires": True,
        "description": "Exploitation",
    }
    result = twice(server, "ansible.windows.win_user", options)
    assert {group["name"] for group in result["groups"]} == {"Administrateurs", "Utilisateurs du Bureau à distance"}
    assert server.logon("exploitant", SECRET).account == r"SRV01\exploitant"
    assert SECRET not in (server.home / "state.json").read_text() + (server.home / "journal.jsonl").read_text()
    twice(server, "ansible.windows.win_user", {"name": "exploitant", "state": "absent"})


def test_user_password_change(run, server):
    user(run, server)
    assert user(run, server, password="Autre-Mot2passe")["changed"] is True
    with pytest.raises(LogonFailure):
        server.logon("exploitant", SECRET)
    assert user(run, server, password="Encore-Un-3", update_password="on_create")["changed"] is False
    user(run, server, password="Autre-Mot2passe", account_disabled=True)
    with pytest.raises(LogonFailure):
        server.logon("exploitant", "Autre-Mot2passe")


def test_user_refusals(run, server):
    module = "ansible.windows.win_user"
    assert "stratégie" in run(server, module, {"name": "x1", "password": "simple"}, fails=True)["msg"]
    wrong = {"name": "x1", "password": SECRET, "groups": ["Administrators"]}
    assert "group 'Administrators' not found" in run(server, module, wrong, fails=True)["msg"]  # French Windows
    assert "intégrés" in run(server, module, {"name": "Administrateur", "state": "absent"}, fails=True)["msg"]
    assert run(server, module, {"name": "personne", "state": "query"})["changed"] is False


def test_group(twice, run, server):
    twice(
        server,
        "ansible.windows.win_group",
        {"name": "Exploitants", "description": "x", "members": {"add": ["Administrateur"]}},
    )
    twice(server, "ansible.windows.win_group", {"name": "Exploitants", "members": {"set": []}})
    result = run(server, "ansible.windows.win_group", {"name": "Exploitants"})
    assert result["sid"].startswith(server.section("accounts")["machine_sid"])
    twice(server, "ansible.windows.win_group", {"name": "Exploitants", "state": "absent"})
    assert (
        "intégrés"
        in run(server, "ansible.windows.win_group", {"name": "Administrateurs", "state": "absent"}, fails=True)["msg"]
    )


def test_group_membership_by_sid_and_localised_name(twice, run, server):
    user(run, server)
    module = "ansible.windows.win_group_membership"
    twice(server, module, {"name": "Utilisateurs de gestion à distance", "members": ["exploitant"]})
    pure = twice(
        server,
        module,
        {"name": "BUILTIN\\Administrateurs", "members": ["Administrateur", "exploitant"], "state": "pure"},
    )
    assert pure["members"] == [r"SRV01\Administrateur", r"SRV01\exploitant"]
    result = run(server, module, {"name": "Administrateurs", "members": ["exploitant"], "state": "absent"})
    assert result["removed"] == [r"SRV01\exploitant"]
    assert (
        "Could not find local group"
        in run(server, module, {"name": "Administrators", "members": []}, fails=True)["msg"]
    )


def test_whoami(run, server):
    result = run(server, "ansible.windows.win_whoami")
    assert result["account"]["account_name"] == "Administrateur"
    assert result["label"]["sid"] == "S-1-16-12288"
    assert "S-1-5-32-544" in {group["sid"] for group in result["groups"]}
    assert "SeBackupPrivilege" in result["privileges"]
    system = run(server, "ansible.windows.win_whoami", user=r"AUTORITE NT\Système")
    assert system["account"]["sid"] == "S-1-5-18"


# -- policy --------------------------------------------------------------------------------------------------------


def test_user_right(twice, run, server):
    module = "ansible.windows.win_user_right"
    twice(server, module, {"name": "SeDenyNetworkLogonRight", "users": ["Invité"], "action": "add"})
    result = twice(server, module, {"name": "SeInteractiveLogonRight", "users": ["S-1-5-32-544"]})
    assert result["removed"] == [r"BUILTIN\Utilisateurs", r"BUILTIN\Opérateurs de sauvegarde"]
    twice(server, module, {"name": "SeDenyNetworkLogonRight", "users": ["Invité"], "action": "remove"})
    assert "not a valid right" in run(server, module, {"name": "SeNope", "users": []}, fails=True)["msg"]
    assert (
        "Failed to translate"
        in run(server, module, {"name": "SeDenyNetworkLogonRight", "users": ["Guest"]}, fails=True)["msg"]
    )


def test_security_policy(twice, run, server):
    module = "community.windows.win_security_policy"
    twice(server, module, {"section": "System Access", "key": "MinimumPasswordLength", "value": "14"})
    twice(server, module, {"section": "System Access", "key": "LockoutDuration", "value": "30"})
    twice(server, module, {"section": "Privilege Rights", "key": "SeDenyBatchLogonRight", "value": "*S-1-5-32-546"})
    wrong = {"section": "System Access", "key": "Nonsense", "value": "1"}
    assert "not a valid key" in run(server, module, wrong, fails=True)["msg"]
    assert "does not exist" in run(server, module, {**wrong, "section": "Nope"}, fails=True)["msg"]
    assert (
        "stratégie" in run(server, "ansible.windows.win_user", {"name": "x", "password": "Court-1!"}, fails=True)["msg"]
    )


# -- machine -------------------------------------------------------------------------------------------------------


def test_hostname_waits_for_the_reboot(run, twice, server):
    result = twice(server, "ansible.windows.win_hostname", {"name": "DC01"})
    assert (result["old_name"], result["reboot_required"]) == ("SRV01", True)
    assert server.computer_name == "SRV01"
    server.boot()
    assert server.computer_name == "DC01"
    assert "incorrects" in run(server, "ansible.windows.win_hostname", {"name": "un nom"}, fails=True)["msg"]


def test_timezone_and_region(twice, run, server):
    result = twice(server, "ansible.windows.win_timezone", {"timezone": "UTC"})
    assert result["previous_timezone"] == "Romance Standard Time"
    assert (
        "isn't supported"
        in run(server, "ansible.windows.win_timezone", {"timezone": "Europe/Paris"}, fails=True)["msg"]
    )
    region = twice(server, "ansible.windows.win_region", {"unicode_language": "en-US"})
    assert region["restart_required"] is True


def test_environment(twice, run, server):
    module = "ansible.windows.win_environment"
    result = twice(server, module, {"level": "machine", "name": "APP_HOME", "value": r"C:\app", "state": "present"})
    assert result["value"] == r"C:\app"
    run(server, "ansible.windows.win_file", {"path": r"%APP_HOME%\logs", "state": "directory"})
    assert FileSystem(server).is_dir(r"C:\app\logs")
    twice(server, module, {"level": "machine", "variables": {"A": "1", "B": "2"}})
    twice(server, module, {"level": "machine", "name": "APP_HOME", "state": "absent"})
    message = run(server, module, {"level": "machine", "variables": {}, "name": "x"}, fails=True)["msg"]
    assert message == "parameters are mutually exclusive: variables, name"


def test_path(twice, server):
    module = "ansible.windows.win_path"
    twice(server, module, {"elements": ["C:\\outils", "%SystemRoot%"]})
    assert server.section("environment")["machine"]["path"]["value"].endswith(r"Wbem;C:\outils")
    twice(server, module, {"elements": ["c:\\OUTILS\\"], "state": "absent"})


def test_hosts(twice, run, server):
    module = "ansible.windows.win_hosts"
    entry = {"canonical_name": "app01.local", "ip_address": "10.42.0.14", "aliases": ["app"]}
    twice(server, module, entry)
    twice(server, module, {**entry, "aliases": ["app", "appli"]})
    twice(server, module, {**entry, "ip_address": "10.42.0.15"})
    assert b"10.42.0.15\tapp01.local app\r\n" in FileSystem(server).read(r"C:\Windows\System32\drivers\etc\hosts")
    twice(server, module, {"canonical_name": "app01.local", "state": "absent"})
    assert "valid ip" in run(server, module, {**entry, "ip_address": "x"}, fails=True)["msg"]
    missing = run(server, module, {"canonical_name": "x"}, fails=True)["msg"]
    assert missing == "state is present but all of the following are missing: ip_address"


def test_dns_client(twice, run, server):
    module = "ansible.windows.win_dns_client"
    twice(server, module, {"adapter_names": "*", "dns_servers": ["10.42.0.11", "127.0.0.1"]})
    twice(
        server,
        module,
        {"adapter_names": "Ethernet", "ipv4_addresses": ["10.42.0.12"], "suffix_search_list": ["x.example"]},
    )
    assert "Invalid IP" in run(server, module, {"adapter_names": "*", "dns_servers": ["dns"]}, fails=True)["msg"]
    assert "adapter name: eth0" in run(server, module, {"adapter_names": "eth0", "dns_servers": []}, fails=True)["msg"]


def test_power_plan_and_pagefile(twice, run, server):
    twice(server, "community.windows.win_power_plan", {"guid": "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"})
    english = {"name": "High performance"}
    assert "not available" in run(server, "community.windows.win_power_plan", english, fails=True)["msg"]
    pagefile = {"drive": "C", "initial_size": 4096, "maximum_size": 8192, "state": "present", "automatic": False}
    result = twice(server, "community.windows.win_pagefile", pagefile)
    assert result["pagefiles"][0]["initial_size"] == 4096
    assert server.pending_reboot == ["page file"]


def test_disk_facts(run, make_server):
    server = make_server("sql01", disks_gib=(64, 200))
    disks = run(server, "community.windows.win_disk_facts")["ansible_facts"]["ansible_disks"]
    assert [disk["size"] for disk in disks] == [64 * 1024**3, 200 * 1024**3]
    assert disks[1]["partition_style"] == "RAW"


# -- firewall, logs ------------------------------------------------------------------------------------------------


def test_firewall_profiles(twice, server):
    twice(server, "ansible.windows.win_firewall", {"state": "disabled", "profiles": ["Public"]})
    twice(server, "ansible.windows.win_firewall", {"state": "enabled", "inbound_action": "block"})


def test_firewall_rule(twice, run, server):
    module = "community.windows.win_firewall_rule"
    rule = {
        "name": "windows_exporter", "localport": "9182", "protocol": "tcp", "direction": "in", "action": "allow",
        "profiles": "domain,private", "remoteip": "10.42.0.0/24",
    }  # fmt: skip
    twice(server, module, rule)
    twice(server, module, {**rule, "remoteip": "10.42.0.9"})
    twice(server, module, {"group": "@FirewallAPI.dll,-28752", "enabled": True})
    twice(server, module, {"name": "windows_exporter", "state": "absent"})
    assert "Either name or group" in run(server, module, {"action": "allow"}, fails=True)["msg"]
    assert "protocole" in run(server, module, {"name": "x", "localport": "80"}, fails=True)["msg"]


CLIENT = "10.42.0.1"


def rule(run, server, **options):
    base = {"protocol": "tcp", "localport": "5986", "direction": "in", "action": "allow", "name": "WinRM"}
    run(server, "community.windows.win_firewall_rule", {**base, **options})


def test_firewall_lets_winrm_in_at_first(server):
    assert lets_in(server, 5986, CLIENT) is True
    assert lets_in(server, 3389, CLIENT) is False
    assert lets_in(server, 3389, "127.0.0.1") is True


@pytest.mark.parametrize(
    ("options", "open_"),
    [
        ({}, True),
        ({"remoteip": "10.42.0.0/24"}, True),
        ({"remoteip": "10.42.0.1"}, True),
        ({"remoteip": "10.42.0.0-10.42.0.9"}, True),
        ({"remoteip": "LocalSubnet"}, True),
        ({"remoteip": "10.99.0.0/24,fd00::/8"}, False),
        ({"localport": "5985-5990"}, True),
        ({"localport": "5985"}, False),
        ({"profiles": "domain"}, False),
        ({"profiles": "public,private"}, True),
        ({"enabled": False}, False),
        ({"direction": "out"}, False),
        ({"protocol": "udp"}, False),
    ],
)
def test_firewall_rule_in_place_of_the_template_s(run, server, options, open_):
    run(
        server,
        "community.windows.win_firewall_rule",
        {"name": "Windows Remote Management (HTTPS-In)", "state": "absent"},
    )
    assert lets_in(server, 5986, CLIENT) is False
    rule(run, server, **options)
    assert lets_in(server, 5986, CLIENT) is open_


def test_firewall_block_and_default(run, server):
    rule(run, server, name="Blocked", action="block", remoteip=CLIENT)
    assert lets_in(server, 5986, CLIENT) is False
    assert lets_in(server, 5986, "10.42.0.2") is True
    run(server, "ansible.windows.win_firewall", {"state": "disabled", "profiles": ["Public"]})
    assert lets_in(server, 5986, CLIENT) is True
    run(server, "ansible.windows.win_firewall", {"state": "enabled", "inbound_action": "allow"})
    assert lets_in(server, 8080, CLIENT) is True


def test_firewall_profile_of_the_domain(run, server):
    rule(run, server, name="Domain only", localport="8080", profiles="domain")
    assert lets_in(server, 8080, CLIENT) is False
    server.section("system")["domain"] = "cnosf.example"
    assert lets_in(server, 8080, CLIENT) is True


def test_event_log(twice, run, server):
    module = "ansible.windows.win_eventlog"
    result = twice(server, module, {"name": "Security", "maximum_size": "196608KB"})
    assert result["maximum_size_kb"] == 196608
    twice(server, module, {"name": "CNOSF", "sources": ["Exploitation"]})
    twice(server, module, {"name": "System", "state": "clear"})
    assert "multiple of 64" in run(server, module, {"name": "Security", "maximum_size": "100KB"}, fails=True)["msg"]
    assert "one or more sources" in run(server, module, {"name": "Other"}, fails=True)["msg"]
    twice(server, module, {"name": "CNOSF", "state": "absent"})


# -- rights and shares ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(run, server):
    run(server, "ansible.windows.win_file", {"path": r"C:\Données", "state": "directory"})
    return r"C:\Données"


def test_acl(run, server, folder):
    module = "ansible.windows.win_acl"
    rule = {"path": folder, "user": "S-1-5-11", "rights": "ReadAndExecute", "type": "allow"}
    assert run(server, module, rule, check=True)["skipped"] is True
    assert run(server, module, rule)["changed"] is True
    assert run(server, module, rule)["changed"] is False
    assert run(server, module, {**rule, "state": "absent"})["changed"] is True
    assert "not a valid user" in run(server, module, {**rule, "user": "Everyone"}, fails=True)["msg"]
    assert "does not seem to be" in run(server, module, {**rule, "rights": "Reed"}, fails=True)["msg"]


def test_acl_inheritance_and_owner(twice, server, folder):
    twice(server, "ansible.windows.win_acl_inheritance", {"path": folder, "state": "absent", "reorganize": True})
    sids = {ace["sid"] for ace in server.section("acls")[folder.casefold()]["aces"]}
    assert sids == {"S-1-5-18", "S-1-5-32-544", "S-1-5-32-545"}
    twice(server, "ansible.windows.win_owner", {"path": folder, "user": "AUTORITE NT\\Système", "recurse": True})
    twice(server, "ansible.windows.win_acl_inheritance", {"path": folder, "state": "present", "reorganize": True})


def test_audit_rule(twice, run, server, folder):
    module = "ansible.windows.win_audit_rule"
    rule = {
        "path": folder,
        "user": "Tout le monde",
        "rights": ["Delete", "ChangePermissions"],
        "audit_flags": ["success", "failure"],
    }
    result = twice(server, module, rule)
    assert result["current_audit_rules"]["Tout le monde"]["audit_flags"] == "Failure, Success"
    twice(server, module, {"path": folder, "user": "Tout le monde", "state": "absent"})
    missing = run(server, module, {"path": folder, "user": "Tout le monde"}, fails=True)["msg"]
    assert missing == "state is present but all of the following are missing: rights"


def test_share(twice, run, server, folder):
    module = "ansible.windows.win_share"
    share = {"name": "données", "path": folder, "full": "Administrateurs", "read": "Tout le monde", "list": True}
    twice(server, module, share)
    stat = run(server, "ansible.windows.win_stat", {"path": folder})["stat"]
    assert (stat["isshared"], stat["sharename"]) == (True, "données")
    result = twice(server, module, {**share, "read": "Utilisateurs authentifiés"})
    assert any("Revoke" in action and "Tout le monde" in action for action in result["actions"])
    added = run(server, module, {**share, "read": "Invités", "rule_action": "add"})
    assert not any("Revoke" in action for action in added["actions"])
    twice(server, module, {**share, "state": "absent"})
    assert "does not exist" in run(server, module, {**share, "path": r"C:\Rien"}, fails=True)["msg"]


# -- scheduled tasks -----------------------------------------------------------------------------------------------

TASK = {
    "name": "Sauvegarde",
    "path": r"\CNOSF",
    "actions": [{"path": "wbadmin.exe", "arguments": "start systemstatebackup -backuptarget:E: -quiet"}],
    "triggers": [{"type": "daily", "start_boundary": "2026-01-01T02:00:00"}],
    "username": "S-1-5-18",
    "run_level": "highest",
}


def test_scheduled_task(twice, run, server):
    module = "community.windows.win_scheduled_task"
    twice(server, module, TASK)
    twice(server, module, {**TASK, "enabled": False})
    found = run(server, "community.windows.win_scheduled_task_stat", {"name": "Sauvegarde", "path": r"\CNOSF"})
    assert found["principal"]["user_id"] == r"AUTORITE NT\Système"
    assert found["principal"]["logon_type"] == "TASK_LOGON_SERVICE_ACCOUNT"
    assert found["settings"]["enabled"] is False
    assert found["triggers"][0]["type"] == "TASK_TRIGGER_DAILY"
    assert run(server, "community.windows.win_scheduled_task_stat", {"path": r"\CNOSF"})["folder_task_names"] == [
        "Sauvegarde"
    ]
    twice(server, module, {"name": "Sauvegarde", "path": r"\CNOSF", "state": "absent"})
    assert run(server, "community.windows.win_scheduled_task_stat", {"path": r"\CNOSF"})["folder_exists"] is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"triggers": [{"type": "daily"}]}, "start_boundary"),
        ({"triggers": [{"type": "daily", "start_boundary": "demain"}]}, "format"),
        ({"triggers": [{"type": "weekly", "start_boundary": "2026-01-01T02:00:00", "days_of_week": "lundi"}]}, "lundi"),
        ({"username": "personne"}, "failed to find SID"),
        ({"actions": []}, "action is required"),
        ({"triggers": [{"type": "daili"}]}, "value of type must be one of"),
        ({"triggers": [{"type": "boot", "dealy": "PT1M"}]}, "dealy"),
        ({"username": "Administrateur", "logon_type": "password"}, "password must be set"),
        ({"username": "Administrateur", "logon_type": "password", "password": "faux"}, "incorrect"),
    ],
)
def test_scheduled_task_refusals(run, server, change, words):
    result = run(server, "community.windows.win_scheduled_task", {**TASK, **change}, fails=True)
    assert words in result["msg"]


def test_scheduled_task_password_always_changes(run, server):
    from tests.unit.lab.windows.conftest import PASSWORD

    module = "community.windows.win_scheduled_task"
    options = {**TASK, "username": "Administrateur", "logon_type": "password", "password": PASSWORD}
    run(server, module, options)
    assert run(server, module, options)["changed"] is True
    assert run(server, module, {**options, "update_password": False})["changed"] is False
