# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the transfer script lives by: all that can be decided beforehand is decided here."""

from __future__ import annotations

import hashlib
import json
import ntpath
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, item

from .declared import HTTPS, OUT, SFTP
from .rights import work_folders

if TYPE_CHECKING:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item

    from .declared import Declaration, Flow
    from .observed import Observation


def contents(declared: Declaration) -> dict[str, str]:
    """Text of each file that holds no secret, by its path."""
    found = {declared.script_path: declared.script, declared.configuration_path: configuration(declared)}
    if any(flow.protocol == SFTP for flow in declared.flows):
        found[declared.known_hosts_path] = known_hosts(declared)
    return found


def configuration(declared: Declaration) -> str:
    """The script's configuration, as JSON in a fixed order."""
    values = {
        "event_source": declared.event_source,
        "sftp": ntpath.join(declared.openssh_directory, "sftp.exe"),
        "headers": declared.headers_path if declared.headers else "",
        "flows": [_flow(declared, flow) for flow in declared.flows],
    }
    # Ansible before 2.19 takes a text that starts with a brace for a dictionary, and writes it in its own way.
    return "\n" + json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _flow(declared: Declaration, flow: Flow) -> dict[str, Any]:
    certificate = declared.certificate(flow)
    values: dict[str, Any] = {
        "name": flow.name,
        "protocol": flow.protocol,
        "direction": flow.direction,
        "home": declared.home(flow),
        "drop": declared.folder(flow, flow.drop),
        "archive": declared.folder(flow, "archive"),
        "metrics": declared.metrics_path(flow) if declared.metrics_directory else "",
        "retention_days": flow.retention_days,
        "thumbprint": certificate.thumbprint if certificate else "",
        "verify_content": flow.verify_content,
    }
    values |= {kind: declared.folder(flow, kind) for kind in work_folders(flow.direction)}
    if flow.protocol == SFTP:
        values["remote"] = flow.remote_path.rstrip("/") + "/" if flow.remote_path else ""
        values["arguments"] = sftp_arguments(declared, flow)
    if flow.protocol == HTTPS:
        # What is sent is put below the path, one resource for each file.
        path = flow.remote_path.rstrip("/") + "/" if flow.direction == OUT else flow.remote_path
        values["url"] = url(flow, path)
    return values


def url(flow: Flow, path: str) -> str:
    """Address of a path at an HTTPS far end."""
    place = flow.host if flow.far_port == 443 else f"{flow.host}:{flow.far_port}"
    return f"https://{place}/{path.lstrip('/')}"


def sftp_arguments(declared: Declaration, flow: Flow) -> list[str]:
    """Arguments of sftp: pinned host keys and nothing else, one key, no question asked (ssh_config(5), sftp(1))."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": declared.known_hosts_path,
        "GlobalKnownHostsFile": declared.known_hosts_path,
        "UpdateHostKeys": "no",
        "PreferredAuthentications": "publickey",
        "IdentitiesOnly": "yes",
        "ConnectTimeout": "30",
        "ServerAliveInterval": "15",
    }
    given = [text for name, value in options.items() for text in ("-o", f"{name}={value}")]
    identity = declared.identity_path(flow.identity)
    return ["-F", "none", *given, "-i", identity, "-P", str(flow.far_port), f"{flow.user}@{flow.host}"]


def known_hosts(declared: Declaration) -> str:
    """The pinned host keys in the format of sshd(8)."""
    lines = []
    for flow in declared.flows:
        if flow.protocol == SFTP:
            place = flow.host if flow.far_port == 22 else f"[{flow.host}]:{flow.far_port}"
            lines += [f"{place} {plain_key(key)}\n" for key in flow.host_keys]
    return "".join(dict.fromkeys(lines))


def plain_key(key: str) -> str:
    """A host key without its comment."""
    return " ".join(key.split()[:2])


def sha256(text: str) -> str:
    """SHA-256 of a text as it is written to the disk."""
    return hashlib.sha256(text.encode()).hexdigest()


def files(declared: Declaration, found: Observation) -> list[Item]:
    """Files whose content differs, with what they must hold."""
    held = {file.path.casefold(): file.sha256.casefold() for file in found.files}
    folders = {folder.path.casefold() for folder in found.folders if folder.exists}
    items = []
    for path, text in contents(declared).items():
        current = held.get(path.casefold(), "")
        if current != sha256(text):
            foreseen = ntpath.dirname(path).casefold() not in folders
            why = ["content"] if current else [CREATE]
            items.append(item(ntpath.basename(path), why, foreseen=foreseen, path=path, content=text))
    return items
