# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the datacenter's modules share, and the one place where an error of the library ends a module. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import ContractError, InfogeranceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Documented in plugins/doc_fragments/datacenter.py.
CONNECTION: dict[str, dict[str, Any]] = {
    "engine": {"type": "str", "choices": ["proxmox"], "default": "proxmox"},
    "url": {"type": "str", "required": True},
    "token_id": {"type": "str"},
    "token_secret": {"type": "str", "no_log": True},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
    "sites": {"type": "dict", "default": {}},
}
WRITING: dict[str, dict[str, Any]] = {
    "lock_timeout": {"type": "int", "default": 300},
    "task_timeout": {"type": "int", "default": 3600},
}
# What the credentials must be, as AnsibleModule takes it.
RULES: dict[str, Any] = {
    "required_together": [("token_id", "token_secret"), ("user", "password")],
    "required_one_of": [("token_id", "user")],
    "mutually_exclusive": [("token_id", "user")],
}


def run(module: Any, work: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """End a module with what its work answers, or with the sentence of the error it raises.

    Args:
        module: the AnsibleModule.
        work: from the module's parameters to its result.
    """
    try:
        result = work(module.params)
    except ContractError as error:
        module.fail_json(msg=str(error), article=error.article)
    except InfogeranceError as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)
