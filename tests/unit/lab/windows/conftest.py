# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Simulated servers for tests, and modules run on them as the wire would run them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.windows.dispatch import full_name, run_module
from lab.windows.documentation import module_doc
from lab.windows.filesystem import FileSystem
from lab.windows.server import Nic, ServerSpec, WindowsServer

PASSWORD = "Lab-Mot2passe!"

# What Ansible's runtime adds to any result, documented in its own pages and not in each module's.
COMMON = {
    "changed", "failed", "msg", "rc", "stdout", "stderr", "stdout_lines", "stderr_lines", "diff", "warnings",
    "invocation", "skipped", "exception", "ansible_facts", "deprecations",
}  # fmt: skip

# Where the published documentation itself is wrong about a result; everything else must agree with it.
DEFECTS = {
    "ansible.windows.win_reg_stat.value",  # said to be text, is a number for REG_DWORD
    "ansible.windows.win_reg_stat.raw_value",
    "ansible.windows.win_hotfix.reboot_required",  # said to be text, is a boolean
    "community.windows.win_scheduled_task_stat.settings.multiple_instances",  # misspelt "mulitple_instances"
    "community.windows.win_scheduled_task_stat.settings.run_only_if_idle",  # misspelt "run_only_id_idle"
}

# Documented as one dictionary, given as a dictionary of such dictionaries by id.
KEYED = {"ansible.windows.win_updates.updates", "ansible.windows.win_updates.filtered_updates"}
# filtered_updates has what updates has, "in addition to" the reasons: its documentation says so in words only.
DEFECTS |= {
    f"ansible.windows.win_updates.filtered_updates.{key}"
    for key in ("id", "title", "kb", "categories", "installed", "downloaded")
}

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,), "string": (str,), "path": (str,), "bool": (bool,), "boolean": (bool,), "int": (int,),
    "integer": (int,), "long": (int,), "float": (int, float), "list": (list,), "dict": (dict,), "dictionary": (dict,),
    "complex": (dict, list), "raw": (object,), "json": (str,),
}  # fmt: skip


class Clock:
    """Time that tests turn by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **delta: float) -> None:
        self.moment += timedelta(**delta)


def check_returns(module: str, result: dict[str, Any]) -> None:
    """Compare a result with the module's RETURN documentation: no key of its own, and the types promised."""
    doc = module_doc(full_name(module))
    assert doc is not None, module
    _compare(doc.returns, {key: value for key, value in result.items() if key not in COMMON}, module)


def _compare(documented: dict[str, Any], actual: dict[str, Any], where: str) -> None:
    undocumented = sorted(key for key in set(actual) - set(documented) if f"{where}.{key}" not in DEFECTS)
    assert not undocumented, f"{where} returns {undocumented}, which its documentation does not know"
    for key, value in actual.items():
        if f"{where}.{key}" in DEFECTS:
            continue
        promised = documented[key]
        kind = str(promised.get("type", "raw")).lower()
        if value is None:
            continue
        assert isinstance(value, _TYPES.get(kind, (object,))), f"{where}.{key} is {value!r}, documented as {kind}"
        inner = promised.get("contains")
        if isinstance(inner, dict):
            entries = value if isinstance(value, list) else [value]
            if isinstance(value, dict) and f"{where}.{key}" in KEYED:
                entries = list(value.values())
            for entry in entries:
                if isinstance(entry, dict):
                    _compare(inner, entry, f"{where}.{key}")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_server(tmp_path, clock):
    """Make a booted server: ``make_server("dc01", system="windows_2016")``."""

    def make(name: str = "srv01", **options: Any) -> WindowsServer:
        spec = ServerSpec(
            **{
                "administrator_password": PASSWORD,
                "computer_name": name.upper(),
                "networks": (Nic("10.42.0.11/24", "10.42.0.1", "BC:24:11:00:00:11"),),
                "dns_servers": ("10.42.0.1",),
                **options,
            }
        )
        server = WindowsServer(name, spec, tmp_path / name, clock)
        server.boot()
        FileSystem(server).ensure_profile("Administrateur")  # the first logon's work
        server.save()
        return server

    return make


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def run():
    """Run a module through the wire's own dispatcher and hold its result against its documentation.

    ``run(server, "ansible.windows.win_feature", {...}, check=False)``; ``fails=True`` when it must fail.
    """

    def runner(
        server: WindowsServer,
        module: str,
        args: dict[str, Any] | None = None,
        *,
        check: bool = False,
        diff: bool = False,
        user: str | None = None,
        fails: bool = False,
    ) -> dict[str, Any]:
        before = (server.home / "state.json").read_text(encoding="utf-8")
        account = user or f"{server.computer_name}\\Administrateur"
        result = run_module(server, module, args or {}, check=check, diff=diff, user=account)
        assert bool(result.get("failed", False)) is fails, result
        if check:
            assert (server.home / "state.json").read_text(encoding="utf-8") == before, "check mode wrote to the state"
        if not fails and not result.get("skipped"):
            check_returns(module, result)
        return result

    return runner


@pytest.fixture
def twice(run):
    """Run a module in check mode, for real and again: predicted, changed, then unchanged. Gives the second result."""

    def runner(server: WindowsServer, module: str, args: dict[str, Any], **options: Any) -> dict[str, Any]:
        predicted = run(server, module, args, check=True, **options)
        assert predicted["changed"] is True, predicted
        result = run(server, module, args, **options)
        assert result["changed"] is True, result
        again = run(server, module, args, **options)
        assert again["changed"] is False, again
        assert run(server, module, args, check=True, **options)["changed"] is False
        return result

    return runner
