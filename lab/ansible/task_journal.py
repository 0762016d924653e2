# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible callback that writes one JSON line per finished task, host and loop item.

It never writes arguments or results: only who, what, how long and whether it changed, so that no secret can leak.
The file is named by the environment variable INFOGERANCE_TASK_JOURNAL; without it the callback does nothing.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_journal
type: notification
short_description: Write one JSON line per finished task
description:
  - One line per host, task and loop item with its status and duration in seconds.
requirements:
  - The environment variable INFOGERANCE_TASK_JOURNAL names the file, which is appended to.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible publishes no types
    """Journal of tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_journal"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Open nothing yet: the file is opened at the first line."""
        super().__init__()
        self._path = os.environ.get("INFOGERANCE_TASK_JOURNAL", "")
        self._started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Remember when a host began a task."""
        self._started[host.get_name(), task._uuid] = time.monotonic()  # noqa: SLF001 - Ansible offers no public name

    def v2_runner_on_ok(self, result: Any) -> None:
        """Record a task that succeeded."""
        self._write(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Record a task that failed."""
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Record a task that did not apply."""
        self._write(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Record a host that did not answer."""
        self._write(result, "unreachable")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Record one loop item."""
        self._write(result, "changed" if result.is_changed() else "ok", item=True)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Record one failed loop item."""
        self._write(result, "failed", item=True)

    def _write(self, result: Any, status: str, *, item: bool = False) -> None:
        if not self._path:
            return
        task, host = result._task, result._host  # noqa: SLF001 - the same in every callback of Ansible's own
        payload = result._result  # noqa: SLF001
        line = {
            "host": host.get_name(),
            "play": task.play.get_name() if getattr(task, "play", None) else "",
            "task": task.get_name(),
            "action": task.action,
            "path": task.get_path() or "",
            "handler": type(task).__name__ == "Handler",
            "item": str(payload.get("_ansible_item_label", payload.get("item", ""))) if item else None,
            "status": status,
            "seconds": round(time.monotonic() - self._started.get((host.get_name(), task._uuid), time.monotonic()), 3),  # noqa: SLF001
            "delegated": bool(task.delegate_to),
        }
        with Path(self._path).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line, ensure_ascii=False) + "\n")
