# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Keep a list of systemd units running or stopped, now and at boot
version_added: 0.1.0
description:
  - Does for a whole list what M(ansible.builtin.systemd_service) does for one unit, in one call, and one C(systemctl)
    for each action.
  - Where something is to be done, files of units are read anew first (C(systemctl daemon-reload)).
  - The order is that of systemd, which knows what depends on what. Of all units, those that must not run are stopped
    before others are started.
author:
  - Contributors to cnosf.infogerance (@cnosf)
options:
  units:
    description: The units; each of them once, with O(units[].state), O(units[].enabled) or both.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit; without a suffix, of a service. No pattern, and no template without an instance.
        type: str
        required: true
      state:
        description:
          - What it does now; without it, that is left alone.
          - V(stopped) also forgets that it failed, so that C(systemctl --failed) lists only what needs somebody.
          - V(restarted) always changes something, and proves that another life of the unit began.
        type: str
        choices: [started, stopped, restarted]
      enabled:
        description:
          - Whether it starts at boot; without it, that is left alone.
          - Units that no C(systemctl enable) changes (C(static), C(generated), C(alias), C(indirect)) count as right.
        type: bool
attributes:
  check_mode:
    description:
      - Says what would change, and changes nothing.
      - A unit that does not exist is taken for one that is still to be brought; outside of check mode it is an error.
    support: full
  diff_mode:
    description: Shows what each unit does now and at boot, as C(systemctl show) calls it.
    support: full
"""

EXAMPLES = r"""
- name: A web server that runs, and mail that does not
  cnosf.infogerance.systemd_units:
    units:
      - {name: nginx, state: started, enabled: true}
      - {name: php8.3-fpm, state: started, enabled: true}
      - {name: certbot.timer, enabled: true}
      - {name: exim4, state: stopped, enabled: false}

- name: What was configured anew
  cnosf.infogerance.systemd_units:
    units:
      - {name: rsyslog, state: restarted}
      - {name: ssh.socket, state: restarted}
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode; an action names all units that it was done to.
  type: list
  elements: dict
  returned: success
  sample:
    - action: enable
      subject: units at boot
      before: {nginx: disabled}
      after: {nginx: enabled}
    - action: start
      subject: units now
      before: {nginx: inactive, php8.3-fpm: failed}
      after: {nginx: active, php8.3-fpm: active}
"""

from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InfogeranceError
from ansible_collections.cnosf.infogerance.plugins.module_utils.linux import units
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence

UNIT = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(units.STATES)},
    "enabled": {"type": "bool"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": UNIT,
                "required_one_of": [("state", "enabled")],
            }
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "SYSTEMD_PAGER": "cat"}

    def systemctl(arguments: Sequence[str]) -> tuple[int, str, str]:
        code, said, errors = module.run_command([module.get_bin_path("systemctl", required=True), *arguments])
        return code, said, errors

    wanted = [units.Wanted(**unit) for unit in module.params["units"]]
    store = units.Units(systemctl, wanted, check=module.check_mode)
    try:
        units.check(wanted)
        outcome = reconcile(
            store.read,
            lambda found: units.plan(wanted, found, store.first),
            lambda change, _found: store.apply(change),
            check=module.check_mode,
        )
    except InfogeranceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
