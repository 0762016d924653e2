# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on a print server, one probe at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.declared import Declaration
from ansible_collections.cnosf.infogerance.plugins.module_utils.printing.health import (
    PROBES,
    DeviceState,
    Job,
    QueueState,
    Readings,
    State,
    judge,
)

DECLARED = Declaration.read(
    {
        "drivers": [{"name": "d"}],
        "ports": [{"name": "p", "address": "10.42.0.52"}],
        "queues": [{"name": "Accueil", "driver": "d", "port": "p"}],
        "job_max_age_hours": 24,
    }
)
GOOD = Readings(
    State(
        "10.0.20348",
        True,
        (QueueState("Accueil", "Normal", (Job(1, 60),)), QueueState("Autre", "Error", (Job(9, 99999),))),
        (DeviceState("10.42.0.52", 9100, True),),
    )
)


def change(what, before="a", after="b"):
    return {"name": "Accueil", "property": what, "before": before, "after": after}


def with_state(**values):
    return replace(GOOD, state=replace(GOOD.state, **values))


def failed(readings, language="fr"):
    return {verdict.probe: verdict.message for verdict in judge(DECLARED, readings, language) if not verdict.passed}


def test_all_is_well_and_what_nobody_declared_is_not_judged():
    assert failed(GOOD) == {}
    assert [verdict.probe for verdict in judge(DECLARED, GOOD)] == list(PROBES)


@pytest.mark.parametrize(
    ("readings", "probe", "words"),
    [
        (with_state(spooler=False, queues=()), "spooler", "le spouleur d'impression est arrêté"),
        (replace(GOOD, services=("Spooler",)), "spooler", "ne démarre pas de lui-même"),
        (replace(GOOD, drivers=(change("driver"),)), "drivers", "Accueil (driver): a -> b"),
        (replace(GOOD, ports=(change("address"),)), "ports", "Accueil (address): a -> b"),
        (replace(GOOD, queues=(change("queue", None, "present"),)), "queues", "Accueil (queue): - -> present"),
        (replace(GOOD, queues=(change("location"),)), "queues", "location"),
        (replace(GOOD, queues=(change("driver"),)), "drivers", "driver"),
        (replace(GOOD, queues=(change("port"),)), "ports", "port"),
        (replace(GOOD, queues=(change("ipp_url"),)), "ports", "ipp_url"),
        (replace(GOOD, queues=(change("share"),)), "shares", "share"),
        (replace(GOOD, queues=(change("published"),)), "shares", "published"),
        (replace(GOOD, queues=(change("sddl"),)), "permissions", "sddl"),
        (replace(GOOD, queues=(change("duplex"),)), "defaults", "duplex"),
        (replace(GOOD, registry=({**change(""), "path": "HKLM:\\X"},)), "registry", "Accueil (HKLM:\\X): a -> b"),
        (replace(GOOD, firewall=("SMB",)), "firewall", "SMB : non conforme"),
        (with_state(queues=(QueueState("Accueil", "Paused"),)), "status", "Accueil : son état est Paused"),
        (
            with_state(queues=(QueueState("Accueil", "Normal", (Job(1, 1500), Job(2, 30), Job(3, 3000))),)),
            "jobs",
            "Accueil : 2 travaux attendent depuis plus de 24 h (le plus ancien, 50 h)",
        ),
        (
            with_state(devices=(DeviceState("10.42.0.52", 9100, False),)),
            "devices",
            "Accueil : 10.42.0.52 ne répond pas sur le port 9100",
        ),
        # A printer that is off makes its queue Offline: told once, by the probe that may warn only.
        (
            with_state(devices=(DeviceState("10.42.0.52", 9100, False),), queues=(QueueState("Accueil", "Offline"),)),
            "devices",
            "10.42.0.52",
        ),
    ],
)
def test_one_thing_wrong_fails_its_probe_and_no_other(readings, probe, words):
    found = failed(readings)
    assert set(found) == {probe}
    assert words in found[probe]
    assert set(failed(readings, "en")) == {probe}
