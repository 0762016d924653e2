# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on the controller: what a PKCS#12 file and PEM files hold, as Windows will name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.serialization import pkcs12
    from cryptography.x509.oid import NameOID
except ImportError:
    # Ansible's vault needs it too, so that a controller without it is rare; the other filters of a file still load.
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

if TYPE_CHECKING:
    from datetime import datetime


class CertificateError(ValueError):
    """A file does not hold what it should; the sentence does not name the file and never a password."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is told of one certificate."""

    thumbprint: str
    """SHA-1 in capitals, by which Windows names it."""
    subject: str
    """RFC 4514, a space after each comma, as .NET writes it."""
    issuer: str
    not_before: str
    """Start of validity: UTC, ISO 8601."""
    not_after: str
    dns_names: tuple[str, ...]
    """Common name first, then the alternative DNS names."""
    self_signed: bool
    pem: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A PKCS#12 file: a certificate with its key, and what else came along."""

    certificate: Certificate
    others: tuple[Certificate, ...]


def read_pkcs12(content: bytes, password: str) -> Bundle:
    """Read a PKCS#12 file.

    Args:
        content: the file's bytes.
        password: what protects it; empty for none.

    Raises:
        CertificateError: wrong password, no PKCS#12, no certificate with its key in it, or no means to read one.
    """
    _require_cryptography()
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(content, password.encode() if password else None)
    except ValueError as error:
        raise CertificateError(_cause(content)) from error
    if key is None or certificate is None:
        raise CertificateError("it holds no certificate with its private key")
    return Bundle(_describe(certificate), tuple(_describe(other) for other in others))


def read_pem(content: bytes) -> tuple[Certificate, ...]:
    """Read the certificates of a PEM file.

    Raises:
        CertificateError: there is none, one is broken, or there are no means to read one.
    """
    _require_cryptography()
    try:
        return tuple(_describe(certificate) for certificate in x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise CertificateError("it holds no PEM certificate") from error


def _require_cryptography() -> None:
    if not HAS_CRYPTOGRAPHY:
        raise CertificateError("the controller lacks the Python package cryptography: pip install cryptography")


def _cause(content: bytes) -> str:
    """Why a PKCS#12 file was not read: all of it starts with the ASN.1 SEQUENCE of a PFX, version 3."""
    looks_right = content[:1] == b"\x30" and b"\x02\x01\x03" in content[:8]
    return "the password is not its own" if looks_right else "it is no PKCS#12 file"


def _describe(certificate: x509.Certificate) -> Certificate:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        dns = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        dns = []
    every = [str(name.value) for name in names] + list(dns)
    return Certificate(
        # SHA-1 is Windows' own name of a certificate, no protection.
        thumbprint=certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - Windows' own identifier
        subject=certificate.subject.rfc4514_string().replace(",", ", "),
        issuer=certificate.issuer.rfc4514_string().replace(",", ", "),
        not_before=_stamp(certificate.not_valid_before_utc),
        not_after=_stamp(certificate.not_valid_after_utc),
        dns_names=tuple(dict.fromkeys(every)),
        self_signed=certificate.subject == certificate.issuer,
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
