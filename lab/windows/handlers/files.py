# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and folders: win_stat, slurp, win_file, win_copy, win_find, win_tempfile, win_lineinfile, win_unzip."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import io
import ntpath
import re
import zipfile
from typing import Any

from lab.windows import publications
from lab.windows.filesystem import FileSystem, key, normalise
from lab.windows.handlers import shares
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles


def digest(content: bytes, algorithm: str) -> str:
    """Checksum of some bytes by one of the algorithms that modules name; a stand-in has its publisher's SHA-256."""
    published = publications.by_content(content) if algorithm == "sha256" else None
    if published is not None and published.sha256:
        return published.sha256
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()


def stat(
    call: Call, files: FileSystem, entry: dict[str, Any], *, checksum: str | None, size: bool, full: bool = False
) -> dict[str, Any]:
    """Describe an entry as win_stat and win_find do; ``full`` gives every key, with null where it does not apply."""
    attributes = list(entry["attributes"])
    folder = entry["type"] == "directory"
    link = entry["type"] == "link"
    result: dict[str, Any] = {
        "exists": True,
        "attributes": ", ".join(attributes) or "Normal",
        "isarchive": "Archive" in attributes,
        "isdir": folder,
        "ishidden": "Hidden" in attributes,
        "isjunction": False,
        "islnk": link,
        "isreadonly": "ReadOnly" in attributes,
        "isreg": entry["type"] == "file",
        "isshared": False,
        "nlink": 1,
        "hlnk_targets": [],
        "creationtime": float(entry["created"]),
        "lastaccesstime": float(entry["modified"]),
        "lastwritetime": float(entry["modified"]),
        "path": entry["path"],
        "filename": ntpath.basename(entry["path"]) or entry["path"],
        "owner": call.server.account_name(entry["owner"]),
    }
    if full:
        result.update(checksum=None, extension=None, sharename=None, size=None, lnk_source=None, lnk_target=None)
    if link:
        result["lnk_target"] = result["lnk_source"] = entry["target"]
    if folder:
        shared = [
            share["name"]
            for share in call.server.section("shares").values()
            if key(share["path"]) == key(entry["path"])
        ]
        if shared:
            result["isshared"], result["sharename"] = True, shared[0]
        if size and not full:
            result["size"] = sum(int(inner.get("size", 0)) for inner in files.walk(entry["path"]))
    elif entry["type"] == "file":
        result["extension"] = ntpath.splitext(entry["path"])[1]
        if checksum:
            result["checksum"] = digest(call.server.content(entry["content"]), checksum)
        if size:
            result["size"] = int(entry["size"])
    return result


@handles("ansible.windows.win_stat", source="ansible.windows 3.3.0 win_stat documentation and source")
def win_stat(call: Call) -> Result:
    """Describe a file or folder."""
    args = call.args
    files = FileSystem(call.server)
    entry = files.resolve(args["path"]) if args["follow"] else files.get(args["path"])
    if entry is None:
        return {"changed": False, "stat": {"exists": False}}
    checksum = args["checksum_algorithm"] if args["get_checksum"] else None
    return {"changed": False, "stat": stat(call, files, entry, checksum=checksum, size=args["get_size"])}


@handles("ansible.windows.slurp", source="ansible.windows 3.3.0 slurp documentation and source")
def slurp(call: Call) -> Result:
    """Give a file's content in base64."""
    path = call.args["src"]
    files = FileSystem(call.server)
    if files.is_dir(path):
        raise ModuleFailure(f"Path {path} is a directory")
    if not files.is_file(path):
        raise ModuleFailure(f"Path {path} is not found")
    content = base64.b64encode(files.read(path)).decode("ascii")
    return {"changed": False, "content": content, "encoding": "base64"}


@handles(
    "ansible.windows.win_file",
    source="ansible.windows 3.3.0 win_file documentation and source",
    internal={"_original_basename": {"type": "str"}},
)
def win_file(call: Call) -> Result:
    """Make, touch or remove a file or folder."""
    path, state = call.args["path"], call.args["state"]
    files = FileSystem(call.server)
    if files.is_dir(path) and call.args["_original_basename"]:
        path = f"{path}\\{call.args['_original_basename']}"
    owner = _owner(call)
    changed = False
    if state == "touch":
        entry = files.resolve(path)
        if entry is None:
            files.write(path, b"", owner)
        else:
            entry["modified"] = files.now()
        return {"changed": True}
    entry = files.get(path)
    if entry is not None:
        target = files.resolve(path)
        folder = target is not None and target["type"] == "directory"
        if state == "absent":
            changed = files.remove(path)
        elif state == "directory" and not folder:
            raise ModuleFailure(f"path {path} is not a directory")
        elif state == "file" and folder:
            raise ModuleFailure(f"path {path} is not a file")
        return {"changed": changed}
    if state is None:
        state = "directory" if path.rstrip().endswith(("\\", "/")) else "file"
    if state == "file":
        raise ModuleFailure(f"path {path} will not be created")
    if state == "directory":
        changed = files.make_dir(path, owner)
    return {"changed": changed}


def _owner(call: Call) -> str:
    principal = call.server.resolve(call.user)
    return principal.sid if principal else "S-1-5-32-544"


def backup(call: Call, files: FileSystem, path: str) -> str | None:
    """Copy a file beside itself under the name that Ansible's backups have; None when there is none."""
    if not files.is_file(path):
        return None
    name = f"{normalise(path)}.4242.{call.server.now():%Y%m%d-%H%M%S}.bak"
    files.write(name, files.read(path), _owner(call))
    return name


_COPY_INTERNAL: dict[str, dict[str, Any]] = {
    "_copy_mode": {"type": "str", "choices": ["explode", "query", "remote", "single"], "default": "single"},
    "_original_basename": {"type": "str"},
    "files": {"type": "list", "elements": "dict"},
    "directories": {"type": "list", "elements": "dict"},
    "symlinks": {"type": "list", "elements": "dict"},
    "follow": {"type": "bool"},
    "unsafe_writes": {"type": "bool"},
    "mode": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}


@handles(
    "ansible.windows.win_copy",
    source="ansible.windows 3.3.0 win_copy documentation, source and action plugin",
    internal=_COPY_INTERNAL,
)
def win_copy(call: Call) -> Result:
    """Copy on the server, or take part in a copy from the controller: query, then single or explode."""
    files = FileSystem(call.server)
    match call.args["_copy_mode"]:
        case "query":
            return _copy_query(call, files)
        case "explode":
            return _copy_explode(call, files)
        case "remote":
            return _copy_remote(call, files)
        case _:
            return _copy_single(call, files)


def _copy_query(call: Call, files: FileSystem) -> Result:
    args, changed_files, changed_directories = call.args, [], []
    for item in args["files"] or []:
        path = f"{args['dest']}\\{item['dest']}"
        if files.is_dir(path):
            path = f"{path}\\{ntpath.basename(normalise(item['src']))}"
        if files.is_dir(path):
            raise ModuleFailure(f"cannot copy file to dest '{path}': object at path is already a directory")
        if not files.is_file(path) or (args["force"] and digest(files.read(path), "sha1") != item["checksum"]):
            changed_files.append(item)
    for item in args["directories"] or []:
        path = f"{args['dest']}\\{item['dest']}"
        if files.is_file(ntpath.dirname(normalise(path))):
            raise ModuleFailure(
                f"cannot copy folder to dest '{path}': object at parent directory path is already a file"
            )
        if files.is_file(path):
            raise ModuleFailure(f"cannot copy folder to dest '{path}': object at path is already a file")
        if not files.is_dir(path):
            changed_directories.append(item)
    return {"changed": False, "files": changed_files, "directories": changed_directories, "symlinks": []}


def _unzip(content: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise ModuleFailure(f"Central Directory corrupt: {error}") from None


def _copy_explode(call: Call, files: FileSystem) -> Result:
    source, dest = call.args["src"], call.args["dest"]
    if not files.is_file(source):
        raise ModuleFailure(f"Cannot expand src zip file: '{source}' as it does not exist")
    with _unzip(files.read(source)) as archive:
        for info in archive.infolist():
            name = info.filename.rstrip("/\\")
            path = f"{dest}\\{base64.b64decode(name).decode('utf-8')}"
            if info.is_dir() or len(info.filename) % 4:
                files.make_dir(path, _owner(call))
            else:
                files.make_dir(ntpath.dirname(normalise(path)), _owner(call))
                files.write(path, archive.read(info), _owner(call))
    return {"changed": True}


def _target(call: Call, files: FileSystem, name: str) -> str:
    dest: str = call.args["dest"]
    into = dest.endswith(("/", "\\")) or files.is_dir(dest)
    path = normalise(f"{dest}\\{name}" if into else dest)
    parent = ntpath.dirname(path)
    if files.is_file(parent):
        raise ModuleFailure(f"object at destination parent dir '{parent}' is currently a file")
    if not files.is_dir(parent):
        if not into:
            raise ModuleFailure(f"Destination directory '{parent}' does not exist")
        files.make_dir(parent, _owner(call))
    return path


def _copy_single(call: Call, files: FileSystem) -> Result:
    source = call.args["src"]
    if not source or not files.is_file(source):
        raise ModuleFailure(f"Cannot copy src file: '{source}' as it does not exist")
    path = _target(call, files, call.args["_original_basename"] or ntpath.basename(normalise(source)))
    result: Result = {"changed": True}
    if call.args["backup"]:
        result["backup_file"] = backup(call, files, path)
    files.write(path, files.read(source), _owner(call))
    return result


def _copy_shared(call: Call, files: FileSystem, result: Result) -> Result:
    """Copy one file of another server's share; where it does not let in, Windows says that nothing is there."""
    source: str = call.args["src"]
    found = shares.open_file(call, source)
    if found is None:
        raise ModuleFailure(f"Cannot copy src file: '{source}' as it does not exist")
    name = ntpath.basename(source)
    path = _target(call, files, name)
    result.update(operation="file_copy", original_basename=name, dest=path, checksum=digest(found, "sha1"))
    if files.is_file(path) and (not call.args["force"] or files.read(path) == found):
        return result
    if call.args["backup"] and (saved := backup(call, files, path)):
        result["backup_file"] = saved
    files.write(path, found, _owner(call))
    return {**result, "changed": True}


def _copy_remote(call: Call, files: FileSystem) -> Result:
    args = call.args
    source: str = args["src"]
    result: Result = {"changed": False, "src": source, "dest": args["dest"]}
    if source.startswith("\\\\"):
        return _copy_shared(call, files, result)
    entry = files.resolve(source)
    if entry is None:
        raise ModuleFailure(f"Cannot copy src file: '{source}' as it does not exist")
    pairs: list[tuple[dict[str, Any], str]] = []
    if entry["type"] == "directory":
        result["operation"] = "folder_copy"
        root = normalise(source)
        dest = args["dest"]
        if not source.endswith(("/", "\\")):
            dest = f"{dest}\\{ntpath.basename(root)}"
            result["dest"] = dest
        if files.is_file(dest):
            raise ModuleFailure(f"cannot copy folder from '{source}' to '{dest}': dest is already a file")
        result["changed"] = files.make_dir(dest, _owner(call))
        pairs = [(inner, f"{dest}{inner['path'][len(root.rstrip(chr(92))) :]}") for inner in files.walk(root)]
    else:
        name = ntpath.basename(normalise(source))
        path = _target(call, files, name)
        result.update(operation="file_copy", original_basename=name, dest=path)
        result["checksum"] = digest(files.read(source), "sha1")
        pairs = [(entry, path)]
    for inner, path in pairs:
        if inner["type"] == "directory":
            result["changed"] |= files.make_dir(path, _owner(call))
            continue
        content = files.read(inner["path"])
        if files.is_file(path) and (not args["force"] or files.read(path) == content):
            continue
        if args["backup"] and (saved := backup(call, files, path)):
            result["backup_file"] = saved
        files.write(path, content, _owner(call))
        result["changed"] = True
    copied = files.resolve(result["dest"])
    result["size"] = (
        int(copied["size"])
        if copied and copied["type"] == "file"
        else sum(int(inner.get("size", 0)) for inner in files.walk(result["dest"]))
    )
    if call.check and result["changed"]:
        result["size"] = None
    return result


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def _limit(text: str, what: str, units: dict[str, int], default: str) -> int:
    match = re.fullmatch(rf"(-?\d+)([{''.join(units)}]?)", text.lower())
    if match is None:
        raise ModuleFailure(f"{what} parameter '{text}' is not valid")
    return int(match.group(1)) * units[match.group(2) or default]


@handles("ansible.windows.win_find", source="ansible.windows 3.3.0 win_find documentation and source")
def win_find(call: Call) -> Result:
    """Find files by name, age and size."""
    args = call.args
    files = FileSystem(call.server)
    found: list[dict[str, Any]] = []
    examined = 0
    seen: set[str] = set()
    age = _limit(args["age"], "age", _UNITS, "s") if args["age"] else None
    size = _limit(args["size"], "size", _SIZES, "b") if args["size"] else None

    def fits(entry: dict[str, Any]) -> bool:
        folder = entry["type"] == "directory"
        if args["file_type"] != "any" and (args["file_type"] == "directory") != folder:
            return False
        if not args["hidden"] and "Hidden" in entry["attributes"]:
            return False
        name = ntpath.basename(entry["path"])
        if args["patterns"] and not any(_matches(name, pattern, args) for pattern in args["patterns"]):
            return False
        if age is not None:
            old = files.now() - float(entry["created" if args["age_stamp"] == "ctime" else "modified"])
            if (age >= 0 and old < age) or (age < 0 and old > -age):
                return False
        if size is not None:
            length = int(entry.get("size", 0))
            if (size >= 0 and length < size) or (size < 0 and length > -size):
                return False
        return True

    def search(path: str, depth: int | None) -> None:
        nonlocal examined
        for entry in files.children(path):
            if entry["type"] == "directory" and args["recurse"] and depth != 1:
                search(entry["path"], depth - 1 if depth else None)
            if key(entry["path"]) in seen:
                continue
            seen.add(key(entry["path"]))
            examined += 1
            if fits(entry):
                checksum = args["checksum_algorithm"] if args["get_checksum"] else None
                found.append(stat(call, files, entry, checksum=checksum, size=True, full=True))

    for path in args["paths"]:
        if files.is_file(path):
            call.warnings.append(f"Argument path '{path}' is a file not a directory, skipping")
        elif not files.is_dir(path):
            call.warnings.append(f"Argument path '{path}' does not exist or is not accessible, skipping")
        else:
            search(path, args["depth"] or None)
    return {"changed": False, "examined": examined, "matched": len(found), "files": found}


def _matches(name: str, pattern: str, args: dict[str, Any]) -> bool:
    if args["use_regex"]:
        return re.search(pattern, name, 0 if args["case_sensitive"] else re.IGNORECASE) is not None
    return fnmatch.fnmatchcase(name.casefold(), pattern.casefold())


@handles("ansible.windows.win_tempfile", source="ansible.windows 3.3.0 win_tempfile documentation")
def win_tempfile(call: Call) -> Result:
    """Make a temporary file or folder: a new one each time."""
    args = call.args
    files = FileSystem(call.server)
    path = normalise(f"{args['path']}\\{args['prefix']}{digest(str(files.now()).encode(), 'md5')[:12]}{args['suffix']}")
    if args["state"] == "directory":
        files.make_dir(path, _owner(call))
    else:
        files.write(path, b"", _owner(call))
    return {"changed": True, "path": path}


_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@handles("community.windows.win_lineinfile", source="community.windows 3.1.0 win_lineinfile documentation and source")
def win_lineinfile(call: Call) -> Result:
    """Keep one line in a text file, or keep it out."""
    args = call.args
    path = args["path"]
    files = FileSystem(call.server)
    if args["validate"]:
        raise NotSimulated("The lab does not simulate the validate option of win_lineinfile.")
    if files.is_dir(path):
        raise ModuleFailure(f"Path {path} is a directory")
    exists = files.is_file(path)
    if not exists and (args["state"] == "absent" or not args["create"]):
        raise ModuleFailure(f"Path {path} does not exist !")
    raw = files.read(path) if exists else b""
    encoding = args["encoding"] if args["encoding"] != "auto" else "utf-8"
    if args["encoding"] == "auto":
        encoding = next((name for mark, name in _ENCODINGS if raw.startswith(mark)), "utf-8")
    before = raw.decode(encoding)
    lines = before.splitlines()
    pattern = re.compile(args["regex"]) if args["regex"] else None

    def found(line: str) -> bool:
        return pattern.search(line) is not None if pattern else line == args["line"]

    message = ""
    if args["state"] == "absent":
        if not args["regex"] and args["line"] is None:
            raise ModuleFailure("one of line or regex is required with state=absent")
        kept = [line for line in lines if not found(line)]
        message = f"{len(lines) - len(kept)} line(s) removed"
    else:
        if args["line"] is None:
            raise ModuleFailure("line= is required with state=present")
        kept, message = _present(args, lines, pattern, found)
    changed = kept != lines or not exists
    result: Result = {"changed": changed, "msg": message}
    separator = "\r\n" if args["newline"] == "windows" else "\n"
    after = separator.join(kept) + (separator if before.endswith(("\n", "\r")) else "")
    if changed:
        if args["backup"] and (saved := backup(call, files, path)):
            result["backup_file"] = saved
        files.write(path, after.encode(encoding), _owner(call))
    if call.diff:
        result["diff"] = {"before": before, "after": after if changed else before}
    return result


def _present(
    args: dict[str, Any], lines: list[str], pattern: re.Pattern[str] | None, found: Any
) -> tuple[list[str], str]:
    kept = list(lines)
    line = args["line"]
    before, after = args["insertbefore"], args["insertafter"]
    anchor = before if before and before != "BOF" else after if after not in {"BOF", "EOF", None} else None
    at = anchored = -1
    for number, text in enumerate(lines):
        if found(text):
            at = number
        elif anchor and re.search(anchor, text):
            anchored = number if before and before != "BOF" else number + 1
    if at >= 0:
        if args["backrefs"] and pattern is not None:
            line = pattern.sub(re.sub(r"\$(\d+)", r"\\\1", line), lines[at])
        if kept[at] == line:
            return kept, ""
        kept[at] = line
        return kept, "line replaced"
    if args["backrefs"]:
        return kept, ""
    if before == "BOF" or after == "BOF":
        kept.insert(0, line)
    elif anchored >= 0:
        kept.insert(anchored, line)
    else:
        kept.append(line)
    return kept, "line added"


@handles("community.windows.win_unzip", source="community.windows 3.1.0 win_unzip documentation and source")
def win_unzip(call: Call) -> Result:
    """Unpack a zip archive: each time, unless ``creates`` is there."""
    args = call.args
    files = FileSystem(call.server)
    source, dest = args["src"], args["dest"]
    result: Result = {"changed": False, "dest": dest, "removed": False, "src": source}
    if args["creates"] and files.get(args["creates"]) is not None:
        return {**result, "skipped": True, "msg": f"The file or directory '{args['creates']}' already exists."}
    if not files.is_file(source):
        raise ModuleFailure(f"File '{source}' does not exist.", **result)
    if ntpath.splitext(source)[1].lower() != ".zip" or args["password"] or args["recurse"]:
        raise NotSimulated("The lab simulates win_unzip on plain .zip archives only, as PSCX is not there.")
    owner = _owner(call)
    files.make_dir(dest, owner)
    with _unzip(files.read(source)) as archive:
        for info in archive.infolist():
            path = normalise(f"{dest}\\{info.filename}")
            if not key(path).startswith(key(dest)):
                raise ModuleFailure(f"Error unzipping '{source}' to '{dest}'!. Entry outside of it: {info.filename}")
            if info.is_dir():
                files.make_dir(path, owner)
            else:
                files.make_dir(ntpath.dirname(path), owner)
                files.write(path, archive.read(info), owner)
    if args["delete_archive"]:
        files.remove(source)
        result["removed"] = True
    result["changed"] = True
    return result


@handles("community.windows.win_zip", source="community.windows 3.1.0 win_zip documentation and source")
def win_zip(call: Call) -> Result:
    """Pack a file or folder into a new archive; one that exists is left as it is."""
    source, dest = call.args["src"].rstrip("\\/"), call.args["dest"]
    contents = source.endswith(("\\*", "/*"))
    source = source[:-2] if contents else source
    files = FileSystem(call.server)
    entry = files.resolve(source)
    if entry is None:
        raise ModuleFailure(f"The source file or directory '{source}' does not exist.")
    if not dest.lower().endswith(".zip"):
        raise ModuleFailure(f"The destination zip file path '{dest}' need to be zip file path.")
    if files.resolve(dest) is not None:
        return {"changed": False, "msg": f"The destination zip file '{dest}' already exists."}
    root = entry["path"] if contents else ntpath.dirname(entry["path"])
    members = list(files.walk(entry["path"])) if entry["type"] == "directory" else [entry]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            if member["type"] == "file":
                name = member["path"][len(root.rstrip("\\")) + 1 :].replace("\\", "/")
                archive.writestr(name, files.read(member["path"]))
    files.write(dest, buffer.getvalue(), _owner(call))
    return {"changed": True}
