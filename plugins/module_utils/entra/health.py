# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the facts of a synchronisation server mean: one verdict a probe."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.health import Verdict
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all

from . import versions
from .observed import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration
    from .observed import Observation, Peer

_IDENTITIES = {"application": "Application", "service_account": "ServiceAccount"}


def judge(
    declared: Declaration, name: str, found: Observation, peers: Sequence[Peer] = (), language: Language = "fr"
) -> list[Verdict]:
    """Judge the facts of a configured server.

    Where the sync engine does not answer, what only it can tell passes: the probe of the services says why.

    Args:
        declared: what the role was asked for.
        name: the server's name in the inventory.
        found: facts of the probe.
        peers: the other servers of the group.
        language: language of the sentences.
    """
    probes: tuple[tuple[str, Iterable[Text]], ...] = (
        ("version", _version(declared, found)),
        ("upgrade", _upgrade(found)),
        ("services", _services(declared, found)),
        ("tls", _tls(found)),
        ("scheduler", _scheduler(declared, found)),
        ("suspended", _suspended(found)),
        ("staging", _staging(declared, name, found, peers)),
        ("identity", _identity(declared, found)),
        ("certificate", _certificate(declared, found)),
        ("events", _events(declared, found)),
        ("last_sync", _last_sync(declared, found)),
        ("runs", _runs(declared, found)),
        ("export", _export(declared, found)),
    )
    said = ((probe, say_all(texts, language)) for probe, texts in probes)
    return [Verdict(probe, not sentences, "; ".join(sentences)) for probe, sentences in said]


def _version(declared: Declaration, found: Observation) -> Iterator[Text]:
    if versions.older(found.version, declared.minimum_version):
        yield Text(
            f"AzureADConnect.exe has version {found.version or '-'}, older than {declared.minimum_version}",
            f"AzureADConnect.exe a la version {found.version or '-'}, antérieure à {declared.minimum_version}",
        )


def _upgrade(found: Observation) -> Iterator[Text]:
    if found.half_upgraded:
        yield Text(
            f"the sync engine still has version {found.engine_version}, {found.version} is installed; finish the"
            " upgrade in"
            " AzureADConnect.exe",
            f"le moteur de synchronisation a encore la version {found.engine_version}, {found.version} est installée ;"
            " terminez la"
            " mise à niveau dans AzureADConnect.exe",
        )


def _services(declared: Declaration, found: Observation) -> Iterator[Text]:
    states = {service.name.casefold(): service.state for service in found.services}
    for name in declared.services:
        state = states.get(name.casefold(), "")
        if not state:
            yield Text(f"{name} is not installed", f"{name} n'est pas installé")
        elif state != "running":
            yield Text(f"{name} is not running", f"{name} ne tourne pas")


def _tls(found: Observation) -> Iterator[Text]:
    for value in found.tls:
        if value.data != 1:
            held = "-" if value.data is None else str(value.data)
            yield Text(
                f"{value.path}\\{value.name} is {held}, not 1: .NET may not use TLS 1.2",
                f"{value.path}\\{value.name} vaut {held}, non 1 : .NET peut ne pas utiliser TLS 1.2",
            )


def _scheduler(declared: Declaration, found: Observation) -> Iterator[Text]:
    scheduler = found.scheduler
    if scheduler is None:
        return
    if scheduler.cycle_enabled != declared.cycle_enabled:
        yield Text(
            f"SyncCycleEnabled is {scheduler.cycle_enabled}, declared {declared.cycle_enabled}",
            f"SyncCycleEnabled vaut {scheduler.cycle_enabled}, déclaré {declared.cycle_enabled}",
        )
    for setting in ("interval_minutes", "maintenance", "run_history_days"):
        held, wanted = getattr(scheduler, setting), getattr(declared, setting)
        if held != wanted:
            yield Text(f"{setting} is {held}, declared {wanted}", f"{setting} vaut {held}, déclaré {wanted}")


def _suspended(found: Observation) -> Iterator[Text]:
    if found.scheduler is not None and found.scheduler.suspended and not found.half_upgraded:
        yield Text(
            "the scheduler is suspended, and no certificate is rotated meanwhile; close or finish AzureADConnect.exe on"
            " the server",
            "le planificateur est suspendu, et aucun certificat n'est renouvelé entre-temps ; fermez ou terminez"
            " AzureADConnect.exe"
            " sur le serveur",
        )


def _staging(declared: Declaration, name: str, found: Observation, peers: Sequence[Peer]) -> Iterator[Text]:
    if found.scheduler is None:
        return
    if found.scheduler.staging_mode != declared.staging_mode:
        yield Text(
            f"StagingModeEnabled is {found.scheduler.staging_mode}, declared {declared.staging_mode}",
            f"StagingModeEnabled vaut {found.scheduler.staging_mode}, déclaré {declared.staging_mode}",
        )
    others = [peer.name for peer in peers if peer.found is not None and peer.found.active]
    if found.active and others:
        named = ", ".join([name, *others])
        yield Text(f"two servers are active: {named}", f"deux serveurs sont actifs : {named}")


def _identity(declared: Declaration, found: Observation) -> Iterator[Text]:
    identity = found.identity
    if identity is None:
        return
    wanted = _IDENTITIES[declared.identity]
    if identity.type != wanted:
        yield Text(
            f"ConnectorIdentityType is {identity.type}, declared {wanted}; in AzureADConnect.exe choose Configure"
            " application-based"
            " authentication",
            f"ConnectorIdentityType vaut {identity.type}, déclaré {wanted} ; dans AzureADConnect.exe, choisissez"
            " Configurer"
            " l'authentification par application",
        )
    elif wanted == "Application" and not (identity.application_managed_by and identity.certificate_managed_by):
        yield Text(
            "the connector has lost ApplicationManagedBy or CertificateManagedBy, so that its certificate will not be"
            " rotated; run"
            " Repair-ADSyncToolsEntraAppParameters (module ADSyncTools 2.3.0)",
            "le connecteur a perdu ApplicationManagedBy ou CertificateManagedBy, son certificat ne sera donc pas"
            " renouvelé ; lancez"
            " Repair-ADSyncToolsEntraAppParameters (module ADSyncTools 2.3.0)",
        )


def _certificate(declared: Declaration, found: Observation) -> Iterator[Text]:
    if found.identity is None or found.identity.type != "Application":
        return
    certificate = found.certificate()
    if certificate is None:
        yield Text(
            "the certificate of application-based authentication is neither in the service account's store nor in the"
            " machine's",
            "le certificat de l'authentification par application n'est ni dans le magasin du compte de service ni dans"
            " celui de la"
            " machine",
        )
        return
    left = moment(certificate.not_after) - moment(found.time)
    if left < timedelta(days=declared.certificate_min_days):
        yield Text(
            f"the certificate {certificate.thumbprint} ends on {certificate.not_after}, in {left.days} days, less than"
            f" {declared.certificate_min_days}; in AzureADConnect.exe choose Rotate application certificate",
            f"le certificat {certificate.thumbprint} expire le {certificate.not_after}, dans {left.days} jours, moins"
            " de"
            f" {declared.certificate_min_days} ; dans AzureADConnect.exe, choisissez Renouveler le certificat"
            " d'application",
        )


def _events(declared: Declaration, found: Observation) -> Iterator[Text]:
    """Errors since the certificate in use began; what came before is about another one."""
    certificate = found.certificate()
    if certificate is None:
        return
    since = moment(certificate.not_before)
    recent = {event.id: event.time for event in found.events if moment(event.time) >= since}
    if 1012 in recent:
        yield Text(
            f"event 1012 on {recent[1012]}: the certificate of application-based authentication has expired; rotate it"
            " in"
            " AzureADConnect.exe",
            f"événement 1012 le {recent[1012]} : le certificat de l'authentification par application a expiré ;"
            " renouvelez-le dans"
            " AzureADConnect.exe",
        )
    if 1014 in recent and declared.require_tpm:
        yield Text(
            f"event 1014 on {recent[1014]}: the certificate's private key is not in a TPM; give the machine a virtual"
            " TPM and rotate"
            " the certificate",
            f"événement 1014 le {recent[1014]} : la clé privée du certificat n'est pas dans un TPM ; donnez à la"
            " machine un TPM"
            " virtuel et renouvelez le certificat",
        )


def _last_sync(declared: Declaration, found: Observation) -> Iterator[Text]:
    if found.scheduler is None or not declared.cycle_enabled:
        return
    last = found.last_success
    limit = declared.last_sync_max_age_hours
    if last is None:
        yield Text("no synchronisation has ever succeeded", "aucune synchronisation n'a jamais réussi")
        return
    age = moment(found.time) - last
    if age > timedelta(hours=limit):
        hours = int(age.total_seconds() // 3600)
        yield Text(
            f"the last successful synchronisation is {hours} h old, more than {limit} h",
            f"la dernière synchronisation réussie a {hours} h, plus de {limit} h",
        )


def _runs(declared: Declaration, found: Observation) -> Iterator[Text]:
    for run in found.latest_runs():
        if run.result not in declared.accepted_results:
            yield Text(
                f"{run.connector}, {run.profile}: {run.result} on {run.start}",
                f"{run.connector}, {run.profile} : {run.result} le {run.start}",
            )


def _export(declared: Declaration, found: Observation) -> Iterator[Text]:
    if not declared.export:
        return
    export, limit = found.export, declared.export_max_age_hours
    if not export.task:
        yield Text(
            "there is no scheduled export of the configuration", "aucun export planifié de la configuration n'existe"
        )
        return
    if not export.last_run:
        since = moment(found.time) - moment(export.registered)
        if since > timedelta(hours=limit):
            yield Text(
                f"the export of the configuration has not run in {limit} h, since its task exists",
                f"l'export de la configuration n'a pas eu lieu en {limit} h, depuis que sa tâche existe",
            )
        return
    if export.last_result != 0:
        yield Text(
            f"the last export of the configuration failed with {export.last_result}",
            f"le dernier export de la configuration a échoué avec {export.last_result}",
        )
    age = moment(found.time) - moment(export.last_run)
    if age > timedelta(hours=limit):
        hours = int(age.total_seconds() // 3600)
        yield Text(
            f"the last export of the configuration is {hours} h old, more than {limit} h",
            f"le dernier export de la configuration a {hours} h, plus de {limit} h",
        )
