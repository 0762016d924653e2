# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print servers of the lab through the wire's own dispatcher, and the probes of the role print_server on one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ansible_collections.cnosf.infogerance.plugins.filter.print_server import (
    print_server_health,
    print_server_plan,
    print_server_request,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.health import PROBES
from lab.windows.devices import device_at
from lab.windows.filesystem import FileSystem
from lab.windows.handlers.print_security import entries
from lab.windows.handlers.printing import submit
from lab.windows.hive import Registry

OWN = "cnosf.infogerance."
PCL = "Microsoft PCL6 Class Driver"
INF = """[Version]
Class=Printer
CatalogFile=etiquettes.cat
DriverVer=03/01/2026,{version}
[Ordre.NTamd64]
"Ordre Etiquettes 203" = INSTALL
"""
PORT = {"name": "archives", "address": "10.42.0.52"}
QUEUE = {"name": "Archives", "driver": PCL, "port": "archives"}
IPP = {"name": "Accueil", "ipp_url": "ipp://10.42.0.51:631/ipp/print"}
SDDL = "G:SYD:(A;;LCSWDTSDRCWDWO;;;BA)(A;OICIIO;GA;;;BA)(D;;SWRC;;;AN)(A;;SWRC;;;AU)"


def stage(server, version="2.1.0.4", *, catalogue=True):
    files = FileSystem(server)
    files.make_dir("C:\\d")
    files.write("C:\\d\\e.inf", INF.format(version=version).encode())
    if catalogue:
        files.write("C:\\d\\etiquettes.cat", b"catalogue")
    server.save()
    return {"name": "Ordre Etiquettes 203", "inf": "C:\\d\\e.inf", "version": version}


def state_of(server):
    return server.section("printing")


def stop(server):
    server.section("services")["spooler"]["state"] = "stopped"
    server.save()


@pytest.fixture
def printing(server, run):
    """A server with a driver and a port."""
    run(server, f"{OWN}print_drivers", {"drivers": [{"name": PCL}]})
    run(server, f"{OWN}print_ports", {"ports": [PORT]})
    return server


# -- drivers ---------------------------------------------------------------------------------------------------------


def test_a_driver_of_windows_is_installed_by_name(server, twice):
    assert twice(server, f"{OWN}print_drivers", {"drivers": [{"name": PCL}]})["changes"] == [
        {"name": PCL, "property": "driver", "before": None, "after": ""}
    ]


def test_a_driver_comes_out_of_its_inf_file_and_is_renewed(server, twice):
    twice(server, f"{OWN}print_drivers", {"drivers": [stage(server)]})
    newer = stage(server, "2.10.0.0")
    result = twice(server, f"{OWN}print_drivers", {"drivers": [newer]}, diff=True)
    assert (result["changes"][0]["before"], result["changes"][0]["after"]) == ("2.1.0.4", "2.10.0.0")
    assert result["diff"]["before"] == "Ordre Etiquettes 203 = 2.1.0.4"


def test_what_windows_would_refuse_is_refused(server, run):
    unsigned = stage(server, catalogue=False)
    for driver, words in (
        ({"name": "Inconnu"}, "magasin de pilotes"),
        ({"name": "Absent", "inf": "C:\\rien.inf"}, "exit code 2"),
        (unsigned, "exit code -536870353"),
    ):
        assert words in run(server, f"{OWN}print_drivers", {"drivers": [driver]}, fails=True)["msg"]


# -- ports -----------------------------------------------------------------------------------------------------------


def test_a_port_is_made_and_changed_in_place(server, twice):
    twice(server, f"{OWN}print_ports", {"ports": [PORT]})
    moved = {**PORT, "address": "10.42.0.53", "protocol": "lpr", "number": 515, "lpr_queue": "lp", "snmp": True}
    changes = twice(server, f"{OWN}print_ports", {"ports": [moved]}, diff=True)["changes"]
    assert [change["property"] for change in changes] == ["address", "protocol", "number", "lpr_queue", "snmp"]


# -- queues ----------------------------------------------------------------------------------------------------------


def test_a_queue_is_made_and_changed(printing, twice):
    twice(printing, f"{OWN}print_queues", {"queues": [QUEUE]})
    more = {**QUEUE, "shared": True, "share": "Archives", "sddl": SDDL, "duplex": "TwoSidedLongEdge", "color": False}
    changes = twice(printing, f"{OWN}print_queues", {"queues": [more]}, diff=True)["changes"]
    assert [change["property"] for change in changes] == ["shared", "share", "sddl", "duplex", "color"]


def test_the_order_of_permissions_is_windows_own_and_makes_no_difference(printing, run):
    run(printing, f"{OWN}print_queues", {"queues": [{**QUEUE, "sddl": SDDL}]})
    kept = state_of(printing)["queues"]["archives"]["sddl"]
    assert kept != SDDL
    assert entries(kept) == entries(SDDL)
    by_sid = SDDL.replace(";BA)", ";S-1-5-32-544)").replace(";AU)", ";S-1-5-11)")
    assert run(printing, f"{OWN}print_queues", {"queues": [{**QUEUE, "sddl": by_sid}]})["changed"] is False
    fewer = SDDL.replace("(D;;SWRC;;;AN)", "")
    assert run(printing, f"{OWN}print_queues", {"queues": [{**QUEUE, "sddl": fewer}]})["changed"] is True


def test_undeclared_queues_stay_unless_purged(printing, run, twice):
    run(printing, f"{OWN}print_queues", {"queues": [QUEUE, {**QUEUE, "name": "Essai"}]})
    keep = ["Microsoft Print to PDF"]
    left = run(printing, f"{OWN}print_queues", {"queues": [QUEUE], "keep": keep})
    assert (left["changed"], left["undeclared"]) == (False, ["Microsoft XPS Document Writer", "Essai"])
    gone = twice(printing, f"{OWN}print_queues", {"queues": [QUEUE], "keep": keep, "purge": True})
    assert [change["name"] for change in gone["changes"]] == ["Microsoft XPS Document Writer", "Essai"]


def test_an_ipp_queue_has_the_port_and_driver_that_windows_makes(server, twice, run):
    twice(server, f"{OWN}print_queues", {"queues": [IPP]})
    queue = state_of(server)["queues"]["accueil"]
    assert queue["driver"] == "Microsoft IPP Class Driver"
    run(server, f"{OWN}print_ports", {"ports": [PORT]})
    state_of(server)["queues"]["accueil"]["port"] = "archives"  # somebody moved it by hand
    server.save()
    assert twice(server, f"{OWN}print_queues", {"queues": [IPP]})["changes"][0]["property"] == "port"
    off = {**IPP, "name": "Absente", "ipp_url": "ipp://10.42.0.99:631/ipp/print"}
    assert "introuvable" in run(server, f"{OWN}print_queues", {"queues": [off]}, fails=True)["msg"]


def test_an_ipp_queue_of_another_address_is_made_again(server, twice, run):
    run(server, f"{OWN}print_queues", {"queues": [IPP]})
    other = {**IPP, "ipp_url": "http://10.42.0.51:631/ipp/print"}
    assert twice(server, f"{OWN}print_queues", {"queues": [other]})["changes"][0]["property"] == "ipp_url"


def test_an_old_windows_has_no_ipp(make_server, run):
    old = make_server("old", system="windows_2016")
    assert "IppURL" in run(old, f"{OWN}print_queues", {"queues": [IPP]}, fails=True)["msg"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"driver": "Inconnu"}, "pilote spécifié n’existe pas"),
        ({"port": "inconnu"}, "port spécifié n’existe pas"),
        ({"shared": True, "share": "A", "published": True}, "pas prise en charge"),
        ({"sddl": "G:SYD:(A;;XX;;;BA)"}, "XX is no right"),
        ({"sddl": "G:SYD:(A;;SW;;;ZZ)"}, "ZZ is no SID"),
        ({"paper": "Papyrus"}, "does not simulate the paper Papyrus"),
    ],
)
def test_what_the_spooler_refuses_names_the_queue(printing, run, values, words):
    failure = run(printing, f"{OWN}print_queues", {"queues": [{**QUEUE, **values}]}, fails=True)["msg"]
    assert words in failure


def test_while_the_spooler_is_stopped_names_are_all_that_is_known(printing, run):
    run(printing, f"{OWN}print_queues", {"queues": [QUEUE]})
    stop(printing)
    for module, args in (
        ("print_drivers", {"drivers": [{"name": PCL}]}),
        ("print_ports", {"ports": [{**PORT, "address": "10.42.0.99"}]}),
        ("print_queues", {"queues": [{**QUEUE, "color": False}]}),
    ):
        assert "start the service Spooler" in run(printing, OWN + module, args, fails=True)["msg"]
        assert run(printing, OWN + module, args, check=True)["changed"] is False
    new = run(printing, f"{OWN}print_queues", {"queues": [{**QUEUE, "name": "Neuve"}]}, check=True)
    assert new["changed"] is True
    assert "names alone" in new["warnings"][0]
    assert run(printing, f"{OWN}print_server_info")["state"]["queues"] == []


# -- how it fares ----------------------------------------------------------------------------------------------------


def test_devices_answer_on_their_ports_and_on_their_own_network(server):
    assert device_at(server, "10.42.0.53").ports == (9100,)
    assert device_at(server, "10.42.0.99") is None
    assert device_at(server, "192.168.0.53") is None
    assert device_at(server, "imprimante") is None


def test_a_device_that_is_off_shows_where_windows_can_tell(server, run):
    run(server, f"{OWN}print_drivers", {"drivers": [{"name": PCL}]})
    ports = [{"name": "a", "address": "10.42.0.99", "snmp": True}, {"name": "b", "address": "10.42.0.99"}]
    run(server, f"{OWN}print_ports", {"ports": ports})
    queues = [{"name": name, "driver": PCL, "port": name} for name in ("a", "b")]
    run(server, f"{OWN}print_queues", {"queues": queues})
    seen = run(server, f"{OWN}print_server_info", {"devices": [{"address": "10.42.0.52", "port": 9100}]})["state"]
    assert {queue["name"]: queue["status"] for queue in seen["queues"] if len(queue["name"]) == 1} == {
        "a": "Offline",
        "b": "Normal",
    }
    assert seen["devices"][0]["reachable"] is True


# -- the probes of the role ------------------------------------------------------------------------------------------

DECLARED = {
    "drivers": [{"name": PCL, "version": "10.0.20348.1"}],
    "ports": [PORT],
    "queues": [
        {**QUEUE, "share": "Archives", "location": "Sous-sol", "duplex": "long_edge"},
        {**IPP, "share": "Accueil"},
    ],
    "permissions": [
        {"principal": "S-1-5-11", "rights": ["print"]},
        {"principal": "S-1-5-32-544", "rights": ["manage_printer"]},
    ],
    "defaults": {"paper": "A4"},
}  # fmt: skip
REGISTRY = [{"path": r"HKLM:\SYSTEM\CurrentControlSet\Control\Print", "name": "RpcAuthnLevelPrivacyEnabled", "data": 1}]


class Role:
    """What the role does and reads, without Ansible between."""

    def __init__(self, server, run):
        self.server, self.run = server, run
        self.asked = print_server_request(DECLARED)
        state = self.read()
        self.plan = print_server_plan(DECLARED, {"sids": {}, "domain": None}, state, [])
        assert self.plan["problems"] == self.asked["problems"] == []

    def read(self):
        return self.run(self.server, f"{OWN}print_server_info", {"devices": self.asked["devices"]})["state"]

    def modules(self, *, check):
        given = {
            "drivers": ("print_drivers", {"drivers": self.asked["drivers"]}),
            "ports": ("print_ports", {"ports": self.plan["ports"]}),
            "queues": ("print_queues", {"queues": self.plan["queues"]}),
            "registry": ("win_registry_values", {"values": REGISTRY}),
        }
        return {
            name: self.run(self.server, OWN + module, args, check=check)["changes"]
            for name, (module, args) in given.items()
        }

    def failed(self):
        service = self.server.section("services")["spooler"]
        differences = {**self.modules(check=True), "services": [], "firewall": []}
        if service["start_mode"] != "auto" or service["state"] != "running":
            differences["services"] = ["Spooler"]
        verdicts = print_server_health(DECLARED, self.read(), differences)
        return {verdict["probe"] for verdict in verdicts if not verdict["passed"]}


@pytest.fixture
def role(server, run):
    made = Role(server, run)
    made.modules(check=False)
    server.save()
    return made


def _stopped(server):
    server.section("services")["spooler"]["state"] = "stopped"


def _by_hand(server):
    server.section("services")["spooler"]["start_mode"] = "manual"


def _old_driver(server):
    state_of(server)["drivers"][PCL.casefold()]["version"] = "10.0.17763.1"


def _other_driver(server):
    state_of(server)["queues"]["archives"]["driver"] = "Microsoft Print To PDF"


def _moved_port(server):
    state_of(server)["ports"]["archives"]["address"] = "10.42.0.53"


def _queue_on_another_port(server):
    state_of(server)["queues"]["archives"]["port"] = "PORTPROMPT:"


def _lost_queue(server):
    del state_of(server)["queues"]["accueil"]


def _unshared(server):
    state_of(server)["queues"]["archives"]["shared"] = False


def _opened(server):
    state_of(server)["queues"]["archives"]["sddl"] += "(A;;LCSWDTSDRCWDWO;;;WD)"


def _one_side(server):
    state_of(server)["queues"]["archives"]["duplex"] = "OneSided"


def _paused(server):
    state_of(server)["queues"]["accueil"]["paused"] = True


def _old_job(server):
    submit(server, "Archives", server.now() - timedelta(hours=25))


def _open_rpc(server):
    key = r"HKLM:\SYSTEM\CurrentControlSet\Control\Print"
    Registry(server).set(key, "RpcAuthnLevelPrivacyEnabled", "dword", 0)


def test_a_converged_print_server_passes_every_probe(role):
    assert role.failed() == set()
    submit(role.server, "Archives", role.server.now() - timedelta(hours=23))
    role.server.save()
    assert role.failed() == set()


@pytest.mark.parametrize(
    ("broken", "probe"),
    [
        (_stopped, "spooler"),
        (_by_hand, "spooler"),
        (_old_driver, "drivers"),
        (_other_driver, "drivers"),
        (_moved_port, "ports"),
        (_queue_on_another_port, "ports"),
        (_lost_queue, "queues"),
        (_unshared, "shares"),
        (_opened, "permissions"),
        (_one_side, "defaults"),
        (_paused, "status"),
        (_old_job, "jobs"),
        (_open_rpc, "registry"),
    ],
)
def test_a_broken_subject_fails_its_probe_and_no_other(role, broken, probe):
    broken(role.server)
    role.server.save()
    assert role.failed() == {probe}
    assert probe in PROBES


def test_devices_that_are_off_fail_their_probe_and_no_other(role, monkeypatch):
    monkeypatch.setattr("lab.windows.devices.devices", tuple)
    assert role.failed() == {"devices"}
