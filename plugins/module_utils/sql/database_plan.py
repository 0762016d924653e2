# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs in logins, databases and their users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, REMOVE, Item, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from . import observed as seen
from . import tsql
from .declared import PREFIX, Login

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Database, Declaration, User
    from .observed import Observation

_OWN_PREFIXES = ("NT SERVICE\\", "##")
_OWN_SIDS = frozenset({tsql.sid("S-1-5-18"), tsql.sid("S-1-5-19"), tsql.sid("S-1-5-20"), "0x01"})


class DatabasePlan:
    """Compares the instance's contents with their declaration."""

    def __init__(self, declared: Declaration, observed: Observation) -> None:
        """Take what is declared and observed."""
        self.declared = declared
        self.observed = observed
        self.fresh = not observed.answers
        self.wanted_logins = self._wanted_logins()
        self.databases_there = {database.name.casefold(): database for database in observed.databases}

    def _wanted_logins(self) -> dict[str, Login]:
        """Declared logins and the administrators' by their name on the server."""
        named: dict[str, Login] = {}
        administrators = tuple(Login(name, ("sysadmin",)) for name in self.declared.sysadmins)
        for login in (*administrators, *self.declared.logins):
            name = self.observed.principal(login.name).name or login.name
            before = named.get(name)
            roles = tuple(dict.fromkeys((*before.roles, *login.roles))) if before else login.roles
            named[name] = Login(name, roles, login.default_database, login.enabled)
        return named

    def _login(self, name: str) -> seen.Login | None:
        """A login that is there, by its SID where the account is known, else by its name."""
        principal = next((found for found in self.observed.principals if found.name == name), None)
        binary = tsql.sid(principal.sid) if principal else ""
        by_sid = next((login for login in self.observed.logins if binary and login.sid == binary), None)
        by_name = (login for login in self.observed.logins if login.name.casefold() == name.casefold())
        return by_sid or next(by_name, None)

    def problems(self) -> Iterator[Text]:
        """What forbids going on: owners and users whose login is neither declared nor there."""
        known = {name.casefold() for name in self.wanted_logins}
        known |= {login.name.casefold() for login in self.declared.logins}
        known |= {login.name.casefold() for login in self.observed.logins} | {self.declared.sa_name.casefold(), "sa"}
        for index, database in enumerate(self.declared.databases):
            path = f"{PREFIX}databases[{index}]"
            asked = [(f"{path}.owner", database.owner)] if database.owner else []
            asked += [(f"{path}.users[{number}].login", user.login) for number, user in enumerate(database.users)]
            for place, name in asked:
                if name.casefold() not in known:
                    yield about(
                        place,
                        f"{name!r} is neither declared in {PREFIX}logins nor a login of the instance",
                        f"« {name} » n'est ni déclaré dans {PREFIX}logins ni un accès de l'instance",
                    )

    # -- logins ------------------------------------------------------------------------------------------------------

    def sa(self) -> list[Item]:
        """The login sa: disabled, under its declared name."""
        found = self.observed.sa
        name = self.declared.sa_name
        why = []
        if found is None or found.name.casefold() != name.casefold():
            why.append("name")
        if found is None or not found.disabled:
            why.append("enabled")
        if found is None and name == "sa":
            why = ["enabled"]
        return [item("sa", why, foreseen=found is None, name=name)] if why else []

    def logins(self) -> list[Item]:
        """Logins to create, to enable or to remove."""
        items = []
        for name, login in self.wanted_logins.items():
            found = self._login(name)
            if found is None:
                items.append(self._login_item(login, CREATE))
            elif found.disabled is login.enabled:
                items.append(self._login_item(login, "enabled"))
        if self.declared.logins_purge:
            kept = {found.name for name in self.wanted_logins if (found := self._login(name))}
            for found in self.observed.logins:
                if found.kind in {"U", "G"} and found.name not in kept and not self._own(found):
                    gone = item(found.name, [REMOVE], foreseen=False, login=found.name, state="absent")
                    items.append({**gone, "enabled": True, "default_database": "master"})
        return items

    @staticmethod
    def _own(login: seen.Login) -> bool:
        """Whether a login is SQL Server's or the system's own."""
        return login.sid in _OWN_SIDS or login.name.upper().startswith(_OWN_PREFIXES)

    def _login_item(self, login: Login, why: str) -> Item:
        return item(
            login.name,
            [why],
            foreseen=self.fresh,
            login=login.name,
            enabled=login.enabled,
            default_database=login.default_database,
            state="present",
        )

    def login_roles(self) -> list[Item]:
        """Server roles to give, and with logins_purge to take."""
        items = []
        for name, login in self.wanted_logins.items():
            found = self._login(name)
            held = {role.casefold() for role in found.roles} if found else set()
            wanted = {role.casefold() for role in login.roles}
            changes = [(role, "present") for role in login.roles if role.casefold() not in held]
            if self.declared.logins_purge and found:
                changes += [(role, "absent") for role in found.roles if role.casefold() not in wanted]
            items += [
                item(name, [role, state], foreseen=found is None, login=name, role=role, state=state)
                for role, state in changes
            ]
        return items

    # -- databases ---------------------------------------------------------------------------------------------------

    def _owner(self, database: Database) -> str:
        owner = database.owner or self.declared.sa_name
        return self.observed.principal(owner).name or owner

    def databases(self) -> list[Item]:
        """Databases to create, and properties that differ."""
        items = []
        for database in self.declared.databases:
            found = self.databases_there.get(database.name.casefold())
            wanted: dict[str, Any] = {"recovery_model": database.recovery_model, "owner": self._owner(database)}
            if database.read_committed_snapshot is not None:
                wanted["rcsi"] = database.read_committed_snapshot
            if found is None:
                paths = {"data_path": database.data_path, "log_path": database.log_path}
                given = {name: path for name, path in paths.items() if path}
                items.append(item(database.name, [CREATE], foreseen=True, database=database.name, **wanted, **given))
                continue
            current = {
                "recovery_model": found.recovery_model,
                "owner": found.owner,
                "rcsi": found.read_committed_snapshot,
            }
            different = {name: value for name, value in wanted.items() if not _same(value, current[name])}
            if different:
                items.append(item(database.name, different, foreseen=False, database=found.name, **different))
        return items

    def _users(self) -> Iterator[tuple[Database, User, str, seen.User | None]]:
        for database in self.declared.databases:
            there = self.databases_there.get(database.name.casefold())
            for user in database.users:
                login = self.observed.principal(user.login).name or user.login
                name = user.name or login
                found = next((one for one in (there.users if there else ()) if _same(one.name, name)), None)
                yield database, user, login, found

    def users(self) -> list[Item]:
        """Users to create in databases, or whose default schema differs."""
        return [
            item(
                f"{database.name}: {user.name or login}",
                [CREATE if found is None else "default_schema"],
                foreseen=found is None,
                database=database.name,
                username=user.name or login,
                login=login,
                default_schema=user.default_schema,
            )
            for database, user, login, found in self._users()
            if found is None or (found.default_schema and not _same(found.default_schema, user.default_schema))
        ]

    def user_roles(self) -> list[Item]:
        """Roles of users in databases; none is taken away."""
        items = []
        for database, user, login, found in self._users():
            held = {role.casefold() for role in found.roles} if found else set()
            name = user.name or login
            items += [
                item(
                    f"{database.name}: {name}",
                    [role],
                    foreseen=found is None,
                    database=database.name,
                    username=name,
                    role=role,
                )
                for role in user.roles
                if role.casefold() not in held
            ]
        return items


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return bool(one == other)
