# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe of a Linux server reads, from text that the system's own commands print."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.linux import state

SHOWN = """Id=chrony.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
ActiveEnterTimestampMonotonic=2000000

Id=none.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
ActiveEnterTimestampMonotonic=0
"""


def test_units_are_read_in_the_order_asked():
    found = state.parse_units(["chrony.service", "none.service"], SHOWN, booted=1000.0)
    assert found["chrony.service"] == {"load": "loaded", "active": "active", "enabled": "enabled", "since": 1002.0}
    assert found["none.service"]["since"] == 0.0
    assert found["none.service"]["load"] == "not-found"


@pytest.mark.parametrize(
    ("key", "path"),
    [("net.ipv4.ip_forward", "net/ipv4/ip_forward"), ("net/ipv4/conf/eth0.10/rp_filter",) * 2],
)
def test_a_dot_in_an_interface_is_no_separator(key, path):
    assert state.sysctl_path(key) == path


def test_a_kernel_setting_that_does_not_exist_has_no_value():
    assert state.sysctl(["net.ipv4.no_such_setting"]) == {
        "net.ipv4.no_such_setting": {"value": None, "writable": False}
    }


def test_paths_are_read_with_their_digest(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    file.chmod(0o640)
    found = state.paths([str(file), str(tmp_path / "none"), str(tmp_path)])
    assert found[str(file)]["mode"] == "0640"
    assert found[str(file)]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found[str(tmp_path / "none")] is None
    assert found[str(tmp_path)]["sha256"] is None


def test_login_defs_are_read_without_comments():
    text = "# PASS_MAX_DAYS 1\nPASS_MAX_DAYS\t365\n UMASK 027 # mask\n"
    assert state.login_defs(["PASS_MAX_DAYS", "UMASK", "HOME_MODE"], text) == {"PASS_MAX_DAYS": "365", "UMASK": "027"}


def test_packages_that_are_only_configured_are_not_installed():
    def run(argv):
        assert argv[-2:] == ["chrony", "telnet"]
        return 1, "chrony installed\ntelnet config-files\n"

    assert state.packages(["chrony", "telnet"], run) == {"chrony": True, "telnet": False}


@pytest.mark.parametrize(
    ("live", "wanted", "applied"),
    [((0, "table A"), (0, "table A"), True), ((0, "table B"), (0, "table A"), False), ((1, ""), (1, ""), False)],
)
def test_the_firewall_is_applied_when_the_kernel_words_both_alike(live, wanted, applied, tmp_path, monkeypatch):
    monkeypatch.setattr(state, "PENDING", tmp_path / "pending")
    answers = {"nft": live, "unshare": wanted}
    found = state.firewall("/etc/nftables.d/x.nft", "inet infogerance", lambda argv: answers[argv[0]])
    assert found == {"applied": applied, "pending": False}


def test_rules_wait_to_be_confirmed_while_the_mark_is_there(tmp_path, monkeypatch):
    (tmp_path / "pending").touch()
    monkeypatch.setattr(state, "PENDING", tmp_path / "pending")
    assert state.firewall("f", "inet t", lambda _argv: (0, ""))["pending"] is True


def test_sshd_settings_given_twice_are_kept_both():
    said = "port 22\nport 2222\npermitrootlogin no\n"
    assert state.sshd(lambda _argv: (0, said)) == {"port": "22 2222", "permitrootlogin": "no"}


def test_an_sshd_that_refuses_its_configuration_tells_nothing():
    assert state.sshd(lambda _argv: (255, "broken")) == {}
