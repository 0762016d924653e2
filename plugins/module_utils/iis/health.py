# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a technician would check on an IIS server, judged from the probe's facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all

from . import rights
from .declared import same
from .plan import SitePlan
from .releases import standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration, Site
    from .observed import Answer, Observation

SERVICES = ("W3SVC", "WAS")
_RETENTION_GRACE_DAYS = 2
"""A log that comes of age after the task's hour is removed on the next day."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One probe's name, whether it passed, and the sentence that says why not."""

    probe: str
    passed: bool
    message: str = ""


def judge(
    declared: Declaration, found: Observation, thumbprints: Mapping[str, str], *, language: Language = "fr"
) -> list[Verdict]:
    """Judge the facts.

    Args:
        declared: what the role was asked for.
        found: facts of the probe, with the answers of the sites.
        thumbprints: thumbprints of ``iis_certificates`` by their names.
        language: language of the sentences.
    """
    started = [site for site in declared.sites if site.state == "started"]
    asked = [(site, answer) for site in started if (answer := _answer(found, site)) is not None and not answer.error]
    probes: tuple[tuple[str, Iterable[Text]], ...] = (
        ("services", _services(found)),
        ("pools", _pools(declared, found)),
        ("sites", _sites(declared, found)),
        ("answers", (text for site in started for text in _answers(found, site))),
        ("hsts", (text for site, answer in asked for text in _hsts(site, answer))),
        (
            "certificates",
            (text for site, answer in asked for text in _certificates(declared, found, site, thumbprints)),
        ),
        ("protocols", (text for site, answer in asked for text in _protocols(site, answer))),
        ("rights", _rights(declared, found)),
        ("releases", _releases(declared, found)),
        ("logs", _logs(declared, found)),
    )
    said = ((probe, say_all(texts, language)) for probe, texts in probes)
    return [Verdict(probe, not sentences, "; ".join(sentences)) for probe, sentences in said]


def _up(found: Observation, site: Site) -> bool:
    """Whether a site runs with all it needs: that it does not is the concern of other probes alone."""
    actual = found.site(site.name)
    pool = found.pool(actual.pool) if actual else None
    started = actual is not None and actual.state == "Started" and pool is not None and pool.state == "Started"
    return started and _running(found)


def _answer(found: Observation, site: Site) -> Answer | None:
    return found.answer(site.name) if _up(found, site) else None


def _services(found: Observation) -> Iterator[Text]:
    states = {service.name.casefold(): service.state for service in found.services}
    for name in SERVICES:
        if states.get(name.casefold()) != "running":
            yield Text(f"{name} is not running", f"{name} ne tourne pas")


def _running(found: Observation) -> bool:
    return not any(True for _text in _services(found))


def _pools(declared: Declaration, found: Observation) -> Iterator[Text]:
    for pool in declared.pools:
        actual = found.pool(pool.name)
        if actual is None:
            yield Text(f"pool {pool.name} is not there", f"le pool {pool.name} n'existe pas")
        elif _running(found) and actual.state.casefold() != pool.state:
            yield Text(
                f"pool {pool.name} is {actual.state}, not {pool.state}",
                f"le pool {pool.name} est {actual.state}, non {pool.state}",
            )


def _sites(declared: Declaration, found: Observation) -> Iterator[Text]:
    for site in declared.sites:
        actual = found.site(site.name)
        if actual is None:
            yield Text(f"site {site.name} is not there", f"le site {site.name} n'existe pas")
        elif _running(found) and actual.state.casefold() != site.state:
            yield Text(
                f"site {site.name} is {actual.state}, not {site.state}",
                f"le site {site.name} est {actual.state}, non {site.state}",
            )


def _answers(found: Observation, site: Site) -> Iterator[Text]:
    if not _up(found, site):
        return
    answer = found.answer(site.name)
    if answer is None:
        yield Text(f"{site.name} was not asked", f"{site.name} n'a pas été interrogé")
    elif answer.error:
        yield Text(f"{site.name} does not answer: {answer.error}", f"{site.name} ne répond pas : {answer.error}")
    elif answer.status not in site.health_status:
        wanted = ", ".join(map(str, site.health_status))
        yield Text(
            f"{site.name} answers {answer.status} on {site.health_path}, not {wanted}",
            f"{site.name} répond {answer.status} sur {site.health_path}, non {wanted}",
        )


def _hsts(site: Site, answer: Answer) -> Iterator[Text]:
    if not site.secure or not site.hsts.enabled:
        return
    parts = [part.strip() for part in answer.hsts.split(";")]
    if f"max-age={site.hsts.max_age_seconds}" not in parts:
        got = answer.hsts or "-"
        yield Text(
            f"{site.name} sends Strict-Transport-Security {got!r}, not max-age={site.hsts.max_age_seconds}",
            f"{site.name} envoie Strict-Transport-Security « {got} », non max-age={site.hsts.max_age_seconds}",
        )


def _certificates(
    declared: Declaration, found: Observation, site: Site, thumbprints: Mapping[str, str]
) -> Iterator[Text]:
    """What the site serves on the wire is what is declared, and lasts."""
    answer = found.answer(site.name)
    if answer is None or not site.front.secure:
        return
    wanted = SitePlan(declared, found, thumbprints).thumbprint(site.front)
    if not same(answer.certificate, wanted):
        yield Text(
            f"{site.name} serves certificate {answer.certificate or '-'}, not {wanted}",
            f"{site.name} sert le certificat {answer.certificate or '-'}, non {wanted}",
        )
    elif _left(answer.not_after, found.time) < timedelta(days=declared.certificate_days):
        days = _left(answer.not_after, found.time).days
        yield Text(
            f"the certificate of {site.name} expires in {days} days ({answer.not_after})",
            f"le certificat de {site.name} expire dans {days} jours ({answer.not_after})",
        )


def _left(moment: str, now: str) -> timedelta:
    return datetime.fromisoformat(moment) - datetime.fromisoformat(now)


def _protocols(site: Site, answer: Answer) -> Iterator[Text]:
    if answer.old_protocols:
        names = ", ".join(answer.old_protocols)
        yield Text(f"{site.name} still accepts {names}", f"{site.name} accepte encore {names}")


def _rights(declared: Declaration, found: Observation) -> Iterator[Text]:
    for want in rights.differing(declared, found):
        yield Text(
            f"{want.path} has other rights than its site's pools need: run the role again",
            f"{want.path} n'a pas les droits que demandent les pools de son site : relancez le rôle",
        )


def _releases(declared: Declaration, found: Observation) -> Iterator[Text]:
    for release in declared.releases:
        now = standing(declared, found, release)
        if not now.live:
            current = now.current or "-"
            yield Text(
                f"{release.site} runs release {current}, not {release.version}",
                f"{release.site} sert la version {current}, non {release.version}",
            )
        elif not now.unpacked or not now.healthy:
            yield Text(
                f"release {release.version} of {release.site} was never found whole and healthy",
                f"la version {release.version} de {release.site} n'a jamais été trouvée entière et saine",
            )


def _logs(declared: Declaration, found: Observation) -> Iterator[Text]:
    task, days = found.retention, declared.log.retention_days
    if not task.exists or not task.enabled:
        yield Text("no task removes old logs", "aucune tâche ne supprime les vieux journaux")
    elif found.log.oldest_days > days + _RETENTION_GRACE_DAYS:
        yield Text(
            f"the oldest log is {found.log.oldest_days} days old; {days} are kept (last result of the task:"
            f" {task.last_result})",
            f"le plus vieux journal a {found.log.oldest_days} jours ; on en garde {days} (dernier résultat de la"
            f" tâche : {task.last_result})",
        )
