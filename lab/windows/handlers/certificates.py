# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificate stores: win_certificate_store, win_certificate_info. Certificates are real, read by ``cryptography``."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from lab.windows.filesystem import FileSystem
from lab.windows.filesystem import key as path_key
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_STORES = (
    "AddressBook",
    "AuthRoot",
    "CA",
    "Disallowed",
    "My",
    "Root",
    "TrustedPeople",
    "TrustedPublisher",
    "WebHosting",
)
_LOCATIONS = ("CurrentUser", "LocalMachine")
MACHINE_KEYS = (r"C:\ProgramData\Microsoft\Crypto\RSA\MachineKeys", r"C:\ProgramData\Microsoft\Crypto\Keys")
"""Folders of the machine's keys: of the older providers, and of CNG."""


@section("certificates")
def _certificates(_spec: ServerSpec) -> dict[str, Any]:
    # location -> store -> thumbprint -> {der, private_key (SHA-256 of its public half, empty without one), key_file,
    # exportable, friendly_name}. The keys themselves are kept nowhere.
    return {location: {store: {} for store in _STORES} for location in _LOCATIONS}


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of a certificate in capitals, by which Windows names it."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Windows' own identifier, no protection


def _key_mark(certificate: x509.Certificate) -> str:
    """What stands for a private key: who has it can be told, and the key cannot."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def _entry(certificate: x509.Certificate, key: str, file: str, *, exportable: bool) -> dict[str, Any]:
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode("ascii")
    return {"der": der, "private_key": key, "key_file": file, "exportable": exportable, "friendly_name": ""}


def put(
    server: WindowsServer,
    store: str,
    certificate: x509.Certificate,
    *,
    with_key: bool = False,
    exportable: bool = True,
) -> str:
    """Put a certificate in a store of the machine, with a key of the machine's when told to; gives its thumbprint."""
    name = thumbprint(certificate)
    mark = _key_mark(certificate) if with_key else ""
    file = _make_key_file(server, certificate, mark, "") if with_key else ""
    server.section("certificates")["LocalMachine"][store][name] = _entry(certificate, mark, file, exportable=exportable)
    return name


def _make_key_file(server: WindowsServer, certificate: x509.Certificate, mark: str, user: str) -> str:
    """File of a key container: the machine's, or the one in a user's profile. It holds no key."""
    legacy = isinstance(certificate.public_key(), rsa.RSAPublicKey)
    if user:
        folder = rf"C:\Users\{user}\AppData\Roaming\Microsoft\Crypto\{'RSA' if legacy else 'Keys'}"
    else:
        folder = MACHINE_KEYS[0] if legacy else MACHINE_KEYS[1]
    files = FileSystem(server)
    path = rf"{folder}\{mark[:32]}_{uuid.uuid5(uuid.NAMESPACE_DNS, server.name)}"
    files.make_dir(folder, "S-1-5-18")
    files.write(path, b"key container of the lab", "S-1-5-18")
    full = [
        {"sid": sid, "type": "allow", "rights": 0x1F01FF, "inherit": 0, "propagation": 0}
        for sid in ("S-1-5-18", "S-1-5-32-544")
    ]
    server.section("acls")[path_key(path)] = {"protected": True, "aces": full, "audit": []}
    return path


def key_file(server: WindowsServer, entry: dict[str, Any]) -> str:
    """The machine's key file of a store's entry; empty where there is none."""
    path: str = entry.get("key_file", "")
    machine = path.casefold().startswith(tuple(folder.casefold() for folder in MACHINE_KEYS))
    return path if machine and FileSystem(server).is_file(path) else ""


def load(entry: dict[str, Any]) -> x509.Certificate:
    """The certificate of a store's entry."""
    return x509.load_der_x509_certificate(base64.b64decode(entry["der"]))


def adopt(server: WindowsServer, pem: bytes) -> str:
    """Put the certificate that the WinRM endpoint serves into the machine's store and behind its HTTPS listener.

    Its key stays with the endpoint: the store only tells that there is one. Gives the thumbprint.
    """
    certificate, *chain = x509.load_pem_x509_certificates(pem)
    name = thumbprint(certificate)
    for authority in chain:
        put(server, "Root", authority)
    mine = server.section("certificates")["LocalMachine"]["My"]
    if name not in mine:
        put(server, "My", certificate, with_key=True, exportable=False)
    for listener in server.section("winrm_listeners")["listeners"]:
        if listener["transport"] == "https" and listener["certificate_thumbprint"] not in mine:
            listener["certificate_thumbprint"] = name
    return name


def _read(call: Call, path: str) -> list[tuple[x509.Certificate, bool]]:
    """Certificates of a file, and whether the file holds the key of each."""
    files = FileSystem(call.server)
    if not files.is_file(path):
        raise ModuleFailure(f"path '{path}' does not exist or is not accessible", thumbprints=[])
    content = files.read(path)
    if b"-----BEGIN CERTIFICATE-----" in content:
        # .NET Framework reads the first certificate of a PEM file and nothing of the rest.
        return [(x509.load_pem_x509_certificates(content)[0], False)]
    try:
        return [(x509.load_der_x509_certificate(content), False)]
    except ValueError:
        pass
    password = call.args["password"]
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(content, password.encode() if password else None)
    except ValueError:
        raise ModuleFailure(
            "Failed to load cert from file: Le mot de passe réseau spécifié n’est pas correct, ou le fichier n’est pas "
            "un certificat.",
            thumbprints=[],
        ) from None
    found = [(certificate, key is not None)] if certificate is not None else []
    return found + [(other, False) for other in others]


def _store(call: Call) -> dict[str, Any]:
    location, name = call.args["store_location"], call.args["store_name"]
    if call.args.get("store_type") == "service":
        raise NotSimulated("The lab does not simulate certificate stores of services.")
    stores = call.server.section("certificates")
    places = {place.casefold(): place for place in stores}
    if location.casefold() not in places:
        raise ModuleFailure(
            f"value of store_location must be one of: {', '.join(_LOCATIONS)}. Got no match for: {location}",
            thumbprints=[],
        )
    wanted = "CA" if name == "CertificateAuthority" else name
    chosen: dict[str, dict[str, Any]] = stores[places[location.casefold()]]
    names = {store.casefold(): store for store in chosen}
    if wanted.casefold() not in names:
        raise ModuleFailure(f"unable to find store '{wanted}'", thumbprints=[])
    return chosen[names[wanted.casefold()]]


@handles(
    "ansible.windows.win_certificate_store",
    source="ansible.windows 3.3.0 win_certificate_store documentation and source",
)
def win_certificate_store(call: Call) -> Result:
    """Import, remove or export certificates."""
    args = call.args
    store = _store(call)
    changed = False
    if args["state"] == "present":
        names = []
        for certificate, key in _read(call, args["path"]):
            name = thumbprint(certificate)
            names.append(name)
            if name not in store or (key and not store[name]["private_key"]):
                mark = _key_mark(certificate) if key else ""
                # DefaultKeySet follows the file: a user's key, unless an export from a machine says otherwise.
                user = "" if args["key_storage"] == "machine" else call.user.rpartition("\\")[2]
                file = _make_key_file(call.server, certificate, mark, user) if key else ""
                store[name] = _entry(certificate, mark, file, exportable=args["key_exportable"])
                changed = True
        return {"changed": changed, "thumbprints": names}
    if args["state"] == "absent":
        if args["path"] is not None:
            names = [thumbprint(certificate) for certificate, _key in _read(call, args["path"])]
        else:
            names = [args["thumbprint"].upper()]
        for name in names:
            changed = store.pop(name, None) is not None or changed
        return {"changed": changed, "thumbprints": names}
    return _export(call, store)


def _export(call: Call, store: dict[str, Any]) -> Result:
    args = call.args
    files = FileSystem(call.server)
    name, path = args["thumbprint"].upper(), args["path"]
    result: Result = {"changed": False, "thumbprints": [args["thumbprint"]]}
    if files.is_dir(path):
        raise ModuleFailure(f"Cannot export cert to path '{path}' as it is a directory", **result)
    if name not in store:
        raise ModuleFailure("Found 0 certs when only expecting 1", **result)
    certificate = load(store[name])
    if args["file_type"] == "pkcs12":
        raise NotSimulated("The lab does not simulate exporting private keys (file_type=pkcs12).")
    if args["file_type"] == "pem":
        content = certificate.public_bytes(serialization.Encoding.PEM).strip()
    else:
        content = certificate.public_bytes(serialization.Encoding.DER)
    if not files.is_file(path) or files.read(path) != content:
        files.write(path, content)
        result["changed"] = True
    return result


_USAGES = (
    ("digital_signature", "DigitalSignature"), ("content_commitment", "NonRepudiation"),
    ("key_encipherment", "KeyEncipherment"), ("data_encipherment", "DataEncipherment"),
    ("key_agreement", "KeyAgreement"), ("key_cert_sign", "KeyCertSign"), ("crl_sign", "CrlSign"),
)  # fmt: skip
# Purposes by OID, as a French Windows names them.
_PURPOSES = {
    "1.3.6.1.5.5.7.3.1": "Authentification du serveur",
    "1.3.6.1.5.5.7.3.2": "Authentification du client",
    "1.3.6.1.5.5.7.3.3": "Signature du code",
    "1.3.6.1.5.5.7.3.4": "Messagerie électronique sécurisée",
    "1.3.6.1.5.5.7.3.8": "Enregistrement des informations de date",
    "1.3.6.1.5.5.7.3.9": "Signature OCSP",
    "1.3.6.1.4.1.311.20.2.2": "Ouverture de session par carte à puce",
    "1.3.6.1.5.2.3.5": "Authentification KDC",
}


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _common_name(name: x509.Name) -> str:
    attributes = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else name.rfc4514_string()


def describe(entry: dict[str, Any]) -> dict[str, Any]:
    """Describe a certificate as win_certificate_info does."""
    certificate = load(entry)
    names = _extension(certificate, x509.SubjectAlternativeName)
    usage = _extension(certificate, x509.KeyUsage)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    constraints = _extension(certificate, x509.BasicConstraints)
    key_id = _extension(certificate, x509.SubjectKeyIdentifier)
    key = certificate.public_key()
    subject = _common_name(certificate.subject)
    dns = names.get_values_for_type(x509.DNSName) if names else []
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    algorithm = certificate.signature_hash_algorithm
    kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA" if isinstance(key, ec.EllipticCurvePublicKey) else ""
    return {
        "archived": False,
        "dns_names": list(dict.fromkeys([subject, *dns])),
        "extensions": [
            {"critical": extension.critical, "field": extension.oid.dotted_string, "value": ""}
            for extension in certificate.extensions
        ],
        "friendly_name": entry["friendly_name"],
        "has_private_key": bool(entry["private_key"]),
        "intended_purposes": [_PURPOSES.get(oid.dotted_string, oid.dotted_string) for oid in purposes]
        if purposes
        else [],
        "is_ca": bool(constraints and constraints.ca),
        "issued_by": _common_name(certificate.issuer),
        "issued_to": subject,
        "issuer": certificate.issuer.rfc4514_string().replace(",", ", "),
        "key_usages": [shown for field, shown in _USAGES if usage and getattr(usage, field)],
        "path_length_constraint": constraints.path_length if constraints else None,
        "public_key": base64.b64encode(encoded).decode("ascii"),
        "cert_data": "-----BEGIN CERTIFICATE-----\n" + entry["der"] + "\n-----END CERTIFICATE-----",
        "serial_number": f"{certificate.serial_number:X}".rjust(2, "0"),
        "signature_algorithm": f"{algorithm.name if algorithm else ''}{kind}",
        "ski": key_id.digest.hex().upper() if key_id else None,
        "subject": certificate.subject.rfc4514_string().replace(",", ", "),
        "thumbprint": thumbprint(certificate),
        "valid_from": start.timestamp(),
        "valid_from_iso8601": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "valid_to": end.timestamp(),
        "valid_to_iso8601": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": 3,
    }


@handles(
    "ansible.windows.win_certificate_info",
    source="ansible.windows 3.3.0 win_certificate_info documentation and source",
)
def win_certificate_info(call: Call) -> Result:
    """Describe the certificates of a store, or the one of a thumbprint."""
    store = _store(call)
    wanted = call.args["thumbprint"]
    entries = [entry for name, entry in store.items() if wanted is None or name.casefold() == wanted.casefold()]
    return {"changed": False, "exists": bool(entries), "certificates": [describe(entry) for entry in entries]}
