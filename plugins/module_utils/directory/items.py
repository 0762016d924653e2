# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one difference looks like to the role: arguments for its task, a label, and whether it can be asked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Item = dict[str, Any]
"""Arguments of one turn of a task's loop, with ``label`` and ``foreseen``.

``foreseen`` tells that the server cannot judge the item in check mode, because what it needs is itself made by this run
(the directory, a zone, a scope ...): the task then takes the plan's word for it.
"""

CREATE = "create"
REMOVE = "remove"


def item(of: str, why: Iterable[str], /, *, foreseen: bool, **arguments: Any) -> Item:
    """Make one item; its label names the object and what of it differs."""
    return {"label": f"{of} ({', '.join(why)})", "foreseen": foreseen, **arguments}


def differing(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Names of the properties whose value is not the wanted one; lists are compared as sets of texts, caseless."""
    return [name for name, value in wanted.items() if not _same(value, current.get(name))]


def _same(wanted: Any, current: Any) -> bool:
    if isinstance(wanted, (list, tuple)):
        return {str(value).casefold() for value in wanted} == {str(value).casefold() for value in current or ()}
    return bool(wanted == current)
