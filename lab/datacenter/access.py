# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: the API tokens of the settings with their privileges, and the calls that list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakepve.routing import die

from lab.credentials import API_USER
from lab.datacenter.base import Base, Values

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Access"]


class Access(Base):
    """Tokens of least privilege; everything else belongs to root@pam."""

    def grant_tokens(self, secrets: Mapping[str, str]) -> None:
        """Let the tokens in, each with the privileges of the settings and its generated secret."""
        self.acl: dict[str, list[tuple[str, set[str]]]] = {}
        self.apitokens: dict[str, str] = {}
        for name, grants in self.settings.tokens.items():
            token = f"{API_USER}!{name}"
            self.apitokens[token] = secrets[name]
            for grant in grants:
                self.grant(token, grant.path, *grant.privileges)

    def _routes_lab_access(self) -> list[tuple[str, str, Any]]:
        return [
            ("GET", "/access/users", self._users),
            ("GET", "/access/users/{userid}/token", self._tokens),
        ]

    async def _users(self, _v: Values, _user: str) -> list[Values]:
        return [
            {"userid": "root@pam", "enable": 1, "expire": 0, "realm-type": "pam"},
            {"userid": API_USER, "enable": 1, "expire": 0, "realm-type": "pve"},
        ]

    async def _tokens(self, v: Values, _user: str) -> list[Values]:
        if v["userid"] not in ("root@pam", API_USER):
            raise die(f"no such user ('{v['userid']}')")
        mine = [token.partition("!") for token in sorted(self.apitokens)]
        return [{"tokenid": name, "privsep": 1, "expire": 0} for user, _bang, name in mine if user == v["userid"]]
