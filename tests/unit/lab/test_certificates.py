# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates from a description: what is written is what was asked for, once, and a wrong description is refused."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.certificates import CertificateError, read, write

AUTHORITY = {
    "name": "authority",
    "key": "EC P-256",
    "common_name": "Autorité",
    "alternative_names": [],
    "authority": True,
    "key_usages": ["keyCertSign"],
    "not_before": -900,
}
SITE = {
    "name": "site",
    "key": "EC P-256",
    "issuer": "authority",
    "common_name": "site.ordre.example",
    "alternative_names": ["site.ordre.example", "10.0.0.1"],
    "authority": False,
    "extended_key_usages": ["serverAuth", "clientAuth"],
    "not_before": -30,
    "not_after": -1,
    "pfx": {"passphrase": "Mot-de-passe-1", "friendly_name": "vitrine", "chain": ["authority"]},
}
PLAIN = {"name": "plain", "key": "EC P-256", "common_name": "plain.ordre.example", "pfx": {}}


def make(folder, *entries):
    return [file.name for file in write(folder, read(json.dumps(entries)))]


def certificate(folder, name):
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def extension(held, kind):
    return held.extensions.get_extension_for_class(kind)


def days(moment):
    return round((moment - dt.datetime.now(dt.UTC)) / dt.timedelta(days=1))


def test_names_dates_and_usages_are_those_declared(tmp_path):
    make(tmp_path, AUTHORITY, SITE)
    authority, site = certificate(tmp_path, "authority"), certificate(tmp_path, "site")
    site.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(authority)
    assert [site.subject.rfc4514_string(), site.issuer.rfc4514_string()] == ["CN=site.ordre.example", "CN=Autorité"]
    names = extension(site, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["site.ordre.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.1")]
    assert [days(site.not_valid_before_utc), days(site.not_valid_after_utc)] == [-30, -1]
    assert [days(authority.not_valid_before_utc), days(authority.not_valid_after_utc)] == [-900, 3650]
    for held, expected in ((authority, True), (site, False)):
        constraints = extension(held, x509.BasicConstraints)
        assert (constraints.value.ca, constraints.critical) == (expected, True)
    usage = extension(authority, x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, False, False)
    purposes = list(extension(site, x509.ExtendedKeyUsage).value)
    assert purposes == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signer = extension(authority, x509.SubjectKeyIdentifier).value.digest
    assert extension(site, x509.AuthorityKeyIdentifier).value.key_identifier == signer


def test_what_is_not_declared_is_not_in_the_certificate(tmp_path):
    make(tmp_path, PLAIN)
    held = certificate(tmp_path, "plain")
    kinds = [type(item.value) for item in held.extensions]
    assert kinds == [x509.SubjectAlternativeName, x509.SubjectKeyIdentifier]
    assert extension(held, x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == [
        PLAIN["common_name"]
    ]
    make(tmp_path, AUTHORITY)
    with pytest.raises(x509.ExtensionNotFound):
        extension(certificate(tmp_path, "authority"), x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    ("key", "kind", "size"),
    [
        ("RSA 2048", rsa.RSAPrivateKey, 2048),
        ("RSA 3072", rsa.RSAPrivateKey, 3072),
        ("EC P-256", ec.EllipticCurvePrivateKey, 256),
    ],
)
def test_keys_are_of_the_kind_declared_and_private(tmp_path, key, kind, size):
    make(tmp_path, {**PLAIN, "key": key})
    file = tmp_path / "plain.key"
    held = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(held, kind)
    assert held.key_size == size
    assert held.public_key() == certificate(tmp_path, "plain").public_key()
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("plain.key", "plain.pfx")] == [0o600, 0o600]


def test_a_pfx_holds_the_key_the_certificate_and_its_chain(tmp_path):
    make(tmp_path, AUTHORITY, SITE)
    content = (tmp_path / "site.pfx").read_bytes()
    packed = pkcs12.load_pkcs12(content, b"Mot-de-passe-1")
    assert packed.cert.friendly_name == b"vitrine"
    assert packed.cert.certificate == certificate(tmp_path, "site")
    assert [item.certificate for item in packed.additional_certs] == [certificate(tmp_path, "authority")]
    assert packed.key.public_key() == packed.cert.certificate.public_key()
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(content, b"autre")


def test_a_pfx_without_options_has_no_password_and_the_name_of_the_entry(tmp_path):
    make(tmp_path, PLAIN)
    packed = pkcs12.load_pkcs12((tmp_path / "plain.pfx").read_bytes(), None)
    assert packed.cert.friendly_name == b"plain"
    assert packed.additional_certs == []


def test_a_compatible_pfx_is_encrypted_as_older_systems_read_it(tmp_path):
    triple_des = bytes.fromhex("060a2a864886f70d010c0103")  # pbeWithSHAAnd3-KeyTripleDES-CBC
    make(tmp_path, {**PLAIN, "pfx": {"passphrase": "secret", "compatible": True}}, {**PLAIN, "name": "today"})
    content = (tmp_path / "plain.pfx").read_bytes()
    assert triple_des in content
    assert triple_des not in (tmp_path / "today.pfx").read_bytes()
    assert pkcs12.load_pkcs12(content, b"secret").cert.friendly_name == b"plain"


def test_a_second_run_writes_nothing(tmp_path):
    assert make(tmp_path, AUTHORITY, SITE) == ["authority.pem", "authority.key", "site.pem", "site.pfx", "site.key"]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    assert make(tmp_path, AUTHORITY, SITE) == []
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()} == before


def test_what_is_missing_is_made_again_with_what_it_signed(tmp_path):
    make(tmp_path, AUTHORITY, SITE, PLAIN)
    (tmp_path / "site.pfx").unlink()
    assert make(tmp_path, AUTHORITY, SITE, PLAIN) == ["site.pem", "site.pfx", "site.key"]
    (tmp_path / "authority.key").unlink()
    assert make(tmp_path, AUTHORITY, SITE, PLAIN)[:2] == ["authority.pem", "authority.key"]
    certificate(tmp_path, "site").verify_directly_issued_by(certificate(tmp_path, "authority"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{**PLAIN, "isuer": "authority"}], "plain has an unknown key 'isuer'"),
        ([{**PLAIN, "pfx": {"password": "x"}}], "plain: pfx has an unknown key 'password'"),
        ([{**SITE}], "site: its issuer 'authority' is no entry above it"),
        ([SITE, AUTHORITY], "site: its issuer 'authority' is no entry above it"),
        ([{**PLAIN, "pfx": {"chain": ["authority"]}}], "plain: 'authority' of its chain is no entry above it"),
        ([{"common_name": "x"}], "Entry 1 lacks 'name'"),
        ([{"name": "x"}], "x lacks 'common_name'"),
        ([PLAIN, PLAIN], "plain is there twice"),
        ([{**PLAIN, "name": "../plain"}], "cannot be a file's"),
        ([{**PLAIN, "name": "self"}], "cannot be a file's"),
        ([{**PLAIN, "key": "RSA 512"}], "key has 'RSA 512'; known: RSA 2048, RSA 3072, EC P-256"),
        ([{**PLAIN, "key_usages": ["sign"]}], "key_usages has 'sign'"),
        ([{**PLAIN, "extended_key_usages": ["codeSigning"]}], "extended_key_usages has 'codeSigning'"),
        ([{**PLAIN, "not_after": "+1d"}], "not_after must be int, not str"),
        ([{**PLAIN, "not_after": True}], "not_after must be int, not bool"),
        ([{**PLAIN, "alternative_names": [1]}], "alternative_names must be a list of texts"),
        ([{**PLAIN, "not_before": 2, "not_after": 1}], r"ends \(1\) before it starts \(2\)"),
        (["plain"], "Entry 1 must be a mapping, not str"),
        ({}, "must be a list, not dict"),
    ],
)
def test_a_wrong_description_is_refused(entries, words):
    with pytest.raises(CertificateError, match=words):
        read(json.dumps(entries))


def test_a_description_that_is_no_yaml_is_refused():
    with pytest.raises(CertificateError, match="cannot be read"):
        read("[")


def test_a_name_that_no_certificate_can_have_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(CertificateError, match=r"^plain: "):
        make(tmp_path, {**PLAIN, "alternative_names": ["Autorité"]})
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_wrote_or_what_is_wrong(tmp_path):
    def run(text):
        command = [sys.executable, "-m", "lab.certificates", str(tmp_path)]
        return subprocess.run(command, input=text, check=False, capture_output=True, text=True)

    description = "[{name: plain, key: EC P-256, common_name: plain.ordre.example}]"
    first, second, wrong = run(description), run(description), run("[{name: plain}]")
    assert first.stdout.split() == [str(tmp_path / "plain.pem"), str(tmp_path / "plain.key")]
    assert (second.returncode, second.stdout) == (0, "")
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (1, "", "plain lacks 'common_name'.\n")
    subject = certificate(tmp_path, "plain").subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [item.value for item in subject] == ["plain.ordre.example"]
