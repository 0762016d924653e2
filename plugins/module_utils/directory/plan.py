# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole plan of a domain controller: every difference, in the order in which the role settles them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .checks import problems as declaration_problems
from .dhcp_plan import DhcpPlan
from .directory_plan import DirectoryPlan
from .dns_plan import DnsPlan
from .language import say_all
from .server_plan import ServerPlan

if TYPE_CHECKING:
    from .declared import Declaration
    from .language import Language
    from .observed import Observation


def server_plan(declared: Declaration, observation: Observation, language: Language = "fr") -> dict[str, Any]:
    """What differs on the server itself, before it is a domain controller or after."""
    plan = ServerPlan(declared, observation)
    return {
        "problems": say_all(declaration_problems(declared) + plan.problems(), language),
        "registry": plan.registry(),
        "dns_client": plan.dns_client(),
        "dsc_modules": plan.dsc_modules(),
        "group_policies": plan.group_policies(),
    }


def domain_plan(declared: Declaration, observation: Observation, language: Language = "fr") -> dict[str, Any]:
    """What differs in the domain and its services.

    What all controllers share is settled by the one that emulates the PDC alone: a difference is found, foreseen
    and repaired once; every controller settles what is its own.
    """
    directory = DirectoryPlan(declared, observation)
    dns = DnsPlan(declared, observation)
    dhcp = DhcpPlan(declared, observation)
    shared: dict[str, Any] = {
        "deferred_service_accounts": directory.deferred_service_accounts(),
        "recycle_bin": directory.recycle_bin(),
        "sites": directory.sites(),
        "subnets": directory.subnets(),
        "password_policy": directory.password_policy(),
        "organizational_units": directory.organizational_units(),
        "groups": directory.groups(),
        "users": directory.users(),
        "memberships": directory.memberships(),
        "fine_grained_policies": directory.fine_grained_policies(),
        "policy_subjects": directory.policy_subjects(),
        "kds_root_key": directory.kds_root_key(),
        "service_accounts": directory.service_accounts(),
        "laps": directory.laps(),
        "gpo_links": directory.gpo_links(),
        "dns_zones": dns.zones(),
        "dns_aging": dns.aging(),
        "dns_conditional_forwarders": dns.conditional_forwarders(),
        "dns_records": dns.records(),
        "dns_mail_records": dns.mail_records(),
    }
    problems = dhcp.problems()
    if ServerPlan(declared, observation).primary:
        problems += directory.problems() + dns.problems()
    else:
        shared = {kind: [] for kind in shared}
    own = {
        "problems": say_all(problems, language),
        "dns_forwarders": dns.forwarders(),
        "dns_scavenging": dns.scavenging(),
        "dhcp_setup": dhcp.setup(),
        "dhcp_authorization": dhcp.authorization(),
        "dhcp_options": dhcp.options(),
        "dhcp_scopes": dhcp.scopes(),
        "dhcp_exclusions": dhcp.exclusions(),
        "dhcp_scope_options": dhcp.scope_options(),
        "dhcp_reservations": dhcp.reservations(),
    }
    return shared | own
