# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Windows function stands on: files of the controller, the question to the server, and what differs."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from ansible.errors import AnsibleFilterError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.filter import windows_prerequisites as filters
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.prerequisites import order
from lab.windows.handlers.certificates import thumbprint

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
SHA = "ab" * 32


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def signed(name, issuer, key, by, *, days=100):
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=400))
        .not_valid_after(NOW + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{name}.ordre.example")]), critical=False)
        .sign(by, hashes.SHA256())
    )


class Estate:
    """An authority, one between, and a site's certificate in a file with both."""

    def __init__(self, days=100):
        keys = [ec.generate_private_key(ec.SECP256R1()) for _number in range(3)]
        self.root = signed("root", "root", keys[0], keys[0])
        self.between = signed("between", "root", keys[1], keys[0])
        self.site = signed("site", "between", keys[2], keys[1], days=days)
        protection = serialization.BestAvailableEncryption(b"secret")
        self.pfx = pkcs12.serialize_key_and_certificates(b"site", keys[2], self.site, [self.between], protection)

    def files(self, **more):
        pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (self.root, self.between))
        return [file("site.pfx", self.pfx), file("chain.pem", pem), *(file(name, more[name]) for name in more)]


def file(source, content):
    if content is None:
        return {"source": source, "path": "", "exists": False, "sha256": "", "content": ""}
    encoded = base64.b64encode(content).decode()
    return {"source": source, "path": f"/{source}", "exists": True, "sha256": "", "content": encoded}


ESTATE = Estate()
SITE = {"source": "site.pfx", "password": "secret", "readers": ["S-1-5-20"], "chain": ["chain.pem"]}
AGENT = {
    "name": "Agent",
    "source": "https://x.example/agent.msi?a=b",
    "checksum": SHA,
    "product_id": "{A}",
    "version": "2",
}


def request(declared, files=None):
    return filters.windows_prerequisites_request(declared, ESTATE.files() if files is None else files)


def plan(declared, files=None, **state):
    everything = {"time": "2026-11-23T00:00:00Z", "paths": [staging()], "hostname": "ignored", **state}
    return filters.windows_prerequisites_plan(declared, ESTATE.files() if files is None else files, everything)


def staging(*, exists=False):
    return {"path": r"C:\Users\a\AppData\Local\Infogerance", "exists": exists, "version": "", "sha256": ""}


def on_server(certificate=None, **values):
    found = {
        "store": "My",
        "thumbprint": thumbprint(certificate or ESTATE.site),
        "subject": "CN=site",
        "not_after": "2027-01-01T00:00:00Z",
        "has_private_key": True,
        "key_file": "C:\\k",
        "readers": ["S-1-5-18", "S-1-5-20"],
    }
    return {**found, **values}


TRUSTED = [
    {"store": "Root", "thumbprint": thumbprint(ESTATE.root)},
    {"store": "CA", "thumbprint": thumbprint(ESTATE.between)},
]
SIDS = [{"name": "S-1-5-20", "sid": "S-1-5-20"}]
LISTS = ("powershell_modules", "certificates", "strays", "chain", "readers", "packages", "files")


def differing(result):
    return {name: [item["label"] for item in result[name]] for name in LISTS if result[name]}


def test_a_file_tells_what_windows_will_call_it():
    told = filters.pkcs12_info(base64.b64encode(ESTATE.pfx).decode(), "secret")
    assert told["thumbprint"] == thumbprint(ESTATE.site)
    assert (told["subject"], told["issuer"]) == ("CN=site", "CN=between")
    assert told["not_after"] == "2027-03-03T00:00:00Z"
    assert told["dns_names"] == ["site", "site.ordre.example"]
    assert told["others"] == [thumbprint(ESTATE.between)]
    assert "PRIVATE" not in str(told)


@pytest.mark.parametrize(
    ("content", "password", "words"),
    [
        (ESTATE.pfx, "false", "the password is not its own"),
        (ESTATE.pfx, "", "the password is not its own"),
        (b"%PDF", "secret", "it is no PKCS#12 file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_without_its_password(content, password, words):
    with pytest.raises(AnsibleFilterError, match=words) as error:
        filters.pkcs12_info(base64.b64encode(content).decode(), password)
    assert "secret" not in str(error.value)


def test_the_question_holds_what_the_plan_needs():
    asked = request(
        {
            "powershell_modules": [{"name": "dbatools", "version": "2.1.30"}],
            "certificates": [SITE],
            "packages": [
                AGENT,
                {"name": "Média", "source": "m.iso", "checksum": SHA, "state": "staged", "destination": "D:\\m"},
            ],
        }
    )
    assert asked["problems"] == []
    assert asked["thumbprints"] == [thumbprint(ESTATE.site)]
    probe = asked["probe"]
    assert probe["trusted"] == sorted([thumbprint(ESTATE.root), thumbprint(ESTATE.between)])
    assert (probe["products"], probe["files"], probe["principals"]) == (["{A}"], ["D:\\m"], ["S-1-5-20"])
    assert probe["certificates"] is True
    assert request({})["probe"]["certificates"] is False


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (
            {"certificates": [{**SITE, "password": "no"}]},
            "certificates[0] : site.pfx : le mot de passe n'est pas le sien",
        ),
        ({"certificates": [{**SITE, "source": "b.pfx"}]}, "certificates[0] : le contrôleur n'a pas de fichier b.pfx"),
        ({"certificates": [{**SITE, "chain": ["b.pem"]}]}, "certificates[0] : le contrôleur n'a pas de fichier b.pem"),
        (
            {"certificates": [{**SITE, "chain": ["site.pfx"]}]},
            "certificates[0] : site.pfx : il ne contient pas de certificat PEM",
        ),
        ({"certificates": [{**SITE, "store": "Root"}]}, "certificates[0].store : l'un de"),
        ({"certificates": [SITE, SITE]}, "certificates : site.pfx y figure deux fois"),
        ({"packages": [{**AGENT, "checksum": "md5"}]}, "packages[0].checksum : Agent : un SHA-256 est attendu"),
        ({"packages": [{**AGENT, "version": "récent"}]}, "packages[0].version : « récent » n'est pas une version"),
        ({"packages": [{**AGENT, "product_id": ""}]}, "packages[0] : Agent : il manque product_id"),
        ({"packages": [{**AGENT, "state": "staged"}]}, "packages[0].destination : Agent"),
        ({"packages": [{**AGENT, "version": "", "exact": True}]}, "packages[0].exact : Agent : quelle version ?"),
        ({"packages": [{**AGENT, "state": "absent"}]}, "packages[0].state"),
        ({"packages": [AGENT, {**AGENT, "name": "AGENT"}]}, "packages : agent y figure deux fois"),
        ({"powershell_modules": [{"name": "a", "version": "x"}]}, "powershell_modules[0].version : « x »"),
    ],
)
def test_what_no_server_could_be_given_is_refused_by_its_path(declared, words):
    assert [problem for problem in request(declared)["problems"] if words in problem], request(declared)["problems"]


def test_an_unknown_key_is_refused_by_its_path():
    with pytest.raises(AnsibleFilterError, match=r"windows_prerequisites_packages\[0\]\.sum: unknown key"):
        request({"packages": [{**AGENT, "sum": "x"}]})


def test_a_server_that_has_everything_is_left_alone():
    held = {
        "certificates": [on_server()], "trusted": TRUSTED, "principals": SIDS,
        "packages": [{"code": "{a}", "name": "Agent", "version": "2.0.1"}],
        "powershell_modules": [{"name": "dbatools", "versions": ["2.1.30.0", "2.5.5"]}],
    }  # fmt: skip
    declared = {
        "certificates": [SITE],
        "packages": [AGENT],
        "powershell_modules": [{"name": "dbatools", "version": "2.1.30"}],
    }
    result = plan(declared, **held)
    assert (differing(result), result["problems"], result["staging_left"]) == ({}, [], False)


def test_an_empty_server_is_given_everything():
    result = plan({"certificates": [SITE], "packages": [AGENT], "powershell_modules": [{"name": "d", "version": "1"}]})
    assert differing(result) == {
        "powershell_modules": ["d 1 (missing)"],
        "certificates": ["CN=site (missing)"],
        "strays": ["CN=between (among the own)"],
        "chain": ["CN=root (missing)", "CN=between (missing)"],
        "readers": ["CN=site (S-1-5-20 may not read its key)"],
        "packages": ["Agent 2 (missing)"],
    }
    assert [item["store"] for item in result["chain"]] == ["Root", "CA"]
    (package,) = result["packages"]
    assert (package["from"], package["destination"]) == ("url", r"C:\Users\a\AppData\Local\Infogerance\agent.msi")
    assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            {"certificates": [on_server(has_private_key=False, key_file="", readers=[])]},
            {"certificates", "strays", "readers"},
        ),
        ({"certificates": [on_server(store="WebHosting")]}, {"certificates", "strays", "readers"}),
        ({"certificates": [on_server(readers=["S-1-5-18"])]}, {"readers"}),
        ({"certificates": [on_server(), on_server(ESTATE.between, has_private_key=False)]}, {"strays"}),
        ({"certificates": [on_server()], "trusted": TRUSTED[:1]}, {"chain"}),
        ({"certificates": [on_server()], "trusted": [{**entry, "store": "CA"} for entry in TRUSTED]}, {"chain"}),
        ({"certificates": [on_server()], "principals": [{"name": "S-1-5-20", "sid": ""}]}, {"readers"}),
    ],
)
def test_each_drift_of_a_certificate_is_one_list_s(state, expected):
    result = plan({"certificates": [SITE]}, **{"trusted": TRUSTED, "principals": SIDS, **state})
    assert set(differing(result)) == expected


def test_an_expired_certificate_is_refused_by_the_server_s_clock():
    late = plan({"certificates": [SITE]}, time="2027-03-03T00:00:00Z")
    assert [problem for problem in late["problems"] if "CN=site a expiré le 2027-03-03T00:00:00Z" in problem]
    assert plan({"certificates": [SITE]}, time="2027-03-02T23:59:59Z")["problems"] == []


def test_a_key_that_is_nobody_s_file_is_refused():
    (problem,) = plan({"certificates": [SITE]}, certificates=[on_server(key_file="", readers=[])])["problems"]
    assert "retirez le certificat du serveur et relancez" in problem


def installed(version, code="{A}", name="Agent 2"):
    return [{"code": code, "name": name, "version": version}]


@pytest.mark.parametrize(
    ("package", "state", "label"),
    [
        (AGENT, {"packages": installed("1.9")}, "Agent 2 (1.9)"),
        (AGENT, {"packages": installed("10.0")}, None),
        ({**AGENT, "version": ""}, {"packages": installed("0.1")}, None),
        ({**AGENT, "product_id": "", "product_name": "agent ?"}, {"packages": installed("2.0", code="{B}")}, None),
        (
            {**AGENT, "product_id": "", "product_name": "agent ?"},
            {"packages": installed("1.0", code="{B}")},
            "Agent 2 (1.0)",
        ),
        ({**AGENT, "creates_service": "agent"}, {"packages": installed("2.0")}, "Agent 2 (missing)"),
        ({**AGENT, "creates_service": "agent"}, {"packages": installed("2.0"), "services": ["Agent"]}, None),
        ({**AGENT, "exact": True}, {"packages": installed("2.0.0.0")}, None),
        (
            {**AGENT, "product_id": "", "creates_path": "C:\\m.dll"},
            {"paths": [staging(), {"path": "C:\\m.dll", "exists": True, "version": "1.0.0.0"}]},
            "Agent 2 (1.0.0.0)",
        ),
        (
            {**AGENT, "product_id": "", "creates_path": "C:\\m.dll"},
            {"paths": [staging(), {"path": "C:\\m.dll", "exists": True, "version": "2.0.0.0"}]},
            None,
        ),
        (
            {**AGENT, "creates_path": "C:\\m.dll"},
            {"packages": installed("2"), "paths": [staging(), {"path": "C:\\m.dll", "exists": False}]},
            "Agent 2 (missing)",
        ),
    ],
)
def test_a_package_is_installed_when_it_is_missing_or_too_old(package, state, label):
    assert differing(plan({"packages": [package]}, **state)).get("packages") == ([label] if label else None)


def test_nothing_is_taken_back_to_an_older_version():
    result = plan({"packages": [{**AGENT, "exact": True}]}, packages=installed("3.0"))
    assert result["packages"] == []
    assert "packages[0].version : Agent 3.0 est installé, plus récent que 2" in result["problems"][0]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ({"exists": False}, "Média (missing)"),
        ({"exists": True, "sha256": "00"}, "Média (other content)"),
        ({"exists": True, "sha256": SHA.upper()}, None),
    ],
)
def test_a_file_that_is_only_brought(answer, label):
    media = {
        "name": "Média",
        "source": r"\\nas\m\m.iso",
        "checksum": SHA,
        "state": "staged",
        "destination": "D:\\m.iso",
    }
    result = plan({"packages": [media]}, paths=[staging(), {"path": "D:\\m.iso", **answer}])
    assert differing(result) == ({"files": [label]} if label else {})
    assert [item["from"] for item in result["files"]] == (["share"] if label else [])


@given(st.lists(st.integers(0, 99999), min_size=1, max_size=4), st.lists(st.integers(0, 99999), min_size=1, max_size=4))
def test_versions_are_ordered_as_their_numbers(left, right):
    padded = [(numbers + [0] * 4)[:4] for numbers in (left, right)]
    texts = [".".join(str(number) for number in numbers) for numbers in (left, right)]
    assert (order(texts[0]) < order(texts[1])) is (padded[0] < padded[1])
