# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible runs them: options, results, failures, secrets, and the documentation that promises them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.cnosf.infogerance.plugins.doc_fragments.datacenter import ModuleDocFragment
from ansible_collections.cnosf.infogerance.plugins.modules import server, server_info, snapshot
from tests.unit.plugins.datacenter.conftest import FLOORS

if TYPE_CHECKING:
    from types import ModuleType

    from tests.unit.plugins.datacenter.conftest import Estate

ROOT = Path(__file__).parents[4]


def run(
    module: ModuleType, capsys: pytest.CaptureFixture[str], options: dict[str, Any], *, check: bool = False
) -> dict[str, Any]:
    """Run a module's main in this process; answer what it prints."""
    capsys.readouterr()
    internal = {"_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}
    given = {name: value for name, value in options.items() if value is not None}
    with patch_module_args({**given, **internal}), pytest.raises(SystemExit) as ended:
        module.main()
    captured = capsys.readouterr()
    printed: dict[str, Any] = json.loads(captured.out.strip().splitlines()[-1])
    printed["stderr"] = " ".join(captured.err.split())  # where warnings go when the module runs in the controller
    assert (ended.value.code != 0) is bool(printed.get("failed"))
    return printed


def test_server(estate: Estate, web01: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    options = estate.options(**web01)
    predicted = run(server, capsys, options, check=True)
    done = run(server, capsys, options)
    again = run(server, capsys, options)
    assert (predicted["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert predicted["changes"] == done["changes"]
    assert done["server"]["power"] == "on"
    secret = estate.site.tokens["operator"]
    assert secret not in json.dumps([predicted, done, again])
    assert done["invocation"]["module_args"]["token_secret"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def test_server_below_the_contract(estate: Estate, web01: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    failed = run(server, capsys, estate.options(**{**web01, "cpus": 1}))
    assert failed["msg"] == (
        "server web01 (wordpress) would have 1 CPU, and article 3.1 of the contract asks for at least 4."
    )
    assert failed["article"] == "3.1"


def test_server_refused(estate: Estate, web01: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    failed = run(server, capsys, estate.options(**{**web01, "system": "plan9"}))
    assert failed["msg"].startswith("server web01: there is no template for the system 'plan9'")
    assert "article" not in failed


def test_server_says_what_it_waits_for(
    estate: Estate, web01: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    estate.server(**web01)
    estate.lock("web01", "backup")
    failed = run(server, capsys, estate.options(**{**web01, "cpus": 8, "lock_timeout": 0}))
    assert "is locked by 'backup'. Gave up after 0 s." in failed["msg"]
    assert "is locked by 'backup'. Waiting up to 0 s." in failed["stderr"]


@pytest.mark.parametrize("module", [server, server_info, snapshot])
def test_credentials_are_asked_for(module: ModuleType, estate: Estate, capsys: pytest.CaptureFixture[str]) -> None:
    needed = {"server": "x", "name": "x1"} if module is snapshot else {"name": "x"} if module is server else {}
    failed = run(module, capsys, estate.options(token_id=None, token_secret=None, sites=None, **needed))
    assert failed["msg"] == "one of the following is required: token_id, user"
    failed = run(module, capsys, estate.options(token_secret=None, **needed))
    assert failed["msg"] == "parameters are required together: token_id, token_secret"


def test_server_info(estate: Estate, web01: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    estate.server(**web01)
    estate.token = "inventory"
    for check in (True, False):
        found = run(server_info, capsys, estate.options(contract={"floors": FLOORS}), check=check)
        assert found["changed"] is False
        assert [item["conformity"]["state"] for item in found["servers"]] == ["conform"]
    failed = run(server_info, capsys, estate.options(names=["none"]))
    assert failed["msg"].startswith("There is no server named none here")


def test_snapshot(estate: Estate, web01: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    estate.server(**web01)
    done = run(snapshot, capsys, estate.options(server="web01", name="one"))
    assert (done["changed"], [item["name"] for item in done["snapshots"]]) == (True, ["one"])
    failed = run(snapshot, capsys, estate.options(server="web01", name="one", state="absent"))
    assert "snapshots are not removed without 'force: true': one." in failed["msg"]


# The documentation


def documentation(name: str) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    module = importlib.import_module(f"ansible_collections.cnosf.infogerance.plugins.modules.{name}")
    documented = yaml.safe_load(module.DOCUMENTATION)
    for fragment in documented["extends_documentation_fragment"]:
        attribute = fragment.removeprefix("cnosf.infogerance.datacenter").lstrip(".").upper() or "DOCUMENTATION"
        documented["options"] |= yaml.safe_load(getattr(ModuleDocFragment, attribute))["options"]
    return documented, yaml.safe_load(module.RETURN), yaml.safe_load(module.EXAMPLES)


@pytest.mark.parametrize("name", ["server", "server_info", "snapshot"])
def test_examples_use_options_that_exist(name: str) -> None:
    documented, _returned, examples = documentation(name)
    used = [task[f"cnosf.infogerance.{name}"] for task in examples if f"cnosf.infogerance.{name}" in task]
    assert used
    for options in used:
        assert set(options) <= set(documented["options"])
        assert {option for option, about in documented["options"].items() if about.get("required")} <= set(options)


def test_results_have_the_documented_keys(estate: Estate, web01: dict[str, Any]) -> None:
    _documented, returned, _examples = documentation("server_info")
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
    estate.server(**web01)
    estate.snapshot(server="web01", name="one")
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.survey import survey

    details = ["config", "pending", "agent", "snapshots"]
    found = survey(estate.options(contract={"floors": FLOORS}, details=details))[0]
    contains = returned["servers"]["contains"]
    assert set(found) == set(contains)
    for key, value in found.items():
        assert value is None or isinstance(value, kinds[contains[key]["type"]]), key
    _documented, returned, _examples = documentation("server")
    result = estate.server(**web01)
    assert set(result) - {"changed", "diff"} == set(returned) - {"article"}
    _documented, returned, _examples = documentation("snapshot")
    result = estate.snapshot(server="web01", name="one")
    assert set(result) - {"changed", "diff"} == set(returned)
    assert set(result["snapshots"][0]) == set(returned["snapshots"]["contains"])


# As shipped to a controller's Python


def test_a_playbook_creates_predicts_and_converges(estate: Estate, web01: dict[str, Any], tmp_path: Path) -> None:
    """One real run of ansible-playbook: the module is packed with its library and runs in a process of its own."""
    tasks = [
        {"name": "Create", "cnosf.infogerance.server": estate.options(**web01), "register": "made"},
        {"name": "Again", "cnosf.infogerance.server": estate.options(**web01), "register": "again"},
        {"name": "Read", "cnosf.infogerance.server_info": estate.options(names=["web01"]), "register": "seen"},
        {"name": "Shoot", "cnosf.infogerance.snapshot": estate.options(server="web01", name="one")},
        {
            "name": "Prove",
            "ansible.builtin.assert": {
                "that": [
                    "made is changed",
                    "again is not changed",
                    "seen.servers[0].address == '10.42.0.15'",
                ]
            },
        },
    ]
    playbook = tmp_path / "play.yml"
    play = {"name": "Provision", "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCALHOST_WARNING": "false"}
    playbook_command = str(Path(sys.executable).with_name("ansible-playbook"))
    interpreter = f"ansible_python_interpreter={sys.executable}"
    command = [playbook_command, "-i", "localhost,", "-e", interpreter, "--diff", str(playbook)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+server web01: cpus: 4" in done.stdout
    assert estate.site.tokens["operator"] not in done.stdout + done.stderr
    assert list(estate.vm("web01").snapshots) == ["one"]
