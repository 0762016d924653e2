# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contents of group policies: comment, registry values, versions, and import of the backups that GPMC writes.

Of a backup the registry policies are imported (registry.pol, as [MS-GPREG] 2.2.1 describes the file); other extensions
of Group Policy are not simulated and refused by name.
"""

from __future__ import annotations

import copy
import struct
import uuid
from typing import TYPE_CHECKING, Any

from lab.windows.domains import open_domain
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import features
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

if TYPE_CHECKING:
    from lab.windows.domains import Domain

Policy = dict[str, Any]
"""What a group policy holds: id, comment, versions (computer, user) and values by folded ``key\\name``."""

_DEFAULTS = {
    "Default Domain Policy": "31b2f340-016d-11d2-945f-00c04fb984f9",
    "Default Domain Controllers Policy": "6ac1786c-016f-11d2-945f-00c04fb984f9",
}
"""Identifiers of the policies that every domain has ([MS-GPOD] 1.1.6)."""

_MARK = "cnosf.infogerance.backup"
_HIVES = {"HKEY_LOCAL_MACHINE": "HKLM", "HKEY_CURRENT_USER": "HKCU"}
_SIDES = {"Machine": "HKLM", "User": "HKCU"}
_KINDS = {1: "string", 2: "expandstring", 3: "binary", 4: "dword", 7: "multistring", 11: "qword"}
_LIMITS = {"dword": 2**32, "qword": 2**64}


def content(domain: Domain, name: str) -> Policy:
    """What a group policy of a domain holds: nothing while nobody wrote to it, as to those of a promotion."""
    fresh = {"id": str(uuid.uuid4()), "comment": "", "versions": {"computer": 0, "user": 0}, "values": {}}
    if name in _DEFAULTS:
        fresh["id"] = _DEFAULTS[name]
    found: Policy = copy.deepcopy(domain.data.get("gpo_contents", {}).get(name, fresh))
    return found


def _short(key: str) -> str:
    head, _, rest = key.strip("\\").partition("\\")
    hive = _HIVES.get(head.upper(), head.upper())
    if hive not in _HIVES.values() or not rest:
        raise ValueError(f"the key '{key}' must start with HKLM\\ or HKCU\\")
    return f"{hive}\\{rest}"


def _shown(kind: str, data: Any) -> str:
    """A value as the module compares it."""
    if kind in _LIMITS:
        number = int(str(data))
        if not 0 <= number < _LIMITS[kind]:
            raise ValueError("Value was either too large or too small for an unsigned number.")
        return f"{kind}:{number}"
    items = data if isinstance(data, list) else [data]
    return f"{kind}:" + "\n".join(str(item) for item in items)


def _declared(policy: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Label and wanted value (None: absent) of the registry values declared, by folded label."""
    wanted: dict[str, tuple[str, str | None]] = {}
    for value in policy["values"]:
        label = f"{_short(value['key'])}\\{value['name']}"
        shown = None
        if value["state"] == "present":
            if value["data"] is None:
                raise ValueError("data is required when state is present")
            shown = _shown(value["type"], value["data"])
        wanted[label.casefold()] = (label, shown)
    return wanted


def _texts(raw: bytes) -> str:
    return raw.decode("utf-16-le").rstrip("\0")


def registry_policy(content: bytes) -> list[tuple[str, str, str, str]]:
    """Read a registry.pol file: key, name, type and data as text of each entry ([MS-GPREG] 2.2.1).

    Raises:
        ValueError: It is no such file.
    """
    if content[:8] != b"PReg\x01\x00\x00\x00":
        raise ValueError("registry.pol has not the signature of a registry policy file")
    found, at = [], 8
    semicolon, opening, closing = (mark.encode("utf-16-le") for mark in ";[]")
    while at < len(content):
        if content[at : at + 2] != opening:
            raise ValueError("registry.pol is damaged")
        key_end = content.index(b"\0\0" + semicolon, at)
        key_end += (key_end - at) % 2
        name_end = content.index(b"\0\0" + semicolon, key_end + 4)
        name_end += (name_end - at) % 2
        key, name = _texts(content[at + 2 : key_end]), _texts(content[key_end + 4 : name_end])
        numbers = name_end + 4
        kind, size = struct.unpack("<I2xI", content[numbers : numbers + 10])
        data = content[numbers + 12 : numbers + 12 + size]
        at = numbers + 12 + size
        if content[at : at + 2] != closing:
            raise ValueError("registry.pol is damaged")
        at += 2
        found.append((key, name, *_value(kind, data)))
    return found


def _value(kind: int, data: bytes) -> tuple[str, str]:
    name = _KINDS.get(kind)
    if name is None:
        raise ValueError(f"registry.pol holds the type {kind}")
    if name in _LIMITS:
        return name, str(int.from_bytes(data, "little"))
    if name == "binary":
        return name, "-".join(f"{byte:02X}" for byte in data)
    return name, _texts(data).replace("\0", "\n")


class _Run:
    """One call of the module on one policy."""

    def __init__(self, call: Call, domain: Domain, policy: dict[str, Any]) -> None:
        self.call = call
        self.policy = policy
        known = {name.casefold(): name for name in domain.data["gpos"]}
        self.name = known.get(policy["name"].casefold(), policy["name"])
        self.created = policy["name"].casefold() not in known
        self.state = content(domain, self.name)
        self.before: list[str] = []
        self.after: list[str] = []

    def mark(self) -> str:
        """The comment's line for the backup declared; empty without one."""
        given = self.policy["backup_id"]
        if bool(given) != bool(self.policy["backup_path"]):
            raise ValueError("backup_path and backup_id belong together")
        if not given:
            return ""
        return f"{_MARK} {{{str(uuid.UUID(given)).upper()}}} {self.policy['backup_version']}".strip()

    def load(self) -> dict[str, dict[str, str]]:
        """The registry values of the backup declared."""
        files = FileSystem(self.call.server)
        folder = f"{self.policy['backup_path']}\\{{{uuid.UUID(self.policy['backup_id'])}}}"
        if not files.is_file(f"{folder}\\Backup.xml"):
            raise ValueError(
                f"there is no backup of a group policy in {folder}; copy the folder that GPMC or Backup-GPO wrote there"
            )
        values = {}
        for entry in files.walk(f"{folder}\\DomainSysvol\\GPO"):
            path = str(entry["path"])
            if entry["type"] == "directory" or path.casefold().endswith("comment.cmtx"):
                continue
            side, _, rest = path[len(folder) + len("\\DomainSysvol\\GPO\\") :].partition("\\")
            if side not in _SIDES or rest.casefold() != "registry.pol":
                raise NotSimulated(f"the import of {side}\\{rest} of a group policy's backup")
            for key, name, kind, data in registry_policy(files.read(path)):
                label = f"{_SIDES[side]}\\{key}\\{name}"
                values[label.casefold()] = {"label": label, "shown": f"{kind}:{data}"}
        return values

    def run(self) -> dict[str, Any]:
        """Bring the policy into its state; what it answers is the module's."""
        policy, values = self.policy, self.state["values"]
        if policy["purge"] and policy["backup_id"]:
            raise ValueError("purge would remove what the backup brings; declare one of the two")
        wanted = _declared(policy)
        expected = self.mark()
        lines = self.state["comment"].splitlines()
        imported = bool(expected) and expected not in lines
        if imported:
            fresh = self.load()
            if not self.call.check:  # what an import brings is not known before it
                values.clear()
                values.update(fresh)
                self._bump(f"{hive}\\" for hive in _HIVES.values())
            self.before += [line for line in lines if line.startswith(f"{_MARK} ")]
            kept = [line for line in lines if line and not line.startswith(f"{_MARK} ")]
            self.state["comment"] = "\r\n".join([*kept, expected])
        changed, removed = [], []
        for folded, (label, shown) in sorted(wanted.items()):
            held = values.get(folded)
            if shown is None and held is not None:
                removed.append(folded)
            elif shown is not None and (held is None or held["shown"] != shown):
                self.before += [] if held is None else [f"{label} = {held['shown']}"]
                self.after.append(f"{label} = {shown}")
                values[folded] = {"label": label, "shown": shown}
                changed.append(label)
        removed += sorted(set(values) - set(wanted)) if policy["purge"] else []
        gone = [values.pop(folded) for folded in removed]
        self.before += [f"{entry['label']} = {entry['shown']}" for entry in gone]
        self.after += [expected] if imported else []
        self._bump(changed + [entry["label"] for entry in gone])
        return {
            "name": policy["name"],
            "id": "" if self.created and self.call.check else self.state["id"],
            "created": self.created,
            "imported": imported,
            "set": changed,
            "removed": [entry["label"] for entry in gone],
        }

    def _bump(self, labels: Any) -> None:
        """Count the writes, as the version numbers of the policy's two halves do."""
        for label in labels:
            self.state["versions"]["computer" if label.startswith("HKLM\\") else "user"] += 1


@handles(
    "cnosf.infogerance.group_policies",
    source="documentation of cnosf.infogerance.group_policies; Microsoft Learn, GroupPolicy module; [MS-GPREG] 2.2.1",
)
def group_policies(call: Call) -> Result:
    """Group policies with their registry values, from a list."""
    if not features.installed(call.server, "GPMC"):
        raise ModuleFailure(
            "The GroupPolicy module does not load; install the feature GPMC: The specified module 'GroupPolicy' was not"
            " loaded because no valid module file was found in any module directory."
        )
    answers = []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    with open_domain(call) as domain:
        for policy in call.args["policies"]:
            run = _Run(call, domain, policy)
            try:
                answer = run.run()
            except (ValueError, struct.error) as error:
                raise ModuleFailure(f"Group policy '{policy['name']}': {error}") from error
            answers.append(answer)
            if run.created:
                domain.data["gpos"].append(run.name)
            if any(answer[kind] for kind in ("created", "imported", "set", "removed")):
                before[policy["name"]] = None if run.created else run.before
                after[policy["name"]] = run.after
                domain.data.setdefault("gpo_contents", {})[run.name] = run.state
    return {"changed": bool(after), "policies": answers, "diff": {"before": before, "after": after}}
