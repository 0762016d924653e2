# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Differences between a declared and an actual IIS: none where there is none, and each by its list and label."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis import plan, settings
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.request import request
from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.tls import registry
from tests.unit.plugins.module_utils.iis.conftest import DECLARED, ROOT, SUM, THUMBPRINT, declaration, observation

THUMBPRINTS = {"site": THUMBPRINT}


def planned(state: dict[str, Any], **changes: Any) -> dict[str, list[dict[str, Any]]]:
    """Lists of the plan that are not empty."""
    found = plan.plan(declaration(**changes), observation(state), THUMBPRINTS)
    return {name: items for name, items in found.items() if items}


def test_nothing_differs_on_a_converged_server(state):
    assert planned(state) == {}


def test_everything_is_foreseen_on_a_new_server():
    found = planned({"time": "2026-11-23T08:00:00Z", "build": 20348, "missing_folders": [r"C:\Logs"]})
    assert {item["label"] for item in found["default_site"]} == {"Default Web Site (absent)"}
    assert [item["name"] for item in found["pools"]] == ["intranet", "api", "ancien"]
    assert [item["name"] for item in found["sites"]] == ["intranet", "vieux"]
    assert [item["path"] for item in found["folders"]] == [r"C:\Logs"]
    assert [path["path"] for path in found["rights"][0]["paths"]] == [r"C:\Sites\.staging", ROOT, rf"{ROOT}\depots"]
    for name in set(found) - {"folders", "rights"}:
        assert all(item["foreseen"] for item in found[name]), name


def site(state: dict[str, Any]) -> dict[str, Any]:
    return state["sites"][0]


def change(name: str, value: Any):
    """Change one key of the first site."""
    return lambda state: site(state).update({name: value})


def swap_certificate(state):
    site(state)["bindings"][0]["certificate"] = "CD" * 20


def move_port(state):
    site(state)["bindings"][1]["information"] = "*:81:intranet.example"


def change_identity(state):
    for value in state["pools"][0]["attributes"]:
        if value["name"] == "processModel.identityType":
            value["value"] = "LocalSystem"


def lose_header(state):
    for collection in state["collections"]:
        collection["entries"] = [entry for entry in collection["entries"] if entry["key"] != "X-Frame-Options"]


def add_header(state):
    for collection in state["collections"]:
        if collection["filter"].endswith("customHeaders"):
            collection["entries"].append({"key": "x-powered-by", "value": "ASP.NET"})


def raise_limit(state):
    for setting in state["settings"]:
        if setting["name"] == "maxAllowedContentLength":
            setting["value"] = "4294967295"


def forget_password(state):
    state["pools"][2]["password_matches"] = False


def forget_hsts(state):
    site(state)["hsts"][0]["value"] = "False"


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        (change("state", "Stopped"), {"sites": ["intranet (started)"]}),
        (change("pool", "autre"), {"sites": ["intranet (application_pool intranet)"]}),
        (swap_certificate, {"sites": ["intranet (+ *:443:intranet.example)"]}),
        (
            move_port,
            {
                "bindings_removed": ["intranet (- *:81:intranet.example)"],
                "sites": ["intranet (+ *:80:intranet.example)"],
            },
        ),
        (change("physical_path", rf"{ROOT}\releases\0.9"), {"deployments": ["intranet 1.0 (live)"]}),
        (change_identity, {"pools": ["intranet (processModel.identityType)"]}),
        (forget_password, {"credentials": ["ancien (processModel.password)"]}),
        (lose_header, {"entries": ["X-Frame-Options (DENY)"]}),
        (add_header, {"entries": ["X-Powered-By (remove)"]}),
        (raise_limit, {"attributes": [f"{settings.LIMITS}/@maxAllowedContentLength (30000000)"]}),
        (forget_hsts, {"hsts": ["intranet: hsts/@enabled (True)"]}),
        (lambda state: state["log"].update(period="Monthly"), {"log": ["logFile (period Daily)"]}),
        (
            lambda state: state["services"][0].update(state="stopped", start_mode="disabled"),
            {"services": ["W3SVC (started)"]},
        ),
        (
            lambda state: site(state)["applications"][0].update(pool="x"),
            {"applications": ["intranet/api (application_pool api)"]},
        ),
        (
            lambda state: site(state)["virtual_directories"].clear(),
            {"virtual_directories": ["intranet/docs (create)"]},
        ),
        (
            lambda state: state["rights"][1].update(sddl="D:AI(A;OICI;FA;;;BA)"),
            {"rights": [rf"C:\Sites (rights {ROOT})"]},
        ),
        (
            lambda state: state["rights"][2].update(exists=False, sddl=""),
            {"rights": [rf"C:\Sites (create {ROOT}\depots)"]},
        ),
        (
            lambda state: state.update(module_present=True, stale_module=True),
            {"restart": ["WAS (restarted)", "W3SVC (restarted)"]},
        ),
    ],
)
def test_drift_is_named(state, drift, expected):
    drift(state)
    found = planned(state)
    assert {name: [item["label"] for item in items] for name, items in found.items()} == expected


def test_what_stands_still_with_the_services_starts_with_them(state):
    state["services"][0]["state"] = "stopped"
    for entry in (*state["sites"], *state["pools"]):
        entry["state"] = "Stopped"
    assert set(planned(state)) == {"services"}


def test_a_pool_that_is_declared_stopped_stays_so_after_a_boot(state):
    pools = [{**DECLARED["pools"][0], "state": "stopped"}, *DECLARED["pools"][1:]]
    (item,) = planned(state, pools=pools)["pools"]
    assert item["attributes"] == {"autoStart": "False"}
    assert item["state"] == "stopped"


def test_a_certificate_is_never_shown_to_the_module_in_check_mode(state):
    swap_certificate(state)
    (item,) = planned(state)["sites"]
    assert item["foreseen"] is True
    assert item["rebound"] is True
    (binding,) = item["bindings"]
    assert binding["certificate_hash"] == THUMBPRINT


def test_a_binding_goes_before_another_site_gets_it_and_leaves_the_state_alone(state):
    site(state).update(state="Stopped")
    move_port(state)
    (item,) = planned(state)["bindings_removed"]
    assert item["state"] == "stopped"
    assert item["bindings"] == [{"ip": "*", "port": 81, "hostname": "intranet.example"}]


def test_a_managed_account_needs_no_password(state):
    state["pools"] = []
    found = planned(state)
    by_name = {item["name"]: item["attributes"] for item in found["pools"]}
    assert by_name["api"]["processModel.userName"] == "ORDRE\\gmsa-web$"
    assert "processModel.userName" not in by_name["ancien"]  # written with its password
    assert [item["user"] for item in found["credentials"]] == [".\\svc"]
    assert "secret" not in str(found)


def test_what_is_not_declared_goes_with_purge_only(state):
    state["sites"].append({"name": "essai", "state": "Started", "pool": "essai", "physical_path": r"C:\X"})
    state["pools"] += [{"name": "essai", "state": "Started"}, {"name": "DefaultAppPool", "state": "Started"}]
    site(state)["applications"].append({"path": "x", "pool": "api", "physical_path": r"C:\X"})
    site(state)["virtual_directories"].append({"path": "y", "physical_path": r"C:\Y"})
    assert planned(state) == {}
    found = planned(state, purge=True)
    assert {name: [item["label"] for item in items] for name, items in found.items()} == {
        "applications": ["intranet/x (remove)"],
        "virtual_directories": ["intranet/y (remove)"],
        "purged_sites": ["essai (remove)"],
        "purged_pools": ["essai (remove)"],
    }


@pytest.mark.parametrize(("wanted", "labels"), [("absent", ["absent"]), ("stopped", ["stopped"]), ("kept", [])])
def test_the_installations_own_site(state, wanted, labels):
    state["sites"].append({"name": "Default Web Site", "state": "Started", "pool": "p", "physical_path": r"C:\X"})
    found = planned(state, default_site=wanted)
    assert [item["state"] for item in found.get("default_site", [])] == labels


def test_a_bundle_that_comes_restarts_iis(state):
    assert [item["foreseen"] for item in planned(state, hosting_bundle=True)["restart"]] == [True, True]
    state["module_present"] = True
    assert planned(state, hosting_bundle=True) == {}


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, "00:00:00"), (20, "00:20:00"), (1740, "1.05:00:00"), (1440, "1.00:00:00")]
)
def test_spans_of_time(minutes, text):
    assert plan.span(minutes) == text


def wrong(*path: Any, value: Any) -> dict[str, Any]:
    """The declaration with one value changed."""
    made = copy.deepcopy(DECLARED)
    place = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (wrong("pools", 0, "name", value="a/b"), "iis_pools[0].name : "),
        (wrong("pools", 1, "name", value="Intranet"), "iis_pools[1] : Intranet est déclaré deux fois"),
        (wrong("pools", 0, "user", value="x"), "iis_pools[0].user : seule l'identité SpecificUser"),
        (wrong("pools", 1, "user", value=""), "iis_pools[1].user : manque"),
        (wrong("pools", 1, "password", value="x"), "est un compte géré"),
        (wrong("pools", 2, "password", value=""), "iis_pools[2].password : manque pour"),
        (wrong("pools", 0, "recycle_times", value=["25:00"]), "iis_pools[0].recycle_times[0] : "),
        (wrong("sites", 0, "pool", value="x"), "iis_sites[0].pool : aucun pool « x »"),
        (wrong("sites", 0, "bindings", value=[]), "iis_sites[0].bindings : vide"),
        (wrong("sites", 0, "bindings", 0, "certificate", value=""), "iis_sites[0].bindings[0].certificate : manque"),
        (wrong("sites", 0, "bindings", 0, "certificate", value="x"), "ni dans iis_certificates"),
        (wrong("sites", 0, "bindings", 1, "certificate", value="site"), "http n'en a pas"),
        (wrong("sites", 0, "bindings", 1, "port", value=70000), "70000 n'est pas un port"),
        (wrong("sites", 1, "bindings", value=[{"host": "intranet.example"}]), "est déjà à intranet"),
        (wrong("sites", 0, "physical_path", value=r"C:\X"), "tient son chemin de là"),
        (
            wrong("sites", 0, "data_folders", value=["a/b"]),
            "iis_sites[0].data_folders[0] : « a/b » n'est pas un chemin",
        ),
        (wrong("sites", 0, "data_folders", value=[r"x\..\y"]), "iis_sites[0].data_folders[0] : "),
        (wrong("sites", 0, "data_folders", value=[r"Releases\1.0"]), "contient ce que le site sert"),
        (wrong("sites", 1, "data_folders", value=["x"]), "iis_sites[1].data_folders : le site a un physical_path"),
        (wrong("sites", 0, "health_path", value="x"), "iis_sites[0].health_path : doit commencer par /"),
        (wrong("sites", 0, "virtual_directories", 1, "application", value="x"), "n'a pas d'application « x »"),
        (wrong("sites", 0, "applications", 0, "path", value="a/b"), "n'est pas un nom simple"),
        (wrong("sites", 0, "state", value="stopped"), "est déclaré arrêté"),
        (wrong("releases", 0, "site", value="x"), "aucun site « x »"),
        (wrong("releases", 0, "version", value="../x"), "n'est pas une version"),
        (wrong("releases", 0, "version", value="1.healthy"), "n'est pas une version"),
        (wrong("releases", 0, "checksum", value="ab"), "SHA-256 de 64 chiffres"),
        (wrong("releases", 0, "source", value="a.tar"), "archive .zip"),
        (wrong("releases", 0, "keep", value=1), "2 au moins"),
        (wrong("log", value={"period": "MaxSize"}), "iis_log.truncate_bytes : "),
        (wrong("log", value={"retention_days": 0}), "iis_log.retention_days : "),
        (wrong("log", value={"retention_time": "2h"}), "iis_log.retention_time : "),
        (wrong("releases", 0, "checksum", value="3" * 64), "possède déjà une version 1.0 issue d'une autre archive"),
    ],
)
def test_what_is_refused(state, changes, words):
    found = plan.problems(declaration(**changes), observation(state), baseline_tls={}, tls={})
    assert any(words in sentence for sentence in found), found


def test_two_tls_policies_must_agree(state):
    arguments = {"baseline_tls": {"TLS 1.0": False}, "tls": {"TLS 1.0": True, "TLS 1.2": True}}
    (sentence,) = plan.problems(declaration(), observation(state), language="en", **arguments)
    assert sentence.startswith("iis_tls_protocols['TLS 1.0']: is true here and false in windows_baseline_tls_protocols")
    assert plan.problems(declaration(), observation(state), baseline_tls={}, tls=arguments["tls"]) == []


def test_hsts_needs_a_system_that_has_it(state):
    state["build"] = 14393
    (sentence,) = plan.problems(declaration(), observation(state), baseline_tls={}, tls={})
    assert sentence.startswith("iis_sites[0].hsts.enabled : ")


def test_what_the_probe_is_asked():
    asked = request(declaration())
    assert asked["ports"] == "80,443,8080"
    assert asked["credentials"] == [{"pool": "ancien", "password": "secret"}]
    assert asked["releases"] == [rf"{ROOT}\releases"]
    assert rf"{ROOT}\empty" in asked["folders"]
    assert r"C:\Vieux" in asked["folders"]
    assert asked["endpoints"][0] == {
        "site": "intranet",
        "address": "127.0.0.1",
        "port": 443,
        "host": "intranet.example",
        "tls": True,
        "path": "/",
    }


def test_the_tls_policy_is_the_baselines_and_more_ciphers():
    values = registry({"TLS 1.0": False, "TLS 1.3": True}, ["RC4 128/128"], build=17763)
    assert [value["path"].rpartition("SCHANNEL\\")[2] for value in values] == [
        *[r"Protocols\TLS 1.0\Client"] * 2,
        *[r"Protocols\TLS 1.0\Server"] * 2,
        r"Ciphers\RC4 128/128",
    ]
    assert all(value["reboot"] for value in values)


def test_the_checksum_is_compared_without_case(state):
    assert planned(state, releases=[{**DECLARED["releases"][0], "checksum": SUM.upper()}]) == {}
