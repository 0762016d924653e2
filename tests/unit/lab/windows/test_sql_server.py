# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL Server in the lab and the role's plan: converged in process, broken probe by probe, aged by the clock."""

from __future__ import annotations

import io
import shutil
import zipfile
from datetime import timedelta

import pytest

from lab.windows import publications
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.sql_server import BACK_CONNECTION, lets_itself_in
from lab.windows.hive import Registry
from lab.windows.server import ServerSpec, WindowsServer
from tests.unit.lab.windows.sql_estate import FOLDER, ZIP, Estate, trust

SOCKETS = r"HKLM:\SOFTWARE\Microsoft\Microsoft SQL Server\MSSQL16.MSSQLSERVER\MSSQLServer\SuperSocketNetLib"
TARGET = {"sql_instance": "sql01,1433"}
SPEC = ServerSpec()
"""Of a server that is made again from its folder: the state in it counts."""
FULL = "DatabaseBackup - USER_DATABASES - FULL"


@pytest.fixture
def fresh(make_server, clock):
    """A server with modules, media and archive, and no instance yet."""
    server = make_server("sql01", cpus=4, memory_mib=32768)
    trust(server)
    estate = Estate(server, clock)
    for name, version in (("SqlServerDsc", "17.5.1"), ("SqlServer", "21.1.18256"), ("dbatools", "2.5.5")):
        estate.call("community.windows.win_psmodule", {"name": name, "required_version": version})
    estate.call("ansible.windows.win_group", {"name": "GL-Application"})
    media = publications.by_url("https://media.example.org/sql2022/setup.exe")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("MaintenanceSolution.sql", "--// Version: 2025-01-19 10:33:13 //--")
    files = FileSystem(server)
    files.make_dir(r"C:\Sources")
    files.write(r"C:\Sources\setup.exe", media.content)
    files.write(ZIP, archive.getvalue())
    server.save()
    return estate


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Folder of a converged server, made by the first test that asks for one: converging takes a hundred calls."""
    return tmp_path_factory.mktemp("kept") / "sql01"


@pytest.fixture
def converged(kept, request, tmp_path, clock):
    """A server that is as it is declared."""
    if not kept.exists():
        estate = request.getfixturevalue("fresh")
        estate.converge()
        shutil.copytree(estate.server.home, kept)
        return estate
    shutil.copytree(kept, tmp_path / "copy")
    return Estate(WindowsServer("sql01", SPEC, tmp_path / "copy", clock), clock)


def restart(estate):
    estate.call(
        "ansible.windows.win_service", {"name": "MSSQLSERVER", "state": "restarted", "force_dependent_services": True}
    )


def test_a_second_look_finds_nothing_to_do(converged):
    found = converged.plan()
    assert {kind: items for kind, items in found.items() if items} == {}
    assert converged.failing() == []
    assert converged.converge() == 0


def test_a_fresh_server_needs_one_restart_and_is_told_what_will_be_made(fresh):
    found = fresh.plan()
    assert found["problems"] == []
    assert [item["label"] for item in found["setup"]] == ["MSSQLSERVER (create)"]
    assert [item["tempdb_files"] for item in found["setup"]] == [4]
    assert len(found["restart"]) == 1
    assert all(item["foreseen"] for kind in ("databases", "jobs", "alerts", "statements") for item in found[kind])
    options = {item["option"]: item["value"] for item in found["configuration"]}
    assert options["max server memory (MB)"] == 25 * 1024
    assert options["max degree of parallelism"] == 4
    assert options["xp_cmdshell"] == 0


def stop_agent(estate):
    estate.call("ansible.windows.win_service", {"name": "SQLSERVERAGENT", "state": "stopped"})


def fall_behind(estate):
    estate.declared["minimum_build"] = "16.0.4215.2"


def accept_plain(estate):
    Registry(estate.server).set(SOCKETS, "ForceEncryption", "dword", 0)
    restart(estate)


def lose_trust(estate):
    estate.server.section("certificates")["LocalMachine"]["Root"].clear()


def move_port(estate):
    Registry(estate.server).set(rf"{SOCKETS}\Tcp\IPAll", "TcpPort", "string", "1533")
    restart(estate)


def enable_sa(estate):
    estate.call("lowlydba.sqlserver.sa", {**TARGET, "enabled": True})


def suspect(estate):
    estate.instance()["databases"]["ordre"]["state"] = "SUSPECT"


def old_backup(estate):
    estate.instance()["databases"]["ordre"]["last_full"] = "2026-11-22T07:00:00Z"


def old_check(estate):
    estate.instance()["databases"]["annuaire"]["last_check"] = "2026-11-10T07:00:00Z"


def failed_command(estate):
    entry = {"time": "2026-11-23T07:00:00Z", "database": "Ordre", "command": "DBCC_CHECKDB", "message": "Msg 8928"}
    estate.instance()["command_log"].append(entry)


def remove_job(estate):
    estate.call("lowlydba.sqlserver.agent_job", {**TARGET, "job": FULL, "state": "absent"})


def disable_job(estate):
    estate.call("lowlydba.sqlserver.agent_job", {**TARGET, "job": FULL, "enabled": False})


def failed_job(estate):
    estate.instance()["jobs"][FULL.casefold()].update(last_outcome=0, last_run="2026-11-23T07:00:00Z")


@pytest.mark.parametrize(
    ("probe", "damage"),
    [
        ("services", stop_agent),
        ("build", fall_behind),
        ("encryption", accept_plain),
        ("encryption", lose_trust),
        ("port", move_port),
        ("sa", enable_sa),
        ("databases", suspect),
        ("backup", old_backup),
        ("integrity", old_check),
        ("command_log", failed_command),
        ("jobs", remove_job),
        ("jobs", disable_job),
        ("jobs", failed_job),
    ],
)
def test_each_probe_sees_its_own_subject_and_no_other_does(converged, probe, damage):
    damage(converged)
    converged.server.save()
    assert converged.failing() == [probe]


def test_every_probe_is_broken_by_some_test(converged):
    from ansible_collections.cnosf.infogerance.plugins.filter.sql_server import sql_server_health

    verdicts = sql_server_health(converged.declared, converged.state(), 24, 7)
    broken = {
        "services",
        "build",
        "encryption",
        "port",
        "sa",
        "databases",
        "backup",
        "integrity",
        "command_log",
        "jobs",
    }
    assert {verdict["probe"] for verdict in verdicts} == broken


def test_backups_and_checks_come_with_time(converged, clock):
    clock.forward(days=8)
    state = converged.state()
    databases = {one["name"]: one for one in state["databases"]}
    assert databases["Ordre"]["last_full"] == "2026-11-30T20:00:00Z"  # 21:00 in Paris
    assert databases["master"]["last_full"] == "2026-11-30T19:45:00Z"
    assert databases["Ordre"]["last_check"] == "2026-11-28T01:00:00Z"  # Saturday, 02:00 in Paris
    assert databases["Ordre"]["last_log"] == "2026-12-01T08:00:00Z"
    assert databases["Annuaire"]["last_log"] == ""  # the simple model has no backups of the log
    assert converged.failing() == []


def test_an_agent_that_is_stopped_runs_nothing(converged, clock):
    stop_agent(converged)
    clock.forward(days=9)
    assert converged.failing() == ["services", "backup", "integrity"]
    assert converged.instance()["databases"]["ordre"]["last_full"] == ""


def test_a_backup_without_its_folder_fails_and_is_logged(converged, clock):
    FileSystem(converged.server).remove(FOLDER)
    clock.forward(days=1)
    assert converged.failing() == ["command_log", "jobs"]
    clock.forward(days=1)
    assert "backup" in converged.failing()


def take_rights(estate):
    """Take from the engine the right to write where its backups go."""
    values = {"path": FOLDER, "user": r"NT SERVICE\MSSQLSERVER", "rights": "Modify", "type": "allow", "state": "absent"}
    assert estate.call("ansible.windows.win_acl", values)["changed"]


def test_a_backup_that_may_not_be_written_fails_and_is_logged(converged, clock):
    take_rights(converged)
    clock.forward(days=1)
    assert converged.failing() == ["command_log", "jobs"]
    assert "error 5" in converged.instance()["command_log"][-1]["message"]


def test_a_younger_database_has_time_for_its_first_backup(converged, clock):
    clock.forward(days=3)
    assert converged.failing() == []
    converged.declared["databases"].append({"name": "Neuve"})
    converged.converge()
    assert converged.failing() == []


DRIFTS = {
    "jobs": remove_job,
    "sa": enable_sa,
    "services": stop_agent,
    "backup_folder": take_rights,
    "registry": accept_plain,
    "databases": lambda estate: estate.call(
        "lowlydba.sqlserver.database", {**TARGET, "database": "Ordre", "recovery_model": "Simple"}
    ),
    "logins": lambda estate: estate.call(
        "lowlydba.sqlserver.login", {**TARGET, "login": r"SQL01\GL-Application", "state": "absent"}
    ),
    "statements": lambda estate: estate.call(
        "lowlydba.sqlserver.nonquery",
        {**TARGET, "database": "master", "nonquery": "ALTER SERVER AUDIT [Infogerance] WITH (STATE = OFF)"},
    ),
    "users": lambda estate: estate.call(
        "lowlydba.sqlserver.user",
        {
            **TARGET,
            "database": "Ordre",
            "username": r"SQL01\GL-Application",
            "login": r"SQL01\GL-Application",
            "state": "absent",
        },
    ),
}


@pytest.mark.parametrize("kind", sorted(DRIFTS))
def test_drift_is_found_named_and_repaired(converged, kind):
    DRIFTS[kind](converged)
    found = converged.plan()
    assert found[kind], kind
    assert all(item["label"] for item in found[kind])
    converged.converge()
    assert {name: items for name, items in converged.plan().items() if items} == {}


def test_the_module_refuses_a_certificate_that_nobody_trusts(converged, run):
    lose_trust(converged)
    converged.server.save()
    result = run(converged.server, "lowlydba.sqlserver.sa", {**TARGET, "enabled": False}, fails=True)
    assert "certificate chain" in result["msg"]


def test_a_server_lets_itself_in_under_its_own_names_and_those_that_are_listed(converged):
    server = converged.server
    assert lets_itself_in(server, "SQL01")
    assert not lets_itself_in(server, "sql.ordre.example")
    value = {"name": "BackConnectionHostNames", "data": ["SQL.ordre.example"], "type": "multistring"}
    converged.call("ansible.windows.win_regedit", {"path": BACK_CONNECTION, **value})
    assert lets_itself_in(server, "sql.ordre.example")
    assert converged.state()["back_connection"] == ["SQL.ordre.example"]


def test_system_is_no_administrator_of_the_instance(converged, run):
    option = {"InstanceName": "MSSQLSERVER", "OptionName": "xp_cmdshell", "OptionValue": 1}
    args = {"resource_name": "SqlConfiguration", **option}
    assert "connect" in run(converged.server, "ansible.windows.win_dsc", args, fails=True)["msg"]


def test_statements_that_are_not_modelled_are_refused(converged, run):
    args = {**TARGET, "database": "master", "nonquery": "DROP DATABASE [Ordre]"}
    result = run(converged.server, "lowlydba.sqlserver.nonquery", args, fails=True)
    assert "The lab does not understand" in result["msg"]


def test_a_static_option_waits_for_the_restart(converged):
    option = converged.instance()["configuration"]["remote access"]
    option.update(value=1, value_in_use=1)
    found = converged.plan()
    assert [item["label"] for item in found["configuration"]] == ["remote access (0)"]
    assert [item["label"] for item in found["restart"]] == ["MSSQLSERVER (remote access)"]
    option["value"] = 0  # a run that was cut short before its restart
    assert converged.plan()["configuration"] == []
    assert [item["label"] for item in converged.plan()["restart"]] == ["MSSQLSERVER (remote access)"]


def test_an_update_raises_the_build_and_wants_a_reboot(converged, run):
    url = "https://media.example.org/sql2022/SQLServer2022-KB5065865-x64.exe"
    FileSystem(converged.server).write(r"C:\Sources\cu.exe", publications.by_url(url).content)
    converged.server.save()
    converged.declared["update"] = {"build": "16.0.4215.2", "kb": "KB5065865", "source": url, "checksum": "0" * 64}
    assert [item["label"] for item in converged.plan()["cumulative_update"]] == [
        "MSSQLSERVER (16.0.1000.6 -> 16.0.4215.2)"
    ]
    args = {"path": r"C:\Sources\cu.exe", "product_id": "KB5065865", "arguments": "/quiet /action=patch"}
    assert run(converged.server, "ansible.windows.win_package", args)["reboot_required"] is True
    assert converged.plan()["cumulative_update"] == []
    assert converged.failing() == []
    converged.declared["update"]["build"] = "16.0.4195.2"
    assert "older than what is installed" in converged.plan()["problems"][0]


def test_an_engine_that_is_stopped_tells_nothing_of_its_contents(converged):
    converged.call(
        "ansible.windows.win_service", {"name": "MSSQLSERVER", "state": "stopped", "force_dependent_services": True}
    )
    found = converged.plan()
    assert [item["name"] for item in found["services"]] == ["MSSQLSERVER", "SQLSERVERAGENT"]
    assert {kind for kind, items in found.items() if items} == {"services"}


def test_undeclared_logins_go_only_when_asked(converged):
    converged.call("lowlydba.sqlserver.login", {**TARGET, "login": r"SQL01\Invité"})
    assert converged.plan()["logins"] == []
    converged.declared["logins_purge"] = True
    assert [(item["login"], item["state"]) for item in converged.plan()["logins"]] == [(r"SQL01\Invité", "absent")]


def test_the_probe_writes_nothing_in_check_mode(converged, clock, run):
    clock.forward(days=2)
    run(converged.server, "cnosf.infogerance.sql_server_info", {"host": "sql01"}, check=True)
    assert converged.server.now() - timedelta(days=1) > clock.moment - timedelta(days=2)
