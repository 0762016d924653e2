# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of the TCP ports of a server that answer the controller."""

from __future__ import annotations

DOCUMENTATION = """
name: open_ports
author: Contributors to cnosf.infogerance (@cnosf)
version_added: 0.1.0
short_description: Try TCP ports of a server from the controller
description:
  - Connects to each port, sends nothing, and answers the ports that accept the connection.
  - A port that refuses, or that does not answer in time, is not open. Neither is one of a host that cannot be found.
  - P(ansible.builtin.wait_for#module) does the same in a process of its own for each server.
options:
  _terms:
    description: Port numbers.
    required: true
  host:
    description: Name or address of the server.
    type: str
    required: true
  connect_timeout:
    description: Seconds that a connection may take.
    type: float
    default: 2
  patience:
    description: Seconds to go on trying while a port is open, for one that is about to be shut.
    type: float
    default: 0
"""

EXAMPLES = """
- name: Require that WinRM without TLS is shut from outside
  ansible.builtin.assert:
    that: query('cnosf.infogerance.open_ports', 5985, host=ansible_host, patience=6) | length == 0
"""

RETURN = """
_list:
  description: The open ports among those asked for, in that order.
  type: list
  elements: int
"""

import socket
import time
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

PORTS = range(1, 65536)
PAUSE = 0.5
"""Seconds between two attempts at an open port."""


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[int]:
        """Answer the ports that are open.

        Raises:
            AnsibleLookupError: a term is no port.
        """
        self.set_options(var_options=variables, direct=kwargs)
        ports = [self._port(term) for term in terms]
        return [port for port in ports if self._stays_open(port)]

    @staticmethod
    def _port(term: Any) -> int:
        try:
            port = int(term)
        except (TypeError, ValueError):
            port = 0
        if port not in PORTS:
            raise AnsibleLookupError(f"open_ports: {term!r} is no TCP port (1 to 65535).")
        return port

    def _stays_open(self, port: int) -> bool:
        deadline = time.monotonic() + float(self.get_option("patience"))
        while self._open(port):
            if time.monotonic() >= deadline:
                return True
            time.sleep(PAUSE)
        return False

    def _open(self, port: int) -> bool:
        address = (str(self.get_option("host")), port)
        try:
            with socket.create_connection(address, timeout=float(self.get_option("connect_timeout"))):
                return True
        except OSError:
            return False
