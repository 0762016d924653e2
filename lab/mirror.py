# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves the lab's archives on its bridge, where a real estate reaches the publishers' sites.

`python -m lab.mirror --address 10.42.0.1 --port 8090` serves by hand; the lab's daemon starts and stops `Mirror`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from lab.artefacts import ArtefactError, build

if TYPE_CHECKING:
    import ssl


class Mirror:
    """A static web server of one folder: the files directly in it, read only, without listing.

    `address` and `port` are where it listens (port 0 takes a free one, told by `url` once started); with `tls` it
    speaks HTTPS. The folder is read at each request, so an archive built later is served without a restart.
    """

    def __init__(self, directory: Path, address: str, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.directory = directory
        self.address = address
        self.port = port
        self._tls = tls
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the address of the folder, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{self.address}:{self.port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        file = self.directory / name
        if name.startswith(".") or not file.is_file():
            raise web.HTTPNotFound(text=f"The lab's mirror has no file {name}.\n")
        return web.FileResponse(file)

    async def start(self) -> None:
        """Listen; raises OSError when the address or the port cannot be had."""
        application = web.Application()
        application.router.add_get("/{name}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self.address, self.port, ssl_context=self._tls)
            await site.start()
        except OSError:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and end what is under way; harmless when it is not running."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def _serve(mirror: Mirror) -> None:
    await mirror.start()
    print(f"{mirror.directory} on {mirror.url}", flush=True)
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    await ended.wait()
    await mirror.stop()


def main() -> int:
    """Build what is missing and serve it until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.mirror", description="Serve the lab's archives.")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="port to listen on (default: %(default)s)")
    parser.add_argument("--refresh", action="store_true", help="look for newer packages and build again")
    parser.add_argument("--build-only", action="store_true", help="build, print the folder and end")
    options = parser.parse_args()
    try:
        directory = build(refresh=options.refresh)
    except ArtefactError as error:
        parser.exit(1, f"{error}\n")
    if options.build_only:
        print(directory)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Mirror(Path(directory), options.address, options.port)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
