# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a trace of a run on simulated Windows servers: their own state and the directory they share."""

from __future__ import annotations

import json

import pytest

from lab import traces
from lab.windows.domains import domains_of, new_domain
from lab.windows.server import Estate, Nic, ServerSpec, WindowsServer

DOMAIN = "ordre.example"
HOSTS = frozenset({"dc01"})


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab with a controller of a domain and a server of a workgroup; no container."""
    monkeypatch.setenv("INFOGERANCE_LAB_HOME", str(tmp_path))
    monkeypatch.setenv("INFOGERANCE_LAB_INSTANCE", "one")
    monkeypatch.setattr(traces, "_containers", lambda _home: {})
    estate = Estate()
    servers = {}
    for name, last in (("dc01", 11), ("srv01", 12)):
        nic = Nic(f"10.42.0.{last}/24", "10.42.0.1", f"BC:24:11:00:00:{last}")
        spec = ServerSpec(computer_name=name.upper(), networks=(nic,))
        servers[name] = WindowsServer(name, spec, tmp_path / "one" / "windows" / name, estate=estate)
    controller = servers["dc01"]
    administrator = {"name": "Administrateur", "nt_hash": "0"}
    domain = new_domain(DOMAIN, "ORDRE", mode="WinThreshold", administrator=administrator, machine_sid="S-1-5-21-1-2-3")
    domains_of(controller).write(domain)
    controller.section("system")["domain"] = DOMAIN
    controller.save()
    return servers


def write_to_the_domain(server):
    store = domains_of(server)
    domain = store.read(DOMAIN)
    domain.add(f"OU=Postes,{domain.dn}", "organizationalUnit")
    store.write(domain)


def test_a_lab_that_nobody_touched_has_no_traces(lab):
    before = traces.Traces.take()
    lab["dc01"].save()
    assert before.changes_since() == []
    assert before.changes_since(HOSTS) == []


def test_a_write_to_the_shared_directory_is_a_trace_of_its_controllers_only(lab):
    before = traces.Traces.take()
    write_to_the_domain(lab["dc01"])
    (found,) = before.changes_since(HOSTS)
    assert found.startswith(f"the directory of the domain {DOMAIN} changed")
    assert before.changes_since() == [found]
    assert before.changes_since(frozenset({"srv01"})) == []


def test_a_directory_that_appears_or_goes_is_a_trace(lab):
    folder = domains_of(lab["dc01"]).folder
    file = folder / f"{DOMAIN}.json"
    content = file.read_text(encoding="utf-8")
    before = traces.Traces.take()
    file.unlink()
    assert len(before.changes_since(HOSTS)) == 1
    without = traces.Traces.take()
    file.write_text(content, encoding="utf-8")
    assert len(without.changes_since(HOSTS)) == 1
    assert json.loads(content)["dns_name"] == DOMAIN


def test_a_servers_own_state_is_a_trace_of_that_server(lab):
    before = traces.Traces.take()
    lab["srv01"].section("system")["description"] = "changed"
    lab["srv01"].save()
    assert before.changes_since(HOSTS) == []
    assert [line.partition(" (")[0] for line in before.changes_since()] == ["the state of srv01 changed"]


PODMAN = """#!/bin/sh
case "$1 $2" in
"ps "*) echo ilab7-1; echo ilab7-2 ;;
"inspect "*) case "$4" in ilab7-1) echo web01 ;; *) [ ! -e {folder}/gone ] && echo web02 ;; esac ;;
"exec ilab7-2") [ -e {folder}/gone ] && exit 125; case "$3" in find) ;; sh) echo /etc ;; *) date ;; esac ;;
"exec ilab7-1") case "$3" in find) cat {folder}/written ;; sh) echo /etc ;; *) date ;; esac ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def containers(tmp_path, monkeypatch):
    """Two Linux servers, web01 and web02; the folder's file "written" lists what was written, "gone" ends web02."""
    monkeypatch.setenv("INFOGERANCE_LAB_HOME", str(tmp_path))
    monkeypatch.setenv("INFOGERANCE_LAB_INSTANCE", "one")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "instance.json").write_text('{"number": 7}', encoding="utf-8")
    (tmp_path / "written").touch()
    program = tmp_path / "bin" / "podman"
    program.parent.mkdir()
    program.write_text(PODMAN.format(folder=tmp_path), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_a_file_written_on_a_linux_server_is_a_trace_of_that_server(containers):
    before = traces.Traces.take()
    assert before.changes_since() == []
    (containers / "written").write_text("/etc/hosts\n", encoding="utf-8")
    assert before.changes_since() == ["ilab7-1: /etc/hosts"]
    assert before.changes_since(frozenset({"web02"})) == []


def test_a_server_that_goes_concerns_those_who_watch_it_only(containers):
    before = traces.Traces.take()
    (containers / "gone").touch()
    assert before.changes_since(frozenset({"web01"})) == []
    assert before.changes_since(frozenset({"web02"})) == ["ilab7-2 does not answer any more"]


def test_a_server_that_goes_while_one_looks_is_left_out(containers):
    (containers / "gone").touch()
    assert list(traces.Traces.take().containers) == ["ilab7-1"]
