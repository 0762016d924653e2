# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to described servers: what `server_info` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.contract import floor as contract
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import factory, facts
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Detail, plain
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.placement import listing
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping


def described(detail: Detail) -> dict[str, Any]:
    """Answer a server that was read apart as plain data, with what failed."""
    return {**facts.describe(detail.server), "snapshots": plain(detail.snapshots), "detail_error": detail.error}


def survey(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answer the servers that options select, sorted by name.

    Raises:
        InfogeranceError: a named server does not exist, or the engine refuses or fails.
    """
    floors = contract.load(options["contract"]) if options.get("contract") else None
    datacenter = factory.datacenter(options)
    servers = datacenter.list_servers(options.get("tags") or (), options.get("pool"))
    names = options.get("names")
    if names is not None:
        missing = set(names) - {server.name for server in servers}
        if missing:
            raise NotFoundError(
                f"There is no server named {listing(missing)} here: check the names, the labels and the pool asked "
                "for, and the token's privileges."
            )
        servers = [server for server in servers if server.name in names]
    servers.sort(key=lambda server: (server.name, server.id))
    details = datacenter.details(servers, options.get("details") or (), int(options.get("workers") or 16))
    result = [described(detail) for detail in details]
    if floors is not None:
        for item in result:
            item["conformity"] = facts.conformity(item, floors)
    return result
