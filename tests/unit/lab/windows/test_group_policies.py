# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group policies of simulated domains: registry values, import of backups, and what stays as it was."""

from __future__ import annotations

import struct

import pytest

from lab.windows.domains import domains_of
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.group_policies import registry_policy
from lab.windows.server import Estate, Nic, ServerSpec, WindowsServer

PASSWORD = "Lab-Mot2passe!"
MODULE = "cnosf.infogerance.group_policies"
GUID = "{5a2c9c3e-7c59-4f1c-9e0e-3c1d5e0c9b11}"
FOLDER = rf"C:\Strategies\{GUID}"
KEY = r"HKLM\Software\Policies\Essai"


def utf16(text):
    return text.encode("utf-16-le")


def pol(*entries):
    """A registry.pol file ([MS-GPREG] 2.2.1) of entries (key, name, type number, data)."""
    body = b"".join(
        utf16("[" + key + "\0;" + name + "\0;")
        + struct.pack("<I", kind)
        + utf16(";")
        + struct.pack("<I", len(data))
        + utf16(";")
        + data
        + utf16("]")
        for key, name, kind, data in entries
    )
    return b"PReg\x01\0\0\0" + body


MACHINE = pol(
    (r"Software\Policies\Essai", "Nombre", 4, struct.pack("<I", 3)),
    (r"Software\Policies\Essai", "Liste", 7, utf16("a\0b\0\0")),
)


@pytest.fixture
def controller(tmp_path, clock, run):
    spec = ServerSpec(
        administrator_password=PASSWORD,
        computer_name="DC01",
        networks=(Nic("10.42.0.11/24", "10.42.0.1", "BC:24:11:00:00:11"),),
        dns_servers=("10.42.0.11",),
    )
    server = WindowsServer("dc01", spec, tmp_path / "dc01", clock, estate=Estate())
    server.boot()
    forest = {"dns_domain_name": "ordre.example", "safe_mode_password": PASSWORD, "install_dns": True}
    run(server, "microsoft.ad.domain", forest)
    server.boot()
    run(server, "ansible.windows.win_feature", {"name": ["GPMC"]})
    files = FileSystem(server)
    files.make_dir(rf"{FOLDER}\DomainSysvol\GPO\Machine")
    files.write(rf"{FOLDER}\Backup.xml", b"<GroupPolicyBackupScheme/>")
    files.write(rf"{FOLDER}\DomainSysvol\GPO\Machine\registry.pol", MACHINE)
    server.save()
    return server


def value(name, data, kind="dword", **more):
    return {"key": KEY, "name": name, "type": kind, "data": data, **more}


def held(server, name):
    return domains_of(server).read("ordre.example").data["gpo_contents"][name]


def wanted(*values, **more):
    return {"policies": [{"name": "Postes", "values": list(values), **more}]}


def test_a_policy_is_created_with_its_values_and_then_left_alone(controller, twice):
    declared = wanted(
        value("Nombre", 2**32 - 1), value("Texte", "a, b", "string"), value("Liste", ["x"], "multistring")
    )
    first = twice(controller, MODULE, declared)
    versions = held(controller, "Postes")["versions"]
    assert versions == {"computer": 3, "user": 0}
    twice(controller, MODULE, wanted(value("Nombre", 1)))
    assert held(controller, "Postes")["versions"] == {"computer": 4, "user": 0}
    assert first is None or first["policies"][0]["created"] is True


def test_undeclared_values_stay_unless_they_are_purged(controller, run, twice):
    run(controller, MODULE, wanted(value("a", 1), value("b", 1), value("c", 1)))
    twice(controller, MODULE, wanted({"key": KEY, "name": "a", "state": "absent"}))
    assert len(held(controller, "Postes")["values"]) == 2
    assert run(controller, MODULE, wanted(value("b", 1)))["changed"] is False
    result = run(controller, MODULE, wanted(value("B", 1), purge=True))
    assert result["policies"][0]["removed"] == [rf"{KEY}\c"]
    assert list(held(controller, "Postes")["values"]) == [rf"{KEY}\b".casefold()]


def test_a_backup_is_imported_once_and_again_for_another_version(controller, run, twice):
    backup = {"backup_path": "C:\\Strategies", "backup_id": GUID.upper(), "backup_version": "1"}
    twice(controller, MODULE, wanted(value("Texte", "x", "string"), **backup))
    policy = held(controller, "Postes")
    assert {entry["label"]: entry["shown"] for entry in policy["values"].values()} == {
        rf"{KEY}\Nombre": "dword:3",
        rf"{KEY}\Liste": "multistring:a\nb",
        rf"{KEY}\Texte": "string:x",
    }
    assert policy["comment"] == f"cnosf.infogerance.backup {GUID.upper()} 1"
    run(controller, MODULE, wanted(value("Ajout", 9)))
    assert run(controller, MODULE, wanted(**backup))["changed"] is False
    result = run(controller, MODULE, wanted(**backup | {"backup_version": "2"}))
    assert result["policies"][0]["imported"] is True
    # An import puts the backup's settings in place of all others.
    assert len(held(controller, "Postes")["values"]) == 2
    assert held(controller, "Postes")["comment"].splitlines() == [f"cnosf.infogerance.backup {GUID.upper()} 2"]


def test_a_declared_value_that_was_changed_is_repaired_without_an_import(controller, run):
    backup = {"backup_path": "C:\\Strategies", "backup_id": GUID}
    declared = wanted(value("Nombre", 5), **backup)
    run(controller, MODULE, declared)
    run(controller, MODULE, wanted(value("Nombre", 6)))
    again = run(controller, MODULE, declared)["policies"][0]
    assert (again["imported"], again["set"]) == (False, [rf"{KEY}\Nombre"])


def test_the_policies_of_a_promotion_are_known(controller, run):
    result = run(controller, MODULE, {"policies": [{"name": "default domain policy", "values": [value("a", 1)]}]})
    assert result["policies"][0] == {
        "name": "default domain policy",
        "id": "31b2f340-016d-11d2-945f-00c04fb984f9",
        "created": False,
        "imported": False,
        "set": [rf"{KEY}\a"],
        "removed": [],
    }


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (wanted(value("a", None)), "data is required"),
        (wanted(value("a", 2**32)), "too large"),
        (wanted(value("a", 1) | {"key": "Software\\a"}), "must start with HKLM"),
        (wanted(backup_id=GUID), "belong together"),
        (wanted(backup_id=GUID, backup_path="C:\\Strategies", purge=True), "declare one of the two"),
        (wanted(backup_id=GUID, backup_path="C:\\Ailleurs"), "no backup of a group policy in C:\\Ailleurs"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_be_is_refused_by_the_policys_name(controller, run, declared, words, check):
    failed = run(controller, MODULE, declared, check=check, fails=True)
    assert "Group policy 'Postes': " in failed["msg"]
    assert words in failed["msg"]


def test_extensions_that_are_not_modelled_are_refused(controller, run):
    FileSystem(controller).write(rf"{FOLDER}\DomainSysvol\GPO\Machine\scripts.ini", b"")
    failed = run(controller, MODULE, wanted(backup_id=GUID, backup_path="C:\\Strategies"), fails=True)
    assert "does not simulate" in failed["msg"]


def test_without_its_feature_there_is_no_module(tmp_path, clock, run):
    server = WindowsServer("srv01", ServerSpec(), tmp_path / "srv01", clock)
    server.boot()
    assert "install the feature GPMC" in run(server, MODULE, wanted(), fails=True)["msg"]


@pytest.mark.parametrize("damage", [b"", b"PReg\x01\0\0\0xx", MACHINE[:-2] + b"xx"])
def test_a_damaged_registry_file_is_refused(damage):
    with pytest.raises(ValueError, match=r"registry\.pol"):
        registry_policy(damage)
