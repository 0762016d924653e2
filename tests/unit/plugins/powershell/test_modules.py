# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our PowerShell, read by its grammar: nothing here was executed on Windows, so what can be checked without it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter_powershell
import yaml
from tree_sitter import Language, Parser

from lab.windows.powershell_spec import argument_spec

MODULES = sorted((Path(__file__).parents[4] / "plugins/modules").glob("*.ps1"))
PARSER = Parser(Language(tree_sitter_powershell.language()))

READING = frozenset(
    (
        *("ConvertFrom", "ConvertTo", "ForEach", "Get", "Group", "Import", "Join", "Measure", "New-Object", "Out-Null"),
        *("Protect", "Resolve", "Select", "Sort", "Split", "Test", "Where", "Write"),
    )
)
"""Verbs of commands that change nothing on the server; New-Object makes an object in memory."""

OWN_FILES = {("win_baseline_info", "Remove-Item"): "its own temporary export"}
"""Commands of reading modules that change nothing but what the module itself made."""

PROGRAMS = {
    "dcdiag.exe": "only its silence counts",
    "pnputil.exe": "only its exit code counts",
    "w32tm.exe": "its answer is a server's name",
    "keyscan.exe": "ssh-keyscan, whose answer is keys in the format of sshd(8)",
    "secedit.exe": "what is read is the file it exports, whose keys and SIDs are the same everywhere",
    "tzutil.exe": "its answer is the time zone's key in the registry",
    "powercfg.exe": "what is read of its sentence is the GUID",
    "auditpol.exe": "what is read is the file of /backup, which holds identifiers and numbers",
}
"""Programs whose output is read, and why that is proof against the language of Windows."""

LOCALISED = re.compile(
    r"\b(auditpol|repadmin|netsh|net|sc|dsquery|gpresult|schtasks|wmic|nltest)(\.exe)?\b", re.IGNORECASE
)
"""Programs whose output is translated: our modules use cmdlets and identifiers instead."""


def nodes(node, kind):
    """All nodes of one kind below a node."""
    found = [node] if node.type == kind else []
    for child in node.children:
        found += nodes(child, kind)
    return found


def text(node):
    return node.text.decode()


@pytest.fixture(params=MODULES, ids=lambda path: path.stem)
def module(request):
    source = request.param.read_text(encoding="utf-8")
    return request.param, source, PARSER.parse(source.encode()).root_node


def commands(tree):
    return [text(node) for node in nodes(tree, "command_name")]


def own_functions(tree):
    return {text(node).casefold() for node in nodes(tree, "function_name")}


def test_the_grammar_reads_it(module):
    _path, source, tree = module
    broken = [node.start_point[0] + 1 for node in nodes(tree, "ERROR")]
    assert not tree.has_error, f"lines {broken}"
    assert source.startswith("#!powershell\n")


def test_it_is_strict_and_stops_at_errors(module):
    _path, source, _tree = module
    assert re.search(r"^Set-StrictMode -Version [23]", source, re.MULTILINE)
    assert "$ErrorActionPreference = 'Stop'" in source


def test_commands_have_their_full_names(module):
    _path, _source, tree = module
    allowed = own_functions(tree)
    strange = [
        name
        for name in commands(tree)
        if not re.fullmatch(r"[A-Z][A-Za-z]+-[A-Z][A-Za-z0-9]+", name)
        and name.casefold() not in allowed
        and not name.startswith('"$env:SystemRoot')
        and not name.startswith("$")
    ]
    assert strange == []


def test_parameters_have_their_full_names(module):
    _path, _source, tree = module
    short = {"-f", "-ea", "-wa", "-ov", "-n", "-p", "-eq"}
    for command in nodes(tree, "command"):
        given = [text(node) for node in nodes(command, "command_parameter")]
        assert not short.intersection(given), text(command)


def test_no_program_of_translated_output(module):
    _path, _source, tree = module
    for name in commands(tree):
        assert not LOCALISED.fullmatch(name.strip("\"'")), name
    for command in nodes(tree, "command"):
        head = text(command).split("\n")[0]
        programs = re.findall(r"([A-Za-z0-9_]+\.exe)", head)
        assert all(program in PROGRAMS for program in programs), head


def test_no_secret_on_a_command_line(module):
    _path, _source, tree = module
    for command in nodes(tree, "command"):
        if ".exe" in text(command):
            assert not re.search(r"pass|secret|token|credential", text(command), re.IGNORECASE), text(command)


def test_a_reading_module_only_reads(module):
    path, _source, tree = module
    if not path.stem.endswith("_info"):
        return
    allowed = own_functions(tree)
    for name in commands(tree):
        if name.casefold() in allowed or name.startswith(('"$env:SystemRoot', "$", "Set-StrictMode")):
            continue
        if (path.stem, name) in OWN_FILES:
            continue
        assert name in READING or name.partition("-")[0] in READING, f"{path.stem} runs {name}"


def test_a_changing_module_knows_check_mode(module):
    path, source, _tree = module
    assert "supports_check_mode = $true" in source
    if not path.stem.endswith("_info"):
        assert "$module.CheckMode" in source
        assert "$module.Diff" in source


def test_the_documentation_has_the_options_of_the_code(module):
    path, source, _tree = module
    documented = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert documented["module"] == path.stem
    compare(documented.get("options") or {}, (argument_spec(source) or {}).get("options") or {}, path.stem)


def compare(documented, coded, where):
    assert set(documented) == set(coded), where
    for name, option in coded.items():
        own = documented[name]
        place = f"{where}.{name}"
        assert own["type"] == option.get("type", "str"), place
        assert own.get("elements") == option.get("elements"), place
        assert bool(own.get("required")) == bool(option.get("required")), place
        assert (own.get("default") or None) == (option.get("default") or None), place
        assert sorted(own.get("choices", [])) == sorted(option.get("choices", [])), place
        assert bool(own.get("no_log")) == bool(option.get("no_log")) or "no_log" in option, place
        compare(own.get("suboptions") or {}, option.get("options") or {}, place)
