# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What WordPress keeps in its database: the plan, the requests, and that no secret is shown."""

from __future__ import annotations

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import EngineError, InputError, UnreachableError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.sites import (
    Account,
    AccountState,
    ApplicationPassword,
    Site,
    Sites,
    Wanted,
    command,
    plan,
    request,
)

ADMIN = Account("chief", "chief@example.org", "administrator", password="s3cret-1")
PROGRAM = Account(
    "agenda", "agenda@example.org", "editor", "Agenda", "s3cret-2", False, (ApplicationPassword("cal", "s3cret-3"),)
)
WANTED = Wanted(
    "paris",
    "Paris",
    (ADMIN, PROGRAM),
    {"blogname": "Paris", "mail_key": "s3cret-4"},
    "theme",
    ("b.php", "a/a.php"),
    "fr_FR",
)
STATES = {
    "chief": AccountState(True, "chief@example.org", ("administrator",), "chief", password_right=False),
    "agenda": AccountState(True, "agenda@example.org", ("editor",), "Agenda", True),
}
RIGHT = Site(installed=True, theme="theme", plugins=("a/a.php", "b.php"), accounts=STATES)


def changes(site, wanted=WANTED):
    return [(change.action, change.before, change.after) for change in plan([wanted], {"paris": site})]


def test_a_site_that_is_right_is_left_alone_even_if_its_administrator_changed_the_password():
    assert changes(RIGHT) == []


def test_a_site_that_could_not_be_asked_is_not_guessed_at():
    assert changes(Site(known=False)) == []


def test_a_new_site_is_installed_before_anything_else():
    assert [action for action, _, _ in changes(Site())] == [
        "install", "options", "theme", "plugins", "account", "account",
    ]  # fmt: skip
    assert changes(Site(reachable=False)) == [("install", {}, {"title": "Paris"})]


def test_each_difference_is_its_own_change_and_secrets_are_named_only():
    site = Site(True, True, True, {"mail_key": "old", "blogname": "Lyon"}, "other", (), {"chief": STATES["chief"]})
    assert changes(site) == [
        ("options", {"blogname": "Lyon", "mail_key": "(not shown)"}, {"blogname": "Paris", "mail_key": "(not shown)"}),
        ("theme", {"theme": "other"}, {"theme": "theme"}),
        ("plugins", {"plugins": []}, {"plugins": ["a/a.php", "b.php"]}),
        (
            "account",
            {},
            {
                "email": "agenda@example.org",
                "role": "editor",
                "display_name": "Agenda",
                "application_passwords": ["cal"],
            },
        ),
    ]


def test_theme_and_plugins_that_are_not_declared_are_left_alone():
    wanted = Wanted("paris", "Paris", (ADMIN,))
    assert changes(Site(True, True, True, {}, "any", ("x.php",), STATES), wanted) == []


@pytest.mark.parametrize(
    ("account", "state", "after"),
    [
        ({"update_password": True}, {}, {"password": "as declared"}),
        ({"update_password": True}, {"password_right": True}, None),
        ({}, {"roles": ("subscriber",)}, {"role": "administrator"}),
        ({"application_passwords": (ApplicationPassword("cal", "x"),)}, {"wrong_applications": ("cal",)},
         {"application_passwords": ["cal"]}),
    ],
)  # fmt: skip
def test_accounts(account, state, after):
    wanted = Wanted("paris", "Paris", (Account(**{**vars(ADMIN), **account}),))
    now = AccountState(**{**vars(STATES["chief"]), **state})
    found = changes(Site(installed=True, accounts={"chief": now}), wanted)
    assert [item[2] for item in found] == ([] if after is None else [after])


def test_no_secret_is_in_a_change():
    for site in (Site(), Site(installed=True, differing={"mail_key": "s3cret-5"})):
        assert "s3cret" not in repr(plan([WANTED], {"paris": site}))


def test_requests_hold_what_the_script_needs():
    by_action = {change.action + change.subject: change for change in plan([WANTED], {"paris": Site()})}
    install = command(by_action["installsite paris"], [WANTED])[1]
    assert (install["title"], install["login"], install["password"], install["public"]) == (
        "Paris",
        "chief",
        "s3cret-1",
        True,
    )
    account = command(by_action["accountaccount agenda of site paris"], [WANTED])[1]
    assert (account["action"], account["password"]) == ("account", "s3cret-2")
    assert account["application_passwords"] == [{"name": "cal", "password": "s3cret-3"}]
    assert request(WANTED)["accounts"][1]["password"] == "s3cret-2"


def test_a_password_is_given_to_an_account_that_exists_only_when_that_is_declared():
    moved = AccountState(**{**vars(STATES["agenda"]), "email": "old@example.org"})
    change = plan([WANTED], {"paris": Site(**{**vars(RIGHT), "accounts": {**STATES, "agenda": moved}})})[0]
    assert command(change, [WANTED])[1]["password"] == ""


def test_an_account_cannot_be_made_without_a_password():
    wanted = Wanted("paris", "Paris", (ADMIN, Account("x", "x@example.org", "editor")))
    change = plan([wanted], {"paris": Site(installed=True, accounts=STATES)})[0]
    with pytest.raises(InputError, match="account x does not exist yet and needs a password"):
        command(change, [wanted])


class Script:
    """Answers as site.php does, of one site kept in memory."""

    def __init__(self):
        self.installed = False
        self.asked = []
        self.down = False

    def ask(self, name, body):
        self.asked.append((name, body["action"]))
        if self.down:
            raise UnreachableError("the database refuses.")
        if body["action"] == "install":
            self.installed = True
        if not self.installed:
            return {"installed": False}
        account = {
            "email": "chief@example.org",
            "roles": ["administrator"],
            "display_name": "chief",
            "password_right": True,
            "wrong_applications": [],
        }
        return {"installed": True, "differing": {}, "theme": "", "plugins": [], "accounts": {"chief": account}}


def run(script, *, check=False, tolerate=None, reachable=True):
    wanted = [Wanted("paris", "Paris", (ADMIN,))]
    server = Sites(script.ask, lambda _: reachable, tolerate)
    return reconcile(
        lambda: server.read(wanted),
        lambda found: plan(wanted, found),
        lambda change, _: server.apply(change, wanted),
        check=check,
    )


def test_installs_once_and_asks_again_only_after_writing():
    script = Script()
    assert run(script, check=True).changed
    assert script.asked == [("paris", "read")]
    run(script)
    assert script.asked[1:] == [("paris", "read"), ("paris", "install"), ("paris", "read")]
    assert not run(script).changed


def test_a_database_that_is_down_is_an_error_of_a_run_and_a_warning_of_check_mode():
    script = Script()
    script.down = True
    with pytest.raises(EngineError, match="the database refuses"):
        run(script)
    told = []
    assert not run(script, check=True, tolerate=told.append).changed
    assert told == ["the database refuses."]


def test_a_server_without_php_is_foreseen_without_asking():
    script = Script()
    assert run(script, check=True, reachable=False).changed
    assert script.asked == []
