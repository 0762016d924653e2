# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of simulated servers: one directory, kept beside the servers' folders and shared by all its controllers.

Replication is immediate: what one controller writes every other reads. A domain answers as long as one of its
controllers runs. Written from Microsoft's reference of Active Directory Domain Services and from [MS-ADTS]; names are
those of a French Windows.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import threading
import uuid
from typing import TYPE_CHECKING, Any

from lab.windows import identity
from lab.windows.identity import LogonFailure, Principal
from lab.windows.registry import ModuleFailure, section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.windows.registry import Call, PasswordCheck
    from lab.windows.server import ServerSpec, WindowsServer

Object = dict[str, Any]

DISABLED, NEVER_EXPIRES, NORMAL, WORKSTATION, CONTROLLER = 0x2, 0x10000, 0x200, 0x1000, 0x82000
"""Bits of userAccountControl ([MS-ADTS] 2.2.16)."""

GLOBAL, LOCAL, UNIVERSAL, SECURITY = 0x2, 0x4, 0x8, -0x80000000
"""Bits of groupType ([MS-ADTS] 2.2.12)."""

DEFAULT_SITE = "Default-First-Site-Name"

# RID, name, bits of groupType, description. Source: Microsoft, "Well-known SIDs", and a French Windows Server 2022.
_GROUPS: tuple[tuple[int, str, int], ...] = (
    (512, "Admins du domaine", GLOBAL),
    (513, "Utilisateurs du domaine", GLOBAL),
    (514, "Invités du domaine", GLOBAL),
    (515, "Ordinateurs du domaine", GLOBAL),
    (516, "Contrôleurs de domaine", GLOBAL),
    (517, "Éditeurs de certificats", LOCAL),
    (518, "Administrateurs du schéma", UNIVERSAL),
    (519, "Administrateurs de l’entreprise", UNIVERSAL),
    (520, "Propriétaires créateurs de la stratégie de groupe", GLOBAL),
    (521, "Contrôleurs de domaine en lecture seule", GLOBAL),
    (522, "Contrôleurs de domaine clonables", GLOBAL),
    (525, "Protected Users", GLOBAL),
    (526, "Administrateurs clés", GLOBAL),
    (527, "Administrateurs clés Enterprise", UNIVERSAL),
    (553, "Serveurs RAS et IAS", LOCAL),
    (571, "Groupe de réplication dont le mot de passe RODC est autorisé", LOCAL),
    (572, "Groupe de réplication dont le mot de passe RODC est refusé", LOCAL),
)
_BUILTIN = ("S-1-5-32-548", "S-1-5-32-549", "S-1-5-32-554", *identity.BUILTIN_GROUPS)
_CONTAINERS = (
    ("CN=Users", "container"),
    ("CN=Computers", "container"),
    ("CN=Managed Service Accounts", "container"),
    ("CN=ForeignSecurityPrincipals", "container"),
    ("CN=Builtin", "builtinDomain"),
    ("CN=System", "container"),
    ("CN=Password Settings Container,CN=System", "msDS-PasswordSettingsContainer"),
    ("OU=Domain Controllers", "organizationalUnit"),
)


def split_dn(name: str) -> list[str]:
    """Components of a distinguished name; an escaped comma does not separate."""
    out, current, escaped = [], "", False
    for character in name:
        if character == "," and not escaped:
            out.append(current.strip())
            current = ""
            continue
        escaped = character == "\\" and not escaped
        current += character
    return [*out, current.strip()]


def dn_key(name: str) -> str:
    """Spelling-independent form of a distinguished name."""
    parts = []
    for part in split_dn(name):
        attribute, _, value = part.partition("=")
        parts.append(f"{attribute.strip()}={value.strip()}".casefold())
    return ",".join(parts)


def parent_dn(name: str) -> str:
    """Distinguished name of the container of an object."""
    return ",".join(split_dn(name)[1:])


def unescape(value: str) -> str:
    """Value of a component as the attribute holds it."""
    out, escaped = "", False
    for character in value:
        if character == "\\" and not escaped:
            escaped = True
            continue
        escaped = False
        out += character
    return out


class Domain:
    """One domain's directory."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @property
    def dns_name(self) -> str:
        """DNS name, lower case."""
        return str(self.data["dns_name"])

    @property
    def netbios_name(self) -> str:
        """NetBIOS name."""
        return str(self.data["netbios_name"])

    @property
    def dn(self) -> str:
        """Distinguished name."""
        return ",".join(f"DC={label}" for label in self.dns_name.split("."))

    @property
    def sid(self) -> str:
        """Security identifier."""
        return str(self.data["sid"])

    @property
    def objects(self) -> dict[str, Object]:
        """All objects by the key of their distinguished name."""
        found: dict[str, Object] = self.data["objects"]
        return found

    def called(self, name: str | None) -> bool:
        """Whether a NetBIOS or DNS name means this domain; no name means any."""
        return name is None or name.casefold() in {self.dns_name.casefold(), self.netbios_name.casefold()}

    def get(self, name: str) -> Object | None:
        """Object of a distinguished name."""
        return self.objects.get(dn_key(name))

    def find(self, name: str) -> Object | None:
        """Object by distinguished name, GUID, SID or account name, as the ActiveDirectory cmdlets look one up."""
        found = self.get(name)
        if found is not None:
            return found
        wanted = name.casefold()
        for entry in self.objects.values():
            attributes = entry["attributes"]
            names = {
                entry["guid"],
                str(attributes.get("objectSid", "")).casefold(),
                str(attributes.get("sAMAccountName", "")).casefold(),
            }
            if wanted in names and wanted:
                return entry
        return None

    def principal(self, name: str) -> Object | None:
        """Object by what ``find`` takes, user principal name, or account name of a computer without its dollar."""
        found = self.find(name) or self.find(f"{name}$")
        if found is not None:
            return found
        wanted = name.casefold()
        for entry in self.objects.values():
            if str(entry["attributes"].get("userPrincipalName", "")).casefold() == wanted:
                return entry
        return None

    def children(self, name: str) -> list[Object]:
        """Everything below a distinguished name, deepest first."""
        suffix = "," + dn_key(name)
        found = [entry for key, entry in self.objects.items() if key.endswith(suffix)]
        return sorted(found, key=lambda entry: -len(split_dn(entry["dn"])))

    def add(self, dn: str, kind: str, *, rid: int | None = None, **attributes: Any) -> Object:
        """Create an object; a security principal gets a SID (``rid`` names a fixed one)."""
        first = split_dn(dn)[0].partition("=")[2]
        entry: Object = {
            "dn": dn,
            "guid": str(uuid.uuid4()),
            "class": kind,
            "protected": False,
            "attributes": {"name": unescape(first), **attributes},
        }
        if kind in {"user", "group", "computer", "msDS-GroupManagedServiceAccount"} and "objectSid" not in attributes:
            if rid is None:
                rid = self.data["next_rid"]
                self.data["next_rid"] += 1
            entry["attributes"]["objectSid"] = f"{self.sid}-{rid}"
        self.objects[dn_key(dn)] = entry
        return entry

    def remove(self, entry: Object) -> None:
        """Remove an object and what is below, and their memberships."""
        gone = {dn_key(child["dn"]) for child in self.children(entry["dn"])} | {dn_key(entry["dn"])}
        for key in gone:
            self.objects.pop(key, None)
        for other in self.objects.values():
            for attribute in ("member", "msDS-PSOAppliesTo"):
                if attribute in other["attributes"]:
                    kept = [name for name in other["attributes"][attribute] if dn_key(name) not in gone]
                    other["attributes"][attribute] = kept

    def move(self, entry: Object, dn: str) -> None:
        """Give an object, and what is below it, another distinguished name; references follow."""
        renamed = {dn_key(entry["dn"]): dn}
        for child in self.children(entry["dn"]):
            depth = len(split_dn(child["dn"])) - len(split_dn(entry["dn"]))
            renamed[dn_key(child["dn"])] = ",".join([*split_dn(child["dn"])[:depth], dn])
        for old, new in renamed.items():
            moved = self.objects.pop(old)
            moved["dn"] = new
            moved["attributes"]["name"] = unescape(split_dn(new)[0].partition("=")[2])
            self.objects[dn_key(new)] = moved
        for other in self.objects.values():
            for attribute in ("member", "msDS-PSOAppliesTo", "msDS-GroupMSAMembership"):
                values = other["attributes"].get(attribute)
                if values:
                    other["attributes"][attribute] = [renamed.get(dn_key(name), name) for name in values]

    def members_of(self, name: str) -> list[str]:
        """Distinguished names of the groups that hold an object directly."""
        wanted = dn_key(name)
        return [
            entry["dn"]
            for entry in self.objects.values()
            if wanted in {dn_key(member) for member in entry["attributes"].get("member", [])}
        ]

    def running(self, server: WindowsServer) -> bool:
        """Whether a controller of the domain runs on the server's network."""
        return any(self.answers(self._controller(server, name)) for name in self.data["controllers"])

    @staticmethod
    def _controller(server: WindowsServer, name: str) -> WindowsServer | None:
        return server if server.computer_name == name else server.estate.named(name)

    def answers(self, other: WindowsServer | None) -> bool:
        """Whether a server is a controller of this domain: one made anew under an old name is not."""
        return other is not None and is_controller(other) and other.domain == self.dns_name

    def as_principal(self, entry: Object) -> Principal:
        """How logons and access lists see an object."""
        kinds = {"user": "user", "computer": "computer", "msDS-GroupManagedServiceAccount": "user"}
        sid = str(entry["attributes"]["objectSid"])
        authority = "BUILTIN" if sid.startswith("S-1-5-32-") else self.netbios_name
        name = entry["attributes"].get("sAMAccountName", entry["attributes"]["name"])
        return Principal(sid, name, authority, kinds.get(entry["class"], "group"))


def new_domain(
    dns_name: str, netbios_name: str, *, mode: str, administrator: dict[str, Any], machine_sid: str
) -> Domain:
    """What a forest of one domain holds when its first controller has started.

    Args:
        dns_name: DNS name.
        netbios_name: NetBIOS name.
        mode: Functional level.
        administrator: The local administrator's account, which becomes the domain's.
        machine_sid: SID of the first controller, which becomes the domain's.
    """
    domain = Domain(
        {
            "dns_name": dns_name.casefold(),
            "netbios_name": netbios_name.upper(),
            "sid": machine_sid,
            "next_rid": 1103,
            "mode": mode,
            "controllers": {},
            "pdc_emulator": "",
            "objects": {},
            # Microsoft Learn, "Account policies": what a new domain of Windows Server 2022 starts with.
            "password_policy": {
                "ComplexityEnabled": True,
                "LockoutDuration": 10,
                "LockoutObservationWindow": 10,
                "LockoutThreshold": 0,
                "MinPasswordAge": 1440,
                "MaxPasswordAge": 60480,
                "MinPasswordLength": 7,
                "PasswordHistoryCount": 24,
                "ReversibleEncryptionEnabled": False,
            },
            "optional_features": [],
            "kds_root_keys": [],
            "sites": {DEFAULT_SITE: {}},
            "subnets": {},
            "laps_schema": False,
            "laps_targets": [],
            "gpos": ["Default Domain Policy", "Default Domain Controllers Policy"],
            "gpo_links": [],
            "dhcp_servers": [],
            "zones": {},
        }
    )
    root = domain.dn
    domain.add(root, "domainDNS")
    for path, kind in _CONTAINERS:
        domain.add(f"{path},{root}", kind)
    admin = domain.add(
        f"CN={administrator['name']},CN=Users,{root}",
        "user",
        rid=500,
        sAMAccountName=administrator["name"],
        userAccountControl=NORMAL | NEVER_EXPIRES,
        description=administrator.get("description", ""),
        nt_hash=administrator["nt_hash"],
    )
    domain.add(
        f"CN=Invité,CN=Users,{root}",
        "user",
        rid=501,
        sAMAccountName="Invité",
        userAccountControl=NORMAL | NEVER_EXPIRES | DISABLED,
        nt_hash="",
    )
    domain.add(
        f"CN=krbtgt,CN=Users,{root}",
        "user",
        rid=502,
        sAMAccountName="krbtgt",
        userAccountControl=NORMAL | DISABLED,
        nt_hash=identity.nt_hash(secrets.token_urlsafe(32)),
    )
    for rid, name, bits in _GROUPS:
        members = [admin["dn"]] if rid in {512, 518, 519, 520} else []
        domain.add(
            f"CN={name},CN=Users,{root}",
            "group",
            rid=rid,
            sAMAccountName=name,
            groupType=bits | SECURITY,
            member=members,
        )
    for sid in _BUILTIN:
        known = identity.well_known(sid)
        if known is not None:
            domain.add(
                f"CN={known.name},CN=Builtin,{root}",
                "group",
                sAMAccountName=known.name,
                groupType=LOCAL | SECURITY | 1,
                objectSid=sid,
                member=_builtin_members(domain, sid),
            )
    for gpo, target in (
        ("Default Domain Policy", root),
        ("Default Domain Controllers Policy", f"OU=Domain Controllers,{root}"),
    ):
        domain.data["gpo_links"].append({"gpo": gpo, "target": target, "enabled": True, "enforced": False})
    return domain


def _builtin_members(domain: Domain, sid: str) -> list[str]:
    rids = {"S-1-5-32-544": (500, 512, 519), "S-1-5-32-545": (513,), "S-1-5-32-546": (501, 514)}
    found = (domain.find(f"{domain.sid}-{rid}") for rid in rids.get(sid, ()))
    return [entry["dn"] for entry in found if entry is not None]


class Domains:
    """The domains kept in one folder, one JSON file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()

    def _path(self, dns_name: str) -> Path:
        return self.folder / f"{dns_name.casefold()}.json"

    def read(self, dns_name: str) -> Domain | None:
        """A copy of a domain, None when there is none of that name."""
        path = self._path(dns_name)
        if not path.exists():
            return None
        return Domain(json.loads(path.read_text(encoding="utf-8")))

    def all(self) -> list[Domain]:
        """A copy of every domain."""
        if not self.folder.is_dir():
            return []
        return [Domain(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(self.folder.glob("*.json"))]

    def write(self, domain: Domain) -> None:
        """Keep a domain, in one step."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(domain.dns_name)
        draft = path.with_suffix(".json.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(domain.data, stream, ensure_ascii=False, separators=(",", ":"))
        draft.replace(path)


_STORES: dict[Path, Domains] = {}


def domains_of(server: WindowsServer) -> Domains:
    """The domains of a server's network: the folder ``.domains`` beside the servers' own."""
    folder = server.home.parent / ".domains"
    return _STORES.setdefault(folder, Domains(folder))


def domain_of(server: WindowsServer) -> Domain | None:
    """A copy of the domain a server belongs to, None for a server of a workgroup or whose domain does not answer."""
    if server.domain is None:
        return None
    domain = domains_of(server).read(server.domain)
    return domain if domain is not None and domain.running(server) else None


def is_controller(server: WindowsServer) -> bool:
    """Whether a server is a domain controller."""
    return str(server.section("system")["domain_role"]).endswith("domain controller")


@contextlib.contextmanager
def open_domain(call: Call) -> Iterator[Domain]:
    """Work on the domain of the server that runs a module: kept on success, forgotten in check mode and on failure.

    Raises:
        ModuleFailure: The server has no ActiveDirectory module installed, or no controller answers.
    """
    server = call.server
    from lab.windows.handlers import features  # noqa: PLC0415 - handlers load this file

    if not features.installed(server, "RSAT-AD-PowerShell"):
        raise ModuleFailure(
            "The specified module 'ActiveDirectory' was not loaded because no valid module file was found in any module"
            " directory."
        )
    if server.domain is None:
        raise ModuleFailure("Unable to find a default server with Active Directory Web Services running.")
    store = domains_of(server)
    with store.lock:
        domain = domain_of(server)
        if domain is None:
            raise ModuleFailure("Unable to find a default server with Active Directory Web Services running.")
        before = copy.deepcopy(domain.data)
        yield domain
        if not call.check and domain.data != before:
            store.write(domain)


class DomainDirectory:
    """Answers logons and names from the domains of a server's network."""

    def _mine(self, server: WindowsServer, domain: str | None) -> Domain | None:
        found = domain_of(server)
        return found if found is not None and found.called(domain) else None

    def by_name(self, server: WindowsServer, domain: str | None, name: str) -> Principal | None:
        """Find an account or group of the server's domain."""
        found = self._mine(server, domain)
        entry = found.find(name) if found else None
        if found is None or entry is None or "objectSid" not in entry["attributes"]:
            return None
        return found.as_principal(entry)

    def by_sid(self, server: WindowsServer, sid: str) -> Principal | None:
        """Find an account or group of the server's domain by SID."""
        found = self._mine(server, None)
        entry = found.find(sid) if found and sid.startswith(found.sid) else None
        return found.as_principal(entry) if found and entry else None

    def logon(self, server: WindowsServer, domain: str | None, name: str, check: PasswordCheck) -> Principal | None:
        """Log an account of the server's domain on.

        Raises:
            LogonFailure: The account is the domain's; wrong password, or it is disabled.
        """
        found = self._mine(server, domain)
        if found is None:
            return None
        entry = found.find(name)
        if entry is None and domain is not None and "." in domain:
            entry = found.principal(f"{name}@{domain}")
        if entry is None or entry["class"] != "user":
            return None
        attributes = entry["attributes"]
        if attributes["userAccountControl"] & DISABLED or attributes.get("lockedOut"):
            raise LogonFailure(name)
        if not attributes.get("nt_hash") or not check(attributes["nt_hash"]):
            raise LogonFailure(name)
        return found.as_principal(entry)

    def groups_of(self, server: WindowsServer, sid: str) -> set[str]:
        """SIDs of the domain's groups that an account is in; those of BUILTIN count on controllers only."""
        found = self._mine(server, None)
        entry = found.find(sid) if found else None
        if found is None or entry is None:
            return set()
        primary = entry["attributes"].get("primaryGroupID", 513)
        first = found.find(f"{found.sid}-{primary}")
        waiting = [*found.members_of(entry["dn"]), *([first["dn"]] if first else [])]
        seen: dict[str, str] = {}
        while waiting:
            group = found.get(waiting.pop())
            if group is not None and group["guid"] not in seen:
                seen[group["guid"]] = str(group["attributes"]["objectSid"])
                waiting += found.members_of(group["dn"])
        local = is_controller(server)
        return {group for group in seen.values() if local or not group.startswith("S-1-5-32-")}


@section("promotion")
def _promotion(_spec: ServerSpec) -> dict[str, Any]:
    return {"pending": None}
