# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others deliver to the controller for the example estate's sites: certificates with their keys, and releases."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from lab.authority import write_private
from lab.windows.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from lab.authority import Authority

AUTHORITY = "autorite.pem"
"""The lab's authority, as the one that signed the certificates."""


def write(folder: Path, authority: Authority) -> None:
    """Write the authority, certificates (PKCS#12 without password) and releases, these with their SHA-256 beside them.

    Certificates stay the same while the authority reuses them; releases are the same bytes each time.
    """
    wanted = yaml.safe_load((DATA / "deliveries.yml").read_text(encoding="utf-8"))
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    (folder / AUTHORITY).write_bytes(authority.ca_file.read_bytes())
    for entry in wanted["certificates"]:
        write_private(folder / entry["file"], _packed(authority, entry["names"]))
    for entry in wanted["releases"]:
        path = folder / entry["file"]
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in entry["contents"].items():
                archive.writestr(zipfile.ZipInfo(name), text)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(f"{digest}\n", encoding="ascii")


def _packed(authority: Authority, names: list[str]) -> bytes:
    certificate_file, key_file = authority.issue(names[0], *names)
    certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    name = names[0].encode()
    return pkcs12.serialize_key_and_certificates(name, key, certificate, None, serialization.NoEncryption())  # type: ignore[arg-type]  # the authority's keys are elliptic curve keys
