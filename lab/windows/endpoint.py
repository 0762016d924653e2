# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WinRM endpoint of one simulated server: TLS, logons, shells, commands, and what a reboot does to them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import logging
import ssl
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiohttp import web

from lab.windows import commands, dispatch, payload, soap
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import certificates, firewall, winrm_service
from lab.windows.hive import Registry
from lab.windows.identity import LogonFailure, Principal, is_sid
from lab.windows.ntlm import SIGNATURE, Handshake
from lab.windows.registry import ModuleFailure, NotSimulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.windows.faults import Faults
    from lab.windows.server import WindowsServer

LOG = logging.getLogger(__name__)

MAX_ENVELOPE = 500 * 1024
"""Bytes; Windows' own default of MaxEnvelopeSizekb."""

WINRM_PORT = winrm_service.PORT
"""Port of a template's HTTPS listener, which the endpoint may stand in for at another; others are themselves."""

IDLE_TIMEOUT = 7200.0
"""Seconds; Windows' own default of a shell's IdleTimeout."""

_POLICY = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows\WinRM\Service"

_SYSTEM_POLICY = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"

_SERVICE_ACCOUNTS = {
    "system": "S-1-5-18",
    "localsystem": "S-1-5-18",
    "localservice": "S-1-5-19",
    "local service": "S-1-5-19",
    "networkservice": "S-1-5-20",
    "network service": "S-1-5-20",
}


@dataclass(slots=True)
class _Command:
    id: str
    line: str
    stdin: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    rc: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    drop: bool = False


@dataclass(slots=True)
class _Shell:
    id: str
    owner: Principal
    used: float = field(default_factory=time.monotonic)
    commands: dict[str, _Command] = field(default_factory=dict)


class WinRMEndpoint:
    """Listens for one server; many of them live in one event loop."""

    def __init__(
        self,
        server: WindowsServer,
        host: str,
        port: int,
        certfile: str,
        keyfile: str,
        *,
        faults: Faults | None = None,
        boot_seconds: float = 0.5,
        time_scale: float = 0.0,
        on_power_off: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing listens before ``start()``.

        Args:
            server: The simulated server.
            host: Address to listen on.
            port: TCP port at which it stands in for the template's 5986.
            certfile: PEM file of the certificate and its chain.
            keyfile: PEM file of its key.
            faults: What is wrong; the server's own faults by default.
            boot_seconds: How long a reboot keeps the endpoint away.
            time_scale: What becomes of a second that a shutdown is delayed by.
            on_power_off: Called once the server has switched itself off.
        """
        self.server = server
        self.host = host
        self.port = port
        if faults is not None:
            server.faults = faults
        self.boot_seconds = boot_seconds
        self.time_scale = time_scale
        self.on_power_off = on_power_off
        self.certfile = certfile
        if server.ca_file is None:
            server.ca_file = certfile  # the chain in it is what the lab's real services are trusted by
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certfile, keyfile)
        self._shells: dict[str, _Shell] = {}
        self._sessions: WeakKeyDictionary[Any, Principal] = WeakKeyDictionary()
        self._handshakes: WeakKeyDictionary[Any, Handshake] = WeakKeyDictionary()
        self._runner: web.AppRunner | None = None
        self._sites: dict[int, web.TCPSite] = {}
        self._signalled = asyncio.Event()
        self._restart: asyncio.Task[None] | None = None
        self._workers: ThreadPoolExecutor | None = None

    @property
    def faults(self) -> Faults:
        """What is wrong with the server."""
        return self.server.faults

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Boot the server and listen.

        Raises:
            OSError: The address or port cannot be had.
        """
        if self._workers is None:
            self._workers = ThreadPoolExecutor(16, thread_name_prefix=f"winrm-{self.server.name}")
        await asyncio.to_thread(self._boot)
        await self._listen()

    def _boot(self) -> None:
        pem = Path(self.certfile).read_bytes()
        with self.server.lock:
            certificates.adopt(self.server, pem)
            self.server.boot()

    async def stop(self) -> None:
        """Switch the server off at once, as a power cut does."""
        if self._restart is not None:
            self._restart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._restart
            self._restart = None
        await self._close()
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.shutdown(wait=False, cancel_futures=True)
        self.server.set_power("off")

    async def reboot(self) -> None:
        """Go down and come up again; hangs while the fault ``reboot_hang`` is set."""
        self.server.set_power("booting")
        await self._close()
        await asyncio.sleep(self.boot_seconds)
        while self.faults.reboot_hang:  # noqa: ASYNC110 - faults are plain values that any thread may set
            await asyncio.sleep(0.1)
        await self.start()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/wsman", self._wsman)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, keepalive_timeout=120)
        await runner.setup()
        self._runner = runner
        try:
            await self._follow_listeners()
        except OSError:
            self._runner = None
            self._sites.clear()
            await runner.cleanup()
            raise

    async def _follow_listeners(self) -> None:
        """Open the ports of new HTTPS listeners and close those of listeners that are gone.

        Raises:
            OSError: A port cannot be had.
        """
        runner = self._runner
        if runner is None:
            return
        wanted = winrm_service.https_ports(self.server)
        for port in sorted(wanted - set(self._sites)):
            real = self.port if port == WINRM_PORT else port
            site = web.TCPSite(runner, self.host, real, ssl_context=self._tls, reuse_address=True)
            await site.start()
            self._sites[port] = site
            if real == 0:
                self.port = int(runner.addresses[-1][1])
        for port in set(self._sites) - wanted:
            await self._sites.pop(port).stop()

    def _listener_port(self, request: web.Request) -> int:
        """Port of the listener that a request came to, as Windows and its firewall know it."""
        name = request.get_extra_info("sockname")
        port = int(name[1]) if name else self.port
        return WINRM_PORT if port == self.port else port

    async def _close(self) -> None:
        for shell in self._shells.values():
            for command in shell.commands.values():
                if command.task is not None:
                    command.task.cancel()
        self._shells.clear()
        runner, self._runner = self._runner, None
        self._sites.clear()
        if runner is not None:
            for connection in list(runner.server.connections) if runner.server else []:
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()

    def _act_on_shutdown(self) -> None:
        """Start what ``shutdown.exe`` asked for."""
        request = self.server.shutdown_request
        if request is None or (self._restart is not None and not self._restart.done()):
            return

        async def later() -> None:
            # The client ends its command first; one that does not is not waited for long.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), 0.3)
            await asyncio.sleep(self.server.shutdown_delay * self.time_scale)
            if self.server.shutdown_request is None:  # aborted by shutdown /a
                return
            if request == "reboot":
                await self.reboot()
                return
            self.server.shutdown_request = None
            await self._close()
            self.server.set_power("off")
            if self.on_power_off is not None:
                self.on_power_off()

        self._signalled.clear()
        self._restart = asyncio.create_task(later())

    # -- requests ------------------------------------------------------------------------------------------------

    def _client(self, request: web.Request) -> str:
        """Where a request comes from. On the lab's bridge a machine that reaches itself shows the server's address."""
        remote = request.remote or "127.0.0.1"
        if remote in self.server.addresses():
            networks = self.server.section("system")["networks"]
            return next((str(nic["gateway"]) for nic in networks if nic["gateway"]), "127.0.0.1")
        return remote

    async def _wsman(self, request: web.Request) -> web.Response:
        client = self.server.winrm_client = self._client(request)
        port = self._listener_port(request)
        if port not in winrm_service.https_ports(self.server):
            return web.Response(status=404)  # HTTP.sys: the address of no listener, though the connection is open
        if not firewall.lets_in(self.server, port, client):
            reason = f"The firewall of {self.server.name} lets nobody at {client} in on port {port}"
            LOG.warning("%s", reason)
            self.server.journal(kind="blocked", message=reason, changed=False, failed=True)
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=403)
        try:
            owner = self._authenticate(request)
        except LogonFailure:
            return self._unauthorised()
        if isinstance(owner, web.Response):
            return owner
        body = await request.read()
        message_id = ""
        try:
            if not body:  # NTLM and Negotiate open with an empty request
                return web.Response(content_type="application/soap+xml")
            message = soap.read(body, MAX_ENVELOPE)
            message_id = message.message_id
            answer = await self._serve(message, owner, request)
        except soap.Fault as error:
            return web.Response(
                status=500,
                body=soap.fault(error, message_id, self.server.fqdn),
                content_type="application/soap+xml",
                charset="utf-8",
            )
        return web.Response(body=answer, content_type="application/soap+xml", charset="utf-8")

    def _basic_allowed(self) -> bool:
        """Whether Basic is on: a policy overrides the service's own setting."""
        policy = Registry(self.server).data(_POLICY, "AllowBasic")
        return bool(self.server.section("winrm")["auth"]["Basic"] if policy is None else policy)

    def _unauthorised(self, negotiate: bytes = b"") -> web.Response:
        response = web.Response(status=401)
        token = base64.b64encode(negotiate).decode("ascii")
        if self.server.section("winrm")["auth"]["Negotiate"]:
            response.headers.add("WWW-Authenticate", f"Negotiate {token}".strip())
        if not negotiate and self._basic_allowed():
            response.headers.add("WWW-Authenticate", 'Basic realm="WSMAN"')
        return response

    def _authenticate(self, request: web.Request) -> Principal | web.Response:
        if self.faults.refuse_logons:
            raise LogonFailure("refused by a fault")
        header = request.headers.get("Authorization", "")
        scheme, _, value = header.partition(" ")
        connection = request.get_extra_info("ssl_object")  # one per TCP connection, which is what NTLM authenticates
        if not scheme:
            known = self._sessions.get(connection)
            if known is None:
                raise LogonFailure("no credentials")
            return known
        try:
            token = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise LogonFailure("credentials are not base64") from None
        if scheme.lower() == "basic":
            if not self._basic_allowed():
                raise LogonFailure("Basic is off")
            name, _, password = token.decode("utf-8", "replace").partition(":")
            return self._may_manage(self.server.logon(name, password))
        if scheme.lower() in {"negotiate", "ntlm"} and token.startswith(SIGNATURE):
            if not self.server.section("winrm")["auth"]["Negotiate"]:
                raise LogonFailure("Negotiate is off")
            if token[8:12] == b"\1\0\0\0":
                handshake = Handshake(self.server)
                self._handshakes[connection] = handshake
                return self._unauthorised(handshake.offer())
            begun = self._handshakes.pop(connection, None)
            if begun is None:
                raise LogonFailure("NTLM answer without a challenge")
            principal = self._may_manage(begun.accept(token))
            self._sessions[connection] = principal
            return principal
        raise LogonFailure(f"{scheme} is not simulated")

    def _may_manage(self, principal: Principal) -> Principal:
        """Let in administrators and remote management users only, as WinRM's default security descriptor does."""
        if not self.server.may_manage(principal) or self._is_filtered(principal):
            raise LogonFailure(principal.account)
        return principal

    def _is_filtered(self, principal: Principal) -> bool:
        """Whether an administrator's token lacks its rights over the network, as UAC's remote restrictions have it.

        They hold for local accounts, for the built-in administrator by a value of its own
        (https://learn.microsoft.com/troubleshoot/windows-server/windows-security/user-account-control-and-remote-restriction).
        Without a value, what ``winrm quickconfig`` set counts.
        """
        accounts = self.server.section("accounts")
        if accounts.get("domain_controller") or not principal.sid.startswith(f"{accounts['machine_sid']}-"):
            return False
        policy = Registry(self.server)
        if principal.sid.endswith("-500"):
            return bool(policy.data(_SYSTEM_POLICY, "FilterAdministratorToken", 0) == 1)
        return bool(policy.data(_SYSTEM_POLICY, "LocalAccountTokenFilterPolicy", 1) == 0)

    async def _serve(self, message: soap.Request, owner: Principal, request: web.Request) -> bytes:
        if message.action == "Create":
            self._forget_idle_shells()
            shell = _Shell(str(uuid.uuid4()).upper(), owner)
            self._shells[shell.id] = shell
            return soap.answer(message, soap.created(shell.id, owner.account, f"{self.host}:{self.port}"))
        found = self._shells.get(message.shell_id)
        if found is None:
            raise soap.Fault(
                soap.SHELL_NOT_FOUND,
                "The request for the Windows Remote Shell with ShellId "
                f"{message.shell_id} failed because the shell was not found on the server.",
                "w:InvalidSelectors",
            )
        found.used = time.monotonic()
        match message.action:
            case "Command":
                return self._command(message, found)
            case "Send":
                return self._send(message, found)
            case "Receive":
                return await self._receive(message, found, request)
            case "Signal":
                command = found.commands.pop(soap.signalled(message.body), None)
                if command is not None and command.task is not None and not command.done.is_set():
                    command.task.cancel()
                self._signalled.set()
                return soap.answer(message, "<rsp:SignalResponse/>")
            case _:
                self._shells.pop(found.id, None)
                return soap.answer(message, "")

    def _forget_idle_shells(self) -> None:
        """Drop shells that a client left behind, as Windows does after its idle timeout."""
        limit = time.monotonic() - IDLE_TIMEOUT
        for shell in [shell for shell in self._shells.values() if shell.used < limit]:
            if all(command.done.is_set() for command in shell.commands.values()):
                del self._shells[shell.id]

    def _command(self, message: soap.Request, shell: _Shell) -> bytes:
        if self.faults.strike("quota"):
            raise soap.Fault(
                soap.QUOTA,
                "The WS-Management service cannot process the request. The maximum number of concurrent operations "
                "for this user has been exceeded. Close existing operations for this user, or raise the quota.",
                "w:QuotaLimit",
            )
        command = _Command(str(uuid.uuid4()).upper(), soap.command_line(message.body))
        command.drop = self.faults.strike("drop_connection")
        shell.commands[command.id] = command
        if message.console_stdin:
            self._begin(command, shell)
        return soap.answer(message, soap.commanded(command.id))

    def _known(self, shell: _Shell, command_id: str) -> _Command:
        command = shell.commands.get(command_id)
        if command is None:
            raise soap.Fault(
                2150858788, f"The command {command_id} does not exist in this shell.", "w:InvalidSelectors"
            )
        return command

    def _send(self, message: soap.Request, shell: _Shell) -> bytes:
        if self.faults.strike("busy"):
            raise soap.Fault(soap.BUSY, "The requested resource is in use.")
        command_id, data, end = soap.sent(message.body)
        command = self._known(shell, command_id)
        command.stdin += data
        if end:
            self._begin(command, shell)
        return soap.answer(message, "<rsp:SendResponse/>")

    async def _receive(self, message: soap.Request, shell: _Shell, request: web.Request) -> bytes:
        command = self._known(shell, soap.received(message.body))
        timed_out = soap.Fault(
            soap.OPERATION_TIMEOUT,
            "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
            "w:TimedOut",
        )
        if self.faults.strike("operation_timeouts"):
            raise timed_out
        try:
            await asyncio.wait_for(command.done.wait(), message.timeout)
        except TimeoutError:
            raise timed_out from None
        if command.drop and request.transport is not None:
            request.transport.abort()
        self._act_on_shutdown()
        return soap.answer(message, soap.output(command.id, command.stdout, command.stderr, command.rc))

    # -- work ----------------------------------------------------------------------------------------------------

    def _begin(self, command: _Command, shell: _Shell) -> None:
        if command.task is not None:
            return
        command.task = asyncio.create_task(self._work(command, shell.owner))

    async def _work(self, command: _Command, owner: Principal) -> None:
        if self.faults.slow_seconds:
            await asyncio.sleep(self.faults.slow_seconds)
        loop = asyncio.get_running_loop()
        try:
            stdout, stderr, rc = await loop.run_in_executor(self._workers, self._operate, command, owner)
        except payload.PayloadError as error:
            stdout, stderr, rc = "", f"The lab cannot read this payload: {error}", 1
        except Exception as error:
            LOG.exception("A command broke down on %s", self.server.name)
            stdout, stderr, rc = "", f"The lab broke down: {type(error).__name__}: {error}", 1
        command.stdout, command.stderr, command.rc = stdout.encode(), stderr.encode(), rc
        command.stdin.clear()
        try:
            await self._follow_listeners()
        except OSError as error:
            command.stderr, command.rc = f"The lab cannot listen for WinRM on {self.host}: {error}".encode(), 1
        command.done.set()

    def _operate(self, command: _Command, owner: Principal) -> tuple[str, str, int]:
        operation = payload.decode(command.line, bytes(command.stdin))
        server = self.server
        if isinstance(operation, payload.ModuleRun):
            return self._module(operation, owner)
        with server.lock:
            try:
                result = self._plain(operation, owner)
            except ModuleFailure as failure:
                result = ("", failure.msg, 1)
            except NotSimulated as gap:
                server.journal(kind="raw", command=_short(operation), changed=False, failed=True)
                result = ("", str(gap), 1)
            server.save()
        return result

    def _plain(self, operation: payload.Operation, owner: Principal) -> tuple[str, str, int]:
        server = self.server
        files = FileSystem(server)
        files.ensure_profile(owner.name)
        match operation:
            case payload.MakeTemp():
                folder = dispatch.expand(server, operation.folder, owner.name)
                path = f"{folder.rstrip(chr(92))}\\{operation.name}"
                files.make_dir(path, owner.sid)
                server.journal(kind="mkdtemp", path=path, changed=True, failed=False)
                return path + "\r\n", "", 0
            case payload.ExpandUser():
                profile = rf"C:\Users\{owner.name}"
                path = operation.path
                path = profile if path == "~" else profile + path[1:] if path.startswith("~\\") else path
                return path + "\r\n", "", 0
            case payload.PutFile():
                files.write(dispatch.expand(server, operation.path, owner.name), operation.content, owner.sid)
                server.journal(
                    kind="copy", path=operation.path, bytes=len(operation.content), changed=True, failed=False
                )
                sha1 = hashlib.sha1(operation.content, usedforsecurity=False).hexdigest()
                return json.dumps({"sha1": sha1}) + "\r\n", "", 0
            case payload.FetchFile():
                return self._fetch(operation, files)
            case payload.RunScript():
                raise NotSimulated(f"The lab does not simulate running the script {operation.name} on Windows.")
            case payload.RawCommand():
                outcome = commands.run(server, owner.account, operation.text)
                server.journal(kind="raw", command=_short(operation), changed=outcome.changes, failed=outcome.rc != 0)
                return outcome.stdout, outcome.stderr, outcome.rc
            case _:
                raise NotSimulated(f"The lab does not simulate {type(operation).__name__}.")

    def _fetch(self, operation: payload.FetchFile, files: FileSystem) -> tuple[str, str, int]:
        if operation.offset == 0:
            self.server.journal(kind="fetch", path=operation.path, changed=False, failed=False)
        if files.is_dir(operation.path):
            return "[DIR]\r\n", "", 0
        if not files.is_file(operation.path):
            return "", f"{operation.path} does not exist", 1
        piece = files.read(operation.path)[operation.offset : operation.offset + operation.size]
        return (base64.b64encode(piece).decode("ascii") + "\r\n") if piece else "", "", 0

    def _account(self, operation: payload.ModuleRun, owner: Principal) -> Principal:
        """Who runs a module.

        Raises:
            ModuleFailure: Becoming the other account failed.
        """
        become = operation.become
        if become is None or become.network_only:
            return owner  # on this server: the other account is for the network alone, and nobody judges it here
        wanted = become.user
        sid = _SERVICE_ACCOUNTS.get(wanted.rpartition("\\")[2].casefold(), wanted if is_sid(wanted) else None)
        if sid is not None:
            known = self.server.resolve(sid)
            if known is not None and known.domain == "AUTORITE NT":
                return known
        refused = (
            f"internal error: failed to become user '{wanted}': Exception calling \"CreateProcessAsUser\" with "
            '"9" argument(s): "LogonUser failed (Le nom d’utilisateur ou le mot de passe est incorrect, '
            'Win32ErrorCode 1326 - 0x0000052E)"'
        )
        principal = self.server.resolve(wanted)
        if principal is None:
            raise ModuleFailure(refused)
        if principal.sid == owner.sid and become.password is None:
            return principal
        if become.password is None:
            if principal.kind == "user" and become.flags.find("new_credentials") < 0:
                return principal  # an administrator may take any account's token without its password (S4U)
            raise ModuleFailure(refused)
        try:
            return self.server.logon(wanted, become.password)
        except LogonFailure:
            raise ModuleFailure(refused) from None

    def _module(self, operation: payload.ModuleRun, owner: Principal) -> tuple[str, str, int]:
        try:
            with self.server.lock:
                account = self._account(operation, owner)
                FileSystem(self.server).ensure_profile(account.name)
        except ModuleFailure as failure:
            return json.dumps({"failed": True, "changed": False, "msg": failure.msg}), "", 1

        become = operation.become
        network = (become.user, become.password or "") if become and become.network_only else None

        def work() -> dict[str, Any]:
            return dispatch.run_module(
                self.server,
                operation.name,
                operation.args,
                check=operation.check,
                diff=operation.diff,
                user=account.account,
                environment=operation.environment,
                network=network,
            )

        if operation.job is not None:
            return json.dumps(self._start_job(operation.job, account, work)), "", 0
        result = work()
        return json.dumps(result), "", 1 if result.get("failed") else 0

    def _start_job(
        self, job: payload.AsyncJob, account: Principal, work: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        folder = dispatch.expand(self.server, job.folder, account.name)
        job_id = f"{job.job_id}.{4000 + len(self.server.jobs)}"
        state: dict[str, Any] = {
            "started": True,
            "finished": False,
            "results_file": f"{folder}\\{job_id}",
            "ansible_job_id": job_id,
            "_ansible_suppress_tmpdir_delete": True,
        }
        self.server.jobs[job_id] = state

        def finish() -> None:
            result = work()
            self.server.jobs[job_id] = {**state, **result, "finished": True}

        if self._workers is not None:
            self._workers.submit(finish)
        return state


def _short(operation: payload.Operation) -> str:
    text = operation.text if isinstance(operation, payload.RawCommand) else type(operation).__name__
    return text if len(text) <= 300 else text[:300] + " ..."
