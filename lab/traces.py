# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run left behind in a lab: the proof that check mode wrote nothing.

Three places are looked at: the state of the simulated Windows servers (files of the lab's state folder), the
directories of their domains, which all controllers share, and the files of the Linux containers whose inode changed
since, outside the places where a login or a running service writes by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lab.settings import REPOSITORY

#: Keys of a simulated server's state that move with time or with any command, whether it writes or not.
VOLATILE = frozenset({"journal", "clock", "uptime"})
#: Ansible's own temporary folders: it makes them in check mode as well.
ANSIBLE_TEMPORARY = "\\ansible-tmp-"
#: Folders of a Linux server that only an administrator changes.
WATCHED = ("/etc", "/usr", "/opt", "/srv", "/root", "/home", "/var/www", "/var/spool/cron", "/boot")
#: Below them, what logins, Ansible's own temporary files and name resolution write by themselves.
OWN_WRITES = ("*/.ansible*", "/etc/.pwd.lock", "*/.cache*", "*/__pycache__*")
#: Folder, beside the servers' own, of what the controllers of a domain share.
DOMAINS = ".domains"
LABEL = "cnosf.infogerance.lab"


def instance_home() -> Path:
    """State folder of the lab that the environment chooses (INFOGERANCE_LAB_HOME, INFOGERANCE_LAB_INSTANCE)."""
    parent = Path(os.environ.get("INFOGERANCE_LAB_HOME") or REPOSITORY / ".lab")
    return parent / (os.environ.get("INFOGERANCE_LAB_INSTANCE") or "demo")


def _members(home: Path, domain: str) -> frozenset[str]:
    """Names of the simulated servers that belong to a domain."""
    found = set()
    for file in home.glob("windows/*/state.json"):
        state = json.loads(file.read_text(encoding="utf-8"))
        if str(state.get("system", {}).get("domain") or "").casefold() == domain.casefold():
            found.add(file.parent.name)
    return frozenset(found)


def _digest(file: Path) -> str:
    """Mark of what a state file says, apart from the keys that move; empty when its server is gone."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key not in VOLATILE}
        files = content.get("files", {})
        content["files"] = {name: entry for name, entry in files.items() if ANSIBLE_TEMPORARY not in name}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _domains(home: Path) -> dict[Path, str]:
    return {file: _digest(file) for file in sorted(home.glob(f"windows/{DOMAINS}/*.json"))}


def _podman(*arguments: str) -> str | None:
    """What podman answers; nothing when the container is gone: another scenario's servers come and go meanwhile."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


@dataclass(frozen=True)
class Container:
    """A running Linux server: its name in the datacenter, and the clock it showed."""

    host: str
    clock: str

    @classmethod
    def look(cls, name: str) -> Container | None:
        """The container as it is now; nothing when it ends meanwhile."""
        host = _podman("inspect", "--format", "{{.Config.Hostname}}", name)
        clock = host and _podman("exec", name, "date", "--utc", "+%Y-%m-%d %H:%M:%S.%N")
        return cls(host, clock) if host and clock else None


def _containers(home: Path) -> dict[str, Container]:
    """Running containers of this lab, by name."""
    number = json.loads((home / "instance.json").read_text(encoding="utf-8"))["number"]
    names = _podman("ps", "--filter", f"label={LABEL}={number}", "--format", "{{.Names}}")
    if names is None:
        msg = "podman cannot list the lab's containers: see `podman ps`"
        raise RuntimeError(msg)
    seen = ((name, Container.look(name)) for name in names.split())
    return {name: container for name, container in seen if container}


@dataclass(frozen=True)
class Traces:
    """The lab as it was at one moment."""

    home: Path | None = None
    windows: dict[Path, str] = field(default_factory=dict)
    domains: dict[Path, str] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)

    @classmethod
    def take(cls) -> Traces:
        """Look at the lab now; without a lab (real servers) there is nothing to look at, which is said."""
        home = instance_home()
        if not home.is_dir():
            print(f"predict: no lab in {home}: that check mode writes nothing is not proven by traces")
            return cls()
        windows = {file: _digest(file) for file in home.glob("windows/*/*.json") if file.parent.name != DOMAINS}
        return cls(home, dict(sorted(windows.items())), _domains(home), _containers(home))

    def changes_since(self, hosts: frozenset[str] | None = None) -> list[str]:
        """Sentences on what was written since.

        Args:
            hosts: Look at these servers only: others of the same lab may be at work for somebody else. All when None.
        """
        found = [
            f"the state of {file.parent.name} changed ({file})"
            for file, digest in self.windows.items()
            if (hosts is None or file.parent.name in hosts) and _digest(file) != digest
        ]
        found += self._domains_changed_since(hosts)
        for name, container in self.containers.items():
            if hosts is None or container.host in hosts:
                found += self._written_in(name, container.clock)
        return found

    @staticmethod
    def _written_in(name: str, since: str) -> list[str]:
        """Sentences on the files of one container whose inode changed since."""
        folders = 'for folder; do [ -d "$folder" ] && echo "$folder"; done; :'
        present = _podman("exec", name, "sh", "-c", folders, "-", *WATCHED)
        pruned = [word for pattern in OWN_WRITES for word in ("-not", "-path", pattern)]
        wanted = ("-xdev", "-newerct", f"{since} UTC", "-type", "f", *pruned)
        listing = _podman("exec", name, "find", *present.split(), *wanted) if present else None
        if listing is None:
            return [f"{name} does not answer any more"]
        return [f"{name}: {file}" for file in listing.splitlines()]

    def _domains_changed_since(self, hosts: frozenset[str] | None) -> list[str]:
        """Sentences on the directories that were founded, written or lost since, as far as the hosts belong to them."""
        if self.home is None:
            return []
        now = _domains(self.home)
        return [
            f"the directory of the domain {file.stem} changed ({file})"
            for file in sorted(self.domains.keys() | now.keys())
            if self.domains.get(file) != now.get(file) and (hosts is None or hosts & _members(self.home, file.stem))
        ]
