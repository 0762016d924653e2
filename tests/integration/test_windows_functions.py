# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A function of Windows servers has a bad day: a lost connection, a killed run, then the next run; no secret is seen.

The functions are those of site.yml that have a Molecule scenario, whose servers are theirs here. One run of this file
tries one function, drawn by chance; INFOGERANCE_FUNCTIONS names others (``print_server,iis`` or ``all``), and
INFOGERANCE_SEED repeats a run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import time

import pytest
import yaml

from tests.integration.support import BIN, REPOSITORY, Estate, kill_all

#: Their own tests are test_estate.py and test_domain_controller.py.
ELSEWHERE = {"domain_controller", "windows_baseline"}
SEED = int(os.environ.get("INFOGERANCE_SEED") or secrets.randbelow(10_000))
MOST_COMMANDS = 40
"""Remote commands of the run that is killed, at most."""


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def functions():
    """Roles of site.yml for Windows servers that have a scenario."""
    plays = read(REPOSITORY / "playbooks" / "site.yml")
    names = [role["role"] for play in plays for role in play.get("roles", [])]
    included = [task.get("ansible.builtin.include_role", {}) for play in plays for task in play.get("tasks", [])]
    roles = [name.rpartition(".")[2] for name in [*names, *(role["name"] for role in included if role)]]
    return sorted(role for role in set(roles) - ELSEWHERE if _is_windows(role))


def _is_windows(role):
    servers = read(REPOSITORY / "molecule" / role / "servers.yml") or {"infogerance_servers": []}
    return any(server["system"].startswith("windows") for server in servers["infogerance_servers"])


def chosen():
    """The functions of this run."""
    wanted = os.environ.get("INFOGERANCE_FUNCTIONS", "")
    found = functions()
    if wanted == "all":
        return found
    return wanted.split(",") if wanted else found and [found[draw("function", len(found))]]


def draw(what, count):
    """A number below another, the same for a seed each time."""
    return int(hashlib.sha256(f"{SEED} {what}".encode()).hexdigest(), 16) % count


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("functions")
    found = Estate("functions", 5, REPOSITORY / "molecule" / "shared" / "inventory", folder)
    found.lab("down", "--purge", check=False)
    found.lab("up")
    yield found
    found.lab("down", "--purge")


class Scenario:
    """A Molecule scenario on the lab, with its first server in view."""

    def __init__(self, lab, name, folder):
        self.lab = lab
        self.folder = REPOSITORY / "molecule" / name
        self.arguments = ["-i", str(lab.inventory)]
        self.environment = {
            **lab.environment,
            "MOLECULE_SCENARIO_DIRECTORY": str(self.folder),
            "MOLECULE_SCENARIO_NAME": name,
            "MOLECULE_PROJECT_DIRECTORY": str(REPOSITORY),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(folder),
            "INFOGERANCE_SCENARIO": name,
        }

    def start(self, playbook, *words):
        """Begin a run; its output goes to a file."""
        self.log = self.lab.logs / f"{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            return subprocess.Popen(
                [str(BIN / "ansible-playbook"), str(playbook), *self.arguments, *words],
                cwd=REPOSITORY,
                env=os.environ | self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def run(self, playbook, *words):
        """Run to the end; give the exit status and the output."""
        status = self.start(playbook, *words).wait(600)
        return status, self.log.read_text(encoding="utf-8", errors="replace")

    def journals(self):
        return list((self.lab.home / "windows").glob("*/journal.jsonl"))

    def commands(self):
        """Remote commands of all servers so far."""
        return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in self.journals())

    def hosts(self):
        return [server["name"] for server in read(self.folder / "servers.yml")["infogerance_servers"]]

    def secrets(self):
        """What must be seen nowhere: the lab's password, and all that this scenario's variables call one."""
        found = {self.lab.secrets()["windows"]["password"]}
        for path in [*self.folder.glob("group_vars/*.yml"), *self.folder.glob("host_vars/*.yml")]:
            found |= set(_secrets(read(path)))
        return found

    def kept(self):
        """Everything that the lab keeps as text of its Windows servers, and its own log."""
        files = [*(self.lab.home / "windows").glob("*/*.json*"), *self.lab.home.glob("*.log")]
        return {path: path.read_text(encoding="utf-8", errors="replace") for path in files}


def _secrets(value, name=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, name)
    elif (
        isinstance(value, str)
        and "{{" not in value
        and len(value) > 7
        and name.endswith(("password", "secret", "api_key"))
    ):
        yield value


@pytest.mark.parametrize("name", chosen())
def test_a_bad_day_ends_well(lab, name, tmp_path):
    scenario = Scenario(lab, name, tmp_path)
    for playbook in (REPOSITORY / "molecule/shared/create.yml", scenario.folder / "prepare.yml"):
        if playbook.exists():
            status, text = scenario.run(playbook)
            assert status == 0, text[-4000:]
    converge = scenario.folder / "converge.yml"

    first = scenario.hosts()[draw(f"{name} server", len(scenario.hosts()))]
    lab.lab("fault", first, "drop-connection")
    before, limit = scenario.commands(), draw(f"{name} commands", MOST_COMMANDS)
    process = scenario.start(converge)
    while process.poll() is None and scenario.commands() < before + limit:
        time.sleep(0.05)
    kill_all(process)
    killed = scenario.log.read_text(encoding="utf-8", errors="replace")
    told = f"seed {SEED}: connection of {first} dropped, killed after {limit} commands\n{killed[-2000:]}"
    lab.lab("fault", first, "clear", check=False)

    status, text = scenario.run(converge, "-vvv")
    assert status == 0, f"{told}\n{text[-4000:]}"
    for secret in scenario.secrets():
        assert secret not in text, f"a secret of {name} in the output at -vvv"
        assert [str(path) for path, content in scenario.kept().items() if secret in content] == []
