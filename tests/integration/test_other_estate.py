# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of the estate lives in code: another one, with other names, figures and two web servers, is served too."""

from __future__ import annotations

import subprocess

import pytest

from tests.integration.support import REPOSITORY, Estate

INVENTORY = REPOSITORY / "tests" / "integration" / "other_estate"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory):
    found = Estate("other", 3, INVENTORY, tmp_path_factory.mktemp("other"))
    found.lab("down", "--purge", check=False)
    found.lab("up")
    yield found
    found.lab("down", "--purge")


def test_it_is_provisioned_with_its_own_figures_and_places(other: Estate):
    other.converge("playbooks/provision.yml")
    hosts = other.hosts()
    assert {name: host["infogerance_server"]["site"] for name, host in hosts.items()} == {
        "annuaire": "lyon",
        "web-a": "lyon",
        "web-b": "paris",
    }
    assert {host["infogerance_server"]["conformity"]["state"] for host in hosts.values()} == {"conform"}


def test_its_own_articles_refuse_what_is_below(other: Estate):
    before = other.writes()
    below = '{"infogerance_servers": [{"name": "annuaire", "functions": ["domain_controller"], "cpus": 2}]}'
    run, text = other.play("playbooks/provision.yml", "-e", below)
    assert run.returncode != 0
    assert "2.4" in text
    assert other.writes() == before


def test_it_is_configured_and_then_left_alone(other: Estate):
    first = other.converge("site.yml")
    assert {task.host for task in first.tasks if task.status == "changed"} == {"annuaire", "web-a", "web-b"}
    again = other.converge("site.yml")
    assert [task.where for task in again.tasks if task.status == "changed"] == []


@pytest.mark.parametrize(("server", "address"), [("web-a", "10.45.0.31"), ("web-b", "10.45.0.32")])
def test_each_web_server_answers_for_its_own_site(other: Estate, server, address):
    name = f"{server}.ordre.test"
    authority = other.home / "ca" / "ca.pem"
    done = subprocess.run(
        ["curl", "-sS", "--fail", "--cacert", authority, "--resolve", f"{name}:443:{address}", f"https://{name}/"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"Ordre, {server}" in done.stdout
