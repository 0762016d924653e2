# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m lab``: start, stop, look at, empty and break the lab."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lab.control import ControlError, NotRunningError, ask
from lab.daemon import EXIT_BUSY, FAILURE, BusyError, Lab, hold
from lab.faults import API, KINDS
from lab.guests import GuestError
from lab.linux.images import Images
from lab.linux.runtime import detect
from lab.network import NetworkError, require_root
from lab.settings import REPOSITORY, Instance, Settings, SettingsError, homes, instance, load

__all__ = ["main", "start", "stop"]

START_SECONDS = 900
STOP_SECONDS = 180

Say: TypeAlias = Callable[[str], None]


class LabError(Exception):
    """The command could not be carried out; the message is its sentence."""


# --------------------------------------------------------------------------- up


def start(where: Instance, say: Say = print) -> dict[str, Any]:
    """Start the lab, or find it running, and return its status once it is ready.

    Two starts at once make one lab: the other one waits for it.

    Raises:
        LabError: it does not come up; the message is the reason.
        NetworkError: this process is not root.
    """
    status = _status(where)
    if status is not None and status["ready"]:
        return status
    require_root()
    where.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (where.home / FAILURE).unlink(missing_ok=True)
    daemon = None if status is not None else _spawn(where)
    return _wait_ready(where, daemon, say)


def _status(where: Instance) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = ask(where, "status", timeout=30)
    except NotRunningError:
        return None
    return found


def _spawn(where: Instance) -> subprocess.Popen[bytes]:
    """Start the daemon in a session of its own, its output in the instance's log."""
    environment = {**os.environ, "INFOGERANCE_LAB_HOME": str(where.home.parent)}
    with (where.home / "lab.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lab.daemon", "--instance", where.name, "--number", str(where.number)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_ready(where: Instance, daemon: subprocess.Popen[bytes] | None, say: Say) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    told = ""
    while time.monotonic() < deadline:
        status = _status(where)
        if status is not None:
            if status["phase"] != told:
                told = status["phase"]
                say(told)
            if status["ready"]:
                return status
        ended = daemon.poll() if daemon is not None else None
        if ended == EXIT_BUSY:
            _check_same_home(where)
            daemon = None  # another start, or an end, is at work on this lab: wait for it
            time.sleep(0.4)
        elif ended is not None:
            raise LabError(_why(where))
        elif daemon is None and status is None:
            daemon = _spawn(where)  # what we waited for was the lab's end, or a start that failed: our turn
        time.sleep(0.1)
    raise LabError(f"the lab is not ready after {START_SECONDS} s ({told}): see {where.home / 'lab.log'}")


def _check_same_home(where: Instance) -> None:
    try:
        with hold(where):
            return
    except BusyError as busy:
        if busy.home != str(where.home):
            raise LabError(
                f"number {where.number} is in use by the lab in {busy.home} (process {busy.pid}): "
                "stop it there, or choose another --instance with another --number",
            ) from None


def _why(where: Instance) -> str:
    failure = where.home / FAILURE
    if failure.exists():
        return failure.read_text(encoding="utf-8").strip()
    log = where.home / "lab.log"
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if log.exists() else []
    return "the lab's process ended while it started:\n" + "\n".join(last)


# ------------------------------------------------------------------------- down


def stop(where: Instance, *, purge: bool = False) -> list[str]:
    """Stop the lab and leave nothing of it running; clean up after one that was killed.

    Args:
        where: The instance.
        purge: Remove its state too: servers, disks, credentials.

    Returns:
        What was there to remove, in words.

    Raises:
        LabError: it does not end, or its number belongs to a lab elsewhere.
    """
    try:
        pid = ask(where, "stop", purge=purge)
    except NotRunningError:
        pid = None
    if pid is not None:
        _wait_gone(where, pid)
        with contextlib.suppress(ChildProcessError):  # it is our own child when a test started it
            os.waitpid(pid, 0)
        return [f"lab '{where.name}'"]
    require_root()
    try:
        with hold(where):
            return asyncio.run(_clean(where, purge=purge))
    except BusyError as busy:
        if busy.home == str(where.home):
            raise LabError(f"lab '{where.name}' does not answer; end process {busy.pid} first") from None
        return []


async def _clean(where: Instance, *, purge: bool) -> list[str]:
    return await Lab(where, load()).clean(purge=purge)


def _wait_gone(where: Instance, pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            with hold(where):
                return
        except BusyError as busy:
            if busy.home != str(where.home):
                return
        time.sleep(0.1)
    raise LabError(f"lab '{where.name}' (process {pid}) has not ended after {STOP_SECONDS} s: see {where.home}/lab.log")


# ----------------------------------------------------------------------- output


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns padded to their widest cell."""
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    )


def describe(status: dict[str, Any]) -> str:
    """A lab's status as text."""
    since = dt.datetime.fromtimestamp(status["since"], tz=dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    counters = status["counters"]
    lines = [
        f"lab '{status['instance']}': {status['phase']}, process {status['pid']}, since {since}",
        f"  datacenter  {status['api']} ({counters['reads']} reads, {counters['writes']} writes)",
        f"  network     {status['bridge']}",
    ]
    if status["packages"]:
        lines.append(f"  packages    {status['packages']}")
    if status["artefacts"]:
        lines.append(f"  artefacts   {status['artefacts']}")
    lines.append(f"  state       {status['home']}")
    lines += [f"  system      {name} runs as {real}" for name, real in status["systems"].items()]
    lines += [f"  note        {note}" for note in status["notes"]]
    lines += [f"  fault       {_words(fault)}" for fault in status["faults"]]
    if status["servers"]:
        rows = [
            (
                str(server["vmid"]),
                server["name"],
                server["system"],
                server["power"],
                "up" if server["agent"] else "-",
                server["address"] or "-",
                server["node"],
                f"{server['cpus']} CPU, {server['memory_mib'] / 1024:g} GiB",
                server["lock"] or "-",
            )
            for server in status["servers"]
        ]
        head = ("ID", "NAME", "SYSTEM", "POWER", "AGENT", "ADDRESS", "NODE", "SIZE", "LOCK")
        lines += ["", table(head, rows)]
    else:
        lines.append("  servers     none")
    return "\n".join(lines)


def _words(fault: dict[str, Any]) -> str:
    rest = ", ".join(f"{k} {v}" for k, v in fault.items() if k not in ("target", "kind") and v is not None)
    return f"{fault['target']}: {fault['kind']}" + (f" ({rest})" if rest else "")


# --------------------------------------------------------------------- commands


def _up(_options: argparse.Namespace, where: Instance, _settings: Settings) -> int:
    before = time.monotonic()
    print(describe(start(where)))
    print(f"ready after {time.monotonic() - before:.1f} s")
    return 0


def _down(options: argparse.Namespace, where: Instance, settings: Settings) -> int:
    targets = [where]
    if options.all:
        names = {path.parent.name for path in homes().glob("*/instance.json")} | set(settings.instances)
        targets = [instance(name, None, settings) for name in sorted(names)]
    for each in targets:
        found = stop(each, purge=options.purge)
        print(f"{each.name}: stopped {', '.join(found)}" if found else f"{each.name}: nothing was running")
    if options.images:
        _forget_images()
    return 0


def _forget_images() -> None:
    """Remove the templates' images; a machine without podman has none."""
    if shutil.which("podman") is None:
        return
    for name in asyncio.run(Images(detect(), print).forget()):
        print(f"removed {name}")


def _show(options: argparse.Namespace, where: Instance, _settings: Settings) -> int:
    status = _status(where)
    if status is None:
        print(f"lab '{where.name}' is not running", file=sys.stderr)
        return 3
    print(json.dumps(status, indent=2) if options.json else describe(status))
    return 0


def _reset(_options: argparse.Namespace, where: Instance, _settings: Settings) -> int:
    names = ask(where, "reset", timeout=STOP_SECONDS)
    print(f"removed {', '.join(names)}" if names else "there was no server")
    return 0


def _journal(options: argparse.Namespace, where: Instance, _settings: Settings) -> int:
    if options.count:
        print(json.dumps(ask(where, "counters")))
        return 0
    entries = ask(where, "journal", since=options.since, writes=options.writes)
    if options.json:
        print(json.dumps(entries, indent=2))
        return 0
    for entry in entries:
        moment = dt.datetime.fromtimestamp(entry["time"], tz=dt.UTC).astimezone().strftime("%H:%M:%S")
        print(
            f"{entry['sequence']:>6} {moment} {entry['status']} {entry['user'] or '-'} "
            f"{entry['method']} {entry['path']} {entry['body']}".rstrip()
        )
    return 0


def _fault(options: argparse.Namespace, where: Instance, _settings: Settings) -> int:
    if options.target == "list":
        active = ask(where, "faults")
        print("\n".join(_words(fault) for fault in active) if active else "no fault is in force")
        return 0
    if options.target == "kinds" or options.kind is None:
        rows = [
            (
                "<server>" if kind.target != API else API,
                kind.name,
                kind.summary,
                " ".join(f"--{name}" for name in kind.options),
            )
            for kind in KINDS
        ]
        rows += [("<server>", "clear", "heals it", ""), (API, "clear", "heals it", "")]
        print(table(("TARGET", "KIND", "WHAT HAPPENS", "OPTIONS"), rows))
        return 0 if options.target in ("kinds", None) else 2
    names = {name for kind in KINDS for name in kind.options}
    chosen = {name: getattr(options, f"option_{name}") for name in names}
    given = {name: value for name, value in chosen.items() if value is not None}
    print(ask(where, "fault", target=options.target, kind=options.kind, **given))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m lab", description="The lab: a datacenter in a box.")
    top.add_argument(
        "--instance",
        default=os.environ.get("INFOGERANCE_LAB_INSTANCE") or "demo",
        help="which lab (default: %(default)s; environment INFOGERANCE_LAB_INSTANCE)",
    )
    top.add_argument("--number", type=int, help="number of a lab that lab.yml does not name; it decides the addresses")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="up|down|status|reset|journal|fault")
    up = verbs.add_parser("up", help="start it, or find it running")
    up.set_defaults(run=_up)
    down = verbs.add_parser("down", help="stop it; nothing of it stays but its state")
    down.add_argument("--purge", action="store_true", help="remove the state too: servers, disks, credentials")
    down.add_argument("--all", action="store_true", help="every lab of this checkout")
    down.add_argument(
        "--images", action="store_true", help="remove the images of the templates from podman too; no lab may run"
    )
    down.set_defaults(run=_down)
    status = verbs.add_parser("status", help="what runs")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=_show)
    reset = verbs.add_parser("reset", help="remove every server and every fault")
    reset.set_defaults(run=_reset)
    journal = verbs.add_parser("journal", help="the calls the datacenter's API got")
    journal.add_argument("--since", type=int, default=0, help="only after this number")
    journal.add_argument("--writes", action="store_true", help="only those that change something")
    journal.add_argument("--count", action="store_true", help="only how many of each kind, as JSON")
    journal.add_argument("--json", action="store_true")
    journal.set_defaults(run=_journal)
    fault = verbs.add_parser("fault", help="break something, or heal it: fault <server|api> <kind|clear>; fault list")
    fault.add_argument("target", nargs="?", help="a server's name, 'api', 'list' (in force) or 'kinds' (all there are)")
    fault.add_argument("kind", nargs="?", help="see 'fault kinds'; 'clear' heals")
    for name in sorted({name for kind in KINDS for name in kind.options}):
        fault.add_argument(f"--{name}", dest=f"option_{name}")
    fault.set_defaults(run=_fault)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status, 1 with a sentence on standard error when it fails."""
    options = parser().parse_args(argv)
    try:
        settings = load()
        where = instance(options.instance, options.number, settings)
        status: int = options.run(options, where, settings)
    except (LabError, ControlError, NetworkError, GuestError, SettingsError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
