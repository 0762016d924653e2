# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figure of PowerShell lines that the README tells is counted, and only in one place."""

from __future__ import annotations

from tools import figures


def test_code_is_counted_and_nothing_else():
    assert figures.lines_of("#!powershell\n\n<#\n.SYNOPSIS\n#>\n$a = 1 # one\n\n  # a comment\nif ($a) {\n}\n") == 3


def test_modules_are_counted(tmp_path):
    (tmp_path / "a.ps1").write_text("$a = 1\n" * 1200, encoding="utf-8")
    (tmp_path / "b.ps1").write_text("$a = 1\n", encoding="utf-8")
    (tmp_path / "b.yml").write_text("DOCUMENTATION: {}\n", encoding="utf-8")
    assert figures.powershell(tmp_path) == "2 modules, 1,201 lines"


def test_the_readme_tells_a_figure():
    readme = (figures.REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(figures.FIGURE.findall(readme)) == 1
