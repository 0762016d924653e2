# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure rules of the exchanges: what is refused, rights, allow-list, tasks, settings, retention."""

from __future__ import annotations

import base64
import copy
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange import (
    checks,
    firewall,
    plan,
    retention,
    rights,
    scheduled,
    settings,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.exchange.observed import (
    Folder,
    Observation,
    Principal,
    Profile,
    Rule,
    Task,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError

SID = "S-1-5-21-1-2-3-1105"
GROUP = "S-1-5-21-1-2-3-1106"
ACCOUNT = "ORDRE\\gmsa-ans$"
THUMBPRINT = "AB" * 20


def host_key(seed, kind="ssh-ed25519"):
    blob = len(kind).to_bytes(4, "big") + kind.encode() + (32).to_bytes(4, "big") + bytes([seed]) * 32
    return f"{kind} {base64.b64encode(blob).decode()}"


KEY = host_key(1)
VALUES = {
    "service_account": ACCOUNT,
    "script": "exit 0\n",
    "metrics_directory": "C:\\Mesures",
    "identities": ["cle"],
    "headers": ["annuaire"],
    "certificates": [
        {"name": "auth", "thumbprint": THUMBPRINT, "subject": "CN=ORG", "not_after": "2028-01-01T00:00:00Z"}
    ],
    "flows": [
        {
            "name": "depot",
            "protocol": "sftp",
            "host": "sftp.ans.example",
            "addresses": ["192.0.2.21"],
            "user": "ordre",
            "identity": "cle",
            "host_keys": [f"{KEY} commentaire"],
            "remote_path": "depot",
            "principals": ["ORDRE\\GG-Depot"],
            "max_age_hours": 24,
            "retention_days": 365,
        },
        {
            "name": "annuaire",
            "protocol": "https_mtls",
            "direction": "in",
            "host": "192.0.2.22",
            "certificate": "auth",
            "remote_path": "fhir/v2",
            "schedule": {"at": "05:00", "every_minutes": 0},
        },
    ],
}


def declare(flow=None, index=0, **changes):
    """The declaration, one flow of it and some of its variables changed."""
    values = copy.deepcopy(VALUES) | changes
    if flow is not None:
        values["flows"][index] |= flow
    return Declaration.read(values)


def observe(**changes):
    """A member of a domain that has nothing of the role yet."""
    values = {
        "hostname": "ANS01",
        "time": "2026-11-23T08:00:00Z",
        "version": "10.0.20348",
        "domain": "ordre.example",
        "dns_servers": ("10.42.0.11",),
        "principals": (Principal(ACCOUNT, SID), Principal("ORDRE\\GG-Depot", GROUP)),
        "profiles": tuple(Profile(name) for name in ("domain", "private", "public")),
    }
    return Observation(**(values | changes))


def refused(declared, found=None, *, check=False):
    return plan.plan(declared, found or observe(), check=check, language="en")["problems"]


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_sound_declaration_is_not_refused():
    assert refused(declare()) == []


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        ({"host_keys": []}, "ans_exchange_flows[0].host_keys: missing"),
        ({"host_keys": ["ssh-ed25519 AAAA"]}, "ans_exchange_flows[0].host_keys[0]: not a public key"),
        (
            {"host_keys": [KEY.replace("ssh-ed25519", "ssh-rsa")]},
            "ans_exchange_flows[0].host_keys[0]: not a public key",
        ),
        ({"user": "a b"}, "ans_exchange_flows[0].user: 'a b' is no user name"),
        ({"identity": "autre"}, "ans_exchange_flows[0].identity: 'autre' is not among ans_exchange_identities"),
        ({"addresses": []}, "ans_exchange_flows[0].addresses: missing"),
        ({"addresses": ["ans.example"]}, "ans_exchange_flows[0].addresses: 'ans.example' is no address"),
        ({"name": "Dépôt"}, "ans_exchange_flows[0].name: 'Dépôt': lower-case letters"),
        ({"name": "annuaire"}, "ans_exchange_flows[1].name: 'annuaire' is there twice"),
        ({"host": "a;b"}, "ans_exchange_flows[0].host: 'a;b' is no host name"),
        ({"remote_path": "../x"}, "ans_exchange_flows[0].remote_path: '../x'"),
        ({"remote_path": 'a" b'}, "ans_exchange_flows[0].remote_path"),
        ({"schedule": {"at": "24:00"}}, "ans_exchange_flows[0].schedule.at: HH:MM"),
        ({"schedule": {"every_minutes": 1440}}, "ans_exchange_flows[0].schedule.every_minutes: 0 to 1439"),
        (
            {"directories": {"outbox": "C:\\Temp"}},
            "ans_exchange_flows[0].directories.outbox: C:\\Temp lies outside C:\\ANS",
        ),
        ({"directories": {"archive": "..\\ANS2"}}, "ans_exchange_flows[0].directories.archive"),
        ({"directories": {"archive": "flows\\annuaire\\archive"}}, "is depot.archive's already"),
        ({"principals": ["ORDRE\\personne"]}, "ans_exchange_flows[0].principals: ANS01 knows no"),
    ],
)
def test_a_flow_is_refused_by_the_path_of_its_key(flow, words):
    assert any(words in sentence for sentence in refused(declare(flow))), refused(declare(flow))


@pytest.mark.parametrize(
    ("changes", "found", "words"),
    [
        ({"service_account": "gmsa-ans"}, {}, "ans_exchange_service_account: 'gmsa-ans' is no group managed"),
        ({"root": "ANS"}, {}, "ans_exchange_root: 'ANS' must be an absolute path"),
        ({"root": "C:\\Mes flux"}, {}, "ans_exchange_root"),
        ({"identities": ["cle", "CLE"]}, {}, "ans_exchange_identities[1].name"),
        ({"outbound": [{"name": "a", "addresses": ["a.example"]}]}, {}, "ans_exchange_outbound[0].addresses"),
        ({"dns_servers": ["192.0.2.53"]}, {}, "ans_exchange_dns_servers: ANS01 asks 10.42.0.11"),
        ({}, {"dns_servers": ()}, "ans_exchange_domain_controllers: empty: ANS01 would lose its domain ordre.example"),
        ({}, {"principals": ()}, "ans_exchange_service_account: ANS01 does not know ORDRE\\gmsa-ans$"),
        ({}, {"version": "10.0.14393"}, "ans_exchange_accept_unsupported_os: ANS01 runs Windows Server 2016"),
        ({}, {"version": "10.0.14393"}, "ends on 2027-01-12, in 50 days"),
        ({"accept_unsupported_os": True}, {"version": "10.0.9600"}, "which this collection does not know"),
        ({"certificates": []}, {}, "ans_exchange_flows[1].certificate: 'auth' is not among"),
        ({"certificates": [{"name": "auth"}]}, {}, "ans_exchange_certificates[0].source: auth: there is no such file"),
        ({}, {"time": "2028-01-01T00:00:00Z"}, "ans_exchange_certificates[0]: auth (CN=ORG) expired on 2028-01-01"),
    ],
)
def test_a_server_is_refused_by_the_path_of_the_variable(changes, found, words):
    sentences = refused(declare(**changes), observe(**found))
    assert any(words in sentence for sentence in sentences), sentences


def test_an_accepted_system_is_counted_down():
    found = observe(version="10.0.14393")
    made = plan.plan(declare(accept_unsupported_os=True), found, language="fr")
    assert made["problems"] == []
    assert made["notices"] == ["ANS01 : Windows Server 2016 n'a plus que 50 jours de support (fin le 2027-01-12)"]


def test_check_mode_foresees_what_waits_for_an_account():
    made = plan.plan(declare(), observe(principals=()), check=True, language="en")
    assert made["problems"] == []
    assert made["account_known"] is False
    assert [task["foreseen"] for task in made["tasks"]] == [True, True]
    assert any("not known yet" in sentence for sentence in made["notices"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"flow": {"hots": "x"}}, "ans_exchange_flows[0].hots: unknown key"),
        ({"flow": {"schedule": {"every_minutes": "quinze"}}}, "ans_exchange_flows[0].schedule.every_minutes: a whole"),
        ({"flow": {"host_keys": "x"}}, "ans_exchange_flows[0].host_keys: a list is expected"),
        ({"flow": {"enabled": "peut-être"}}, "ans_exchange_flows[0].enabled: true or false"),
        ({"outbound": [{"ports": "1"}]}, "ans_exchange_outbound[0].name: missing"),
    ],
)
def test_a_wrong_type_or_an_unknown_key_is_refused_by_its_path(values, words):
    with pytest.raises(ShapeError, match="^" + words.replace("[", "\\[")):
        declare(**values)


def test_sentences_are_in_both_languages():
    declared = declare({"host_keys": [], "addresses": []})
    french = plan.plan(declared, observe(principals=()), language="fr")["problems"]
    assert len(french) == len(refused(declared, observe(principals=())))
    assert all(" : " in sentence for sentence in french)


# -- rights ----------------------------------------------------------------------------------------------------------


def wanted(path, declared=None):
    return next(want for want in rights.wanted(declared or declare(), observe()) if want.path == path)


def test_the_account_changes_files_of_flows_only():
    held = {want.path: {ace.sid: ace.rights for ace in want.aces} for want in rights.wanted(declare(), observe())}
    assert held["C:\\ANS\\etc"][SID] == held["C:\\ANS\\bin"][SID] == rights.READ
    assert held["C:\\ANS\\flows\\depot\\outbox"] == {
        rights.SYSTEM: rights.FULL,
        rights.ADMINISTRATORS: rights.FULL,
        SID: rights.MODIFY,
        GROUP: rights.MODIFY,
    }
    assert GROUP not in held["C:\\ANS\\flows\\depot\\sending"]
    assert held["C:\\ANS\\etc\\identities\\cle"][SID] == rights.READ


SOUND = f"D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;{SID})"


@pytest.mark.parametrize(
    ("sddl", "fits"),
    [
        (SOUND, True),
        (SOUND.replace("PAI", "P"), True),
        (f"O:BAG:SYD:P(A;CIOI;0x1F01FF;;;BA)(A;OICI;0x1200a9;;;{SID})(A;OICI;FA;;;SY)S:AI", True),
        (SOUND.replace("PAI", "AI"), False),
        (SOUND + "(A;OICI;0x1301bf;;;BU)", False),
        (SOUND + "(A;OICIID;FA;;;SY)", False),
        (SOUND.replace("0x1200a9", "0x1301bf"), False),
        (SOUND.replace(f"(A;OICI;0x1200a9;;;{SID})", f"(D;OICI;0x1200a9;;;{SID})"), False),
        (SOUND.replace(f"(A;OICI;0x1200a9;;;{SID})", f"(A;OICIIO;0x1200a9;;;{SID})"), False),
        (SOUND.replace(f"(A;OICI;0x1200a9;;;{SID})", ""), False),
        ("", False),
    ],
)
def test_rights_are_compared_entry_by_entry(sddl, fits):
    assert rights.fits(wanted("C:\\ANS\\etc"), Folder("C:\\ANS\\etc", exists=True, sddl=sddl)) is fits


def test_what_others_have_beside_does_not_matter_where_it_is_not_exact():
    want = wanted("C:\\Mesures")
    assert rights.fits(want, Folder("C:\\Mesures", exists=True, sddl=f"D:AI(A;OICI;FA;;;{SID})(A;OICI;FA;;;SY)"))
    assert not rights.fits(want, Folder("C:\\Mesures", exists=True, sddl="D:AI(A;OICI;FA;;;SY)"))


# -- the allow-list --------------------------------------------------------------------------------------------------


def as_rule(item, **changes):
    values = {
        "name": item["name"],
        "protocol": item["protocol"],
        "remote_ports": item["remoteport"],
        "remote_addresses": item["remoteip"].replace("any", "*"),
        "profiles": firewall.PROFILES,
    }
    return Rule(**(values | changes))


def test_the_allow_list_has_what_the_server_lives_by():
    items = {item["name"].partition(": ")[2]: item for item in firewall.rules(declare(), observe())}
    assert set(items) == {
        *("DNS udp", "DNS tcp", "domaine tcp", "domaine udp", "heure", "révocation"),
        *("flux depot", "flux annuaire"),
    }
    assert (items["flux depot"]["remoteport"], items["flux depot"]["remoteip"]) == ("22", "192.0.2.21")
    assert items["flux annuaire"]["remoteip"] == "192.0.2.22"
    assert items["domaine tcp"]["remoteip"] == items["heure"]["remoteip"] == "10.42.0.11"
    assert items["révocation"]["remoteip"] == "any"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"enabled": False}, "enabled"),
        ({"direction": "in"}, "action"),
        ({"action": "block"}, "action"),
        ({"protocol": "udp"}, "protocol"),
        ({"remote_ports": "22,23"}, "ports"),
        ({"remote_addresses": "*"}, "addresses"),
        ({"profiles": ("domain",)}, "profiles"),
    ],
)
def test_a_rule_that_differs_is_written_again_and_says_why(changes, why):
    items = firewall.rules(declare(), observe())
    sound = [as_rule(item) for item in items]
    assert firewall.rules(declare(), observe(rules=tuple(sound))) == []
    number = next(index for index, item in enumerate(items) if item["name"].endswith("flux depot"))
    sound[number] = as_rule(items[number], **changes)
    assert [item["label"] for item in firewall.rules(declare(), observe(rules=tuple(sound)))] == [
        f"Infogerance ANS: flux depot ({why})"
    ]


def test_a_stray_rule_goes_away_unless_it_may_stay():
    stray = Rule("Infogerance ANS: autre")
    sound = (*(as_rule(item) for item in firewall.rules(declare(), observe())), stray)
    assert [item["state"] for item in firewall.rules(declare(), observe(rules=sound))] == ["absent"]
    assert firewall.rules(declare(purge=False), observe(rules=sound)) == []


def test_the_block_is_turned_on_where_one_profile_is_open():
    closed = tuple(Profile(name, outbound_action="block") for name in firewall.PROFILES)
    assert firewall.block(declare(), observe(profiles=closed)) == []
    opened = (closed[0], Profile("public", enabled=False, outbound_action="block"))
    assert [item["label"] for item in firewall.block(declare(), observe(profiles=opened))] == ["outbound (public)"]
    assert firewall.block(declare(firewall=False), observe()) == []


# -- tasks -----------------------------------------------------------------------------------------------------------


def definition(want, **changes):
    values = {name: getattr(want, name) for name in ("command", "arguments", "account", "start", "interval")} | changes
    repetition = f"<Repetition><Interval>{values['interval']}</Interval></Repetition>" if values["interval"] else ""
    arguments = values["arguments"].replace('"', "&quot;")
    return (
        f"<Task><Triggers><CalendarTrigger>{repetition}<StartBoundary>{values['start']}</StartBoundary></CalendarTrigger>"
        f"</Triggers><Principals><Principal><UserId>{values['account']}</UserId><LogonType>Password</LogonType></Principal>"
        f"</Principals><Settings><Enabled>{changes.get('enabled', 'true')}</Enabled>"
        f"<ExecutionTimeLimit>PT1H</ExecutionTimeLimit></Settings>"
        f"<Actions><Exec><Command>{values['command']}</Command><Arguments>{arguments}</Arguments></Exec></Actions></Task>"
    )


def test_a_task_is_read_as_it_was_written():
    want = scheduled.wanted(declare(), declare().flows[0], SID)
    assert scheduled.parse(definition(want)) == want


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"enabled": "false"}, "enabled"),
        ({"account": "S-1-5-18"}, "account"),
        ({"interval": "PT1H"}, "interval"),
        ({"start": "2026-01-01T01:00:00"}, "start"),
        ({"command": "cmd.exe"}, "command"),
        ({"arguments": "-File x"}, "arguments"),
    ],
)
def test_a_task_that_differs_says_why(changes, why):
    flow = declare().flows[0]
    task = Task(flow.name, definition(scheduled.wanted(declare(), flow, SID), **changes))
    (item,) = [
        item
        for item in scheduled.tasks(declare(), observe(tasks=(task,)), account_known=True)
        if item["name"] == flow.name
    ]
    assert item["label"] == f"depot ({why})"


def test_a_second_action_is_seen():
    flow = declare().flows[0]
    text = definition(scheduled.wanted(declare(), flow, SID))
    doubled = text.replace("</Exec>", "</Exec><Exec><Command>cmd.exe</Command></Exec>")
    assert scheduled.parse(doubled) != scheduled.parse(text)


def test_tasks_of_flows_that_went_away_go_away_too():
    task = Task("parti", "<Task/>")
    states = {
        item["name"]: item["state"] for item in scheduled.tasks(declare(), observe(tasks=(task,)), account_known=True)
    }
    assert states == {"depot": "present", "annuaire": "present", "parti": "absent"}
    kept = scheduled.tasks(declare(purge=False), observe(tasks=(task,)), account_known=True)
    assert "parti" not in {item["name"] for item in kept}


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, ""), (15, "PT15M"), (60, "PT1H"), (90, "PT1H30M"), (1439, "PT23H59M")]
)
def test_intervals_are_written_as_the_scheduler_does(minutes, text):
    assert scheduled.interval(minutes) == text


# -- settings --------------------------------------------------------------------------------------------------------


def test_settings_hold_no_secret_and_all_decisions():
    values = json.loads(settings.configuration(declare()))
    depot, annuaire = values["flows"]
    assert depot["arguments"][-1] == "ordre@sftp.ans.example"
    assert "StrictHostKeyChecking=yes" in depot["arguments"]
    assert "UserKnownHostsFile=C:\\ANS\\etc\\known_hosts" in depot["arguments"]
    assert depot["remote"] == "depot/"
    assert annuaire["url"] == "https://192.0.2.22/fhir/v2"
    assert annuaire["thumbprint"] == THUMBPRINT
    assert annuaire["drop"] == "C:\\ANS\\flows\\annuaire\\inbox"


def test_settings_are_no_dictionary_to_ansible():
    assert settings.configuration(declare()).startswith("\n{")


def test_what_is_sent_over_https_is_put_below_the_path():
    declared = declare({"direction": "out", "port": 8443}, index=1)
    assert json.loads(settings.configuration(declared))["flows"][1]["url"] == "https://192.0.2.22:8443/fhir/v2/"


@pytest.mark.parametrize(("port", "place"), [(0, "sftp.ans.example"), (2222, "[sftp.ans.example]:2222")])
def test_known_hosts_have_the_port_where_it_is_another(port, place):
    assert settings.known_hosts(declare({"port": port})) == f"{place} {KEY}\n"


def test_an_altered_file_is_written_again():
    made = {entry["label"]: entry for entry in settings.files(declare(), observe())}
    assert set(made) == {"Invoke-AnsExchange.ps1 (create)", "exchange.json (create)", "known_hosts (create)"}
    assert all(entry["foreseen"] for entry in made.values())


# -- retention -------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
AGES = st.lists(st.integers(min_value=0, max_value=4000).map(lambda hours: NOW - timedelta(hours=hours)))


@given(AGES, st.integers(min_value=0, max_value=150))
def test_archives_go_by_their_age_alone(moments, days):
    gone = retention.expired(moments, NOW, days)
    kept = [moment for moment in moments if moment not in gone]
    assert all(NOW - moment > timedelta(days=days) for moment in gone)
    assert not days or all(NOW - moment <= timedelta(days=days) for moment in kept)
    assert days or not gone
    # Pruning twice is pruning once, and a day later nothing comes back.
    assert retention.expired(kept, NOW, days) == []
    assert set(gone) <= set(retention.expired(moments, NOW + timedelta(days=1), days))


@given(AGES.filter(bool), st.integers(min_value=1, max_value=150))
def test_nothing_is_overdue_after_a_run_of_the_last_day(moments, days):
    kept = set(moments) - set(retention.expired(moments, NOW - timedelta(hours=23), days))
    assert not any(retention.overdue(moment, NOW, days) for moment in kept)


def test_host_keys_are_judged_by_what_they_encode():
    assert checks.is_host_key(KEY)
    assert not checks.is_host_key("ssh-ed25519")
    assert not checks.is_host_key("ssh-ed25519 pas-du-base64!")
