# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role ``wordpress``: they translate between Jinja and the pure rules, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress import estate

if TYPE_CHECKING:
    from collections.abc import Callable


def _told(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Give a rule as a filter: what the declaration cannot mean is shown as the rule words it."""

    def told(*args: Any, **options: Any) -> Any:
        try:
            return rule(*args, **options)
        except InputError as error:
            raise AnsibleFilterError(str(error)) from error

    return told


class FilterModule:
    """The filters and their names."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give each filter by its name."""
        return {
            "wordpress_accounts_wrong": _told(estate.accounts_wrong),
            "wordpress_options": _told(estate.options),
            "wordpress_paths": _told(estate.paths),
            "wordpress_php": _told(estate.php),
            "wordpress_sites": _told(estate.resolve),
            "wordpress_state": _told(estate.state),
            "wordpress_surplus": _told(estate.surplus),
            "wordpress_trees": _told(estate.trees),
            "wordpress_units": _told(estate.units),
            "wordpress_units_wrong": _told(estate.units_wrong),
            "wordpress_unsigned": _told(estate.unsigned),
            "wordpress_users_wrong": _told(estate.users_wrong),
        }
