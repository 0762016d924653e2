# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduled task of each flow, compared with the definition that the scheduler keeps as XML.

Schema: https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema. A group managed service account
has the logon type ``Password`` and no password to give.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, REMOVE, item

if TYPE_CHECKING:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item

    from .declared import Declaration, Flow
    from .observed import Observation, Task

POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
LIMIT = "PT1H"
SUCCESS = 0
RUNNING = 0x41301
NEVER_RAN = 0x41303
"""Results that are no failure: SCHED_S_TASK_RUNNING and SCHED_S_TASK_HAS_NOT_RUN."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What of a task's definition the role decides."""

    command: str
    arguments: str
    account: str
    logon_type: str = "Password"
    run_level: str = "LeastPrivilege"
    enabled: bool = True
    start: str = ""
    interval: str = ""
    limit: str = LIMIT
    instances: str = "IgnoreNew"


def wanted(declared: Declaration, flow: Flow, sid: str) -> Definition:
    """The definition that a flow's task must have."""
    arguments = (
        f'-NoProfile -NonInteractive -ExecutionPolicy RemoteSigned -File "{declared.script_path}" -Flow {flow.name}'
    )
    return Definition(
        POWERSHELL,
        arguments,
        sid,
        enabled=flow.enabled,
        start=f"2026-01-01T{flow.schedule.at}:00",
        interval=interval(flow.schedule.every_minutes),
    )


def interval(minutes: int) -> str:
    """A number of minutes as an ISO 8601 duration, as the scheduler normalises it; empty for none."""
    if not minutes:
        return ""
    hours, rest = divmod(minutes, 60)
    return "PT" + (f"{hours}H" if hours else "") + (f"{rest}M" if rest else "")


def parse(xml: str) -> Definition:
    """Read a definition; what it does not say has the schema's default.

    The few elements that are compared occur once in a task of one action and one trigger; of more, the first counts and
    the difference shows in its text.
    """
    settings = _inner(xml, "Settings")
    trigger = _inner(xml, "Triggers")
    principal = _inner(xml, "Principals")
    action = _inner(xml, "Actions")
    return Definition(
        _inner(action, "Command"),
        _inner(action, "Arguments") if action.count("<Exec>") == 1 else action,
        _inner(principal, "UserId"),
        _inner(principal, "LogonType"),
        _inner(principal, "RunLevel") or "LeastPrivilege",
        enabled=_inner(settings, "Enabled") != "false" and _trigger_enabled(trigger),
        start=_inner(trigger, "StartBoundary"),
        interval=_inner(_inner(trigger, "Repetition"), "Interval"),
        limit=_inner(settings, "ExecutionTimeLimit") or "PT72H",
        instances=_inner(settings, "MultipleInstancesPolicy") or "IgnoreNew",
    )


def _trigger_enabled(trigger: str) -> bool:
    return _inner(re.sub(r"<Repetition>.*?</Repetition>", "", trigger, flags=re.DOTALL), "Enabled") != "false"


def _inner(xml: str, element: str) -> str:
    found = re.search(rf"<{element}(?:\s[^>]*)?>(.*?)</{element}>", xml, re.DOTALL)
    if found is None:
        return ""
    text = found[1].strip()
    return text if "<" in text else html.unescape(text)


def differing(want: Definition, own: Definition) -> list[str]:
    """Names of what differs; accounts, paths and commands do not tell upper from lower case."""
    return [
        field.name
        for field in fields(Definition)
        if str(getattr(want, field.name)).casefold() != str(getattr(own, field.name)).casefold()
    ]


def tasks(declared: Declaration, found: Observation, *, account_known: bool) -> list[Item]:
    """Tasks to write or remove."""
    sid = found.sid(declared.service_account)
    held = {task.name.casefold(): task for task in found.tasks}
    items = []
    for flow in declared.flows:
        want = wanted(declared, flow, sid)
        own = held.get(flow.name.casefold())
        why = [CREATE] if own is None else differing(want, parse(own.definition))
        if why:
            items.append(
                item(
                    flow.name,
                    why,
                    foreseen=not account_known,
                    name=flow.name,
                    state="present",
                    host=flow.host,
                    arguments=want.arguments,
                    start=want.start,
                    interval=want.interval,
                    enabled=flow.enabled,
                )
            )
    names = {flow.name.casefold() for flow in declared.flows}
    # A task of a flow that is no longer declared would run a script that no longer knows it.
    strays = [task for task in found.tasks if declared.purge and task.name.casefold() not in names]
    return items + [item(task.name, [REMOVE], foreseen=False, name=task.name, state="absent") for task in strays]


def failed(task: Task) -> bool:
    """Whether the last run of a task ended badly."""
    return task.last_result not in {SUCCESS, RUNNING, NEVER_RAN}
