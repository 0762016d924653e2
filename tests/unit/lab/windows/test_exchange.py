# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exchanges on simulated servers: rights, far ends, runs on the lab's clock, and the probes of ans_exchange."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange import health, plan
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.observed import Observation
from lab.windows import far_ends
from lab.windows.domains import domain_of, domains_of
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.firewall import lets_out
from lab.windows.server import Estate, Nic, ServerSpec, WindowsServer

PASSWORD = "Lab-Mot2passe!"
ACCOUNT = "ORDRE\\gmsa-ans$"
OWN = "cnosf.infogerance."
INFO = {"firewall_group": "Infogerance ANS", "task_folder": "\\Infogerance ANS", "event_source": "ans_exchange"}
OUTBOX = r"C:\ANS\flows\depot\outbox"
ARCHIVE = r"C:\ANS\flows\depot\archive"
METRICS = r"C:\Mesures\ans_exchange_depot.prom"


@pytest.fixture
def member(tmp_path, clock, run):
    """A member of ordre.example whose domain has a managed service account."""
    estate = Estate()

    def make(name, last):
        nic = Nic(f"10.42.0.{last}/24", "10.42.0.1", f"BC:24:11:00:00:{last}")
        spec = ServerSpec(
            administrator_password=PASSWORD, computer_name=name.upper(), networks=(nic,), dns_servers=("10.42.0.11",)
        )
        server = WindowsServer(name, spec, tmp_path / name, clock, estate=estate)
        server.boot()
        server.save()
        return server

    controller = make("dc01", 11)
    names = {"dns_domain_name": "ordre.example", "domain_netbios_name": "ORDRE"}
    run(controller, "microsoft.ad.domain", {**names, "safe_mode_password": PASSWORD, "install_dns": True})
    controller.boot()
    run(controller, "community.windows.win_psmodule", {"name": "ActiveDirectoryDsc", "required_version": "6.6.0"})
    key = {"resource_name": "ADKDSKey", "EffectiveTime": "2020-01-01T00:00:00Z", "AllowUnsafeEffectiveTime": True}
    run(controller, "ansible.windows.win_dsc", key, user="ORDRE\\Administrateur")
    account = {"identity": "gmsa-ans$", "name": "gmsa-ans", "dns_hostname": "gmsa-ans.ordre.example"}
    allowed = {"allowed_to_retrieve_password": {"add": ["Ordinateurs du domaine"]}}
    run(controller, "microsoft.ad.service_account", {**account, **allowed})
    server = make("ans01", 16)
    admin = {"domain_admin_user": "ORDRE\\Administrateur", "domain_admin_password": PASSWORD}
    run(server, "microsoft.ad.membership", {"dns_domain_name": "ordre.example", "state": "domain", **admin})
    server.boot()
    server.save()
    return server


def pfx(days):
    """A client certificate with its key, valid for so many days from the lab's morning."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ORG AUTH_CLI")])
    start = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return pkcs12.serialize_key_and_certificates(b"client", key, certificate, None, serialization.NoEncryption())


def bring(server, run, *, days=800):
    """What windows_prerequisites brings: the client of SFTP, the certificate and the right to its key."""
    files = FileSystem(server)
    files.make_dir(r"C:\Program Files\OpenSSH")
    for name in ("sftp.exe", "ssh-keyscan.exe"):
        files.write(rf"C:\Program Files\OpenSSH\{name}", b"MZ")
    files.write(r"C:\Windows\Temp\client.pfx", pfx(days))
    store = {"path": r"C:\Windows\Temp\client.pfx", "key_storage": "machine", "store_location": "LocalMachine"}
    thumbprint = run(server, "ansible.windows.win_certificate_store", {**store, "store_name": "My"})["thumbprints"][0]
    acl = {"path": rf"Cert:\LocalMachine\My\{thumbprint}", "user": ACCOUNT, "rights": "Read", "type": "allow"}
    run(server, "ansible.windows.win_acl", acl)
    return thumbprint


def declare(server, thumbprint):
    known = far_ends.find(server, "sftp.echanges.example", 22)
    flows = [
        {
            "name": "depot",
            "protocol": "sftp",
            "host": "sftp.echanges.example",
            "addresses": ["192.0.2.21"],
            "user": "ordre",
            "identity": "cle",
            "host_keys": list(known.host_keys),
            "max_age_hours": 24,
            "retention_days": 30,
        },
        {
            "name": "annuaire",
            "protocol": "https_mtls",
            "direction": "in",
            "host": "api.echanges.example",
            "addresses": ["192.0.2.22"],
            "certificate": "auth",
            "remote_path": "annuaire",
        },
    ]
    values = {"service_account": ACCOUNT, "script": "exit 0\n", "identities": ["cle"], "flows": flows}
    values["certificates"] = [{"name": "auth", "thumbprint": thumbprint, "not_after": "2029-01-01T00:00:00Z"}]
    return Declaration.read({**values, "metrics_directory": "C:\\Mesures"})


def observe(server, run, declared):
    """What the role's probes see."""
    asked = plan.request(declared, server.domain)
    seen = run(server, f"{OWN}windows_state_info", asked["server"])["state"]
    return Observation.read(seen, run(server, f"{OWN}ans_exchange_info", asked["exchange"])["state"])


def converge(server, run, declared):
    """What the role's tasks do with the plan; gives the plan."""
    made = plan.plan(declared, observe(server, run, declared), language="en")
    assert made["problems"] == []
    folders = [entry["arguments"] for entry in made["folders"]]
    run(server, f"{OWN}win_exact_acls", {"paths": folders}) if folders else None
    files = FileSystem(server)
    for entry in made["files"]:
        files.write(entry["path"], entry["content"].encode())
    files.write(declared.identity_path("cle"), b"private")
    if made["secrets"]:
        run(server, f"{OWN}win_exact_acls", {"paths": [entry["arguments"] for entry in made["secrets"]]})
    run(server, "ansible.windows.win_eventlog", {"name": "Application", "sources": ["ans_exchange"]})
    right = {"name": "SeBatchLogonRight", "users": [made["account_sid"]], "action": "add"}
    run(server, "ansible.windows.win_user_right", right)
    fixed = {"group": "Infogerance ANS", "direction": "out", "action": "allow", "enabled": True}
    for entry in made["rules"]:
        rule = {name: entry[name] for name in ("name", "protocol", "remoteport", "remoteip")}
        profiles = {"profiles": ["domain", "private", "public"]}
        run(server, "community.windows.win_firewall_rule", {**fixed, **rule, **profiles})
    run(server, "ansible.windows.win_firewall", {"state": "enabled", "outbound_action": "block"})
    for entry in made["tasks"]:
        schedule(server, run, entry)
    server.save()
    return made


def schedule(server, run, entry, **changes):
    trigger = {"type": "daily", "start_boundary": entry["start"], "repetition": {"interval": entry["interval"]}}
    values = {
        "name": entry["name"],
        "path": INFO["task_folder"],
        "actions": [{"path": plan.scheduled.POWERSHELL, "arguments": entry["arguments"]}],
        "triggers": [trigger],
        "username": ACCOUNT,
        "logon_type": "password",
        "run_level": "limited",
        "execution_time_limit": "PT1H",
        "multiple_instances": 2,
        **changes,
    }
    run(server, "community.windows.win_scheduled_task", values)


def judge(server, run, declared):
    """Names of the probes that fail, with their sentences."""
    found = observe(server, run, declared)
    replies = []
    for item in plan.plan(declared, found)["https"]:
        args = {"url": item["url"], "client_cert": rf"Cert:\LocalMachine\My\{item['thumbprint']}"}
        try:
            reply = run(server, "ansible.windows.win_uri", args)
        except AssertionError:
            reply = {"msg": "no answer"}
        replies.append({"item": item, **reply})
    verdicts = health.judge(declared, found, health.answers(replies), language="en")
    return {verdict.probe: verdict.message for verdict in verdicts if not verdict.passed}


@pytest.fixture
def exchange(member, run, clock):
    """A converged exchange server one run later, with its declaration."""
    declared = declare(member, bring(member, run))
    converge(member, run, declared)
    FileSystem(member).write(rf"{OUTBOX}\fichier.xml", b"essai")
    clock.forward(minutes=20)
    assert judge(member, run, declared) == {}
    return member, declared


# -- rights ----------------------------------------------------------------------------------------------------------

ENTRIES = [{"sid": "S-1-5-18", "rights": "full"}, {"sid": "S-1-5-32-544", "rights": "full"}]


def test_folders_have_exactly_the_declared_rights(twice, run, server):
    module = f"{OWN}win_exact_acls"
    args = {"paths": [{"path": r"C:\ANS", "entries": ENTRIES}, {"path": r"C:\ANS\etc", "entries": ENTRIES}]}
    assert twice(server, module, args)["changes"] == [r"C:\ANS", r"C:\ANS\etc"]
    added = {"path": r"C:\ANS\etc", "user": "S-1-5-32-545", "rights": "Modify", "type": "allow"}
    run(server, "ansible.windows.win_acl", added)
    diff = run(server, module, args, check=True, diff=True)["diff"]
    assert "0x1301bf;;;BU" in diff["before"]
    assert "BU" not in diff["after"]
    assert twice(server, module, args)["changes"] == [r"C:\ANS\etc"]
    run(server, "ansible.windows.win_acl_inheritance", {"path": r"C:\ANS", "state": "present"})
    assert twice(server, module, args)["changes"] == [r"C:\ANS"]


def test_rights_of_others_stay_where_they_are_not_exact(twice, run, server):
    shared = {"path": r"C:\Mesures", "exact": False, "entries": [{"sid": "S-1-5-32-545", "rights": "modify"}]}
    twice(server, f"{OWN}win_exact_acls", {"paths": [shared]})
    sddl = run(server, f"{OWN}ans_exchange_info", {**INFO, "paths": [r"C:\Mesures"]})["state"]["folders"][0]["sddl"]
    assert sddl.startswith("D:AI(A;OICI;0x1301bf;;;BU)(A;OICIID;FA;;;SY)")


def test_a_missing_file_is_no_folder(run, server):
    args = {"paths": [{"path": r"C:\secret", "kind": "file", "entries": ENTRIES}]}
    assert run(server, f"{OWN}win_exact_acls", args, check=True)["changed"] is True
    assert "write the file before" in run(server, f"{OWN}win_exact_acls", args, fails=True)["msg"]


# -- far ends --------------------------------------------------------------------------------------------------------


def test_outgoing_rules_count(run, server):
    assert lets_out(server, 443, "192.0.2.22")
    run(server, "ansible.windows.win_firewall", {"state": "enabled", "outbound_action": "block"})
    assert not lets_out(server, 443, "192.0.2.22")
    rule = {"name": "a", "direction": "out", "action": "allow", "protocol": "tcp", "remoteport": "443"}
    run(server, "community.windows.win_firewall_rule", {**rule, "remoteip": "192.0.2.0/24"})
    assert lets_out(server, 443, "192.0.2.22")
    assert not lets_out(server, 443, "198.51.100.22")
    assert not lets_out(server, 80, "192.0.2.22")
    assert lets_out(server, 9182, "127.0.0.1")


def test_a_far_end_answers_by_the_client_certificate(run, member, clock):
    thumbprint = bring(member, run, days=60)
    args = {"url": "https://api.echanges.example/etat", "client_cert": rf"Cert:\LocalMachine\My\{thumbprint}"}
    assert run(member, "ansible.windows.win_uri", args)["status_code"] == 200
    assert run(member, "ansible.windows.win_uri", {"url": args["url"]}, fails=True)["status_code"] == 403
    missing = {**args, "client_cert": rf"Cert:\LocalMachine\My\{'0' * 40}"}
    assert "fermée" in run(member, "ansible.windows.win_uri", missing, fails=True)["msg"]
    clock.forward(days=60)
    assert "fermée" in run(member, "ansible.windows.win_uri", args, fails=True)["msg"]


# -- runs ------------------------------------------------------------------------------------------------------------


def test_a_converged_server_differs_in_nothing(exchange, run):
    server, declared = exchange
    again = plan.plan(declared, observe(server, run, declared))
    assert {
        name for name in ("folders", "files", "secrets", "event_source", "rules", "block", "tasks") if again[name]
    } == set()


def test_a_run_archives_and_measures(exchange, run, clock):
    server, declared = exchange
    files = FileSystem(server)
    assert not files.is_file(rf"{OUTBOX}\fichier.xml")
    assert files.read(rf"{ARCHIVE}\fichier.xml") == b"essai"
    metrics = files.read(METRICS).decode()
    assert 'flow_backlog_files{flow="depot"} 0' in metrics
    assert 'flow_last_success_timestamp_seconds{flow="depot"}' in metrics
    assert 'cert_not_after{flow="annuaire"}' in files.read(METRICS.replace("depot", "annuaire")).decode()
    clock.forward(days=31)
    files.write(rf"{OUTBOX}\autre.part", b"not whole yet")
    observe(server, run, declared)
    assert not files.is_file(rf"{ARCHIVE}\fichier.xml"), "kept longer than 30 days"
    assert files.is_file(rf"{OUTBOX}\autre.part")


def test_a_run_that_fails_keeps_its_files_and_says_so(exchange, run, clock):
    server, declared = exchange
    server.section("far_ends")["sftp.echanges.example:22"] = {"down": True}
    FileSystem(server).write(rf"{OUTBOX}\suivant.xml", b"essai")
    clock.forward(minutes=20)
    found = observe(server, run, declared)
    task = next(task for task in found.tasks if task.name == "depot")
    assert task.last_result == 1
    assert FileSystem(server).is_file(rf"{OUTBOX}\suivant.xml")
    assert 'flow_backlog_files{flow="depot"} 1' in FileSystem(server).read(METRICS).decode()


def test_check_mode_makes_no_run_up(exchange, run, clock):
    server, declared = exchange
    FileSystem(server).write(rf"{OUTBOX}\suivant.xml", b"essai")
    server.save()
    clock.forward(minutes=20)
    run(server, f"{OWN}ans_exchange_info", plan.request(declared, "")["exchange"], check=True)
    assert FileSystem(server).is_file(rf"{OUTBOX}\suivant.xml")


# -- probes: each subject is broken, and that probe fails and no other -----------------------------------------------


def _certificate(server, _run, _clock, declared):
    server.section("certificates")["LocalMachine"]["My"].pop(declared.certificates[0].thumbprint)


def _reader(server, _run, _clock, declared):
    entry = server.section("certificates")["LocalMachine"]["My"][declared.certificates[0].thumbprint]
    acl = server.section("acls")[entry["key_file"].casefold()]
    acl["aces"] = [ace for ace in acl["aces"] if ace["sid"] in {"S-1-5-18", "S-1-5-32-544"}]


def _acl(server, run, _clock, _declared):
    run(
        server, "ansible.windows.win_acl", {"path": r"C:\ANS\etc", "user": "S-1-1-0", "rights": "Read", "type": "allow"}
    )


def _secret(server, run, _clock, _declared):
    path = r"C:\ANS\etc\identities\cle"
    run(server, "ansible.windows.win_acl", {"path": path, "user": "S-1-1-0", "rights": "Read", "type": "allow"})


def _files(server, _run, _clock, declared):
    FileSystem(server).write(declared.script_path, b"exit 1\n")


def _events(server, run, _clock, _declared):
    source = {"name": "Application", "sources": ["ans_exchange"], "state": "absent"}
    run(server, "ansible.windows.win_eventlog", source)


def _opened(server, run, _clock, _declared):
    run(
        server, "ansible.windows.win_firewall", {"state": "enabled", "profiles": ["Domain"], "outbound_action": "allow"}
    )


def _rule(server, run, _clock, _declared):
    run(server, "community.windows.win_firewall_rule", {"name": "Infogerance ANS: heure", "state": "absent"})


def _host_key(server, _run, _clock, _declared):
    server.section("far_ends")["sftp.echanges.example:22"] = {"host_keys": ["ssh-ed25519 AAAA"]}


def _web(server, _run, _clock, _declared):
    server.section("far_ends")["api.echanges.example:443"] = {"down": True}


def _disabled(server, run, _clock, _declared):
    task = {"name": "depot", "path": INFO["task_folder"], "enabled": False}
    run(server, "community.windows.win_scheduled_task", task)


def _result(server, run, clock, declared):
    sid = server.resolve(ACCOUNT).sid
    run(server, "ansible.windows.win_user_right", {"name": "SeBatchLogonRight", "users": [sid], "action": "remove"})
    clock.forward(minutes=15)
    observe(server, run, declared)


def _account(server, run, clock, declared):
    store = domains_of(server)
    domain = domain_of(server)
    domain.find("gmsa-ans$")["attributes"]["msDS-GroupMSAMembership"] = []
    store.write(domain)
    clock.forward(minutes=15)
    observe(server, run, declared)


def _definition(server, run, _clock, declared):
    want = plan.scheduled.wanted(declared, declared.flows[0], "")
    schedule(server, run, {"name": "depot", "arguments": want.arguments, "start": want.start, "interval": "PT1H"})


def _archive(server, run, clock, declared):
    clock.forward(hours=25)
    observe(server, run, declared)


def _retention(server, _run, _clock, _declared):
    files = FileSystem(server)
    files.write(rf"{ARCHIVE}\vieux.xml", b"essai")
    files.get(rf"{ARCHIVE}\vieux.xml")["modified"] -= 40 * 86400


def _backlog(server, _run, _clock, _declared):
    for number in range(101):
        FileSystem(server).write(rf"{OUTBOX}\f{number}.xml", b"essai")


def _metrics(server, _run, _clock, _declared):
    FileSystem(server).get(METRICS)["modified"] -= 3600


def _clock_offset(server, _run, _clock, _declared):
    server.section("exchanges")["clock_offset"] = "-01.2000000"


def _clock_unknown(server, _run, _clock, _declared):
    server.section("exchanges")["clock_offset"] = ""


BROKEN = {
    "certificate": (_certificate, "is not in the machine's store"),
    "certificate, its key": (_reader, "may not read the key"),
    "acl": (_acl, r"C:\ANS\etc"),
    "acl, a secret file": (_secret, r"C:\ANS\etc\identities\cle"),
    "files": (_files, "Invoke-AnsExchange.ps1 is not the declared one"),
    "events": (_events, "ans_exchange is missing"),
    "firewall": (_opened, "the profile domain lets everything out"),
    "firewall, a rule": (_rule, "heure (create)"),
    "far_end": (_host_key, "shows another host key"),
    "far_end, the web's": (_web, "api.echanges.example:443 does not answer"),
    "task": (_disabled, "the task of depot is disabled"),
    "task, its last run": (_result, "ended with"),
    "task, its account": (_account, "ended with 2147943726"),
    "definition": (_definition, "depot differs (interval)"),
    "archive": (_archive, "depot has exchanged nothing for"),
    "retention": (_retention, "still has archives of"),
    "backlog": (_backlog, "101 files waiting"),
    "metrics": (_metrics, "older than 40 minutes"),
    "clock": (_clock_offset, "-01.2000000 s off"),
    "clock, not measured": (_clock_unknown, "could not be compared"),
}


@pytest.mark.parametrize("subject", BROKEN)
def test_a_broken_subject_fails_its_probe_and_no_other(exchange, run, clock, subject):
    server, declared = exchange
    breaks, words = BROKEN[subject]
    breaks(server, run, clock, declared)
    server.save()
    failed = judge(server, run, declared)
    assert set(failed) == {subject.partition(",")[0]}, failed
    assert words in failed[subject.partition(",")[0]]


def test_every_probe_is_broken_once(exchange, run):
    server, declared = exchange
    verdicts = health.judge(declared, observe(server, run, declared), [], language="en")
    assert {verdict.probe for verdict in verdicts} == {subject.partition(",")[0] for subject in BROKEN}


def test_a_certificate_is_reported_before_it_ends(member, run, clock):
    declared = declare(member, bring(member, run, days=80))
    converge(member, run, declared)
    clock.forward(minutes=20)
    assert set(judge(member, run, declared)) == {"certificate"}
    assert health.readiness(declared, observe(member, run, declared), [health.Answer("annuaire", passed=True)]) == []
