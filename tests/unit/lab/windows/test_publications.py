# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins of installers are written under the last part of their address, several in one call."""

from __future__ import annotations

import sys

import pytest

from lab.windows import publications


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["publications", *map(str, arguments)])
    publications.main()


def test_each_stand_in_is_written_under_its_own_name(tmp_path, monkeypatch):
    urls = ["https://by-hand.example/outils-3.0.exe", "media:SQLServer2022-x64-FRA-Std.iso"]
    run(monkeypatch, tmp_path, *urls)
    found = {file.name: publications.by_content(file.read_bytes()).url for file in tmp_path.iterdir()}
    assert found == {"outils-3.0.exe": urls[0], "SQLServer2022-x64-FRA-Std.iso": urls[1]}


def test_an_address_without_stand_in_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "https://by-hand.example/autre.exe")
    assert "https://by-hand.example/autre.exe" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
