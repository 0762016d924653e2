# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no module settles, as statements: alerts' state and addressees, and the groups that the audit records."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.filter.sql_server import FilterModule

plan_of = FilterModule().filters()["sql_server_plan"]

OPERATOR = {"name": "Infogerance", "email": "exploitation@ordre.example"}
DECLARED = {
    "sysadmins": ["S-1-5-32-544"],
    "source_path": "D:\\",
    "operators": [OPERATOR],
    "mail": {"account": "Infogerance", "address": "sql01@ordre.example", "server": "smtp.ordre.example"},
    "alert_operator": "Infogerance",
    "alert_severities": [19],
    "audit": {"name": "Journal d'audit", "groups": ["FAILED_LOGIN_GROUP", "AUDIT_CHANGE_GROUP"]},
}
ALERT = {"name": "Severity 019", "severity": 19, "message": 0, "enabled": True, "operators": ["INFOGERANCE"]}
AUDIT = {
    "name": "Journal d'audit",
    "enabled": True,
    "specification": "Ancienne",
    "groups": ["audit_change_group", "FAILED_LOGIN_GROUP"],
}


def statements(**found):
    state = {
        "time": "2026-11-23T12:00:00Z",
        "hostname": "sql01",
        "memory_megabytes": 8192,
        "processors": 2,
        "installed": True,
        "answers": True,
        "administrator": True,
        "operators": [OPERATOR],
        "alerts": [ALERT],
        "audits": [AUDIT],
        **found,
    }
    return {item["label"]: item["statement"] for item in plan_of(DECLARED, state, language="en")["statements"]}


def test_what_is_as_declared_needs_no_statement():
    assert statements() == {}


@pytest.mark.parametrize(
    ("alert", "label", "words"),
    [
        ({"enabled": False}, "Severity 019 (enabled)", "sp_update_alert] @name = N'Severity 019', @enabled = 1"),
        ({"operators": ["Autre"]}, "Severity 019 (Infogerance)", "@operator_name = N'Infogerance'"),
    ],
)
def test_an_alert_that_is_off_or_tells_nobody_is_set_right(alert, label, words):
    found = statements(alerts=[ALERT | alert])
    assert list(found) == [label]
    assert words in found[label]


def test_an_audit_that_is_missing_is_made_started_and_specified():
    found = statements(audits=[])
    assert list(found) == [f"Journal d'audit ({what})" for what in ("create", "enabled", "groups")]
    assert "CREATE SERVER AUDIT [Journal d'audit] TO APPLICATION_LOG" in found["Journal d'audit (create)"]
    added = "ADD (FAILED_LOGIN_GROUP), ADD (AUDIT_CHANGE_GROUP) WITH (STATE = ON)"
    assert found["Journal d'audit (groups)"].endswith(added)


def test_an_audit_that_is_stopped_is_started_only():
    assert list(statements(audits=[AUDIT | {"enabled": False}])) == ["Journal d'audit (enabled)"]


def test_groups_are_added_and_taken_in_the_specification_that_is_there():
    found = statements(audits=[AUDIT | {"groups": ["FAILED_LOGIN_GROUP", "BACKUP_RESTORE_GROUP"]}])
    changes = "ADD (AUDIT_CHANGE_GROUP), DROP (BACKUP_RESTORE_GROUP)"
    off, alter = found["Journal d'audit (groups)"].split("; ")
    assert off == "ALTER SERVER AUDIT SPECIFICATION [Ancienne] WITH (STATE = OFF)"
    assert alter == (
        f"ALTER SERVER AUDIT SPECIFICATION [Ancienne] FOR SERVER AUDIT [Journal d'audit] {changes} WITH (STATE = ON)"
    )
