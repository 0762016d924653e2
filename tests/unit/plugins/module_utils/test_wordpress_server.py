# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's programs, with small programs of the test in their place; and a real web server over TLS."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import ssl
import threading

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, UnreachableError
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress import server
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.releases import Wanted
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.server import Place, ServerTools, run_php
from lab.authority import Authority

SITE = Wanted("paris", "/srv/paris", "6.8.3")


def place(**options):
    return Place(**{
        "home": "/srv/paris", "user": "wp_paris_adm", "schema": "wpparis", "prefix": "wp_",
        "hostname": "www.example.org", "certificate": "", "health_path": "/health", **options,
    })  # fmt: skip


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a shell script in the place of a program of the server."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(server, "ENVIRONMENT", {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path)})
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    return put


def test_php_gets_its_request_on_standard_input_and_nothing_secret_as_an_argument(program, tmp_path):
    program(
        "runuser",
        f"""echo "$@" > {tmp_path}/argv; cat > {tmp_path}/stdin; printf 'Notice: x\\n\\001infogerance {{"a": 1}}'""",
    )
    assert run_php(place(), "/lib/site.php", {"action": "account", "password": "s3cret"}) == {"a": 1}
    assert "s3cret" not in (tmp_path / "argv").read_text()
    assert (tmp_path / "argv").read_text().split() == [
        "-u", "wp_paris_adm", "--", "php", "-d", "display_errors=stderr", "-f", "/lib/site.php",
    ]  # fmt: skip
    assert json.loads((tmp_path / "stdin").read_text())["password"] == "s3cret"


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (
            """printf '\\001infogerance {"error": "no theme."}'""",
            EngineError,
            r"WordPress at www\.example\.org: no theme\.",
        ),
        ("""printf '\\001infogerance {"error": "down", "kind": "database"}'""", UnreachableError, "down"),
        (
            "echo 'PHP Fatal error: x' >&2; exit 255",
            EngineError,
            r"PHP ended with 255 for www\.example\.org: PHP Fatal",
        ),
    ],
)
def test_what_php_refuses_is_told(program, script, error, message):
    program("runuser", script)
    with pytest.raises(error, match=message):
        run_php(place(), "/lib/site.php", {"action": "read"})


@pytest.mark.parametrize(
    ("script", "tables"),
    [
        ("echo 60421", 60421),
        ("true", 0),
        ("echo 'ERROR 1049 (42000): Unknown database' >&2; exit 1", 0),
        ("echo 'ERROR 1146 (42S02): no table' >&2; exit 1", 0),
        ("echo 'ERROR 2002 (HY000): no socket' >&2; exit 1", None),
    ],
)
def test_tables(program, script, tables):
    program("mysql", script)
    assert ServerTools({"paris": place()}, "").tables(SITE) == tables


def test_a_dump_is_whole_or_not_there(program, tmp_path):
    tools = ServerTools({"paris": place()}, "")
    program("mysqldump", "echo 'CREATE TABLE x;'")
    tools.dump(SITE, tmp_path / "a.sql.gz")
    assert gzip.decompress((tmp_path / "a.sql.gz").read_bytes()) == b"CREATE TABLE x;\n"
    assert (tmp_path / "a.sql.gz").stat().st_mode & 0o777 == 0o600
    program("mysqldump", "echo half; echo 'disk full' >&2; exit 2")
    with pytest.raises(EngineError, match="wpparis cannot be written to a dump: disk full"):
        tools.dump(SITE, tmp_path / "b.sql.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sql.gz", "bin"]


def test_a_restore_replaces_the_whole_database(program, tmp_path):
    with gzip.open(tmp_path / "d.sql.gz", "wb") as file:
        file.write(b"INSERT;")
    program("mysql", f"""echo "$@" >> {tmp_path}/argv; cat >> {tmp_path}/stdin""")
    ServerTools({"paris": place()}, "").restore(SITE, tmp_path / "d.sql.gz")
    first, second = (tmp_path / "argv").read_text().splitlines()
    assert "DROP DATABASE IF EXISTS `wpparis`; CREATE DATABASE `wpparis`" in first
    assert second.endswith("wpparis")
    assert (tmp_path / "stdin").read_text() == "INSERT;"
    program("mysql", "echo 'ERROR 1064' >&2; exit 1")
    with pytest.raises(EngineError, match=r"could not be restored from .*: ERROR 1064. The site stays closed"):
        ServerTools({"paris": place()}, "").restore(SITE, tmp_path / "d.sql.gz")


class Pages(http.server.BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, str]] = {}  # noqa: RUF012 -- each test sets its own

    def do_GET(self):
        status, body = self.answers[self.path]
        self.send_response(status)
        self.send_header("X-Test", self.headers["Host"])
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("www.example.org")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield place(certificate=str(certificate), port=listener.server_address[1]), authority
    listener.shutdown()
    listener.server_close()


GOOD = {"/health": (200, '{"status": "ok", "release": "6.8.3"}'), "/": (200, "home"), "/wp-login.php": (200, "login")}


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, None),
        ({"/": (301, "")}, None),
        ({"/health": (503, '{"failed": "database"}')}, 'its health page answers 503: {"failed": "database"}.'),
        ({"/health": (200, '{"release": "6.7"}')}, "its health page speaks of release 6.7."),
        ({"/health": (200, "<html>")}, "the web server does not answer as it should: "),
        ({"/": (500, "")}, "/ answers 500."),
        ({"/wp-login.php": (502, "")}, "/wp-login.php answers 502."),
    ],
)
def test_a_site_is_looked_at_as_a_visitor_would(web, answers, problem):
    Pages.answers = {**GOOD, **answers}
    found = ServerTools({"paris": web[0]}, "").unhealthy(SITE)
    assert found is None if problem is None else (found or "").startswith(problem)


def test_another_certificate_than_the_site_s_is_not_taken(web):
    where, authority = web
    other, _ = authority.issue("other.example.org")
    alone = other.with_name("alone.pem")
    alone.write_text(other.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    found = ServerTools({"paris": place(certificate=str(alone), port=where.port)}, "").unhealthy(SITE)
    assert "certificate verify failed" in (found or "")
