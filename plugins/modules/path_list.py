# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: path_list
short_description: Keep a list of folders, files and links with their owners, modes and texts
version_added: 0.1.0
description:
  - Does for a whole list what M(ansible.builtin.file) and M(ansible.builtin.copy) with C(content) do for one path,
    in one call.
  - Nothing of another kind is ever replaced, and no folder is ever removed.
author:
  - Contributors to cnosf.infogerance (@cnosf)
options:
  paths:
    description: The paths; a folder comes before what it holds.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      kind:
        description: What it is. V(absent) removes a file or a link.
        type: str
        choices: [directory, file, link, absent]
        default: directory
      owner:
        description: Name of its user; not used for links.
        type: str
        default: root
      group:
        description: Name of its group; not used for links.
        type: str
        default: root
      mode:
        description: Permission bits in octal, in quotes; not used for links.
        type: str
        default: "0755"
      target:
        description: What a link points at.
        type: str
        default: ""
      content:
        description: Text of a V(file). Without it, a file that is missing is created empty, and its text is left alone.
        type: str
      once:
        description: Give the text when the file is created, and leave it alone afterwards.
        type: bool
        default: false
      secret:
        description: Show the text in no diff. Set C(no_log) on the task as well, for what runs with C(-vvv).
        type: bool
        default: false
      settings:
        description:
          - Values of lines C(NAME value) in a V(file) whose other lines are left alone, by name, as in C(login.defs).
          - The last line of a name gets the value; a name without a line is added at the end.
          - Not together with O(paths[].content).
        type: dict
      validate:
        description:
          - Command that judges a new text before it is put in place, with C(%s) for the file that holds it. It runs
            without a shell; when it fails, the file stays as it was.
          - Check mode does not run it, since what it needs may not be installed yet.
        type: str
        default: ""
attributes:
  check_mode:
    description: Says what would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows kind, owner, group, mode, target and lines of what differs.
    support: full
"""

EXAMPLES = r"""
- name: Folders of a site
  cnosf.infogerance.path_list:
    paths:
      - path: /srv/wordpress/paris
      - path: /srv/wordpress/paris/uploads
        owner: wp_paris
        group: www-data
        mode: "2750"

- name: A configuration that is judged before it counts
  cnosf.infogerance.path_list:
    paths:
      - path: /etc/sudoers.d/50-technicians
        kind: file
        mode: "0440"
        content: "%technicians ALL=(ALL:ALL) ALL\n"
        validate: /usr/sbin/visudo -cf %s

- name: Two settings of a file that a package brought
  cnosf.infogerance.path_list:
    paths:
      - path: /etc/login.defs
        kind: file
        mode: "0644"
        settings:
          PASS_MAX_DAYS: "365"
          UMASK: "027"
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode.
  type: list
  elements: dict
  returned: success
  sample:
    - action: set
      subject: /srv/wordpress/paris/uploads
      before: {mode: "0777"}
      after: {mode: "2750"}
"""

import grp
import pwd
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils import path_list
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InfogeranceError, InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile

PATH = {
    "path": {"type": "path", "required": True},
    "kind": {"type": "str", "choices": list(path_list.KINDS), "default": "directory"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0755"},
    "target": {"type": "str", "default": ""},
    "content": {"type": "str"},
    "once": {"type": "bool", "default": False},
    "secret": {"type": "bool", "default": False, "no_log": False},
    "settings": {"type": "dict"},
    "validate": {"type": "str", "default": ""},
}


def user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def numbers(owner: str, group: str) -> tuple[int, int]:
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise InputError(f"User {owner} or group {group} does not exist on this server: create it first.") from error


def bits(path: str, mode: str) -> int:
    if not re.fullmatch(r"[0-7]{3,4}", mode):
        raise InputError(f"{path}: mode {mode} must be three or four octal digits, in quotes.")
    return int(mode, 8)


def wanted(item: dict[str, Any]) -> path_list.Wanted:
    settings = {name: str(value) for name, value in (item["settings"] or {}).items()}
    return path_list.Wanted(**{**item, "mode": bits(item["path"], item["mode"]), "settings": settings})


def main() -> None:
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "dict", "required": True, "options": PATH}},
        supports_check_mode=True,
    )
    store = path_list.Paths(user_name, group_name)
    try:
        paths = [wanted(item) for item in module.params["paths"]]
        path_list.check(paths)
        outcome = reconcile(
            lambda: store.read(paths),
            lambda found: path_list.plan(paths, found),
            lambda change, _found: store.apply(change, paths, numbers),
            check=module.check_mode,
        )
    except (InfogeranceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
