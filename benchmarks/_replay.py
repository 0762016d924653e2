# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxmox VE's answers, recorded from fakepve once and replayed with a delay: the API of the inventory benchmark.

`python -m benchmarks._replay GUESTS FOLDER` prints where it listens and whom to trust, and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

import aiohttp
from fakepve import FakePve
from fakepve.certs import make_cert

TOKEN, SECRET = "root@pam!bench", "bench"
NODES = ("pve1", "pve2", "pve3")


class Answers:
    """Recorded answers by path, taken from fakepve at the first request for each."""

    def __init__(self, guests: int) -> None:
        """Prepare that many running guests with an agent, disks, addresses and a snapshot each."""
        self.pve = FakePve(host="127.0.0.1", port=0)
        self.pve.max_requests = 0
        self.pve.apitokens = {TOKEN: SECRET}
        self.known: dict[str, bytes] = {}
        self.delay = 0.0
        self.calls = 0
        for number in range(guests):
            self._add(number)

    def _add(self, number: int) -> None:
        vmid, mac = 1000 + number, f"BC:24:11:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        config = {
            "agent": "1",
            "boot": "order=scsi0;net0",
            "cores": 4,
            "ipconfig0": f"ip={address}/8,gw=10.255.255.254",
            "memory": "16384",
            "net0": f"virtio={mac},bridge=vmbr0",
            "ostype": "win11",
            "scsi0": f"local-lvm:vm-{vmid}-disk-0,size=180G",
            "tags": "function-iis;site-paris;system-windows_2022",
        }
        vm = self.pve.add_vm(vmid, f"srv{number:05d}", node=NODES[number % 3], status="running", config=config)
        interface = {"name": "Ethernet", "hardware-address": mac.lower()}
        vm.agent = {
            "interfaces": [
                {**interface, "ip-addresses": [{"ip-address": address, "ip-address-type": "ipv4", "prefix": 8}]}
            ]
        }
        vm.snapshots["before"] = {"snaptime": 1700000000, "description": ""}

    async def start(self, certificate: str, key: str) -> int:
        """Listen on loopback; answers the port."""
        await self.pve.start(certificate, key)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, ssl=context)
        return int(server.sockets[0].getsockname()[1])

    async def record(self, path: str) -> bytes:
        """Answer a path as fakepve does, as bytes of a whole HTTP response."""
        headers = {"Authorization": f"PVEAPIToken={TOKEN}={SECRET}"}
        async with self.session.get(self.pve.url + path, headers=headers) as answer:
            body = await answer.read()
            head = (
                f"HTTP/1.1 {answer.status} {answer.reason}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
        self.known[path] = head.encode() + body
        return self.known[path]

    def control(self, path: str) -> bytes:
        """Set the delay and count calls afresh: `/bench/<milliseconds>`; answers the calls counted before."""
        body = str(self.calls).encode()
        self.delay, self.calls = int(path.rpartition("/")[2]) / 1000, 0
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Connection(asyncio.Protocol):
    """One client: requests without a body, one after the other, each answered after the delay."""

    def __init__(self, answers: Answers) -> None:
        """Serve from these answers."""
        self.answers = answers
        self.buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole request heads off the buffer."""
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _end, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self.answer(head)

    def answer(self, head: bytes) -> None:
        """Answer now, later, or after having asked fakepve."""
        path = head.split(b" ", 2)[1].decode()
        answers = self.answers
        if path.startswith("/bench/"):
            self.transport.write(answers.control(path))
            return
        if f"PVEAPIToken={TOKEN}={SECRET}".encode() not in head:
            self.transport.write(b"HTTP/1.1 401 authentication failure\r\nContent-Length: 0\r\n\r\n")
            return
        answers.calls += 1
        known = answers.known.get(path)
        loop = asyncio.get_running_loop()
        if known is None:
            task = loop.create_task(answers.record(path))
            task.add_done_callback(lambda done: loop.call_later(answers.delay, self.transport.write, done.result()))
        elif answers.delay:
            loop.call_later(answers.delay, self.transport.write, known)
        else:
            self.transport.write(known)


async def serve(guests: int, folder: str) -> None:
    """Serve until the parent ends this process."""
    certificate, key, _names = make_cert(folder, hosts=("127.0.0.1",))
    port = await Answers(guests).start(certificate, key)
    print(json.dumps({"url": f"https://127.0.0.1:{port}", "ca": certificate}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
