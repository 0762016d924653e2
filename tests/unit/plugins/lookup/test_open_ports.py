# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of a server as the controller finds them: open, shut, and shut a little later."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader

HOST = "127.0.0.1"


def look(*ports, **options):
    return lookup_loader.get("cnosf.infogerance.open_ports").run(list(ports), {}, host=HOST, **options)


@pytest.fixture
def listener():
    with socket.create_server((HOST, 0)) as server:
        yield server


@pytest.fixture
def shut():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def test_open_ports_are_told_from_shut_ones(listener, shut):
    port = listener.getsockname()[1]
    assert look(shut, port, str(port)) == [port, port]
    assert look(shut) == []


def test_a_port_that_is_shut_in_time_is_not_open(listener):
    port = listener.getsockname()[1]
    timer = threading.Timer(0.3, lambda: (listener.shutdown(socket.SHUT_RDWR), listener.close()))
    timer.start()
    try:
        assert look(port, patience=10) == []
    finally:
        timer.join()


def test_a_port_that_stays_open_is_told_when_patience_ends(listener, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    now = iter(range(100))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    port = listener.getsockname()[1]
    assert look(port, patience=3) == [port]
    assert len(slept) == 2


def test_a_host_that_nobody_knows_has_no_open_port():
    plugin = lookup_loader.get("cnosf.infogerance.open_ports")
    assert plugin.run([80], {}, host="nobody.invalid") == []


@pytest.mark.parametrize("term", [0, 65536, "ssh", None])
def test_what_is_no_port_is_refused(term):
    with pytest.raises(AnsibleLookupError, match="is no TCP port"):
        look(term)
