# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds a server for the run that this task belongs to; nothing is sent to the server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.cnosf.infogerance.plugins.module_utils import run_lock
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InfogeranceError

SHARED = Path("/run/lock")
"""Where Debian, Ubuntu and their kin let every user leave lock files (FHS 3.0, section 5.9)."""


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """The action behind the module's documentation."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the server, or say who holds it."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        _checked, options = self.validate_argument_spec({"server": {"type": "str"}, "folder": {"type": "path"}})
        server = options["server"] or variables.get("ansible_host") or variables["inventory_hostname"]
        folder = Path(options["folder"] or (SHARED if os.access(SHARED, os.W_OK) else tempfile.gettempdir()))
        result["changed"] = False
        if self._task.check_mode:
            return result | {"skipped": True, "msg": "A run in check mode writes nothing, and holds nothing."}
        try:
            # A task runs in a worker: the run is the process that the worker comes from.
            run_lock.take(self._templar.template(server), os.getppid(), folder)
        except (InfogeranceError, OSError) as error:
            return result | {"failed": True, "msg": str(error)}
        return result
