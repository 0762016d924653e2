# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of a print server are given for a declaration."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.health import DeviceState, QueueState, State
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.plan import plan, request

SUM = "ab12" * 16
SIDS = {"GG-Compta": "S-1-5-21-9-1104"}
IPP = ("10.42.0.51", 631)
VALUES = {
    "drivers": [
        {"name": "PCL6"},
        {"name": "Etiquettes", "source": "a.zip", "checksum": SUM, "inf": "x64/a.inf", "version": "2.1"},
    ],
    "ports": [
        {"name": "p", "address": "10.42.0.52"},
        {"name": "l", "address": "h", "protocol": "lpr", "lpr_queue": "q"},
    ],
    "queues": [
        {"name": "Accueil", "driver": "PCL6", "port": "P", "share": "Accueil", "published": True,
         "duplex": "long_edge"},
        {"name": "Couleur", "ipp_url": "ipp://10.42.0.51/ipp/print", "color": False},
        {"name": "Archives", "driver": "Etiquettes", "port": "l", "permissions": [
            {"principal": "GG-Compta", "rights": ["manage_printer"]}]},
    ],
    "permissions": [{"principal": "S-1-5-32-544", "rights": ["manage_printer"]}],
    "defaults": {"paper": "A4", "color": True},
    "staging": "C:\\d",
}  # fmt: skip
DECLARED = Declaration.read(VALUES)
FOLDER = "C:\\d\\ab12ab12ab12ab12"


def made(*, reachable=True, there=(), awaited=(), sids=None):
    state = State(
        "10.0.20348", True, tuple(QueueState(name, "Normal") for name in there), (DeviceState(*IPP, reachable),)
    )
    known = SIDS if sids is None else sids
    return plan(DECLARED, state=state, domain="ordre.example", sids=known, awaited=awaited)


def queue(found, name):
    return next(entry for entry in found["queues"] if entry["name"] == name)


def test_the_probes_are_asked_what_the_declaration_needs():
    asked = request(DECLARED)
    assert asked["problems"] == []
    assert asked["principals"] == ["GG-Compta"]
    assert asked["devices"] == [
        {"address": "10.42.0.51", "port": 631},
        {"address": "10.42.0.52", "port": 9100},
        {"address": "h", "port": 515},
    ]
    assert asked["drivers"] == [
        {"name": "PCL6", "inf": "", "version": ""},
        {"name": "Etiquettes", "inf": f"{FOLDER}\\x64\\a.inf", "version": "2.1"},
    ]


def test_archives_are_fetched_for_missing_drivers_only():
    assert made(awaited=["PCL6"])["packages"] == made()["archives"] == []
    found = made(awaited=["etiquettes"])
    assert found["packages"] == [
        {"name": "Etiquettes", "source": "a.zip", "checksum": SUM, "destination": f"{FOLDER}.zip", "state": "staged"}
    ]
    assert found["archives"] == [
        {"label": "Etiquettes", "source": f"{FOLDER}.zip", "folder": FOLDER, "inf": f"{FOLDER}\\x64\\a.inf"}
    ]


def test_an_archive_of_two_drivers_is_fetched_once():
    again = {**VALUES["drivers"][1], "name": "Etiquettes 600"}
    declared = Declaration.read({**VALUES, "drivers": [*VALUES["drivers"], again]})
    state = State("10.0.20348", True, (), (DeviceState(*IPP, True),))
    found = plan(declared, state=state, domain="d", sids=SIDS, awaited=["Etiquettes", "Etiquettes 600"])
    assert len(found["packages"]) == len(found["archives"]) == 1


def test_ports_have_the_number_of_their_protocol():
    assert [(port["number"], port["lpr_queue"]) for port in made()["ports"]] == [(9100, None), (515, "q")]


def test_a_queue_has_its_own_defaults_and_else_everybodys():
    found = made()
    assert queue(found, "Accueil") == {
        "name": "Accueil", "driver": "PCL6", "port": "P", "shared": True, "share": "Accueil", "published": True,
        "location": "", "comment": "", "sddl": "G:SYD:(A;;LCSWDTSDRCWDWO;;;S-1-5-32-544)(A;OICIIO;GA;;;S-1-5-32-544)",
        "duplex": "TwoSidedLongEdge", "paper": "A4", "color": True,
    }  # fmt: skip
    assert queue(found, "Couleur")["color"] is False
    assert queue(found, "Couleur")["driver"] == "Microsoft IPP Class Driver"
    assert "port" not in queue(found, "Couleur")
    assert "S-1-5-21-9-1104" in queue(found, "Archives")["sddl"]
    assert queue(found, "Archives")["shared"] is False
    assert "share" not in queue(found, "Archives")


@pytest.mark.parametrize(
    ("reachable", "there", "url", "deferred"),
    [
        (True, [], "ipp://10.42.0.51/ipp/print", []),
        (True, ["Couleur"], "ipp://10.42.0.51/ipp/print", []),
        (False, ["couleur"], None, []),
        (False, [], "absent", ["Couleur"]),
    ],
)
def test_an_ipp_queue_waits_for_its_device(reachable, there, url, deferred):
    found = made(reachable=reachable, there=there)
    assert found["deferred"] == deferred
    held = [entry for entry in found["queues"] if entry["name"] == "Couleur"]
    assert [entry.get("ipp_url") for entry in held] == ([] if url == "absent" else [url])


def test_an_unknown_principal_is_a_problem_and_no_queue_is_worked_out():
    found = made(sids={"GG-Compta": None})
    assert found["queues"] == []
    assert found["problems"] == [
        "print_server_permissions : « GG-Compta » est inconnu de ce serveur ; indiquez son SID, ou créez-le d'abord"
    ]


def test_check_mode_foresees_what_a_domain_will_make_possible():
    state = State("10.0.20348", True, (), (DeviceState(*IPP, True),))
    absent = {"GG-Compta": None}
    found = plan(DECLARED, state=state, domain="", sids=absent, awaited=[], foreseen=True)
    assert found["problems"] == []
    assert [entry["name"] for entry in found["queues"]] == ["Accueil", "Couleur", "Archives"]
    joined = plan(DECLARED, state=state, domain="ordre.example", sids=absent, awaited=[], foreseen=True)
    assert len(joined["problems"]) == 1
    assert len(plan(DECLARED, state=state, domain="", sids=absent, awaited=[])["problems"]) == 2
