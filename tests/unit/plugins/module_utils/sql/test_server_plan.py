# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs on an instance as a whole: what it cannot become, what waits for the restart, tempdb, its services."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.filter.sql_server import FilterModule
from ansible_collections.cnosf.infogerance.plugins.module_utils.sql.settings import HARDENED

plan_of = FilterModule().filters()["sql_server_plan"]

THUMBPRINT = "AB" * 20
ADMINISTRATORS = {"asked": "S-1-5-32-544", "name": "BUILTIN\\Administrateurs", "sid": "S-1-5-32-544"}
NETWORK = {
    "port": "1433",
    "force_encryption": True,
    "certificate": THUMBPRINT.lower(),
    "hidden": True,
    "tcp_enabled": True,
    "listening": [1433],
    "encrypted": True,
    "validated": True,
}
VALUES = {
    **{name: value for name, (value, _source) in HARDENED.items()},
    "max server memory (MB)": 5120,
    "min server memory (MB)": 0,
    "max degree of parallelism": 2,
    "cost threshold for parallelism": 50,
    "backup compression default": 1,
    "Database Mail XPs": 0,
}
STATIC = ("scan for startup procs",)


def option(name, value, in_use=None):
    return {
        "name": name,
        "value": value,
        "value_in_use": value if in_use is None else in_use,
        "is_dynamic": name not in STATIC,
        "minimum": 0,
        "maximum": 32767,
    }


def service(name, state="started", start="auto"):
    return {"name": name, "state": state, "start": start}


def file(name, size=256, growth=64, kind="ROWS"):
    extension = "ldf" if kind == "LOG" else "ndf"
    return {
        "name": name,
        "path": rf"T:\Temp\{name}.{extension}",
        "kind": kind,
        "size_megabytes": size,
        "growth_megabytes": growth,
    }


def state(**values):
    """An instance that is as a bare declaration wants it, and what a test changes of it."""
    network = NETWORK | values.pop("network", {})
    return {
        "time": "2026-11-23T12:00:00Z",
        "hostname": "sql01",
        "memory_megabytes": 8192,
        "processors": 2,
        "installed": True,
        "answers": True,
        "account": "SQL01\\ansible",
        "administrator": True,
        "id": "MSSQL16.MSSQLSERVER",
        "build": "16.0.4195.2",
        "login_audit": 2,
        "error_logs": 12,
        "principals": [ADMINISTRATORS],
        "services": [
            service("MSSQLSERVER"),
            service("SQLSERVERAGENT"),
            service("SQLBrowser", "stopped", "disabled"),
        ],
        "configuration": [option(name, value) for name, value in VALUES.items()],
        "logins": [
            {"name": "sa", "kind": "S", "sid": "0x01", "disabled": True},
            {
                "name": "BUILTIN\\Administrateurs",
                "kind": "G",
                "sid": "0x01020000000000052000000020020000",
                "disabled": False,
                "roles": ["sysadmin"],
            },
        ],
        "tempdb": [file("tempdev"), file("temp2"), file("templog", kind="LOG")],
        "network": network,
        **values,
    }


def found(seen=None, language="en", **declared):
    declared = {"sysadmins": ["S-1-5-32-544"], "source_path": "D:\\", **declared}
    return plan_of(declared, seen or state(), THUMBPRINT, language=language)


def labels(items):
    return [item["label"] for item in items]


def test_an_instance_that_is_as_declared_needs_nothing():
    assert {name for name, items in found().items() if items} == set()


# -- what it cannot become -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "seen", "start"),
    [
        ({"version": "2019"}, {}, "sql_server_version: MSSQLSERVER is build 16.0.4195.2"),
        (
            {"update": {"build": "16.0.4185.3", "kb": "KB1", "source": "u.exe", "checksum": "0" * 64}},
            {},
            "sql_server_update.build: 16.0.4185.3 is older than what is installed, 16.0.4195.2",
        ),
        (
            {},
            {"others": [{"name": "AUTRE", "port": "1433"}]},
            "sql_server_port: 1433 is the port of the instance AUTRE",
        ),
        (
            {"memory_maximum_megabytes": 9000},
            {},
            "sql_server_memory_maximum_megabytes: 9000 is more than the server has",
        ),
        ({"host": "sql.ordre.example"}, {}, "sql_server_host: 'sql.ordre.example' is not the server's own name, sql01"),
        ({"tempdb": {"files": 1}}, {}, "sql_server_tempdb.files: tempdb has 2"),
        ({"sysadmins": ["SQL01\\Personne"]}, {}, "sql_server_sysadmins: nobody is called 'SQL01\\\\Personne' here"),
        ({"logins": [{"name": "X\\y"}]}, {}, "sql_server_logins[0].name: nobody is called 'X\\\\y' here"),
        ({}, {"administrator": False}, "sql_server_sysadmins: SQL01\\ansible is not a sysadmin of MSSQLSERVER"),
        (
            {"configuration": [{"name": "xp_cmdshel", "value": 0}]},
            {},
            "sql_server_configuration[0].name: 'xp_cmdshel' is no option",
        ),
        (
            {"configuration": [{"name": "XP_CMDSHELL", "value": 0}, {"name": "remote access", "value": 40000}]},
            {},
            "sql_server_configuration[1].value: 40000 is not in 0..32767",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_cannot_become_is_refused_by_the_path(declared, seen, start):
    problems = found(state(**seen), **declared)["problems"]
    assert len(problems) == 1, problems
    assert problems[0].startswith(start)
    assert found(state(**seen), "fr", **declared)["problems"] != problems


def test_another_instance_on_another_port_is_left_alone():
    assert found(state(others=[{"name": "AUTRE", "port": "1434"}, {"name": "VIDE", "port": ""}]))["problems"] == []


@pytest.mark.parametrize("host", ["", "sql01", "SQL01.ordre.example", "Sql.Ordre.Example"])
def test_names_under_which_the_server_lets_itself_in_are_accepted(host):
    seen = state(hostname="sql01.ordre.example", back_connection=["sql.ordre.example"])
    assert found(seen, host=host)["problems"] == []


@pytest.mark.parametrize(
    ("declared", "problems"),
    [
        ({"logins": [{"name": "CNOSF\\GG-Informatique"}]}, 0),
        ({"logins": [{"name": "S-1-5-21-1-2-3-1104"}], "host": "sql01.ordre.example"}, 0),
        ({"service_account": "gmsa-sql$@ordre.example"}, 0),
        ({"logins": [{"name": "SQL01\\Personne"}], "host": "sql.ordre.example"}, 2),
        ({"logins": [{"name": "Personne"}, {"name": "BUILTIN\\Personne"}]}, 2),
    ],
)
def test_check_mode_does_not_miss_a_domain_that_the_server_joins_in_the_same_run(declared, problems):
    declared = {"sysadmins": ["S-1-5-32-544"], "source_path": "D:\\", **declared}
    assert len(plan_of(declared, state(), THUMBPRINT, foreseen=True)["problems"]) == problems
    assert len(plan_of(declared, state(), THUMBPRINT)["problems"]) >= max(problems, 1)
    member = state(hostname="sql01.autre.example")
    assert plan_of(declared, member, THUMBPRINT, foreseen=True)["problems"]


def test_a_new_server_is_not_asked_about_options_it_does_not_have_yet():
    bare = {name: state()[name] for name in ("time", "hostname", "memory_megabytes", "processors", "principals")}
    new = found(bare, configuration=[{"name": "anything", "value": 1}])
    assert new["problems"] == []
    assert new["setup"][0]["tempdb_files"] == 2
    assert "anything (1)" in labels(new["configuration"])
    assert all(item["foreseen"] for items in new.values() for item in items)


# -- update and registry -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "label"),
    [("16.0.4215.2", ["MSSQLSERVER (16.0.4195.2 -> 16.0.4215.2)"]), ("16.0.4195.2", [])],
)
def test_an_update_is_gated_on_the_build(build, label):
    update = {"build": build, "kb": "KB1", "source": "u.exe", "checksum": "0" * 64}
    assert labels(found(update=update)["cumulative_update"]) == label


def test_values_of_the_registry_are_written_together_and_those_read_at_the_start_make_it_restart():
    seen = state(network={"force_encryption": False, "port": "", "dynamic_port": "49200"}, error_logs=6)
    differences = found(seen)
    assert labels(differences["registry"]) == ["MSSQLSERVER (ForceEncryption, TcpPort, TcpDynamicPorts, NumErrorLogs)"]
    assert labels(differences["restart"]) == ["MSSQLSERVER (ForceEncryption, TcpPort, TcpDynamicPorts)"]


def test_how_many_logs_are_kept_needs_no_restart():
    differences = found(error_logs=20)
    assert labels(differences["registry"]) == ["MSSQLSERVER (NumErrorLogs)"]
    assert differences["restart"] == []


def test_the_agent_is_given_the_profile_of_the_mail():
    mail = {"account": "Infogerance", "address": "sql01@ordre.example", "server": "smtp.ordre.example"}
    differences = found(mail=mail)
    assert labels(differences["registry"]) == ["MSSQLSERVER (UseDatabaseMail, DatabaseMailProfile)"]
    assert differences["registry"][0]["entries"][1]["data"] == "Infogerance"
    held = {"agent_mail_profile": "Infogerance", "mail": [{**mail, "profile": "Infogerance", "port": 25}]}
    held["mail"][0]["display_name"] = mail["address"]
    assert found(state(**held), mail=mail)["registry"] == []


# -- the one restart -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"listening": [1500]}, "TcpPort"),
        ({"listening": []}, "TcpPort"),
        ({"encrypted": False}, "ForceEncryption"),
        ({"certificate_loaded": False}, "Certificate"),
    ],
)
def test_what_is_written_and_not_in_force_makes_it_restart(network, reason):
    differences = found(state(network=network))
    assert labels(differences["restart"]) == [f"MSSQLSERVER ({reason})"]
    assert differences["registry"] == []


@pytest.mark.parametrize(
    ("configured", "label"),
    [
        ("", []),
        ("2026-11-23T09:59:00Z", []),
        ("2026-11-23T10:01:00Z", ["MSSQLSERVER (Configured)"]),
        ("2026-11-23T18:00:00Z", []),  # a clock that went wrong
    ],
)
def test_a_run_that_was_killed_before_the_restart_is_made_good(configured, label):
    seen = state(started="2026-11-23T10:00:00Z", configured=configured)
    assert labels(found(seen)["restart"]) == label


def test_what_waits_for_the_restart_is_written_with_its_moment():
    entries = found(login_audit="all")["registry"][0]["entries"]
    assert [(entry["name"], entry["data"]) for entry in entries] == [
        ("AuditLevel", 3),
        ("Configured", "2026-11-23T12:00:00Z"),
    ]
    assert [entry["name"] for entry in found(error_logs=20)["registry"][0]["entries"]] == ["NumErrorLogs"]


def test_plain_connections_are_left_alone_where_they_are_allowed():
    seen = state(network={"force_encryption": False, "encrypted": False})
    assert found(seen, force_encryption=False)["restart"] == []


def test_a_static_option_waits_for_the_restart_and_a_dynamic_one_does_not():
    options = [option(name, value) for name, value in VALUES.items() if name not in STATIC]
    waiting = [*options, option("scan for startup procs", 0, in_use=1)]
    differences = found(state(configuration=waiting))
    assert labels(differences["restart"]) == ["MSSQLSERVER (scan for startup procs)"]
    assert differences["configuration"] == []
    dynamic = [one | {"value": 1, "value_in_use": 1} if one["name"] == "xp_cmdshell" else one for one in options]
    differences = found(state(configuration=[*dynamic, option("scan for startup procs", 0)]))
    assert labels(differences["configuration"]) == ["xp_cmdshell (0)"]
    assert differences["restart"] == []


def test_an_option_that_this_version_does_not_know_is_left_out():
    without = [option(name, value) for name, value in VALUES.items() if name != "external scripts enabled"]
    assert found(state(configuration=without))["configuration"] == []


# -- services --------------------------------------------------------------------------------------------------------


def test_services_run_as_declared_and_the_browser_only_when_asked():
    seen = state(services=[service("MSSQLSERVER"), service("SQLSERVERAGENT", "stopped", "manual")])
    assert labels(found(seen)["services"]) == ["SQLSERVERAGENT (start, state)"]
    there = [service("MSSQLSERVER"), service("SQLSERVERAGENT"), service("sqlbrowser", "started")]
    differences = found(state(services=there))["services"]
    assert [(item["name"], item["start"], item["state"]) for item in differences] == [
        ("SQLBrowser", "disabled", "stopped")
    ]
    assert found(state(services=there), browser=True)["services"] == []


# -- the folder of backups -------------------------------------------------------------------------------------------

ENGINE = "S-1-5-80-3880718306-3832830129-1677859214-2598158968-1052248003"
SOLUTION = {
    "maintenance": {"source": "m.zip", "checksum": "0" * 64, "version": "2025-01-19 10:33:13"},
    "backup": {"directory": r"D:\Sauvegardes"},
}
JOE = {"asked": "CNOSF\\gmsa-sql$", "name": "CNOSF\\gmsa-sql$", "sid": "S-1-5-21-1-2-3-1104"}


def folder(sid, rights="0x1301bf"):
    return {"exists": True, "sddl": f"D:AI(A;OICI;{rights};;;{sid})(A;OICIID;FA;;;BA)"}


@pytest.mark.parametrize(
    ("there", "label"),
    [
        ({}, [r"D:\Sauvegardes (create)"]),
        (folder("S-1-5-18"), [r"D:\Sauvegardes (rights)"]),
        (folder(ENGINE, "0x1200a9"), [r"D:\Sauvegardes (rights)"]),
        (folder(ENGINE), []),
        (folder(ENGINE, "FA"), []),
    ],
)
def test_the_engine_may_write_where_its_backups_go(there, label):
    items = found(state(backup_directory=there), **SOLUTION)["backup_folder"]
    assert labels(items) == label
    for item in items:
        assert item["arguments"]["entries"] == [{"sid": ENGINE, "rights": "modify"}]
        assert item["arguments"]["exact"] is False


def test_an_engine_under_an_account_of_the_directory_is_that_account():
    seen = state(principals=[ADMINISTRATORS, JOE], backup_directory=folder(ENGINE))
    items = found(seen, service_account=JOE["asked"], **SOLUTION)["backup_folder"]
    assert items[0]["arguments"]["entries"] == [{"sid": JOE["sid"], "rights": "modify"}]


def test_an_account_that_nobody_has_is_refused():
    problem = found(service_account="CNOSF\\personne$")["problems"][0]
    assert problem.startswith("sql_server_service_account: nobody is called 'CNOSF\\\\personne$' here")


def test_a_folder_of_backups_is_read_even_when_the_engine_does_not_run():
    stopped = state(answers=False)
    assert labels(found(stopped, **SOLUTION)["backup_folder"]) == [r"D:\Sauvegardes (create)"]


def test_the_rights_of_a_share_are_its_servers_matter():
    values = SOLUTION | {"backup": {"directory": r"\\nas01\sql"}}
    assert found(**values)["backup_folder"] == []
    declared = {"sysadmins": ["S-1-5-32-544"], **values}
    assert FilterModule().filters()["sql_server_request"](declared)["backup_directory"] == ""


# -- tempdb ----------------------------------------------------------------------------------------------------------


def test_tempdb_grows_and_gets_the_files_that_are_missing():
    seen = state(tempdb=[file("tempdev", size=8, growth=10), file("templog", size=512, growth=0, kind="LOG")])
    differences = found(seen, tempdb={"files": 3})["tempdb"]
    assert labels(differences) == [
        "tempdb tempdev (size)",
        "tempdb templog (growth)",
        "tempdb temp2 (create)",
        "tempdb temp3 (create)",
    ]
    statements = [item["statement"] for item in differences]
    assert statements[0] == "ALTER DATABASE [tempdb] MODIFY FILE (NAME = N'tempdev', SIZE = 256MB, FILEGROWTH = 64MB)"
    assert statements[1] == "ALTER DATABASE [tempdb] MODIFY FILE (NAME = N'templog', FILEGROWTH = 64MB)"
    assert statements[2].endswith(
        r"ADD FILE (NAME = N'temp2', FILENAME = N'T:\Temp\tempdb_mssql_2.ndf', SIZE = 256MB, FILEGROWTH = 64MB)"
    )


def test_tempdb_is_never_shrunk_nor_robbed_of_a_file():
    larger = [
        file("tempdev", size=4096),
        file("temp2", size=4096),
        file("temp3"),
        file("templog", size=900, kind="LOG"),
    ]
    assert found(state(tempdb=larger))["tempdb"] == []


def test_a_new_file_of_tempdb_takes_a_name_that_is_free():
    seen = state(tempdb=[file("tempdev"), file("temp3"), file("templog", kind="LOG")])
    assert labels(found(seen, tempdb={"files": 4})["tempdb"]) == ["tempdb temp2 (create)", "tempdb temp4 (create)"]
