# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole plan of an instance, in the order in which the role settles it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import say_all

from .agent_plan import AgentPlan
from .checks import problems as declaration_problems
from .database_plan import DatabasePlan
from .server_plan import ServerPlan

if TYPE_CHECKING:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration
    from .observed import Observation


def plan(
    declared: Declaration,
    observed: Observation,
    *,
    thumbprint: str = "",
    foreseen: bool = False,
    language: Language = "fr",
) -> dict[str, Any]:
    """What forbids going on, and what differs.

    Args:
        declared: what the role was asked for.
        observed: state of the instance; one that does not answer is taken for an empty one.
        thumbprint: thumbprint of the certificate that its connections must be served with.
        foreseen: whether this only looks ahead (check mode): what only a domain has is no problem yet where the server
            may still join it.
        language: language of the sentences.
    """
    wrong = declaration_problems(declared)
    if wrong:  # compared with a server it would only be said again
        return {"problems": say_all(wrong, language), **{kind: [] for kind in (*_SERVER, *_CONTENTS)}}
    server = ServerPlan(declared, observed, thumbprint, foreseen=foreseen)
    databases = DatabasePlan(declared, observed)
    agent = AgentPlan(declared, observed)
    found = {
        "problems": say_all([*server.problems(), *databases.problems()], language),
        "setup": server.setup(),
        "cumulative_update": server.update(),
        "registry": server.registry(),
        "configuration": server.configuration(),
        "restart": server.restart(),
        "services": server.services(),
        "backup_folder": server.backup_folder(),
        "sa": databases.sa(),
        "logins": databases.logins(),
        "login_roles": databases.login_roles(),
        "databases": databases.databases(),
        "users": databases.users(),
        "user_roles": databases.user_roles(),
        "tempdb": server.tempdb(),
        "maintenance": agent.maintenance(),
        "jobs": agent.jobs(),
        "steps": agent.steps(),
        "schedules": agent.schedules(),
        "operators": agent.operators(),
        "mail": agent.mail(),
        "alerts": agent.alerts(),
        "statements": agent.statements(),
    }
    # An instance that is there and does not answer tells nothing of its contents: it is started and read again first.
    blind = observed.installed and not observed.answers
    return {kind: [] if blind and kind in _CONTENTS else items for kind, items in found.items()}


_SERVER = ("setup", "cumulative_update", "registry", "restart", "services", "backup_folder")
_CONTENTS = (
    *("configuration", "sa", "logins", "login_roles", "databases", "users", "user_roles", "tempdb", "maintenance"),
    *("jobs", "steps", "schedules", "operators", "mail", "alerts", "statements"),
)
"""Kinds of differences that only an instance that answers can tell of."""
