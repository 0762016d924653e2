# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates a test needs, from a description of them: authorities, good ones, expired ones, strangers.

``python -m lab.certificates FOLDER < description.yml`` writes ``NAME.key`` and ``NAME.pem`` for each entry of the
description, and ``NAME.pfx`` for one with ``pfx``; it prints the files it wrote. The description is a list, in YAML or
JSON, of mappings with these keys:

======================= ===============================================================================================
``name``                what the files are called; required
``common_name``         the subject; required
``key``                 ``RSA 2048`` (without the key: this), ``RSA 3072`` or ``EC P-256``
``issuer``              the name of an entry above that signs; ``self`` without it
``alternative_names``   host names and IP addresses; the common name without it, none with an empty list
``authority``           true or false for the basic constraints; no such extension without it
``key_usages``          such as ``keyCertSign``; no such extension without it
``extended_key_usages`` such as ``serverAuth``; no such extension without it
``not_before``          days from now, negative in the past; 0 without it
``not_after``           days from now; 3650 without it
``pfx``                 a mapping: ``passphrase`` (none without it), ``friendly_name`` (the entry's name without it),
                        ``chain`` (names of entries above whose certificates are added), ``compatible`` (true for the
                        encryption of Windows Server 2016 and older: 3DES with SHA-1)
======================= ===============================================================================================
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.authority import Key, general_name, key_pem, key_usage, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["CertificateError", "Entry", "Pfx", "read", "write"]

SELF = "self"
_KEYS: dict[str, Callable[[], Key]] = {
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA 3072": lambda: rsa.generate_private_key(65537, 3072),
    "EC P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
}
_USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
_PURPOSES = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}


class CertificateError(ValueError):
    """A description cannot be followed; the message names the entry and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Pfx:
    """How an entry's certificate and key are packed together: the keys of ``pfx``."""

    passphrase: str = ""
    friendly_name: str = ""
    chain: tuple[str, ...] = ()
    compatible: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate of a description, with the keys that the module's description lists."""

    name: str
    common_name: str
    key: str = "RSA 2048"
    issuer: str = SELF
    alternative_names: tuple[str, ...] | None = None
    authority: bool | None = None
    key_usages: tuple[str, ...] = ()
    extended_key_usages: tuple[str, ...] = ()
    not_before: int = 0
    not_after: int = 3650
    pfx: Pfx | None = None

    def files(self, folder: Path) -> list[Path]:
        """What this entry is written to; the key comes last, so that it says that the others are whole."""
        suffixes = [".pem", *([".pfx"] if self.pfx else []), ".key"]
        return [folder / f"{self.name}{suffix}" for suffix in suffixes]


_TYPES: dict[str, type] = {
    "alternative_names": list,
    "authority": bool,
    "key_usages": list,
    "extended_key_usages": list,
    "not_before": int,
    "not_after": int,
    "pfx": dict,
    "chain": list,
    "compatible": bool,
}


def _values(kind: type[Entry | Pfx], data: Any, where: str) -> dict[str, Any]:
    """The mapping as a dataclass's values: only keys it has, each of its type, lists of texts as tuples."""
    if not isinstance(data, dict):
        raise CertificateError(f"{where} must be a mapping, not {type(data).__name__}.")
    known = [field.name for field in fields(kind)]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise CertificateError(f"{where} has an unknown key '{key}'; known: {', '.join(known)}.")
        wanted = _TYPES.get(key, str)
        if type(value) is not wanted:
            raise CertificateError(f"{where}: {key} must be {wanted.__name__}, not {type(value).__name__}.")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise CertificateError(f"{where}: {key} must be a list of texts.")
        values[key] = tuple(value) if isinstance(value, list) else value
    return values


def _one_of(value: str, known: Collection[str], where: str, key: str) -> None:
    if value not in known:
        raise CertificateError(f"{where}: {key} has '{value}'; known: {', '.join(known)}.")


def _entry(data: Any, index: int, above: dict[str, Entry]) -> Entry:
    label = data.get("name") if isinstance(data, dict) else None
    where = label if isinstance(label, str) and label else f"Entry {index + 1}"
    values = _values(Entry, data, where)
    for key in ("name", "common_name"):
        if not values.get(key):
            raise CertificateError(f"{where} lacks '{key}'.")
    if "pfx" in values:
        values["pfx"] = Pfx(**_values(Pfx, values["pfx"], f"{where}: pfx"))
    entry = Entry(**values)
    if entry.name == SELF or entry.name.startswith(".") or Path(entry.name).name != entry.name:
        raise CertificateError(f"{where}: this name cannot be a file's.")
    if entry.name in above:
        raise CertificateError(f"{where} is there twice.")
    _one_of(entry.key, _KEYS, where, "key")
    for usage in entry.key_usages:
        _one_of(usage, _USAGES, where, "key_usages")
    for purpose in entry.extended_key_usages:
        _one_of(purpose, _PURPOSES, where, "extended_key_usages")
    if entry.issuer != SELF and entry.issuer not in above:
        raise CertificateError(f"{where}: its issuer '{entry.issuer}' is no entry above it.")
    for link in entry.pfx.chain if entry.pfx else ():
        if link not in above:
            raise CertificateError(f"{where}: '{link}' of its chain is no entry above it.")
    if entry.not_after <= entry.not_before:
        raise CertificateError(f"{where}: it ends ({entry.not_after}) before it starts ({entry.not_before}).")
    return entry


def read(text: str) -> list[Entry]:
    """The entries of a description.

    Raises:
        CertificateError: it is not a list, a key is unknown, missing or of the wrong type, or a name leads nowhere.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CertificateError(f"The description cannot be read: {error}") from error
    if not isinstance(data, list):
        raise CertificateError(f"The description must be a list, not {type(data).__name__}.")
    entries: dict[str, Entry] = {}
    for index, item in enumerate(data):
        entry = _entry(item, index, entries)
        entries[entry.name] = entry
    return list(entries.values())


def write(folder: Path, entries: list[Entry]) -> list[Path]:
    """Write what the entries describe, and return the files written.

    An entry whose files are all there is left alone, unless one that signed it or is packed with it was made anew.

    Raises:
        CertificateError: an entry's names cannot be in a certificate, or its issuer's files are not what they were.
    """
    written: list[Path] = []
    made: set[str] = set()
    for entry in entries:
        files = entry.files(folder)
        behind = {entry.issuer, *(entry.pfx.chain if entry.pfx else ())}
        if made.isdisjoint(behind) and all(file.exists() for file in files):
            continue
        try:
            contents = _make(folder, entry)
        except (ValueError, TypeError, OSError) as error:
            raise CertificateError(f"{entry.name}: {error}") from error
        files[-1].unlink(missing_ok=True)
        for file in files:
            content = contents[file.suffix]
            if file.suffix == ".pem":
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file.write_bytes(content)
            else:
                write_private(file, content)
        made.add(entry.name)
        written += files
    return written


def _certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def _private_key(folder: Path, name: str) -> Key:
    key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError(f"{name}.key is neither RSA nor elliptic curve")
    return key


def _make(folder: Path, entry: Entry) -> dict[str, bytes]:
    """The contents of an entry's files by their suffix."""
    key = _KEYS[entry.key]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, entry.common_name)])
    if entry.issuer == SELF:
        issuer, signer = subject, key
    else:
        issuer, signer = _certificate(folder, entry.issuer).subject, _private_key(folder, entry.issuer)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=entry.not_before))
        .not_valid_after(now + dt.timedelta(days=entry.not_after))
    )
    names = (entry.common_name,) if entry.alternative_names is None else entry.alternative_names
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(general_name, names)), critical=False)
    if entry.key_usages:
        builder = builder.add_extension(key_usage(*(_USAGES[usage] for usage in entry.key_usages)), critical=False)
    if entry.extended_key_usages:
        purposes = [_PURPOSES[purpose] for purpose in entry.extended_key_usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if entry.authority is not None:
        constraints = x509.BasicConstraints(ca=entry.authority, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if entry.issuer != SELF:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(identifier, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    contents = {".key": key_pem(key), ".pem": certificate.public_bytes(serialization.Encoding.PEM)}
    if entry.pfx:
        contents[".pfx"] = _packed(folder, entry.name, entry.pfx, key, certificate)
    return contents


def _packed(folder: Path, name: str, pfx: Pfx, key: Key, certificate: x509.Certificate) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if pfx.passphrase and pfx.compatible:
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(50000)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())  # noqa: S303 - what those systems read
            .build(pfx.passphrase.encode())
        )
    elif pfx.passphrase:
        encryption = serialization.BestAvailableEncryption(pfx.passphrase.encode())
    chain = [_certificate(folder, link) for link in pfx.chain] or None
    friendly_name = (pfx.friendly_name or name).encode()
    return pkcs12.serialize_key_and_certificates(friendly_name, key, certificate, chain, encryption)


def main() -> None:
    """Write the certificates that the description on standard input asks for, and print the files written."""
    parser = argparse.ArgumentParser(prog="python -m lab.certificates", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        written = write(options.folder, read(sys.stdin.read()))
    except CertificateError as error:
        raise SystemExit(str(error)) from error
    for file in written:
        print(file)


if __name__ == "__main__":
    main()
