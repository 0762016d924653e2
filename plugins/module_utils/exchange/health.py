# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a technician would check on an exchange server, judged from what the probes saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all

from . import firewall, retention, rights, scheduled, settings
from .declared import HTTPS, SFTP
from .observed import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration, Flow
    from .observed import Observation, Task, Traffic


@dataclass(frozen=True, slots=True)
class Answer:
    """How an HTTPS far end answered a request with the flow's certificate."""

    name: str
    passed: bool
    message: str = ""


def answers(replies: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """Judge what ``win_uri`` made of each item of the plan's list ``https``."""
    found = []
    for reply in replies:
        asked, status = reply["item"], reply.get("status_code")
        passed = status in asked["statuses"]
        found.append(Answer(asked["name"], passed, "" if passed else str(status or reply.get("msg", ""))[:200]))
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """One probe's name, whether it passed, and the sentence that says why not."""

    probe: str
    passed: bool
    message: str = ""


def judge(
    declared: Declaration, found: Observation, told: Sequence[Answer], *, language: Language = "fr"
) -> list[Verdict]:
    """Judge everything: one verdict a probe."""
    probes: tuple[tuple[str, Iterable[Text]], ...] = (
        ("certificate", _certificates(declared, found, declared.certificate_warning_days)),
        ("acl", _acl(declared, found)),
        ("files", _files(declared, found)),
        ("events", _events(declared, found)),
        ("firewall", _firewall(declared, found)),
        ("far_end", _far_ends(declared, found, told)),
        ("task", _tasks(declared, found)),
        ("definition", _definitions(declared, found)),
        ("archive", _archives(declared, found)),
        ("retention", _retention(declared, found)),
        ("backlog", _backlogs(declared, found)),
        ("metrics", _metrics(declared, found)),
        ("clock", _clock(declared, found)),
    )
    said = ((probe, say_all(texts, language)) for probe, texts in probes)
    return [Verdict(probe, not sentences, "; ".join(sentences)) for probe, sentences in said]


def readiness(
    declared: Declaration, found: Observation, told: Sequence[Answer], *, language: Language = "fr"
) -> list[str]:
    """What forbids letting the flows' tasks run: a far end that is not the declared one, a certificate that is over."""
    texts = [*_certificates(declared, found, 0), *_far_ends(declared, found, told)]
    return say_all(texts, language)


def _enabled(declared: Declaration) -> list[Flow]:
    return [flow for flow in declared.flows if flow.enabled]


def _certificates(declared: Declaration, found: Observation, days: int) -> Iterator[Text]:
    used = {flow.certificate for flow in declared.flows if flow.protocol == HTTPS}
    account = found.sid(declared.service_account)
    held = {own.thumbprint.casefold(): own for own in found.certificates}
    for own in declared.certificates:
        if own.name not in used:
            continue
        stored = held.get(own.thumbprint.casefold())
        if stored is None or not stored.has_private_key:
            yield Text(
                f"{own.name} ({own.thumbprint}) is not in the machine's store with its key",
                f"{own.name} ({own.thumbprint}) n'est pas dans le magasin de la machine avec sa clé",
            )
            continue
        left = (moment(stored.not_after).astimezone(UTC) - found.now).days
        if left <= days:
            yield Text(
                f"{own.name} ends in {left} days ({stored.not_after[:10]}); ask IGC-Santé for another",
                f"{own.name} expire dans {left} jours ({stored.not_after[:10]}) ; demandez-en un autre à l'IGC-Santé",
            )
        if account not in {reader.upper() for reader in stored.readers}:
            yield Text(
                f"{declared.service_account} may not read the key of {own.name}",
                f"{declared.service_account} ne peut pas lire la clé de {own.name}",
            )


def _acl(declared: Declaration, found: Observation) -> Iterator[Text]:
    held = {folder.path.casefold(): folder for folder in found.folders}
    for want in rights.wanted(declared, found):
        own = held.get(want.path.casefold())
        if own is None or not rights.fits(want, own):
            yield Text(
                f"the rights on {want.path} are not the declared ones",
                f"les droits sur {want.path} ne sont pas ceux déclarés",
            )


def _files(declared: Declaration, found: Observation) -> Iterator[Text]:
    for entry in settings.files(declared, found):
        yield Text(f"{entry['path']} is not the declared one", f"{entry['path']} n'est pas celui déclaré")


def _events(declared: Declaration, found: Observation) -> Iterator[Text]:
    if not found.event_source:
        yield Text(
            f"the event source {declared.event_source} is missing",
            f"la source d'événements {declared.event_source} manque",
        )


def _firewall(declared: Declaration, found: Observation) -> Iterator[Text]:
    if not declared.firewall:
        return
    for name in firewall.open_to_all(found):
        yield Text(f"the profile {name} lets everything out", f"le profil {name} laisse tout sortir")
    for rule in firewall.rules(declared, found):
        yield Text(f"rule {rule['label']}", f"règle {rule['label']}")


def _far_ends(declared: Declaration, found: Observation, told: Sequence[Answer]) -> Iterator[Text]:
    seen = {end.name: end for end in found.far_ends}
    heard = {answer.name: answer for answer in told}
    stored = {own.thumbprint.casefold() for own in found.certificates if own.has_private_key}
    for flow in _enabled(declared):
        if flow.protocol == SFTP:
            end = seen.get(flow.name)
            if end is None or not end.reachable:
                yield _unreached(flow)
            elif not {settings.plain_key(key) for key in flow.host_keys} & set(end.host_keys):
                yield Text(
                    f"{flow.name}: {flow.host} shows another host key than the pinned ones; ask the far end before"
                    " anything is changed",
                    f"{flow.name} : {flow.host} présente une autre clé d'hôte que celles épinglées ; interrogez le"
                    " correspondant avant de rien changer",
                )
        elif flow.protocol == HTTPS:
            certificate = declared.certificate(flow)
            # Without its certificate nothing can be asked: that is the certificate's own verdict.
            if certificate is None or certificate.thumbprint.casefold() not in stored:
                continue
            answer = heard.get(flow.name)
            if answer is None or not answer.passed:
                yield _unreached(flow, answer.message if answer else "")


def _unreached(flow: Flow, why: str = "") -> Text:
    end = f" ({why})" if why else ""
    return Text(
        f"{flow.name}: {flow.host}:{flow.far_port} does not answer{end}",
        f"{flow.name} : {flow.host}:{flow.far_port} ne répond pas{end}",
    )


def _held(found: Observation) -> dict[str, Task]:
    return {task.name.casefold(): task for task in found.tasks}


def _tasks(declared: Declaration, found: Observation) -> Iterator[Text]:
    held = _held(found)
    for flow in _enabled(declared):
        task = held.get(flow.name.casefold())
        if task is None:
            yield Text(f"{flow.name} has no scheduled task", f"{flow.name} n'a pas de tâche planifiée")
        elif not scheduled.parse(task.definition).enabled:
            yield Text(f"the task of {flow.name} is disabled", f"la tâche de {flow.name} est désactivée")
        elif scheduled.failed(task):
            yield Text(
                f"the last run of {flow.name} ended with {task.last_result}",
                f"la dernière exécution de {flow.name} a fini par {task.last_result}",
            )


def _definitions(declared: Declaration, found: Observation) -> Iterator[Text]:
    held = _held(found)
    sid = found.sid(declared.service_account)
    for flow in declared.flows:
        task = held.get(flow.name.casefold())
        if task is None:
            continue
        want, own = scheduled.wanted(declared, flow, sid), scheduled.parse(task.definition)
        # Whether it is enabled is judged where it must be.
        wrong = scheduled.differing(want, replace(own, enabled=want.enabled) if flow.enabled else own)
        if wrong:
            names = ", ".join(wrong)
            yield Text(f"the task of {flow.name} differs ({names})", f"la tâche de {flow.name} diffère ({names})")


def _traffic(declared: Declaration, found: Observation) -> Iterator[tuple[Flow, Traffic, Task | None]]:
    seen = {traffic.name: traffic for traffic in found.flows}
    held = _held(found)
    for flow in _enabled(declared):
        if flow.name in seen:
            yield flow, seen[flow.name], held.get(flow.name.casefold())


def _since(traffic: str, task: Task | None) -> str:
    """The moment that an age counts from: the last time, else since when the task exists; empty when it does not."""
    return traffic or (task.registered if task else "")


def _archives(declared: Declaration, found: Observation) -> Iterator[Text]:
    for flow, traffic, task in _traffic(declared, found):
        since = _since(traffic.newest_archive, task)
        if not flow.max_age_hours or not since:
            continue
        age = found.now - moment(since)
        if age > timedelta(hours=flow.max_age_hours):
            hours = int(age.total_seconds() // 3600)
            yield Text(
                f"{flow.name} has exchanged nothing for {hours} h, more than {flow.max_age_hours} h",
                f"{flow.name} n'a rien échangé depuis {hours} h, plus de {flow.max_age_hours} h",
            )


def _retention(declared: Declaration, found: Observation) -> Iterator[Text]:
    for flow, traffic, _task in _traffic(declared, found):
        if traffic.oldest_archive and retention.overdue(moment(traffic.oldest_archive), found.now, flow.retention_days):
            yield Text(
                f"{flow.name} still has archives of {traffic.oldest_archive[:10]}, kept {flow.retention_days} days",
                f"{flow.name} a encore des archives du {traffic.oldest_archive[:10]}, gardées"
                f" {flow.retention_days} jours",
            )


def _backlogs(declared: Declaration, found: Observation) -> Iterator[Text]:
    for flow, traffic, _task in _traffic(declared, found):
        if traffic.backlog > flow.max_backlog:
            yield Text(
                f"{flow.name} has {traffic.backlog} files waiting, more than {flow.max_backlog}",
                f"{flow.name} a {traffic.backlog} fichiers en attente, plus de {flow.max_backlog}",
            )


def _metrics(declared: Declaration, found: Observation) -> Iterator[Text]:
    if not declared.metrics_directory:
        return
    for flow, traffic, task in _traffic(declared, found):
        since = _since(traffic.metrics, task)
        limit = metrics_limit(declared, flow)
        if since and found.now - moment(since) > limit:
            minutes = int(limit.total_seconds() // 60)
            yield Text(
                f"the metrics of {flow.name} are older than {minutes} minutes",
                f"les mesures de {flow.name} ont plus de {minutes} minutes",
            )


def metrics_limit(declared: Declaration, flow: Flow) -> timedelta:
    """How old a flow's metrics may be: as declared, else two runs and ten minutes."""
    if declared.metrics_max_age_minutes:
        return timedelta(minutes=declared.metrics_max_age_minutes)
    return 2 * timedelta(minutes=flow.schedule.every_minutes or 1440) + timedelta(minutes=10)


def _clock(declared: Declaration, found: Observation) -> Iterator[Text]:
    limit = declared.max_clock_offset_ms
    if not limit:
        return
    if not found.clock_offset:
        yield Text("the clock could not be compared with its source", "l'horloge n'a pu être comparée à sa source")
    elif abs(float(found.clock_offset)) * 1000 >= limit:
        yield Text(
            f"the clock is {found.clock_offset} s off, {limit} ms allowed",
            f"l'horloge est décalée de {found.clock_offset} s, pour {limit} ms permises",
        )
