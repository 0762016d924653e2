# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PowerShell that roles bring to servers: read by its grammar and held to the modules' own review list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

SCRIPTS = sorted((Path(__file__).parents[4] / "roles").glob("*/files/*.ps1"))
PARSER = Parser(Language(tree_sitter_powershell.language()))
SECRET = re.compile(r"password|secret|token|credential", re.IGNORECASE)


def nodes(node, kind):
    found = [node] if node.type == kind else []
    for child in node.children:
        found += nodes(child, kind)
    return found


@pytest.fixture(params=SCRIPTS, ids=lambda path: path.stem)
def script(request):
    source = request.param.read_text(encoding="utf-8")
    return source, PARSER.parse(source.encode()).root_node


def test_there_are_scripts():
    assert SCRIPTS


def test_the_grammar_reads_it(script):
    _source, tree = script
    broken = [node.start_point[0] + 1 for node in nodes(tree, "ERROR")]
    assert not tree.has_error, f"lines {broken}"


def test_it_is_strict_and_stops_at_errors(script):
    source, _tree = script
    assert re.search(r"^Set-StrictMode -Version [23]", source, re.MULTILINE)
    assert "$ErrorActionPreference = 'Stop'" in source


def test_commands_have_their_full_names(script):
    _source, tree = script
    names = [node.text.decode() for node in nodes(tree, "command_name")]
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z]+-[A-Z][A-Za-z0-9]+|\$[\w.]+", name)] == []


def test_no_secret_is_given_to_a_program(script):
    _source, tree = script
    programs = [node.text.decode() for node in nodes(tree, "command") if node.text.startswith(b"&")]
    assert [text for text in programs if SECRET.search(text)] == []


def test_events_name_no_file(script):
    """Names of files may say something of persons: what goes into the event log never holds one."""
    source, tree = script
    written = [
        node.text.decode()
        for node in nodes(tree, "command")
        if node.text.startswith((b"Write-Note", b"Write-EventLog"))
    ]
    thrown = re.findall(r"\bthrow\s+(.+)$", source, re.MULTILINE)
    assert [text for text in written + thrown if re.search(r"\$(file|name|_|part|target)\b", text, re.IGNORECASE)] == []


def test_it_is_plain_ascii(script):
    """Windows PowerShell reads a script without a byte order mark in the system's code page."""
    source, _tree = script
    assert source.isascii()
