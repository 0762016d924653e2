# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated server, brought to what the role sql_server declares by the role's own tasks, without Ansible."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from jinja2 import ChainableUndefined
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.cnosf.infogerance.plugins.filter.sql_server import FilterModule
from lab.windows.dispatch import run_module
from lab.windows.handlers import certificates

PASSWORD = "Lab-Mot2passe!"
ROLE = Path(__file__).parents[4] / "roles/sql_server"
FILTERS = FilterModule().filters()
OMIT = "<omit>"
ZIP = r"C:\Sources\maintenance.zip"
FOLDER = r"C:\Sauvegardes"
CONTROLLER = {"include_role", "assert", "set_fact", "include_tasks", "import_tasks"}


def declaration(**values: Any) -> dict[str, Any]:
    """What is declared unless a test says otherwise."""
    return {
        "instance": "MSSQLSERVER",
        "host": "sql01",
        "port": 1433,
        "sysadmins": ["S-1-5-32-544"],
        "source_path": r"C:\Sources",
        "logins": [{"name": r"SQL01\GL-Application"}],
        "databases": [
            {"name": "Ordre", "users": [{"login": r"SQL01\GL-Application", "roles": ["db_datareader"]}]},
            {"name": "Annuaire", "recovery_model": "Simple"},
        ],
        "maintenance": {"source": ZIP, "checksum": "0" * 64, "version": "2025-01-19 10:33:13"},
        "backup": {"directory": FOLDER},
        "operators": [{"name": "Infogerance", "email": "exploitation@ordre.example"}],
        "alert_severities": [19, 25],
        "alert_messages": [823],
        "alert_operator": "Infogerance",
        "mail": {"account": "Infogerance", "address": "sql01@ordre.example", "server": "smtp.ordre.example"},
        "audit": {"name": "Infogerance", "groups": ["FAILED_LOGIN_GROUP"]},
        **values,
    }


class Estate:
    """A server, what is declared for it, and the role's loops."""

    def __init__(self, server: Any, clock: Any) -> None:
        self.server = server
        self.clock = clock
        self.declared = declaration()
        mine = server.section("certificates")["LocalMachine"]["My"]
        self.thumbprint = next(
            name for name in mine if certificates.load(mine[name]).subject.rfc4514_string() == "CN=sql01"
        )
        self.environment = NativeEnvironment(undefined=ChainableUndefined)

    def call(self, module: str, args: dict[str, Any]) -> dict[str, Any]:
        """Run a module as the administrator; it must not fail."""
        result = run_module(self.server, module, args, user=r"SQL01\Administrateur")
        assert not result.get("failed"), (module, args, result["msg"])
        return result

    def state(self) -> dict[str, Any]:
        """What the probe tells."""
        asked = FILTERS["sql_server_request"](self.declared)
        options = {name: asked[name] for name in ("principals", "backup_directory")}
        result = self.call("cnosf.infogerance.sql_server_info", {**options, "host": "sql01"})
        return result["state"]

    def plan(self) -> dict[str, Any]:
        """What differs."""
        return FILTERS["sql_server_plan"](self.declared, self.state(), self.thumbprint, language="en")

    def failing(self) -> list[str]:
        """Names of the health probes that fail."""
        verdicts = FILTERS["sql_server_health"](self.declared, self.state(), 24, 7, language="en")
        return [verdict["probe"] for verdict in verdicts if not verdict["passed"]]

    def converge(self) -> int:
        """Run the role's loops over the plan; gives how many items were settled."""
        settled = 0
        for name in ("install", "configure", "databases", "agent"):
            found = self.plan()
            assert found["problems"] == []
            for task in yaml.safe_load((ROLE / f"tasks/{name}.yml").read_text(encoding="utf-8")):
                module = next(key for key in task if "." in key)
                if module.rpartition(".")[2] in CONTROLLER or module.endswith(("wait_for", "disk_image")):
                    continue
                for item in self._items(task, found):
                    values = {**self._variables(), "item": item, "omit": OMIT}
                    arguments = {key: self._render(value, values) for key, value in task[module].items()}
                    self.call(module, {key: value for key, value in arguments.items() if value != OMIT})
                    settled += "loop" in task
        return settled

    def _items(self, task: dict[str, Any], found: dict[str, Any]) -> list[Any]:
        if "loop" not in task:
            return [None]
        kind = task["loop"].partition("__sql_server_plan.")[2].partition(" ")[0]
        if "__sql_server_restart" in task["loop"]:
            kind = "restart"
        if kind == "services" and found["setup"]:
            return []
        items: list[Any] = found[kind]
        return items

    def _render(self, value: Any, values: dict[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._render(one, values) for one in value]
        return self.environment.from_string(value).render(values) if isinstance(value, str) else value

    def _variables(self) -> dict[str, Any]:
        defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
        return {
            **defaults,
            **{f"sql_server_{name}": value for name, value in self.declared.items()},
            "__sql_server_source": r"C:\Sources",
            "__sql_server_image": "",
            "sql_server_admin_user": "Administrateur",
            "sql_server_admin_password": PASSWORD,
            "__sql_server_thumbprint": self.thumbprint,
            "__sql_server_target": "sql01,1433",
            "__sql_server_request": FILTERS["sql_server_request"](self.declared),
            "__sql_server_maintenance_path": ZIP,
            "__sql_server_update_folder": "",
        }

    def instance(self) -> dict[str, Any]:
        """The lab's own state of the instance, to break what no module breaks."""
        return self.server.section("sql_server")["instances"]["mssqlserver"]


def trust(server: Any) -> None:
    """Put a certificate for sql01 and its authority on a server."""
    now = server.now()
    keys = [ec.generate_private_key(ec.SECP256R1()) for _key in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("Autorité", "sql01")]
    made = [
        x509.CertificateBuilder()
        .subject_name(names[number])
        .issuer_name(names[0])
        .public_key(keys[number].public_key())
        .serial_number(number + 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=400))
        .sign(keys[0], hashes.SHA256())
        for number in range(2)
    ]
    certificates.put(server, "Root", made[0])
    certificates.put(server, "My", made[1], with_key=True)
    server.save()
