# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every task is known to its module's documentation, and to the lab where servers run Windows."""

from __future__ import annotations

import pytest
import yaml

from tools.tasks import REPOSITORY, Place, Walk, walk

INCLUDE = "ansible.builtin.include_role: {name: cnosf.infogerance.windows_prerequisites}\n"
ROLES = sorted(path.name for path in (REPOSITORY / "roles").iterdir())


@pytest.fixture(scope="module")
def everything():
    return walk()


def test_every_task_is_known(everything):
    assert everything.problems == []


@pytest.mark.parametrize("role", ROLES)
def test_no_role_is_passed_over(role):
    found = Walk()
    found.role(REPOSITORY / "roles" / role)
    written = [
        line
        for file in (REPOSITORY / "roles" / role).glob("[th]*/**/*.yml")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith("- name: ") and not line.lstrip().startswith("- name: {")
    ]
    assert 0 < found.tasks <= len(written)


def judged(text, *, windows=True):
    found = Walk()
    found.entries(yaml.safe_load(text), Place(REPOSITORY / "roles/windows_baseline/tasks/main.yml", windows))
    return [problem.partition(": ")[2] for problem in found.problems]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            "ansible.windows.win_servce: {name: a}",
            "no installed collection documents the module ansible.windows.win_servce",
        ),
        ("ansible.windows.win_service: {nam: a, name: b}", "ansible.windows.win_service has no option nam"),
        ("ansible.windows.win_service: {state: started}", "ansible.windows.win_service needs the option name"),
        ("ansible.windows.win_service: {name: a, state: begun}", "win_service.state: 'begun' is none of"),
        (
            "ansible.windows.win_service: {name: a, state: \"{{ 'started' if x else 'begun' }}\"}",
            "win_service.state: 'begun' is none of",
        ),
        ("ansible.windows.win_service: {name: a, force_dependent_services: perhaps}", "'perhaps' is not true or false"),
        ("ansible.windows.win_reboot: {reboot_timeout: long}", "reboot_timeout: 'long' is no number"),
        ("ansible.windows.win_service: a text", "takes no free text"),
        ("ansible.windows.win_service: '{{ a }}'", "takes no free text"),
        (
            "ansible.windows.win_service: {name: a}\n  whenn: b",
            "one module is expected, not ansible.windows.win_service, whenn",
        ),
        ("ansible.windows.win_dsc: {resource_name: xNothing}", "the lab does not simulate the DSC resource xNothing"),
        (
            "ansible.windows.win_dsc: {resource_name: ADReplicationSite, Name: a, Nam: b}",
            "ansible.windows.win_dsc has no option Nam",
        ),
        (
            "ansible.windows.win_dsc: {resource_name: ADReplicationSite, Name: a, Ensure: There}",
            "win_dsc.Ensure: 'There' is none of",
        ),
        ("ansible.windows.win_dsc: {resource_name: '{{ a }}'}", "the resource's name is expected, and no template"),
        (
            "ansible.windows.win_inet_proxy: {proxy: a}",
            "the lab does not simulate ansible.windows.win_inet_proxy on Windows",
        ),
        ("ansible.builtin.copy: {src: a, dest: b}", "the lab does not simulate ansible.builtin.copy on Windows"),
        (
            "community.windows.win_scheduled_task: {name: a, triggers: [{type: daily, start: b}]}",
            "win_scheduled_task.triggers has no option start",
        ),
        ("ansible.builtin.include_tasks: nowhere.yml", "there is no file nowhere.yml"),
        ("ansible.builtin.include_role: {name: cnosf.infogerance.nobody}", "there is no role cnosf.infogerance.nobody"),
        (
            INCLUDE + "  vars: {windows_prerequisites_packages: [{name: a, source: b, checksum: c, state: there}]}",
            "windows_prerequisites.windows_prerequisites_packages.state: 'there' is none of",
        ),
        (
            INCLUDE + "  vars: {windows_prerequisites_modules: []}",
            "windows_prerequisites has no option windows_prerequisites_modules",
        ),
    ],
)
@pytest.mark.parametrize(
    "around", ["- name: x\n  {}", "- name: b\n  block: [{{name: y, rescue: [], block: []}}]\n  rescue:\n  - {}"]
)
def test_what_it_would_say(task, words, around):
    indent = "    " if "rescue" in around else "  "
    (problem,) = judged(around.format(task.replace("\n  ", "\n" + indent)))
    assert words in problem


@pytest.mark.parametrize(
    "task",
    [
        "ansible.windows.win_service: {name: a, state: '{{ whatever }}'}",
        "ansible.builtin.copy: {src: a, dest: b}\n  delegate_to: localhost",
        "ansible.windows.win_command: whoami",
        "cnosf.infogerance.windows_state_info: '{{ asked }}'",
        "ansible.builtin.set_fact: {anything: 1}",
        "ansible.builtin.meta: flush_handlers",
        'ansible.windows.win_template: {src: a, dest: b, newline_sequence: "\\r\\n"}',
        "ansible.windows.win_reboot: {}",
    ],
)
def test_what_it_lets_pass(task):
    assert judged(f"- name: x\n  {task}") == []


def test_a_task_of_linux_needs_no_handler():
    assert judged("- name: x\n  ansible.builtin.copy: {src: a, dest: b}", windows=False) == []
