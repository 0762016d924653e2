# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the datacenter: each ends in a sentence that names the object, what was refused and what to do."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import declared, factory
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.plan import UNFINISHED
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    AuthenticationError,
    ConflictError,
    EngineError,
    InputError,
    LockedError,
    PermissionMissingError,
    TaskError,
    UnreachableError,
    UntrustedError,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.exclusive import exclusively
from lab.datacenter.faults import TaskFault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.plugins.datacenter.conftest import Estate


def test_api_down(estate: Estate, web01: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UnreachableError) as refused:
        estate.server(**web01, url=url)
    assert str(refused.value).startswith(f"listing the datacenter: no answer from {url} (")
    assert "Connection refused" in str(refused.value)
    assert "Check the address, the port, the firewall and that the service is up" in str(refused.value)


def test_wrong_token(estate: Estate, web01: dict[str, Any]) -> None:
    estate.token = "nobody"
    with pytest.raises(AuthenticationError) as refused:
        estate.server(**web01)
    assert str(refused.value) == (
        f"listing the datacenter: {estate.pve.url} refuses the credentials (authentication failure). Check the token's "
        "name and secret, that it is not expired, and that its user is enabled."
    )
    assert "unknown" not in str(refused.value)


def test_expired_token(estate: Estate, web01: dict[str, Any]) -> None:
    token = estate.options()["token_id"]
    estate.site.call(lambda: estate.pve.faults.expired_tokens.add(token))
    with pytest.raises(AuthenticationError, match="token access expired"):
        estate.server(**web01)


def test_missing_privilege_is_named(estate: Estate, web01: dict[str, Any]) -> None:
    estate.token = "inventory"
    with estate.recording() as writes, pytest.raises(PermissionMissingError) as refused:
        estate.server(**web01)
    assert (refused.value.privilege, refused.value.path) == ("VM.Clone", "/vms/9002")
    assert str(refused.value) == (
        "creating server web01 from template tpl-ubuntu-2404 (id 9002 on pve-par-1): the privilege VM.Clone is missing "
        "on /vms/9002. Add it to the role of the token's user and of the token."
    )
    assert len(writes) == 1
    assert not any(vm.name == "web01" for vm in estate.pve.vms)


def test_missing_privilege_in_the_middle_is_named(estate: Estate, web01: dict[str, Any]) -> None:
    user = estate.options()["token_id"]

    def revoke() -> None:
        estate.pve.acl[user] = [(path, privileges - {"VM.Config.Memory"}) for path, privileges in estate.pve.acl[user]]

    estate.site.call(revoke)
    with pytest.raises(PermissionMissingError, match=r"configuring server web01 .*VM\.Config\.Memory is missing"):
        estate.server(**web01)


def test_a_token_that_sees_nothing_is_not_taken_for_an_empty_datacenter(estate: Estate, web01: dict[str, Any]) -> None:
    user = estate.options()["token_id"]

    def revoke() -> None:
        estate.pve.acl[user] = [(path, privileges - {"VM.Audit"}) for path, privileges in estate.pve.acl[user]]

    estate.site.call(revoke)
    with estate.recording() as writes, pytest.raises(PermissionMissingError) as refused:
        estate.server(**web01)
    assert refused.value.privilege == "VM.Audit"
    assert writes == []


def test_untrusted_certificate(estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE")
    with pytest.raises(UntrustedError) as refused:
        estate.server(**{**web01, "ca_file": None})
    assert f"the certificate of {estate.pve.url} is not trusted (" in str(refused.value)
    assert "certificate verify failed" in str(refused.value)
    assert "Give the certificate of its authority with 'ca_file'" in str(refused.value)


def test_the_environments_authorities_do_not_win(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file = estate.options()["ca_file"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    assert estate.server(check=True, **web01, ca_file=ca_file)["changed"] is True
    assert estate.server(check=True, **web01, ca_file=None, validate_certs=False)["changed"] is True
    # The right authority in the environment and a wrong one in the option: the option decides.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    other = estate.folder / "other.pem"
    other.write_text(pem_of_another_authority(estate.folder), encoding="utf-8")
    with pytest.raises(UntrustedError):
        estate.server(check=True, **web01, ca_file=str(other))


def pem_of_another_authority(folder: Path) -> str:
    from lab.authority import Authority

    return Authority(folder / "other-ca").ca_file.read_text(encoding="utf-8")


def test_a_ca_file_that_is_not_there(estate: Estate, web01: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"ca_file: there is no file /nowhere/ca\.pem"):
        estate.server(**web01, ca_file="/nowhere/ca.pem")


def test_a_ticket_that_expires_in_mid_run_is_renewed(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"token_id": None, "token_secret": None, "user": "root@pam", "password": "root-secret"}
    original, started = estate.pve.task, []

    async def revoking(*arguments: Any, **named: Any) -> str:
        """Let every ticket expire just after a task was started, before anybody asks how it goes."""
        upid: str = await original(*arguments, **named)
        started.append(upid)
        estate.pve.revoke_tickets()
        return upid

    monkeypatch.setattr(estate.pve, "task", revoking)
    result = estate.server(**{**web01, **login})
    assert (result["changed"], result["server"]["power"]) == (True, "on")
    assert [upid.split(":")[5] for upid in started] == ["qmclone", "resize", "qmstart"]
    logins = [entry for entry in estate.pve.journal.since() if entry["kind"] == "login"]
    assert len(logins) == 1 + len(started)
    refused = [entry for entry in estate.pve.journal.since() if entry["status"] == 401]
    assert all(entry["kind"] == "read" for entry in refused)


def test_a_wrong_password(estate: Estate, web01: dict[str, Any]) -> None:
    login = {"token_id": None, "token_secret": None, "user": "root@pam", "password": "hunter2"}
    with pytest.raises(AuthenticationError) as refused:
        estate.server(**web01, **login)
    assert "refuses the user or the password" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_backup_is_waited_for_by_name(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    estate.lock("web01", "backup")
    label = f"server web01 (id {estate.vm('web01').vmid} on {estate.vm('web01').node})"

    def end_of_backup(count: int) -> None:
        if count == 3:
            estate.lock("web01", None)

    estate.clock.hook = end_of_backup
    with estate.recording() as writes:
        result = estate.server(**{**web01, "cpus": 8})
    assert result["changed"] is True
    assert estate.told == [f"{label} is locked by 'backup'. Waiting up to 60 s."]
    assert [method for method, _path, _parameters in writes] == ["PUT"]
    assert estate.clock.naps == [0.5, 0.75, 1.125]


def test_a_backup_that_lasts_is_given_up_in_time(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    estate.lock("web01", "backup")
    with estate.recording() as writes, pytest.raises(LockedError) as refused:
        estate.server(timeout=30, **{**web01, "cpus": 8})
    assert refused.value.lock == "backup"
    assert "is locked by 'backup'. Gave up after 30 s. Wait for the backup to end and run again;" in str(refused.value)
    assert sum(estate.clock.naps) == pytest.approx(30)
    assert writes == []


def test_nothing_to_change_does_not_wait_for_a_lock(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    estate.lock("web01", "backup")
    assert estate.server(timeout=0, **web01)["changed"] is False


def test_a_lock_that_appears_between_reading_and_writing_is_waited_for(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.server(**web01)
    vm, refusals = estate.vm("web01"), iter([True, False])
    original = estate.pve._apply_config

    async def locked_once(*arguments: Any) -> Any:
        if next(refusals):
            from fakepve.model import PveError

            raise PveError(500, f"can't lock file '/var/lock/qemu-server/lock-{vm.vmid}.conf' - got timeout")
        return await original(*arguments)

    monkeypatch.setattr(estate.pve, "_apply_config", locked_once)
    assert estate.server(**{**web01, "description": "new"})["changed"] is True
    assert len(estate.told) == 1
    assert "another operation holds the server's configuration (can't lock file" in estate.told[0]


def test_a_template_that_is_being_copied_by_another_run_is_waited_for(estate: Estate, web01: dict[str, Any]) -> None:
    estate.lock("tpl-ubuntu-2404", "clone")
    estate.clock.hook = lambda count: estate.lock("tpl-ubuntu-2404", None) if count == 2 else None
    assert estate.server(**web01)["changed"] is True
    assert "is locked by 'clone'. Waiting up to 60 s." in estate.told[0]


def test_a_task_that_ends_in_error_is_quoted(estate: Estate, web01: dict[str, Any]) -> None:
    message = "start failed: QEMU exited with code 1"
    estate.site.call(lambda: estate.pve.faults.tasks.append(TaskFault("qmstart", message, 1)))
    with pytest.raises(TaskError) as refused:
        estate.server(**web01)
    assert f"starting server web01 (id {estate.vm('web01').vmid}" in str(refused.value)
    assert f"the task ended in an error: {message}. See UPID:" in str(refused.value)
    result = estate.server(**web01)
    assert [change["action"] for change in result["changes"]] == ["start"]


def test_a_copy_that_fails_leaves_nothing_and_the_next_run_succeeds(estate: Estate, web01: dict[str, Any]) -> None:
    message = "clone failed: no space left"
    estate.site.call(lambda: estate.pve.faults.tasks.append(TaskFault("qmclone", message, 1)))
    with pytest.raises(TaskError, match="clone failed: no space left"):
        estate.server(**web01)
    assert estate.server(**web01)["server"]["power"] == "on"
    assert len([vm for vm in estate.pve.vms if vm.name == "web01"]) == 1


def test_a_guest_that_ignores_the_shutdown(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    estate.site.made["web01"].deaf = True
    with pytest.raises(EngineError, match=r"the guest did not shut down within 1 s\. Shut it down from inside, or"):
        estate.server(**{**web01, "state": "stopped", "shutdown_timeout": 1})
    result = estate.server(**{**web01, "state": "stopped", "shutdown_timeout": 1, "force": True})
    assert result["server"]["power"] == "off"


def test_a_shutdown_that_fails_otherwise_is_quoted(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    message = "shutdown failed: guest agent broke"
    estate.site.call(lambda: estate.pve.faults.tasks.append(TaskFault("qmshutdown", message, 1)))
    with pytest.raises(TaskError, match=message):
        estate.server(**{**web01, "state": "stopped"})


def test_a_lost_quorum(estate: Estate, web01: dict[str, Any]) -> None:
    estate.site.call(estate.pve.lose_quorum)
    with pytest.raises(EngineError, match="the cluster has lost its quorum and takes no change"):
        estate.server(**web01)


def test_a_host_that_does_not_answer(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    estate.site.call(lambda: estate.pve.set_node_offline(estate.vm("web01").node))
    with pytest.raises(UnreachableError, match=r"reading server web01 .*the host does not answer \(595"):
        estate.server(**web01)


def test_a_dropped_answer_to_a_reading_is_asked_again(estate: Estate, web01: dict[str, Any]) -> None:
    estate.site.call(lambda: setattr(estate.pve.faults, "drops", 2))
    assert estate.server(check=True, **web01)["changed"] is True


# Two runs at once, and runs that were cut.


def _hold(folder: str, url: str, ready: Any, release: Any) -> None:
    with exclusively("server web01", url, folder):
        ready.set()
        release.wait(30)


def test_two_runs_on_one_machine_one_wins_and_the_other_says_so(estate: Estate, web01: dict[str, Any]) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(estate.folder), estate.pve.url, ready, release))
    other.start()
    try:
        assert ready.wait(30)
        with estate.recording() as writes, pytest.raises(ConflictError) as refused:
            estate.server(**web01)
        assert str(refused.value).startswith(
            f"server web01: another run works on it on this machine (process {other.pid} since "
        )
        assert writes == []
        assert estate.server(check=True, **web01)["changed"] is True
    finally:
        other.kill()
        other.join(10)
    # The kill released it: the next run works.
    assert estate.server(**web01)["changed"] is True


def test_two_controllers_that_create_one_server_ask_for_one_number(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox

    original, met = Proxmox._numbers, threading.Barrier(2, timeout=20)

    def together(self: Any, name: str) -> Any:
        numbers = list(original(self, name))
        met.wait()  # both have read the list before either copies
        return iter(numbers)

    monkeypatch.setattr(Proxmox, "_numbers", together)
    outcomes: list[Any] = []

    def controller(folder: Path) -> None:
        folder.mkdir()
        with exclusively("nothing", str(folder), str(folder)):
            try:
                outcomes.append(run_unlocked(estate, web01))
            except ConflictError as error:
                outcomes.append(error)

    threads = [threading.Thread(target=controller, args=(estate.folder / name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    losers = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    winners = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert (len(winners), len(losers)) == (1, 1)
    assert "server web01: another run is creating it at this moment (id " in str(losers[0])
    assert len([vm for vm in estate.pve.vms if vm.name == "web01"]) == 1
    assert winners[0]["server"]["power"] == "on"


def run_unlocked(estate: Estate, options: dict[str, Any]) -> dict[str, Any]:
    """Run the module as a controller on another machine would: without this machine's lock in the way."""
    from contextlib import nullcontext
    from unittest.mock import patch

    with patch.object(declared, "exclusively", lambda *_arguments: nullcontext()):
        return declared.ensure(estate.options(**options), check=False, notify=estate.told.append)


def test_a_change_by_another_controller_since_reading_is_not_overwritten(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox

    estate.server(**web01)
    vm, original = estate.vm("web01"), Proxmox.configure_server

    def late(self: Any, server: Any, settings: Any) -> None:
        estate.site.call(lambda: vm.config.update(description="by somebody else"))
        original(self, server, settings)

    monkeypatch.setattr(Proxmox, "configure_server", late)
    with pytest.raises(ConflictError) as refused:
        estate.server(**{**web01, "description": "ours"})
    assert "the server was changed by somebody else since it was read, so nothing was written" in str(refused.value)
    assert vm.config["description"] == "by somebody else"


def test_a_number_taken_by_another_server_is_passed_over(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox

    monkeypatch.setattr(Proxmox, "_numbers", lambda _self, _name: iter([4000, 4001]))
    estate.site.call(lambda: estate.pve.add_vm(4000, "other", node="pve-par-2"))
    assert estate.server(**web01)["server"]["id"] == "4001"


def test_a_container_holds_its_number(estate: Estate, web01: dict[str, Any]) -> None:
    estate.site.call(lambda: estate.pve.add_ct(9990, "ct", node="pve-par-2"))
    assert estate.server(**web01, id_range=[9990, 9991])["server"]["id"] == "9991"


@pytest.fixture
def late(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Estate:
    """A datacenter whose bulk reading knows nothing new, as Proxmox's for the ten seconds between two collections."""
    known = {vm.vmid: (vm.name, vm.status) for vm in estate.pve.vms}
    original = estate.pve._vm_item

    def stale(vm: Any) -> dict[str, Any]:
        item = original(vm)
        name, status = known.get(vm.vmid, (None, "unknown"))
        unknown = {"name", "status", *(() if name else ("maxcpu", "maxmem", "maxdisk", "cpu", "mem", "uptime"))}
        kept = {key: value for key, value in item.items() if key not in unknown}
        return kept | {"status": status} | ({"name": name} if name else {})

    monkeypatch.setattr(estate.pve, "_vm_item", stale)
    return estate


def test_what_the_bulk_reading_does_not_know_yet_is_asked_for(late: Estate, web01: dict[str, Any]) -> None:
    predicted = late.server(check=True, **web01)
    result = late.server(**web01)
    assert result["changes"] == predicted["changes"]
    assert result["server"]["power"] == "on"
    assert late.server(**web01)["changed"] is False
    assert late.snapshot(server="web01", name="one")["changed"] is True
    assert late.server(**{**web01, "state": "stopped"})["server"]["power"] == "off"
    assert late.server(name="web01", state="absent", force=True)["changed"] is True


def test_a_copy_without_a_name_yet_is_waited_for_and_not_made_twice(late: Estate, web01: dict[str, Any]) -> None:
    """While it copies, Proxmox has nothing but the lock in the new server's configuration."""
    number = int(late.server(**web01)["server"]["id"])
    late.server(name="web01", state="absent", force=True)
    half = late.site.call(lambda: late.pve.add_vm(number, f"VM {number}", node="pve-par-1"))
    late.site.call(lambda: late.pve.snapshot_lock(number, "clone"))
    late.site.call(lambda: half.config.pop("name"))
    with late.recording() as writes, pytest.raises(LockedError) as refused:
        late.server(**web01, timeout=5)
    assert f"the number {number} is held by a server that is being copied and has no name yet" in str(refused.value)
    assert refused.value.lock == "clone"
    assert writes == []


def test_a_twin_without_a_name_yet_is_recognised_by_its_number(
    late: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox

    late.site.call(lambda: late.pve.add_vm(4000, "VM 4000", node="pve-par-1").config.pop("name"))
    late.site.call(lambda: late.pve.snapshot_lock(4000, "clone"))
    monkeypatch.setattr(Proxmox, "_numbers", lambda _self, _name: iter([4000, 4001]))
    with pytest.raises(ConflictError, match=r"another run is creating it at this moment \(id 4000 on pve-par-1\)"):
        late.server(**web01)


def test_a_nameless_server_of_a_host_that_does_not_answer_is_left_alone(late: Estate, web01: dict[str, Any]) -> None:
    late.site.call(lambda: late.pve.add_vm(4000, "lost", node="pve-lyo-1"))
    late.site.call(lambda: late.pve.set_node_offline("pve-lyo-1"))
    assert late.server(**web01)["changed"] is True


def test_no_number_left(estate: Estate, web01: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="every number from 9000 to 9001 is taken"):
        estate.server(**web01, id_range=[9000, 9001])


@pytest.mark.parametrize("dies_before", ["configure_server", "grow_disk", "add_disk", "set_power"])
def test_a_run_killed_at_any_moment_is_continued(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox import Proxmox

    web01["disks"] = [{"size_gib": 100}, {"size_gib": 28}]
    whole = estate.server(check=True, **web01)
    with monkeypatch.context() as patch:

        def killed(*_arguments: Any, **_named: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(Proxmox, dies_before, killed)
        with pytest.raises(KeyboardInterrupt):
            estate.server(**web01)
    half = estate.vm("web01")
    assert (half.config["description"] == UNFINISHED) is (dies_before == "configure_server")
    rest = estate.server(**web01)
    assert rest["changes"] == whole["changes"][-len(rest["changes"]) :]
    assert (rest["server"]["power"], rest["server"]["disk_gib"]) == ("on", 128.0)
    assert estate.server(**web01)["changed"] is False


def test_a_copy_that_a_killed_run_started_is_awaited(estate: Estate, web01: dict[str, Any]) -> None:
    """The copy goes on in the engine after the run that asked for it died: the next run waits, then configures."""
    datacenter = factory.datacenter(estate.options())
    template = next(server for server in datacenter.landscape().servers if server.name == "tpl-ubuntu-2404")
    datacenter.create_server("web01", template, {"description": UNFINISHED})
    estate.lock("web01", "clone")
    estate.clock.hook = lambda count: estate.lock("web01", None) if count == 2 else None
    result = estate.server(**web01)
    assert [change["action"] for change in result["changes"]] == ["configure", "grow_disk", "start"]
    assert "is locked by 'clone'. Waiting up to 60 s." in estate.told[0]


def test_a_fresh_copy_may_be_smaller_than_its_template(estate: Estate, web01: dict[str, Any]) -> None:
    del web01["contract"]
    estate.site.call(lambda: estate.pve.vm(9002).config.update(cores=8, memory="65536"))
    result = estate.server(**web01)
    assert (result["server"]["cpus"], result["server"]["memory_gib"]) == (4, 32.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://pve"}, "url: 'http://pve' is not the address of an API: write https://HOST:8006."),
        ({"url": "https://pve:99999"}, "url: the port of 'https://pve:99999' is not a number from 1 to 65535."),
        ({"token_id": "ansible"}, "token_id: 'ansible' is no token: write user@realm!name."),
        ({"token_id": None}, "Credentials are missing: give token_id and token_secret, or user and password."),
        (
            {"sites": {"paris": ["pve-par-1"]}},
            "sites: give each host its site, HOST: SITE, not each site its hosts.",
        ),
        ({"engine": "kvm"}, "engine: 'kvm' is unknown. Known engines: proxmox."),
        ({"id_range": [50, 60]}, "id_range: 50 to 60 is no range of guest numbers: they start at 100."),
        (
            {"token_id": None, "user": "root", "password": "x"},
            "user: 'root' lacks its realm: write root@pve or root@pam.",
        ),
    ],
)
def test_options_that_make_no_sense(
    estate: Estate, web01: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        estate.server(**web01, **options)
    assert str(refused.value) == message
