# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated Windows server: what it keeps, its power, its accounts and its journal."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.windows import registry
from lab.windows.faults import Faults
from lab.windows.identity import BUILTIN_GROUPS, Principal, logon, nt_hash, resolve, well_known
from lab.windows.registry import section

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_EPOCH_1601 = datetime(1601, 1, 1, tzinfo=UTC)

SYSTEMS = ("windows_2022", "windows_2016")
"""Systems that the lab has templates of."""


def filetime(moment: datetime) -> int:
    """Windows file time: 100 ns steps since 1601."""
    delta = moment - _EPOCH_1601
    return (delta.days * 86_400 + delta.seconds) * 10_000_000 + delta.microseconds * 10


@dataclass(frozen=True, slots=True)
class Nic:
    """One network card as the datacenter configures it."""

    address: str = ""
    """IPv4 address with prefix length, for example ``10.42.0.11/24``."""
    gateway: str | None = None
    mac: str = "BC:24:11:00:00:01"
    vlan: int | None = None
    name: str = "Ethernet"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What a new server is made of; what the datacenter changes later comes in by ``WindowsServer.resize``."""

    system: str = "windows_2022"
    cpus: int = 2
    memory_mib: int = 8192
    disks_gib: tuple[int, ...] = (64,)
    networks: tuple[Nic, ...] = ()
    dns_servers: tuple[str, ...] = ()
    administrator_password: str = field(default="", repr=False)
    computer_name: str = ""
    """Name before anybody renames it; made up as Windows setup does (``WIN-...``) when empty."""
    language: str = "fr-FR"
    timezone: str = "Romance Standard Time"

    def __post_init__(self) -> None:
        if self.system not in SYSTEMS:
            raise ValueError(f"Unknown Windows system {self.system!r}; the lab has {', '.join(SYSTEMS)}.")


class Estate:
    """Servers that can see each other on the lab's network."""

    def __init__(self) -> None:
        self.servers: dict[str, WindowsServer] = {}

    def add(self, server: WindowsServer) -> None:
        """Put a server on the network."""
        self.servers[server.name] = server

    def remove(self, name: str) -> None:
        """Take a server off the network; nothing happens when it is not there."""
        self.servers.pop(name, None)

    def at(self, address: str) -> WindowsServer | None:
        """Running server with an IPv4 address."""
        for server in self.servers.values():
            if server.power == "on" and address in server.addresses():
                return server
        return None

    def owns(self, place: str) -> bool:
        """Whether an address or name is some server's here, running or not."""
        wanted = place.casefold().rstrip(".")
        return any(
            wanted in {server.computer_name.casefold(), server.fqdn.casefold(), *server.addresses()}
            for server in self.servers.values()
        )

    def named(self, name: str) -> WindowsServer | None:
        """Running server with a computer name or DNS name."""
        wanted = name.casefold().rstrip(".")
        for server in self.servers.values():
            if server.power == "on" and wanted in {server.computer_name.casefold(), server.fqdn.casefold()}:
                return server
        return None


class WindowsServer:
    """State of one server, kept as JSON in its folder and written atomically after each command."""

    def __init__(
        self,
        name: str,
        spec: ServerSpec,
        home: Path,
        clock: Callable[[], datetime] | None = None,
        *,
        estate: Estate | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Open the server kept in ``home``, or make a new one there.

        Args:
            name: The lab's name of it; the computer name is the server's own affair.
            spec: What a new server is made of; an existing one keeps its state.
            home: Folder of state.json, journal.jsonl and the contents of files.
            clock: Gives the lab's time (aware); real time by default.
            estate: The network it is on; one of its own by default.
            faults: What is wrong with it.
        """
        registry.load_handlers()
        self.name = name
        self.spec = spec
        self.home = home
        self.clock = clock or (lambda: datetime.now(UTC))
        self.faults = faults or Faults()
        self.ca_file: str | None = None
        """PEM file of the authority that the server trusts when it reaches for the lab's real services."""
        self.lock = threading.RLock()
        self._parent: WindowsServer | None = None
        self._sections: dict[str, dict[str, Any]] = {}
        self._texts: dict[str, str] = {}
        self._touched: set[str] = set()
        self._blobs: dict[str, bytes] = {}
        self.winrm_client = ""
        """Address of whoever speaks WinRM with the server now; empty before anybody does."""
        self.shutdown_request: str | None = None
        """``reboot`` or ``stop`` once a command asked for it; the endpoint acts on it after its answer."""
        self.shutdown_delay = 0.0
        """Seconds that the command gave before the shutdown."""
        self.jobs: dict[str, dict[str, Any]] = {}
        """Asynchronous jobs by id with what async_status answers; they end with the session, as processes do."""
        self._load()
        self.estate = estate or Estate()
        self.estate.add(self)

    # -- state ---------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.home / "state.json"
        if path.exists():
            self._sections = json.loads(path.read_text(encoding="utf-8"))
            self._texts = {name: _dump(content) for name, content in self._sections.items()}
        for name in registry.SECTIONS:  # all of them now: reading one later must not change the state
            self.section(name)
        self.save()

    def section(self, name: str) -> dict[str, Any]:
        """One named part of the state: a plain JSON dict to read and change in place.

        Raises:
            KeyError: Nobody registered the section.
        """
        if name not in self._sections:
            if self._parent is not None:
                with self._parent.lock:
                    self._sections[name] = copy.deepcopy(self._parent.section(name))
            else:
                if name not in registry.SECTIONS:
                    raise KeyError(f"No section {name!r} of a Windows server's state is registered.")
                self._sections[name] = copy.deepcopy(registry.SECTIONS[name](self.spec))
        self._touched.add(name)
        return self._sections[name]

    def save(self) -> None:
        """Write what changed since the last time; a scratch copy writes nothing."""
        if self._parent is not None:
            return
        with self.lock:
            changed = False
            for name in self._touched:
                text = _dump(self._sections[name])
                if self._texts.get(name) != text:
                    self._texts[name] = text
                    changed = True
            self._touched.clear()
            if not changed:
                return
            path = self.home / "state.json"
            draft = path.with_suffix(".json.new")
            content = ",\n".join(f"{json.dumps(name)}: {text}" for name, text in sorted(self._texts.items()))
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write("{\n" + content + "\n}\n")
            draft.replace(path)

    def roll_back(self) -> None:
        """Forget what changed since the last save."""
        for name in self._touched:
            if name in self._texts:
                self._sections[name] = json.loads(self._texts[name])
            else:
                self._sections.pop(name, None)
        self._touched.clear()

    def scratch(self) -> WindowsServer:
        """Give a copy to try things on: reads come from this server, writes are lost with the copy."""
        scratch = object.__new__(WindowsServer)
        scratch.__dict__.update(self.__dict__)
        scratch._parent = self
        scratch._sections = {}
        scratch._touched = set()
        scratch._blobs = {}
        scratch.faults = copy.copy(self.faults)
        scratch.lock = threading.RLock()
        return scratch

    @property
    def is_scratch(self) -> bool:
        """Whether this is a check-mode copy."""
        return self._parent is not None

    # -- contents of files ---------------------------------------------------------------------------------------

    def store(self, content: bytes) -> str:
        """Keep bytes and give their SHA-256, by which ``content`` finds them again."""
        digest = hashlib.sha256(content).hexdigest()
        if self._parent is not None:
            self._blobs[digest] = content
            return digest
        folder = self.home / "contents"
        path = folder / digest
        if not path.exists():
            folder.mkdir(exist_ok=True, mode=0o700)
            draft = folder / f"{digest}.{secrets.token_hex(4)}"
            draft.write_bytes(content)
            draft.chmod(0o600)
            draft.replace(path)
        return digest

    def content(self, digest: str) -> bytes:
        """Bytes kept under a SHA-256."""
        if digest in self._blobs:
            return self._blobs[digest]
        return (self.home / "contents" / digest).read_bytes()

    # -- who and where -------------------------------------------------------------------------------------------

    @property
    def computer_name(self) -> str:
        """Name of the computer in force (a rename waits for the reboot)."""
        return str(self.section("system")["computer_name"])

    @property
    def domain(self) -> str | None:
        """DNS name of the domain it belongs to, None in a workgroup."""
        value = self.section("system").get("domain")
        return str(value) if value else None

    @property
    def fqdn(self) -> str:
        """Computer name with the DNS domain when there is one."""
        return f"{self.computer_name}.{self.domain}".lower() if self.domain else self.computer_name.lower()

    def addresses(self) -> list[str]:
        """IPv4 addresses without prefix length, in the order of the cards."""
        return [nic["address"].split("/")[0] for nic in self.section("system")["networks"] if nic["address"]]

    def now(self) -> datetime:
        """The lab's time, aware, in UTC."""
        return self.clock().astimezone(UTC)

    def resolve(self, text: str) -> Principal | None:
        """Find who a name or SID means on this server; None when nobody."""
        return resolve(self, text)

    def account_name(self, sid: str) -> str:
        r"""``DOMAIN\name`` of a SID, or the SID itself when nobody has it."""
        principal = resolve(self, sid)
        return principal.account if principal else sid

    def logon(self, username: str, password: str) -> Principal:
        """Log on; raises ``identity.LogonFailure`` when refused."""
        return logon(self, username, password)

    def groups_of(self, principal: Principal) -> set[str]:
        """SIDs of the local groups that an account is in, through its domain's groups too."""
        mine = {principal.sid}
        for directory in registry.DIRECTORIES:
            mine |= directory.groups_of(self, principal.sid)
        return {
            str(group["sid"])
            for group in self.section("accounts")["groups"].values()
            if mine.intersection(group["members"])
        } | (mine - {principal.sid})

    def may_manage(self, principal: Principal) -> bool:
        """Whether WinRM lets an account in: administrators and remote management users."""
        return bool(self.groups_of(principal) & {"S-1-5-32-544", "S-1-5-32-580"})

    # -- power ---------------------------------------------------------------------------------------------------

    @property
    def power(self) -> str:
        """``on``, ``booting`` or ``off``."""
        return str(self.section("system")["power"])

    def set_power(self, power: str) -> None:
        """Note a change of power that is not a boot."""
        self.section("system")["power"] = power
        self.save()

    @property
    def boot_time(self) -> datetime:
        """Moment of the last boot."""
        return datetime.fromisoformat(self.section("system")["boot_time"])

    def boot(self) -> None:
        """Finish booting: a new boot time, nothing pending any more, and the boot hooks."""
        with self.lock:
            system = self.section("system")
            system["power"] = "on"
            system["boot_time"] = self.now().isoformat()
            system["boots"] += 1
            system["pending_reboot"] = []
            self.shutdown_request = None
            self.jobs.clear()
            for _order, hook in registry.BOOT_HOOKS:
                hook(self)
            self.save()

    def reboot_pending(self, reason: str) -> None:
        """Mark that something waits for a reboot; the reason shows in the state."""
        pending = self.section("system")["pending_reboot"]
        if reason not in pending:
            pending.append(reason)

    @property
    def pending_reboot(self) -> list[str]:
        """Why a reboot is waited for; empty when it is not."""
        return list(self.section("system")["pending_reboot"])

    def resize(
        self, *, cpus: int | None = None, memory_mib: int | None = None, disks_gib: tuple[int, ...] | None = None
    ) -> None:
        """Take over what the datacenter changed in the hardware."""
        system = self.section("system")
        if cpus is not None:
            system["cpus"] = cpus
        if memory_mib is not None:
            system["memory_mib"] = memory_mib
        if disks_gib is not None:
            system["disks_gib"] = list(disks_gib)
        self.save()

    # -- journal -------------------------------------------------------------------------------------------------

    def journal(self, **entry: Any) -> None:
        """Add one line to journal.jsonl; a scratch copy's goes to the same journal."""
        line = json.dumps({"time": self.now().isoformat(), **entry}, ensure_ascii=False, default=str)
        with (self.home / "journal.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def read_journal(self) -> list[dict[str, Any]]:
        """All entries of the journal, oldest first."""
        path = self.home / "journal.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=False, separators=(",", ":"))


@section("system")
def _system(spec: ServerSpec) -> dict[str, Any]:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    name = spec.computer_name or "WIN-" + "".join(secrets.choice(alphabet) for _ in range(11))
    now = datetime.now(UTC).isoformat()
    return {
        "computer_name": name.upper(),
        "domain": None,
        "domain_role": "Stand-alone server",
        "workgroup": "WORKGROUP",
        "system": spec.system,
        "language": spec.language,
        "cpus": spec.cpus,
        "memory_mib": spec.memory_mib,
        "disks_gib": list(spec.disks_gib),
        "networks": [asdict(nic) for nic in spec.networks],
        "power": "off",
        "boot_time": now,
        "install_time": now,
        "boots": 0,
        "pending_reboot": [],
    }


@section("accounts")
def _accounts(spec: ServerSpec) -> dict[str, Any]:
    machine = "S-1-5-21-" + "-".join(str(secrets.randbelow(2**32 - 10**9) + 10**9) for _ in range(3))

    def user(name: str, rid: int, description: str, **extra: Any) -> dict[str, Any]:
        return {
            "name": name,
            "sid": f"{machine}-{rid}",
            "full_name": "",
            "description": description,
            "nt_hash": "",
            "disabled": True,
            "locked": False,
            "password_never_expires": True,
            "password_expired": False,
            "user_cannot_change_password": False,
            **extra,
        }

    administrator = user(
        "Administrateur",
        500,
        "Compte d’utilisateur d’administration",
        disabled=False,
        nt_hash=nt_hash(spec.administrator_password or secrets.token_urlsafe(24)),
    )
    guest = user("Invité", 501, "Compte d’utilisateur invité", user_cannot_change_password=True)
    users = [
        administrator,
        guest,
        user("DefaultAccount", 503, "Compte utilisateur géré par le système."),
    ]
    if spec.system != "windows_2016":
        users.append(
            user(
                "WDAGUtilityAccount",
                504,
                "Compte d’utilisateur géré et utilisé par le système pour Windows Defender Application Guard.",
            )
        )
    members = {
        "S-1-5-32-544": [administrator["sid"]],
        "S-1-5-32-545": ["S-1-5-4", "S-1-5-11"],
        "S-1-5-32-546": [guest["sid"]],
        "S-1-5-32-568": ["S-1-5-17"],
        "S-1-5-32-581": [f"{machine}-503"],
    }
    groups = {}
    for sid in BUILTIN_GROUPS:
        known = well_known(sid)
        if known is None or sid in {"S-1-5-32-548", "S-1-5-32-549", "S-1-5-32-554"}:
            continue  # account and server operators exist on domain controllers only
        groups[known.name.casefold()] = {
            "name": known.name,
            "sid": sid,
            "description": "",
            "members": members.get(sid, []),
        }
    return {
        "machine_sid": machine,
        "next_rid": 1000,
        "domain_controller": False,
        "users": {entry["name"].casefold(): entry for entry in users},
        "groups": groups,
    }


@section("winrm")
def _winrm(_spec: ServerSpec) -> dict[str, Any]:
    return {
        "auth": {"Basic": True, "Kerberos": True, "Negotiate": True, "Certificate": False, "CredSSP": False},
        "AllowUnencrypted": False,
        "CbtHardeningLevel": "Relaxed",
    }
