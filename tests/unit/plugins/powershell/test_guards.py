# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No PowerShell of ours writes before it has looked at check mode: followed in the syntax tree, through functions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

MODULES = sorted((Path(__file__).parents[4] / "plugins/modules").glob("*.ps1"))
PARSER = Parser(Language(tree_sitter_powershell.language()))
READING = re.compile(
    r"(ConvertFrom|ConvertTo|Compare|Find|ForEach|Format|Get|Group|Join|Measure|Out|Resolve|Select|Sort|Split|Test|Where|Write)-.*"
    r"|New-(Object|TimeSpan)|Import-Module|Add-Type|Set-StrictMode|Start-Sleep|Push-Location|Pop-Location",
    re.IGNORECASE,
)
"""Commands that change nothing on the server."""
WRITING_METHODS = re.compile(
    r"\.(CommitChanges|CreateSubKey|Delete\w*|Put|Save(Changes)?|SetAccessControl|SetInfo|SetValue|WriteAll\w+)\(",
    re.IGNORECASE,
)
"""Methods that do."""
LOOK = re.compile(r"CheckMode|ShouldProcess")
LEAVE = re.compile(r"\b(return|continue|break|throw)\b|ExitJson|FailJson")
OWN = {
    ("win_audit_policies", "Remove-Item"): "its own temporary export",
    ("win_baseline_info", "Remove-Item"): "its own temporary export",
}


def nodes(node, *kinds):
    found = [node] if node.type in kinds else []
    for child in node.children:
        found += nodes(child, *kinds)
    return found


def text(node):
    return node.text.decode()


def name_of(command):
    return next((text(node) for node in command.children if node.type == "command_name"), "")


def condition(statement):
    """What an if statement asks, without what it does."""
    return text(statement).partition("{")[0]


def functions(tree):
    found = {}
    for node in nodes(tree, "function_statement"):
        (name,) = nodes(node, "function_name")[:1]
        found[text(name).casefold()] = node
    return found


def writes(stem, tree):
    """Commands and method calls that change a server."""
    own = functions(tree)
    for command in nodes(tree, "command"):
        name = name_of(command)
        cmdlet = re.fullmatch(r"\w+-\w+", name) and name.casefold() not in own
        if cmdlet and not READING.fullmatch(name) and (stem, name) not in OWN:
            yield command
    for call in nodes(tree, "invokation_expression", "invocation_expression"):
        if WRITING_METHODS.search(text(call).replace("\n", " ")) and not nodes(call, "script_block"):
            yield call


def guarded(node, tree, seen=frozenset()):
    """Whether check mode is looked at on every way to a node."""
    if node.type == "command" and "-WhatIf:" in text(node):
        return True
    while node.parent is not None:
        above = node.parent
        if above.type == "if_statement" and LOOK.search(condition(above)):
            return True
        for before in above.children:
            if before.start_byte >= node.start_byte:
                break
            for statement in nodes(before, "if_statement")[:1]:
                if LOOK.search(condition(statement)) and LEAVE.search(text(statement)):
                    return True
        if above.type == "function_statement":
            name = text(nodes(above, "function_name")[0]).casefold()
            if name in seen:
                return True
            calls = [call for call in nodes(tree, "command") if name_of(call).casefold() == name]
            return bool(calls) and all(guarded(call, tree, seen | {name}) for call in calls)
        node = above
    return False


def unguarded(stem, source):
    tree = PARSER.parse(source.encode()).root_node
    return [f"line {node.start_point[0] + 1}: {text(node)}" for node in writes(stem, tree) if not guarded(node, tree)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_nothing_is_written_before_check_mode_is_looked_at(module):
    assert unguarded(module.stem, module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "module", [path for path in MODULES if not path.stem.endswith("_info")], ids=lambda path: path.stem
)
def test_a_changing_module_is_seen_to_write(module):
    source = module.read_text(encoding="utf-8")
    found = list(writes(module.stem, PARSER.parse(source.encode()).root_node))
    assert found or ".exe" in source or re.search(r"\$\w+(\.\w+)+ = ", source)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("Set-Item -Path a", 1),
        ("$key.SetValue('a', 1)", 1),
        ("if ($changed) { Set-Item -Path a }", 1),
        ("Function Set-It { Set-Item -Path a }\nSet-It", 1),
        ("Function Set-It { Set-Item -Path a }\nif (-not $module.CheckMode) { Set-It }\nSet-It", 1),
        ("Function Set-It { Set-Item -Path a }", 1),
        ("if ($module.CheckMode) { Write-Warning -Message a }\nSet-Item -Path a", 1),
        ("Set-Item -Path a\nif ($module.CheckMode) { $module.ExitJson() }", 1),
        ("if (-not $module.CheckMode) { Set-Item -Path a }", 0),
        ("if ($module.CheckMode) { $module.ExitJson() }\nSet-Item -Path a", 0),
        ("foreach ($a in $b) {\n if ($module.CheckMode) { continue }\n if ($a) { Set-Item -Path a }\n}", 0),
        ("Set-Item -Path a -WhatIf:$module.CheckMode", 0),
        ("Function Set-It { Set-Item -Path a }\nSet-It -WhatIf:$module.CheckMode", 0),
        ("Function Set-It { if ($PSCmdlet.ShouldProcess('a')) { Set-Item -Path a } }\nSet-It", 0),
        ("Get-Item -Path a", 0),
    ],
)
def test_what_it_would_find(source, count):
    assert len(unguarded("x", source + "\n")) == count
