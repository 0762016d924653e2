# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server fetches and waits for: win_get_url, win_uri, win_wait_for."""

from __future__ import annotations

import base64
import json
import ntpath
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.windows import far_ends, network
from lab.windows.filesystem import FileSystem, normalise
from lab.windows.handlers.files import digest
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

if TYPE_CHECKING:
    from collections.abc import Callable


def download(call: Call, url: str, *, method: str = "GET", body: bytes | None = None, **extra: str) -> network.Answer:
    """Fetch with the options that all web modules share.

    Raises:
        Unreachable: As ``network.fetch`` says.
        NotSimulated: An option that the lab cannot honour.
    """
    args = call.args
    parts = urlsplit(url)
    end = far_ends.find(call.server, parts.hostname or "", parts.port or 443) if parts.scheme == "https" else None
    unknown = ("proxy_url", "use_default_credential")
    for option in unknown if end else ("client_cert", *unknown):
        if args.get(option):
            raise NotSimulated(f"The lab does not simulate the {option} option of {call.module}.")
    headers = {
        "User-Agent": args["http_agent"],
        **{str(key): str(value) for key, value in (args["headers"] or {}).items()},
    }
    headers.update(extra)
    if end is not None:
        return far_ends.answer(call.server, end, url, args.get("client_cert"))
    if args["url_username"] is not None:
        pair = f"{args['url_username']}:{args['url_password'] or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
    return network.fetch(
        call.server,
        url,
        method=method,
        headers=headers,
        body=body,
        timeout=float(args["url_timeout"] or 30),
        verify=args["validate_certs"],
        redirects=0 if args["follow_redirects"] == "none" else args["maximum_redirection"],
    )


@handles("ansible.windows.win_get_url", source="ansible.windows 3.3.0 win_get_url documentation and source", waits=True)
def win_get_url(call: Call) -> Result:
    """Download a file; compares checksums before it replaces one."""
    args = call.args
    files = FileSystem(call.server)
    url, dest, algorithm = args["url"], args["dest"], args["checksum_algorithm"]
    parts = urlsplit(url)
    if files.is_dir(dest):
        dest = normalise(f"{dest}\\{ntpath.basename(parts.path) or parts.hostname}")
    elif dest.endswith(("\\", "/")):
        raise ModuleFailure(
            f"The destination path '{dest}' does not exist, or is not visible to the current user. Ensure download "
            "destination folder exists (perhaps using win_file state=directory) before win_get_url runs."
        )
    result: Result = {"changed": False, "dest": dest, "url": url}
    wanted = args["checksum"].strip().lower() if args["checksum"] else None
    if args["checksum_url"]:
        raise NotSimulated("The lab does not simulate the checksum_url option of win_get_url.")
    current = digest(files.read(dest), algorithm) if files.is_file(dest) else None
    force = args["force"] or (current is not None and wanted is not None and current != wanted)
    if current is None or (force and not (wanted and wanted == current and not args["force"])):
        _download(call, files, result, wanted, current)
    if files.is_file(dest):
        content = files.read(dest)
        result["checksum_dest"] = digest(content, algorithm)
        result["size"] = len(content)
    return result


def _download(call: Call, files: FileSystem, result: Result, wanted: str | None, current: str | None) -> None:
    url, dest = result["url"], result["dest"]
    parent = ntpath.dirname(normalise(dest))
    if not files.is_dir(parent):
        raise ModuleFailure(
            f"The path '{parent}' does not exist for destination '{dest}', or is not visible to the current user. "
            "Ensure download destination folder exists (perhaps using win_file state=directory) before win_get_url "
            "runs.",
            **result,
        )
    started = time.monotonic()
    try:
        answer = download(call, url)
    except network.Unreachable as error:
        raise ModuleFailure(f"Error downloading '{url}' to '{dest}': {error}", **result) from None
    result["elapsed"] = time.monotonic() - started
    result["status_code"] = answer.status
    if answer.status >= 400:
        raise ModuleFailure(
            f"Error downloading '{url}' to '{dest}': Le serveur distant a retourné une erreur : ({answer.status}) "
            f"{answer.reason}.",
            **result,
        )
    result["msg"] = answer.reason
    checksum = digest(answer.body, call.args["checksum_algorithm"])
    result["checksum_src"] = checksum
    if wanted and wanted != checksum:
        raise ModuleFailure(f"The checksum for {url} did not match '{wanted}', it was '{checksum}'", **result)
    if current != checksum:
        with call.server.lock:
            files.write(dest, answer.body)
        result["changed"] = True


@handles("ansible.windows.win_uri", source="ansible.windows 3.3.0 win_uri documentation and source", waits=True)
def win_uri(call: Call) -> Result:
    """Make an HTTP request and judge its status."""
    args = call.args
    files = FileSystem(call.server)
    if args["creates"] and files.get(args["creates"]) is not None:
        return {"changed": False, "skipped": True, "msg": f"skipped, since creates ({args['creates']}) exists"}
    if args["removes"] and files.get(args["removes"]) is None:
        return {"changed": False, "skipped": True, "msg": f"skipped, since removes ({args['removes']}) does not exist"}
    method = args["url_method"].upper()
    body = args["body"]
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    extra = {"Content-Type": args["content_type"]} if args["content_type"] else {}
    result: Result = {"changed": method not in {"GET", "HEAD"}, "url": args["url"]}
    if call.check and result["changed"]:
        return {**result, "msg": "The request is not sent in check mode"}
    started = time.monotonic()
    try:
        answer = download(call, args["url"], method=method, body=data, **extra)
    except network.Unreachable as error:
        raise ModuleFailure(
            f"Unhandled exception occurred when sending web request. Exception: {error}", **result
        ) from None
    result.update(
        elapsed=time.monotonic() - started,
        status_code=answer.status,
        status_description=answer.reason,
        content_length=len(answer.body),
        url=answer.url or args["url"],
    )
    if args["return_content"]:
        result["content"] = answer.body.decode("utf-8", "replace")
    if "json" in answer.headers.get("content-type", "") and args["return_content"]:
        try:
            result["json"] = json.loads(answer.body)
        except ValueError:
            call.warnings.append("The content of the response could not be read as JSON")
    if answer.status not in args["status_code"]:
        raise ModuleFailure(
            f"Status code of request '{answer.status}' is not in list of valid status codes "
            f"{', '.join(map(str, args['status_code']))} : {answer.reason}'.",
            **result,
        )
    if args["dest"] and (not files.is_file(args["dest"]) or files.read(args["dest"]) != answer.body):
        with call.server.lock:
            files.write(args["dest"], answer.body)
        result["changed"] = True
    return result


@handles(
    "ansible.windows.win_wait_for", source="ansible.windows 3.3.0 win_wait_for documentation and source", waits=True
)
def win_wait_for(call: Call) -> Result:
    """Wait for a port or a path, in real seconds."""
    args = call.args
    port, path, state = args["port"], args["path"], args["state"]
    if port is not None and path is not None:
        raise ModuleFailure("port and path parameter can not both be passed to win_wait_for")
    if args["exclude_hosts"] and state != "drained":
        raise ModuleFailure("exclude_hosts should only be with state=drained")
    if path is not None and state in {"stopped", "drained"}:
        raise ModuleFailure(f"state={state} should only be used for checking a port in the win_wait_for module")
    if state == "drained":
        raise NotSimulated("The lab does not simulate state=drained of win_wait_for.")
    started = time.monotonic()
    if args["delay"]:
        time.sleep(args["delay"])
    attempts = 0
    if port is None and path is None:
        time.sleep(args["timeout"])
        return {"changed": False, "elapsed": time.monotonic() - started, "wait_attempts": 0}
    test, failure = _condition(call)
    while True:
        attempts += 1
        done = test()
        elapsed = time.monotonic() - started
        if done:
            return {"changed": False, "elapsed": elapsed, "wait_attempts": attempts}
        if elapsed + args["sleep"] > args["timeout"]:
            raise ModuleFailure(failure, elapsed=elapsed, wait_attempts=attempts)
        time.sleep(args["sleep"])


def _condition(call: Call) -> tuple[Callable[[], bool], str]:
    args: dict[str, Any] = call.args
    wanted = args["state"] in {"started", "present"}
    if args["port"] is not None:
        host, port = args["host"], args["port"]
        word = "start" if wanted else "stop"
        return (
            lambda: network.reaches(call.server, host, port, args["connect_timeout"]) is wanted,
            f"timeout while waiting for {host}:{port} to {word} listening",
        )
    path, regex = args["path"], args["regex"]

    def there() -> bool:
        with call.server.lock:
            files = FileSystem(call.server)
            if regex is None:
                return files.resolve(path) is not None
            return files.is_file(path) and re.search(regex, files.read(path).decode("utf-8", "replace")) is not None

    if regex is None:
        return (
            lambda: there() is wanted,
            f"timeout while waiting for file {path} to be {'present' if wanted else 'absent'}",
        )
    return (
        lambda: there() is wanted,
        f"timeout while waiting for string regex {regex} in file {path} to {'match' if wanted else 'not match'}",
    )
