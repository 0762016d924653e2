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
