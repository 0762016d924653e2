# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role domain_controller by itself: runs that are killed, and a cost that does not grow with what is declared."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime

import pytest
import yaml

from lab.playbook import lab_environment, run_playbook
from lab.windows.filesystem import FileSystem
from lab.windows.server import Nic, ServerSpec, WindowsServer
from tests.integration.support import BIN, REPOSITORY, kill_all
from tests.unit.lab.windows.bench import Bench

PASSWORD = "Lab-Mot2passe!"
MOST = 45  # remote commands with nothing to change: issue 2, section 6


@pytest.fixture
def server(tmp_path):
    spec = ServerSpec(
        administrator_password=PASSWORD,
        computer_name="DC01",
        networks=(Nic("10.42.0.11/24", "10.42.0.1", "BC:24:11:00:00:11"),),
        dns_servers=("10.42.0.1",),
    )
    made = WindowsServer("dc01", spec, tmp_path / "dc01", lambda: datetime.now(UTC))
    made.boot()
    FileSystem(made).ensure_profile("Administrateur")
    made.save()
    bench = Bench(tmp_path)
    yield bench.serve(made), made
    bench.close()


@pytest.fixture
def converge(server, tmp_path):
    """Run the role on so many groups, users, records and registry values; gives the run and its remote commands.

    With `until`, the run and all its processes are killed once it has given so many commands.
    """
    served, machine = server

    def commands():
        journal = machine.home / "journal.jsonl"
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    def runner(count, *, until=None):
        variables = {
            "domain_controller_domain": "ordre.example",
            "domain_controller_netbios_name": "ORDRE",
            "domain_controller_safe_mode_password": PASSWORD,
            "domain_controller_admin_user": "ORDRE\\Administrateur",
            "domain_controller_admin_password": PASSWORD,
            "domain_controller_organizational_units": [{"name": f"U{number}"} for number in range(count)],
            "domain_controller_groups": [{"name": f"G{number}", "members": [f"u{number}"]} for number in range(count)],
            "domain_controller_users": [{"name": f"u{number}", "password": PASSWORD} for number in range(count)],
            "domain_controller_dns_records": [
                {"zone": "ordre.example", "name": f"n{number}", "type": "A", "values": [f"10.42.1.{number}"]}
                for number in range(count)
            ],
            "domain_controller_registry": [
                {"path": "HKLM:\\SOFTWARE\\Ordre", "name": f"V{number}", "data": str(number)} for number in range(count)
            ],
        }
        playbook = tmp_path / "converge.yml"
        play = {
            "hosts": "windows",
            "gather_facts": False,
            "vars": variables,
            "roles": [{"role": "cnosf.infogerance.domain_controller"}],
        }
        playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
        before = commands()
        arguments = ["-i", str(served.inventory(tmp_path, "ntlm"))]
        environment = {"ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml"}
        if until is None:
            run = run_playbook(playbook, arguments, environment=environment, output=subprocess.DEVNULL)
            return run, commands() - before
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), str(playbook), *arguments],
            cwd=REPOSITORY,
            env=lab_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and commands() - before < until:
            time.sleep(0.05)
        assert process.poll() is None, f"the run ended before its {until}th command"
        kill_all(process)
        return None, commands() - before

    return runner


def test_a_run_that_is_killed_is_taken_up_again_and_its_cost_does_not_grow(converge):
    for until in (6, 25):
        converge(2, until=until)
    run, _commands = converge(2)
    assert (run.returncode, run.failures()) == (0, [])
    rest, few = converge(2)
    assert rest.changed() == frozenset()

    run, _commands = converge(12)
    assert run.returncode == 0
    assert run.changed()
    rest, many = converge(12)
    assert rest.changed() == frozenset()
    assert many == few <= MOST
