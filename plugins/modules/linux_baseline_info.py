# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of a Linux server that its baseline decides."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: linux_baseline_info
short_description: Read the state of a Linux server that its baseline decides
version_added: 0.1.0
author: Contributors to cnosf.infogerance (@cnosf)
description:
  - Reads in one go what the role P(cnosf.infogerance.linux_baseline#role) compares with its declaration, so that its
    loops run on differences only.
  - Reads only what it is asked for; needs root for the firewall, the accounts and the SSH server.
options:
  sysctl:
    description: Kernel settings to read.
    type: list
    elements: str
    default: []
  paths:
    description: Files and folders to look at.
    type: list
    elements: path
    default: []
  units:
    description: Units of systemd to look at, with their suffix.
    type: list
    elements: str
    default: []
  packages:
    description: Debian packages to look for.
    type: list
    elements: str
    default: []
  groups:
    description: Groups whose members are listed.
    type: list
    elements: str
    default: []
  login_defs:
    description: Settings of C(/etc/login.defs) to read.
    type: list
    elements: str
    default: []
  firewall_file:
    description: File of rules to compare with what the kernel applies.
    type: path
  firewall_table:
    description: Family and name of the table that the file defines.
    type: str
    default: inet infogerance
  sshd:
    description: Whether to read the settings that the SSH server applies.
    type: bool
    default: false
  accounts:
    description: Whether to list the accounts.
    type: bool
    default: false
attributes:
  check_mode:
    description: Reads only, in check mode too.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  platform:
    description: Debian and its derivatives.
    support: full
    platforms: debian
"""

EXAMPLES = r"""
- name: Read whether the time service runs, and what the kernel does with redirects
  cnosf.infogerance.linux_baseline_info:
    units: [chrony.service]
    sysctl: [net.ipv4.conf.all.accept_redirects]
  register: found
"""

RETURN = r"""
sysctl:
  description: Each setting's value, null where the kernel has none, and whether it is ours to write.
  returned: success
  type: dict
paths:
  description: Each path's owner, group, mode, modification time and a file's SHA-256; null where there is none.
  returned: success
  type: dict
units:
  description: Each unit's load state, active state, whether it is enabled, and when it last started (Unix time).
  returned: success
  type: dict
packages:
  description: Whether each package is installed.
  returned: success
  type: dict
timezone:
  description: The time zone's name, empty when it cannot be told.
  returned: success
  type: str
locales:
  description: Languages that are generated.
  returned: success
  type: list
  elements: str
package_index:
  description: Whether apt has an index of packages.
  returned: success
  type: bool
groups:
  description: Members of each group that exists.
  returned: success
  type: dict
login_defs:
  description: Value of each setting that is there.
  returned: success
  type: dict
pam:
  description: Modules of each common stack of PAM.
  returned: success
  type: dict
firewall:
  description:
    - Whether the kernel applies exactly the file's rules, and whether they wait to be confirmed.
    - Null when no file was given.
  returned: success
  type: dict
sshd:
  description: Settings that the SSH server applies, names in lower case; empty unless asked for.
  returned: success
  type: dict
accounts:
  description:
    - Name, number, shell of each account and whether its password is V(set), V(locked) or V(empty).
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.linux import state


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysctl": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
            "groups": {"type": "list", "elements": "str", "default": []},
            "login_defs": {"type": "list", "elements": "str", "default": []},
            "firewall_file": {"type": "path"},
            "firewall_table": {"type": "str", "default": "inet infogerance"},
            "sshd": {"type": "bool", "default": False},
            "accounts": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked = module.params

    def run(argv: list[str]) -> tuple[int, str]:
        if module.get_bin_path(argv[0], opt_dirs=["/usr/sbin", "/sbin"]) is None:
            return 127, ""  # its package is not installed yet
        code, out, _err = module.run_command(argv, environ_update={"LC_ALL": "C.UTF-8"})
        return code, out

    try:
        defs = Path("/etc/login.defs").read_text(encoding="utf-8") if asked["login_defs"] else ""
        file, table = asked["firewall_file"], asked["firewall_table"]
        firewall = state.firewall(file, table, run) if file else None
        module.exit_json(
            changed=False,
            sysctl=state.sysctl(asked["sysctl"]),
            paths=state.paths(asked["paths"]),
            units=state.units(asked["units"], run),
            packages=state.packages(asked["packages"], run),
            timezone=state.timezone(),
            locales=state.locales(run),
            package_index=state.package_index(),
            groups=state.groups(asked["groups"]),
            login_defs=state.login_defs(asked["login_defs"], defs),
            pam=state.pam(),
            firewall=firewall,
            sshd=state.sshd(run) if asked["sshd"] else {},
            accounts=state.accounts() if asked["accounts"] else [],
        )
    except OSError as error:
        module.fail_json(msg=f"{error.filename} cannot be read: {error.strerror}; run the module as root")


if __name__ == "__main__":
    main()
