# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role linux_baseline compares: tables of cases."""

from __future__ import annotations

import ipaddress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.linux.baseline import (
    DeclarationError,
    admits,
    plan,
    split_families,
)

FILE = {"mode": "0644", "owner": "root", "group": "root", "mtime": 100.0, "sha256": sha256(b"text").hexdigest()}
UNIT = {"load": "loaded", "active": "active", "enabled": "enabled", "since": 200.0}


def state(**found):
    return {"paths": {}, "units": {}} | found


def test_nothing_declared_and_nothing_found_is_nothing_to_do():
    assert plan({}, state(firewall={"applied": True, "pending": False})).__dict__ == {
        name: {"firewall": False, "login_defs": {}}.get(name, []) for name in plan({}, state()).__dict__
    }


@pytest.mark.parametrize(
    ("found", "writable", "frozen", "absent"),
    [
        ({"value": "1", "writable": True}, [], [], []),
        ({"value": "0", "writable": True}, ["k=1"], [], []),
        ({"value": "0", "writable": False}, [], ["k"], []),
        ({"value": None, "writable": False}, [], [], ["k"]),
        (None, [], [], ["k"]),
    ],
)
def test_a_kernel_setting_is_changed_only_where_it_is_ours(found, writable, frozen, absent):
    done = plan({"sysctl": {"k": 1}}, state(sysctl={"k": found} if found else {}))
    assert (done.sysctl, done.sysctl_frozen, done.sysctl_absent) == (writable, frozen, absent)


def test_white_space_does_not_make_a_difference():
    found = {"net.ipv4.ip_local_port_range": {"value": "32768\t65535", "writable": True}}
    assert plan({"sysctl": {"net.ipv4.ip_local_port_range": "32768 65535"}}, state(sysctl=found)).sysctl == []


def test_forwarding_is_written_first_and_what_the_kernel_then_resets_is_written_again():
    redirects, forward, other = "net.ipv4.conf.all.accept_redirects", "net.ipv4.ip_forward", "kernel.sysrq"
    found = {
        redirects: {"value": "0", "writable": True},
        forward: {"value": "1", "writable": True},
        other: {"value": "0", "writable": True},
    }
    done = plan({"sysctl": dict.fromkeys([redirects, forward, other], 0)}, state(sysctl=found))
    assert done.sysctl == [f"{forward}=0", f"{redirects}=0"]
    found[forward]["value"] = "0"
    assert plan({"sysctl": dict.fromkeys([redirects, forward, other], 0)}, state(sysctl=found)).sysctl == []


@pytest.mark.parametrize(
    ("entry", "found", "differs"),
    [
        ({"mode": "0600"}, {**FILE, "mode": "0600"}, False),
        ({"mode": "0600"}, FILE, True),
        ({"mode": "0644", "group": "shadow"}, FILE, True),
        ({"mode": "0644", "owner": "www-data"}, FILE, True),
        ({"mode": "0600"}, None, False),
        ({"mode": "0755", "create": True}, None, True),
    ],
)
def test_a_path_differs_by_owner_group_and_mode_and_is_made_only_when_asked(entry, found, differs):
    done = plan({"paths": [{"path": "/p", **entry}]}, state(paths={"/p": found}))
    assert bool(done.paths) is differs


@pytest.mark.parametrize(
    ("entry", "found", "differs"),
    [
        ({}, FILE, False),
        ({}, {**FILE, "sha256": "bb"}, True),
        ({"mode": "0600"}, FILE, True),
        ({}, {**FILE, "owner": "ansible"}, True),
        ({}, None, True),
    ],
)
def test_a_file_differs_by_content_owner_and_mode(entry, found, differs):
    done = plan({"files": [{"path": "/f", **entry}], "texts": ["text"]}, state(paths={"/f": found}))
    assert bool(done.files) is differs


def test_what_differs_travels_as_one_list():
    folder = {"owner": "root", "group": "root", "mode": "0777", "mtime": 1, "sha256": None}
    declared = {
        "paths": [
            {"path": "/new", "mode": "0700", "create": True},
            {"path": "/folder", "mode": "0755"},
            {"path": "/shadow", "mode": "0640", "group": "shadow"},
        ],
        "files": [{"path": "/f", "template": "f.j2", "mode": "0440", "validate": "check %s"}, {"path": "/same"}],
        "texts": ["text", "text"],
        "unwanted": ["/gone", "/old"],
    }
    found = {"/folder": folder, "/shadow": {**FILE, "mode": "0644"}, "/same": FILE, "/old": FILE}
    assert plan(declared, state(paths=found)).path_list == [
        {"path": "/new", "kind": "directory", "owner": "root", "group": "root", "mode": "0700"},
        {"path": "/folder", "kind": "directory", "owner": "root", "group": "root", "mode": "0755"},
        {"path": "/shadow", "kind": "file", "owner": "root", "group": "shadow", "mode": "0640"},
        {"path": "/f", "kind": "file", "mode": "0440", "content": "text", "validate": "check %s"},
        {"path": "/old", "kind": "absent"},
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "differs"),
    [
        (("started", True), UNIT, False),
        (("started", True), {**UNIT, "active": "failed"}, True),
        (("started", True), {**UNIT, "enabled": "disabled"}, True),
        (("started", True), {**UNIT, "enabled": "static"}, False),
        (("started", True), {**UNIT, "load": "not-found"}, True),
        (("stopped", False), {**UNIT, "load": "not-found"}, False),
        (("started", True), None, True),
        (("stopped", False), None, False),
        (("stopped", False), {**UNIT, "active": "inactive", "enabled": "disabled"}, False),
        (("stopped", False), {**UNIT, "active": "failed", "enabled": "disabled"}, True),
        (("stopped", False), UNIT, True),
    ],
)
def test_a_unit_differs_by_what_it_does_now_and_at_boot(wanted, found, differs):
    entry = {"name": "u.service", "state": wanted[0], "enabled": wanted[1]}
    assert bool(plan({"units": [entry]}, state(units={"u.service": found})).units) is differs


@pytest.mark.parametrize(
    ("unit", "mtime", "written", "restarted"),
    [
        (UNIT, 100.0, (), []),
        (UNIT, 300.0, (), ["u.service"]),
        (UNIT, 100.0, ("/f",), ["u.service"]),
        ({**UNIT, "active": "inactive"}, 300.0, (), []),
        ({**UNIT, "load": "not-found"}, 300.0, ("/f",), []),
    ],
)
def test_a_service_older_than_its_configuration_is_restarted(unit, mtime, written, restarted):
    declared = {"files": [{"path": "/f", "unit": "u.service"}, {"path": "/g", "unit": "u.service"}]}
    found = state(paths={"/f": {**FILE, "mtime": mtime}, "/g": None}, units={"u.service": unit})
    assert plan(declared, found, written).restart == restarted


def test_only_the_groups_of_administration_are_emptied_of_strangers():
    declared = {"administration": ["sudo"], "administrators": ["alix"]}
    found = state(groups={"sudo": ["alix", "mallory"], "www-data": ["mallory"]})
    assert plan(declared, found).strangers == [{"user": "mallory", "group": "sudo"}]


def test_a_setting_of_login_defs_is_compared_as_text():
    declared = {"login_defs": {"PASS_MAX_DAYS": 365, "UMASK": "027"}}
    done = plan(declared, state(login_defs={"PASS_MAX_DAYS": "365", "UMASK": "022"}))
    assert done.login_defs == {"UMASK": "027"}
    assert done.path_list == [{"path": "/etc/login.defs", "kind": "file", "mode": "0644", "settings": {"UMASK": "027"}}]


def test_a_language_is_known_by_either_spelling():
    declared = {"locales": ["fr_FR.UTF-8", "nl_BE.UTF-8", "C.UTF-8"]}
    assert plan(declared, state(locales=["C", "C.utf8", "fr_FR.utf8"])).locales == ["nl_BE.UTF-8"]


def test_sshd_settings_are_compared_without_case():
    found = state(sshd={"permitrootlogin": "no", "loglevel": "INFO"})
    assert plan({"sshd": {"PermitRootLogin": "no", "LogLevel": "VERBOSE"}}, found).sshd == ["LogLevel"]


def test_a_pam_profile_is_missing_when_its_module_is_not_in_its_stack():
    profile = {"name": "lock", "stack": "common-auth", "module": "pam_faillock"}
    assert plan({"pam": [profile]}, state(pam={"common-auth": ["pam_unix"]})).pam == ["lock"]
    assert plan({"pam": [profile]}, state(pam={"common-auth": ["pam_faillock"]})).pam == []


@pytest.mark.parametrize(
    ("firewall", "due"),
    [
        (None, True),
        ({"applied": True, "pending": False}, False),
        ({"applied": True, "pending": True}, True),
        ({"applied": False, "pending": False}, True),
    ],
)
def test_the_firewall_is_due_until_it_is_applied_and_confirmed(firewall, due):
    assert plan({}, state(firewall=firewall)).firewall is due


@pytest.mark.parametrize(
    ("address", "networks", "admitted"),
    [
        ("10.42.0.7", [], True),
        ("10.42.0.7", ["10.42.0.0/24"], True),
        ("10.42.1.7", ["10.42.0.0/24"], False),
        ("10.42.0.7", ["10.42.0.9/24"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("10.42.0.7", ["fd00::/8"], False),
    ],
)
def test_an_address_is_admitted_by_its_networks(address, networks, admitted):
    assert admits(address, networks) is admitted


@pytest.mark.parametrize(
    ("address", "networks", "named"),
    [
        ("10.42.0.7", ["lan"], "'lan' is neither an address nor a network"),
        ("here", ["::/0"], "'here' is not an address"),
    ],
)
def test_what_is_no_network_is_named(address, networks, named):
    with pytest.raises(DeclarationError, match=named):
        admits(address, networks)


@given(st.lists(st.ip_addresses(v=4).map(lambda ip: f"{ip}/24") | st.ip_addresses(v=6).map(str), max_size=8))
def test_families_cover_the_same_addresses_without_overlap(networks):
    families = split_families(networks)
    for text in networks:
        network = ipaddress.ip_network(text, strict=False)
        kept = [ipaddress.ip_network(one) for one in families[f"ipv{network.version}"]]
        assert sum(network.subnet_of(one) for one in kept) == 1
    for texts in families.values():
        kept = [ipaddress.ip_network(one) for one in texts]
        assert not any(one.overlaps(other) for one in kept for other in kept if one is not other)
