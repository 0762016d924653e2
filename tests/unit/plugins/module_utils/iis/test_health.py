# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each probe fails when its own subject does, and no other does."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.iis.health import judge
from tests.unit.plugins.module_utils.iis.conftest import ROOT, SUM, THUMBPRINT, declaration, observation


def failed(state, language="fr"):
    verdicts = judge(declaration(), observation(state), {"site": THUMBPRINT}, language=language)
    return {verdict.probe: verdict.message for verdict in verdicts if not verdict.passed}


def test_a_converged_server_is_healthy(state):
    assert failed(state) == {}


def answer(**values):
    return lambda state: state["answers"][0].update(values)


def stop_services(state):
    """Nothing runs without W3SVC: its sites and pools are then stopped, and do not answer."""
    state["services"][0]["state"] = "stopped"
    for entry in (*state["sites"], *state["pools"]):
        entry["state"] = "Stopped"
    for entry in state["answers"]:
        entry.update(error="refusé", status=0)


def stop_pool(state):
    state["pools"][0]["state"] = "Stopped"
    state["answers"][0].update(status=503, hsts="")


def stop_site(state):
    state["sites"][0]["state"] = "Stopped"
    state["answers"][0].update(error="refusé", status=0)


def swap(state):
    state["sites"][0]["bindings"][0]["certificate"] = "CD" * 20
    state["answers"][0]["certificate"] = "CD" * 20


def open_up(state):
    """Every user may write into the site."""
    state["rights"][1]["sddl"] += "(A;OICI;0x1301bf;;;BU)"


@pytest.mark.parametrize(
    ("damage", "probe", "words"),
    [
        (stop_services, "services", "W3SVC ne tourne pas"),
        (stop_pool, "pools", "le pool intranet est Stopped, non started"),
        (lambda state: state["pools"].pop(1), "pools", "le pool api n'existe pas"),
        (stop_site, "sites", "le site intranet est Stopped, non started"),
        (answer(error="délai dépassé"), "answers", "intranet ne répond pas : délai dépassé"),
        (answer(status=500), "answers", "intranet répond 500 sur /, non 200"),
        (answer(hsts=""), "hsts", "Strict-Transport-Security « - »"),
        (answer(hsts="max-age=60"), "hsts", "non max-age=31536000"),
        (swap, "certificates", f"non {THUMBPRINT}"),
        (answer(not_after="2026-12-03T08:00:00Z"), "certificates", "expire dans 10 jours"),
        (answer(old_protocols=["TLS 1.0"]), "protocols", "intranet accepte encore TLS 1.0"),
        (
            lambda state: state["sites"][0].update(physical_path=rf"{ROOT}\releases\0.9"),
            "releases",
            "sert la version 0.9, non 1.0",
        ),
        (open_up, "rights", rf"{ROOT} n'a pas les droits que demandent les pools"),
        (lambda state: state["releases"][0]["folders"][0].update(healthy=""), "releases", "jamais été trouvée"),
        (lambda state: state["retention"].update(enabled=False), "logs", "aucune tâche"),
        (lambda state: state["log"].update(oldest_days=400), "logs", "le plus vieux journal a 400 jours"),
    ],
)
def test_one_probe_fails_and_no_other(state, damage, probe, words):
    damage(state)
    found = failed(state)
    assert set(found) == {probe}, found
    assert words in found[probe]


def test_sentences_in_english(state):
    state["answers"][0]["old_protocols"] = ["TLS 1.0", "TLS 1.1"]
    assert failed(state, "en") == {"protocols": "intranet still accepts TLS 1.0, TLS 1.1"}


def test_a_log_of_age_waits_for_the_tasks_hour(state):
    state["log"]["oldest_days"] = 367
    assert failed(state) == {}


def test_a_site_without_answer_is_not_asked_for_its_headers(state):
    state["answers"] = []
    assert set(failed(state)) == {"answers"}


def test_another_archive_of_the_same_version_is_not_the_release(state):
    state["releases"][0]["folders"][0].update(unpacked="9" * 64, healthy=SUM)
    assert set(failed(state)) == {"releases"}
