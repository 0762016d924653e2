# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs, updates, certificates, commands and what a server fetches: check mode, for real, and again."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.windows.filesystem import FileSystem
from lab.windows.handlers.certificates import thumbprint as thumbprint_of
from lab.windows.hive import CURRENT_VERSION, Registry
from lab.windows.publications import publications
from lab.windows.server import Nic

EXPORTER = publications()[0]


# -- programs ------------------------------------------------------------------------------------------------------


def test_program_from_its_publisher(run, server):
    path = r"C:\Windows\Temp\exporter.msi"
    fetch = {"url": EXPORTER.url, "dest": path, "checksum": EXPORTER.sha256, "checksum_algorithm": "sha256"}
    assert run(server, "ansible.windows.win_get_url", fetch, check=True)["changed"] is True
    assert run(server, "ansible.windows.win_get_url", fetch)["changed"] is True
    assert run(server, "ansible.windows.win_get_url", {**fetch, "force": False})["changed"] is False
    install = {
        "path": path, "product_id": EXPORTER.product["code"], "checksum": EXPORTER.sha256,
        "checksum_algorithm": "sha256",
    }  # fmt: skip
    assert run(server, "ansible.windows.win_package", install, check=True)["changed"] is True
    assert run(server, "ansible.windows.win_package", install)["changed"] is True
    assert run(server, "ansible.windows.win_package", install)["changed"] is False
    health = run(server, "ansible.windows.win_uri", {"url": "http://127.0.0.1:9182/health", "return_content": True})
    assert (health["status_code"], health["json"]) == (200, {"status": "ok"})
    assert run(server, "ansible.windows.win_package", {**install, "state": "absent"})["changed"] is True
    assert run(server, "ansible.windows.win_package", {**install, "state": "absent"})["changed"] is False
    refused = run(server, "ansible.windows.win_uri", {"url": "http://127.0.0.1:9182/health"}, fails=True)
    assert "Impossible de se connecter" in refused["msg"]


def test_program_with_a_wrong_checksum(run, server):
    fetch = {"url": EXPORTER.url, "dest": r"C:\x.msi", "checksum": "0" * 64, "checksum_algorithm": "sha256"}
    assert "did not match" in run(server, "ansible.windows.win_get_url", fetch, fails=True)["msg"]
    assert FileSystem(server).get(r"C:\x.msi") is None


def test_unknown_program_is_not_installed(run, server):
    FileSystem(server).write(r"C:\x.msi", b"MZ")
    message = run(server, "ansible.windows.win_package", {"path": r"C:\x.msi"}, fails=True)["msg"]
    assert message.startswith("The lab does not know the installer")
    missing = run(server, "ansible.windows.win_package", {"path": r"C:\y.msi"}, fails=True)["msg"]
    assert "cannot be reached" in missing
    required = run(server, "ansible.windows.win_package", {"state": "absent"}, fails=True)["msg"]
    assert required == "state is absent but any of the following are missing: path, product_id"


def test_product_facts(run, server):
    assert "ansible_os_product_id" in run(server, "ansible.windows.win_product_facts")["ansible_facts"]


def test_hotfix(twice, run, server):
    FileSystem(server).write(r"C:\windows10.0-KB5091234-x64.msu", b"x")
    server.save()
    result = twice(server, "ansible.windows.win_hotfix", {"source": r"C:\windows10.0-KB5091234-x64.msu"})
    assert (result["kb"], result["reboot_required"]) == ("KB5091234", True)
    twice(server, "ansible.windows.win_hotfix", {"hotfix_kb": "KB5091234", "state": "absent"})


# -- updates -------------------------------------------------------------------------------------------------------


def updates(run, server, *, check=False, **options):
    """What the action plugin makes of one round: ids of selected updates, and the module's exit result."""
    module = "ansible.windows.win_updates"
    start = run(server, module, {**options, "_operation": "start"}, check=check)
    poll = {**options, "_operation": "poll", "_operation_options": start["poll_options"]}
    output = run(server, module, poll, check=check)["output"]
    messages = {message["task"]: message["result"] for message in output}
    filtered = {entry["id"] for entry in messages["search_result"]["filtered"]}
    chosen = [update["kb"][0] for update in messages["search_result"]["updates"] if update["id"] not in filtered]
    return chosen, messages["exit"]


@pytest.fixture(autouse=True)
def _poll_keys(monkeypatch):
    # The action plugin's operations answer with keys of their own, which are no part of the documented result.
    from tests.unit.lab.windows import conftest

    own = {f"ansible.windows.win_updates.{key}" for key in ("poll_options", "cancel_options", "output")}
    monkeypatch.setattr(conftest, "DEFECTS", conftest.DEFECTS | own)


def test_updates_until_nothing_is_left(run, server):
    everything = {"category_names": ["*"], "reject_list": ["KB2267602"], "skip_optional": True}
    predicted, final = updates(run, server, check=True, **everything)
    assert predicted == ["KB5090001", "KB5090003", "KB890830"]
    assert final["changed"] is True
    first, final = updates(run, server, **everything)
    assert first == predicted
    assert final["reboot_required"] is True
    waiting, final = updates(run, server, **everything)
    assert waiting == ["KB5090002"]  # shows once the servicing stack is there
    assert (final["failed"], final["exception"]["message"]) == (
        True, "A reboot is required before more updates can be installed",
    )  # fmt: skip
    server.boot()
    second, final = updates(run, server, **everything)
    assert (second, final["reboot_required"]) == (["KB5090002"], True)
    server.boot()
    assert Registry(server).data(CURRENT_VERSION, "UBR") == 4405
    assert updates(run, server, **everything) == ([], {"changed": False, "reboot_required": False, "failed": False})


def test_english_categories_find_nothing_on_french_windows(run, server):
    chosen, final = updates(run, server)
    assert (chosen, final["changed"]) == ([], False)
    chosen, _final = updates(run, server, check=True, category_names=["Mises à jour de la sécurité"])
    assert "KB5090001" in chosen


def test_updates_searched_and_asynchronous(run, server):
    chosen, final = updates(run, server, state="searched", category_names=["*"])
    assert len(chosen) == 5
    assert final["changed"] is False
    result = run(
        server,
        "ansible.windows.win_updates",
        {"accept_list": ["KB890830"], "category_names": ["*"], "_operation_options": {"wait": True}},
    )
    assert (result["installed_update_count"], result["reboot_required"]) == (1, False)
    assert len(result["filtered_updates"]) == 4


# -- certificates --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app01.cnosf.example")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4242)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("10.42.0.14"))]), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return built, key


def test_certificate_import_and_removal(twice, run, server, certificate):
    built, key = certificate
    protection = serialization.BestAvailableEncryption(b"Pfx-Secret-1")
    FileSystem(server).write(r"C:\x.pfx", pkcs12.serialize_key_and_certificates(b"x", key, built, None, protection))
    server.save()
    options = {"path": r"C:\x.pfx", "password": "Pfx-Secret-1", "key_storage": "machine"}
    result = twice(server, "ansible.windows.win_certificate_store", options)
    thumbprint = result["thumbprints"][0]
    assert thumbprint == thumbprint_of(built)
    assert len(thumbprint) == 40
    info = run(server, "ansible.windows.win_certificate_info", {"thumbprint": thumbprint})["certificates"][0]
    assert info["has_private_key"] is True
    assert info["issued_to"] == "app01.cnosf.example"
    assert info["intended_purposes"] == ["Authentification du serveur"]
    assert info["valid_to_iso8601"] == "2027-01-01T00:00:00Z"
    export = {"thumbprint": thumbprint, "path": r"C:\x.pem", "file_type": "pem", "state": "exported"}
    twice(server, "ansible.windows.win_certificate_store", export)
    assert b"BEGIN CERTIFICATE" in FileSystem(server).read(r"C:\x.pem")
    twice(server, "ansible.windows.win_certificate_store", {"thumbprint": thumbprint, "state": "absent"})
    assert run(server, "ansible.windows.win_certificate_info", {"thumbprint": thumbprint})["exists"] is False
    wrong = {**options, "password": "autre"}
    assert "mot de passe" in run(server, "ansible.windows.win_certificate_store", wrong, fails=True)["msg"]


# -- network -------------------------------------------------------------------------------------------------------


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/outil.zip"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"contenu" if found else b"rien")

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def mirror():
    # 127.0.0.1 is the simulated server itself: the mirror has another loopback address of this machine.
    server = http.server.ThreadingHTTPServer(("127.0.0.3", 0), _Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.3:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_download_from_a_real_address(run, mirror, server):
    fetch = {"url": f"{mirror}/outil.zip", "dest": r"C:\Windows\Temp"}
    result = run(server, "ansible.windows.win_get_url", fetch)
    assert (result["changed"], result["dest"]) == (True, r"C:\Windows\Temp\outil.zip")
    assert run(server, "ansible.windows.win_get_url", fetch)["changed"] is False
    assert "(404)" in run(server, "ansible.windows.win_get_url", {**fetch, "url": f"{mirror}/rien"}, fails=True)["msg"]
    port = int(mirror.rpartition(":")[2])
    run(server, "ansible.windows.win_wait_for", {"host": "127.0.0.3", "port": port, "timeout": 2})


def test_nothing_outside_the_lab(run, server):
    fetch = {"url": "http://192.0.2.1.example.invalid/x", "dest": r"C:\x"}
    assert "n’a pas pu être résolu" in run(server, "ansible.windows.win_get_url", fetch, fails=True)["msg"]
    assert "no way out" in run(server, "ansible.windows.win_uri", {"url": "http://8.8.8.8/"}, fails=True)["msg"]


def test_neighbours_see_each_others_ports(run, make_server, tmp_path, clock):
    one = make_server("srv01")
    two = make_server("srv02", networks=(Nic("10.42.0.12/24"),))
    one.estate.add(two)
    run(one, "ansible.windows.win_wait_for", {"host": "10.42.0.12", "port": 5986, "timeout": 1})
    run(one, "ansible.windows.win_wait_for", {"host": "srv02", "port": 445, "timeout": 1})
    closed = {"host": "srv02", "port": 389, "timeout": 1, "sleep": 1}
    assert "start listening" in run(one, "ansible.windows.win_wait_for", closed, fails=True)["msg"]
    two.set_power("off")
    off = {"host": "10.42.0.12", "port": 5986, "timeout": 1, "sleep": 1, "connect_timeout": 1}
    assert "start listening" in run(one, "ansible.windows.win_wait_for", off, fails=True)["msg"]


# -- commands ------------------------------------------------------------------------------------------------------


def test_known_and_unknown_commands(run, server):
    result = run(server, "ansible.windows.win_command", {"_raw_params": "whoami.exe"})
    assert result["stdout"] == "srv01\\administrateur\r\n"
    assert run(server, "ansible.windows.win_shell", {"_raw_params": "hostname"})["stdout"] == "SRV01\r\n"
    message = run(server, "ansible.windows.win_shell", {"_raw_params": "format C: /q"}, fails=True)["msg"]
    assert message == "The lab does not simulate the command: format C: /q"
    assert run(server, "ansible.windows.win_command", {"_raw_params": "whoami"}, check=True)["skipped"] is True
    created = {"_raw_params": "whoami", "creates": r"C:\Windows"}
    assert run(server, "ansible.windows.win_command", created)["changed"] is False


def test_powershell_reports_a_change_unless_told_otherwise(run, server):
    assert run(server, "ansible.windows.win_powershell", {"script": "hostname"})["changed"] is True
    script = "$Ansible.Changed = $false\nhostname"
    result = run(server, "ansible.windows.win_powershell", {"script": script})
    assert (result["changed"], result["output"]) == (False, ["SRV01"])
    assert run(server, "ansible.windows.win_powershell", {"script": script}, check=True)["changed"] is True
    unknown = run(server, "ansible.windows.win_powershell", {"script": "Get-GPO -All"}, fails=True)["msg"]
    assert "does not simulate the command" in unknown


# -- PowerShell modules --------------------------------------------------------------------------------------------


def test_repository(twice, run, server):
    module = "community.windows.win_psrepository"
    own = {"name": "CNOSF", "source_location": "https://nuget.cnosf.example/api/v2"}
    twice(server, module, own)
    twice(server, module, {"name": "PSGallery", "installation_policy": "trusted"})
    found = run(server, "community.windows.win_psrepository_info", {"name": "cnosf"})["repositories"]
    assert (found[0]["source_location"], found[0]["trusted"]) == (own["source_location"], True)
    twice(server, module, {"name": "CNOSF", "state": "absent"})
    assert "source_location" in run(server, module, {"name": "X"}, fails=True)["msg"]


def test_modules_of_features_and_repositories(run, server):
    def names(**options):
        result = run(server, "community.windows.win_psmodule_info", options)
        return {entry["name"]: entry["version"] for entry in result["modules"]}

    assert names(name="ActiveDirectory*") == {}
    run(server, "ansible.windows.win_feature", {"name": "RSAT-AD-PowerShell"})
    run(server, "community.windows.win_psmodule", {"name": "ActiveDirectoryDsc", "required_version": "6.6.0"})
    assert names(name="ActiveDirectory*") == {"ActiveDirectory": "1.0.1.0", "ActiveDirectoryDsc": "6.6.0"}
    assert names(repository="PSGallery") == {"ActiveDirectoryDsc": "6.6.0"}
