# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Windows function stands on: PowerShell modules, certificates with the readers of their keys, packages.

Two steps, both pure. ``request`` reads the declaration and the controller's files and says what to ask the server;
``plan`` compares the answer with the declaration and lists what differs, one list a task.
"""

from __future__ import annotations

import fnmatch
import ntpath
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.certificates import (
    Bundle,
    Certificate,
    CertificateError,
    read_pem,
    read_pkcs12,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item

PREFIX = "windows_prerequisites_"
STAGING = r"%LOCALAPPDATA%\Infogerance"
"""Where files wait for their import: in the profile of Ansible's account, closed to all others but administrators."""
STORES = ("My", "WebHosting")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_VERSION = re.compile(r"\d+(\.\d+){0,3}")


@dataclass(frozen=True, slots=True)
class PowerShellModule:
    """A PowerShell module at one version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """A certificate with its key, from a PKCS#12 file of the controller."""

    source: str
    password: str = field(default="", repr=False)
    store: str = "My"
    readers: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    exportable: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """An installer, or a file that is only brought."""

    name: str
    source: str
    checksum: str
    product_id: str = ""
    product_name: str = ""
    version: str = ""
    exact: bool = False
    arguments: str = ""
    creates_path: str = ""
    creates_service: str = ""
    destination: str = ""
    state: str = "present"
    reboots: bool = False

    @property
    def staged_only(self) -> bool:
        """Whether the file is brought and nothing is run."""
        return self.state == "staged"


@dataclass(frozen=True, slots=True)
class Declaration:
    """The role's variables, without their prefix."""

    powershell_modules: tuple[PowerShellModule, ...] = ()
    certificates: tuple[WantedCertificate, ...] = ()
    packages: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True)
class ControllerFile:
    """What the lookup controller_file answers."""

    source: str
    path: str
    exists: bool
    sha256: str
    content: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ModuleState:
    """Versions of a PowerShell module on the server."""

    name: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateState:
    """A certificate on the server."""

    store: str
    thumbprint: str
    subject: str
    not_after: str
    has_private_key: bool
    key_file: str = ""
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrustedState:
    """A certificate of an authority on the server."""

    store: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class PackageState:
    """An installed product."""

    code: str
    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class PathState:
    """A file or folder on the server."""

    path: str
    exists: bool
    version: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class PrincipalState:
    """An account and its SID; no SID when nobody has that name."""

    name: str
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the plan reads of the state that windows_state_info answers."""

    time: str
    powershell_modules: tuple[ModuleState, ...] = ()
    certificates: tuple[CertificateState, ...] = ()
    trusted: tuple[TrustedState, ...] = ()
    packages: tuple[PackageState, ...] = ()
    paths: tuple[PathState, ...] = ()
    services: tuple[str, ...] = ()
    principals: tuple[PrincipalState, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A declared certificate as its files hold it."""

    index: int
    wanted: WantedCertificate
    bundle: Bundle
    chain: tuple[Certificate, ...]

    @property
    def path(self) -> str:
        """Name of the declaration's item, for messages."""
        return f"{PREFIX}certificates[{self.index}]"


def request(declared: Declaration, bundles: Mapping[str, bytes], chains: Mapping[str, bytes]) -> dict[str, Any]:
    """What to ask the server, the thumbprints declared, and what is wrong already.

    Args:
        declared: the role's variables.
        bundles: bytes of the PKCS#12 files found, by source.
        chains: bytes of the PEM files found, by source.
    """
    held, problems = hold(declared, bundles, chains)
    problems += [*_names(declared), *_packages_wrong(declared)]
    return {
        "probe": {
            "powershell_modules": [module.name for module in declared.powershell_modules],
            "certificates": bool(declared.certificates),
            "trusted": sorted({link.thumbprint for entry in held for link in entry.chain}),
            "products": [package.product_id for package in declared.packages if package.product_id],
            "product_names": [package.product_name for package in declared.packages if package.product_name],
            "paths": [STAGING, *(package.creates_path for package in declared.packages if package.creates_path)],
            "files": [package.destination for package in declared.packages if package.staged_only],
            "services": [package.creates_service for package in declared.packages if package.creates_service],
            "principals": sorted({reader for entry in declared.certificates for reader in entry.readers}),
        },
        "thumbprints": [entry.bundle.certificate.thumbprint for entry in held],
        "problems": problems,
    }


def hold(
    declared: Declaration, bundles: Mapping[str, bytes], chains: Mapping[str, bytes]
) -> tuple[list[Held], list[Text]]:
    """The declared certificates as their files hold them, and what is wrong with the files."""
    held: list[Held] = []
    problems: list[Text] = []
    for index, wanted in enumerate(declared.certificates):
        path = f"{PREFIX}certificates[{index}]"
        if wanted.store not in STORES:
            problems.append(about(f"{path}.store", f"one of {STORES} is expected", f"l'un de {STORES} est attendu"))
        missing = [source for source in (wanted.source,) if source not in bundles]
        missing += [source for source in wanted.chain if source not in chains]
        problems += [_missing(path, source) for source in missing]
        if missing:
            continue
        try:
            bundle = read_pkcs12(bundles[wanted.source], wanted.password)
        except CertificateError as error:
            problems.append(_unreadable(path, wanted.source, error))
            continue
        links: list[Certificate] = []
        for source in wanted.chain:
            try:
                links += read_pem(chains[source])
            except CertificateError as error:
                problems.append(_unreadable(path, source, error))
        held.append(Held(index, wanted, bundle, tuple(links)))
    return held, problems


def plan(declared: Declaration, held: Iterable[Held], observed: Observation) -> dict[str, Any]:
    """What differs, one list a task, and ``problems`` that forbid to begin.

    ``certificates``, ``chain`` and ``strays`` go to win_certificate_store, ``readers`` to win_acl, ``packages`` to
    win_package, ``files`` are brought and nothing is run. Items of ``files`` and ``packages`` carry ``from``: ``url``,
    ``share`` or ``controller``.
    """
    entries = list(held)
    packages, package_problems = _packages(declared, observed)
    return {
        "powershell_modules": _modules(declared, observed),
        "certificates": _certificates(entries, observed),
        "strays": _strays(entries, observed),
        "chain": _chain(entries, observed),
        "readers": _readers(entries, observed),
        "packages": packages,
        "files": _files(declared, observed),
        "staging": observed.paths[0].path if observed.paths else "",
        "staging_left": bool(observed.paths) and observed.paths[0].exists,
        "problems": [*_certificates_wrong(entries, observed), *package_problems],
    }


def _missing(path: str, source: str) -> Text:
    return about(path, f"the controller has no file {source}", f"le contrôleur n'a pas de fichier {source}")


_FRENCH = {
    "the password is not its own": "le mot de passe n'est pas le sien",
    "it is no PKCS#12 file": "ce n'est pas un fichier PKCS#12",
    "it holds no certificate with its private key": "il ne contient pas de certificat avec sa clé privée",
    "it holds no PEM certificate": "il ne contient pas de certificat PEM",
}


def _unreadable(path: str, source: str, error: CertificateError) -> Text:
    return about(path, f"{source}: {error}", f"{source} : {_FRENCH[str(error)]}")


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(name.casefold() for name in names).items() if count > 1)


def _names(declared: Declaration) -> list[Text]:
    """Duplicates, and versions that are none."""
    lists = {
        "powershell_modules": [f"{module.name} {module.version}" for module in declared.powershell_modules],
        "certificates": [entry.source for entry in declared.certificates],
        "packages": [package.name for package in declared.packages],
    }
    found = [
        about(PREFIX + what, f"{name} is there twice", f"{name} y figure deux fois")
        for what, names in lists.items()
        for name in _twice(names)
    ]
    for index, module in enumerate(declared.powershell_modules):
        if not _VERSION.fullmatch(module.version):
            found.append(_no_version(f"{PREFIX}powershell_modules[{index}].version", module.version))
    return found


def _no_version(path: str, version: str) -> Text:
    return about(path, f"'{version}' is no version", f"« {version} » n'est pas une version")


def _packages_wrong(declared: Declaration) -> list[Text]:
    found: list[Text] = []
    for index, package in enumerate(declared.packages):
        path = f"{PREFIX}packages[{index}]"
        if not _SHA256.fullmatch(package.checksum):
            found.append(
                about(
                    f"{path}.checksum",
                    f"{package.name}: a SHA-256 is expected, 64 hexadecimal digits",
                    f"{package.name} : un SHA-256 est attendu, 64 chiffres hexadécimaux",
                )
            )
        if package.version and not _VERSION.fullmatch(package.version):
            found.append(_no_version(f"{path}.version", package.version))
        if package.state not in {"present", "staged"}:
            found.append(about(f"{path}.state", "present or staged is expected", "present ou staged est attendu"))
        known = (package.product_id, package.product_name, package.creates_path, package.creates_service)
        if not package.staged_only and not any(known):
            found.append(
                about(
                    path,
                    f"{package.name}: product_id, product_name, creates_path or creates_service is missing, which tell"
                    " whether it is there",
                    f"{package.name} : il manque product_id, product_name, creates_path ou creates_service, qui disent"
                    " s'il est présent",
                )
            )
        if package.staged_only and not package.destination:
            found.append(
                about(
                    f"{path}.destination",
                    f"{package.name}: a file that is only brought needs its place",
                    f"{package.name} : un fichier seulement déposé a besoin de son emplacement",
                )
            )
        if package.exact and not package.version:
            found.append(
                about(f"{path}.exact", f"{package.name}: which version?", f"{package.name} : quelle version ?")
            )
    return found


def order(version: str) -> tuple[int, ...]:
    """Sorting key of a version: four numbers; what is not a number ends it."""
    numbers = [int(part) for part in re.findall(r"\d+", version.split("-", maxsplit=1)[0])[:4]]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _modules(declared: Declaration, observed: Observation) -> list[Item]:
    held = {module.name.casefold(): module.versions for module in observed.powershell_modules}
    return [
        item(
            f"{module.name} {module.version}",
            held.get(module.name.casefold(), ()) or ["missing"],
            foreseen=False,
            name=module.name,
            version=module.version,
        )
        for module in declared.powershell_modules
        if all(order(version) != order(module.version) for version in held.get(module.name.casefold(), ()))
    ]


def _found(observed: Observation, store: str, thumbprint: str) -> CertificateState | None:
    return next(
        (entry for entry in observed.certificates if (entry.store, entry.thumbprint) == (store, thumbprint)), None
    )


def _certificates(held: list[Held], observed: Observation) -> list[Item]:
    items = []
    for entry in held:
        there = _found(observed, entry.wanted.store, entry.bundle.certificate.thumbprint)
        if there is None or not there.has_private_key:
            why = "missing" if there is None else "without its key"
            items.append(
                item(
                    entry.bundle.certificate.subject,
                    [why],
                    foreseen=True,
                    index=entry.index,
                    source=entry.wanted.source,
                    store=entry.wanted.store,
                    thumbprint=entry.bundle.certificate.thumbprint,
                    exportable=entry.wanted.exportable,
                )
            )
    return items


def _strays(held: list[Held], observed: Observation) -> list[Item]:
    """Certificates of authorities that an import leaves among the server's own, because the file held them too."""
    wanted = {(entry.wanted.store, entry.bundle.certificate.thumbprint) for entry in held}
    items: dict[tuple[str, str], Item] = {}
    for entry in held:
        imported = any(new["index"] == entry.index for new in _certificates([entry], observed))
        for other in entry.bundle.others:
            place = (entry.wanted.store, other.thumbprint)
            if place not in wanted and (imported or _found(observed, *place) is not None):
                items[place] = item(
                    other.subject, ["among the own"], foreseen=imported, store=place[0], thumbprint=place[1]
                )
    return list(items.values())


def _chain(held: list[Held], observed: Observation) -> list[Item]:
    there = {(entry.store, entry.thumbprint) for entry in observed.trusted}
    items: dict[str, Item] = {}
    for entry in held:
        for link in entry.chain:
            store = "Root" if link.self_signed else "CA"
            if (store, link.thumbprint) not in there:
                items[link.thumbprint] = item(
                    link.subject, ["missing"], foreseen=True, store=store, thumbprint=link.thumbprint, pem=link.pem
                )
    return list(items.values())


def _readers(held: list[Held], observed: Observation) -> list[Item]:
    sids = {entry.name: entry.sid for entry in observed.principals}
    items = []
    for entry in held:
        thumbprint = entry.bundle.certificate.thumbprint
        there = _found(observed, entry.wanted.store, thumbprint)
        # An account without a SID may be made by a package of this very run; win_acl names it when it is not.
        items += [
            item(
                entry.bundle.certificate.subject,
                [f"{reader} may not read its key"],
                foreseen=True,
                store=entry.wanted.store,
                thumbprint=thumbprint,
                reader=reader,
            )
            for reader in entry.wanted.readers
            if there is None or sids.get(reader, "") not in there.readers
        ]
    return items


def _certificates_wrong(held: list[Held], observed: Observation) -> list[Text]:
    found: list[Text] = []
    for entry in held:
        found += [
            about(
                entry.path,
                f"the certificate {certificate.subject} expired on {certificate.not_after}; renew it",
                f"le certificat {certificate.subject} a expiré le {certificate.not_after} ; renouvelez-le",
            )
            for certificate in (entry.bundle.certificate, *entry.chain)
            if certificate.not_after <= observed.time
        ]
        there = _found(observed, entry.wanted.store, entry.bundle.certificate.thumbprint)
        if entry.wanted.readers and there is not None and there.has_private_key and not there.key_file:
            subject = entry.bundle.certificate.subject
            found.append(
                about(
                    f"{entry.path}.readers",
                    f"the key of {subject} is none of the machine's files, and nobody can be let to read it;"
                    " remove the certificate from the server and run again",
                    f"la clé de {subject} n'est pas un fichier de la machine, et personne ne peut y recevoir un droit ;"
                    " retirez le certificat du serveur et relancez",
                )
            )
    return found


def _origin(package: Package) -> str:
    if re.match(r"https?://", package.source, re.IGNORECASE):
        return "url"
    return "share" if package.source.startswith("\\\\") else "controller"


def _file_name(package: Package) -> str:
    """Name of the file as its source has it, without the query of an address."""
    return ntpath.basename(package.source.partition("?")[0].replace("/", "\\"))


def _files(declared: Declaration, observed: Observation) -> list[Item]:
    staged = [package for package in declared.packages if package.staged_only]
    # The probe answers files after paths, in the order asked: their names may hold variables of the environment.
    answers = observed.paths[len(observed.paths) - len(staged) :]
    items = []
    for package, answer in zip(staged, answers, strict=False):
        if answer.sha256.casefold() != package.checksum.casefold():
            items.append(
                item(
                    package.name,
                    ["other content" if answer.exists else "missing"],
                    foreseen=True,
                    **_transfer(package),
                    destination=answer.path,
                    folder=ntpath.dirname(answer.path),
                )
            )
    return items


def _transfer(package: Package) -> dict[str, Any]:
    origin = _origin(package)
    return {"name": package.name, "source": package.source, "from": origin, "checksum": package.checksum.lower()}


def _packages(declared: Declaration, observed: Observation) -> tuple[list[Item], list[Text]]:
    items: list[Item] = []
    problems: list[Text] = []
    staging = observed.paths[0].path if observed.paths else STAGING
    paths = {
        package.creates_path: answer for package, answer in zip(_creating(declared), observed.paths[1:], strict=False)
    }
    for index, package in enumerate(declared.packages):
        if package.staged_only:
            continue
        installed, version = _installed(package, observed, paths)
        if package.exact and installed and order(version) > order(package.version):
            problems.append(
                about(
                    f"{PREFIX}packages[{index}].version",
                    f"{package.name} {version} is installed, newer than {package.version}; it is not taken back",
                    f"{package.name} {version} est installé, plus récent que {package.version} ; il n'y a pas de retour"
                    " en arrière",
                )
            )
            continue
        if installed and (not package.version or order(version) >= order(package.version)):
            continue
        place = package.destination or rf"{staging}\{_file_name(package)}"
        items.append(
            item(
                f"{package.name} {package.version}".strip(),
                [version or "without a version" if installed else "missing"],
                foreseen=False,
                **_transfer(package),
                destination=place,
                folder=ntpath.dirname(place),
                product_id=package.product_id,
                arguments=package.arguments,
                reboots=package.reboots,
            )
        )
    return items, problems


def _creating(declared: Declaration) -> list[Package]:
    return [package for package in declared.packages if package.creates_path]


def _installed(package: Package, observed: Observation, paths: Mapping[str, PathState]) -> tuple[bool, str]:
    """Whether a package is there, and the newest version found of it."""
    versions: list[str] = []
    for entry in observed.packages:
        named = package.product_name and fnmatch.fnmatch(entry.name.casefold(), package.product_name.casefold())
        if named or (package.product_id and entry.code.casefold() == package.product_id.casefold()):
            versions.append(entry.version)
    by_product = bool(package.product_id or package.product_name)
    there = bool(versions) if by_product else True
    if package.creates_path:
        path = paths.get(package.creates_path)
        there = there and path is not None and path.exists
        if path is not None and path.exists and not by_product:
            versions.append(path.version)
    if package.creates_service:
        there = there and package.creates_service.casefold() in {name.casefold() for name in observed.services}
    return there, max(versions, key=order, default="")
