# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of the simulated datacenter stands on: fakepve with a journal, real tasks and honest refusals."""

from __future__ import annotations

import asyncio
import logging
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web
from fakepve import FakePve
from fakepve.model import PveError, TaskError
from fakepve.server import API, USER, redact

from lab.datacenter.faults import ApiFaults
from lab.datacenter.journal import Entry, Journal
from lab.datacenter.modelled import modelled, rightly_empty
from lab.guests import GuestError
from lab.network import NetworkError

if TYPE_CHECKING:
    from pathlib import Path

    from fakepve.server import FakeVm

    from lab.guests import Guest, GuestFactory, House
    from lab.settings import Settings

__all__ = ["Base", "Values"]

Values: TypeAlias = dict[str, Any]
"""A call's parameters after the schema's checks: converted, with defaults, path parameters included."""

After: TypeAlias = Callable[[], Awaitable[None]]

TASKS_KEPT = 2000
JOURNAL_ENTRY = web.RequestKey("journal-entry", Entry)

logger = logging.getLogger(__name__)


class Base(FakePve):  # type: ignore[misc]  # fakepve publishes no types
    """The state all parts share, and how a call is recorded, refused and turned into a task.

    Attributes:
        guests: what runs behind each server, by number.
        systems: the operating system each server was installed with, by number; absent for an empty machine.
        folders: name of each server's state folder, by number.
    """

    def __init__(self, settings: Settings, password: str, host: str, port: int) -> None:
        """An empty cluster with the nodes, storages and pools of the settings; it does not listen yet."""
        super().__init__(user="root@pam", password=password, host=host, port=port)
        self.settings = settings
        self.house: House | None = None
        self.factory: GuestFactory | None = None
        self.journal = Journal()
        self.faults = ApiFaults()
        self.state_file: Path | None = None
        self.guests: dict[int, Guest] = {}
        self.systems: dict[int, str] = {}
        self.folders: dict[int, str] = {}
        self.time_scale = 1.0
        self._jobs: set[asyncio.Task[Any]] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._afters: dict[str, list[After]] = {}
        self.cluster_name = settings.cluster_name
        self.version = settings.version
        self.release_version = settings.release
        self.nodes = {node.name: {"online": True} for node in settings.nodes}

    # --------------------------------------------------------------- journal

    def _record(self, request: web.Request, body: bytes) -> None:
        super()._record(request, body)
        text = redact(body, request.content_type).decode(errors="replace")
        path = request.path_qs if request.method in ("GET", "HEAD", "DELETE") else request.path
        entry = request[JOURNAL_ENTRY] = self.journal.note(request.method, path, request.get(USER), text)
        if USER not in request:  # refused before anybody answers
            self.journal.answered(entry, 401)

    # --------------------------------------------------------------- answers

    async def _answer(self, request: web.Request, handler: Any, generic: Any, path_node: str | None) -> web.Response:
        """Answer a call after the faults and the refusals; keep the state when it may have changed."""
        try:
            response = await self._judged(request, handler, generic, path_node)
        except PveError as error:
            response = web.json_response(
                {"data": None, "message": error.message + "\n", **({"errors": error.errors} if error.errors else {})},
                status=error.status,
                reason=error.message.splitlines()[0][:200],
            )
        self.journal.answered(request[JOURNAL_ENTRY], response.status)
        if request.method not in ("GET", "HEAD"):
            self.save()
        return response

    async def _judged(self, request: web.Request, handler: Any, generic: Any, path_node: str | None) -> web.Response:
        self.faults.check_token(request[USER])
        await self.faults.slow_down(request)
        match = self.resolve(request, API)
        if match is not None and request.method in match.methods:
            if request.method == "GET" and rightly_empty(match.template):
                return web.json_response({"data": []})
            if not modelled(request.method, match.template):
                raise PveError(501, f"the lab does not simulate {request.method} {match.template}")
            await self._refuse_blanks(request)
        response: web.Response = await super()._answer(request, handler, generic, path_node)
        return response

    @staticmethod
    async def _refuse_blanks(request: web.Request) -> None:
        """An empty form value would be lost on its way (urllib drops it), and its change with it."""
        if request.content_type == "application/x-www-form-urlencoded":
            fields = urllib.parse.parse_qsl((await request.read()).decode(errors="replace"), keep_blank_values=True)
            for name, value in fields:
                if not value:
                    raise PveError(501, f"the lab does not simulate the empty parameter '{name}': name it in 'delete'")

    async def synthesise(self, match: Any, method: str, *_more: Any) -> Any:
        """Refuse what reaches fakepve's catch-all: an answer invented from the schema would be a lie."""
        raise PveError(501, f"the lab does not simulate {method} {match.template}")

    # ----------------------------------------------------------------- tasks

    async def task(  # noqa: PLR0917 - fakepve calls it by position
        self,
        node: str,
        ttype: str,
        tid: str | int,
        user: str,
        body: Callable[[], Awaitable[str | None]],
        vm: FakeVm | None = None,
        lock: bool = True,
        log: tuple[str, ...] | list[str] = (),
    ) -> str:
        """Start a task in the background and return its UPID.

        Whatever goes wrong in it ends the task in error, with a sentence in its log.
        """
        upid, pid, start = self._upid(node, ttype, tid, user)
        record: dict[str, Any] = {
            "upid": upid,
            "node": node,
            "pid": pid,
            "pstart": pid * 7,
            "starttime": start,
            "type": ttype,
            "id": str(tid),
            "user": user,
            "status": "running",
            "log": list(log),
        }
        self.tasks[upid] = record
        self.tasklog.append(record)
        self._forget_old_tasks()
        job = asyncio.create_task(self._run_task(record, body, vm if lock else None, vm), name=upid)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        self._running[upid] = job
        return str(upid)

    async def outcome(self, upid: str) -> str:
        """Wait for a task's end and return its exit status, ``OK`` or an error."""
        if upid in self._running:
            await asyncio.wait([self._running[upid]])
        return str(self.tasks[upid]["exitstatus"])

    def after(self, upid: str, action: After) -> None:
        """Let a task that was just started do this too, before it ends; an error in it is the task's error."""
        self._afters.setdefault(upid, []).append(action)

    async def _run_task(
        self,
        record: dict[str, Any],
        body: Callable[[], Awaitable[str | None]],
        locked: FakeVm | None,
        vm: FakeVm | None,
    ) -> None:
        status = "OK"
        try:
            self.faults.check_task(record["type"], record["id"])
            await self._locked(record, body, locked)
        except TaskError as error:
            status = str(error)
        except PveError as error:
            status = error.message
        except (GuestError, NetworkError) as error:
            status = str(error)
        except asyncio.CancelledError:
            status = "interrupted by the lab's end"
        except Exception as error:
            logger.exception("task %s failed", record["upid"])
            status = f"unexpected error in the lab: {error}"
        finally:
            self._afters.pop(record["upid"], None)
            self._running.pop(record["upid"], None)
        if status != "OK" and vm is not None:
            self._drop_unfinished(vm)
        headline = status.splitlines()[0] if status else "unknown error"
        record["log"] += status.splitlines() if status != "OK" else []
        record["log"].append("TASK OK" if status == "OK" else f"TASK ERROR: {headline}")
        record.update(status="stopped", exitstatus=headline, endtime=int(time.time()))
        self.save()

    async def _locked(
        self,
        record: dict[str, Any],
        body: Callable[[], Awaitable[str | None]],
        vm: FakeVm | None,
    ) -> None:
        if vm is not None:
            await self.acquire(vm, record["upid"])
        try:
            note = await body()
            record["log"] += note.splitlines() if note else []
            for action in self._afters.get(record["upid"], []):
                await action()
        finally:
            if vm is not None:
                self.release(vm, record["upid"])

    def _drop_unfinished(self, vm: FakeVm) -> None:
        """A create or clone that fails leaves no half-made server behind, nor does a destruction cut short."""
        if vm.lock in ("create", "clone", "destroyed") and vm in self.vms:
            self.vms.remove(vm)

    def _forget_old_tasks(self) -> None:
        while len(self.tasklog) > TASKS_KEPT and self.tasklog[0]["status"] == "stopped":
            del self.tasks[self.tasklog.pop(0)["upid"]]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something in the background; errors in it are asyncio's to report."""
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def settle(self) -> None:
        """Wait until no task runs (for tests and for an orderly end)."""
        while self._jobs:
            await asyncio.gather(*self._jobs, return_exceptions=True)

    async def interrupt(self) -> None:
        """End every running task now."""
        for job in list(self._jobs):
            job.cancel()
        await self.settle()

    # ----------------------------------------------------------- persistence

    def save(self) -> None:
        """Keep the state; :class:`lab.datacenter.store.Store` does."""
