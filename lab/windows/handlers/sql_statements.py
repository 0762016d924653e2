# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Transact-SQL that the lab understands: tempdb's files, notifications, audits, and what people do by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.windows.registry import Call, ModuleFailure, NotSimulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.windows.handlers.sql_server import Instance

_NAME = r"\[(?P<{0}>(?:[^\]]|\]\])+)\]"
_TEXT = r"N?'(?P<{0}>(?:[^']|'')*)'"
_SIZE = r"SIZE = (?P<size>\d+)MB"
_GROWTH = r"FILEGROWTH = (?P<growth>\d+)MB"
_GROUP = re.compile(r"(?P<verb>ADD|DROP) \((?P<group>\w+)\)")

Values = dict[str, str]


def execute(call: Call, instance: Instance, database: str, text: str) -> None:
    """Run statements separated by ``; ``; in check mode they are parsed only, as with NOEXEC.

    Raises:
        NotSimulated: a statement is none of those that are modelled.
        ModuleFailure: the engine refuses one.
    """
    for statement in (part.strip() for part in text.rstrip("; \n").split("; ")):
        for pattern, place, action in _STATEMENTS:
            match = pattern.fullmatch(statement)
            if match is None or place not in {"", database}:
                continue
            values = {
                name: value.replace("''", "'").replace("]]", "]")
                for name, value in match.groupdict().items()
                if value is not None
            }
            if not call.check:
                action(instance, values)
            break
        else:
            raise NotSimulated(f"The lab does not understand this Transact-SQL in {database}: {statement}")


def _fail(message: str) -> ModuleFailure:
    return ModuleFailure(f"Executing nonquery failed. {message}")


def _modify_file(instance: Instance, values: Values) -> None:
    file = next((one for one in instance["tempdb"] if one["name"] == values["file"]), None)
    if file is None:
        raise _fail(f"MODIFY FILE failed. File '{values['file']}' does not exist.")
    size = int(values.get("size", file["size_megabytes"]))
    if "size" in values and size <= file["size_megabytes"]:
        raise _fail("MODIFY FILE failed. Specified size is less than or equal to current size.")
    file.update(size_megabytes=size, growth_megabytes=int(values["growth"]))


def _add_file(instance: Instance, values: Values) -> None:
    if any(one["name"] == values["file"] for one in instance["tempdb"]):
        raise _fail(f"File '{values['file']}' is there already.")
    log = instance["tempdb"].pop()  # it stays the last
    instance["tempdb"] += [
        {
            "name": values["file"],
            "path": values["path"],
            "kind": "ROWS",
            "size_megabytes": int(values["size"]),
            "growth_megabytes": int(values["growth"]),
        },
        log,
    ]


def _alert(instance: Instance, values: Values) -> None:
    found = instance["alerts"].get(values["alert"].casefold())
    if found is None:
        raise _fail(f"The specified @name ('{values['alert']}') does not exist.")
    found["enabled"] = values["enabled"] == "1"


def _notify(instance: Instance, values: Values) -> None:
    alert = instance["alerts"].get(values["alert"].casefold())
    operator = instance["operators"].get(values["operator"].casefold())
    if alert is None or operator is None:
        raise _fail("The specified @alert_name or @operator_name does not exist.")
    if operator["name"] in alert["operators"]:
        raise _fail("The specified notification exists already.")
    alert["operators"].append(operator["name"])


def _job_notify(instance: Instance, values: Values) -> None:
    job = instance["jobs"].get(values["job"].casefold())
    operator = instance["operators"].get(values["operator"].casefold())
    if job is None or operator is None:
        raise _fail("The specified @job_name or @notify_email_operator_name does not exist.")
    job.update(operator=operator["name"], notify=int(values["level"]))


def _job_enabled(instance: Instance, values: Values) -> None:
    job = instance["jobs"].get(values["job"].casefold())
    if job is None:
        raise _fail(f"The specified @job_name ('{values['job']}') does not exist.")
    job["enabled"] = values["enabled"] == "1"


def _start_job(instance: Instance, values: Values) -> None:
    if values["job"].casefold() not in instance["jobs"]:
        raise _fail(f"The specified @job_name ('{values['job']}') does not exist.")
    raise NotSimulated("The lab runs jobs by their schedules only.")


def _create_audit(instance: Instance, values: Values) -> None:
    if values["audit"].casefold() in instance["audits"]:
        raise _fail(f"The audit '{values['audit']}' exists already.")
    audit = {"name": values["audit"], "enabled": False, "specification": "", "groups": []}
    instance["audits"][values["audit"].casefold()] = audit


def _audit_state(instance: Instance, values: Values) -> None:
    audit = instance["audits"].get(values["audit"].casefold())
    if audit is None:
        raise _fail(f"Cannot find the audit '{values['audit']}'.")
    audit["enabled"] = values["state"] == "ON"


def _create_specification(instance: Instance, values: Values) -> None:
    audit = instance["audits"].get(values["audit"].casefold())
    if audit is None:
        raise _fail(f"Cannot find the audit '{values['audit']}'.")
    if audit["specification"]:
        raise _fail("The audit has a specification already.")
    audit["specification"] = values["specification"]
    audit["groups"] = [found["group"] for found in _GROUP.finditer(values["changes"])]


def _specified(instance: Instance, values: Values) -> dict[str, list[str]]:
    wanted = values["specification"].casefold()
    held: list[dict[str, list[str]]] = list(instance["audits"].values())
    found = next((one for one in held if str(one["specification"]).casefold() == wanted), None)
    if found is None:
        raise _fail(f"Cannot find the audit specification '{values['specification']}'.")
    return found


def _alter_specification(instance: Instance, values: Values) -> None:
    audit = _specified(instance, values)
    for change in _GROUP.finditer(values["changes"]):
        if change["verb"] == "ADD":
            audit["groups"].append(change["group"])
        else:
            audit["groups"].remove(change["group"])


def _state_only(instance: Instance, values: Values) -> None:
    _specified(instance, values)  # the change that follows switches it on again


def _statement(
    text: str, place: str, action: Callable[[Instance, Values], None]
) -> tuple[re.Pattern[str], str, Callable[[Instance, Values], None]]:
    return re.compile(text, re.IGNORECASE), place, action


_SPECIFICATION = rf"SERVER AUDIT SPECIFICATION {_NAME.format('specification')}"
_FOR = rf" FOR SERVER AUDIT {_NAME.format('audit')} (?P<changes>(?:(?:ADD|DROP) \(\w+\)(?:, )?)+) WITH \(STATE = ON\)"
_EXECUTE = r"EXEC(?:UTE)? (?:\[?dbo\]?\.)?\[?{0}\]? "

_STATEMENTS = (
    _statement(
        rf"ALTER DATABASE \[tempdb\] MODIFY FILE \(NAME = {_TEXT.format('file')}, (?:{_SIZE}, )?{_GROWTH}\)",
        "",
        _modify_file,
    ),
    _statement(
        rf"ALTER DATABASE \[tempdb\] ADD FILE \(NAME = {_TEXT.format('file')}, FILENAME = {_TEXT.format('path')}, "
        rf"{_SIZE}, {_GROWTH}\)",
        "",
        _add_file,
    ),
    _statement(
        _EXECUTE.format("sp_update_alert") + rf"@name = {_TEXT.format('alert')}, @enabled = (?P<enabled>[01])",
        "msdb",
        _alert,
    ),
    _statement(
        _EXECUTE.format("sp_add_notification")
        + rf"@alert_name = {_TEXT.format('alert')}, @operator_name = {_TEXT.format('operator')}, "
        r"@notification_method = 1",
        "msdb",
        _notify,
    ),
    _statement(
        _EXECUTE.format("sp_update_job") + rf"@job_name = {_TEXT.format('job')}, @notify_level_email = (?P<level>\d), "
        rf"@notify_email_operator_name = {_TEXT.format('operator')}",
        "msdb",
        _job_notify,
    ),
    _statement(
        _EXECUTE.format("sp_update_job") + rf"@job_name = {_TEXT.format('job')}, @enabled = (?P<enabled>[01])",
        "msdb",
        _job_enabled,
    ),
    _statement(_EXECUTE.format("sp_start_job") + rf"@job_name = {_TEXT.format('job')}", "msdb", _start_job),
    _statement(
        rf"CREATE SERVER AUDIT {_NAME.format('audit')} TO APPLICATION_LOG WITH \(ON_FAILURE = CONTINUE\)",
        "master",
        _create_audit,
    ),
    _statement(
        rf"ALTER SERVER AUDIT {_NAME.format('audit')} WITH \(STATE = (?P<state>ON|OFF)\)", "master", _audit_state
    ),
    _statement(rf"CREATE {_SPECIFICATION}{_FOR}", "master", _create_specification),
    _statement(rf"ALTER {_SPECIFICATION} WITH \(STATE = OFF\)", "master", _state_only),
    _statement(rf"ALTER {_SPECIFICATION}{_FOR}", "master", _alter_specification),
)
