# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials are made once, kept private, and understood by the programs that use them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from lab.credentials import LINUX_USER, WINDOWS_USER, Credentials, KnownHosts
from lab.playbook import REPOSITORY
from lab.settings import Instance, load


@pytest.fixture
def where(tmp_path):
    return Instance("try", 9, tmp_path)


def keygen(*words):
    return subprocess.run(["ssh-keygen", *words], capture_output=True, text=True, check=True).stdout.strip()


def test_credentials_are_made_once_and_read_again(where):
    first = Credentials.open(where, load())
    assert Credentials.open(where, load()) == first
    file = where.home / "secrets.yml"
    assert file.stat().st_mode & 0o777 == 0o600
    data = yaml.safe_load(file.read_text())
    assert data["windows"]["password"] == first.windows_password
    assert set(data["api"]["tokens"]) == {"inventory", "operator", "protection"}
    assert data["api"]["url"] == "https://127.0.19.1:8006"


def test_what_is_missing_is_added_without_changing_the_rest(where):
    first = Credentials.open(where, load())
    data = yaml.safe_load((where.home / "secrets.yml").read_text())
    del data["api"]["tokens"]["operator"]
    (where.home / "secrets.yml").write_text(yaml.safe_dump(data))
    second = Credentials.open(where, load())
    assert second.windows_password == first.windows_password
    assert second.api_tokens["inventory"] == first.api_tokens["inventory"]
    assert second.api_tokens["operator"] != first.api_tokens["operator"]


def test_the_windows_password_satisfies_the_complexity_rules(where):
    password = Credentials.open(where, load()).windows_password
    assert len(password) >= 20
    for kind in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^a-zA-Z0-9]"):
        assert re.search(kind, password)


@pytest.mark.parametrize(("family", "user"), [("windows", WINDOWS_USER), ("linux", LINUX_USER)])
def test_the_inventory_logs_in_as_the_user_that_the_servers_have(family, user):
    connection = REPOSITORY / "inventories" / "lab" / "group_vars" / family / "connection.yml"
    assert yaml.safe_load(connection.read_text(encoding="utf-8"))["ansible_user"] == user


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH's ssh-keygen")
def test_openssh_reads_the_keys(where):
    credentials = Credentials.open(where, load())
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", credentials.ssh_key_file], capture_output=True, text=True, check=True
    )
    assert credentials.ssh_public_key.startswith(" ".join(shown.stdout.split()[:2]))
    assert credentials.ssh_key_file.stat().st_mode & 0o777 == 0o600
    private, public = credentials.host_key(where.home / "linux" / "web01", "web01")
    assert credentials.host_key(where.home / "linux" / "web01", "web01") == (private, public)
    credentials.known_hosts.trust("web01", ["10.51.0.15"], public)
    found = keygen("-F", "10.51.0.15", "-f", credentials.known_hosts.file)
    assert public.split()[1] in found


def test_a_server_is_known_once_under_its_name_and_addresses(tmp_path):
    hosts = KnownHosts(tmp_path / "known_hosts")
    hosts.trust("web01", ["10.42.0.15"], "ssh-ed25519 AAAA web01")
    hosts.trust("web02", ["10.42.0.16"], "ssh-ed25519 BBBB web02")
    hosts.trust("web01", ["10.42.0.25"], "ssh-ed25519 CCCC web01")
    assert hosts.file.read_text().splitlines() == [
        "web01,10.42.0.25 ssh-ed25519 CCCC",
        "web02,10.42.0.16 ssh-ed25519 BBBB",
    ]
    hosts.trust("web03", ["10.42.0.16"], "ssh-ed25519 DDDD web03")
    assert "BBBB" not in hosts.file.read_text(), "whoever had the address before is forgotten"
    hosts.forget("web01")
    hosts.forget("web01")
    assert hosts.file.read_text() == "web03,10.42.0.16 ssh-ed25519 DDDD\n"
