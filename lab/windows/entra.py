# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server of Entra Connect Sync does by itself: cycles, certificates, events and exports, and its wizard.

Modelled on Microsoft Learn: "Microsoft Entra Connect Sync: Scheduler", "Staging server and disaster recovery",
"Authenticate to Microsoft Entra ID by using application identity", "Import and export configuration settings". There is
no Entra ID in the lab: every cycle succeeds, unless ``results`` of the section ``adsync`` says what a connector's
profile ends with, or the certificate has expired.
"""

from __future__ import annotations

import base64
import json
import re
import zoneinfo
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.windows.commands import Context, Outcome, command
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import certificates, services
from lab.windows.handlers.clock import iana_zone
from lab.windows.handlers.software import file_version
from lab.windows.registry import section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.windows.server import ServerSpec, WindowsServer

ENGINE = "ADSync"
PROGRAM = r"C:\Program Files\Microsoft Azure Active Directory Connect\AzureADConnect.exe"
POLICIES = r"C:\ProgramData\AADConnect"
ALLOWED_MINUTES = 30
"""Shortest interval that Entra ID allows."""
SUBJECT = "Entra Connect Sync Provisioning"
VALIDITY_DAYS = 180
"""How long the certificates that Entra Connect makes are valid."""
ROTATION_DAYS = 150
"""Entra Connect rotates its certificate when it has so many days left, and warns (event 1011)."""
SOURCE = "Directory Synchronization"
_HISTORY = 120
"""Runs kept at most, whatever their age: twenty cycles."""

State = dict[str, Any]


@section("adsync")
def _adsync(_spec: ServerSpec) -> State:
    return {
        "configured": False,
        "engine_version": "",
        "staging": False,
        "wizard_open": False,
        "cycle_enabled": True,
        "interval_minutes": ALLOWED_MINUTES,
        "maintenance": True,
        "run_history_days": 7,
        "next_policy": "delta",
        "next_cycle": "",
        "connectors": [],
        "results": {},  # "connector/profile" -> what its runs end with from now on
        "identity": {"type": "", "application_managed_by": "", "certificate_managed_by": "", "certificate_id": ""},
        "tpm": False,
        "certificates": [],  # the service account's own store
        "runs": [],
        "events": [],
        "export": {"last_run": "", "last_result": 0, "fingerprint": ""},
    }


def stamp(moment: datetime) -> str:
    """A moment as the probes write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def days(count: int) -> timedelta:
    """So many days."""
    return timedelta(days=count)


def installed_version(server: WindowsServer) -> str:
    """Version of the wizard's program; empty when it is not installed."""
    return file_version(server, PROGRAM) if FileSystem(server).is_file(PROGRAM) else ""


def running(server: WindowsServer) -> bool:
    """Whether the sync engine runs."""
    service = services.find(server, ENGINE)
    return service is not None and service["state"] == "running"


def suspended(server: WindowsServer) -> bool:
    """Whether the scheduler stands still: an open wizard, or an upgrade that it has not finished."""
    state = server.section("adsync")
    return bool(state["wizard_open"]) or state["engine_version"] != installed_version(server)


# -- the scheduler --------------------------------------------------------------------------------------------------


def advance(server: WindowsServer) -> None:
    """Do what the scheduler and the exporting task have done since the last look."""
    state = server.section("adsync")
    now = server.now()
    if state["configured"] and running(server) and not suspended(server):
        interval = timedelta(minutes=max(state["interval_minutes"], ALLOWED_MINUTES))
        due = datetime.fromisoformat(state["next_cycle"])
        # Nobody looks at what the history has forgotten.
        missed = (now - due) - days(1)
        if missed > interval:
            due += interval * (missed // interval)
        while due <= now:
            if state["maintenance"]:
                _look_after_certificate(state, due)
            if state["cycle_enabled"]:
                cycle(server, state["next_policy"], due)
                state["next_policy"] = "delta"
            due += interval
        state["next_cycle"] = stamp(due)
    _export(server)


def cycle(server: WindowsServer, policy: str, start: datetime) -> list[dict[str, Any]]:
    """One cycle: imports, synchronisations and, unless in staging mode, exports. Gives its runs."""
    state = server.section("adsync")
    word = "Full" if policy == "initial" else "Delta"
    profiles = [f"{word} Import", f"{word} Synchronization", *([] if state["staging"] else ["Export"])]
    made = []
    at = start
    for profile in profiles:
        for connector in state["connectors"]:
            made.append(
                {
                    "connector": connector,
                    "profile": profile,
                    "result": _result(state, connector, profile, at),
                    "complete": True,
                    "start": stamp(at),
                    "end": stamp(at + timedelta(seconds=1)),
                }
            )
            at += timedelta(seconds=1)
    oldest = stamp(start - days(state["run_history_days"]))
    kept = [run for run in state["runs"] if run["start"] >= oldest] if state["maintenance"] else state["runs"]
    state["runs"] = [*kept, *made][-_HISTORY:]
    return made


def _result(state: State, connector: str, profile: str, at: datetime) -> str:
    told = state["results"].get(f"{connector}/{profile}")
    if told is not None:
        return str(told)
    if connector.endswith(" - AAD") and state["identity"]["type"] == "Application":
        used = _used(state)
        if used is None or certificates.load(used).not_valid_after_utc < at:
            return "no-start-credentials"
    return "success"


# -- the certificate ------------------------------------------------------------------------------------------------


def _used(state: State) -> dict[str, Any] | None:
    """The certificate of the service account's store that the connector names."""
    for entry in state["certificates"]:
        if certificates.load(entry).fingerprint(hashes.SHA256()).hex().upper() == state["identity"]["certificate_id"]:
            found: dict[str, Any] = entry
            return found
    return None


def _look_after_certificate(state: State, now: datetime) -> None:
    """Warn of a certificate that is due, rotate it, or say that it has expired."""
    used = _used(state)
    if used is None or state["identity"]["type"] != "Application":
        return
    left = certificates.load(used).not_valid_after_utc - now
    if left > days(ROTATION_DAYS):
        return
    _event(state, 1012 if left < days(0) else 1011, now)
    if state["identity"]["certificate_managed_by"] == "EntraConnect":
        _renew(state, now)


def _renew(state: State, now: datetime) -> None:
    """Make a certificate of the connector's own and name it; the old one is removed."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SUBJECT)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC))
        .not_valid_after(now.astimezone(UTC) + days(VALIDITY_DAYS))
        .sign(key, hashes.SHA256())
    )
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode("ascii")
    state["certificates"] = [
        {"der": der, "private_key": "kept by the key storage provider", "exportable": False, "friendly_name": ""}
    ]
    state["identity"]["certificate_id"] = certificate.fingerprint(hashes.SHA256()).hex().upper()
    if not state["tpm"]:
        _event(state, 1014, now)


def _event(state: State, number: int, now: datetime) -> None:
    """Write an event, at most one of a kind a day: the real ones come with each cycle."""
    yesterday = stamp(now - days(1))
    if not any(event["id"] == number and event["time"] > yesterday for event in state["events"]):
        state["events"].append({"id": number, "time": stamp(now), "source": SOURCE})


# -- the export of the configuration --------------------------------------------------------------------------------


def _tasks(server: WindowsServer) -> Iterator[dict[str, Any]]:
    """Scheduled tasks that run the role's export."""
    for task in server.section("scheduled_tasks")["tasks"].values():
        if any("export.ps1" in (action.get("arguments") or "") for action in task["actions"]):
            yield task


def _registered(server: WindowsServer, name: str) -> datetime:
    """When a task was first made: the server's journal says it."""
    for entry in server.read_journal():
        made = entry.get("module") == "community.windows.win_scheduled_task" and entry.get("changed")
        if made and not entry.get("check") and (entry.get("args") or {}).get("name") == name:
            return datetime.fromisoformat(entry["time"])
    return server.now()


def _last_due(server: WindowsServer, task: dict[str, Any]) -> datetime | None:
    """The latest moment at which a trigger of a task has fired since it exists."""
    registered = _registered(server, task["name"])
    now = server.now().astimezone(zoneinfo.ZoneInfo(iana_zone(server.section("clock")["timezone"])))
    fired = []
    for trigger in task["triggers"]:
        if not trigger["enabled"]:
            continue
        if trigger["type"] == "registration":
            fired.append(registered)
        elif trigger["type"] == "daily":
            at = time.fromisoformat(trigger["start_boundary"].partition("T")[2][:8])
            today = datetime.combine(now.date(), at, tzinfo=now.tzinfo)
            last = today if today <= now else today - days(1)
            if last >= registered:
                fired.append(last)
    return max(fired, default=None)


def _export(server: WindowsServer) -> None:
    """Run the exporting task when it was due: a new folder when the configuration differs, the oldest ones away."""
    state = server.section("adsync")
    export = state["export"]
    for task in _tasks(server):
        due = _last_due(server, task)
        if due is None or not task["settings"]["enabled"] or stamp(due) <= export["last_run"]:
            continue
        export["last_run"] = stamp(due)
        export["last_result"] = 0 if _run_export(server, task["actions"][0]["arguments"], due) else 1


def _run_export(server: WindowsServer, arguments: str, due: datetime) -> bool:
    given = re.search(r'-File "([^"]+)"\s+-Folder "([^"]+)"\s+-Keep (\d+)', arguments)
    state = server.section("adsync")
    files = FileSystem(server)
    if given is None or not files.is_file(given.group(1)) or not running(server) or not state["configured"]:
        return False
    folder, keep = given.group(2), int(given.group(3))
    names = ("connectors", "interval_minutes", "run_history_days", "staging", "engine_version", "identity")
    policy = json.dumps({name: state[name] for name in names}, indent=1)
    if policy != state["export"]["fingerprint"]:
        state["export"]["fingerprint"] = policy
        own = f"{folder}\\{due.astimezone(UTC):%Y%m%d-%H%M%S}"
        files.make_dir(own, "S-1-5-18")
        files.write(f"{own}\\Applied-SynchronizationPolicy.json", policy.encode(), "S-1-5-18")
    kept = sorted(entry["path"] for entry in files.children(folder) if entry["type"] == "directory")
    for path in kept[:-keep]:
        files.remove(path)
    return True


def export_state(server: WindowsServer, task: str, folder: str) -> dict[str, Any]:
    """What the probe says of the exporting task."""
    state = {"task": False, "registered": "", "last_run": "", "last_result": 0, "kept": 0}
    if not task:
        return state
    files = FileSystem(server)
    if folder and files.is_dir(folder):
        state["kept"] = sum(1 for entry in files.children(folder) if entry["type"] == "directory")
    if task in {entry["name"] for entry in server.section("scheduled_tasks")["tasks"].values()}:
        export = server.section("adsync")["export"]
        state.update(task=True, registered=stamp(_registered(server, task)), last_run=export["last_run"])
        state["last_result"] = export["last_result"]
    return state


# -- the wizard -----------------------------------------------------------------------------------------------------


@command(
    r'"?C:\\Program Files\\Microsoft Azure Active Directory Connect\\AzureADConnect\.exe"?'
    r"(?P<clicks>(?: /(?:configure|upgrade|rotate|staging|service-account|tpm))+)",
    source="the lab's own: a technician at the wizard, whose clicks are options that the real program does not have",
)
def wizard(context: Context, match: re.Match[str]) -> Outcome:
    """Do what a technician does in the wizard: configure, finish an upgrade, rotate the certificate."""
    server = context.server
    clicks = set(match.group("clicks").replace("/", "").lower().split())
    version = installed_version(server)
    if not version:
        return Outcome(rc=1, stderr=f"Le fichier {PROGRAM} est introuvable.", changes=True)
    if server.domain is None:
        return Outcome(rc=1, stderr="Le serveur n’appartient à aucun domaine.", changes=True)
    state = server.section("adsync")
    now = server.now()
    if "configure" in clicks:
        _configure(server, state, clicks)
    elif not state["configured"]:
        return Outcome(rc=1, stderr="Entra Connect Sync n’est pas configuré.", changes=True)
    if "rotate" in clicks:
        _renew(state, now)
    state["engine_version"] = version
    state["wizard_open"] = False
    return Outcome(changes=True)


def _configure(server: WindowsServer, state: State, clicks: set[str]) -> None:
    tenant = str(server.domain).partition(".")[0]
    now = server.now()
    application = "service-account" not in clicks
    services.add(
        server,
        ENGINE,
        display_name="Microsoft Azure AD Sync",
        path=r'"C:\Program Files\Microsoft Azure AD Sync\Bin\miiserver.exe"',
        username=rf"NT SERVICE\{ENGINE}",
        state="running",
    )
    state.update(
        configured=True,
        staging="staging" in clicks,
        tpm="tpm" in clicks,
        connectors=[str(server.domain), f"{tenant}.onmicrosoft.com - AAD"],
        engine_version=installed_version(server),
        next_cycle=stamp(now + timedelta(minutes=ALLOWED_MINUTES)),
    )
    state["identity"] = {
        "type": "Application" if application else "ServiceAccount",
        "application_managed_by": "EntraConnect" if application else "",
        "certificate_managed_by": "EntraConnect" if application else "",
        "certificate_id": "",
    }
    if application:
        _renew(state, now)
    FileSystem(server).make_dir(POLICIES, "S-1-5-18")
    FileSystem(server).write(f"{POLICIES}\\Applied-SynchronizationPolicy-{now:%Y%m%d-%H%M%S}.json", b"{}", "S-1-5-18")
    cycle(server, "initial", now)
