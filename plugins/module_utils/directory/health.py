# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a technician would check on a domain controller, judged from the facts of the health probe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .language import Text, say_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .declared import Declaration
    from .language import Language


@dataclass(frozen=True, slots=True)
class Failure:
    """A replication failure as Get-ADReplicationFailure tells it."""

    server: str
    partner: str
    count: int
    error: int


@dataclass(frozen=True, slots=True)
class Backup:
    """The system-state backup: when it last succeeded and since when its task exists (UTC, ISO 8601; empty: never)."""

    last_success: str = ""
    task_registered: str = ""


@dataclass(frozen=True, slots=True)
class Ldaps:
    """The certificate that port 636 serves, and when it ends (UTC, ISO 8601); both empty when it serves none."""

    thumbprint: str = ""
    not_after: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Facts of the health probe."""

    time: str
    primary: bool = False
    dcdiag: tuple[str, ...] = ()
    replication_failures: tuple[Failure, ...] = ()
    shares: tuple[str, ...] = ()
    time_source: str = ""
    srv_targets: tuple[str, ...] = ()
    stopped_services: tuple[str, ...] = ()
    dhcp_authorized: bool = False
    backup: Backup = Backup()
    ldaps: Ldaps = Ldaps()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One probe's name, whether it passed, and the sentence that says why not."""

    probe: str
    passed: bool
    message: str = ""


def judge(
    declared: Declaration,
    health: Health,
    *,
    fqdn: str,
    backup_max_age_hours: int,
    ldaps_thumbprint: str = "",
    language: Language = "fr",
) -> list[Verdict]:
    """Judge the facts.

    Args:
        declared: what the role was asked for.
        health: facts of the probe.
        fqdn: full name of the server, which its SRV record must point to.
        backup_max_age_hours: oldest backup allowed; 0 when none is made here.
        ldaps_thumbprint: the certificate that LDAPS must serve; empty when none is declared.
        language: language of the sentences.
    """
    probes: tuple[tuple[str, Iterable[Text]], ...] = (
        ("dcdiag", (Text(line, line) for line in health.dcdiag)),
        ("replication", (_failure(failure) for failure in health.replication_failures)),
        ("services", (_stopped(name) for name in health.stopped_services)),
        ("shares", _shares(health)),
        ("time", _time(declared, health)),
        ("srv", _srv(declared, health, fqdn)),
        ("dhcp", _dhcp(declared, health, fqdn)),
        ("ldaps", _ldaps(health, ldaps_thumbprint)),
        ("backup", _backup(health, backup_max_age_hours)),
    )
    said = ((probe, say_all(texts, language)) for probe, texts in probes)
    return [Verdict(probe, not sentences, "; ".join(sentences)) for probe, sentences in said]


def _failure(failure: Failure) -> Text:
    return Text(
        f"{failure.server}: {failure.count} failures with {failure.partner}, last error {failure.error}",
        f"{failure.server} : {failure.count} échecs avec {failure.partner}, dernière erreur {failure.error}",
    )


def _stopped(name: str) -> Text:
    return Text(f"{name} is not running", f"{name} ne tourne pas")


def _shares(health: Health) -> Iterator[Text]:
    present = {share.casefold() for share in health.shares}
    for share in ("SYSVOL", "NETLOGON"):
        if share.casefold() not in present:
            yield Text(f"{share} is not shared", f"{share} n'est pas partagé")


def _time(declared: Declaration, health: Health) -> Iterator[Text]:
    """The PDC emulator must name one of its declared servers; what others name is a controller of the domain."""
    if not declared.time_servers and health.primary:
        return
    source = health.time_source.partition(",")[0].strip().casefold()
    if health.primary:
        if source not in {server.casefold() for server in declared.time_servers}:
            wanted = ", ".join(declared.time_servers)
            yield Text(
                f"the time comes from {health.time_source!r}, not from {wanted}",
                f"l'heure vient de « {health.time_source} », non de {wanted}",
            )
    elif not source.endswith(f".{declared.domain}".casefold()):
        yield Text(
            f"the time comes from {health.time_source!r}, not from a controller of {declared.domain}",
            f"l'heure vient de « {health.time_source} », non d'un contrôleur de {declared.domain}",
        )


def _srv(declared: Declaration, health: Health, fqdn: str) -> Iterator[Text]:
    if fqdn.casefold() not in {target.rstrip(".").casefold() for target in health.srv_targets}:
        yield Text(
            f"_ldap._tcp.{declared.domain} does not name {fqdn}", f"_ldap._tcp.{declared.domain} ne désigne pas {fqdn}"
        )


def _dhcp(declared: Declaration, health: Health, fqdn: str) -> Iterator[Text]:
    if declared.dhcp and declared.dhcp_authorized and not health.dhcp_authorized:
        yield Text(f"{fqdn} is not authorised as a DHCP server", f"{fqdn} n'est pas autorisé comme serveur DHCP")


def _ldaps(health: Health, wanted: str) -> Iterator[Text]:
    if not wanted:
        return
    served, end = health.ldaps.thumbprint, health.ldaps.not_after
    if served.casefold() != wanted.casefold():
        held = served or "-"
        yield Text(
            f"port 636 serves the certificate {held}, not {wanted}",
            f"le port 636 sert le certificat {held}, non {wanted}",
        )
    elif datetime.fromisoformat(end).astimezone(UTC) <= datetime.fromisoformat(health.time).astimezone(UTC):
        yield Text(
            f"the certificate that port 636 serves expired on {end}",
            f"le certificat que sert le port 636 a expiré le {end}",
        )


def _backup(health: Health, maximum: int) -> Iterator[Text]:
    if not maximum:
        return
    now = datetime.fromisoformat(health.time).astimezone(UTC)
    limit = timedelta(hours=maximum)
    if health.backup.last_success:
        age = now - datetime.fromisoformat(health.backup.last_success).astimezone(UTC)
        if age > limit:
            yield Text(
                f"the last system-state backup is {_hours(age)} h old, more than {maximum} h",
                f"la dernière sauvegarde de l'état du système a {_hours(age)} h, plus de {maximum} h",
            )
    elif not health.backup.task_registered:
        yield Text(
            "there is no scheduled system-state backup", "aucune sauvegarde de l'état du système n'est planifiée"
        )
    elif now - datetime.fromisoformat(health.backup.task_registered).astimezone(UTC) > limit:
        yield Text(
            f"no system-state backup has succeeded in the {maximum} h since its task exists",
            f"aucune sauvegarde de l'état du système n'a réussi en {maximum} h, depuis que sa tâche existe",
        )


def _hours(age: timedelta) -> int:
    return int(age.total_seconds() // 3600)
