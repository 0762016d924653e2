# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's programs as WordPress's modules use them: PHP, the database's client, the web server.

No secret is ever on a command line: PHP reads its request from standard input, and root reaches the database through
its socket without a password.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, UnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.releases import Wanted

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# What the script prints before its answer: plugins and PHP itself may print anything before that.
MARK = "\x01infogerance "
UNKNOWN_DATABASE, UNKNOWN_TABLE = "ERROR 1049", "ERROR 1146"
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Place:
    """Where a site lives on the server.

    Attributes:
        home: its folder.
        user: system user that runs the maintenance script; its name is the database user's.
        schema: name of its database.
        prefix: prefix of its tables.
        hostname: name that visitors use.
        certificate: file of the certificate that the web server shows for it.
        health_path: path of the health page.
        port: HTTPS port on the server's own address 127.0.0.1.
    """

    home: str
    user: str
    schema: str
    prefix: str
    hostname: str
    certificate: str
    health_path: str
    port: int = 443


def run_php(place: Place, script: str, request: dict[str, Any]) -> dict[str, Any]:
    """Hand a request to the maintenance script, as the site's maintenance user, and answer what it says.

    Raises:
        UnreachableError: the database does not answer, or the maintenance user is missing.
        EngineError: WordPress refused or failed; the message is the script's own.
    """
    command = ["runuser", "-u", place.user, "--", "php", "-d", "display_errors=stderr", "-f", script]
    try:
        done = subprocess.run(
            command,
            input=json.dumps({"home": place.home, "hostname": place.hostname, "schema": place.schema, **request}),
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
            cwd="/",
            timeout=PATIENCE_SECONDS,
        )
    except FileNotFoundError as error:
        raise EngineError(f"{error.filename} is not installed on the server.") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{script} did not end within {PATIENCE_SECONDS} seconds for {place.hostname}.") from error
    _before, found, answer = done.stdout.rpartition(MARK)
    if not found and done.stderr.startswith("runuser: user "):
        raise UnreachableError(
            f"User {place.user} does not exist on the server, and nobody else may ask {place.hostname}."
        )
    if not found:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise EngineError(
            f"PHP ended with {done.returncode} for {place.hostname}: {said[-1] if said else 'no message'}"
        )
    result: dict[str, Any] = json.loads(answer)
    if "error" in result:
        kind = UnreachableError if result.get("kind") == "database" else EngineError
        raise kind(f"WordPress at {place.hostname}: {result['error']}")
    return result


class ServerTools:
    """What an update needs, done with the server's own programs."""

    def __init__(self, places: dict[str, Place], script: str) -> None:
        self._places = places
        self._script = script

    def tables(self, site: Wanted) -> int | None:
        """Answer the number of the site's table layout; 0 when not installed, None when the database is mute."""
        place = self._places[site.name]
        query = f"SELECT option_value FROM `{place.schema}`.`{place.prefix}options` WHERE option_name = 'db_version'"  # noqa: S608 -- both names are validated by the role's specification, and backquoted
        try:
            done = self._mysql("--execute", query)
        except FileNotFoundError:
            return None
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace")
            return 0 if UNKNOWN_DATABASE in text or UNKNOWN_TABLE in text else None
        answer = done.stdout.decode().strip()
        return int(answer) if re.fullmatch(r"\d+", answer) else 0

    @staticmethod
    def _mysql(*arguments: str, source: Any = None) -> subprocess.CompletedProcess[bytes]:
        command = ["mysql", "--no-defaults", "--protocol=socket", "--batch", "--skip-column-names", *arguments]
        return subprocess.run(
            command, stdin=source or subprocess.DEVNULL, capture_output=True, check=False, env=ENVIRONMENT
        )

    def dump(self, site: Wanted, destination: Path) -> None:
        """Write the site's database into `destination`, complete or not at all."""
        place = self._places[site.name]
        part = destination.with_suffix(".part")
        command = ["mysqldump", "--no-defaults", "--protocol=socket", "--single-transaction", "--quick", "--routines"]
        command += ["--triggers", "--events", "--no-tablespaces", place.schema]
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
            if process.stdout is None or process.stderr is None:
                raise EngineError("mysqldump was started without pipes.")
            with gzip.open(part, "wb", compresslevel=6) as file:
                shutil.copyfileobj(process.stdout, file)
            said = process.stderr.read().decode(errors="replace").strip()
        if process.returncode != 0:
            part.unlink()
            raise EngineError(f"the database {place.schema} cannot be written to a dump: {said}.")
        part.replace(destination)

    def restore(self, site: Wanted, source: Path) -> None:
        """Replace the site's database by a dump: tables that the dump does not know are gone."""
        place = self._places[site.name]
        fresh = f"DROP DATABASE IF EXISTS `{place.schema}`; CREATE DATABASE `{place.schema}` CHARACTER SET utf8mb4"
        self._must(self._mysql("--execute", fresh), place, source)
        command = ["mysql", "--no-defaults", "--protocol=socket", place.schema]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
            if process.stdin is None or process.stderr is None:
                raise EngineError("mysql was started without pipes.")
            # A client that ended early says why on its error output.
            with contextlib.suppress(BrokenPipeError), process.stdin, gzip.open(source, "rb") as file:
                shutil.copyfileobj(file, process.stdin)
            said = process.stderr.read()
        self._must(subprocess.CompletedProcess(command, process.returncode, b"", said), place, source)

    @staticmethod
    def _must(done: subprocess.CompletedProcess[bytes], place: Place, source: Path) -> None:
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise EngineError(
                f"The database {place.schema} could not be restored from {source}: {said}. The site stays closed; "
                "run again once the database answers."
            )

    def upgrade(self, site: Wanted) -> None:
        """Let the current release upgrade the tables, and empty the cache."""
        run_php(self._places[site.name], self._script, {"action": "upgrade"})

    def flush(self, site: Wanted) -> None:
        """Empty the site's object cache."""
        run_php(self._places[site.name], self._script, {"action": "flush"})

    def unhealthy(self, site: Wanted) -> str | None:
        """Ask the web server for the health page, the home page and the login page, as a visitor would."""
        place = self._places[site.name]
        try:
            page = get(place, place.health_path)
            if page.status != http.client.OK:
                return f"its health page answers {page.status}: {page.body[:200].strip()}."
            release = json.loads(page.body).get("release")
            if release != site.version:
                return f"its health page speaks of release {release}."
            for path in ("/", "/wp-login.php"):
                status = get(place, path).status
                if status >= http.client.INTERNAL_SERVER_ERROR:
                    return f"{path} answers {status}."
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"the web server does not answer as it should: {error}."
        return None


@dataclass(frozen=True)
class Page:
    """An answer of the web server."""

    status: int
    headers: dict[str, str]
    body: str


def get(place: Place, path: str) -> Page:
    """Ask the server's own web server for a page of a site over HTTPS.

    The certificate is trusted because it is the very one the web server was given, whoever signed it.

    Raises:
        OSError, http.client.HTTPException: no answer, or another certificate.
    """
    context = ssl.create_default_context(cafile=place.certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with socket.create_connection(("127.0.0.1", place.port), timeout=60) as plain:
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        connection.sock = context.wrap_socket(plain, server_hostname=place.hostname)
        connection.request("GET", path, headers={"Host": place.hostname, "User-Agent": "cnosf.infogerance"})
        answer = connection.getresponse()
        page = Page(answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace"))
        connection.close()
    return page
