# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a server goes and what it is copied from. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import labels
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import MIB
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
        Host,
        Landscape,
        Server,
    )
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.spec import ServerSpec


def listing(names: Iterable[str]) -> str:
    """Answer names for a sentence, sorted and once each, or `none`."""
    return ", ".join(sorted(set(names))) or "none"


def fits_system(template: Server, system: str) -> bool:
    """Tell whether a template carries a system: by its label, or by its name `tpl-<system>` with dashes."""
    return system in labels.values(template.tags, labels.SYSTEM) or template.name == f"tpl-{system.replace('_', '-')}"


def choose_template(spec: ServerSpec, landscape: Landscape, host: str | None) -> Server:
    """Answer the template to copy: on the wanted host when there is one there, on its site otherwise.

    Raises:
        InputError: no template is named or fits; the sentence lists those that exist.
    """
    templates = [server for server in landscape.servers if server.template]
    if spec.template is not None:
        fitting = [template for template in templates if template.name == spec.template]
        wanted = f"template {spec.template!r}"
    elif spec.system is not None:
        fitting = [template for template in templates if fits_system(template, spec.system)]
        wanted = f"template for the system {spec.system!r} (label system-{spec.system})"
    else:
        raise InputError(
            f"server {spec.name} does not exist and nothing says what to create it from: give 'system' or 'template'. "
            f"Known templates: {listing(template.name for template in templates)}."
        )
    if not fitting:
        raise InputError(
            f"server {spec.name}: there is no {wanted}. "
            f"Known templates: {listing(template.name for template in templates)}."
        )
    site_of = {item.name: item.site for item in landscape.hosts}
    online = {item.name for item in landscape.hosts if item.online}
    return min(
        fitting,
        key=lambda template: (
            template.host not in online,
            template.host != host,
            site_of.get(template.host) != (spec.site or site_of.get(host or "")),
            template.id,
        ),
    )


def choose_host(spec: ServerSpec, landscape: Landscape, current: str | None) -> str | None:
    """Answer the host that the server shall be on; None when nothing says so.

    A server that already is on its site stays where it is. Otherwise a host of the site with enough free memory is
    chosen by the server's name, so that servers created at the same time do not all land on one host; when none has
    enough, the one with the most.

    Raises:
        InputError: the host or the site does not exist or does not answer; the sentence lists those that exist.
    """
    if spec.host is not None:
        if spec.host not in {host.name for host in landscape.hosts}:
            raise InputError(
                f"server {spec.name}: there is no host {spec.host!r}. "
                f"Known hosts: {listing(host.name for host in landscape.hosts)}."
            )
        return spec.host
    sites = {host.site for host in landscape.hosts if host.site is not None}
    if spec.site is None or not sites:
        return current
    if spec.site not in sites:
        raise InputError(f"server {spec.name}: there is no site {spec.site!r}. Known sites: {listing(sites)}.")
    members = [host for host in landscape.hosts if host.site == spec.site]
    if current in {host.name for host in members}:
        return current
    online = [host for host in members if host.online]
    if not online:
        raise InputError(
            f"server {spec.name}: no host of the site {spec.site!r} answers ({listing(host.name for host in members)})."
        )
    return _fullest_fit(spec, online).name


def _fullest_fit(spec: ServerSpec, hosts: Sequence[Host]) -> Host:
    """Answer the host whose draw for this name is highest among those with enough memory, else the emptiest."""
    need = (spec.memory_mib or 0) * MIB
    roomy = [host for host in hosts if host.memory_free_bytes >= need]
    if not roomy:
        return max(hosts, key=lambda host: (host.memory_free_bytes, host.name))
    return max(roomy, key=lambda host: hashlib.sha256(f"{spec.name}/{host.name}".encode()).digest())


def copies_across(template: Server, storage: str | None, landscape: Landscape) -> bool:
    """Tell whether a copy can be made straight on another host: all its storages are seen by every host."""
    shared = {item.name for item in landscape.storages if item.shared}
    return bool(template.storages) and ({storage} if storage else set()) | set(template.storages) <= shared
