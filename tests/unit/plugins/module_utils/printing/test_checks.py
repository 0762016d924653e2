# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused of a declaration of a print server, by the path of the key."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.checks import problems, server_problems
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError

SUM = "0" * 64
GOOD = {
    "drivers": [
        {"name": "PCL6"},
        {"name": "Etiquettes", "source": "a.zip", "checksum": SUM, "inf": "x64/a.inf", "version": "2.1.0.4"},
    ],
    "ports": [
        {"name": "accueil", "address": "10.42.0.51"},
        {"name": "archives", "address": "imp.ordre.example", "protocol": "lpr", "lpr_queue": "lp"},
    ],
    "queues": [
        {"name": "Accueil", "driver": "pcl6", "port": "ACCUEIL", "share": "Accueil", "published": True, "paper": "A4"},
        {"name": "Couleur", "ipp_url": "ipp://10.42.0.51:631/ipp/print"},
    ],
    "permissions": [{"principal": "S-1-5-32-544", "rights": ["manage_printer"]}],
    "staging": "C:\\d",
    "rpc_port": 49100,
}


def changed(path, value):
    """The good declaration with one place changed; ``...`` removes it."""
    made = copy.deepcopy(GOOD)
    place = made
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


def said(values, language="fr"):
    return [text.say(language) for text in problems(Declaration.read(values))]


def test_a_good_declaration_has_no_problem():
    assert said(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("drivers", 1, "name"), "pcl6", "print_server_drivers[1].name : « pcl6 » est déclaré deux fois"),
        (("drivers", 1, "checksum"), "", "print_server_drivers[1].checksum : absent"),
        (("drivers", 1, "source"), "", "print_server_drivers[1].source : absent"),
        (("drivers", 1, "checksum"), "abc", "print_server_drivers[1].checksum : un SHA-256"),
        (("drivers", 1, "inf"), "C:\\a.inf", "print_server_drivers[1].inf"),
        (("drivers", 1, "inf"), "../a.inf", "print_server_drivers[1].inf"),
        (("drivers", 1, "inf"), "a.exe", "print_server_drivers[1].inf"),
        (("drivers", 1, "version"), "7", "print_server_drivers[1].version"),
        (("ports", 1, "name"), "Accueil", "print_server_ports[1].name : « Accueil » est déclaré deux fois"),
        (("ports", 0, "address"), "http://a", "print_server_ports[0].address"),
        (("ports", 0, "address"), "", "print_server_ports[0].address"),
        (("ports", 0, "number"), 70000, "print_server_ports[0].number : 70000"),
        (("ports", 1, "lpr_queue"), "", "print_server_ports[1].lpr_queue : absent"),
        (("ports", 0, "lpr_queue"), "lp", "print_server_ports[0].lpr_queue : un port raw"),
        (("queues", 0, "name"), "a\\b", "print_server_queues[0].name"),
        (("queues", 0, "name"), "Copie*", "print_server_queues[0].name : « Copie* » contient *"),
        (("queues", 0, "name"), " a", "print_server_queues[0].name"),
        (("queues", 1, "name"), "accueil", "print_server_queues[1].name : « accueil » est déclaré deux fois"),
        (("queues", 1, "share"), "ACCUEIL", "print_server_queues[1].share : « ACCUEIL » est déclaré deux fois"),
        (("queues", 0, "share"), "a/b", "print_server_queues[0].share"),
        (("queues", 0, "share"), "", "print_server_queues[0].published : seule une file partagée"),
        (("queues", 0, "driver"), "", "print_server_queues[0].driver : absent"),
        (("queues", 0, "driver"), "PS", "print_server_queues[0].driver : « PS » n'est pas déclaré"),
        (("queues", 0, "port"), "x", "print_server_queues[0].port : « x » n'est pas déclaré"),
        (("queues", 1, "ipp_url"), "10.42.0.51", "print_server_queues[1].ipp_url"),
        (("queues", 1, "driver"), "PCL6", "print_server_queues[1] : avec ipp_url"),
        (("queues", 0, "paper"), "a4", "print_server_queues[0].paper"),
        (("permissions", 0, "rights"), ["print"], "print_server_permissions : personne ne peut gérer"),
        (("permissions", 0, "type"), "deny", "print_server_permissions : personne ne peut gérer"),
        (("permissions",), [], "print_server_permissions : vide"),
        (("rpc_port",), 80, "print_server_rpc_port : 80"),
        (("job_max_age_hours",), 0, "print_server_job_max_age_hours : 0"),
        (("device_timeout_seconds",), 61, "print_server_device_timeout_seconds : 61"),
        (("defaults",), {"paper": "Papier"}, "print_server_defaults.paper"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(path, value, words):
    found = said(changed(path, value))
    assert any(sentence.startswith(words) for sentence in found), found
    assert len(said(changed(path, value), "en")) == len(found)


def test_permissions_of_a_queue_without_a_manager_are_refused():
    values = changed(("queues", 0, "permissions"), [{"principal": "S-1-5-11", "rights": []}])
    assert [sentence.partition(" : ")[0] for sentence in said(values)] == [
        "print_server_queues[0].permissions",
        "print_server_queues[0].permissions[0].rights",
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"queues": [{"name": "a", "prot": "x"}]}, "print_server_queues[0].prot: unknown key"),
        ({"ports": [{"name": "a", "address": ["x"]}]}, "print_server_ports[0].address: a text is expected, not a list"),
        ({"queues": [{"name": "a", "color": "peut-être"}]}, "print_server_queues[0].color: true or false"),
        ({"drivers": {"name": "a"}}, "print_server_drivers: a list is expected"),
    ],
)
def test_another_shape_is_refused_by_its_path(values, words):
    with pytest.raises(ShapeError) as refused:
        Declaration.read(values)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("build", "domain", "unknown", "paths"),
    [
        (20348, "ordre.example", [], []),
        (17763, "ordre.example", [], ["print_server_queues[1].ipp_url"]),
        (20348, "", [], ["print_server_queues[0].published"]),
        (20348, "ordre.example", ["GG-Absent"], ["print_server_permissions"]),
    ],
)
def test_what_the_server_cannot_do_is_refused(build, domain, unknown, paths):
    found = server_problems(Declaration.read(GOOD), build=build, domain=domain, unknown=unknown)
    assert [text.fr.partition(" : ")[0] for text in found] == paths
