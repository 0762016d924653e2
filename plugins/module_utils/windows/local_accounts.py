# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which user rights, local groups and local users differ from their declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.declared import Entry


def _sid(principal: str, sids: Mapping[str, str | None], *, strict: bool) -> str | None:
    if principal.startswith("S-1-"):
        return principal
    sid = {name.casefold(): value for name, value in sids.items()}.get(principal.casefold())
    if sid is None and strict:
        raise InputError(f"the server knows no account or group {principal}: correct the name or give its SID")
    return sid


def right_changes(
    declared: Sequence[Mapping[str, Any]],
    current: Mapping[str, Sequence[str]],
    sids: Mapping[str, str | None],
    *,
    strict: bool = True,
) -> list[Entry]:
    """Rights to add or remove, as ``win_user_right`` takes them; holders that are not named keep what they have.

    Args:
        declared: ``name`` (constant of the right), ``users`` (names or SIDs), ``action`` (add or remove).
        current: ``user_rights`` of ``win_baseline_info``.
        sids: ``sids`` of ``win_baseline_info``: SID of each name that is not a SID.
        strict: Whether a name that the server does not know is an error. Otherwise it is taken for one that comes into
            being in this run (a local user, a domain to join), and listed in ``awaited``.

    Raises:
        InputError: The server does not know a name.
    """
    changes = []
    for entry in declared:
        holders = set(current.get(entry["name"], ()))
        action = entry.get("action", "add")
        found = {user: _sid(user, sids, strict=strict) for user in entry["users"]}
        users = [user for user, sid in found.items() if (sid in holders) is (action == "remove")]
        awaited = [user for user in users if found[user] is None]
        if users:
            changes.append({"name": entry["name"], "users": users, "action": action, "awaited": awaited})
    return changes


def group_changes(
    declared: Sequence[Mapping[str, Any]],
    current: Sequence[Mapping[str, Any]],
    sids: Mapping[str, str | None],
    *,
    strict: bool = True,
) -> list[Entry]:
    """Local groups whose members differ, as ``win_group_membership`` takes them.

    Args:
        declared: ``group`` (name or SID), ``members`` (names or SIDs), ``action`` (add, remove, or exact).
        current: ``groups`` of ``win_baseline_info``.
        sids: SID of each name that is not a SID.
        strict: Whether a name that the server does not know is an error. Otherwise it is taken for one that comes into
            being in this run (a local user, a domain to join), and listed in ``awaited``.

    Raises:
        InputError: The server does not know a group or a member.
    """
    states = {group["sid"]: group for group in current}
    changes = []
    for entry in declared:
        sid = _sid(entry["group"], sids, strict=True)
        if sid not in states:
            raise InputError(f"the server has no local group {entry['group']}: correct the name or give its SID")
        present = set(states[sid]["members"])
        found = {member: _sid(member, sids, strict=strict) for member in entry["members"]}
        wanted = set(found.values())
        action = entry.get("action", "add")
        differs = {
            "add": bool(wanted - present),
            "remove": bool(wanted & present),
            "exact": wanted != present,
        }[action]
        if differs:
            state = {"add": "present", "remove": "absent", "exact": "pure"}[action]
            awaited = [member for member in entry["members"] if found[member] is None]
            changes.append({"name": states[sid]["name"], "members": list(found), "state": state, "awaited": awaited})
    return changes


def user_changes(declared: Sequence[Mapping[str, Any]], current: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Local users to create, change or remove; passwords stay out: the task takes them by the user's name.

    Entries are the arguments of ``win_user``, with ``declared_name``, by which the task finds the password.

    Args:
        declared: ``name``, or ``rid`` for a built-in user whose name depends on the language; ``state``, ``enabled``,
            ``full_name``, ``description``, ``password_never_expires``.
        current: ``users`` of ``win_baseline_info``.

    Raises:
        InputError: No user has a declared RID.
    """
    changes = []
    for entry in declared:
        if entry.get("rid"):
            found = [user for user in current if user["sid"].endswith(f"-{entry['rid']}")]
            if not found:
                raise InputError(f"the server has no local user with RID {entry['rid']}")
        else:
            found = [user for user in current if user["name"].casefold() == str(entry["name"]).casefold()]
        absent = entry.get("state", "present") == "absent"
        if absent or not found:
            if absent is bool(found):
                changes.append(_user(entry, found[0]["name"] if found else entry["name"]))
            continue
        user = found[0]
        declared_state = {
            name: entry[name]
            for name in ("enabled", "full_name", "description", "password_never_expires")
            if entry.get(name) is not None
        }
        if any(user[name] != wanted for name, wanted in declared_state.items()):
            changes.append(_user(entry, user["name"]))
    return changes


def _user(entry: Mapping[str, Any], name: str) -> Entry:
    change: Entry = {"name": name, "declared_name": entry.get("name", name), "state": entry.get("state", "present")}
    if change["state"] == "absent":
        return change
    if entry.get("enabled") is not None:
        change["account_disabled"] = not entry["enabled"]
    for source, target in (
        ("full_name", "fullname"),
        ("description", "description"),
        ("password_never_expires", "password_never_expires"),
    ):
        if entry.get(source) is not None:
            change[target] = entry[source]
    return change
