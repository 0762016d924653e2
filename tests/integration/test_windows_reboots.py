# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reboots as every function makes them: several in a run, one that never ends; and a connection that is lost."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
import yaml

from lab.playbook import run_playbook
from lab.windows.filesystem import FileSystem
from lab.windows.publications import by_url
from lab.windows.server import Nic, ServerSpec, WindowsServer
from tests.unit.lab.windows.bench import Bench

PASSWORD = "Lab-Mot2passe!"
AGENT = by_url("https://downloads.agent.example/agent-2.0.0.msi")
PACKAGE = {
    "name": "Agent",
    "source": AGENT.url,
    "checksum": AGENT.sha256,
    "product_id": AGENT.product["code"],
    "version": "2.0.0",
    "reboots": True,
}
ROLE = {"name": "cnosf.infogerance.windows_prerequisites"}


@pytest.fixture
def server(tmp_path):
    spec = ServerSpec(
        administrator_password=PASSWORD,
        computer_name="SRV01",
        networks=(Nic("10.42.0.11/24", "10.42.0.1", "BC:24:11:00:00:11"),),
        dns_servers=("10.42.0.1",),
    )
    made = WindowsServer("srv01", spec, tmp_path / "srv01", lambda: datetime.now(UTC))
    made.boot()
    FileSystem(made).ensure_profile("Administrateur")
    made.save()
    bench = Bench(tmp_path)
    served = bench.serve(made)
    yield served
    made.faults.clear()
    bench.close()


@pytest.fixture
def play(server, tmp_path):
    """Run tasks on the server; gives the run and what it printed."""

    def runner(*tasks, **variables):
        playbook, log = tmp_path / "play.yml", tmp_path / "log"
        book = [{"name": "p", "hosts": "windows", "gather_facts": False, "vars": variables, "tasks": list(tasks)}]
        playbook.write_text(yaml.safe_dump(book), encoding="utf-8")
        with log.open("w", encoding="utf-8") as output:
            run = run_playbook(
                playbook,
                ["-i", str(server.inventory(tmp_path, "ntlm")), "-vvv"],
                environment={"ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml"},
                output=output,
                timeout=120,
            )
        return run, log.read_text(encoding="utf-8")

    return runner


def include(**arguments):
    return {"name": "Prerequisites", "ansible.builtin.include_role": {**ROLE, **arguments}}


def boots(server):
    """How often Ansible asked for a reboot."""
    return sum("shutdown" in str(entry.get("command", "")).casefold() for entry in server.server.read_journal())


def test_a_server_that_reboots_three_times_ends_converged(server, play):
    server.server.reboot_pending("Windows Update")
    server.server.save()
    run, text = play(include(), include(tasks_from="reboot"), windows_prerequisites_packages=[PACKAGE])
    assert run.returncode == 0, text[-3000:]
    assert boots(server) == 3
    assert not server.server.pending_reboot
    run, text = play(include(), windows_prerequisites_packages=[PACKAGE])
    assert (run.returncode, run.changed()) == (0, frozenset()), text[-3000:]


def test_a_server_that_hangs_is_named_with_the_step_and_the_remedy(server, play):
    server.server.faults.set("reboot-hang")
    run, text = play(include(), windows_prerequisites_packages=[PACKAGE], windows_prerequisites_reboot_timeout=8)
    assert run.returncode != 0
    said = " ".join(text.split())
    assert "srv01 : le serveur n'est pas revenu du redémarrage en 8 s" in said.replace("''", "'")
    assert "installation de Agent" in said
    assert "redémarrez-le depuis le centre de données, puis relancez" in said
    server.server.faults.clear()
    deadline = time.monotonic() + 30
    while server.server.power != "on" and time.monotonic() < deadline:
        time.sleep(0.1)
    run, text = play(include(), windows_prerequisites_packages=[PACKAGE])
    assert run.returncode == 0, text[-3000:]
    assert not server.server.pending_reboot


@pytest.mark.parametrize("strike", [1, 4])
def test_a_lost_connection_is_named_and_the_next_run_converges(server, play, strike):
    server.server.faults.set("drop-connection", strike)
    run, text = play(
        include(), windows_prerequisites_features=["Telnet-Client"], windows_prerequisites_packages=[PACKAGE]
    )
    if run.returncode:
        assert [task.host for task in run.failures()] == ["srv01"]
        assert run.failures()[0].task in text
    server.server.faults.clear()
    run, text = play(
        include(), windows_prerequisites_features=["Telnet-Client"], windows_prerequisites_packages=[PACKAGE]
    )
    assert run.returncode == 0, text[-3000:]
    run, _text = play(
        include(), windows_prerequisites_features=["Telnet-Client"], windows_prerequisites_packages=[PACKAGE]
    )
    assert run.changed() == frozenset()
