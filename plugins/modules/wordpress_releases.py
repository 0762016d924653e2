# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wordpress_releases
short_description: Move WordPress sites between releases, with a way back
version_added: 0.1.0
description:
  - Makes each site's link C(current) point at the release declared, among those unpacked in its folder C(releases).
  - An update closes the site to visitors, dumps its database, moves the link, upgrades the tables and looks at the
    site through the web server. A site that is not healthy returns to its release and its database, and the module
    fails.
  - An update that was interrupted is undone first by the next run.
  - A release whose code is older than the tables is refused, unless O(sites[].way_back) allows to restore the dump made
    when that release was left.
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
      version:
        description: Release to run, as the folder below C(releases) is named.
        type: str
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
      prefix:
        description: Prefix of its tables.
        type: str
        default: wp_
      hostname:
        description: Name that visitors use.
        type: str
        required: true
      certificate:
        description: File of the certificate that the web server shows for the site.
        type: path
        required: true
      health_path:
        description: Path of the health page.
        type: str
        required: true
      keep_releases:
        description: Releases kept besides the current one.
        type: int
        default: 1
      keep_dumps:
        description: Dumps kept.
        type: int
        default: 3
      way_back:
        description: Allow a release older than the tables, by restoring the dump made when it was left.
        type: bool
        default: false
  script:
    description: The maintenance script, C(site.php), on the server.
    type: path
    required: true
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows releases, tables and what would be pruned.
    support: full
"""

EXAMPLES = r"""
- name: The release declared
  cnosf.infogerance.wordpress_releases:
    script: /usr/local/lib/cnosf-infogerance/wordpress/site.php
    sites:
      - name: paris
        home: /srv/wordpress/paris
        version: 6.8.3
        user: wp_paris_adm
        schema: wp_paris
        hostname: www.example.org
        certificate: /etc/ssl/wordpress/paris.pem
        health_path: /.well-known/health
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode.
  type: list
  elements: dict
  returned: success
  sample:
    - action: upgrade
      subject: site paris
      before: {release: 6.8.2}
      after: {release: 6.8.3}
"""

import contextlib
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ConflictError, InfogeranceError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress import releases
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.server import Place, ServerTools

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = Path("/run/lock/cnosf-infogerance-wordpress")
SITE = {
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "version": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "schema": {"type": "str", "required": True},
    "prefix": {"type": "str", "default": "wp_"},
    "hostname": {"type": "str", "required": True},
    "certificate": {"type": "path", "required": True},
    "health_path": {"type": "str", "required": True},
    "keep_releases": {"type": "int", "default": 1},
    "keep_dumps": {"type": "int", "default": 3},
    "way_back": {"type": "bool", "default": False},
}


@contextlib.contextmanager
def alone(*, check: bool) -> Iterator[None]:
    """Hold the server's lock: two runs that move a site at once would each undo the other's work."""
    if check:
        yield
        return
    with LOCK.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError("Another run is changing the sites of this server: wait until it has ended.") from error
        yield


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True, "options": SITE},
            "script": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    declared = module.params["sites"]
    sites = [
        releases.Wanted(
            name=site["name"],
            home=site["home"],
            version=site["version"],
            keep_releases=site["keep_releases"],
            keep_dumps=site["keep_dumps"],
            way_back=site["way_back"],
        )
        for site in declared
    ]
    places = {
        site["name"]: Place(
            home=site["home"],
            user=site["user"],
            schema=site["schema"],
            prefix=site["prefix"],
            hostname=site["hostname"],
            certificate=site["certificate"],
            health_path=site["health_path"],
        )
        for site in declared
    }
    server = releases.Releases(ServerTools(places, module.params["script"]))
    try:
        with alone(check=module.check_mode):
            outcome = reconcile(
                lambda: server.read(sites),
                lambda found: releases.plan(sites, found),
                lambda change, found: server.apply(change, sites, found),
                check=module.check_mode,
            )
    except InfogeranceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
