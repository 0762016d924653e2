# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible sends is told apart, in both generations."""

from __future__ import annotations

import base64

import pytest

from lab.windows import payload
from tests.unit.lab.windows.payloads import (
    SEPARATOR,
    action,
    encoded,
    manifest_2_19,
    module_2_16,
    module_2_19,
)

BOOTSTRAP = encoded("# bootstrap")


def test_module_of_2_19():
    run = payload.decode(BOOTSTRAP, module_2_19("ansible.windows.win_ping", {"data": "x"}, check=True))
    assert isinstance(run, payload.ModuleRun)
    assert run.name == "ansible_collections.ansible.windows.plugins.modules.win_ping.ps1"
    assert (run.args["data"], run.check, run.diff, run.become, run.job) == ("x", True, False, None, None)


def test_become_and_async_of_2_19():
    become = action("become_wrapper.ps1", {"BecomePassword": "secret"}, BecomeUser="exploitant", LogonType="Batch")
    wrapper = action("async_wrapper.ps1", AsyncDir=r"%USERPROFILE%\.ansible_async", AsyncJid="j1", StartupTimeout=5)
    watchdog = action("async_watchdog.ps1", Timeout=60)
    run = payload.decode(BOOTSTRAP, module_2_19("ansible.windows.win_ping", {}, become, wrapper, watchdog))
    assert run.become == payload.Become("exploitant", "secret", "Batch")
    assert run.job == payload.AsyncJob(r"%USERPROFILE%\.ansible_async", "j1", 60)
    assert "secret" not in repr(run)


def test_files_of_2_19():
    content = b"x" * 300_000
    lines = b"".join(base64.b64encode(content[i : i + 250_000]) + b"\r\n" for i in (0, 250_000))
    put = payload.decode(BOOTSTRAP, manifest_2_19([action("winrm_put_file.ps1", Path=r"C:\x")], lines))
    assert put == payload.PutFile(r"C:\x", content)
    empty = payload.decode(BOOTSTRAP, manifest_2_19([action("winrm_put_file.ps1", Path=r"C:\x")], b""))
    assert empty == payload.PutFile(r"C:\x", b"")
    fetch = action("winrm_fetch_file.ps1", Path=r"C:\x", BufferSize=524288, Offset=5)
    assert payload.decode(BOOTSTRAP, manifest_2_19([fetch])) == payload.FetchFile(r"C:\x", 524288, 5)
    temp = action("powershell_mkdtemp.ps1", Directory="%TEMP%", Name="ansible-tmp-1")
    assert payload.decode(BOOTSTRAP, manifest_2_19([temp])) == payload.MakeTemp("%TEMP%", "ansible-tmp-1")
    home = action("powershell_expand_user.ps1", Path="~")
    assert payload.decode(BOOTSTRAP, manifest_2_19([home])) == payload.ExpandUser("~")


def test_module_of_2_16_encoded_twice():
    line = encoded(encoded("# bootstrap of the older generation"))
    run = payload.decode(line, module_2_16("ansible.windows.win_ping", {"data": "x"}, check=True))
    assert (run.name, run.args["data"], run.check) == ("ansible.windows.win_ping", "x", True)


def test_become_and_async_of_2_16():
    extra = {
        "actions": ["become_wrapper", "async_wrapper", "async_watchdog"],
        "become_user": "SYSTEM",
        "become_password": None,
        "become_flags": None,
        "async_jid": "j2",
        "async_timeout_sec": 30,
        "environment": [{"A": "1"}, {"ANSIBLE_ASYNC_DIR": r"C:\async"}],
    }
    run = payload.decode(BOOTSTRAP, module_2_16("ansible.windows.win_ping", {}, **extra))
    assert run.become == payload.Become("SYSTEM")
    assert run.job == payload.AsyncJob(r"C:\async", "j2", 30)
    assert run.environment["A"] == "1"


def test_files_of_2_16():
    script = "begin {\n$path = 'C:\\it''s'\n$fd = [System.IO.File]::Create($path)\n}\nprocess {\n}\nend {\n}"
    put = payload.decode(encoded(script), base64.b64encode(b"abc") + b"\r\n")
    assert put == payload.PutFile(r"C:\it's", b"abc")
    script = (
        "$path = 'C:\\x'\nIf (Test-Path)\n{\n$buffer_size = 524288\n$offset = 12\n"
        "$stream = New-Object -TypeName IO.FileStream($path)\n}"
    )
    assert payload.decode(encoded(script), b"") == payload.FetchFile(r"C:\x", 524288, 12)
    script = (
        "$tmp_path = [System.Environment]::ExpandEnvironmentVariables('%TEMP%')\n"
        "$tmp = New-Item -Type Directory -Path $tmp_path -Name 'ansible-tmp-2'"
    )
    assert payload.decode(encoded(encoded(script)), b"") == payload.MakeTemp("%TEMP%", "ansible-tmp-2")


@pytest.mark.parametrize(
    "wrapped",
    [
        "whoami",
        "Set-StrictMode -Version Latest\nwhoami",
        (
            "whoami; If (-not $?) { If (Get-Variable LASTEXITCODE -ErrorAction SilentlyContinue) { "
            "exit $LASTEXITCODE } Else { exit 1 } }"
        ),
    ],
)
def test_plain_commands_lose_their_wrapping(wrapped):
    assert payload.decode(encoded(wrapped), b"") == payload.RawCommand("whoami")
    assert payload.decode(encoded(encoded(wrapped)), b"") == payload.RawCommand("whoami")


def test_script_of_the_controller():
    last = action("module_wrapper.ps1", Script="probe.ps1", Environment={})
    assert payload.decode(BOOTSTRAP, manifest_2_19([last])) == payload.RunScript("probe.ps1")


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (b"{broken" + SEPARATOR + b"{}", "names no action"),
        (b"{}" + SEPARATOR + b"{broken", "not JSON"),
        (b"# wrapper" + SEPARATOR + b"[]", "not a JSON object"),
        (b"# wrapper" + SEPARATOR + b'{"module_args": {}}', "does not name its module"),
        (manifest_2_19([action("mystery.ps1")]), "mystery.ps1"),
        (
            manifest_2_19([action("mystery.ps1"), action("module_wrapper.ps1", Script="x", ForModule=True)]),
            "mystery.ps1",
        ),
        (manifest_2_19([action("module_wrapper.ps1", Script="x", ForModule=True)]), "without arguments"),
        (manifest_2_19([action("winrm_put_file.ps1", Path="x")], b"a"), "not base64"),
        (b"#!/usr/bin/python\n", "not written in PowerShell"),
    ],
)
def test_what_cannot_be_read_says_why(stdin, words):
    with pytest.raises(payload.PayloadError, match=words):
        payload.decode(BOOTSTRAP, stdin)
