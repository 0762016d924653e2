# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's archive holds what a user runs and nothing else, and works where only it is installed."""

from __future__ import annotations

import os
import subprocess
import tarfile

import pytest

from tests.integration.support import BIN, REPOSITORY

UNSHIPPED = ("lab/", "tests/", "molecule/", "tools/", "benchmarks/", ".venv/", ".ci/", "inventories/lab/", "Makefile")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    subprocess.run(
        [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (found,) = folder.glob("cnosf-infogerance-*.tar.gz")
    return found


def test_it_ships_no_lab_and_no_tests(archive):
    with tarfile.open(archive) as content:
        names = content.getnames()
    assert [name for name in names if name.startswith(UNSHIPPED)] == []
    for wanted in ("LICENSE", "playbooks/site.yml", "plugins/modules/server.py", "roles/wordpress/tasks/main.yml"):
        assert wanted in names


def test_it_is_used_from_an_empty_place(archive, tmp_path):
    """Nothing of the checkout is visible: documentation, inventory options and playbooks are found in the archive."""
    place = tmp_path / "place"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE")} | {
        "ANSIBLE_COLLECTIONS_PATH": str(place),
        "HOME": str(tmp_path),
    }

    def run(*words):
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("ansible-galaxy", "collection", "install", str(archive), "-p", str(place), "--no-deps", "--offline")
    assert str(place) in run("ansible-galaxy", "collection", "list", "cnosf.infogerance")
    assert "datacenter" in run("ansible-doc", "-t", "inventory", "-l", "cnosf.infogerance")
    assert "server" in run("ansible-doc", "-l", "cnosf.infogerance")
    for playbook in ("site", "provision"):
        run("ansible-playbook", "-i", "localhost,", "--syntax-check", f"cnosf.infogerance.{playbook}")
