# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration by itself, before anything is touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from .declared import PREFIX, SPECIFIC_USER, same
from .releases import KEEP_AT_LEAST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .declared import Declaration, Pool, Site

_NAME = re.compile(r"[^\\/:*?\"<>|']+")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_MARKS = (".unpacked", ".healthy")
_RESERVED_POOL = 64


def problems(declared: Declaration, *, baseline_tls: Mapping[str, bool], tls: Mapping[str, bool]) -> list[Text]:
    """Sentences on what is wrong with a declaration; each starts with the variable's name and path.

    Args:
        declared: the declaration.
        baseline_tls: protocols of ``windows_baseline_tls_protocols`` where the inventory gives them.
        tls: protocols of ``iis_tls_protocols``.
    """
    found = (
        *_repeated(declared),
        *(text for index, pool in enumerate(declared.pools) for text in _pool(f"pools[{index}]", pool)),
        *(text for index, site in enumerate(declared.sites) for text in _site(f"sites[{index}]", site, declared)),
        *_clashes(declared),
        *_releases(declared),
        *_log(declared),
        *_tls(baseline_tls, tls),
    )
    return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]


def _repeated(declared: Declaration) -> Iterator[Text]:
    lists: tuple[tuple[str, Iterable[str]], ...] = (
        ("certificates", (entry.name for entry in declared.certificates)),
        ("pools", (entry.name for entry in declared.pools)),
        ("sites", (entry.name for entry in declared.sites)),
        ("releases", (entry.site for entry in declared.releases)),
        ("headers", (entry.name for entry in declared.headers)),
    )
    for variable, names in lists:
        seen: set[str] = set()
        for index, name in enumerate(names):
            if name.casefold() in seen:
                yield about(f"{variable}[{index}]", f"{name} is declared twice", f"{name} est déclaré deux fois")
            seen.add(name.casefold())


def _named(path: str, name: str) -> Iterator[Text]:
    if not _NAME.fullmatch(name) or len(name) > _RESERVED_POOL:
        yield about(
            f"{path}.name",
            f"{name!r} must have 1 to {_RESERVED_POOL} characters and none of \\ / : * ? \" < > | '",
            f"« {name} » doit avoir de 1 à {_RESERVED_POOL} caractères, sans \\ / : * ? \" < > | '",
        )


def _pool(path: str, pool: Pool) -> Iterator[Text]:
    yield from _named(path, pool.name)
    specific = pool.identity == SPECIFIC_USER
    managed = pool.user.endswith("$")
    if specific and not pool.user:
        yield about(f"{path}.user", "missing: the identity is SpecificUser", "manque : l'identité est SpecificUser")
    if not specific and (pool.user or pool.password):
        yield about(
            f"{path}.user",
            f"only the identity SpecificUser has one, not {pool.identity}",
            f"seule l'identité SpecificUser en a un, non {pool.identity}",
        )
    if specific and pool.user and managed and pool.password:
        yield about(
            f"{path}.password",
            f"{pool.user} is a managed account: Windows knows its password, nobody gives it",
            f"{pool.user} est un compte géré : Windows en connaît le mot de passe, personne ne le donne",
        )
    if specific and pool.user and not managed and not pool.password:
        yield about(
            f"{path}.password",
            f"missing for {pool.user}; give a vaulted one, or a managed account (gMSA), whose name ends with $",
            f"manque pour {pool.user} ; donnez-le par le coffre, ou un compte géré (gMSA), dont le nom finit par $",
        )
    for index, time in enumerate(pool.recycle_times):
        if not _TIME.fullmatch(time):
            yield about(
                f"{path}.recycle_times[{index}]", f"{time!r} is no time HH:MM", f"« {time} » n'est pas une heure HH:MM"
            )


def _site(path: str, site: Site, declared: Declaration) -> Iterator[Text]:
    yield from _named(path, site.name)
    pools = {pool.name.casefold(): pool for pool in declared.pools}
    certificates = {certificate.name.casefold() for certificate in declared.certificates}
    if not site.bindings:
        yield about(f"{path}.bindings", "empty: a site needs one at least", "vide : un site en veut au moins une")
    for name, pool in ((f"{path}.pool", site.pool), *_application_pools(path, site)):
        if pool.casefold() not in pools:
            yield about(name, f"no pool {pool!r} in iis_pools", f"aucun pool « {pool} » dans iis_pools")
    keys: set[str] = set()
    for index, binding in enumerate(site.bindings):
        place = f"{path}.bindings[{index}]"
        if binding.key.casefold() in keys:
            yield about(place, f"{binding.key} is declared twice", f"{binding.key} est déclaré deux fois")
        keys.add(binding.key.casefold())
        if not 1 <= binding.number <= 65535:
            yield about(f"{place}.port", f"{binding.number} is no port", f"{binding.number} n'est pas un port")
        if binding.secure and not binding.certificate:
            yield about(f"{place}.certificate", "missing: the protocol is https", "manque : le protocole est https")
        if not binding.secure and binding.certificate:
            yield about(f"{place}.certificate", "http has none", "http n'en a pas")
        known = binding.certificate.casefold() in certificates or _THUMBPRINT.fullmatch(binding.certificate)
        if binding.secure and binding.certificate and not known:
            yield about(
                f"{place}.certificate",
                f"{binding.certificate!r} is neither in iis_certificates nor a thumbprint of 40 digits",
                f"« {binding.certificate} » n'est ni dans iis_certificates ni une empreinte de 40 chiffres",
            )
    if site.physical_path and declared.release(site.name):
        yield about(
            f"{path}.physical_path",
            "a site of iis_releases has its path from there",
            "un site de iis_releases tient son chemin de là",
        )
    if not site.health_path.startswith("/"):
        yield about(f"{path}.health_path", "must start with /", "doit commencer par /")
    yield from _data_folders(path, site, declared)
    folders = [(f"applications[{index}]", entry.path) for index, entry in enumerate(site.applications)]
    folders += [(f"virtual_directories[{index}]", entry.path) for index, entry in enumerate(site.virtual_directories)]
    for name, value in folders:
        if not _NAME.fullmatch(value):
            yield about(
                f"{path}.{name}.path",
                f"{value!r} is no plain name, such as api",
                f"« {value} » n'est pas un nom simple",
            )
    applications = {entry.path.casefold() for entry in site.applications}
    for index, directory in enumerate(site.virtual_directories):
        if directory.application and directory.application.casefold() not in applications:
            yield about(
                f"{path}.virtual_directories[{index}].application",
                f"{site.name} has no application {directory.application!r}",
                f"{site.name} n'a pas d'application « {directory.application} »",
            )


def _data_folders(path: str, site: Site, declared: Declaration) -> Iterator[Text]:
    reserved = {"releases", "empty", "www"}
    for index, name in enumerate(site.data_folders):
        if not all(_NAME.fullmatch(part) and part.strip(". ") == part for part in name.split("\\")):
            yield about(
                f"{path}.data_folders[{index}]",
                f"{name!r} is no path below the site's folder",
                f"« {name} » n'est pas un chemin sous le dossier du site",
            )
        elif name.split("\\")[0].casefold() in reserved:
            yield about(
                f"{path}.data_folders[{index}]",
                f"{name!r} holds what the site serves, which its pools must not change",
                f"« {name} » contient ce que le site sert, et que ses pools ne doivent pas modifier",
            )
    if site.data_folders and not declared.owned(site):
        yield about(
            f"{path}.data_folders",
            "the site has a physical_path and no folder below iis_root",
            "le site a un physical_path et pas de dossier sous iis_root",
        )


def _application_pools(path: str, site: Site) -> Iterator[tuple[str, str]]:
    for index, application in enumerate(site.applications):
        if application.pool:
            yield f"{path}.applications[{index}].pool", application.pool


def _clashes(declared: Declaration) -> Iterator[Text]:
    """Two sites at one address: IIS would start the first only. Without SNI a port has one certificate."""
    owners: dict[str, str] = {}
    for index, site in enumerate(declared.sites):
        for number, binding in enumerate(site.bindings):
            owner = owners.setdefault(binding.key.casefold(), site.name)
            if not same(owner, site.name):
                yield about(
                    f"sites[{index}].bindings[{number}]",
                    f"{binding.key} belongs to {owner} already",
                    f"{binding.key} est déjà à {owner}",
                )


def _releases(declared: Declaration) -> Iterator[Text]:
    sites = {site.name.casefold(): site for site in declared.sites}
    pools = {pool.name.casefold(): pool for pool in declared.pools}
    for index, release in enumerate(declared.releases):
        path = f"releases[{index}]"
        site = sites.get(release.site.casefold())
        if site is None:
            yield about(f"{path}.site", f"no site {release.site!r} in iis_sites", f"aucun site « {release.site} »")
        elif site.state != "started" or any(
            pool.state != "started" for name, pool in pools.items() if name == site.pool.casefold()
        ):
            yield about(
                f"{path}.site",
                f"{release.site} or its pool is declared stopped: a release could not be checked",
                f"{release.site} ou son pool est déclaré arrêté : une livraison ne pourrait être vérifiée",
            )
        if not _VERSION.fullmatch(release.version) or release.version.casefold().endswith(_MARKS):
            yield about(
                f"{path}.version",
                f"{release.version!r} is no version: letters, digits, and . _ + -",
                f"« {release.version} » n'est pas une version : lettres, chiffres et . _ + -",
            )
        if not _SHA256.fullmatch(release.checksum):
            yield about(f"{path}.checksum", "must be a SHA-256 of 64 digits", "doit être un SHA-256 de 64 chiffres")
        if not release.source.lower().endswith(".zip"):
            yield about(f"{path}.source", "must be a .zip archive", "doit être une archive .zip")
        if release.keep < KEEP_AT_LEAST:
            yield about(
                f"{path}.keep",
                f"{release.keep} leaves nothing to return to: {KEEP_AT_LEAST} at least",
                f"{release.keep} ne laisse rien à quoi revenir : {KEEP_AT_LEAST} au moins",
            )
        if release.health.path and not release.health.path.startswith("/"):
            yield about(f"{path}.health.path", "must start with /", "doit commencer par /")


def _log(declared: Declaration) -> Iterator[Text]:
    log = declared.log
    if not _TIME.fullmatch(log.retention_time):
        yield about(
            "log.retention_time",
            f"{log.retention_time!r} is no time HH:MM",
            f"« {log.retention_time} » n'est pas une heure HH:MM",
        )
    if log.retention_days < 1:
        yield about("log.retention_days", "must be 1 or more", "doit valoir 1 au moins")
    if (log.period == "MaxSize") != (log.truncate_bytes > 0):
        yield about(
            "log.truncate_bytes",
            "goes with the period MaxSize, and only with it",
            "va avec la période MaxSize, et avec elle seule",
        )
    if log.truncate_bytes and not 1048576 <= log.truncate_bytes <= 4294967295:
        yield about(
            "log.truncate_bytes", "must be between 1048576 and 4294967295", "doit être entre 1048576 et 4294967295"
        )


def _tls(baseline: Mapping[str, bool], own: Mapping[str, bool]) -> Iterator[Text]:
    """The baseline writes the same registry values: two declarations would take turns."""
    for protocol, allowed in own.items():
        if protocol in baseline and bool(baseline[protocol]) is not bool(allowed):
            yield about(
                f"tls_protocols['{protocol}']",
                f"is {str(allowed).lower()} here and {str(baseline[protocol]).lower()} in"
                " windows_baseline_tls_protocols; declare them alike",
                f"vaut {str(allowed).lower()} ici et {str(baseline[protocol]).lower()} dans"
                " windows_baseline_tls_protocols ; déclarez-les de même",
            )
