# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m lab.linux.serve`: one Linux server without the datacenter, to try a role on.

It runs until interrupted, prints how to reach the server, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from lab.authority import Authority
from lab.credentials import LINUX_USER, Credentials
from lab.guests import GuestError, GuestSpec, House, Nic
from lab.linux.platform import LinuxPlatform
from lab.network import Network, NetworkError
from lab.settings import Instance, SettingsError, instance, load

if TYPE_CHECKING:
    from pathlib import Path


class _Console:
    """Power events of a server that no datacenter owns."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop

    async def powered_off(self, vmid: int) -> None:
        """The server is off, and with it what this command is for."""
        print(f"server {vmid} powered off")
        self.stop.set()

    async def rebooted(self, vmid: int) -> None:
        """The server is back."""
        print(f"server {vmid} rebooted")


def inventory(name: str, address: str, key: Path, known_hosts: Path) -> str:
    """An inventory of one server, YAML."""
    return (
        "---\nall:\n  hosts:\n"
        f"    {name}:\n"
        f"      ansible_host: {address}\n"
        f"      ansible_user: {LINUX_USER}\n"
        "      ansible_become: true\n"
        f"      ansible_ssh_private_key_file: {key}\n"
        f"      ansible_ssh_common_args: -o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes\n"
    )


async def serve(options: argparse.Namespace, where: Instance) -> None:
    """Bring one server up, wait to be interrupted, take everything down again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings = load()
    platform = LinuxPlatform(where, print)
    network = Network(where)
    await platform.sweep()
    network.up()
    where.home.mkdir(parents=True, exist_ok=True)
    credentials = Credentials.open(where, settings)
    address = options.address or f"{where.subnet.network_address + 10}/{where.subnet.prefixlen}"
    spec = GuestSpec(
        vmid=100,
        name=options.name,
        system=options.system,
        cpus=2,
        memory_mib=2048,
        nics=(Nic("net0", "BC:24:11:00:00:01", where.bridge, address=address, gateway=where.bridge_address),),
        nameservers=(where.bridge_address,),
        search_domain="lab.example",
    )
    house = House(
        instance=where,
        settings=settings,
        home=where.home,
        network=network,
        authority=Authority(where.home / "ca"),
        credentials=credentials,
        events=_Console(stop),
    )
    guest = platform.guest(spec, house)
    try:
        await platform.up([options.system])
        await guest.boot()
        file = where.home / "hosts.yml"
        file.write_text(
            inventory(options.name, str(spec.ip), credentials.ssh_key_file, credentials.known_hosts.file),
        )
        login = f"ssh -i {credentials.ssh_key_file} -o UserKnownHostsFile={credentials.known_hosts.file}"
        print(f"{login} {LINUX_USER}@{spec.ip}\ninventory: {file}\nready: end with Ctrl-C", flush=True)
        await stop.wait()
    finally:
        await guest.destroy()
        await platform.down()
        network.down()
        await asyncio.to_thread(shutil.rmtree, where.home, ignore_errors=True)


def main() -> int:
    """Read the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.linux.serve", description=__doc__)
    parser.add_argument("--name", default="dev01", help="name of the server and of its lab instance")
    parser.add_argument("--number", type=int, default=100, help="number of the lab instance: 10.<42+number>.0.0/16")
    parser.add_argument("--system", default="ubuntu_2404", help="ubuntu_2404 or debian_12")
    parser.add_argument("--address", help="its address with prefix length; the tenth of the instance by default")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(serve(options, instance(f"serve-{options.name}", options.number)))
    except (GuestError, NetworkError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
