# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk images: win_disk_image mounts the ones that stand in for installation media under the next free letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows import publications
from lab.windows.filesystem import FileSystem, key
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, on_boot, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_LETTERS = "GHIJKLMNOPQRSTUVWXYZ"


@section("disk_images")
def _disk_images(_spec: ServerSpec) -> dict[str, Any]:
    return {"mounted": {}}  # key of the image's path -> drive letter


def _unmount(server: WindowsServer, letter: str) -> None:
    files = FileSystem(server)
    for entry in [*files.walk(f"{letter}:\\")]:
        files.entries.pop(key(entry["path"]), None)
    files.entries.pop(key(f"{letter}:\\"), None)


@on_boot(order=10)
def forget_images(server: WindowsServer) -> None:
    """Mounts of images do not outlive a boot."""
    mounted = server.section("disk_images")["mounted"]
    for letter in mounted.values():
        _unmount(server, letter)
    mounted.clear()


@handles("community.windows.win_disk_image", source="community.windows 3.1.0 win_disk_image documentation and source")
def win_disk_image(call: Call) -> Result:
    """Mount an image, or take it off."""
    server, path = call.server, call.args["image_path"]
    files = FileSystem(server)
    mounted = server.section("disk_images")["mounted"]
    if not files.is_file(path):
        raise ModuleFailure(f"image_path must be a valid path to a file: '{path}'")
    held = mounted.get(key(path))
    if call.args["state"] == "absent":
        if held is not None:
            _unmount(server, mounted.pop(key(path)))
        return {"changed": held is not None}
    if held is not None:
        return {"changed": False, "mount_paths": [f"{held}:\\"]}
    content = files.read(path)
    published = publications.by_content(content)
    if published is None or not str(published.product.get("kind", "")).endswith("_media"):
        raise NotSimulated(f"The lab does not know what the image {path} holds: it knows media that it stands in for.")
    letter = next(letter for letter in _LETTERS if files.get(f"{letter}:\\") is None)
    if call.check:
        return {"changed": True}
    # A drive's root has no parent that make_dir could begin at.
    files.entries[key(f"{letter}:\\")] = {**files.entries[key("C:\\")], "path": f"{letter}:\\"}
    files.write(f"{letter}:\\setup.exe", content, "S-1-5-18")
    mounted[key(path)] = letter
    return {"changed": True, "mount_paths": [f"{letter}:\\"]}
