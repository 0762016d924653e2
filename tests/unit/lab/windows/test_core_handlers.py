# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts, files, registry, services, features: each module in check mode, for real, and again."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from lab.windows import registry
from lab.windows.filesystem import FileSystem
from lab.windows.hive import Registry


def test_every_handler_file_loads():
    registry.load_handlers()
    assert registry.PROBLEMS == {}


def test_every_handler_names_its_source():
    registry.load_handlers()
    assert [entry.module for entry in registry.HANDLERS.values() if len(entry.source) < 15] == []


CORE = {
    "accounts", "certificates", "clock", "core", "eventlog", "facts", "features", "files", "firewall", "machine",
    "policy", "powershell_gallery", "registry_keys", "rights", "services", "shares", "shell", "software", "tasks",
    "updates", "web",
}  # fmt: skip


def test_every_module_of_the_core_is_tried_by_a_test():
    registry.load_handlers()
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    own = [name for name, entry in registry.HANDLERS.items() if entry.handler.__module__.rpartition(".")[2] in CORE]
    assert [name for name in own if f'"{name}"' not in tests] == []


def test_the_list_of_modules(capsys):
    from lab.windows.__main__ import main

    assert main() == 0
    listed = capsys.readouterr().out
    assert "ansible.windows.win_regedit" in listed
    assert "win_reboot" in listed


# -- facts ---------------------------------------------------------------------------------------------------------


def facts(run, server, subset="all"):
    return run(server, "ansible.windows.setup", {"gather_subset": subset})["ansible_facts"]


def test_facts_describe_the_server(run, make_server):
    server = make_server("dc01", system="windows_2016", cpus=4, memory_mib=16384)
    found = facts(run, server)
    assert found["ansible_os_family"] == "Windows"
    assert found["ansible_hostname"] == "DC01"
    assert found["ansible_distribution"] == "Microsoft Windows Server 2016 Standard"
    assert found["ansible_distribution_version"] == "10.0.14393.0"
    assert found["ansible_windows_domain_role"] == "Stand-alone server"
    assert found["ansible_windows_domain"] == "WORKGROUP"
    assert found["ansible_reboot_pending"] is False
    assert found["ansible_memtotal_mb"] == 16384
    assert found["ansible_processor_vcpus"] == 4
    assert found["ansible_interfaces"][0]["ipv4"] == {"address": "10.42.0.11", "prefix": "24"}
    assert found["ansible_interfaces"][0]["connection_name"] == "Ethernet"
    assert found["ansible_user_sid"].endswith("-500")
    assert found["ansible_date_time"]["tz"] == "Romance Standard Time"
    assert found["ansible_date_time"]["hour"] == "09"  # 08:00 UTC in winter


def test_facts_by_subset(run, server):
    found = facts(run, server, "!all,!min,interfaces")
    assert set(found) == {"gather_subset", "module_setup", "ansible_interfaces"}
    result = run(server, "ansible.windows.setup", {"gather_subset": "nonsense"})
    assert result["warnings"] == ["invalid value nonsense specified in gather_subset"]


def test_facts_show_a_pending_reboot_until_it_happened(run, server):
    run(server, "ansible.windows.win_hostname", {"name": "SRV99"})
    assert facts(run, server)["ansible_reboot_pending"] is True
    assert facts(run, server)["ansible_hostname"] == "SRV01"
    server.boot()
    assert facts(run, server)["ansible_reboot_pending"] is False
    assert facts(run, server)["ansible_hostname"] == "SRV99"


def test_ping(run, server):
    assert run(server, "ansible.windows.win_ping")["ping"] == "pong"
    assert run(server, "ansible.windows.win_ping", {"data": "x"})["ping"] == "x"
    assert "boom" in run(server, "ansible.windows.win_ping", {"data": "crash"}, fails=True)["msg"]


# -- files ---------------------------------------------------------------------------------------------------------


def write(server, path, content):
    files = FileSystem(server)
    files.make_dir(path.rpartition("\\")[0])
    files.write(path, content.encode() if isinstance(content, str) else content)
    server.save()


def test_folder(twice, run, server):
    twice(server, "ansible.windows.win_file", {"path": r"C:\Exploitation\scripts", "state": "directory"})
    stat = run(server, "ansible.windows.win_stat", {"path": "c:/exploitation/SCRIPTS/"})["stat"]
    assert stat["isdir"] is True
    assert stat["path"] == r"C:\Exploitation\scripts"
    twice(server, "ansible.windows.win_file", {"path": r"C:\Exploitation", "state": "absent"})
    assert run(server, "ansible.windows.win_stat", {"path": r"C:\Exploitation\scripts"})["stat"] == {"exists": False}


def test_file_states(run, server):
    write(server, r"C:\a\b.txt", "x")
    assert (
        "is not a directory"
        in run(server, "ansible.windows.win_file", {"path": r"C:\a\b.txt", "state": "directory"}, fails=True)["msg"]
    )
    assert (
        "will not be created"
        in run(server, "ansible.windows.win_file", {"path": r"C:\a\c.txt", "state": "file"}, fails=True)["msg"]
    )
    assert run(server, "ansible.windows.win_file", {"path": r"C:\a\c.txt", "state": "touch"})["changed"] is True
    assert run(server, "ansible.windows.win_stat", {"path": r"C:\a\c.txt"})["stat"]["size"] == 0
    message = run(server, "ansible.windows.win_file", {"path": r"X:\a", "state": "directory"}, fails=True)["msg"]
    assert "lecteur" in message


def test_stat_and_slurp(run, server):
    write(server, r"C:\a\b.txt", "contenu é")
    stat = run(server, "ansible.windows.win_stat", {"path": r"C:\a\b.txt", "checksum_algorithm": "sha256"})["stat"]
    assert stat["checksum"] == hashlib.sha256("contenu é".encode()).hexdigest()
    assert (stat["isreg"], stat["extension"], stat["size"]) == (True, ".txt", 10)
    assert stat["owner"] == "BUILTIN\\Administrateurs"
    content = run(server, "ansible.windows.slurp", {"src": r"C:\a\b.txt"})["content"]
    assert base64.b64decode(content).decode() == "contenu é"
    assert "is a directory" in run(server, "ansible.windows.slurp", {"src": r"C:\a"}, fails=True)["msg"]
    assert "is not found" in run(server, "ansible.windows.slurp", {"src": r"C:\nothing"}, fails=True)["msg"]


def test_symbolic_links(run, server):
    write(server, r"C:\a\b.txt", "x")
    FileSystem(server).link(r"C:\lien.txt", r"C:\a\b.txt")
    stat = run(server, "ansible.windows.win_stat", {"path": r"C:\lien.txt"})["stat"]
    assert (stat["islnk"], stat["isreg"], stat["lnk_target"]) == (True, False, r"C:\a\b.txt")
    assert run(server, "ansible.windows.win_stat", {"path": r"C:\lien.txt", "follow": True})["stat"]["size"] == 1
    run(server, "ansible.windows.win_file", {"path": r"C:\lien.txt", "state": "absent"})
    assert FileSystem(server).is_file(r"C:\a\b.txt")


def test_environment_in_paths(run, server):
    run(server, "ansible.windows.win_file", {"path": r"%ProgramData%\cnosf", "state": "directory"})
    assert run(server, "ansible.windows.win_stat", {"path": r"C:\ProgramData\cnosf"})["stat"]["exists"] is True


def test_copy_on_the_server(run, twice, server):
    write(server, r"C:\a\b.txt", "un")
    options = {"src": r"C:\a\b.txt", "dest": r"C:\c.txt", "remote_src": True, "_copy_mode": "remote"}
    twice(server, "ansible.windows.win_copy", options)
    write(server, r"C:\a\b.txt", "deux")
    result = run(server, "ansible.windows.win_copy", {**options, "backup": True})
    assert FileSystem(server).read(result["backup_file"]) == b"un"
    assert result["checksum"] == hashlib.sha1(b"deux", usedforsecurity=False).hexdigest()
    tree = run(
        server,
        "ansible.windows.win_copy",
        {"src": r"C:\a", "dest": r"C:\backup", "remote_src": True, "_copy_mode": "remote"},
    )
    assert tree["operation"] == "folder_copy"
    assert FileSystem(server).read(r"C:\backup\a\b.txt") == b"deux"
    missing = {"src": r"C:\no", "dest": r"C:\x", "_copy_mode": "remote"}
    assert "does not exist" in run(server, "ansible.windows.win_copy", missing, fails=True)["msg"]


def test_find(run, server, clock):
    write(server, r"C:\logs\old.log", "x" * 2048)
    clock.forward(days=40)
    write(server, r"C:\logs\sub\new.log", "x")
    write(server, r"C:\logs\new.txt", "x")
    base = {"paths": r"C:\logs"}

    def found(**options):
        result = run(server, "ansible.windows.win_find", {**base, **options})
        return {entry["filename"] for entry in result["files"]}

    assert found() == {"old.log", "new.txt"}
    assert found(recurse=True, patterns="*.log") == {"old.log", "new.log"}
    assert found(recurse=True, age="30d") == {"old.log"}
    assert found(recurse=True, size="1k") == {"old.log"}
    assert found(file_type="directory") == {"sub"}
    assert found(recurse=True, patterns=[r"^new\..*"], use_regex=True) == {"new.log", "new.txt"}
    missing = run(server, "ansible.windows.win_find", {"paths": r"C:\nothing"})
    assert "does not exist" in missing["warnings"][0]


def test_lineinfile(twice, run, server):
    write(server, r"C:\a\x.ini", "[a]\r\nb=1\r\n")
    options = {"path": r"C:\a\x.ini", "regexp": "^b=", "line": "b=2"}
    twice(server, "community.windows.win_lineinfile", options)
    assert FileSystem(server).read(r"C:\a\x.ini") == b"[a]\r\nb=2\r\n"
    twice(server, "community.windows.win_lineinfile", {"path": r"C:\a\x.ini", "line": "c=3", "insertafter": r"\[a\]"})
    assert FileSystem(server).read(r"C:\a\x.ini") == b"[a]\r\nc=3\r\nb=2\r\n"
    twice(server, "community.windows.win_lineinfile", {"path": r"C:\a\x.ini", "regexp": "^b", "state": "absent"})
    assert FileSystem(server).read(r"C:\a\x.ini") == b"[a]\r\nc=3\r\n"
    missing = {"path": r"C:\a\y.ini", "line": "x"}
    assert "does not exist" in run(server, "community.windows.win_lineinfile", missing, fails=True)["msg"]


def test_unzip(run, server):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("site/index.html", "bonjour")
    write(server, r"C:\a\x.zip", buffer.getvalue())
    options = {"src": r"C:\a\x.zip", "dest": r"C:\www", "creates": r"C:\www\site"}
    assert run(server, "community.windows.win_unzip", options, check=True)["changed"] is True
    assert run(server, "community.windows.win_unzip", options)["changed"] is True
    assert FileSystem(server).read(r"C:\www\site\index.html") == b"bonjour"
    assert run(server, "community.windows.win_unzip", options)["skipped"] is True
    write(server, r"C:\a\bad.zip", b"no zip")
    bad = {"src": r"C:\a\bad.zip", "dest": r"C:\www"}
    assert "corrupt" in run(server, "community.windows.win_unzip", bad, fails=True)["msg"]


def test_zip_slip_is_refused(run, server):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil.txt", "x")
    write(server, r"C:\a\x.zip", buffer.getvalue())
    result = run(server, "community.windows.win_unzip", {"src": r"C:\a\x.zip", "dest": r"C:\www"}, fails=True)
    assert "outside" in result["msg"]
    assert FileSystem(server).get(r"C:\evil.txt") is None


def test_zip(twice, run, server):
    write(server, r"C:\a\sub\b.txt", "x")
    twice(server, "community.windows.win_zip", {"src": r"C:\a", "dest": r"C:\x.zip"})
    with zipfile.ZipFile(io.BytesIO(FileSystem(server).read(r"C:\x.zip"))) as archive:
        assert archive.namelist() == ["a/sub/b.txt"]
    bad = {"src": r"C:\a", "dest": r"C:\x.tar"}
    assert "need to be zip" in run(server, "community.windows.win_zip", bad, fails=True)["msg"]


def test_tempfile(run, server, clock):
    module = "ansible.windows.win_tempfile"
    first = run(server, module, {"prefix": "cnosf", "suffix": ".txt"})["path"]
    clock.forward(seconds=1)
    second = run(server, module, {"state": "directory"})["path"]
    assert FileSystem(server).is_file(first)
    assert FileSystem(server).is_dir(second)


def test_full_disk(run, server):
    server.faults.disk_full = True
    message = run(server, "ansible.windows.win_file", {"path": r"C:\x", "state": "directory"}, fails=True)["msg"]
    assert message == "Espace insuffisant sur le disque."
    server.faults.clear()
    run(server, "ansible.windows.win_file", {"path": r"C:\x", "state": "directory"})


# -- registry ------------------------------------------------------------------------------------------------------

KEY = r"HKLM:\SOFTWARE\Policies\CNOSF"


@pytest.mark.parametrize(
    ("kind", "data", "kept"),
    [
        ("dword", 2, 2),
        ("dword", "0x10", 16),
        ("dword", 4294967295, 4294967295),
        ("qword", "5", 5),
        ("string", "texte é", "texte é"),
        ("string", 1, "1"),
        ("expandstring", r"%windir%\x", r"%windir%\x"),
        ("multistring", ["a", "b"], ["a", "b"]),
        ("multistring", "a", ["a"]),
        ("binary", "hex:be,ef", [0xBE, 0xEF]),
        ("binary", [1, 2], [1, 2]),
        ("none", "00:01", [0, 1]),
    ],
)
def test_registry_types(twice, server, kind, data, kept):
    twice(server, "ansible.windows.win_regedit", {"path": KEY, "name": "v", "data": data, "type": kind})
    assert Registry(server).data(KEY, "V") == kept


def test_registry_diff_and_change_flags(run, server):
    run(server, "ansible.windows.win_regedit", {"path": KEY, "name": "v", "data": 1, "type": "dword"})
    result = run(server, "ansible.windows.win_regedit", {"path": KEY, "name": "v", "data": "2"}, diff=True)
    assert (result["data_changed"], result["data_type_changed"]) == (True, True)
    assert result["diff"]["before"] == {KEY: {"v": {"type": "DWord", "value": "0x00000001"}}}
    assert result["diff"]["after"] == {KEY: {"v": {"type": "String", "value": "2"}}}


def test_registry_removal(twice, run, server):
    run(server, "ansible.windows.win_regedit", {"path": rf"{KEY}\Sub", "name": "v", "data": 1, "type": "dword"})
    twice(server, "ansible.windows.win_regedit", {"path": rf"{KEY}\Sub", "name": "v", "state": "absent"})
    twice(server, "ansible.windows.win_regedit", {"path": KEY, "state": "absent"})
    assert Registry(server).exists(rf"{KEY}\Sub") is False


def test_registry_refusals(run, server):
    wrong = run(server, "ansible.windows.win_regedit", {"path": r"HKLM\SOFTWARE"}, fails=True)["msg"]
    assert "is not a valid powershell path" in wrong
    large = {"path": KEY, "name": "v", "data": 4294967296, "type": "dword"}
    assert "0xffffffff" in run(server, "ansible.windows.win_regedit", large, fails=True)["msg"]
    text = {"path": KEY, "name": "v", "data": "abc", "type": "dword"}
    assert "correct format" in run(server, "ansible.windows.win_regedit", text, fails=True)["msg"]


def test_registry_key_listing(run, server):
    run(server, "ansible.windows.win_regedit", {"path": rf"{KEY}\Sub", "name": "v", "data": 1, "type": "dword"})
    found = run(server, "ansible.windows.win_reg_stat", {"path": KEY})
    assert (found["exists"], found["sub_keys"], found["properties"]) == (True, ["Sub"], {})
    assert run(server, "ansible.windows.win_reg_stat", {"path": rf"{KEY}\No"})["exists"] is False


def test_current_user_is_the_account_that_runs_the_module(run, server):
    path = r"HKCU:\Software\x"
    run(server, "ansible.windows.win_regedit", {"path": path, "name": "v", "data": "a"})
    assert run(server, "ansible.windows.win_reg_stat", {"path": path, "name": "v"})["exists"] is True
    other = run(server, "ansible.windows.win_reg_stat", {"path": path, "name": "v"}, user=r"AUTORITE NT\Système")
    assert other["exists"] is False


def test_regmerge_compares_only_when_told_to(run, server):
    text = (
        "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\CNOSF]\r\n"
        '"a"="x\\\\y"\r\n"b"=dword:0000000a\r\n"c"=hex(7):61,00,00,00,62,00,00,00,00,00\r\n'
        "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Gone]\r\n"
    )
    module = "community.windows.win_regmerge"
    assert run(server, module, {"content": text})["changed"] is True
    values = Registry(server)
    assert values.data(r"HKLM:\SOFTWARE\CNOSF", "a") == r"x\y"
    assert values.data(r"HKLM:\SOFTWARE\CNOSF", "b") == 10
    assert values.data(r"HKLM:\SOFTWARE\CNOSF", "c") == ["a", "b"]
    assert run(server, module, {"content": text})["changed"] is True
    compared = run(server, module, {"content": text, "compare_to": r"HKLM:\SOFTWARE\CNOSF"})
    assert (compared["changed"], compared["difference_count"]) == (False, 0)
    assert run(server, module, {"content": text}, check=True)["skipped"] is True
    assert "not understood" in run(server, module, {"content": "REGEDIT4\n[HKLM\\x]\nfoo"}, fails=True)["msg"]


# -- services ------------------------------------------------------------------------------------------------------


def test_service_stop_and_disable(twice, run, server):
    result = twice(
        server, "ansible.windows.win_service", {"name": "Spooler", "start_mode": "disabled", "state": "stopped"}
    )
    assert (result["state"], result["start_mode"], result["username"]) == ("stopped", "disabled", "LocalSystem")
    server.boot()
    info = run(server, "ansible.windows.win_service_info", {"name": "spooler"})["services"][0]
    assert (info["state"], info["start_mode"]) == ("stopped", "disabled")
    message = run(server, "ansible.windows.win_service", {"name": "Spooler", "state": "started"}, fails=True)["msg"]
    assert "désactivé" in message


def test_service_life(twice, run, server):
    options = {
        "name": "agent",
        "path": r"C:\agent\agent.exe",
        "display_name": "Agent",
        "state": "started",
        "dependencies": ["RpcSs"],
    }
    twice(server, "ansible.windows.win_service", options)
    recovery = {
        "name": "agent",
        "failure_actions": [{"type": "restart", "delay_ms": 5000}, {"type": "none"}],
        "failure_reset_period_sec": 3600,
    }
    twice(server, "ansible.windows.win_service", recovery)
    assert run(server, "ansible.windows.win_service", {"name": "agent", "state": "restarted"})["changed"] is True
    info = run(server, "ansible.windows.win_service_info", {"name": "RpcSs"})["services"][0]
    assert "agent" in info["dependency_of"]
    twice(server, "ansible.windows.win_service", {"name": "agent", "state": "absent"})


def test_service_refusals(run, server):
    module = "ansible.windows.win_service"
    assert "need to set 'path'" in run(server, module, {"name": "nope", "state": "started"}, fails=True)["msg"]
    assert run(server, module, {"name": "nope"})["exists"] is False
    assert "dépendants" in run(server, module, {"name": "BFE", "state": "stopped"}, fails=True)["msg"]
    assert run(server, module, {"name": "BFE", "state": "stopped", "force_dependent_services": True})["changed"] is True
    unknown = {"name": "Spooler", "username": "personne"}
    assert "personne" in run(server, module, unknown, fails=True)["msg"]


def test_service_password_only_on_creation(run, server):
    options = {"name": "agent", "path": r"C:\a.exe", "username": "Administrateur", "password": "Secret-123!"}
    run(server, "ansible.windows.win_service", options)
    assert run(server, "ansible.windows.win_service", {**options, "update_password": "on_create"})["changed"] is False
    assert run(server, "ansible.windows.win_service", {**options, "update_password": "always"})["changed"] is True
    assert "Secret-123!" not in (server.home / "journal.jsonl").read_text()
    assert "Secret-123!" not in (server.home / "state.json").read_text()


# -- features ------------------------------------------------------------------------------------------------------


def test_feature_brings_tools_and_services(twice, run, server):
    options = {"name": ["AD-Domain-Services", "DNS"], "include_management_tools": True}
    assert twice(server, "ansible.windows.win_feature", options)["exitcode"] == "Success"
    tools = run(server, "ansible.windows.win_feature_info", {"name": "RSAT-AD-PowerShell"})["features"][0]
    assert tools["installed"] is True
    assert run(server, "ansible.windows.win_service_info", {"name": "DNS"})["services"][0]["state"] == "started"
    again = run(server, "ansible.windows.win_feature", options)
    assert (again["exitcode"], again["feature_result"]) == ("NoChangeNeeded", [])


def test_feature_with_reboot(run, server):
    result = run(server, "ansible.windows.win_feature", {"name": "Windows-Defender", "state": "absent"})
    assert (result["reboot_required"], result["exitcode"]) == (True, "SuccessRestartRequired")
    state = run(server, "ansible.windows.win_feature_info", {"name": "Windows-Defender"})["features"][0]
    assert state["install_state"] == "UninstallPending"
    server.boot()
    state = run(server, "ansible.windows.win_feature_info", {"name": "Windows-Defender"})["features"][0]
    assert state["install_state"] == "Available"


def test_feature_removal_takes_what_is_below(run, server):
    run(server, "ansible.windows.win_feature", {"name": "Web-Server", "include_management_tools": True})
    run(server, "ansible.windows.win_feature", {"name": "Web-Server", "state": "absent"})
    server.boot()
    found = run(server, "ansible.windows.win_feature_info", {"name": "Web-*"})["features"]
    assert [feature["name"] for feature in found if feature["installed"]] == []


def test_unknown_feature_is_named(run, server):
    message = run(server, "ansible.windows.win_feature", {"name": "Web-Serveur"}, fails=True)["msg"]
    assert "Web-Serveur" in message


def test_optional_feature(twice, run, server):
    twice(server, "ansible.windows.win_optional_feature", {"name": "TelnetClient"})
    child = {"name": "SMB1Protocol-Client"}
    assert "parents" in run(server, "ansible.windows.win_optional_feature", child, fails=True)["msg"]
    result = run(server, "ansible.windows.win_optional_feature", {**child, "include_parent": True})
    assert result["reboot_required"] is True


def test_results_survive_json(run, server):
    for module, args in (("setup", {}), ("win_service_info", {}), ("win_feature_info", {})):
        json.dumps(run(server, f"ansible.windows.{module}", args))
