# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Windows guest follows its machine: address, certificate, hardware, power, snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from dataclasses import replace

import pytest
import requests
import winrm

from lab.authority import Authority
from lab.credentials import Credentials
from lab.guests import Disk, GuestError, GuestSpec, House, Nic
from lab.settings import Instance, load
from lab.windows import guest as module
from lab.windows.guest import WindowsPlatform

GIB = 1024**3
_HOSTS = itertools.count(1)


def next_loopback():
    """An address of this process alone: the port is always 5986."""
    return f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}.{next(_HOSTS)}"


class Addresses:
    """The bridge's addresses, on loopback they need not be added."""

    def __init__(self):
        self.owners = {}

    def add_address(self, address, owner):
        self.owners[address] = owner

    def remove_address(self, address):
        self.owners.pop(address, None)


class Events:
    def __init__(self):
        self.seen = []

    async def powered_off(self, vmid):
        self.seen.append(("off", vmid))

    async def rebooted(self, vmid):
        self.seen.append(("reboot", vmid))


@pytest.fixture
def house(tmp_path, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    where, settings = Instance("try", 9, tmp_path), load()
    return House(
        instance=where,
        settings=settings,
        home=tmp_path,
        network=Addresses(),
        authority=Authority(tmp_path / "ca"),
        credentials=Credentials.open(where, settings),
        events=Events(),
    )


def spec(name="dc01", disks=(64,), address=None, **more):
    return GuestSpec(
        vmid=more.pop("vmid", 100),
        name=name,
        system="windows_2022",
        cpus=2,
        memory_mib=4096,
        disks=tuple(Disk(f"scsi{index}", size * GIB) for index, size in enumerate(disks)),
        nics=(Nic("net0", "BC:24:11:00:00:64", "vmbr0", address=address, gateway=None),),
        **more,
    )


@pytest.fixture
def guest(house):
    return WindowsPlatform().guest(spec(address=f"{next_loopback()}/24"), house)


def say(house, guest, command):
    """Run a command over WinRM as the administrator; returns its output."""
    session = winrm.Session(
        f"https://{guest.spec.ip}:{module.PORT}/wsman",
        auth=("Administrateur", house.credentials.windows_password),
        transport="ntlm",
        server_cert_validation="validate",
        ca_trust_path=str(house.authority.ca_file),
    )
    done = session.run_cmd(command)
    assert done.status_code == 0, done.std_err
    return done.std_out.decode().strip()


def test_a_server_answers_while_it_is_on(house, guest):
    async def live():
        assert await guest.agent() is None
        await guest.boot()
        await guest.boot()
        name = await asyncio.to_thread(say, house, guest, "hostname")
        report = await guest.agent()
        owners = dict(house.network.owners)
        await guest.shutdown()
        assert await guest.agent() is None
        with pytest.raises(OSError, match=r"onnect|refused"):
            await asyncio.open_connection(guest.spec.ip, module.PORT)
        return name, report, owners

    name, report, owners = asyncio.run(live())
    assert name == report.hostname == "DC01"
    assert report.osinfo["version-id"] == "2022"
    assert report.interfaces[0]["ip-addresses"][0]["ip-address"] == guest.spec.ip
    assert owners == {guest.spec.ip: "dc01"}
    assert house.network.owners == {}


def test_hardware_is_taken_in_at_boot_and_a_grown_disk_at_once(house, guest):
    address = guest.spec.nics[0].address

    async def live():
        await guest.boot()
        guest.spec = replace(spec(disks=(80, 32), address=address), cpus=4)
        seen = dict(guest.server.section("system"))
        await guest.stop()
        await guest.boot()
        await guest.stop()
        return seen

    seen = asyncio.run(live())
    assert (seen["disks_gib"], seen["cpus"]) == ([80, 32], 2)
    assert guest.server.section("system")["cpus"] == 4


def test_a_server_without_address_does_not_boot(house):
    nowhere = WindowsPlatform().guest(spec(), house)
    with pytest.raises(GuestError, match="dc01 has no address: set ipconfig0"):
        asyncio.run(nowhere.boot())


def test_windows_that_shuts_itself_down_tells_the_datacenter(house, guest):
    async def live():
        await guest.boot()
        with contextlib.suppress(requests.exceptions.ConnectionError):  # the server may go before it says goodbye
            await asyncio.to_thread(say, house, guest, "shutdown /s /t 0")
        for _ in range(100):
            if house.events.seen:
                break
            await asyncio.sleep(0.05)
        assert await guest.agent() is None

    asyncio.run(live())
    assert house.events.seen == [("off", 100)]
    assert house.network.owners == {}


def test_state_outlives_the_process_and_destroy_removes_it(house, guest):
    guest.server.section("system")["timezone_test"] = "kept"
    guest.server.save()
    again = WindowsPlatform().guest(guest.spec, house)
    assert again.server.section("system")["timezone_test"] == "kept"
    asyncio.run(again.destroy())
    assert not (house.home / "windows" / "dc01").exists()
    asyncio.run(again.destroy())


def test_a_rollback_puts_the_state_back(house, guest):
    async def live():
        await guest.boot()
        guest.server.section("system")["mark"] = "before"
        await guest.snapshot("s1")
        guest.server.section("system")["mark"] = "after"
        guest.server.save()
        await guest.rollback("s1")
        assert await guest.agent() is None
        await guest.boot()
        assert (await guest.agent()).hostname == "DC01"
        await guest.stop()

    asyncio.run(live())
    assert guest.server.section("system")["mark"] == "before"
    asyncio.run(guest.drop_snapshot("s1"))
    asyncio.run(guest.drop_snapshot("s1"))
    with pytest.raises(GuestError, match="has no snapshot 's1'"):
        asyncio.run(guest.rollback("s1"))


def test_a_clone_takes_the_state_and_leaves_the_journal(house, guest):
    guest.server.section("system")["mark"] = "original"
    guest.server.save()
    guest.server.journal(kind="raw", command="hostname")
    copy = WindowsPlatform().guest(spec("dc02", vmid=101, address=f"{next_loopback()}/24"), house)
    asyncio.run(copy.copy_from(guest))
    assert copy.server.section("system")["mark"] == "original"
    assert copy.server.section("accounts")["machine_sid"] == guest.server.section("accounts")["machine_sid"]
    assert copy.server.read_journal() == []
    copy.server.section("system")["mark"] = "copy"
    copy.server.save()
    state = json.loads((house.home / "windows" / "dc01" / "state.json").read_text())
    assert state["system"]["mark"] == "original"


def test_a_power_cycle_heals_a_hung_restart(house, guest):
    async def live():
        await guest.boot()
        guest.faults.reboot_hang = True
        with contextlib.suppress(requests.exceptions.ConnectionError):  # the server may go before it says goodbye
            await asyncio.to_thread(say, house, guest, "shutdown /r /t 0")
        for _ in range(100):
            if guest.server.power == "booting":
                break
            await asyncio.sleep(0.05)
        assert await guest.agent() is None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(guest.shutdown(), 0.3)
        await guest.stop()
        await guest.boot()
        assert (await guest.agent()).hostname == "DC01"
        await guest.stop()

    asyncio.run(live())
