# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before the first change: rules that span several keys, with the path of the key in each sentence."""

from __future__ import annotations

import base64
import binascii
import ntpath
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from . import firewall
from .declared import HTTPS, PORTS, PREFIX, SFTP
from .observed import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.systems import System

    from .declared import Certificate, Declaration, Flow
    from .observed import Observation

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ACCOUNT = re.compile(r"[^\\@]+\\[^\\@]{1,15}\$")
_ROOT = re.compile(r"[A-Za-z]:\\[^\s:]+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_REMOTE = re.compile(r"[A-Za-z0-9._/-]*")


def problems(declared: Declaration) -> list[Text]:
    """Sentences on what is wrong with a declaration, whatever the server."""
    found = [*_server(declared)]
    for index, flow in enumerate(declared.flows):
        found += _flow(declared, flow, f"{PREFIX}flows[{index}]")
    found += _twice([flow.name for flow in declared.flows], f"{PREFIX}flows")
    found += _twice([own.name for own in declared.certificates], f"{PREFIX}certificates")
    found += _twice(list(declared.identities), f"{PREFIX}identities")
    found += _shared_folders(declared)
    for index, opening in enumerate(declared.outbound):
        path = f"{PREFIX}outbound[{index}].addresses"
        found += (_no_address(path, text) for text in opening.addresses if not firewall.is_address(text))
    return found


def server_problems(declared: Declaration, found: Observation, system: System | None, *, check: bool) -> list[Text]:
    """Sentences on what forbids making this server the exchange server that is declared.

    Args:
        declared: the declaration.
        found: what the probe saw.
        system: the version of Windows, None when it is unknown.
        check: check mode: an account that an earlier part of the same run makes is not there yet and is not missed.
    """
    return [
        *_system(declared, found, system),
        *([] if check else _accounts(declared, found)),
        *_cut_off(declared, found),
        *_expired(declared, found.now),
    ]


def _server(declared: Declaration) -> Iterator[Text]:
    if not _ACCOUNT.fullmatch(declared.service_account):
        yield about(
            f"{PREFIX}service_account",
            f"{declared.service_account!r} is no group managed service account: write it DOMAIN\\name$",
            f"« {declared.service_account} » n'est pas un compte de service administré de groupe :"
            " écrivez DOMAINE\\nom$",
        )
    if not _ROOT.fullmatch(declared.root):
        yield about(
            f"{PREFIX}root",
            f"{declared.root!r} must be an absolute path below a drive, without spaces",
            f"« {declared.root} » doit être un chemin absolu sous un lecteur, sans espace",
        )


def _flow(declared: Declaration, flow: Flow, path: str) -> Iterator[Text]:
    if not _NAME.fullmatch(flow.name):
        yield about(
            f"{path}.name",
            f"{flow.name!r}: lower-case letters, digits and hyphens, 40 at most",
            f"« {flow.name} » : minuscules, chiffres et tirets, 40 au plus",
        )
    if flow.protocol not in PORTS:
        yield about(f"{path}.protocol", f"{flow.protocol!r} is unknown", f"« {flow.protocol} » est inconnu")
    if not _HOST.fullmatch(flow.host):
        yield about(f"{path}.host", f"{flow.host!r} is no host name", f"« {flow.host} » n'est pas un nom d'hôte")
    if not _TIME.fullmatch(flow.schedule.at):
        yield about(f"{path}.schedule.at", "HH:MM is expected", "HH:MM est attendu")
    if not 0 <= flow.schedule.every_minutes < 1440:
        yield about(f"{path}.schedule.every_minutes", "0 to 1439 is expected", "une valeur de 0 à 1439 est attendue")
    if not _REMOTE.fullmatch(flow.remote_path) or ".." in flow.remote_path:
        yield about(
            f"{path}.remote_path",
            f"{flow.remote_path!r}: letters, digits, dots, hyphens and slashes only, without '..'",
            f"« {flow.remote_path} » : lettres, chiffres, points, tirets et barres obliques seulement, sans « .. »",
        )
    for text in flow.addresses:
        if not firewall.is_address(text):
            yield _no_address(f"{path}.addresses", text)
    if declared.firewall and not firewall.far_addresses(flow):
        yield about(
            f"{path}.addresses",
            f"missing: the firewall takes addresses, and {flow.host} is a name",
            f"absent : le pare-feu veut des adresses, et {flow.host} est un nom",
        )
    for kind in ("outbox", "inbox", "archive"):
        given = getattr(flow.directories, kind)
        if given and not declared.within(given):
            yield about(
                f"{path}.directories.{kind}",
                f"{given} lies outside {declared.root} ({PREFIX}root)",
                f"{given} est hors de {declared.root} ({PREFIX}root)",
            )
    if flow.protocol == SFTP:
        yield from _sftp(declared, flow, path)
    elif flow.protocol == HTTPS:
        yield from _https(declared, flow, path)


def _sftp(declared: Declaration, flow: Flow, path: str) -> Iterator[Text]:
    if not flow.host_keys:
        yield about(
            f"{path}.host_keys",
            f"missing: {flow.name} would trust any server that calls itself {flow.host}; pin the keys that the far end"
            " publishes",
            f"absent : {flow.name} ferait confiance à tout serveur qui se dit {flow.host} ; épinglez les clés que"
            " publie le correspondant",
        )
    for index, key in enumerate(flow.host_keys):
        if not is_host_key(key):
            yield about(
                f"{path}.host_keys[{index}]",
                "not a public key as OpenSSH writes it (type base64)",
                "n'est pas une clé publique au format d'OpenSSH (type base64)",
            )
    if not re.fullmatch(r"[A-Za-z0-9._-]+", flow.user):
        yield about(f"{path}.user", f"{flow.user!r} is no user name", f"« {flow.user} » n'est pas un nom d'utilisateur")
    if flow.identity not in declared.identities:
        yield about(
            f"{path}.identity",
            f"{flow.identity!r} is not among {PREFIX}identities",
            f"« {flow.identity} » n'est pas dans {PREFIX}identities",
        )


def _https(declared: Declaration, flow: Flow, path: str) -> Iterator[Text]:
    if declared.certificate(flow) is None:
        yield about(
            f"{path}.certificate",
            f"{flow.certificate!r} is not among {PREFIX}certificates",
            f"« {flow.certificate} » n'est pas dans {PREFIX}certificates",
        )
    if flow.host_keys:
        yield about(
            f"{path}.host_keys",
            "belongs to sftp; the far end of https_mtls is known by its certificate",
            "ne vaut que pour sftp ; le correspondant de https_mtls est connu par son certificat",
        )


def _twice(names: list[str], path: str) -> Iterator[Text]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name.casefold() in seen:
            yield about(f"{path}[{index}].name", f"{name!r} is there twice", f"« {name} » y est deux fois")
        seen.add(name.casefold())


def _shared_folders(declared: Declaration) -> Iterator[Text]:
    seen: dict[str, str] = {}
    for index, flow in enumerate(declared.flows):
        for kind in (flow.drop, "archive"):
            folder = ntpath.normcase(declared.folder(flow, kind))
            other = seen.setdefault(folder, f"{flow.name}.{kind}")
            if other != f"{flow.name}.{kind}" and other.partition(".")[0].casefold() != flow.name.casefold():
                yield about(
                    f"{PREFIX}flows[{index}].directories.{kind}",
                    f"{declared.folder(flow, kind)} is {other}'s already: two flows would take each other's files",
                    f"{declared.folder(flow, kind)} est déjà celui de {other} : deux flux se prendraient leurs"
                    " fichiers",
                )


def is_host_key(key: str) -> bool:
    """Whether a text is a public key whose encoded type is the one that it is said to have (RFC 4253, 6.6)."""
    words = key.split()
    if len(words) < 2:
        return False
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return False
    length = int.from_bytes(blob[:4], "big")
    return len(blob) > 4 + length and blob[4 : 4 + length] == words[0].encode()


def _no_address(path: str, text: str) -> Text:
    return about(path, f"{text!r} is no address or network", f"« {text} » n'est ni une adresse ni un réseau")


def _system(declared: Declaration, found: Observation, system: System | None) -> Iterator[Text]:
    if system is None:
        yield Text(
            f"{found.hostname} runs Windows {found.version}, which this collection does not know",
            f"{found.hostname} est en version {found.version} de Windows, que cette collection ne connaît pas",
        )
    elif not system.supported and not declared.accept_unsupported_os:
        days = system.days_left(found.now.date())
        yield about(
            f"{PREFIX}accept_unsupported_os",
            f"{found.hostname} runs {system.name}, whose extended support ends on {system.end_of_support}, in {days}"
            " days: migrate the server, or accept the risk with true",
            f"{found.hostname} est sous {system.name}, dont le support étendu prend fin le {system.end_of_support},"
            f" dans {days} jours : migrez le serveur, ou acceptez le risque par true",
        )


def _accounts(declared: Declaration, found: Observation) -> Iterator[Text]:
    if not found.knows(declared.service_account):
        yield about(
            f"{PREFIX}service_account",
            f"{found.hostname} does not know {declared.service_account}: declare it in"
            " domain_controller_service_accounts, wait for the KDS root key (10 hours after it was made), and run"
            " again",
            f"{found.hostname} ne connaît pas {declared.service_account} : déclarez-le dans"
            " domain_controller_service_accounts, attendez la clé racine KDS (10 heures après sa création), et"
            " relancez",
        )
    for index, flow in enumerate(declared.flows):
        for name in flow.principals:
            if not found.knows(name):
                yield about(
                    f"{PREFIX}flows[{index}].principals",
                    f"{found.hostname} knows no {name!r}",
                    f"{found.hostname} ne connaît pas « {name} »",
                )


def _cut_off(declared: Declaration, found: Observation) -> Iterator[Text]:
    """What the blocking of everything that goes out would cut off: name resolution and the domain."""
    if not declared.firewall:
        return
    dns = set(firewall.dns_servers(declared, found))
    lost = [server for server in found.dns_servers if server not in dns]
    if lost:
        yield about(
            f"{PREFIX}dns_servers",
            f"{found.hostname} asks {', '.join(lost)}, which would no longer be reached",
            f"{found.hostname} interroge {', '.join(lost)}, qui ne serait plus joint",
        )
    if found.domain and not firewall.controllers(declared, found):
        yield about(
            f"{PREFIX}domain_controllers",
            f"empty: {found.hostname} would lose its domain {found.domain}",
            f"vide : {found.hostname} perdrait son domaine {found.domain}",
        )


def _expired(declared: Declaration, now: datetime) -> Iterator[Text]:
    used = {flow.certificate for flow in declared.flows}
    for index, own in enumerate(declared.certificates):
        if own.name in used and not own.thumbprint:
            yield about(
                f"{PREFIX}certificates[{index}].source",
                f"{own.name}: there is no such file on the controller",
                f"{own.name} : ce fichier n'existe pas sur le contrôleur Ansible",
            )
        elif own.name in used and moment(own.not_after).astimezone(UTC) <= now:
            yield expired(own, f"{PREFIX}certificates[{index}]")


def expired(own: Certificate, path: str) -> Text:
    """The sentence on a certificate that is over."""
    day = own.not_after[:10]
    return about(
        path,
        f"{own.name} ({own.subject}) expired on {day}: ask IGC-Santé for another",
        f"{own.name} ({own.subject}) a expiré le {day} : demandez-en un autre à l'IGC-Santé",
    )
