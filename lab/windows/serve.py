# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Serves one simulated server by itself, to try a role or a module against.

``python -m lab.windows.serve --name dc01 --host 127.0.20.11 --home /tmp/try`` prints an inventory and listens until it
is interrupted. Several ``--server name=address`` put servers on one network.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import secrets
import signal
import sys
from pathlib import Path

from lab.authority import Authority, write_private
from lab.windows.endpoint import WinRMEndpoint
from lab.windows.server import SYSTEMS, Estate, Nic, ServerSpec, WindowsServer


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.windows.serve", description=__doc__)
    parser.add_argument("--name", default="srv01", help="name of the server (default %(default)s)")
    parser.add_argument("--host", default="127.0.20.11", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=5986, help="TCP port (default %(default)s)")
    parser.add_argument("--home", type=Path, required=True, help="folder of the state, the authority and the inventory")
    parser.add_argument("--system", choices=SYSTEMS, default=SYSTEMS[0])
    parser.add_argument(
        "--address", default="", help="address inside the server, with prefix; the host's /24 if absent"
    )
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="NAME=HOST[:PORT]",
        help="serve this one as well, on the same network (may be repeated)",
    )
    parser.add_argument("--transport", choices=("ntlm", "basic"), default="ntlm", help="for the inventory it prints")
    return parser.parse_args(argv)


def _password(home: Path) -> str:
    path = home / "administrator.password"
    if not path.exists():
        write_private(path, f"Lab-{secrets.token_urlsafe(15)}!1".encode())
    return path.read_text(encoding="utf-8").strip()


async def _serve(options: argparse.Namespace) -> None:
    home: Path = options.home
    authority = Authority(home / "ca")
    password = _password(home)
    estate = Estate()
    wanted = [(options.name, options.host, options.port, options.address)]
    for text in options.server:
        name, _, place = text.partition("=")
        host, _, port = place.partition(":")
        wanted.append((name, host, int(port or 5986), ""))
    endpoints = []
    lines = ["windows:", "  hosts:"]
    for index, (name, host, port, address) in enumerate(wanted):
        spec = ServerSpec(
            system=options.system,
            networks=(Nic(address or f"{host}/24", None, f"BC:24:11:00:00:{index + 1:02X}"),),
            administrator_password=password,
        )
        server = WindowsServer(name, spec, home / name, estate=estate)
        certificate, key = authority.issue(name, name, host)
        endpoint = WinRMEndpoint(server, host, port, str(certificate), str(key))
        await endpoint.start()
        endpoints.append(endpoint)
        lines += [f"    {name}:", f"      ansible_host: {host}", f"      ansible_port: {endpoint.port}"]
    lines += [
        "  vars:",
        "    ansible_connection: winrm",
        f"    ansible_winrm_transport: {options.transport}",
        "    ansible_winrm_server_cert_validation: validate",
        f"    ansible_winrm_ca_trust_path: {authority.ca_file}",
        "    ansible_user: Administrateur",
        f"    ansible_password: '{password}'",
    ]
    inventory = home / "inventory.yml"
    write_private(inventory, ("---\n" + "\n".join(lines) + "\n").encode())
    print(f"Inventory: {inventory}\nPassword of Administrateur: see {home / 'administrator.password'}", flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    for endpoint in endpoints:
        await endpoint.stop()


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    options = _arguments(argv)
    options.home = options.home.resolve()
    options.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
