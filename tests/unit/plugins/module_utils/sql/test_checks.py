# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declarations that are refused before anything is touched, by the path of the key, in both languages."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.filter.sql_server import FilterModule

FILTERS = FilterModule().filters()
GOOD = {"sysadmins": ["S-1-5-32-544"], "source_path": "D:\\"}
STATE = {
    "time": "2026-11-23T12:00:00Z",
    "hostname": "sql01",
    "memory_megabytes": 8192,
    "processors": 4,
    "principals": [{"asked": "S-1-5-32-544", "name": "BUILTIN\\Administrateurs", "sid": "S-1-5-32-544"}],
}
SUM = "0" * 64
SOLUTION = {"source": "m.zip", "checksum": SUM, "version": "2025-01-19 10:33:13"}


def problems(language="en", **values):
    return FILTERS["sql_server_plan"]({**GOOD, **values}, STATE, language=language)["problems"]


def test_the_least_declaration_is_accepted_and_the_plan_is_json():
    found = FILTERS["sql_server_plan"](GOOD, STATE)
    assert found["problems"] == []
    assert json.loads(json.dumps(found)) == found
    assert found["setup"][0]["sysadmins"] == ["BUILTIN\\Administrateurs"]


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"instance": "1ORDRE"}, "sql_server_instance: '1ORDRE' is not the name"),
        ({"instance": "Default"}, "sql_server_instance: 'Default' is not the name"),
        ({"version": "2017"}, "sql_server_version: '2017' is not known"),
        ({"sysadmins": []}, "sql_server_sysadmins: empty"),
        ({"port": 70000}, "sql_server_port: 70000 is not a TCP port"),
        ({"login_audit": "some"}, "sql_server_login_audit: 'some' is none of"),
        ({"source_path": ""}, "sql_server_media: neither media nor source_path"),
        ({"media": {"source": "x.iso"}}, "sql_server_media: source and checksum go together"),
        ({"minimum_build": "15.0.4000.1"}, "sql_server_minimum_build: '15.0.4000.1' is not a build of SQL Server 2022"),
        ({"update": {"build": "16.0.1"}}, "sql_server_update.build: '16.0.1' is not a build"),
        (
            {"update": {"build": "16.0.4000.1", "kb": "KB1", "source": "x", "checksum": "y"}},
            "sql_server_update.checksum: 'y' is not a SHA-256",
        ),
        ({"memory_maximum_megabytes": 512, "memory_minimum_megabytes": 1024}, "sql_server_memory_minimum_megabytes"),
        ({"memory_maximum_megabytes": 9000}, "sql_server_memory_maximum_megabytes: 9000 is more than the server has"),
        ({"error_logs": 5}, "sql_server_error_logs: 5 is not in 6..99"),
        ({"tempdb": {"growth_megabytes": 0}}, "sql_server_tempdb.growth_megabytes: 0 is too small"),
        ({"databases": [{"name": "msdb"}]}, "sql_server_databases[0].name: 'msdb' is a system database"),
        ({"databases": [{"name": "A", "recovery_model": "full"}]}, "sql_server_databases[0].recovery_model: 'full'"),
        ({"databases": [{"name": "A"}, {"name": "a"}]}, "sql_server_databases: 'a' is there twice"),
        ({"databases": [{"name": "A", "users": [{"login": "X\\y"}]}]}, "sql_server_databases[0].users[0].login: 'X"),
        ({"logins": [{"name": "X\\y"}]}, "sql_server_logins[0].name: nobody is called"),
        ({"maintenance": {"source": "m.zip"}}, "sql_server_maintenance: source, checksum and version go together"),
        ({"maintenance": SOLUTION}, "sql_server_backup.directory: empty"),
        (
            {"maintenance": {**SOLUTION, "database": "DBA"}, "backup": {"directory": "C:\\b"}},
            "sql_server_maintenance.database: 'DBA' is neither master nor one of databases",
        ),
        ({"backup": {"full": {"time": "9h"}}}, "sql_server_backup.full.time: '9h' is not HH:MM"),
        ({"backup": {"log": {"every_minutes": 1440}}}, "sql_server_backup.log.every_minutes: 1440 is not in 0..1439"),
        ({"jobs": [{"name": "a", "command": "x", "schedule": {"day": "Never"}}]}, "sql_server_jobs[0].schedule.day"),
        ({"alert_severities": [26]}, "sql_server_alert_severities[0]: 26 is not in 1..25"),
        ({"alert_operator": "X"}, "sql_server_alert_operator: 'X' is none of operators"),
        (
            {"alert_operator": "X", "operators": [{"name": "x", "email": "x@y"}]},
            "sql_server_alert_operator: without mail nobody would be told",
        ),
        ({"configuration": [{"name": "a", "value": 1}, {"name": "A", "value": 0}]}, "sql_server_configuration: 'a'"),
    ],
)
def test_what_is_wrong_is_said_by_its_path(values, start):
    found = problems(**values)
    assert any(text.startswith(start) for text in found), found
    assert len(problems("fr", **values)) == len(found)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"databases": [{"nom": "A"}]}, "sql_server_databases[0].nom: unknown key"),
        ({"databases": [{}]}, "sql_server_databases[0].name: missing"),
        ({"tempdb": {"files": "many"}}, "sql_server_tempdb.files: a whole number is expected"),
        ({"mail": {"account": "a"}}, "sql_server_mail.address: missing"),
        ({"backup": {"full": "21:00"}}, "sql_server_backup.full: a mapping is expected"),
    ],
)
def test_a_wrong_shape_is_refused_by_its_path(values, message):
    with pytest.raises(AnsibleFilterError, match="^" + message.replace("[", r"\[").replace(".", r"\.")):
        problems(**values)


def test_the_port_of_another_instance_is_refused():
    state = {**STATE, "others": [{"name": "ORDRE", "port": "1433"}]}
    found = FILTERS["sql_server_plan"](GOOD, state, language="en")["problems"]
    assert found == ["sql_server_port: 1433 is the port of the instance ORDRE of the same server; choose another"]


def test_who_is_no_administrator_is_told_so():
    state = {**STATE, "installed": True, "answers": True, "account": "SQL01\\x", "build": "16.0.1000.6"}
    found = FILTERS["sql_server_plan"](GOOD, state, language="en")["problems"]
    assert found == ["sql_server_sysadmins: SQL01\\x is not a sysadmin of MSSQLSERVER: let one add it"]
