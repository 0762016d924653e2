# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs and hotfixes: win_package, win_product_facts, win_hotfix."""

from __future__ import annotations

import ntpath
import re
from typing import TYPE_CHECKING, Any

from lab.windows import network, publications
from lab.windows.filesystem import FileSystem
from lab.windows.handlers import services
from lab.windows.handlers.files import digest
from lab.windows.handlers.web import download
from lab.windows.hive import CURRENT_VERSION, Registry
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, section
from lab.windows.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.windows.server import ServerSpec, WindowsServer

UNINSTALL = (
    r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
)


_VERSION = re.compile(rb"^FileVersion (\d+(?:\.\d+){0,3})$", re.MULTILINE)


def program(name: str, version: str = "") -> bytes:
    """Content of a program's file as the lab writes it: it carries a version as programs of Windows do."""
    return f"MZ {name}\nFileVersion {version}\n".encode() if version else b"MZ " + name.encode()


def file_version(server: WindowsServer, path: str) -> str:
    """Version that a file carries, in four parts; 0.0.0.0 when it has none, as .NET's FileVersionInfo says."""
    found = _VERSION.search(FileSystem(server).read(path))
    parts = found.group(1).decode().split(".") if found else []
    return ".".join((parts + ["0"] * 4)[:4])


ON_INSTALL: dict[str, Callable[[WindowsServer, dict[str, Any]], None]] = {}
"""What an installer does besides, by the kind of its product. Handlers of other families add theirs."""


def find_product(server: WindowsServer, product_id: str) -> str | None:
    """Registry key of an installed product by its code or name of the uninstall key."""
    registry = Registry(server)
    return next((rf"{root}\{product_id}" for root in UNINSTALL if registry.exists(rf"{root}\{product_id}")), None)


def install(server: WindowsServer, product: dict[str, Any]) -> None:
    """Leave behind what the installation of a catalogued product does."""
    registry = Registry(server)
    for code in product.get("replaces", ()):
        for root in UNINSTALL:
            registry.delete(rf"{root}\{code}")
    key = rf"{UNINSTALL[1 if product.get('bits') == 32 else 0]}\{product['code']}"
    values = {
        "DisplayName": product["name"],
        "DisplayVersion": str(product["version"]),
        "Publisher": product["publisher"],
        "InstallLocation": product["folder"],
        "UninstallString": f"MsiExec.exe /X{product['code']}",
        "InstallDate": server.now().strftime("%Y%m%d"),
    }
    for name, value in values.items():
        registry.set(key, name, "string", value)
    registry.set(key, "WindowsInstaller", "dword", 1)
    files = FileSystem(server)
    files.make_dir(product["folder"], "S-1-5-18")
    for entry in product.get("files", ()):
        path = _own_file(product, entry)
        files.make_dir(ntpath.dirname(path), "S-1-5-18")
        version = entry.get("version", "") if isinstance(entry, dict) else ""
        files.write(path, program(ntpath.basename(path), version), "S-1-5-18")
    if product.get("reboot"):
        server.reboot_pending(f"installation of {product['name']}")
    for service in product.get("services", ()):
        services.add(
            server,
            service["name"],
            display_name=service["display"],
            path=service["path"],
            state="running",
            start_mode=service.get("start", "auto"),
        )


def _own_file(product: dict[str, Any], entry: str | dict[str, str]) -> str:
    """Path of a file that a product brings: below its folder, or where the entry says."""
    return ntpath.join(product["folder"], entry["name"] if isinstance(entry, dict) else entry)


def uninstall(server: WindowsServer, product: dict[str, Any]) -> None:
    """Take off a catalogued product; what others wrote into its folder stays."""
    for root in UNINSTALL:
        Registry(server).delete(rf"{root}\{product['code']}")
    files = FileSystem(server)
    for entry in product.get("files", ()):
        files.remove(_own_file(product, entry))
    for service in product.get("services", ()):
        services.remove(server, service["name"])


def _file(call: Call) -> bytes | None:
    """Content of the installer; None when it is not there in check mode."""
    path = call.args["path"]
    if path is None:
        return None
    if path.lower().startswith("http"):
        try:
            answer = download(call, path)
        except network.Unreachable as error:
            raise ModuleFailure(f"Failed to download the file from '{path}': {error}") from None
        if answer.status >= 400:
            raise ModuleFailure(f"Failed to download the file from '{path}': ({answer.status}) {answer.reason}")
        return answer.body
    files = FileSystem(call.server)
    if not files.is_file(path):
        if call.check:
            return None
        raise ModuleFailure(f"the file at the path '{path}' cannot be reached")
    return files.read(path)


def _installed(call: Call, product_id: str | None) -> bool:
    """Whether the package counts as installed: by what it creates, then by its product id."""
    args, server = call.args, call.server
    if args["creates_path"] is not None:
        files = FileSystem(server)
        there = files.resolve(args["creates_path"]) is not None
        if there and args["creates_version"] is not None:
            if not files.is_file(args["creates_path"]):
                raise ModuleFailure("creates_path must be a file not a directory when creates_version is set")
            there = file_version(server, args["creates_path"]) == args["creates_version"]
        if args["creates_service"] is None:
            return there
    if args["creates_service"] is not None:
        return services.find(server, args["creates_service"]) is not None
    return product_id is not None and find_product(server, product_id) is not None


@handles("ansible.windows.win_package", source="ansible.windows 3.3.0 win_package documentation and source")
def win_package(call: Call) -> Result:
    """Install or remove a program of the catalogue (``lab/windows/data/publications.yml``)."""
    args, server = call.args, call.server
    present = args["state"] == "present"
    product_id = args["product_id"]
    result: Result = {"changed": False, "rc": 0, "reboot_required": False}
    if args["creates_version"] is not None and args["creates_path"] is None:
        raise ModuleFailure("creates_path must be set when creates_version is set")
    if product_id is not None and present and _installed(call, product_id):
        path = args["path"]
        if path.lower().startswith("http") or call.check or FileSystem(server).is_file(path):
            return result
    content = _file(call)
    published = publications.by_content(content) if content is not None else None
    product = published.product if published else None
    if product_id is None and product is not None:
        product_id = product["code"]
    creates = args["creates_path"] is not None or args["creates_service"] is not None
    if product_id is None and not creates and content is not None:
        raise NotSimulated(f"The lab does not know the installer {args['path']}: it can install what it stands in for.")
    if _installed(call, product_id) is present:
        return result
    if call.check:
        return {**result, "changed": True}
    if product is None and not present:
        product = next(
            (entry.product for entry in publications.publications() if entry.product["code"] == product_id), None
        )
    if product is None:
        raise NotSimulated(
            f"The lab does not know the installer {args['path'] or product_id}: it can install what it stands in for."
        )
    if present and content is not None:
        result["checksum"] = digest(content, args["checksum_algorithm"]).upper()
        if args["checksum"] and args["checksum"].upper() != result["checksum"]:
            raise ModuleFailure(
                f"The checksum for {args['path']} did not match '{args['checksum']}', it was '{result['checksum']}'",
                **result,
            )
    if present:
        if product.get("kind") in ON_INSTALL:
            ON_INSTALL[product["kind"]](server, product)
        install(server, product)
        reboot = bool(product.get("reboot"))
        result.update(rc=3010 if reboot else 0, reboot_required=reboot, failed=False)
        if args["product_id"] is not None and args["product_id"].casefold() != product["code"].casefold():
            call.warnings.append(f"The installer's own product code is {product['code']}, not {args['product_id']}")
    else:
        uninstall(server, product)
    return {**result, "changed": True}


@handles("ansible.windows.win_product_facts", source="ansible.windows 3.3.0 win_product_facts documentation")
def win_product_facts(call: Call) -> Result:
    """Describe the licence: an evaluation-free volume licence not yet activated."""
    edition = system(call.server.section("system")["system"]).product_name
    return {
        "changed": False,
        "ansible_facts": {
            "ansible_os_license_channel": "Volume:GVLK",
            "ansible_os_license_edition": f"Windows(R) Operating System, VOLUME_KMSCLIENT channel ({edition})",
            "ansible_os_license_status": "Initial grace period",
            "ansible_os_product_id": str(
                Registry(call.server).data(CURRENT_VERSION, "ProductId", "00454-60000-00001-AA000")
            ),
            "ansible_os_product_key": "",
        },
    }


@section("hotfixes")
def _hotfixes(_spec: ServerSpec) -> dict[str, Any]:
    return {}


@handles("ansible.windows.win_hotfix", source="ansible.windows 3.3.0 win_hotfix documentation and source")
def win_hotfix(call: Call) -> Result:
    """Install a hotfix from a .msu file named after its KB, or remove one."""
    args = call.args
    state = call.server.section("hotfixes")
    updates = call.server.section("updates")["installed"]
    result: Result = {"changed": False, "reboot_required": False}
    if args["state"] == "present":
        if args["source"] is None:
            raise ModuleFailure("source must be set when state=present")
        if not FileSystem(call.server).is_file(args["source"]):
            raise ModuleFailure(f"the path set for source '{args['source']}' does not exist or is not accessible")
        match = re.search(r"KB\d+", ntpath.basename(args["source"]), re.IGNORECASE)
        if match is None:
            raise NotSimulated("The lab takes a hotfix's number from the name of its file, and this one has none.")
        kb = match.group().upper()
        if args["hotfix_kb"] and args["hotfix_kb"].upper() != kb:
            raise ModuleFailure(
                f"the hotfix KB {args['hotfix_kb']} does not match with the source KB {kb}, please omit or specify the "
                "correct KB to continue"
            )
        identifier = f"Package_for_{kb}~31bf3856ad364e35~amd64~~10.0.1.1"
        result.update(identifiers=[identifier], kbs=[kb], identifier=identifier, kb=kb)
        if kb not in state and kb not in updates:
            state[kb] = identifier
            call.server.reboot_pending(f"hotfix {kb}")
            result.update(changed=True, reboot_required=True)
        return result
    if args["hotfix_kb"] is None and args["hotfix_identifier"] is None:
        raise ModuleFailure("either hotfix_identifier or hotfix_kb needs to be set when state=absent")
    wanted = next(
        (
            kb
            for kb, name in state.items()
            if kb == (args["hotfix_kb"] or "").upper() or name == args["hotfix_identifier"]
        ),
        None,
    )
    if wanted is None:
        return result
    identifier = state.pop(wanted)
    call.server.reboot_pending(f"hotfix {wanted}")
    return {**result, "changed": True, "reboot_required": True, "identifier": identifier, "kb": wanted}
