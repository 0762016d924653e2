# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of LDAPS on simulated controllers, and what the role says of a declared one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.ldaps import examine
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.certificates import thumbprint
from lab.windows.server import Estate, Nic, ServerSpec, WindowsServer

PASSWORD = "Lab-Mot2passe!"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MODULE = "cnosf.infogerance.ldaps_certificate"
HEALTH = "cnosf.infogerance.domain_controller_health_info"
FQDN = "dc01.ordre.example"


class Authority:
    """Issues certificates as PKCS#12."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Autorité d'essai")])
        self.certificate = self._build(self.name, self.key, 0, 3650).sign(self.key, hashes.SHA256())

    def _build(self, subject, key, start, days):
        begin = NOW + timedelta(days=start)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - timedelta(days=min(0, days) * -1, hours=1))
            .not_valid_after(begin + timedelta(days=days))
        )

    def issue(self, names=(FQDN,), *, start=0, days=365, purpose=ExtendedKeyUsageOID.SERVER_AUTH):
        """Thumbprint and PKCS#12 bytes of a new certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = self._build(subject, key, start, days)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        certificate = builder.sign(self.key, hashes.SHA256())
        content = pkcs12.serialize_key_and_certificates(
            b"ldaps", key, certificate, None, BestAvailableEncryption(b"secret")
        )
        return thumbprint(certificate), content


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def controller(tmp_path, clock, run, authority):
    spec = ServerSpec(
        administrator_password=PASSWORD,
        computer_name="DC01",
        networks=(Nic("10.42.0.11/24", "10.42.0.1", "BC:24:11:00:00:11"),),
        dns_servers=("10.42.0.11",),
    )
    server = WindowsServer("dc01", spec, tmp_path / "dc01", clock, estate=Estate())
    server.boot()
    run(server, "microsoft.ad.domain", {"dns_domain_name": "ordre.example", "safe_mode_password": PASSWORD})
    server.boot()
    trust(server, run, authority)
    return server


def trust(server, run, authority):
    FileSystem(server).write(r"C:\ca.cer", authority.certificate.public_bytes(Encoding.DER))
    run(server, "ansible.windows.win_certificate_store", {"path": r"C:\ca.cer", "store_name": "Root"})


def bring(server, run, issued):
    """Import a certificate into the computer's store; gives its thumbprint."""
    name, content = issued
    FileSystem(server).write(r"C:\ldaps.pfx", content)
    arguments = {"path": r"C:\ldaps.pfx", "password": "secret", "store_name": "My", "key_storage": "machine"}
    run(server, "ansible.windows.win_certificate_store", arguments)
    return name


def served(server, run):
    state = run(server, HEALTH, {"domain": "ordre.example", "ldaps": True})["state"]
    return state["ldaps"]


def test_the_chosen_certificate_is_served_and_stays_chosen(controller, run, twice, authority):
    assert served(controller, run) == {"thumbprint": "", "not_after": ""}
    first = bring(controller, run, authority.issue())
    second = bring(controller, run, authority.issue())
    twice(controller, MODULE, {"thumbprint": second.lower()})
    assert served(controller, run)["thumbprint"] == second
    controller.boot()
    assert served(controller, run) == {"thumbprint": second, "not_after": "2027-11-23T08:00:00Z"}
    # Another one is declared: the store of the service holds it alone, whatever the computer's store still has.
    twice(controller, MODULE, {"thumbprint": first})
    assert list(controller.section("ldaps")["store"]) == [first]
    assert served(controller, run)["thumbprint"] == first


def test_by_itself_a_controller_takes_the_first_good_one_when_it_starts(controller, run, authority):
    for wrong in ({"names": ("autre.example",)}, {"days": -1}, {"purpose": ExtendedKeyUsageOID.CLIENT_AUTH}):
        bring(controller, run, authority.issue(**wrong))
    first = bring(controller, run, authority.issue())
    bring(controller, run, authority.issue())
    assert served(controller, run)["thumbprint"] == ""
    controller.boot()
    assert served(controller, run)["thumbprint"] == first


def test_nothing_is_served_while_the_directory_does_not_run(controller, run, authority):
    name = bring(controller, run, authority.issue())
    run(controller, MODULE, {"thumbprint": name})
    stop = {"name": "NTDS", "state": "stopped", "force_dependent_services": True}
    run(controller, "ansible.windows.win_service", stop)
    assert served(controller, run)["thumbprint"] == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": ("dc02.ordre.example",)},
        {"days": -1},
        {"start": 2},
        {"purpose": ExtendedKeyUsageOID.CLIENT_AUTH},
    ],
    ids=["name", "expired", "not yet", "purpose"],
)
def test_a_certificate_that_cannot_be_served_is_an_error_with_its_remedy(controller, run, authority, wrong):
    name = bring(controller, run, authority.issue(**wrong))
    failed = run(controller, MODULE, {"thumbprint": name}, fails=True)
    assert f"Port 636 serves no certificate and not {name}" in failed["msg"]


def test_an_authority_that_is_not_trusted_here_is_an_error(controller, run):
    name = bring(controller, run, Authority().issue())
    assert "serves no certificate" in run(controller, MODULE, {"thumbprint": name}, fails=True)["msg"]


def test_a_certificate_that_is_not_there_is_foreseen_and_then_refused(controller, run):
    assert run(controller, MODULE, {"thumbprint": "AB"}, check=True)["changed"] is True
    assert "is not in the machine's store" in run(controller, MODULE, {"thumbprint": "AB"}, fails=True)["msg"]


def judged(issued, password=None, **changes):
    asked = {"fqdn": "DC01.ordre.example", "now": NOW} | changes
    name, problems = examine("ldaps.pfx", issued[1], password or "secret", **asked)
    return name, [problem.en for problem in problems], [problem.fr for problem in problems]


def test_a_good_file_has_no_problem(authority):
    issued = authority.issue()
    assert judged(issued) == (issued[0], [], [])


@pytest.mark.parametrize(
    ("made", "password", "words"),
    [
        ({}, "autre", "the password is not its own"),
        ({"days": -1}, "secret", "expired on"),
        ({"start": 2}, "secret", "is valid from"),
        ({"names": ("ldap.ordre.example",)}, "secret", "names ldap.ordre.example and not DC01.ordre.example"),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_before_anything_is_touched(authority, made, password, words):
    _name, english, french = judged(authority.issue(**made), password)
    assert len(english) == 1
    assert english[0].startswith("domain_controller_ldaps_certificate: ")
    assert words in english[0]
    assert french[0].startswith("domain_controller_ldaps_certificate : ")
    assert "secret" not in english[0] + french[0]


def test_a_missing_file_and_one_of_another_kind_are_named():
    assert "the controller has no file ldaps.pfx" in judged((None, None))[1][0]
    assert "no PKCS#12 file" in judged((None, base64.b64decode("AAAA")))[1][0]
