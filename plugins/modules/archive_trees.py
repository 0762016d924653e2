# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_trees
short_description: Keep folders identical to published archives
version_added: 0.1.0
description:
  - Unpacks archives of known checksum, each into a folder of its own that belongs to root, and keeps the folders
    as the archives are.
  - A file that was changed, removed or added, or that has another owner or mode, is found by comparing with what was
    unpacked, and put right. So code that somebody tampered with does not stay.
  - All trees of a server travel in one call; nothing is downloaded while nothing is to be done.
author:
  - Contributors to cnosf.infogerance (@cnosf)
options:
  trees:
    description: The folders.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Folder that holds the archive's content and nothing else, absolute. Trees must not overlap.
        type: path
        required: true
      url:
        description: Where the archive (tar in any compression, or zip) is fetched from.
        type: str
        required: true
      checksum:
        description: SHA-256 of the archive, with or without C(sha256:) before it.
        type: str
        required: true
      root:
        description: Folder inside the archive whose content is taken; all of it when empty.
        type: str
        default: ""
      exclude:
        description: Names directly below O(trees[].root) that are left out.
        type: list
        elements: str
        default: []
      links:
        description: Symbolic links to add, their targets by their names.
        type: dict
        default: {}
  state_directory:
    description: Folder of the records of what was unpacked.
    type: path
    default: /var/lib/cnosf-infogerance/trees
  cache_directory:
    description: Folder that keeps the archives, to put right what changes. Archives of no tree are removed from it.
    type: path
    default: /var/cache/cnosf-infogerance/archives
  ca_path:
    description: File of the authorities that the download's certificate is checked against, instead of the system's.
    type: path
  timeout:
    description: Seconds to wait for an answer of the publisher's server.
    type: int
    default: 30
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Names the files that differ, ten of each kind.
    support: full
"""

EXAMPLES = r"""
- name: WordPress as it was published
  cnosf.infogerance.archive_trees:
    trees:
      - path: /srv/wordpress/paris/releases/6.8.3
        url: https://wordpress.org/wordpress-6.8.3.tar.gz
        checksum: sha256:f9e02cb54921ddd1c44b9a0cbc31c9dbd8ec2bb0e6f8c5c40ea3b4d0e8ce4ba1
        root: wordpress
        exclude: [wp-content]
        links: {wp-content: ../../shared/wp-content}
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode.
  type: list
  elements: dict
  returned: success
  sample:
    - action: repair
      subject: /srv/wordpress/paris/releases/6.8.3
      before: {altered: wp-login.php}
      after: {altered: as in the archive}
"""

import shutil
import urllib.error
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ansible_collections.cnosf.infogerance.plugins.module_utils import archive_tree
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InfogeranceError, UnreachableError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile

TREE = {
    "path": {"type": "path", "required": True},
    "url": {"type": "str", "required": True},
    "checksum": {"type": "str", "required": True},
    "root": {"type": "str", "default": ""},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "links": {"type": "dict", "default": {}},
}


def fetcher(ca_path: str | None, timeout: int) -> Any:
    def fetch(url: str, destination: Path) -> None:
        try:
            with (
                open_url(url, ca_path=ca_path, timeout=timeout, http_agent="cnosf.infogerance") as answer,
                destination.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise UnreachableError(
                f"{url} cannot be downloaded: {error}. Check the address and the way out."
            ) from error

    return fetch


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "trees": {"type": "list", "elements": "dict", "required": True, "options": TREE},
            "state_directory": {"type": "path", "default": "/var/lib/cnosf-infogerance/trees"},
            "cache_directory": {"type": "path", "default": "/var/cache/cnosf-infogerance/archives"},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    trees = [
        archive_tree.Tree(
            path=tree["path"],
            url=tree["url"],
            checksum=tree["checksum"].removeprefix("sha256:").lower(),
            root=tree["root"],
            exclude=tuple(tree["exclude"]),
            links=tree["links"],
        )
        for tree in options["trees"]
    ]
    store = archive_tree.Trees(
        Path(options["state_directory"]),
        Path(options["cache_directory"]),
        fetcher(options["ca_path"], options["timeout"]),
    )
    try:
        archive_tree.check(trees)
        outcome = reconcile(
            lambda: store.read(trees),
            lambda found: archive_tree.plan(trees, found),
            lambda change, found: store.apply(change, trees, found),
            check=module.check_mode,
        )
    except InfogeranceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
