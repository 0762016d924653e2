# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of the role linux_baseline: every setting has a source, every file a template, nothing is said twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "linux_baseline"


def data(name):
    return yaml.safe_load((ROLE / "vars" / "main" / f"{name}.yml").read_text(encoding="utf-8"))


SETTINGS = [
    ("kernel", "__linux_baseline_sysctl", "key"),
    ("access", "__linux_baseline_ssh", "name"),
    ("audit", "__linux_baseline_audit_rules", "rule"),
    ("files", "__linux_baseline_files", "path"),
]


@pytest.mark.parametrize(("file", "variable", "key"), SETTINGS)
def test_every_setting_has_a_source_and_is_declared_once(file, variable, key):
    entries = data(file)[variable]
    assert [entry[key] for entry in entries if not entry.get("source")] == []
    names = [entry[key] for entry in entries]
    assert sorted(set(names)) == sorted(names)


def test_permissions_asked_by_a_source_name_it():
    for entry in data("files")["__linux_baseline_paths"]:
        assert entry.get("create") or entry.get("source"), entry["path"]


def test_every_template_is_written_somewhere_and_every_file_has_one():
    used = {entry["template"] for entry in data("files")["__linux_baseline_files"]}
    together = "files.json.j2"  # renders them all
    assert used | {together} == {path.name for path in (ROLE / "templates").iterdir()}


def test_the_folder_of_every_drop_in_is_made_unless_a_package_brings_it():
    variables = data("files")
    made = {entry["path"] for entry in variables["__linux_baseline_paths"] if entry.get("create")}
    # Folders of a bare Debian or Ubuntu, or of the package whose service reads the file.
    brought = {"/etc", "/etc/default", "/etc/chrony", "/etc/ssh/sshd_config.d", "/etc/sysctl.d", "/etc/modprobe.d"}
    brought |= {"/etc/security", "/usr/share/pam-configs", "/etc/sudoers.d", "/etc/profile.d", "/etc/apt/apt.conf.d"}
    brought |= {"/etc/security/limits.d", "/etc/audit", "/etc/audit/rules.d", "/etc/rsyslog.d"}
    folders = {
        str(Path(entry["path"]).parent)
        for entry in variables["__linux_baseline_files"]
        if not entry["path"].startswith("{{")
    }
    assert folders <= made | brought


def test_both_languages_say_the_same_things():
    texts = data("text")["__linux_baseline_texts"]
    assert texts["fr"].keys() == texts["en"].keys()
