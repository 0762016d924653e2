# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is delivered to the lab's controller: the same at each start, and what it says it is."""

from __future__ import annotations

import hashlib
import zipfile

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from lab.authority import Authority
from lab.windows import deliveries


def test_certificates_and_releases(tmp_path):
    authority = Authority(tmp_path / "ca")
    deliveries.write(tmp_path / "media", authority)
    _key, certificate, _others = pkcs12.load_key_and_certificates((tmp_path / "media/portail.pfx").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((tmp_path / "media" / deliveries.AUTHORITY).read_bytes())
    certificate.verify_directly_issued_by(issuer)
    archive = tmp_path / "media/portail-2026.11.zip"
    stated = archive.with_name(f"{archive.name}.sha256").read_text(encoding="ascii").strip()
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == stated
    assert "sante.txt" in zipfile.ZipFile(archive).namelist()
    deliveries.write(tmp_path / "media", Authority(tmp_path / "ca"))
    _key, again, _others = pkcs12.load_key_and_certificates((tmp_path / "media/portail.pfx").read_bytes(), None)
    assert again == certificate
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == stated
