# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wordpress_sites
short_description: Install WordPress sites and keep their options, theme, plugins and declared accounts
version_added: 0.1.0
description:
  - Installs WordPress in a site's database where it is not, then keeps what is declared, through WordPress's own
    functions.
  - Accounts, options and application passwords that are not declared are left alone; active plugins are those declared.
  - Passwords reach the server's PHP by its standard input, and are never on a command line, in a diff or in a result.
author:
  - Contributors to cnosf.infogerance (@cnosf)
options:
  sites:
    description: The sites of this server.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the site.
        type: str
        required: true
      home:
        description: Folder of the site.
        type: path
        required: true
      user:
        description:
          - System user that runs WordPress's code for maintenance.
          - A database account of this name is reached by the socket.
        type: str
        required: true
      schema:
        description: Database of the site.
        type: str
        required: true
      hostname:
        description: Name that visitors use.
        type: str
        required: true
      title:
        description: Title given at the installation.
        type: str
        required: true
      language:
        description: WordPress locale, for example V(fr_FR); empty for English.
        type: str
        default: ""
      options:
        description: WordPress options by name.
        type: dict
        default: {}
      theme:
        description: Folder of the active theme; left as it is when not given.
        type: str
      plugins:
        description: Active plugins, each as its file below the plugins' folder; left as they are when not given.
        type: list
        elements: str
      accounts:
        description: Accounts. The first is the administrator that the installation creates.
        type: list
        elements: dict
        required: true
        suboptions:
          login:
            description: Name to log in with.
            type: str
            required: true
          email:
            description: Address.
            type: str
            required: true
          role:
            description: WordPress role.
            type: str
            default: administrator
          display_name:
            description: Name shown; the login when empty.
            type: str
            default: ""
          password:
            description: Password given when the account is created; required then.
            type: str
            default: ""
          update_password:
            description:
              - V(always) gives the password again when it differs.
              - V(on_create) leaves it to the account's owner.
            type: str
            choices: [always, on_create]
            default: on_create
          application_passwords:
            description: Passwords of programs that use the REST API.
            type: list
            elements: dict
            default: []
            suboptions:
              name:
                description: Name of the program.
                type: str
                required: true
              password:
                description: Its password; letters and digits count.
                type: str
                required: true
  script:
    description: The maintenance script, C(site.php), on the server.
    type: path
    required: true
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows what may be shown; passwords and options that may hold a secret are only named.
    support: full
"""

EXAMPLES = r"""
- name: A site in French, and a program that publishes on it
  cnosf.infogerance.wordpress_sites:
    script: /usr/local/lib/cnosf-infogerance/wordpress/site.php
    sites:
      - name: paris
        home: /srv/wordpress/paris
        user: wp_paris_adm
        schema: wp_paris
        hostname: www.example.org
        title: Ordre des sages-femmes
        language: fr_FR
        options:
          permalink_structure: /%year%/%postname%/
          timezone_string: Europe/Paris
        accounts:
          - login: infogerance
            email: web@example.org
            password: "{{ vault_wordpress_administrator }}"
            application_passwords:
              - name: agenda
                password: "{{ vault_wordpress_agenda }}"
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode.
  type: list
  elements: dict
  returned: success
  sample:
    - action: options
      subject: site paris
      before: {timezone_string: ""}
      after: {timezone_string: Europe/Paris}
"""

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InfogeranceError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress import sites as wordpress
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.server import Place, run_php

ON_CREATE = "on_create"
PROGRAM = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}
ACCOUNT = {
    "login": {"type": "str", "required": True},
    "email": {"type": "str", "required": True},
    "role": {"type": "str", "default": "administrator"},
    "display_name": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "update_password": {
        "type": "str",
        "choices": ["always", ON_CREATE],
        "default": ON_CREATE,
        "no_log": False,
    },
    "application_passwords": {"type": "list", "elements": "dict", "default": [], "no_log": False, "options": PROGRAM},
}
SITE = {
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
    "schema": {"type": "str", "required": True},
    "hostname": {"type": "str", "required": True},
    "title": {"type": "str", "required": True},
    "language": {"type": "str", "default": ""},
    "options": {"type": "dict", "default": {}},
    "theme": {"type": "str"},
    "plugins": {"type": "list", "elements": "str"},
    "accounts": {"type": "list", "elements": "dict", "required": True, "options": ACCOUNT},
}


def wanted(site: dict[str, Any]) -> wordpress.Wanted:
    accounts = tuple(
        wordpress.Account(
            login=account["login"],
            email=account["email"],
            role=account["role"],
            display_name=account["display_name"],
            password=account["password"],
            update_password=account["update_password"] != ON_CREATE,
            application_passwords=tuple(
                wordpress.ApplicationPassword(item["name"], item["password"])
                for item in account["application_passwords"]
            ),
        )
        for account in site["accounts"]
    )
    plugins = None if site["plugins"] is None else tuple(site["plugins"])
    return wordpress.Wanted(
        site["name"], site["title"], accounts, site["options"], site["theme"], plugins, site["language"]
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True, "options": SITE},
            "script": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    script = module.params["script"]
    places = {
        site["name"]: Place(site["home"], site["user"], site["schema"], "", site["hostname"], "", "")
        for site in module.params["sites"]
    }

    def reachable(name: str) -> bool:
        # Only a first run in check mode meets a server without them: before a real run they are put there.
        program = shutil.which("php") is not None and Path(script).exists()
        return not module.check_mode or (program and (Path(places[name].home) / "current/wp-load.php").exists())

    def tolerate(reason: str) -> None:
        module.warn(f"{reason} Its content is not foreseen.")

    desired = [wanted(site) for site in module.params["sites"]]
    server = wordpress.Sites(
        lambda name, request: run_php(places[name], script, request),
        reachable,
        tolerate if module.check_mode else None,
    )
    try:
        outcome = reconcile(
            lambda: server.read(desired),
            lambda found: wordpress.plan(desired, found),
            lambda change, _found: server.apply(change, desired),
            check=module.check_mode,
        )
    except InfogeranceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
