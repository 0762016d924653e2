# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated server's state, accounts and identities."""

from __future__ import annotations

import json
import stat

import pytest

from lab.windows import identity, md4, registry
from lab.windows.dispatch import run_module
from lab.windows.identity import LogonFailure
from lab.windows.server import Estate, ServerSpec, WindowsServer
from tests.unit.lab.windows.conftest import PASSWORD


def test_state_survives_a_restart(make_server, run, tmp_path):
    server = make_server("srv01")
    run(server, "ansible.windows.win_regedit", {"path": r"HKLM:\SOFTWARE\x", "name": "v", "data": "é"})
    again = WindowsServer("srv01", ServerSpec(), tmp_path / "srv01")
    assert run(again, "ansible.windows.win_reg_stat", {"path": r"HKLM:\SOFTWARE\x", "name": "v"})["value"] == "é"
    assert again.computer_name == server.computer_name
    assert again.logon("Administrateur", PASSWORD).sid.endswith("-500")


def test_state_is_private_and_holds_no_password(server):
    path = server.home / "state.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    json.loads(path.read_text())


def test_check_mode_copy_takes_everything_with_it(server):
    scratch = server.scratch()
    scratch.section("system")["computer_name"] = "AUTRE"
    scratch.store(b"x")
    scratch.reboot_pending("x")
    scratch.save()
    assert (server.computer_name, server.pending_reboot, scratch.is_scratch) == ("SRV01", [], True)
    assert scratch.pending_reboot == ["x"]
    assert not (server.home / "contents").exists()


def test_handler_that_breaks_down_leaves_no_trace(server, monkeypatch):
    def broken(call):
        call.server.section("system")["computer_name"] = "BROKEN"
        raise RuntimeError("oops")

    known = registry.HANDLERS["ansible.windows.win_ping"]
    monkeypatch.setitem(
        registry.HANDLERS,
        "ansible.windows.win_ping",
        registry.Registration(known.module, broken, known.source, {}, check_mode=True, waits=False, journal=True),
    )
    result = run_module(server, "ansible.windows.win_ping", {})
    assert "defect of the lab" in result["msg"]
    assert server.computer_name == "SRV01"


def test_unknown_system_is_refused():
    with pytest.raises(ValueError, match="Unknown Windows system 'windows_2008'"):
        ServerSpec(system="windows_2008")


def test_name_before_anybody_renames(tmp_path):
    server = WindowsServer("x", ServerSpec(), tmp_path / "x")
    assert server.computer_name.startswith("WIN-")
    assert len(server.computer_name) == 15


def test_estate(make_server):
    server = make_server("srv01")
    estate = Estate()
    estate.add(server)
    assert estate.at("10.42.0.11") is server
    assert estate.named("SRV01") is server
    server.set_power("off")
    assert (estate.at("10.42.0.11"), estate.named("srv01"), estate.owns("srv01")) == (None, None, True)
    estate.remove("srv01")
    assert estate.owns("srv01") is False


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4_of_rfc_1320(text, digest):
    assert md4.digest(text).hex() == digest


def test_nt_hash_and_ntlmv2_key_of_the_specification():
    # [MS-NLMP] 4.2.1 and 4.2.4.1.1: password "Password", user "User", domain "Domain"
    stored = identity.nt_hash("Password")
    assert stored == "a4f49c406510bdcab6824ee7c30fd852"
    assert identity.ntlmv2_key(stored, "User", "Domain").hex() == "0c868a403bfd7a93a3001ef22ef02e3f"


def test_service_sid_of_the_specification():
    # The SID of NT SERVICE\TrustedInstaller, the same on every Windows.
    expected = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    assert identity.service_sid("TrustedInstaller") == expected


@pytest.mark.parametrize(
    ("text", "sid", "account"),
    [
        ("Administrateurs", "S-1-5-32-544", r"BUILTIN\Administrateurs"),
        (r"BUILTIN\Administrateurs", "S-1-5-32-544", r"BUILTIN\Administrateurs"),
        ("S-1-5-32-555", "S-1-5-32-555", r"BUILTIN\Utilisateurs du Bureau à distance"),
        ("Lecteurs des journaux d'événements", "S-1-5-32-573", r"BUILTIN\Lecteurs des journaux d’événements"),
        ("Tout le monde", "S-1-1-0", "Tout le monde"),
        ("SYSTEM", "S-1-5-18", r"AUTORITE NT\Système"),
        (r"NT AUTHORITY\SYSTEM", "S-1-5-18", r"AUTORITE NT\Système"),
        (r"AUTORITE NT\SERVICE RÉSEAU", "S-1-5-20", r"AUTORITE NT\SERVICE RÉSEAU"),
        (r"NT SERVICE\Spooler", identity.service_sid("Spooler"), r"NT SERVICE\Spooler"),
    ],
)
def test_names_and_sids_of_a_french_windows(server, text, sid, account):
    principal = server.resolve(text)
    assert (principal.sid, principal.account) == (sid, account)
    assert server.resolve(sid) == principal


@pytest.mark.parametrize(
    "text", ["Administrators", "Everyone", "personne", "S-1-5-21-1-2-3-500", r"AUTRE\Administrateur"]
)
def test_names_that_a_french_windows_does_not_know(server, text):
    assert server.resolve(text) is None


def test_own_accounts(server):
    own = server.resolve(r".\administrateur")
    assert own.account == r"SRV01\Administrateur"
    assert server.resolve(own.sid) == own
    assert server.account_name("S-1-5-21-9-9-9-1") == "S-1-5-21-9-9-9-1"


def test_directories_are_asked_last(server, monkeypatch):
    person = identity.Principal("S-1-5-21-7-7-7-1104", "jdoe", "CNOSF")

    class Domain:
        def by_name(self, _server, _domain, name):
            return person if name.casefold() == "jdoe" else None

        def by_sid(self, _server, sid):
            return person if sid == person.sid else None

        def logon(self, _server, _domain, name, check):
            if name != "jdoe":
                return None
            if not check(identity.nt_hash("Domaine-1")):
                raise LogonFailure(name)
            return person

        def groups_of(self, _server, sid):
            return {"S-1-5-21-7-7-7-512"} if sid == person.sid else set()

    monkeypatch.setattr(registry, "DIRECTORIES", [Domain()])
    assert server.resolve(r"CNOSF\jdoe") == person
    assert server.account_name(person.sid) == r"CNOSF\jdoe"
    assert server.logon("jdoe@cnosf.example", "Domaine-1") == person
    with pytest.raises(LogonFailure):
        server.logon(r"CNOSF\jdoe", "faux")
    assert server.may_manage(person) is False
    server.section("accounts")["groups"]["administrateurs"]["members"].append("S-1-5-21-7-7-7-512")
    assert server.may_manage(person) is True


def test_two_handlers_of_one_module_are_refused():
    def other(call):
        return {}

    other.__module__ = "elsewhere"
    with pytest.raises(ValueError, match="has two handlers"):
        registry.handles("ansible.windows.win_ping", source="a test")(other)
