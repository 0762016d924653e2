# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WinRM endpoint, met by real pywinrm: logons, shells, modules, files, reboots, faults as Windows words them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import time

import pytest
import requests
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from lab.windows import network
from lab.windows.faults import Faults
from lab.windows.filesystem import FileSystem
from tests.unit.lab.windows.bench import Bench
from tests.unit.lab.windows.conftest import PASSWORD
from tests.unit.lab.windows.payloads import action, encoded, manifest_2_19, module_2_16, module_2_19

BOOTSTRAP = encoded("# bootstrap")


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def served(bench, server):
    return bench.serve(server)


def execute(client, line, stdin=None, shell=None):
    """Run one command the way Ansible's connection plugin does; gives stdout, stderr and exit code."""
    own = shell or client.open_shell(codepage=65001)
    program, *arguments = line.split(" ")
    command = client.run_command(own, program, arguments, console_mode_stdin=stdin is None)
    for start in range(0, len(stdin or b""), 200_000):
        piece = stdin[start : start + 200_000]
        client.send_command_input(own, command, piece, end=start + 200_000 >= len(stdin))
    try:
        stdout, stderr, code = client.get_command_output(own, command)
    finally:
        client.cleanup_command(own, command)
    if shell is None:
        client.close_shell(own)
    return stdout.decode(), stderr.decode(), code


def module(client, payload):
    return json.loads(execute(client, BOOTSTRAP, payload)[0])


# -- logons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_logon(served, transport):
    stdout, _stderr, code = execute(served.client(transport), encoded("whoami"))
    assert (stdout.strip(), code) == (r"srv01\administrateur", 0)


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
@pytest.mark.parametrize("user", [r"SRV01\Administrateur", r".\administrateur"])
def test_logon_with_the_computer_s_name(served, transport, user):
    assert execute(served.client(transport, user), encoded("hostname"))[0].strip() == "SRV01"


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
@pytest.mark.parametrize(("user", "password"), [("Administrateur", "faux"), ("personne", PASSWORD), ("Invité", "")])
def test_wrong_credentials(served, transport, user, password):
    with pytest.raises(InvalidCredentialsError):
        served.client(transport, user, password).open_shell()


def test_only_administrators_and_remote_managers_get_in(served, run):
    run(served.server, "ansible.windows.win_user", {"name": "lecteur", "password": PASSWORD})
    client = served.client("basic", "lecteur")
    with pytest.raises(InvalidCredentialsError):
        client.open_shell()
    run(served.server, "ansible.windows.win_group_membership", {
        "name": "Utilisateurs de gestion à distance", "members": ["lecteur"],
    })  # fmt: skip
    client.open_shell()


def test_basic_can_be_switched_off(served):
    served.server.section("winrm")["auth"]["Basic"] = False
    with pytest.raises(InvalidCredentialsError):
        served.client("basic").open_shell()
    served.client("ntlm").open_shell()


def test_negotiate_can_be_switched_off(served):
    served.server.section("winrm")["auth"]["Negotiate"] = False
    with pytest.raises(InvalidCredentialsError):
        served.client("ntlm").open_shell()
    served.client("basic").open_shell()


def test_local_administrators_have_no_rights_over_the_network_where_the_policy_filters_them(served, run):
    run(served.server, "ansible.windows.win_user", {"name": "secours", "password": PASSWORD})
    run(served.server, "ansible.windows.win_group_membership", {"name": "Administrateurs", "members": ["secours"]})
    served.client("ntlm", "secours").open_shell()
    key = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"
    for name, value, refused in (
        ("LocalAccountTokenFilterPolicy", 0, ["secours"]),
        ("FilterAdministratorToken", 1, ["secours", "Administrateur"]),
    ):
        run(
            served.server,
            "cnosf.infogerance.win_registry_values",
            {"values": [{"path": key, "name": name, "data": value}]},
        )
        for account in ("secours", "Administrateur"):
            client = served.client("ntlm", account)
            with pytest.raises(InvalidCredentialsError) if account in refused else contextlib.nullcontext():
                client.open_shell()


def test_a_listener_moves_to_another_port(served, run):
    """The old port refuses, whoever is connected to it is cut off, and the firewall judges the new one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    old = served.client("ntlm")
    shell = old.open_shell(codepage=65001)
    move = {"https_port": port, "https_trial": True}

    def call(client, options):
        arguments = module_2_19("cnosf.infogerance.win_winrm_service", options)
        return module(client, arguments)

    assert call(old, move)["changes"][0]["name"] == "https_listener IP:10.42.0.11"
    new = served.client("ntlm", port=port)
    execute(new, encoded("hostname"))
    execute(old, encoded("hostname"), shell=shell)  # both answer while it is on trial
    assert [change["name"] for change in call(new, {"https_port": port})["changes"]] == [
        "https_listener",
        "https_listener IP:10.42.0.11",
    ]
    execute(new, encoded("hostname"))
    with pytest.raises(WinRMTransportError, match="404"):
        execute(old, encoded("hostname"), shell=shell)
    with pytest.raises(requests.exceptions.ConnectionError):
        served.client("ntlm").open_shell()
    served.call(served.endpoint.reboot())
    execute(served.client("ntlm", port=port), encoded("hostname"))
    assert network.listening(served.server) >= {5985, port}
    assert 5986 not in network.listening(served.server)


def test_a_port_changed_through_its_own_listener_loses_the_connection(served):
    """What the role must not do: the answer is still sent, and nothing after it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(WinRMTransportError, match="404"):
        module(served.client("ntlm"), module_2_19("cnosf.infogerance.win_winrm_service", {"https_port": port}))


def test_policy_on_basic_overrides_the_service_s_setting(served, run):
    policy = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WinRM\Service"
    run(
        served.server, "ansible.windows.win_regedit", {"path": policy, "name": "AllowBasic", "data": 0, "type": "dword"}
    )
    with pytest.raises(InvalidCredentialsError):
        served.client("basic").open_shell()
    served.client("ntlm").open_shell()


def test_shells_left_behind_are_forgotten(served, monkeypatch):
    client = served.client()
    forgotten = client.open_shell()
    monkeypatch.setattr("lab.windows.endpoint.IDLE_TIMEOUT", 0.0)
    client.open_shell()
    with pytest.raises(WSManFaultError, match="shell was not found"):
        client.run_command(forgotten, "whoami")


def test_untrusted_certificate(served, tmp_path):
    from lab.authority import Authority

    client = served.client()
    client.transport.ca_trust_path = str(Authority(tmp_path / "other").ca_file)
    with pytest.raises(requests.exceptions.SSLError):
        client.open_shell()


def test_certificate_served_is_the_one_in_the_store(served, run):
    info = run(served.server, "ansible.windows.win_certificate_info")["certificates"]
    assert [entry["issued_to"] for entry in info] == ["srv01"]
    assert info[0]["has_private_key"] is True
    listeners = served.server.section("winrm_listeners")["listeners"]
    assert info[0]["thumbprint"] in [listener["certificate_thumbprint"] for listener in listeners]


def test_firewall_can_lock_everybody_out(served, run, monkeypatch):
    monkeypatch.setattr(served.endpoint, "_client", lambda _request: "10.42.0.1")
    served.client().open_shell()
    own = {"name": "Windows Remote Management (HTTPS-In)", "state": "absent"}
    run(served.server, "community.windows.win_firewall_rule", own)
    with pytest.raises(requests.exceptions.ConnectionError):
        served.client().open_shell()
    assert "lets nobody at 10.42.0.1 in on port 5986" in served.server.read_journal()[-1]["message"]


# -- operations ----------------------------------------------------------------------------------------------------


def test_modules_of_both_generations(served):
    client = served.client()
    for payload in (
        module_2_19("ansible.windows.win_ping", {"data": "x"}),
        module_2_16("ansible.windows.win_ping", {"data": "x"}),
    ):
        result = module(client, payload)
        assert (result["ping"], result["changed"]) == ("x", False)


def test_misspelt_argument_is_refused(served):
    result = module(served.client(), module_2_19("ansible.windows.win_ping", {"dat": "x"}))
    assert result["failed"] is True
    assert "Unsupported parameters for (ansible.windows.win_ping) module: dat" in result["msg"]


def test_unknown_module_is_named(served):
    result = module(served.client(), module_2_19("community.windows.win_say", {"msg": "x"}))
    assert result["msg"].startswith("The lab does not simulate the module community.windows.win_say")


def test_check_mode_reaches_the_module(served):
    args = {"path": r"C:\x", "state": "directory"}
    assert module(served.client(), module_2_19("ansible.windows.win_file", args, check=True))["changed"] is True
    assert FileSystem(served.server).get(r"C:\x") is None
    journal = served.server.read_journal()
    assert [(entry["module"], entry["check"]) for entry in journal] == [("ansible.windows.win_file", True)]


def test_large_envelopes_up_to_the_limit(served):
    client = served.client()
    content = bytes(range(256)) * 4000  # 1 MB in pieces of 250,000 bytes
    lines = b"".join(base64.b64encode(content[i : i + 250_000]) + b"\r\n" for i in range(0, len(content), 250_000))
    payload = manifest_2_19([action("winrm_put_file.ps1", Path=r"C:\big.bin")], lines)
    stdout, _stderr, code = execute(client, BOOTSTRAP, payload)
    assert (json.loads(stdout)["sha1"], code) == (hashlib.sha1(content, usedforsecurity=False).hexdigest(), 0)
    fetched = b""
    while True:
        piece = action("winrm_fetch_file.ps1", Path=r"C:\big.bin", BufferSize=524288, Offset=len(fetched))
        data = base64.b64decode(execute(client, BOOTSTRAP, manifest_2_19([piece]))[0])
        fetched += data
        if len(data) < 524288:
            break
    assert fetched == content
    shell = client.open_shell()
    command = client.run_command(shell, "PowerShell", ["x"], console_mode_stdin=False)
    with pytest.raises(WSManFaultError, match="exceeds the maximum"):
        client.send_command_input(shell, command, b"x" * 450_000, end=True)


def test_fetch_of_folder_and_of_nothing(served):
    client = served.client()

    def fetch(path):
        return execute(
            client, BOOTSTRAP, manifest_2_19([action("winrm_fetch_file.ps1", Path=path, BufferSize=9, Offset=0)])
        )

    assert fetch(r"C:\Windows")[0].strip() == "[DIR]"
    assert fetch(r"C:\none")[1:] == (r"C:\none does not exist", 1)


def test_temporary_folder(served):
    client = served.client()
    make = action("powershell_mkdtemp.ps1", Directory=r"%TEMP%", Name="ansible-tmp-1")
    path = execute(client, BOOTSTRAP, manifest_2_19([make]))[0].strip()
    assert path == r"C:\Users\Administrateur\AppData\Local\Temp\ansible-tmp-1"
    execute(client, encoded(f"Remove-Item '{path}' -Force -Recurse;"))
    assert FileSystem(served.server).get(path) is None


def test_become(served):
    client = served.client()

    def whoami(user, secure=None):
        wrapper = action("become_wrapper.ps1", secure, BecomeUser=user)
        return module(client, module_2_19("ansible.windows.win_whoami", {}, wrapper))

    assert whoami("SYSTEM")["account"]["sid"] == "S-1-5-18"
    assert whoami("NETWORK SERVICE")["account"]["sid"] == "S-1-5-20"
    assert whoami("Administrateur", {"BecomePassword": PASSWORD})["account"]["account_name"] == "Administrateur"
    refused = whoami("Administrateur", {"BecomePassword": "faux"})
    assert refused["failed"] is True
    assert "failed to become user 'Administrateur'" in refused["msg"]
    assert "failed to become user 'personne'" in whoami("personne")["msg"]


def test_asynchronous_job(served):
    client = served.client()
    wrapper = action("async_wrapper.ps1", AsyncDir=r"%USERPROFILE%\.ansible_async", AsyncJid="j1", StartupTimeout=5)
    watchdog = action("async_watchdog.ps1", Timeout=60)
    wait = {"path": r"C:\ready", "timeout": 20, "sleep": 1}
    started = module(client, module_2_19("ansible.windows.win_wait_for", wait, wrapper, watchdog))
    assert (started["started"], started["finished"]) == (True, False)
    status = {"jid": started["ansible_job_id"], "_async_dir": r"C:\Users\Administrateur\.ansible_async"}
    assert module(client, module_2_19("ansible.windows.async_status", status))["finished"] is False
    module(client, module_2_19("ansible.windows.win_file", {"path": r"C:\ready", "state": "directory"}))
    deadline = time.monotonic() + 10
    while True:
        result = module(client, module_2_19("ansible.windows.async_status", status))
        if result["finished"]:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert result["wait_attempts"] >= 1
    erased = module(client, module_2_19("ansible.windows.async_status", {**status, "mode": "cleanup"}))
    assert erased["erased"] == started["results_file"]
    gone = module(client, module_2_19("ansible.windows.async_status", status))
    assert "could not find job" in gone["msg"]


def test_many_commands_at_once(bench, make_server):
    first = bench.serve(make_server("srv01"))
    second = bench.serve(make_server("srv02"))
    from concurrent.futures import ThreadPoolExecutor

    def one(number):
        served = (first, second)[number % 2]
        args = {"path": r"HKLM:\SOFTWARE\x", "name": f"v{number}", "data": number, "type": "dword"}
        return module(served.client(), module_2_19("ansible.windows.win_regedit", args))["changed"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == [True] * 24
    for served in (first, second):
        key = served.server.section("registry")[r"hklm\software\x"]
        assert len(key["values"]) == 12


# -- reboots -------------------------------------------------------------------------------------------------------

BOOT_TIME = encoded(
    "(Get-CimInstance -ClassName Win32_OperatingSystem -Property LastBootUpTime).LastBootUpTime.ToFileTime()"
)


def shut_down(client, how):
    """Ask for a shutdown; the connection may go before everything is tidied up, as on a real server."""
    shell = client.open_shell()
    program, *arguments = encoded(f"shutdown.exe {how} /c 'x'").split(" ")
    command = client.run_command(shell, program, arguments)
    assert client.get_command_output(shell, command)[2] == 0
    with contextlib.suppress(requests.exceptions.RequestException):
        client.cleanup_command(shell, command)


def wait_for(condition, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_reboot(served, run, clock):
    client = served.client()
    before = execute(client, BOOT_TIME)[0].strip()
    run(served.server, "ansible.windows.win_hostname", {"name": "NOUVEAU"})
    clock.forward(seconds=30)
    shut_down(client, "/r /t 2")
    wait_for(lambda: served.server.section("system")["boots"] == 3 and served.server.power == "on")
    time.sleep(0.1)
    client = served.client()
    assert execute(client, BOOT_TIME)[0].strip() != before
    assert execute(client, encoded("hostname"))[0].strip() == "NOUVEAU"
    assert served.server.pending_reboot == []


def test_shells_do_not_survive_a_reboot(served):
    client = served.client()
    shell = client.open_shell()
    served.call(served.endpoint.reboot())
    with pytest.raises(WSManFaultError, match="shell was not found"):
        client.run_command(shell, "whoami")


def test_second_shutdown_is_refused_and_can_be_aborted(bench, server):
    served = bench.serve(server, time_scale=1.0)
    client = served.client()
    assert execute(client, encoded("shutdown.exe /r /t 60 /c 'x'"))[2] == 0
    assert execute(client, encoded("shutdown.exe /r /t 60 /c 'x'"))[2] == 1190
    assert execute(client, encoded(r"C:\Windows\System32\shutdown.exe /a"))[2] == 0
    assert execute(client, encoded(r"C:\Windows\System32\shutdown.exe /a"))[2] == 1116


def test_shutdown_switches_off_and_tells(bench, server):
    told = []
    served = bench.serve(server, on_power_off=lambda: told.append(True))
    shut_down(served.client(), "/s /t 0")
    wait_for(lambda: told == [True])
    assert server.power == "off"
    with pytest.raises(requests.exceptions.ConnectionError):
        served.client().open_shell()


def test_reboot_that_hangs(served):
    served.server.faults.reboot_hang = True
    shut_down(served.client(), "/r /t 0")
    wait_for(lambda: served.server.power == "booting")
    time.sleep(0.3)
    with pytest.raises(requests.exceptions.ConnectionError):
        served.client().open_shell()
    served.server.faults.reboot_hang = False
    wait_for(lambda: served.server.power == "on")
    time.sleep(0.1)
    served.client().open_shell()


# -- faults --------------------------------------------------------------------------------------------------------


def test_dropped_connection_does_the_work_all_the_same(served):
    served.server.faults.drop_connection = 1
    args = {"path": r"C:\x", "state": "directory"}
    client = served.client()
    with pytest.raises(requests.exceptions.ConnectionError):
        module(client, module_2_19("ansible.windows.win_file", args))
    wait_for(lambda: FileSystem(served.server).is_dir(r"C:\x"))
    assert module(served.client(), module_2_19("ansible.windows.win_file", args))["changed"] is False


def test_slow_answer(served):
    served.server.faults.slow_seconds = 0.5
    start = time.monotonic()
    execute(served.client(), encoded("whoami"))
    assert time.monotonic() - start >= 0.5


def test_operation_timeout_is_what_pywinrm_waits_through(served):
    served.server.faults.slow_seconds = 1.5
    client = served.client(operation_timeout_sec=1, read_timeout_sec=4)
    shell = client.open_shell()
    command = client.run_command(shell, "whoami")
    with pytest.raises(WinRMOperationTimeoutError):
        client.get_command_output_raw(shell, command)
    assert client.get_command_output(shell, command)[0].strip() == rb"srv01\administrateur"
    served.server.faults.clear()
    served.server.faults.operation_timeouts = 2
    assert execute(client, encoded("hostname"))[0].strip() == "SRV01"
    assert served.server.faults.operation_timeouts == 0


def test_busy(served):
    client = served.client()
    shell = client.open_shell()
    command = client.run_command(shell, "PowerShell", [BOOTSTRAP.split(" ", 1)[1]], console_mode_stdin=False)
    served.server.faults.busy = 1
    with pytest.raises(WSManFaultError) as error:
        client.send_command_input(shell, command, b"{}", end=True)
    assert error.value.wsman_fault_code == 170


def test_quota(served):
    client = served.client()
    shell = client.open_shell()
    served.server.faults.quota = 1
    with pytest.raises(WSManFaultError) as error:
        client.run_command(shell, "whoami")
    assert error.value.wmierror_code == 0x803381A6
    client.run_command(shell, "whoami")


def test_refused_logons(served):
    served.server.faults.refuse_logons = True
    with pytest.raises(InvalidCredentialsError):
        served.client().open_shell()


def test_full_disk_at_the_copy(served):
    served.server.faults.disk_full = True
    payload = manifest_2_19([action("winrm_put_file.ps1", Path=r"C:\x")], base64.b64encode(b"x") + b"\r\n")
    stdout, stderr, code = execute(served.client(), BOOTSTRAP, payload)
    assert (stdout, stderr, code) == ("", "Espace insuffisant sur le disque.", 1)


def test_faults_by_name():
    faults = Faults()
    faults.set("reboot-hang")
    faults.set("drop_connection", "2")
    faults.set("slow-seconds", 1.5)
    assert faults.active() == {"reboot_hang": True, "drop_connection": 2, "slow_seconds": 1.5}
    faults.set("reboot-hang", "off")
    assert faults.reboot_hang is False
    faults.clear()
    assert faults.active() == {}
    with pytest.raises(ValueError, match="Unknown Windows fault 'reboot-hand'"):
        faults.set("reboot-hand")
    with pytest.raises(ValueError, match="takes a number"):
        faults.set("busy", "often")
    with pytest.raises(ValueError, match="on or off"):
        faults.set("disk-full", "maybe")
    with pytest.raises(ValueError, match="0 or more"):
        faults.set("busy", -1)


# -- what is not WinRM ---------------------------------------------------------------------------------------------


def test_foreign_messages(served):
    url = f"https://127.0.0.1:{served.endpoint.port}/wsman"

    def post(body, **headers):
        session = requests.Session()
        session.trust_env = False
        return session.post(
            url, data=body, headers=headers, verify=str(served.ca_file), auth=("Administrateur", PASSWORD), timeout=5
        )

    assert post(b"<no xml").status_code == 500
    assert "cannot be read" in post(b"<Envelope/>").text
    envelope = b"<Envelope><Header><Action>urn:x</Action></Header><Body/></Envelope>"
    assert "not supported" in post(envelope).text
    entity = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Envelope><Header><Action>&a;</Action></Header></Envelope>'
    assert post(entity).status_code == 500


def test_unknown_shell_and_command(served):
    client = served.client()
    with pytest.raises(WSManFaultError, match="shell was not found"):
        client.run_command("NOPE", "whoami")
    shell = client.open_shell()
    with pytest.raises((WSManFaultError, WinRMTransportError)):
        client.get_command_output_raw(shell, "NOPE")
