# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe must be asked, and every difference between a declaration and what it answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import access
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.systems import system_of

from . import checks, firewall, rights, scheduled, settings
from .declared import HTTPS, SFTP
from .observed import Observation

if TYPE_CHECKING:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item
    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language
    from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.systems import System

    from .declared import Declaration


def request(declared: Declaration, domain: str | None = None) -> dict[str, Any]:
    """Arguments of the probes, windows_state_info (``server``) and ans_exchange_info (``exchange``).

    Args:
        declared: the declaration.
        domain: domain of the server, empty outside one; given, the far ends are asked and the clock is measured.
    """
    names = [declared.service_account, *(name for flow in declared.flows for name in flow.principals)]
    server = {
        "principals": [name for name in dict.fromkeys(names) if not name.upper().startswith("S-1-")],
        "files": list(settings.contents(declared)),
        "certificates": any(flow.protocol == HTTPS for flow in declared.flows),
    }
    asked: dict[str, Any] = {
        "paths": [want.path for want in rights.wanted(declared, Observation("", "", ""))],
        "firewall_group": declared.firewall_group,
        "task_folder": declared.task_folder,
        "event_source": declared.event_source,
        "flows": [
            {
                "name": flow.name,
                "backlog": [
                    *([declared.folder(flow, "outbox")] if flow.drop == "outbox" else []),
                    *(declared.folder(flow, kind) for kind in rights.work_folders(flow.direction)),
                ],
                "archive": declared.folder(flow, "archive"),
                "metrics": declared.metrics_path(flow) if declared.metrics_directory else "",
            }
            for flow in declared.flows
        ],
    }
    if domain is not None:
        asked["time_server"] = declared.time_server or domain
        asked["openssh_directory"] = declared.openssh_directory
        asked["far_ends"] = [
            {"name": flow.name, "host": flow.host, "port": flow.far_port}
            for flow in declared.flows
            if flow.protocol == SFTP and flow.enabled
        ]
    return {"server": server, "exchange": asked}


def plan(
    declared: Declaration, found: Observation, *, check: bool = False, language: Language = "fr"
) -> dict[str, Any]:
    """Every difference, in the order in which the role settles them.

    Args:
        declared: the declaration.
        found: what the probe saw.
        check: check mode: what an earlier part of the same run makes is not missed.
        language: language of the sentences.
    """
    known = found.knows(declared.service_account)
    wanted = rights.wanted(declared, found)
    system = system_of(found.build)
    return {
        "problems": say_all(
            checks.problems(declared) + checks.server_problems(declared, found, system, check=check), language
        ),
        "notices": say_all(_notices(declared, found, system, known=known), language),
        "account_known": known,
        "account_sid": found.sid(declared.service_account),
        "packages": any(flow.protocol == SFTP for flow in declared.flows),
        "certificates": sorted({flow.certificate for flow in declared.flows if flow.protocol == HTTPS}),
        "identities": sorted({flow.identity for flow in declared.flows if flow.protocol == SFTP}),
        "folders": _acls([want for want in wanted if not want.file], found),
        "files": settings.files(declared, found),
        "secrets": _acls([want for want in wanted if want.file], found),
        "event_source": [] if found.event_source else [item(declared.event_source, [CREATE], foreseen=False)],
        "rules": firewall.rules(declared, found),
        "block": firewall.block(declared, found),
        "controllers": [text for text in firewall.controllers(declared, found) if found.domain and "/" not in text],
        "tasks": scheduled.tasks(declared, found, account_known=known),
        "https": [
            {
                "name": flow.name,
                "url": settings.url(flow, flow.probe_path),
                "thumbprint": own.thumbprint,
                "statuses": list(flow.probe_statuses),
            }
            for flow in declared.flows
            if flow.protocol == HTTPS and flow.enabled and (own := declared.certificate(flow)) is not None
        ],
    }


def _notices(declared: Declaration, found: Observation, system: System | None, *, known: bool) -> list[Text]:
    """What is worth saying at every run: support that runs out, an account that this very run is expected to meet."""
    texts = []
    if system is not None and not system.supported:
        days, end = system.days_left(found.now.date()), system.end_of_support
        texts.append(
            Text(
                f"{found.hostname}: {system.name} has {days} days of support left (until {end})",
                f"{found.hostname} : {system.name} n'a plus que {days} jours de support (fin le {end})",
            )
        )
    if not known:
        account = declared.service_account
        texts.append(
            Text(
                f"{found.hostname}: {account} is not known yet; what is his is foreseen without asking the server",
                f"{found.hostname} : {account} n'est pas encore connu ; ce qui le concerne est prévu sans le serveur",
            )
        )
    return texts


def _acls(wanted: list[access.Wanted], found: Observation) -> list[Item]:
    held = {folder.path.casefold(): folder for folder in found.folders}
    items = []
    for want in wanted:
        own = held.get(want.path.casefold())
        if own is None or not rights.fits(want, own):
            why = ["rights"] if own and own.exists else [CREATE]
            items.append(
                item(
                    want.path,
                    why,
                    foreseen=own is None or not own.exists,
                    arguments=access.arguments(want),
                )
            )
    return items
