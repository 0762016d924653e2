# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What functions stand on, on a simulated server: keys and their readers, products and their versions, shares."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from lab.windows.dispatch import run_module
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.certificates import MACHINE_KEYS, thumbprint
from lab.windows.publications import by_url
from lab.windows.server import Nic

PROBE = "cnosf.infogerance.windows_state_info"
STORE = "ansible.windows.win_certificate_store"
ACL = "ansible.windows.win_acl"
OLD, NEW = (by_url(f"https://downloads.agent.example/agent-{version}.msi") for version in ("1.4.0", "2.0.0"))
FOLDERS = {"rsa": MACHINE_KEYS[0], "ec": MACHINE_KEYS[1]}


@pytest.fixture
def bring(server):
    """Put a PKCS#12 file on the server; gives the certificate's thumbprint."""

    def make(kind="rsa", path=r"C:\x.pfx"):
        key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site")])
        now = server.now()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=9))
            .sign(key, hashes.SHA256())
        )
        content = pkcs12.serialize_key_and_certificates(
            b"x", key, certificate, None, serialization.BestAvailableEncryption(b"secret-of-the-file")
        )
        FileSystem(server).write(path, content)
        server.save()
        return thumbprint(certificate)

    return make


def state(run, server, **asked):
    return run(server, PROBE, asked)["state"]


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_key_of_the_machine_has_a_file_and_readers(run, twice, server, bring, kind):
    name = bring(kind)
    twice(server, STORE, {"path": r"C:\x.pfx", "password": "secret-of-the-file", "key_storage": "machine"})
    (found,) = state(run, server, certificates=True)["certificates"]
    assert (found["thumbprint"], found["has_private_key"]) == (name, True)
    assert found["key_file"].startswith(FOLDERS[kind])
    assert found["readers"] == ["S-1-5-18", "S-1-5-32-544"]
    grant = {"path": rf"Cert:\LocalMachine\My\{name}", "user": "S-1-5-20", "rights": "Read", "type": "allow"}
    assert run(server, ACL, grant)["changed"] is True
    assert run(server, ACL, grant)["changed"] is False
    (found,) = state(run, server, certificates=True)["certificates"]
    assert found["readers"] == ["S-1-5-18", "S-1-5-20", "S-1-5-32-544"]
    assert run(server, ACL, {**grant, "state": "absent"})["changed"] is True
    (found,) = state(run, server, certificates=True)["certificates"]
    assert found["readers"] == ["S-1-5-18", "S-1-5-32-544"]


def test_a_key_of_a_user_is_no_file_of_the_machine_s(run, server, bring):
    bring()
    run(server, STORE, {"path": r"C:\x.pfx", "password": "secret-of-the-file"})
    (found,) = state(run, server, certificates=True)["certificates"]
    assert (found["has_private_key"], found["key_file"], found["readers"]) == (True, "", [])


def test_rights_on_a_key_that_is_not_there(run, server, bring):
    name = bring()
    grant = {"path": rf"Cert:\LocalMachine\My\{name}", "user": "S-1-5-20", "rights": "Read", "type": "allow"}
    assert "does not exist on the host" in run(server, ACL, grant, fails=True)["msg"]
    run(server, STORE, {"path": r"C:\x.pfx", "password": "secret-of-the-file", "key_storage": "machine"})
    assert "valid" in run(server, ACL, {**grant, "rights": "Modify"}, fails=True)["msg"]


def test_the_state_holds_neither_keys_nor_passwords(run, server, bring):
    bring()
    run(server, STORE, {"path": r"C:\x.pfx", "password": "secret-of-the-file", "key_storage": "machine"})
    kept = (server.home / "state.json").read_text(encoding="utf-8")
    kept += (server.home / "journal.jsonl").read_text(encoding="utf-8")
    assert "PRIVATE KEY" not in kept
    assert "secret-of-the-file" not in kept


def test_a_newer_package_replaces_the_older_one_and_asks_for_a_reboot(run, server):
    asked = {"product_names": ["agent d'*"], "paths": [r"C:\Program Files\Agent\agent.exe"]}
    assert state(run, server, **asked)["packages"] == []
    run(server, "ansible.windows.win_package", {"path": OLD.url, "product_id": OLD.product["code"]})
    found = state(run, server, **asked)
    assert [entry["version"] for entry in found["packages"]] == ["1.4.0"]
    assert found["paths"] == [
        {"path": r"C:\Program Files\Agent\agent.exe", "exists": True, "version": "1.4.0.0", "sha256": ""}
    ]
    forced = {"path": NEW.url, "product_id": OLD.product["code"], "creates_path": r"C:\never"}
    result = run(server, "ansible.windows.win_package", forced)
    assert (result["rc"], result["reboot_required"], result["failed"]) == (3010, True, False)
    found = state(run, server, **asked)
    assert [entry["code"] for entry in found["packages"]] == [NEW.product["code"]]
    assert found["reboot_pending"] is True


def test_a_program_counts_by_the_version_of_its_file(run, server):
    path = r"C:\Program Files\Agent\agent.exe"
    run(server, "ansible.windows.win_package", {"path": OLD.url, "product_id": OLD.product["code"]})
    gate = {"path": NEW.url, "product_id": NEW.product["code"], "creates_path": path}
    same = run(server, "ansible.windows.win_package", {**gate, "creates_version": "1.4.0.0"})
    other = run(server, "ansible.windows.win_package", {**gate, "creates_version": "2.0.0.0"})
    assert (same["changed"], other["changed"]) == (False, True)


def test_a_file_is_hashed_when_it_is_asked_for(run, server):
    FileSystem(server).write(r"C:\x.txt", b"x")
    server.save()
    asked = state(run, server, files=[r"C:\x.txt", r"C:\y.txt"], services=["Spooler", "nobody"], principals=["nobody"])
    assert [entry["sha256"][:8] for entry in asked["paths"]] == ["2d711642", ""]
    assert (asked["services"], asked["principals"]) == (["Spooler"], [{"name": "nobody", "sid": ""}])


def test_a_share_is_read_by_whoever_shows_an_account(make_server, server):
    other = make_server("srv02", networks=(Nic("10.42.0.12/24", "10.42.0.1", "BC:24:11:00:00:12"),))
    server.estate.add(other)
    FileSystem(other).make_dir(r"C:\Partage")
    FileSystem(other).write(r"C:\Partage\x.txt", b"x")
    other.section("shares")["p"] = {"name": "p", "path": r"C:\Partage", "access": []}
    copy = {"src": rf"\\{other.computer_name}\p\x.txt", "dest": r"C:\x.txt", "remote_src": True, "_copy_mode": "remote"}
    own = (rf"{other.computer_name}\Administrateur", other.spec.administrator_password)

    def attempt(network):
        return run_module(server, "ansible.windows.win_copy", copy, network=network)

    assert "does not exist" in attempt(own)["msg"]
    other.section("shares")["p"]["access"] = [{"sid": "S-1-5-32-544", "type": "Allow", "right": "Read"}]
    assert "does not exist" in attempt(None)["msg"]
    assert "does not exist" in attempt((own[0], "wrong"))["msg"]
    assert attempt(own)["changed"] is True
    assert FileSystem(server).read(r"C:\x.txt") == b"x"
