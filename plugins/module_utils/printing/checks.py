# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration of a print server, before anything is touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from .declared import PREFIX
from .papers import PAPERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .declared import Declaration, Defaults, Driver, Permission, Port, Queue

IPP_BUILD = 20348
"""Windows Server 2022, the first whose Add-Printer has -IppURL."""

_QUEUE_UNSAFE = frozenset('\\,!*?[]"')
"""What the name of a queue cannot hold (Windows), or what Get-Printer would take for a pattern."""
_SHARE_UNSAFE = frozenset('\\/:*?"<>|,;+=[]')
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_SCHEMES = frozenset({"ipp", "ipps", "http", "https"})


def problems(declared: Declaration) -> list[Text]:
    """Sentences on what is wrong with a declaration by itself; each starts with the variable's name and path."""
    found = (text for check in _CHECKS for text in check(declared))
    return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]


def server_problems(declared: Declaration, *, build: int, domain: str, unknown: Sequence[str]) -> list[Text]:
    """Sentences on what this server cannot do.

    Args:
        declared: the declaration.
        build: build of Windows.
        domain: DNS name of its domain, empty in a workgroup.
        unknown: principals that nobody knows there.
    """
    found = []
    for index, queue in enumerate(declared.queues):
        if queue.ipp_url and build < IPP_BUILD:
            found.append(
                about(
                    f"queues[{index}].ipp_url",
                    f"IPP devices need Windows Server 2022 (build {IPP_BUILD}), this is build {build}; declare driver"
                    " and port",
                    f"les périphériques IPP demandent Windows Server 2022 (build {IPP_BUILD}), le serveur est en build"
                    f" {build} ; déclarez driver et port",
                )
            )
        if queue.published and not domain:
            found.append(
                about(
                    f"queues[{index}].published",
                    "the server is in no domain, so there is no directory to list it in",
                    "le serveur n'est dans aucun domaine : il n'y a pas d'annuaire où la publier",
                )
            )
    found += [
        about(
            "permissions",
            f"nobody knows {name!r} on this server; write its SID, or create it first",
            f"« {name} » est inconnu de ce serveur ; indiquez son SID, ou créez-le d'abord",
        )
        for name in unknown
    ]
    return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]


def _repeated(declared: Declaration) -> Iterator[Text]:
    lists: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("drivers", "name", (driver.name for driver in declared.drivers)),
        ("ports", "name", (port.name for port in declared.ports)),
        ("queues", "name", (queue.name for queue in declared.queues)),
        ("queues", "share", (queue.share for queue in declared.queues)),
    )
    for variable, key, values in lists:
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value and value.casefold() in seen:
                yield about(
                    f"{variable}[{index}].{key}", f"{value!r} is declared twice", f"« {value} » est déclaré deux fois"
                )
            seen.add(value.casefold())


def _drivers(declared: Declaration) -> Iterator[Text]:
    for index, driver in enumerate(declared.drivers):
        yield from _driver(f"drivers[{index}]", driver)


def _driver(path: str, driver: Driver) -> Iterator[Text]:
    given = {"source": driver.source, "checksum": driver.checksum, "inf": driver.inf}
    missing = [name for name, value in given.items() if not value]
    if missing and len(missing) < len(given):
        for name in missing:
            yield about(
                f"{path}.{name}",
                "missing: an archive needs source, checksum and inf",
                "absent : une archive veut source, checksum et inf",
            )
    if driver.checksum and not _SHA256.fullmatch(driver.checksum):
        yield about(f"{path}.checksum", "a SHA-256 has 64 hexadecimal digits", "un SHA-256 a 64 chiffres hexadécimaux")
    if driver.inf and (not driver.inf.lower().endswith(".inf") or ":" in driver.inf or ".." in driver.inf):
        yield about(
            f"{path}.inf",
            f"{driver.inf!r} is not the path of an INF file inside the archive",
            f"« {driver.inf} » n'est pas le chemin d'un fichier INF dans l'archive",
        )
    if driver.version and not _VERSION.fullmatch(driver.version):
        yield about(
            f"{path}.version",
            f"{driver.version!r} is not a version such as 61.250.1.24832",
            f"« {driver.version} » n'est pas une version telle que 61.250.1.24832",
        )


def _ports(declared: Declaration) -> Iterator[Text]:
    for index, port in enumerate(declared.ports):
        yield from _port(f"ports[{index}]", port)


def _port(path: str, port: Port) -> Iterator[Text]:
    if not 1 <= port.tcp <= 65535:
        yield about(
            f"{path}.number", f"{port.tcp} is not between 1 and 65535", f"{port.tcp} n'est pas entre 1 et 65535"
        )
    if not port.address or re.search(r"[\s/:\\]", port.address):
        yield about(
            f"{path}.address",
            f"{port.address!r} is not an address or a host name",
            f"« {port.address} » n'est pas une adresse ni un nom d'hôte",
        )
    if port.protocol == "lpr" and not port.lpr_queue:
        yield about(
            f"{path}.lpr_queue", "missing: LPR names the device's queue", "absent : LPR nomme la file du périphérique"
        )
    if port.protocol == "raw" and port.lpr_queue:
        yield about(
            f"{path}.lpr_queue", "a raw port has no queue of the device", "un port raw n'a pas de file du périphérique"
        )


def _queues(declared: Declaration) -> Iterator[Text]:
    known = {
        "driver": {driver.name.casefold() for driver in declared.drivers},
        "port": {port.name.casefold() for port in declared.ports},
    }
    for index, queue in enumerate(declared.queues):
        path = f"queues[{index}]"
        yield from _named(f"{path}.name", queue.name, _QUEUE_UNSAFE, 220)
        if queue.share:
            yield from _named(f"{path}.share", queue.share, _SHARE_UNSAFE, 80)
        yield from _way(path, queue, known)
        if queue.published and not queue.share:
            yield about(
                f"{path}.published",
                "only a shared queue is listed; give share",
                "seule une file partagée est publiée ; donnez share",
            )
        yield from _paper(f"{path}.paper", queue.paper)


def _named(path: str, name: str, unsafe: frozenset[str], longest: int) -> Iterator[Text]:
    wrong = sorted(unsafe.intersection(name))
    if wrong:
        yield about(path, f"{name!r} holds {' '.join(wrong)}", f"« {name} » contient {' '.join(wrong)}")
    if not name.strip() or name != name.strip() or len(name) > longest:
        yield about(
            path,
            f"{name!r} must have 1 to {longest} characters and no space at its ends",
            f"« {name} » doit avoir de 1 à {longest} caractères, sans espace aux extrémités",
        )


def _way(path: str, queue: Queue, known: dict[str, set[str]]) -> Iterator[Text]:
    """By driver and port, or by the address of an IPP device."""
    if queue.ipp_url:
        parts = urlsplit(queue.ipp_url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            yield about(
                f"{path}.ipp_url",
                f"{queue.ipp_url!r} is not an address such as ipp://10.42.0.51:631/ipp/print",
                f"« {queue.ipp_url} » n'est pas une adresse telle que ipp://10.42.0.51:631/ipp/print",
            )
        if queue.driver or queue.port:
            yield about(
                path,
                "with ipp_url Windows chooses driver and port itself; leave them out",
                "avec ipp_url, Windows choisit lui-même pilote et port ; ne les indiquez pas",
            )
        return
    for name, value in (("driver", queue.driver), ("port", queue.port)):
        if not value:
            yield about(f"{path}.{name}", "missing (or give ipp_url)", "absent (ou donnez ipp_url)")
        elif value.casefold() not in known[name]:
            yield about(
                f"{path}.{name}",
                f"{value!r} is not declared in {PREFIX}{name}s",
                f"« {value} » n'est pas déclaré dans {PREFIX}{name}s",
            )


def _paper(path: str, paper: str) -> Iterator[Text]:
    if paper and paper not in PAPERS:
        yield about(
            path,
            f"{paper!r} is no paper that Set-PrintConfiguration knows, such as A4",
            f"« {paper} » n'est pas un papier connu de Set-PrintConfiguration, tel que A4",
        )


def _access(declared: Declaration) -> Iterator[Text]:
    lists = [("permissions", declared.permissions)]
    lists += [(f"queues[{number}].permissions", queue.permissions) for number, queue in enumerate(declared.queues)]
    for path, permissions in lists:
        if permissions and not _managed(permissions):
            yield about(
                path,
                "nobody may manage the printer: give somebody manage_printer",
                "personne ne peut gérer l'imprimante : donnez manage_printer à quelqu'un",
            )
        for index, permission in enumerate(permissions):
            if not permission.rights:
                yield about(f"{path}[{index}].rights", "empty", "vide")
    if declared.queues and not declared.permissions and not all(queue.permissions for queue in declared.queues):
        yield about("permissions", "empty", "vide")


def _managed(permissions: Iterable[Permission]) -> bool:
    return any(entry.type == "allow" and "manage_printer" in entry.rights for entry in permissions)


def _rest(declared: Declaration) -> Iterator[Text]:
    defaults: Defaults = declared.defaults
    yield from _paper("defaults.paper", defaults.paper)
    if declared.rpc_port and not 1024 <= declared.rpc_port <= 65535:
        yield about(
            "rpc_port",
            f"{declared.rpc_port} is neither 0 nor from 1024 to 65535",
            f"{declared.rpc_port} n'est ni 0 ni entre 1024 et 65535",
        )
    for name, value, highest in (
        ("job_max_age_hours", declared.job_max_age_hours, 8760),
        ("device_timeout_seconds", declared.device_timeout_seconds, 60),
    ):
        if not 1 <= value <= highest:
            yield about(name, f"{value} is not between 1 and {highest}", f"{value} n'est pas entre 1 et {highest}")


_CHECKS: tuple[Callable[[Declaration], Iterator[Text]], ...] = (_repeated, _drivers, _ports, _queues, _access, _rest)
