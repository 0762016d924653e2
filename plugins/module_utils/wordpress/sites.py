# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What WordPress keeps in its database: whether it is installed, its options, theme, plugins and declared accounts.

WordPress itself compares and writes, through the maintenance script; this is the plan in between. Passwords go to the
script and come back as yes or no, never as values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError, UnreachableError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class ApplicationPassword:
    """A password of a program that uses the REST API."""

    name: str
    password: str


@dataclass(frozen=True)
class Account:
    """A declared account of a site.

    Attributes:
        login: name to log in with; it cannot be changed later.
        email: address.
        role: WordPress role, for example `administrator`, `editor`.
        display_name: name shown; the login when empty.
        password: given when the account is created, and left to its owner afterwards.
        update_password: give the password again whenever it differs.
        application_passwords: those of programs; one of the same name with another password is replaced.
    """

    login: str
    email: str
    role: str
    display_name: str = ""
    password: str = ""
    update_password: bool = False
    application_passwords: tuple[ApplicationPassword, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """A site as it shall be; `accounts` begins with the administrator that the installation creates."""

    name: str
    title: str
    accounts: tuple[Account, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    theme: str | None = None
    plugins: tuple[str, ...] | None = None
    language: str = ""


@dataclass(frozen=True)
class AccountState:
    """An account as it is; `wrong_applications` names the application passwords that are absent or differ."""

    exists: bool = False
    email: str = ""
    roles: tuple[str, ...] = ()
    display_name: str = ""
    password_right: bool = False
    wrong_applications: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """A site as it is.

    Attributes:
        reachable: PHP and a release are there to be asked.
        known: it could be asked; in check mode the database may be down, and then nothing is foreseen.
        installed: WordPress has its tables.
        differing: declared options that differ, with their value where it may be shown.
        theme: folder of the active theme.
        plugins: active plugins, as folders or files below the plugins' folder.
        accounts: the declared accounts by login.
    """

    reachable: bool = True
    known: bool = True
    installed: bool = False
    differing: Mapping[str, Any] = field(default_factory=dict)
    theme: str = ""
    plugins: tuple[str, ...] = ()
    accounts: Mapping[str, AccountState] = field(default_factory=dict)


# Whoever else may hold a secret (a mail password, a licence key) is compared, not shown.
SHOWN_OPTIONS = frozenset(
    {
        "admin_email",
        "blog_public",
        "blogdescription",
        "blogname",
        "date_format",
        "default_comment_status",
        "permalink_structure",
        "time_format",
        "timezone_string",
        "users_can_register",
        "WPLANG",
    }
)
HIDDEN = "(not shown)"


def request(site: Wanted) -> dict[str, Any]:
    """Answer what the script needs to compare a site: it holds passwords and goes to its standard input only."""
    return {
        "action": "read",
        "options": dict(site.options),
        "accounts": [
            {
                "login": account.login,
                "password": account.password,
                "application_passwords": [
                    {"name": item.name, "password": item.password} for item in account.application_passwords
                ],
            }
            for account in site.accounts
        ],
    }


def state(answer: Mapping[str, Any]) -> Site:
    """Make a site of the script's answer."""
    return Site(
        installed=answer["installed"],
        differing=answer.get("differing") or {},
        theme=answer.get("theme", ""),
        plugins=tuple(sorted(answer.get("plugins") or ())),
        accounts={
            login: AccountState(
                exists=True,
                email=found["email"],
                roles=tuple(found["roles"]),
                display_name=found["display_name"],
                password_right=found["password_right"],
                wrong_applications=tuple(found["wrong_applications"]),
            )
            for login, found in (answer.get("accounts") or {}).items()
        },
    )


def plan(sites: Sequence[Wanted], found: Mapping[str, Site]) -> list[Change]:
    """Answer the changes that remain. Pure."""
    return [change for site in sites for change in _plan_site(site, found[site.name])]


def _plan_site(wanted: Wanted, site: Site) -> list[Change]:
    subject = f"site {wanted.name}"
    changes: list[Change] = []
    if not site.known:
        return changes
    if not site.reachable:
        return [Change("install", subject, {}, {"title": wanted.title})]
    if not site.installed:
        changes.append(Change("install", subject, {}, {"title": wanted.title}))
    names = sorted(site.differing if site.installed else wanted.options)
    if names:
        before = {name: _shown(name, site.differing.get(name)) for name in names} if site.installed else {}
        changes.append(Change("options", subject, before, {name: _shown(name, wanted.options[name]) for name in names}))
    if wanted.theme is not None and site.theme != wanted.theme:
        changes.append(Change("theme", subject, {"theme": site.theme or None}, {"theme": wanted.theme}))
    if wanted.plugins is not None and site.plugins != tuple(sorted(wanted.plugins)):
        after = {"plugins": sorted(wanted.plugins)}
        changes.append(Change("plugins", subject, {"plugins": list(site.plugins)}, after))
    for account in wanted.accounts:
        change = _plan_account(wanted, account, site.accounts.get(account.login, AccountState()))
        if change:
            changes.append(change)
    return changes


def _shown(name: str, value: Any) -> Any:
    return value if name in SHOWN_OPTIONS else HIDDEN


def _plan_account(wanted: Wanted, account: Account, now: AccountState) -> Change | None:
    display = account.display_name or account.login
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, old, new in (
        ("email", now.email, account.email),
        ("role", ", ".join(now.roles), account.role),
        ("display_name", now.display_name, display),
    ):
        if old != new:
            before[name], after[name] = old, new
    if now.exists and account.update_password and account.password and not now.password_right:
        before["password"], after["password"] = HIDDEN, "as declared"
    applications = [item.name for item in account.application_passwords]
    wrong = list(now.wrong_applications) if now.exists else applications
    if wrong:
        before["application_passwords"], after["application_passwords"] = "other", wrong
    if not after:
        return None
    subject = f"account {account.login} of site {wanted.name}"
    return Change("account", subject, before if now.exists else {}, after)


def command(change: Change, sites: Sequence[Wanted]) -> tuple[Wanted, dict[str, Any]]:
    """Answer the site that a change belongs to and the request that performs it.

    Raises:
        InputError: an account without a password would be created.
    """
    wanted = next(site for site in sites if change.subject.endswith(f"site {site.name}"))
    if change.action == "account":
        account = next(item for item in wanted.accounts if change.subject.startswith(f"account {item.login} of "))
        if not change.before and not account.password:
            raise InputError(f"Site {wanted.name}: account {account.login} does not exist yet and needs a password.")
        return wanted, {"action": "account", **_account(account, create=not change.before)}
    body: dict[str, Any] = {"action": change.action}
    if change.action == "install":
        administrator = wanted.accounts[0]
        body |= {"title": wanted.title, "language": wanted.language, **_account(administrator, create=True)}
        body["public"] = str(wanted.options.get("blog_public", 1)) == "1"
    elif change.action == "options":
        body["options"] = {name: wanted.options[name] for name in change.after}
    elif change.action == "theme":
        body["theme"] = wanted.theme
    else:
        body["plugins"] = list(wanted.plugins or ())
    return wanted, body


def _account(account: Account, *, create: bool) -> dict[str, Any]:
    return {
        "login": account.login,
        "email": account.email,
        "role": account.role,
        "display_name": account.display_name or account.login,
        "password": account.password if create or account.update_password else "",
        "application_passwords": [
            {"name": item.name, "password": item.password} for item in account.application_passwords
        ],
    }


class Sites:
    """Reads and writes sites through a function that hands a request to a site's maintenance script.

    Args:
        ask: answers a request about the site of that name.
        reachable: tells whether there is anything to ask.
        tolerate: told of a database that is down while nothing is written (check mode); without it, that is an error.
    """

    def __init__(
        self,
        ask: Callable[[str, dict[str, Any]], dict[str, Any]],
        reachable: Callable[[str], bool],
        tolerate: Callable[[str], None] | None = None,
    ) -> None:
        self._ask = ask
        self._reachable = reachable
        self._tolerate = tolerate
        self._known: dict[str, Site] = {}

    def read(self, sites: Sequence[Wanted]) -> dict[str, Site]:
        """Answer each site as it is; a site is asked once, and again after it was written."""
        for site in sites:
            if site.name not in self._known:
                self._known[site.name] = self._read(site)
        return dict(self._known)

    def _read(self, site: Wanted) -> Site:
        if not self._reachable(site.name):
            return Site(reachable=False)
        try:
            return state(self._ask(site.name, request(site)))
        except UnreachableError as error:
            if self._tolerate is None:
                raise
            self._tolerate(str(error))
            return Site(known=False)

    def apply(self, change: Change, sites: Sequence[Wanted]) -> None:
        """Perform one planned change."""
        wanted, body = command(change, sites)
        self._known.pop(wanted.name, None)
        self._ask(wanted.name, body)
