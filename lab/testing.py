# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs for tests: start one of its own, break it for a while, and prove what was written.

A conftest that imports :func:`lab_running` (one lab for the session) and :func:`lab_empty` (the same, without servers
and faults) has them as fixtures.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from proxmoxer import ProxmoxAPI

from lab.__main__ import start, stop
from lab.control import ask
from lab.daemon import BusyError, hold
from lab.settings import HIGHEST_NUMBER, Instance, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RunningLab", "free_instance", "lab_empty", "lab_running", "running"]

FIRST_NUMBER = 100
"""Numbers from here on belong to tests."""
LINKS = Path("/sys/class/net")


@dataclass(frozen=True)
class RunningLab:
    """A lab that runs, as a test sees it."""

    where: Instance

    @property
    def secrets(self) -> dict[str, Any]:
        """What logs in to it: the content of ``secrets.yml``."""
        found: dict[str, Any] = yaml.safe_load((self.where.home / "secrets.yml").read_text(encoding="utf-8"))
        return found

    def client(self, token: str = "operator") -> ProxmoxAPI:  # noqa: S107 - a token's name, not its secret
        """Proxmoxer on the datacenter's API, with one of the lab's tokens."""
        api = self.secrets["api"]
        login = api["tokens"][token]
        return ProxmoxAPI(
            api["host"],
            port=api["port"],
            user=login["user"],
            token_name=login["id"],
            token_value=login["secret"],
            verify_ssl=api["ca_file"],
            timeout=30,
        )

    def status(self) -> dict[str, Any]:
        """What ``python -m lab status --json`` prints."""
        found: dict[str, Any] = ask(self.where, "status")
        return found

    def server(self, name: str) -> dict[str, Any]:
        """One server of the status; raises KeyError when there is none of this name."""
        for server in self.status()["servers"]:
            if server["name"] == name:
                return dict(server)
        raise KeyError(name)

    def reset(self) -> None:
        """Remove every server and every fault."""
        ask(self.where, "reset", timeout=180)

    @contextlib.contextmanager
    def fault(self, target: str, kind: str, **options: Any) -> Iterator[None]:
        """Cause a fault for as long as the block lasts; ``python -m lab fault kinds`` lists them."""
        ask(self.where, "fault", target=target, kind=kind, **options)
        try:
            yield
        finally:
            ask(self.where, "fault", target=target, kind="clear")

    def writes(self, since: int = 0) -> list[dict[str, Any]]:
        """The calls after this number that change something."""
        found: list[dict[str, Any]] = ask(self.where, "journal", since=since, writes=True)
        return found

    @contextlib.contextmanager
    def nothing_written(self) -> Iterator[None]:
        """Fail when the block makes a call that changes something: what check mode must never do."""
        before = ask(self.where, "counters")["sequence"]
        yield
        written = [f"{call['method']} {call['path']} {call['body']}" for call in self.writes(before)]
        assert not written, "written: " + "; ".join(written)  # noqa: S101 - this is what a test calls it for


def free_instance(home: Path) -> Instance:
    """An instance with a number that nothing on this machine uses, its state in this folder.

    Raises:
        SettingsError: every number is in use.
    """
    for number in range(FIRST_NUMBER + os.getpid() % 50, HIGHEST_NUMBER + 1):
        where = Instance(f"test-{number}", number, home / f"test-{number}")
        if (LINKS / where.bridge).exists():
            continue
        try:
            with hold(where):
                return where
        except BusyError:
            continue
    raise SettingsError(f"every lab number from {FIRST_NUMBER} to {HIGHEST_NUMBER} is in use")


@contextlib.contextmanager
def running(where: Instance) -> Iterator[RunningLab]:
    """A lab for as long as the block lasts; nothing of it stays."""
    start(where, say=lambda _text: None)
    try:
        yield RunningLab(where)
    finally:
        stop(where, purge=True)


@pytest.fixture(scope="session")
def lab_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """One lab for the whole session (needs root and podman)."""
    with running(free_instance(tmp_path_factory.mktemp("lab"))) as lab:
        yield lab


@pytest.fixture
def lab_empty(lab_running: RunningLab) -> RunningLab:
    """The session's lab, without servers and faults."""
    lab_running.reset()
    return lab_running
