# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments are judged by published documentation, in the words of Ansible's own runtime on Windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.windows import powershell_spec
from lab.windows.arguments import judge, mask
from lab.windows.dispatch import expand, full_name
from lab.windows.documentation import ModuleDoc, module_doc
from lab.windows.registry import ModuleFailure


def doc(options, **extra):
    return ModuleDoc("ns.coll.mod", options, {}, **extra)


def args(options, given_args, **extra):
    return judge(doc(options, **extra), given_args).args


def refusal(options, given_args, **extra):
    with pytest.raises(ModuleFailure) as failure:
        judge(doc(options, **extra), given_args)
    return failure.value.msg


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("str", 5, "5"), ("str", True, "True"), ("str", "x", "x"), ("str", {"a": 1}, '{"a": 1}'),
        ("int", "5", 5), ("int", 5, 5), ("float", "1.5", 1.5),
        ("bool", "yes", True), ("bool", "Off", False), ("bool", 1, True), ("bool", False, False),
        ("list", "a, b", ["a", "b"]), ("list", 5, [5]), ("list", ["a"], ["a"]), ("list", "", []),
        ("dict", '{"a": 1}', {"a": 1}), ("dict", "a=1,b=2", {"a": "1", "b": "2"}), ("dict", {"a": 1}, {"a": 1}),
        ("json", {"a": 1}, '{"a": 1}'), ("raw", {"a": 1}, {"a": 1}),
    ],
)  # fmt: skip
def test_types(kind, value, kept):
    assert args({"x": {"type": kind}}, {"x": value}) == {"x": kept}


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("int", "cinq", "argument for x is of type System.String and we were unable to convert to int"),
        ("int", [1], "System.Collections.ArrayList"),
        ("bool", "peut-être", "is not a valid boolean"),
        ("float", "x", "correct format"),
        ("dict", "x", "convert the value to a dictionary"),
        ("dict", [1], "unable to convert to dict"),
    ],
)
def test_wrong_types(kind, value, words):
    assert words in refusal({"x": {"type": kind}}, {"x": value})


def test_defaults_and_nulls():
    options = {"a": {"type": "int", "default": 3}, "b": {"type": "str"}}
    judged = judge(doc(options), {"a": None})
    assert (judged.args, judged.given) == ({"a": 3, "b": None}, frozenset())


def test_aliases_and_case():
    options = {"path": {"type": "str", "aliases": ["dest", "name"]}}
    assert args(options, {"dest": "x"}) == {"path": "x"}
    assert args(options, {"PATH": "x"}) == {"path": "x"}


def test_unknown_options_are_named_with_the_known_ones():
    options = {"path": {"type": "str", "aliases": ["dest"]}, "state": {"type": "str"}}
    assert refusal(options, {"pth": 1, "stat": 2}) == (
        "Unsupported parameters for (ns.coll.mod) module: pth, stat. Supported parameters include: path (dest), state"
    )


def test_required():
    options = {"a": {"type": "str", "required": True}, "b": {"type": "str", "required": True}}
    assert refusal(options, {"a": None}) == "missing required arguments: a, b"


def test_choices():
    options = {"state": {"type": "str", "choices": ["present", "absent"]}}
    assert (
        refusal(options, {"state": "gone"}) == "value of state must be one of: present, absent. Got no match for: gone"
    )
    judged = judge(doc(options), {"state": "Present"})
    assert judged.args == {"state": "present"}
    assert "case insensitive match" in judged.warnings[0]
    several = {"x": {"type": "list", "elements": "str", "choices": ["a", "b"]}}
    assert "must be one or more of: a, b" in refusal(several, {"x": ["a", "c"]})


def test_elements_and_suboptions():
    options = {
        "items": {
            "type": "list",
            "elements": "dict",
            "suboptions": {"n": {"type": "int", "required": True}, "d": {"type": "str", "default": "x"}},
        }
    }
    assert args(options, {"items": [{"n": "1"}]}) == {"items": [{"n": 1, "d": "x"}]}
    assert refusal(options, {"items": [{}]}) == "missing required arguments: n found in items"
    assert "found in items" in refusal(options, {"items": [{"n": 1, "m": 2}]})
    assert "argument for list entry items" in refusal(options, {"items": ["x"]})


@pytest.mark.parametrize(
    ("constraints", "given_args", "words"),
    [
        ({"mutually_exclusive": [["a", "b"]]}, {"a": 1, "b": 2}, "parameters are mutually exclusive: a, b"),
        ({"required_together": [["a", "b"]]}, {"a": 1}, "parameters are required together: a, b"),
        ({"required_one_of": [["a", "b"]]}, {}, "one of the following is required: a, b"),
        (
            {"required_if": [["c", "x", ["a", "b"]]]},
            {"c": "x", "a": 1},
            "c is x but all of the following are missing: b",
        ),
        (
            {"required_if": [["c", "x", ["a", "b"], True]]},
            {"c": "x"},
            "c is x but any of the following are missing: a, b",
        ),
    ],
)
def test_constraints(constraints, given_args, words):
    options = {name: {"type": "str"} for name in "abc"}
    assert refusal(options, given_args, constraints=constraints) == words


def test_required_by():
    options = {name: {"type": "str"} for name in "ab"}
    assert refusal(options, {"a": 1}, required_by={"a": "b"}) == "missing parameter(s) required by 'a': b"


def test_secrets_are_masked_wherever_they_show():
    options = {"password": {"type": "str", "no_log": True}}
    judged = judge(doc(options), {"password": "s3cret"})
    assert mask({"a": "the s3cret is", "b": ["s3cret"]}, judged.secrets) == {
        "a": "the ******** is",
        "b": ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"],
    }


@given(st.integers(-(2**31), 2**31 - 1))
def test_integers_survive_their_text(number):
    assert args({"x": {"type": "int"}}, {"x": str(number)}) == {"x": number}


@given(st.lists(st.text(st.characters(blacklist_characters=",", blacklist_categories=["Cs", "Z", "C"]), min_size=1)))
def test_lists_survive_their_text(items):
    assert args({"x": {"type": "list"}}, {"x": ",".join(items)}) == {"x": items}


# -- what documentation and source say -----------------------------------------------------------------------------


def test_documentation_with_fragments_sidecars_and_secrets():
    get_url = module_doc("ansible.windows.win_get_url")
    assert "url_password" in get_url.options  # from a fragment
    assert get_url.constraints["mutually_exclusive"] == [["checksum", "checksum_url"]]
    assert module_doc("ansible.windows.win_owner").options["path"]["required"] is True  # a sidecar
    assert module_doc("ansible.windows.win_user").options["password"]["no_log"] is True  # only the source says so
    assert module_doc("microsoft.ad.user").options["password"]["no_log"] is True  # not even that: by its name
    assert module_doc("ansible.windows.win_acl").check_mode is False
    assert module_doc("ansible.windows.nothing") is None
    assert module_doc("no.such.module") is None
    assert module_doc("short") is None


def test_spec_of_powershell():
    source = """
    $spec = @{
        options = @{
            name = @{ type = 'str'; required = $true; aliases = @("n") }  # a comment
            count = @{ type = "int"; default = 3 }
            list = @{
                type = 'list'
                elements = 'dict'
                options = @{ secret = @{ type = 'str'; no_log = $true } }
            }
            odd = Get-Something -With $things
        }
        mutually_exclusive = @(, @("name", "count"))
        required_if = @(@("state", "present", @("name")), @("state", "absent", @("name", "count"), $true))
        required_one_of = , @('name', 'count')
        supports_check_mode = $true
    }
    """
    spec = powershell_spec.argument_spec(source)
    assert spec["options"]["name"] == {"type": "str", "required": True, "aliases": ["n"]}
    assert spec["options"]["count"]["default"] == 3
    assert spec["options"]["list"]["options"]["secret"]["no_log"] is True
    assert spec["options"]["odd"] is powershell_spec.UNKNOWN
    assert powershell_spec.rows(spec["mutually_exclusive"]) == [["name", "count"]]
    assert powershell_spec.rows(spec["required_one_of"]) == [["name", "count"]]
    assert powershell_spec.rows(spec["required_if"])[1] == ["state", "absent", ["name", "count"], True]
    assert powershell_spec.supports_check_mode(source) is True
    assert powershell_spec.argument_spec("nothing") is None
    assert powershell_spec.supports_check_mode("Parse-Args $args -supports_check_mode $false") is False
    assert powershell_spec.supports_check_mode("nothing") is None


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("ansible_collections.ansible.windows.plugins.modules.setup.ps1", "ansible.windows.setup"),
        ("ansible.legacy.setup", "ansible.windows.setup"),
        ("ansible.legacy.stat", "ansible.windows.win_stat"),
        ("ansible.windows.win_ping", "ansible.windows.win_ping"),
        ("win_ping", "ansible.windows.win_ping"),
        ("win_unzip", "community.windows.win_unzip"),
    ],
)
def test_names_that_ansible_sends(sent, name, server):
    assert full_name(sent) == name


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        (r"%SystemRoot%\x", r"C:\Windows\x"),
        (r"%windir%\%nope%\x", r"C:\Windows\%nope%\x"),
        (r"100%\x", r"100%\x"),
        (r"%TEMP%", r"C:\Users\Administrateur\AppData\Local\Temp"),
    ],
)
def test_environment_in_paths(server, path, expanded):
    assert expand(server, path, r"SRV01\Administrateur") == expanded
