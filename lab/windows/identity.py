# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of a simulated server: names, SIDs and passwords, as a French Windows spells them."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from lab.windows import md4, registry

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, group or service identity."""

    sid: str
    name: str
    domain: str = ""
    """NetBIOS name of the authority, empty for ``Tout le monde`` and its like."""
    kind: str = "user"
    """``user``, ``group``, ``alias`` (local group), ``wellknown`` or ``computer``."""

    @property
    def account(self) -> str:
        r"""``DOMAIN\name``, or the name alone."""
        return f"{self.domain}\\{self.name}" if self.domain else self.name


class LogonFailure(Exception):  # noqa: N818 - Windows calls it a logon failure
    """A logon refused: wrong password, disabled or unknown account."""


# SID, English name, French name, authority (French). Source: Microsoft, "Well-known SIDs", and the names a French
# Windows Server shows. Domain-relative identities belong to the directory, not here.
_WELL_KNOWN: tuple[tuple[str, str, str, str], ...] = (
    ("S-1-1-0", "Everyone", "Tout le monde", ""),
    ("S-1-2-0", "LOCAL", "LOCAL", ""),
    ("S-1-3-0", "CREATOR OWNER", "CREATEUR PROPRIETAIRE", ""),
    ("S-1-3-1", "CREATOR GROUP", "GROUPE CREATEUR", ""),
    ("S-1-3-4", "OWNER RIGHTS", "DROITS DU PROPRIÉTAIRE", ""),
    ("S-1-5-2", "NETWORK", "RESEAU", "AUTORITE NT"),
    ("S-1-5-3", "BATCH", "TACHE", "AUTORITE NT"),
    ("S-1-5-4", "INTERACTIVE", "INTERACTIF", "AUTORITE NT"),
    ("S-1-5-6", "SERVICE", "SERVICE", "AUTORITE NT"),
    ("S-1-5-7", "ANONYMOUS LOGON", "ANONYMOUS LOGON", "AUTORITE NT"),
    ("S-1-5-9", "ENTERPRISE DOMAIN CONTROLLERS", "ENTERPRISE DOMAIN CONTROLLERS", "AUTORITE NT"),
    ("S-1-5-10", "SELF", "SELF", "AUTORITE NT"),
    ("S-1-5-11", "Authenticated Users", "Utilisateurs authentifiés", "AUTORITE NT"),
    ("S-1-5-13", "TERMINAL SERVER USER", "UTILISATEUR TERMINAL SERVER", "AUTORITE NT"),
    ("S-1-5-14", "REMOTE INTERACTIVE LOGON", "REMOTE INTERACTIVE LOGON", "AUTORITE NT"),
    ("S-1-5-17", "IUSR", "IUSR", "AUTORITE NT"),
    ("S-1-5-18", "SYSTEM", "Système", "AUTORITE NT"),
    ("S-1-5-19", "LOCAL SERVICE", "SERVICE LOCAL", "AUTORITE NT"),
    ("S-1-5-20", "NETWORK SERVICE", "SERVICE RÉSEAU", "AUTORITE NT"),
    ("S-1-5-113", "Local account", "Compte local", "AUTORITE NT"),
    (
        "S-1-5-114",
        "Local account and member of Administrators group",
        "Compte local et membre du groupe Administrateurs",
        "AUTORITE NT",
    ),
    ("S-1-5-32-544", "Administrators", "Administrateurs", "BUILTIN"),
    ("S-1-5-32-545", "Users", "Utilisateurs", "BUILTIN"),
    ("S-1-5-32-546", "Guests", "Invités", "BUILTIN"),
    ("S-1-5-32-547", "Power Users", "Utilisateurs avec pouvoir", "BUILTIN"),
    ("S-1-5-32-548", "Account Operators", "Opérateurs de compte", "BUILTIN"),
    ("S-1-5-32-549", "Server Operators", "Opérateurs de serveur", "BUILTIN"),
    ("S-1-5-32-550", "Print Operators", "Opérateurs d’impression", "BUILTIN"),
    ("S-1-5-32-551", "Backup Operators", "Opérateurs de sauvegarde", "BUILTIN"),
    ("S-1-5-32-552", "Replicator", "Duplicateurs", "BUILTIN"),
    (
        "S-1-5-32-554",
        "Pre-Windows 2000 Compatible Access",
        "Accès compatible pré-Windows 2000",
        "BUILTIN",
    ),
    ("S-1-5-32-555", "Remote Desktop Users", "Utilisateurs du Bureau à distance", "BUILTIN"),
    ("S-1-5-32-556", "Network Configuration Operators", "Opérateurs de configuration réseau", "BUILTIN"),
    ("S-1-5-32-558", "Performance Monitor Users", "Utilisateurs de l’Analyseur de performances", "BUILTIN"),
    ("S-1-5-32-559", "Performance Log Users", "Utilisateurs du journal de performances", "BUILTIN"),
    ("S-1-5-32-562", "Distributed COM Users", "Utilisateurs du modèle COM distribué", "BUILTIN"),
    ("S-1-5-32-568", "IIS_IUSRS", "IIS_IUSRS", "BUILTIN"),
    ("S-1-5-32-569", "Cryptographic Operators", "Opérateurs de chiffrement", "BUILTIN"),
    ("S-1-5-32-573", "Event Log Readers", "Lecteurs des journaux d’événements", "BUILTIN"),
    (
        "S-1-5-32-574",
        "Certificate Service DCOM Access",
        "Accès DCOM service de certificats",
        "BUILTIN",
    ),
    ("S-1-5-32-575", "RDS Remote Access Servers", "Serveurs Accès Distant RDS", "BUILTIN"),
    ("S-1-5-32-576", "RDS Endpoint Servers", "Serveurs RDS Endpoint", "BUILTIN"),
    ("S-1-5-32-577", "RDS Management Servers", "Serveurs Gestion RDS", "BUILTIN"),
    ("S-1-5-32-578", "Hyper-V Administrators", "Administrateurs Hyper-V", "BUILTIN"),
    (
        "S-1-5-32-579",
        "Access Control Assistance Operators",
        "Opérateurs d’assistance de contrôle d’accès",
        "BUILTIN",
    ),
    ("S-1-5-32-580", "Remote Management Users", "Utilisateurs de gestion à distance", "BUILTIN"),
    ("S-1-5-32-582", "Storage Replica Administrators", "Storage Replica Administrators", "BUILTIN"),
    (
        "S-1-5-80-0",
        "ALL SERVICES",
        "TOUS LES SERVICES",
        "NT SERVICE",
    ),
    ("S-1-5-83-0", "Virtual Machines", "Virtual Machines", "NT VIRTUAL MACHINE"),
    ("S-1-5-90-0", "Window Manager Group", "Window Manager Group", "Window Manager"),
    ("S-1-15-2-1", "ALL APPLICATION PACKAGES", "TOUS LES PACKAGES D’APPLICATION", "AUTORITÉ DE PACKAGE D’APPLICATION"),
)

BUILTIN_GROUPS: tuple[str, ...] = tuple(entry[0] for entry in _WELL_KNOWN if entry[0].startswith("S-1-5-32-"))
"""SIDs of the local groups that every member server has."""

_AUTHORITY_ALIASES = {
    "nt authority": "autorite nt",
    "autorité nt": "autorite nt",
    "autorite nt": "autorite nt",
    "builtin": "builtin",
    "prédéfini": "builtin",
    "nt service": "nt service",
    "": "",
}

_SID = re.compile(r"S-1-\d+(-\d+)+", re.IGNORECASE)


def is_sid(text: str) -> bool:
    """Tell whether a text is a SID in its S-1-... form."""
    return _SID.fullmatch(text) is not None


def well_known(sid: str) -> Principal | None:
    """Find a well-known identity by SID, under its French name."""
    for known, _english, french, authority in _WELL_KNOWN:
        if known == sid:
            kind = "alias" if sid.startswith("S-1-5-32-") else "wellknown"
            return Principal(known, french, authority, kind)
    return None


def _well_known_by_name(authority: str | None, name: str) -> Principal | None:
    wanted = name.casefold().replace("'", "’")
    for sid, english, french, own in _WELL_KNOWN:
        # Windows resolves the localised names; of the English ones it keeps those of the NT services' accounts.
        names = {french.casefold()}
        if sid in {"S-1-5-18", "S-1-5-19", "S-1-5-20"}:
            names.add(english.casefold())
        if wanted not in names:
            continue
        if authority is None or _AUTHORITY_ALIASES.get(authority.casefold(), authority.casefold()) == own.casefold():
            return well_known(sid)
    return None


def service_sid(service: str) -> str:
    r"""SID of ``NT SERVICE\name``: S-1-5-80- and the SHA-1 of the upper-case name (MS-DTYP 2.4.2.4)."""
    from hashlib import sha1  # noqa: PLC0415 - the one use of a weak hash, prescribed by Windows

    digest = sha1(service.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    parts = [str(int.from_bytes(digest[i : i + 4], "little")) for i in range(0, 20, 4)]
    return "S-1-5-80-" + "-".join(parts)


def split_name(name: str) -> tuple[str | None, str]:
    r"""Split ``DOMAIN\name`` and ``name@domain`` into domain (None when absent) and name."""
    if "\\" in name:
        domain, _, account = name.partition("\\")
        return domain, account
    if "@" in name:
        account, _, domain = name.rpartition("@")
        return domain, account
    return None, name


def resolve(server: WindowsServer, text: str) -> Principal | None:
    """Find who a name or SID means on this server: its own accounts, well-known identities, then domains."""
    text = text.strip()
    accounts = server.section("accounts")
    machine_sid = accounts["machine_sid"]
    if is_sid(text):
        sid = text.upper()
        for user in accounts["users"].values():
            if user["sid"] == sid:
                return Principal(sid, user["name"], server.computer_name, "user")
        for group in accounts["groups"].values():
            if group["sid"] == sid:
                authority = "BUILTIN" if sid.startswith("S-1-5-32-") else server.computer_name
                return Principal(sid, group["name"], authority, "alias")
        found = well_known(sid)
        if found is not None and not (sid.startswith("S-1-5-32-") and not accounts.get("domain_controller")):
            return found
        if sid.startswith("S-1-5-80-"):
            for service in server.section("services"):
                if service_sid(service) == sid:
                    return Principal(
                        sid, server.section("services")[service].get("name", service), "NT SERVICE", "wellknown"
                    )
        if sid == machine_sid:
            return Principal(sid, server.computer_name, "", "computer")
        for directory in registry.DIRECTORIES:
            principal = directory.by_sid(server, sid)
            if principal is not None:
                return principal
        return None
    domain, name = split_name(text)
    local = domain is None or domain == "." or domain.casefold() == server.computer_name.casefold()
    if domain is not None and domain.casefold() == "nt service":
        services = server.section("services")
        for key, service in services.items():
            if key.casefold() == name.casefold():
                return Principal(service_sid(key), service.get("name", key), "NT SERVICE", "wellknown")
        return None
    if local:
        user = accounts["users"].get(name.casefold())
        if user is not None:
            return Principal(user["sid"], user["name"], server.computer_name, "user")
    if local or (domain or "").casefold() in {"builtin", "prédéfini"}:
        group = accounts["groups"].get(name.casefold().replace("'", "’")) or accounts["groups"].get(name.casefold())
        if group is not None:
            authority = "BUILTIN" if group["sid"].startswith("S-1-5-32-") else server.computer_name
            return Principal(group["sid"], group["name"], authority, "alias")
    found = _well_known_by_name(None if local else domain, name)
    if found is not None and (found.kind != "alias" or accounts.get("domain_controller")):
        return found
    for directory in registry.DIRECTORIES:
        principal = directory.by_name(server, None if local else domain, name)
        if principal is not None:
            return principal
    return None


def nt_hash(password: str) -> str:
    """Hash that Windows keeps of a password: MD4 of its UTF-16 text, in hexadecimal (MS-NLMP 3.3.1)."""
    return md4.digest(password.encode("utf-16-le")).hex()


def logon(server: WindowsServer, username: str, password: str) -> Principal:
    """Log on with a password.

    Raises:
        LogonFailure: Wrong password, unknown, disabled or locked account; Windows tells no more.
    """
    given = nt_hash(password)
    return logon_with(server, username, lambda stored: hmac.compare_digest(stored, given))


def logon_with(server: WindowsServer, username: str, check: registry.PasswordCheck) -> Principal:
    """Log on by any proof: ``check(nt_hash)`` tells whether the proof fits the stored hash.

    Raises:
        LogonFailure: As for ``logon``.
    """
    domain, name = split_name(username)
    accounts = server.section("accounts")
    local = domain is None or domain in {"", "."} or domain.casefold() == server.computer_name.casefold()
    if local:
        user = accounts["users"].get(name.casefold())
        if user is not None:
            if user.get("disabled") or user.get("locked") or not check(user["nt_hash"]):
                raise LogonFailure(username)
            return Principal(user["sid"], user["name"], server.computer_name, "user")
    for directory in registry.DIRECTORIES:
        principal = directory.logon(server, None if local else domain, name, check)
        if principal is not None:
            return principal
    raise LogonFailure(username)


def ntlmv2_key(stored_hash: str, user: str, domain: str) -> bytes:
    """Key of NTLMv2 for a stored hash (MS-NLMP 3.3.2 NTOWFv2)."""
    return hmac.new(bytes.fromhex(stored_hash), (user.upper() + domain).encode("utf-16-le"), md5).digest()
