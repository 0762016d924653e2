# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a technician would check on an instance, judged from the same facts as the plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all

from . import tsql
from .maintenance import jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration
    from .observed import Database, Observation

SIMPLE = "Simple"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One probe's name, whether it passed, and the sentence that says why not."""

    probe: str
    passed: bool
    message: str = ""


def judge(
    declared: Declaration,
    observed: Observation,
    *,
    backup_max_age_hours: int = 24,
    check_max_age_days: int = 7,
    language: Language = "fr",
) -> list[Verdict]:
    """Judge the facts.

    Args:
        declared: what the role was asked for.
        observed: state of the instance.
        backup_max_age_hours: oldest full backup allowed; 0 to judge none. A younger database needs none yet.
        check_max_age_days: oldest successful DBCC CHECKDB allowed; 0 to judge none.
        language: language of the sentences.
    """
    probes: tuple[tuple[str, Iterable[Text]], ...] = (
        ("services", _services(declared, observed)),
        ("build", _build(declared, observed)),
        ("encryption", _encryption(declared, observed)),
        ("port", _port(declared, observed)),
        ("sa", _sa(observed)),
        ("databases", _databases(observed)),
        ("backup", _ages(declared, observed, "last_full", timedelta(hours=backup_max_age_hours))),
        ("integrity", _ages(declared, observed, "last_check", timedelta(days=check_max_age_days))),
        ("command_log", _command_log(observed)),
        ("jobs", _jobs(declared, observed)),
    )
    said = ((probe, say_all(texts, language)) for probe, texts in probes)
    return [Verdict(probe, not sentences, "; ".join(sentences)) for probe, sentences in said]


def _services(declared: Declaration, observed: Observation) -> Iterator[Text]:
    running = {service.name.casefold() for service in observed.services if service.state == "started"}
    for name in (declared.service, declared.agent_service):
        if name.casefold() not in running:
            yield Text(f"{name} is not running", f"{name} ne tourne pas")


def _build(declared: Declaration, observed: Observation) -> Iterator[Text]:
    wanted = declared.update.build or declared.minimum_build
    if wanted and observed.build and tsql.build(observed.build) < tsql.build(wanted):
        yield Text(
            f"build {observed.build} is older than {wanted}", f"la version {observed.build} est antérieure à {wanted}"
        )


def _encryption(declared: Declaration, observed: Observation) -> Iterator[Text]:
    network = observed.network
    if not observed.answers or declared.port not in network.listening:
        return  # other probes say so
    if declared.force_encryption and not network.encrypted:
        yield Text("connections are not encrypted by force", "les connexions ne sont pas chiffrées d'office")
    if not network.validated:
        yield Text(
            f"a client that validates certificates is not let in at {declared.host},{declared.port}",
            f"un client qui vérifie les certificats n'entre pas à {declared.host},{declared.port}",
        )


def _port(declared: Declaration, observed: Observation) -> Iterator[Text]:
    if observed.answers and declared.port not in observed.network.listening:
        heard = ", ".join(map(str, observed.network.listening)) or "-"
        yield Text(f"listens on {heard}, not on {declared.port}", f"écoute sur {heard}, non sur {declared.port}")


def _sa(observed: Observation) -> Iterator[Text]:
    if observed.sa is not None and not observed.sa.disabled:
        yield Text(f"{observed.sa.name} is enabled", f"{observed.sa.name} est activé")


def _databases(observed: Observation) -> Iterator[Text]:
    for database in observed.databases:
        if database.state != "ONLINE":
            state = database.state
            yield Text(f"{database.name} is {state}", f"{database.name} est dans l'état {state}")


def _ages(declared: Declaration, observed: Observation, what: str, limit: timedelta) -> Iterator[Text]:
    """Last full backup or check of each database, tempdb aside; one that is younger than the limit has time."""
    if not limit or not declared.maintenance.source:
        return
    now = _moment(observed.time)
    english, french = _WORDS[what]
    for database in observed.databases:
        if database.name.casefold() == "tempdb" or database.state != "ONLINE":
            continue
        since = _moment(getattr(database, what) or _since(database, observed))
        if now - since > limit:
            hours = int((now - since).total_seconds() // 3600)
            never = not getattr(database, what)
            yield Text(
                f"{database.name}: {english} {'never' if never else f'{hours} h ago'}",
                f"{database.name} : {french} {'jamais faite' if never else f'il y a {hours} h'}",
            )


_WORDS = {
    "last_full": ("last full backup", "dernière sauvegarde complète"),
    "last_check": ("last good CHECKDB", "dernière vérification CHECKDB réussie"),
}


def _since(database: Database, observed: Observation) -> str:
    """From when on a database could be backed up: its creation, or that of the first job for the system's own.

    System databases carry the date at which they were built by Microsoft.
    """
    made = [job.created for job in observed.jobs if job.created and job.name.startswith("Database")]
    return max([database.created, *made[:1]]) if database.system else database.created


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _command_log(observed: Observation) -> Iterator[Text]:
    for failure in observed.maintenance.failures:
        line = f"{failure.database}, {failure.command}: {failure.message}"
        yield Text(line, line)


def _jobs(declared: Declaration, observed: Observation) -> Iterator[Text]:
    held = {job.name.casefold(): job for job in observed.jobs}
    for wanted in jobs(declared):
        job = held.get(wanted.name.casefold())
        if job is None:
            yield Text(f"{wanted.name} is missing", f"{wanted.name} manque")
        elif wanted.enabled and not (job.enabled and any(schedule.enabled for schedule in job.schedules)):
            yield Text(f"{job.name} is disabled", f"{job.name} est désactivée")
        elif job.last_outcome == 0:
            yield Text(f"{job.name} failed at {job.last_run}", f"{job.name} a échoué à {job.last_run}")
