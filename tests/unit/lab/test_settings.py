# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab.yml is checked on load, and an instance's number decides its addresses."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

from lab import settings


@pytest.fixture
def declared():
    return yaml.safe_load(settings.DEFAULT_FILE.read_text())


def load(declared, tmp_path):
    file = tmp_path / "lab.yml"
    file.write_text(yaml.safe_dump(declared))
    return settings.load(file)


def test_the_shipped_settings_hold_what_the_contract_needs():
    found = settings.load()
    assert {node.site for node in found.nodes} == {"paris", "lyon"}
    assert len(found.nodes) == 3
    names = {template.name for template in found.templates}
    assert names == {"tpl-windows-2022", "tpl-windows-2016", "tpl-ubuntu-2404", "tpl-debian-12"}
    assert any(storage.shared for storage in found.storages)


def test_tokens_hold_no_more_than_their_work_needs():
    found = settings.load()
    every = {name: {p for grant in grants for p in grant.privileges} for name, grants in found.tokens.items()}
    assert all(privilege.endswith("Audit") for privilege in every["inventory"])
    assert not every["operator"] & {"Sys.Modify", "Sys.Console", "Permissions.Modify", "Datastore.Allocate"}
    assert {"Sys.Console", "Sys.Modify"} <= every["protection"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(nonsense=1), "top level has an unknown key 'nonsense'"),
        (lambda d: d["cluster"].pop("nodes"), "cluster lacks 'nodes'"),
        (lambda d: d["cluster"]["nodes"][0].update(cpus="many"), r"cluster.nodes\[0\].cpus must be int, not str"),
        (lambda d: d["cluster"]["nodes"][0].update(cpus=True), r"cluster.nodes\[0\].cpus must be int, not bool"),
        (lambda d: d["templates"][0].update(node="pve-nice-1"), "node 'pve-nice-1' is not in lab.yml"),
        (lambda d: d["templates"][0].update(system="dos_6"), "unknown system 'dos_6'"),
        (lambda d: d["templates"][0].update(storage="floppy"), "unknown storage 'floppy'"),
        (lambda d: d["templates"][1].update(vmid=9000), "template number 9000 is declared twice"),
        (lambda d: d["systems"]["debian_12"].update(family="bsd"), "family must be windows or linux"),
        (lambda d: d["prepared"].append("dos_6"), "prepared has an unknown system 'dos_6'"),
        (lambda d: d["instances"]["test"].update(number=0), "instance number 0 is declared twice"),
        (lambda d: d.update(templates={}), "templates must be list"),
        (lambda d: d["tokens"].update(operator={}), "tokens.operator must be a list"),
    ],
)
def test_a_mistake_is_named_with_its_place(declared, tmp_path, change, sentence):
    wrong = copy.deepcopy(declared)
    change(wrong)
    with pytest.raises(settings.SettingsError, match=sentence):
        load(wrong, tmp_path)


def test_the_number_decides_every_address():
    demo = settings.instance("demo")
    assert (demo.bridge, demo.bridge_address, demo.api_url) == ("ilab0", "10.42.0.1", "https://127.0.10.1:8006")
    test = settings.instance("test")
    assert (test.bridge, str(test.subnet), test.api_host) == ("ilab1", "10.43.0.0/16", "127.0.11.1")


def test_other_instances_need_a_number_of_their_own_and_remember_it(tmp_path, monkeypatch):
    monkeypatch.setenv("INFOGERANCE_LAB_HOME", str(tmp_path))
    with pytest.raises(settings.SettingsError, match="give its --number"):
        settings.instance("mine")
    with pytest.raises(settings.SettingsError, match="belongs to instance 'demo'"):
        settings.instance("mine", 0)
    with pytest.raises(settings.SettingsError, match="has number 0"):
        settings.instance("demo", 5)
    with pytest.raises(settings.SettingsError, match="must be 0 to"):
        settings.instance("mine", 999)
    with pytest.raises(settings.SettingsError, match="letters, digits"):
        settings.instance("../mine", 5)
    assert settings.instance("mine", 5).home == tmp_path / "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "instance.json").write_text(json.dumps({"number": 7}))
    assert settings.instance("mine").number == 7
