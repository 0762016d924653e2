# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs in the agent: jobs, steps, schedules, operators, alerts, mail; and the server audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, Item, differing, item

from . import tsql
from .maintenance import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Declaration, Job
    from .observed import Audit, Observation
    from .observed import Job as FoundJob

_FAILURE = 2
"""notify_level_email of msdb.dbo.sysjobs: when the job fails."""


class AgentPlan:
    """Compares the agent with its declaration."""

    def __init__(self, declared: Declaration, observed: Observation) -> None:
        """Take what is declared and observed."""
        self.declared = declared
        self.observed = observed
        self.fresh = not observed.answers
        self.found = {job.name.casefold(): job for job in observed.jobs}

    def maintenance(self) -> list[Item]:
        """The maintenance solution, when its version is not the declared one."""
        wanted = self.declared.maintenance
        held = self.observed.maintenance
        if not wanted.source or (held.version == wanted.version and held.logs):
            return []
        why = [CREATE if not held.version else f"{held.version} -> {wanted.version}"]
        replace = bool(held.version)
        place = wanted.database
        return [item("Ola Hallengren", why, foreseen=True, database=place, replace=replace)]

    # -- jobs --------------------------------------------------------------------------------------------------------

    def _jobs(self) -> Iterator[tuple[Job, FoundJob | None]]:
        for job in jobs(self.declared):
            yield job, self.found.get(job.name.casefold())

    def jobs(self) -> list[Item]:
        """Jobs to create, and properties that differ."""
        items = []
        for job, found in self._jobs():
            wanted = {"enabled": job.enabled, "owner": self.declared.sa_name, "description": job.description}
            current: dict[str, Any] = {}
            if found is not None:
                current = {"enabled": found.enabled, "owner": found.owner, "description": found.description}
            different = [CREATE] if found is None else differing(wanted, current)
            if different:
                items.append(item(job.name, different, foreseen=self.fresh, job=job.name, **wanted))
        return items

    def steps(self) -> list[Item]:
        """First steps that are missing or do something else."""
        items = []
        for job, found in self._jobs():
            step = found.steps[0] if found and found.steps else None
            wanted = {"database": job.database, "command": job.command, "subsystem": "TSQL"}
            current: dict[str, Any] = {}
            if step is not None:
                current = {"database": step.database, "command": step.command, "subsystem": step.subsystem}
            different = [CREATE] if step is None else differing(wanted, current)
            if different:
                arguments = {"job": job.name, "database": job.database, "command": job.command}
                name = step.name if step else job.name
                items.append(item(job.name, different, foreseen=found is None, step=name, **arguments))
        return items

    def schedules(self) -> list[Item]:
        """Schedules that are missing, disabled or at other times."""
        items = []
        for job, found in self._jobs():
            held = next((one for one in (found.schedules if found else ()) if one.name == job.name), None)
            wanted = {**job.schedule.stored(), "enabled": True}
            different = [CREATE] if held is None else [name for name in wanted if getattr(held, name) != wanted[name]]
            if different:
                arguments = {"job": job.name, "schedule": job.name, **job.schedule.arguments()}
                items.append(item(job.name, different, foreseen=found is None, **arguments))
        return items

    # -- who is told -------------------------------------------------------------------------------------------------

    def operators(self) -> list[Item]:
        """Operators that are missing or have another address."""
        held = {operator.name.casefold(): operator.email for operator in self.observed.operators}
        return [
            item(operator.name, ["email"], foreseen=self.fresh, name=operator.name, email=operator.email)
            for operator in self.declared.operators
            if held.get(operator.name.casefold(), "").casefold() != operator.email.casefold()
        ]

    def _alerts(self) -> Iterator[tuple[str, int, int]]:
        """Name, severity and message of each alert."""
        for severity in self.declared.alert_severities:
            yield f"Severity {severity:03}", severity, 0
        for message in self.declared.alert_messages:
            yield f"Error {message}", 0, message

    def alerts(self) -> list[Item]:
        """Alerts that are missing or watch something else."""
        held = {alert.name.casefold(): (alert.severity, alert.message) for alert in self.observed.alerts}
        return [
            item(
                name,
                ["severity" if severity else "message"],
                foreseen=self.fresh,
                name=name,
                **_watched(severity, message),
            )
            for name, severity, message in self._alerts()
            if held.get(name.casefold()) != (severity, message)
        ]

    def mail(self) -> list[Item]:
        """The account of Database Mail."""
        wanted = self.declared.mail
        if wanted is None:
            return []
        values = {
            "profile": wanted.called,
            "address": wanted.address,
            "display_name": wanted.display_name or wanted.address,
            "server": wanted.server,
            "port": wanted.port,
        }
        held = next((one for one in self.observed.mail if one.account.casefold() == wanted.account.casefold()), None)
        current = {name: getattr(held, name) for name in values} if held else {}
        different = [CREATE] if held is None else differing(values, current)
        return (
            [item(wanted.account, different, foreseen=self.fresh, account=wanted.account, **values)]
            if different
            else []
        )

    def statements(self) -> list[Item]:
        """What no module settles: alerts' state and addressees, jobs' addressees, the audit."""
        items = [*self._alert_statements(), *self._job_statements()]
        if self.declared.audit is not None:
            items += self._audit_statements()
        return items

    def _statement(self, of: str, why: str, text: str, database: str = "msdb") -> Item:
        return item(of, [why], foreseen=True, database=database, statement=text)

    def _alert_statements(self) -> Iterator[Item]:
        held = {alert.name.casefold(): alert for alert in self.observed.alerts}
        operator = self.declared.alert_operator
        for name, _severity, _message in self._alerts():
            found = held.get(name.casefold())
            if found is not None and not found.enabled:
                text = f"EXECUTE [dbo].[sp_update_alert] @name = {tsql.text(name)}, @enabled = 1"
                yield self._statement(name, "enabled", text)
            told = {one.casefold() for one in found.operators} if found else set()
            if operator and operator.casefold() not in told:
                text = (
                    f"EXECUTE [dbo].[sp_add_notification] @alert_name = {tsql.text(name)}, "
                    f"@operator_name = {tsql.text(operator)}, @notification_method = 1"
                )
                yield self._statement(name, operator, text)

    def _job_statements(self) -> Iterator[Item]:
        operator = self.declared.alert_operator
        if not operator:
            return
        for job, found in self._jobs():
            if found is None or found.operator.casefold() != operator.casefold() or found.notify != _FAILURE:
                text = (
                    f"EXECUTE [dbo].[sp_update_job] @job_name = {tsql.text(job.name)}, "
                    f"@notify_level_email = {_FAILURE}, @notify_email_operator_name = {tsql.text(operator)}"
                )
                yield self._statement(job.name, operator, text)

    def _audit_statements(self) -> Iterator[Item]:
        wanted = self.declared.audit
        if wanted is None:
            return
        audit = tsql.name(wanted.name)
        found = next((one for one in self.observed.audits if one.name.casefold() == wanted.name.casefold()), None)
        if found is None:
            text = f"CREATE SERVER AUDIT {audit} TO APPLICATION_LOG WITH (ON_FAILURE = CONTINUE)"
            yield self._statement(wanted.name, CREATE, text, "master")
        if found is None or not found.enabled:
            text = f"ALTER SERVER AUDIT {audit} WITH (STATE = ON)"
            yield self._statement(wanted.name, "enabled", text, "master")
        text = _specification(audit, wanted.groups, found)
        if text:
            yield self._statement(wanted.name, "groups", text, "master")


def _watched(severity: int, message: int) -> dict[str, int]:
    return {"severity": severity} if severity else {"message": message}


def _specification(audit: str, groups: tuple[str, ...], found: Audit | None) -> str:
    """The statement that makes an audit record these groups of actions; empty when it does."""
    if found is None or not found.specification:
        added = ", ".join(f"ADD ({group})" for group in groups)
        return f"CREATE SERVER AUDIT SPECIFICATION {audit} FOR SERVER AUDIT {audit} {added} WITH (STATE = ON)"
    held = {group.upper() for group in found.groups}
    wanted = {group.upper() for group in groups}
    if held == wanted:
        return ""
    changes = [f"ADD ({group})" for group in sorted(wanted - held)]
    changes += [f"DROP ({group})" for group in sorted(held - wanted)]
    specification = f"ALTER SERVER AUDIT SPECIFICATION {tsql.name(found.specification)}"
    listed = ", ".join(changes)
    return f"{specification} WITH (STATE = OFF); {specification} FOR SERVER AUDIT {audit} {listed} WITH (STATE = ON)"
