# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the declaration of a synchronisation server by itself, before anything is touched."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from . import versions
from .declared import PREFIX, TENANT_WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .declared import Declaration
    from .observed import Peer

_LOCAL_SYSTEM_PATH = re.compile(r"[A-Za-z]:\\[^\"<>|*?]+")


def problems(declared: Declaration, name: str, peers: Iterable[Peer]) -> list[Text]:
    """Sentences on what is wrong with a declaration and with those of the servers beside it.

    Args:
        declared: the declaration.
        name: the server's name in the inventory.
        peers: the other servers of its group.
    """
    found = [*_texts(declared), *_numbers(declared), *_installer(declared), *_together(declared, name, list(peers))]
    return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]


def _texts(declared: Declaration) -> Iterator[Text]:
    for name in ("version", "minimum_version"):
        value = str(getattr(declared, name))
        if value and not versions.is_version(value):
            yield about(
                name,
                f"{value!r} is not a version such as 2.6.84.0",
                f"« {value} » n'est pas une version telle que 2.6.84.0",
            )
    if declared.full_cycle_since:
        try:
            aware = datetime.fromisoformat(declared.full_cycle_since).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            yield about(
                "full_cycle_since",
                f"{declared.full_cycle_since!r} is not a moment with its time zone, such as 2026-11-23T08:00:00Z",
                f"« {declared.full_cycle_since} » n'est pas un instant avec son fuseau, tel que 2026-11-23T08:00:00Z",
            )
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", declared.export_time) is None:
        yield about(
            "export_time",
            f"{declared.export_time!r} is not a time of day, HH:MM",
            f"« {declared.export_time} » n'est pas une heure, HH:MM",
        )
    if _LOCAL_SYSTEM_PATH.fullmatch(declared.folder) is None:
        yield about(
            "folder",
            f"{declared.folder!r} is not a folder of the server, such as C:\\ProgramData\\infogerance\\adsync",
            f"« {declared.folder} » n'est pas un dossier du serveur, tel que C:\\ProgramData\\infogerance\\adsync",
        )


def _numbers(declared: Declaration) -> Iterator[Text]:
    least = {
        "interval_minutes": 1,
        "run_history_days": 1,
        "cycle_timeout_minutes": 1,
        "certificate_min_days": 0,
        "last_sync_max_age_hours": 1,
        "export_keep": 1,
        "export_max_age_hours": 1,
    }
    for name, minimum in least.items():
        value = int(getattr(declared, name))
        if value < minimum:
            yield about(name, f"{value} is less than {minimum}", f"{value} est moins que {minimum}")
    # Microsoft Learn, "Scheduler": a cycle must run at least once every seven days.
    if declared.interval_minutes > 7 * 24 * 60:
        yield about(
            "interval_minutes",
            f"{declared.interval_minutes} minutes is more than the seven days within which a cycle must run",
            f"{declared.interval_minutes} minutes dépasse les sept jours dans lesquels un cycle doit avoir lieu",
        )
    if declared.cycle_enabled and declared.last_sync_max_age_hours * 60 < declared.interval_minutes:
        yield about(
            "last_sync_max_age_hours",
            f"{declared.last_sync_max_age_hours} h is less than the interval between cycles,"
            f" {declared.interval_minutes} min",
            f"{declared.last_sync_max_age_hours} h est moins que l'intervalle des cycles, {declared.interval_minutes}"
            " min",
        )


def _installer(declared: Declaration) -> Iterator[Text]:
    if not declared.installer:
        for name in ("installer_checksum", "version"):
            if getattr(declared, name):
                yield about(
                    name,
                    "describes an installer, and adsync_installer names none",
                    "décrit un installateur, et adsync_installer n'en nomme aucun",
                )
        return
    if re.match(r"https?://", declared.installer, re.IGNORECASE):
        yield about(
            "installer",
            "Microsoft offers the installer in the Entra admin centre only, after a logon; download it by hand and give"
            " its path"
            " on the controller, or a UNC path",
            "Microsoft n'offre l'installateur que dans le centre d'administration Entra, après connexion ;"
            " téléchargez-le à la main"
            " et donnez son chemin sur le contrôleur, ou un chemin UNC",
        )
    if not declared.version:
        yield about(
            "version",
            "empty; give the version of the installer (properties of the MSI file)",
            "vide ; donnez la version de l'installateur (propriétés du fichier MSI)",
        )
    elif (
        versions.is_version(declared.version)
        and versions.is_version(declared.minimum_version)
        and versions.older(declared.version, declared.minimum_version)
    ):
        yield about(
            "version",
            f"{declared.version} is older than adsync_minimum_version, {declared.minimum_version}; download a newer"
            " installer",
            f"{declared.version} est antérieure à adsync_minimum_version, {declared.minimum_version} ; téléchargez un"
            " installateur"
            " plus récent",
        )
    if re.fullmatch(r"[0-9A-Fa-f]{64}", declared.installer_checksum) is None:
        yield about(
            "installer_checksum",
            "must be the SHA-256 of the installer, 64 hexadecimal digits",
            "doit être le SHA-256 de l'installateur, 64 chiffres hexadécimaux",
        )


def _together(declared: Declaration, name: str, peers: list[Peer]) -> Iterator[Text]:
    staging = {name: declared.staging_mode} | {peer.name: peer.declared.staging_mode for peer in peers}
    active = sorted(server for server, staged in staging.items() if not staged)
    if len(active) != 1:
        named = ", ".join(active) or "-"
        yield about(
            "staging_mode",
            f"exactly one server of the group {declared.group} must be declared active (false); declared active:"
            f" {named}",
            f"un serveur et un seul du groupe {declared.group} doit être déclaré actif (false) ; déclarés actifs :"
            f" {named}",
        )
    for peer in peers:
        for setting in TENANT_WIDE:
            own, other = getattr(declared, setting), getattr(peer.declared, setting)
            if own != other:
                yield about(
                    setting,
                    f"{own} here and {other} on {peer.name}; Entra ID keeps it for the whole tenant: declare it in"
                    f" group_vars/{declared.group}.yml",
                    f"{own} ici et {other} sur {peer.name} ; Entra ID le garde pour tout le locataire : déclarez-le"
                    " dans"
                    f" group_vars/{declared.group}.yml",
                )
