# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's certificate authority: one root per instance, and a certificate for each server that speaks TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Authority", "Key", "general_name", "key_pem", "key_usage", "write_private"]

LIFETIME = dt.timedelta(days=825)
RENEW_BEFORE = dt.timedelta(days=30)
CLIENT_RENEW_BEFORE = dt.timedelta(days=90)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
"""The kinds of private keys that the lab makes."""

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, atomically: it is never seen half written or with wider rights."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


class Authority:
    """A certificate authority kept in a folder: ``ca.pem``, ``ca.key`` and ``<name>.pem`` with ``<name>.key``."""

    def __init__(self, folder: Path) -> None:
        """Open the authority of this folder, making it when there is none."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        key_file = folder / "ca.key"
        if not (self.ca_file.exists() and key_file.exists()):
            self._create(key_file)
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} is not an elliptic curve key: remove {folder} to make a new authority")
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())

    def _create(self, key_file: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Infogerance lab authority")])
        now = dt.datetime.now(dt.UTC)
        usage = key_usage("digital_signature", "key_cert_sign", "crl_sign")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(key_file, key_pem(key))
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *names: str) -> tuple[Path, Path]:
        """A server certificate for ``name`` that is valid for each of ``names`` (host names and IP addresses).

        The one of an earlier call is reused while it covers the same names and stays valid for a month.

        Returns:
            The files of the certificate (with the authority's behind it) and of its key.
        """
        wanted = [general_name(item) for item in dict.fromkeys(names or (name,))]
        certificate_file = self.folder / f"{name}.pem"
        key_file = self.folder / f"{name}.key"
        if certificate_file.exists() and key_file.exists() and self._covers(certificate_file, wanted):
            return certificate_file, key_file
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key, name, wanted, ExtendedKeyUsageOID.SERVER_AUTH)
        write_private(key_file, key_pem(key))
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        certificate_file.write_bytes(pem + self.ca_file.read_bytes())
        return certificate_file, key_file

    def client(self, name: str, password: str) -> Path:
        """A client's certificate with its key: the PKCS#12 file that an authority outside the estate would hand over.

        The one of an earlier call is reused while the password opens it and it stays valid for a quarter.
        """
        file = self.folder / f"{name}.pfx"
        if file.exists():
            try:
                _key, held, _others = pkcs12.load_key_and_certificates(file.read_bytes(), password.encode())
            except ValueError:
                held = None
            left = held.not_valid_after_utc - dt.datetime.now(dt.UTC) if held else dt.timedelta()
            if held is not None and left > CLIENT_RENEW_BEFORE and _signed_by(held, self._certificate):
                return file
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key, name, [x509.DNSName(name)], ExtendedKeyUsageOID.CLIENT_AUTH)
        sealed = serialization.BestAvailableEncryption(password.encode())
        write_private(file, pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, None, sealed))
        return file

    def _sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        wanted: list[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        usage = key_usage("digital_signature")
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )

    def server_context(self, name: str, *names: str) -> ssl.SSLContext:
        """A TLS context that serves the certificate :meth:`issue` makes for these names."""
        certificate_file, key_file = self.issue(name, *names)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate_file, key_file)
        return context

    def revoke(self, name: str) -> None:
        """Remove a server's certificate and key; harmless when there is none."""
        for suffix in (".pem", ".key"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _covers(self, certificate_file: Path, wanted: list[x509.GeneralName]) -> bool:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        remaining = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
        issued_here = certificate.issuer == self._certificate.subject and _signed_by(certificate, self._certificate)
        return issued_here and set(extension.value) == set(wanted) and remaining > RENEW_BEFORE


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - any failure of any kind means that another authority signed it
        return False
    return True


def key_pem(key: Key) -> bytes:
    """A private key as the text that files hold: PKCS#8 without password."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def general_name(name: str) -> x509.GeneralName:
    """A name that a certificate is valid for: an IP address where it is one, a host name otherwise."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def key_usage(*usages: str) -> x509.KeyUsage:
    """The extension that allows a key these uses, named as in :class:`x509.KeyUsage`, and no other."""
    return x509.KeyUsage(**{name: name in usages for name in _USAGES})
