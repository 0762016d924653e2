# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's authority makes certificates that a strict client accepts, for the names asked and no other."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.authority import Authority, write_private


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def handshake(authority, context, name, ca_file=None):
    """Serve one TLS connection on loopback and connect to it as `name`."""
    listener = socket.create_server(("127.0.0.1", 0))
    errors = []

    def serve():
        connection, _address = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(1)
        except (ssl.SSLError, OSError) as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=str(ca_file or authority.ca_file))
    try:
        with (
            socket.create_connection(listener.getsockname()) as plain,
            client.wrap_socket(plain, server_hostname=name) as tls,
        ):
            tls.send(b"x")
            return tls.getpeercert()
    finally:
        thread.join(5)
        listener.close()


@pytest.mark.parametrize("name", ["dc01", "dc01.sages-femmes.example", "127.0.0.1"])
def test_a_server_is_known_under_each_of_its_names(authority, name):
    context = authority.server_context("dc01", "dc01", "dc01.sages-femmes.example", "127.0.0.1")
    handshake(authority, context, name)


def test_another_name_or_another_authority_is_refused(authority, tmp_path):
    context = authority.server_context("dc01", "dc01")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(authority, context, "sql01")
    other = Authority(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, context, "dc01", other.ca_file)


def test_a_certificate_is_reused_until_its_names_change(authority):
    first, _key = authority.issue("dc01", "dc01", "10.42.0.11")
    before = first.read_bytes()
    authority.issue("dc01", "10.42.0.11", "dc01")
    assert first.read_bytes() == before
    authority.issue("dc01", "dc01", "10.42.0.12")
    assert first.read_bytes() != before


def test_the_authority_survives_a_restart_and_a_new_one_signs_anew(authority, tmp_path):
    certificate, _key = authority.issue("dc01", "dc01")
    before = certificate.read_bytes()
    again = Authority(tmp_path / "ca")
    assert again.issue("dc01", "dc01")[0].read_bytes() == before
    for name in ("ca.pem", "ca.key"):
        (tmp_path / "ca" / name).unlink()
    renewed = Authority(tmp_path / "ca")
    assert renewed.issue("dc01", "dc01")[0].read_bytes() != before
    handshake(renewed, renewed.server_context("dc01", "dc01"), "dc01")


def test_keys_are_private_and_revoked_with_their_certificate(authority, tmp_path):
    _certificate, key = authority.issue("dc01", "dc01")
    for file in (key, tmp_path / "ca" / "ca.key"):
        assert file.stat().st_mode & 0o777 == 0o600
    authority.revoke("dc01")
    authority.revoke("dc01")
    assert not key.exists()


def test_a_private_file_is_never_seen_half_written(tmp_path):
    file = tmp_path / "deep" / "secret"
    write_private(file, b"one")
    write_private(file, b"two")
    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["secret"]


def test_a_clients_certificate_is_kept_while_its_password_opens_it(authority):
    file = authority.client("org-auth-cli", "un mot de passe")
    first = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert authority.client("org-auth-cli", "un mot de passe").read_bytes() == first
    key, certificate, _others = pkcs12.load_key_and_certificates(first, b"un mot de passe")
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert key.public_key() == certificate.public_key()
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.ca_file.read_bytes()))
    assert authority.client("org-auth-cli", "un autre").read_bytes() != first
