# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role that ends by requiring that nothing is left of its plan sees each list of it, and names what it holds."""

from __future__ import annotations

from pathlib import Path

import yaml

from lab.playbook import run_playbook

REPOSITORY = Path(__file__).parents[3]
ROLES = ("adsync", "ans_exchange", "iis", "sql_server")


def play(role: str) -> dict:
    file = REPOSITORY / "roles" / role / "vars" / "main.yml"
    lists = [
        name for names in yaml.safe_load(file.read_text(encoding="utf-8"))[f"__{role}_lists"].values() for name in names
    ]
    left, text = f"__{role}_left", f"__{role}_text_left[__{role}_language]"
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(file)],
        "vars": {"lists": lists, f"__{role}_rest": {name: [] for name in lists}, "infogerance_language": "fr"},
        "tasks": [
            {"ansible.builtin.assert": {"that": f"{left} | length == 0"}},
            {
                "vars": {f"__{role}_rest": {name: [{"label": name}] for name in lists}},
                "ansible.builtin.assert": {
                    "that": [
                        f"{left} | map(attribute='label') | sort == lists | sort",
                        f"lists | select('in', {text}) | length == lists | length",
                    ],
                    "fail_msg": f"{{{{ {left} }}}} {{{{ {text} }}}}",
                },
            },
        ],
    }


def test_what_is_left_of_a_plan_is_seen_and_named(tmp_path):
    playbook = tmp_path / "left.yml"
    playbook.write_text(yaml.safe_dump([play(role) for role in ROLES]), encoding="utf-8")
    with (tmp_path / "output").open("w+", encoding="utf-8") as output:
        run = run_playbook(playbook, ["-i", "localhost,", "-c", "local"], output=output)
        output.seek(0)
        assert run.returncode == 0, output.read()
