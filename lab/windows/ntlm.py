# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server side of NTLM version 2 (MS-NLMP): enough to let a client prove a password over TLS."""

from __future__ import annotations

import hmac
import secrets
import struct
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from lab.windows.identity import LogonFailure, Principal, logon_with, ntlmv2_key
from lab.windows.server import filetime

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

SIGNATURE = b"NTLMSSP\0"
_FLAGS = 0xE28A8205  # unicode, target, NTLM, always sign, server, extended security, target info, version, 128, key, 56


def _field(data: bytes, at: int) -> bytes:
    length, _maximum, offset = struct.unpack_from("<HHI", data, at)
    return data[offset : offset + length]


@dataclass(slots=True)
class Handshake:
    """One connection's attempt to authenticate."""

    server: WindowsServer
    challenge: bytes = field(default_factory=lambda: secrets.token_bytes(8))

    def offer(self) -> bytes:
        """CHALLENGE message: who this server is and what to answer to."""
        name = self.server.computer_name
        pairs = ((2, name), (1, name), (4, self.server.domain or name), (3, self.server.fqdn))
        info = b"".join(
            struct.pack("<HH", kind, len(text.encode("utf-16-le"))) + text.encode("utf-16-le") for kind, text in pairs
        )
        info += struct.pack("<HHQ", 7, 8, filetime(self.server.now())) + struct.pack("<HH", 0, 0)
        target = name.encode("utf-16-le")
        version = struct.pack("<BBH3xB", 10, 0, 20348, 15)
        header = 56
        return (
            SIGNATURE
            + struct.pack("<I", 2)
            + struct.pack("<HHI", len(target), len(target), header)
            + struct.pack("<I", _FLAGS)
            + self.challenge
            + b"\0" * 8
            + struct.pack("<HHI", len(info), len(info), header + len(target))
            + version
            + target
            + info
        )

    def accept(self, message: bytes) -> Principal:
        """Check an AUTHENTICATE message.

        Raises:
            LogonFailure: It proves no password of an account that may log on.
        """
        try:
            response, domain, user = _field(message, 20), _field(message, 28), _field(message, 36)
            domain_name, user_name = domain.decode("utf-16-le"), user.decode("utf-16-le")
        except (struct.error, UnicodeDecodeError):
            raise LogonFailure("malformed NTLM message") from None
        if len(response) < 24 + 16:  # an NTLMv1 answer, which Windows no longer takes
            raise LogonFailure(user_name)
        proof, blob = response[:16], response[16:]

        def check(stored: str) -> bool:
            if not stored:
                return False
            key = ntlmv2_key(stored, user_name, domain_name)
            return hmac.compare_digest(hmac.new(key, self.challenge + blob, md5).digest(), proof)

        return logon_with(self.server, f"{domain_name}\\{user_name}" if domain_name else user_name, check)
