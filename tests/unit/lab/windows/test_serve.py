# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper that serves simulated servers by themselves."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from winrm.protocol import Protocol

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def served(tmp_path):
    command = [
        sys.executable, "-m", "lab.windows.serve", "--home", str(tmp_path / "try"), "--name", "srv01", "--host",
        "127.0.0.1", "--port", "0", "--server", "srv02=127.0.0.1:0",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Inventory: "), line
    yield process, yaml.safe_load(Path(line.removeprefix("Inventory: ").strip()).read_text())["windows"]
    process.kill()
    process.wait()
    process.stdout.close()


def test_inventory_leads_to_the_servers(served, tmp_path):
    process, inventory = served
    variables = inventory["vars"]
    for name, host in inventory["hosts"].items():
        client = Protocol(
            f"https://127.0.0.1:{host['ansible_port']}/wsman",
            transport=variables["ansible_winrm_transport"],
            username=variables["ansible_user"],
            password=variables["ansible_password"],
            ca_trust_path=variables["ansible_winrm_ca_trust_path"],
        )
        assert client.open_shell(), name
    assert stat.S_IMODE((tmp_path / "try" / "inventory.yml").stat().st_mode) == 0o600
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert '"power":"off"' in (tmp_path / "try" / "srv01" / "state.json").read_text()
