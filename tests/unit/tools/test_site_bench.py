# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server costs is counted by function, held against its budget, and measured with ten more of each kind."""

from __future__ import annotations

import yaml

from benchmarks import _ten, site
from lab.playbook import PlaybookRun, TaskRun

ROLES = site.REPOSITORY / "roles"


def task(role, number, *, host="sql01", item=None, action="ansible.windows.win_ping"):
    path = f"/x/roles/{role}/tasks/main.yml:{number}"
    return TaskRun(host, "p", f"{role} {number}", action, path, False, item, "ok", 0.1, False)


def test_what_a_function_includes_is_its_own():
    tasks = [
        task("windows_baseline", 1),
        task("sql_server", 1),
        task("windows_prerequisites", 1),
        task("sql_server", 2),
    ]
    assert site.parts_of(tasks) == {"windows_baseline": 1, "sql_server": 3}


def shown(capsys, count, **roles):
    tasks = tuple(task(role, number) for role, most in roles.items() for number in range(most))
    status = site.show(PlaybookRun(0, 1.0, tasks), {"sql01": count}, {"sql01"})
    return status, [line.split() for line in capsys.readouterr().out.splitlines()[1:]]


def test_within_all_budgets(capsys):
    status, lines = shown(capsys, 70, windows_baseline=25, sql_server=45)
    assert status == 0
    assert lines == [
        ["sql01", "windows_baseline", "25", "25"],
        ["sql01", "sql_server", "45", "45"],
        ["sql01", "in", "all", "70", "70", "1"],
    ]


def test_each_budget_can_be_passed(capsys):
    assert shown(capsys, 70, sql_server=46)[0] == 1
    assert shown(capsys, 70, windows_baseline=26)[0] == 1
    assert shown(capsys, 71, sql_server=1)[0] == 1


def test_linux_has_no_budget(capsys):
    tasks = tuple(task("wordpress", number, host="web01") for number in range(99))
    assert site.show(PlaybookRun(0, 1.0, tasks), {"web01": 99}, set()) == 0
    assert "99" in capsys.readouterr().out


def test_ten_more_of_each_kind_beside_what_is_declared():
    found = _ten.more({"dc01": {"domain_controller_groups": [{"name": "GG"}]}, "sql01": {}})
    names = [group["name"] for group in found["domain_controller_groups"]]
    assert names == ["GG", *(f"GG-Banc-{number}" for number in range(1, 11))]
    assert found["domain_controller_dns_records"][9]["values"] == ["10.99.0.10"]
    assert found["domain_controller_dns_records"][0]["zone"] == "{{ infogerance_domain }}"


def test_the_ten_are_what_the_roles_take():
    for name, item in _ten.ITEMS.items():
        (role,) = [path.name for path in ROLES.iterdir() if name.startswith(f"{path.name}_")]
        specification = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
        option = specification["argument_specs"]["main"]["options"][name]
        assert set(item) <= set(option["options"]), name
        assert {key for key, inner in option["options"].items() if inner.get("required")} <= set(item), name
