# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a technician is told about a synchronisation server on every run, without the run failing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Declaration
    from .observed import Observation

_STEPS = {
    "configure": Text(
        "Entra Connect Sync is not configured yet, and its first configuration is a person's: on the server, open"
        " AzureADConnect.exe as a Hybrid Identity Administrator (domain and enterprise administrator at hand), choose"
        " the domain,"
        " the organisational units and the sign-in, tick staging mode where adsync_staging_mode is true, finish, then"
        " run this role"
        " again; nothing that follows was attempted",
        "Entra Connect Sync n'est pas encore configuré, et sa première configuration revient à une personne : sur le"
        " serveur, ouvrez"
        " AzureADConnect.exe en administrateur d'identité hybride (avec un administrateur du domaine et de"
        " l'entreprise), choisissez"
        " le domaine, les unités d'organisation et la connexion, cochez le mode de préproduction si adsync_staging_mode"
        " vaut true,"
        " terminez, puis relancez ce rôle ; rien de la suite n'a été tenté",
    ),
    "upgrade": Text(
        "the upgrade of Entra Connect Sync is half done: the new version is installed, the sync engine still is the old"
        " one and"
        " stands still; on the server, open AzureADConnect.exe, choose Upgrade as a Hybrid Identity Administrator, then"
        " run this role"
        " again: it runs a delta cycle and enables the scheduler; nothing that follows was attempted",
        "la mise à niveau d'Entra Connect Sync est à moitié faite : la nouvelle version est installée, le moteur de"
        " synchronisation"
        " est encore l'ancien et à l'arrêt ; sur le serveur, ouvrez AzureADConnect.exe, choisissez Mettre à niveau en"
        " administrateur"
        " d'identité hybride, puis relancez ce rôle : il fait un cycle delta et active le planificateur ; rien de la"
        " suite n'a été"
        " tenté",
    ),
}

CLOUD_SYNC = Text(
    "Microsoft moves Entra Connect Sync to Cloud Sync in phases; see whether this organisation can move (Microsoft"
    " Entra admin"
    " centre, Entra Connect, Cloud Sync)",
    "Microsoft fait passer Entra Connect Sync à Cloud Sync par étapes ; voyez si cette organisation peut y passer"
    " (centre"
    " d'administration Microsoft Entra, Entra Connect, Cloud Sync)",
)


def notices(declared: Declaration, found: Observation, step: str) -> list[Text]:
    """Sentences for the technician.

    Args:
        declared: the declaration.
        found: what the probe answered.
        step: what only a person can do now; empty when nothing is (``Plan.next_step``).
    """
    return [*([_STEPS[step]] if step else []), *_risks(found), *_certificate(declared, found), CLOUD_SYNC]


def _risks(found: Observation) -> Iterator[Text]:
    if found.spooler_running:
        yield Text(
            "the print spooler runs on this server, which holds the keys of the directory (tier 0): whoever breaks the"
            " spooler"
            " (PrintNightmare, MS-RPRN coercion) takes the directory; print from another server",
            "le spouleur d'impression tourne sur ce serveur, qui détient les clés de l'annuaire (tier 0) : qui prend le"
            " spouleur"
            " (PrintNightmare, contrainte MS-RPRN) prend l'annuaire ; imprimez depuis un autre serveur",
        )


def _certificate(declared: Declaration, found: Observation) -> Iterator[Text]:
    ids = {event.id for event in found.events}
    if 1011 in ids:
        yield Text(
            "event 1011: the certificate of application-based authentication is due for rotation; Entra Connect rotates"
            " its own as long"
            " as the scheduler runs, one of your own must be rotated by hand"
            " (Invoke-ADSyncApplicationCredentialRotation)",
            "événement 1011 : le certificat de l'authentification par application est à renouveler ; Entra Connect"
            " renouvelle le sien"
            " tant que le planificateur tourne, le vôtre se renouvelle à la main"
            " (Invoke-ADSyncApplicationCredentialRotation)",
        )
    if 1014 in ids and not declared.require_tpm:
        yield Text(
            "event 1014: the certificate's private key is in software, this server has no usable TPM; give the machine"
            " a virtual TPM",
            "événement 1014 : la clé privée du certificat est logicielle, ce serveur n'a pas de TPM utilisable ; donnez"
            " à la machine"
            " un TPM virtuel",
        )
