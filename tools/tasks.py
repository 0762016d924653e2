# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds every task against its module's published documentation, and those for Windows servers against the lab.

``python -m tools.tasks`` names each task with a module, an option, a value or a keyword that nobody documents, and each
task for a Windows server that the lab could not carry out. What a template decides at run time is not judged; the two
values of ``{{ 'a' if ... else 'b' }}`` are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from ansible.playbook.block import Block
from ansible.playbook.handler import Handler
from ansible.playbook.play import Play

from lab.windows import registry
from lab.windows.documentation import ModuleDoc, module_doc
from lab.windows.handlers.dsc import RESOURCES

REPOSITORY = Path(__file__).resolve().parent.parent
OWN = "cnosf.infogerance."
BLOCK = frozenset((*Block.fattributes, "name"))
TASK = frozenset((*Handler.fattributes, "local_action"))
PLAY = frozenset((*Play.fattributes, "hosts"))
FREE = frozenset(f"ansible.builtin.{name}" for name in ("set_fact", "add_host", "include_vars", "meta"))
"""Actions whose arguments are names of the user's own, or no options at all."""
FREE_FORM = frozenset(("free_form", "free-form", "_raw_params", "cmd"))
"""What documentation calls the bare text of a task."""
INCLUDES = {f"ansible.builtin.{verb}_{what}": what for verb in ("include", "import") for what in ("tasks", "role")}
#: What Ansible does for a Windows server without a module of that name on it.
PLAIN = {
    "ansible.windows.win_reboot": "four plain commands",
    "ansible.windows.win_template": "ansible.windows.win_copy",
    "ansible.builtin.wait_for_connection": "ansible.windows.win_ping",
    "ansible.builtin.fetch": "ansible.windows.win_stat and the connection's fetch_file",
}
#: Actions that run on the controller wherever they are addressed to.
CONTROLLER = frozenset(
    f"ansible.builtin.{name}"
    for name in (
        *("add_host", "assert", "debug", "fail", "group_by", "import_role", "import_tasks", "include_role"),
        *("include_tasks", "include_vars", "meta", "pause", "set_fact", "validate_argument_spec"),
    )
)
CHOICE = re.compile(r"\s*\{\{\s*'([^']*)' if [^{}]+ else '([^']*)'\s*\}\}\s*", re.DOTALL)
NUMBERS = {"int": r"[+-]?\d+", "float": r"[+-]?\d+(\.\d+)?"}
BOOLEANS = frozenset(("yes", "no", "true", "false", "on", "off", "1", "0", "y", "n", "t", "f"))


class Loader(yaml.SafeLoader):
    """YAML with Ansible's own tags read as templates."""


Loader.add_multi_constructor("!", lambda _loader, _suffix, node: f"{{{{ {getattr(node, 'value', '')} }}}}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task stands, and what it inherits there."""

    file: Path
    windows: bool
    """Whether its servers run Windows."""
    local: bool = False
    """Whether the controller runs it for them."""
    defaults: bool = False
    """Whether module_defaults give options that the task does not show."""
    names: tuple[str, ...] = ()

    def deeper(self, entry: Mapping[str, Any]) -> Place:
        """The place inside a block or task."""
        told = entry.get("delegate_to"), entry.get("connection")
        local = self.local or told[0] in {"localhost", "127.0.0.1"} or told[1] == "local"
        defaults = self.defaults or "module_defaults" in entry
        return Place(self.file, self.windows, local, defaults, (*self.names, str(entry.get("name", "?"))))

    def __str__(self) -> str:
        """File and task as a person names them."""
        file = self.file.relative_to(REPOSITORY) if self.file.is_relative_to(REPOSITORY) else self.file
        return f"{file}: {' / '.join(self.names)}"


@dataclass(slots=True)
class Walk:
    """One walk; ``problems`` are sentences that start with the file and the task's name."""

    problems: list[str] = field(default_factory=list)
    tasks: int = 0

    def wrong(self, place: Place, what: str) -> None:
        """Note a problem."""
        self.problems.append(f"{place}: {what}")

    # -- files ---------------------------------------------------------------------------------------------------------

    def role(self, folder: Path, *, windows: bool | None = None) -> None:
        """Walk all files of tasks and handlers of a role; which servers it is for is told by its modules."""
        files = [*sorted((folder / "tasks").rglob("*.yml")), *sorted((folder / "handlers").rglob("*.yml"))]
        contents = {file: yaml.load(file.read_text(encoding="utf-8"), Loader) or [] for file in files}  # noqa: S506 - derived from SafeLoader
        if windows is None:
            windows = any(_has_windows(content) for content in contents.values())
        for file, content in contents.items():
            self.entries(content, Place(file, windows))

    def playbook(self, file: Path) -> None:
        """Walk the plays of a playbook."""
        for play in yaml.load(file.read_text(encoding="utf-8"), Loader) or []:  # noqa: S506 - derived from SafeLoader
            place = Place(file, windows=False).deeper(play)
            if "ansible.builtin.import_playbook" in play:
                self.file(place, play["ansible.builtin.import_playbook"], file.parent)
                continue
            for key in sorted(set(play) - PLAY):
                self.wrong(place, f"{key} is no keyword of a play")
            for role in play.get("roles") or []:
                self.role_name(place, role if isinstance(role, str) else role.get("role", role.get("name")))
            windows = any(_has_windows(play.get(part) or []) for part in ("pre_tasks", "tasks", "post_tasks"))
            inside = replace(place, windows=windows)
            for part in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                self.entries(play.get(part) or [], inside)

    def file(self, place: Place, name: object, *folders: Path) -> None:
        """Require that an included file is there."""
        if isinstance(name, str) and "{{" not in name and not any((folder / name).is_file() for folder in folders):
            self.wrong(place, f"there is no file {name}")

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def entries(self, entries: object, place: Place) -> None:
        """Walk a list of tasks and blocks."""
        for entry in entries if isinstance(entries, list) else []:
            inside = place.deeper(entry)
            if "block" in entry:
                for key in sorted(set(entry) - BLOCK):
                    self.wrong(inside, f"{key} is no keyword of a block")
                for part in ("block", "rescue", "always"):
                    self.entries(entry.get(part) or [], inside)
            else:
                self.task(entry, inside)

    def task(self, task: Mapping[str, Any], place: Place) -> None:
        """Judge one task."""
        self.tasks += 1
        actions = [key for key in task if key not in TASK and not key.startswith("with_")]
        if len(actions) != 1:
            self.wrong(place, f"one module is expected, not {', '.join(actions) or 'none'}")
            return
        (module,) = actions
        doc = module_doc(module)
        if doc is None:
            self.wrong(place, f"no installed collection documents the module {module}")
            return
        given = task[module]
        arguments = {**(given if isinstance(given, Mapping) else {}), **(task.get("args") or {})}
        if module in INCLUDES:
            self.include(place, INCLUDES[module], given, arguments, task.get("vars") or {})
        # A probe may be asked what a plan has worked out: it writes nothing, and the lab judges the question itself.
        asked = module.endswith("_info") and isinstance(given, str) and given.startswith("{{")
        if isinstance(given, str) and not FREE_FORM & set(doc.options) and not asked:
            self.wrong(place, f"{module} takes no free text")
        if place.windows and not place.local:
            self.simulated(place, module)
        if module not in FREE and not isinstance(given, str):
            options = self.resource(place, arguments) if module == "ansible.windows.win_dsc" else doc.options
            self.options(place, options, arguments, module)

    def include(self, place: Place, what: str, given: object, arguments: Mapping[str, Any], variables: object) -> None:
        """Require what a task includes, and hold the variables of an included role against its specification."""
        if what == "tasks":
            self.file(place, given if isinstance(given, str) else arguments.get("file"), place.file.parent)
            return
        name = arguments.get("name")
        specifications = self.role_name(place, name)
        entry = specifications.get(str(arguments.get("tasks_from", "main")).removesuffix(".yml"))
        if entry is None or not isinstance(variables, Mapping):
            return
        known = {name: {**option, "required": False} for name, option in (entry.get("options") or {}).items()}
        own = {
            key: value
            for key, value in variables.items()
            if not key.startswith("__") and not key.startswith("ansible_")
        }
        self.options(place, known, own, f"the role {name}")

    def role_name(self, place: Place, name: object) -> Mapping[str, Any]:
        """Require a role of ours, and give its specifications."""
        if not isinstance(name, str) or "{{" in name:
            return {}
        folder = REPOSITORY / "roles" / name.removeprefix(OWN)
        if not name.startswith(OWN) or not folder.is_dir():
            self.wrong(place, f"there is no role {name}")
            return {}
        file = folder / "meta" / "argument_specs.yml"
        found: Mapping[str, Any] = (
            yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"] if file.exists() else {}
        )
        return found

    def simulated(self, place: Place, module: str) -> None:
        """Require that the lab's Windows servers know a module."""
        registry.load_handlers()
        if module in registry.HANDLERS or module in PLAIN or module in CONTROLLER:
            return
        self.wrong(place, f"the lab does not simulate {module} on Windows")

    def resource(self, place: Place, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Options of win_dsc for the resource named."""
        registry.load_handlers()
        name = arguments.get("resource_name")
        fixed = {"resource_name": {"type": "str", "required": True}, "module_version": {"type": "str"}}
        if not isinstance(name, str) or "{{" in name:
            self.wrong(place, "win_dsc: the resource's name is expected, and no template")
            return {**fixed, **{key: {"type": "raw"} for key in arguments}}
        if name not in RESOURCES:
            self.wrong(place, f"the lab does not simulate the DSC resource {name}")
            return {**fixed, **{key: {"type": "raw"} for key in arguments}}
        return {**fixed, **RESOURCES[name].options()}

    # -- options -------------------------------------------------------------------------------------------------------

    def options(self, place: Place, options: Mapping[str, Any], given: Mapping[str, Any], where: str) -> None:
        """Hold arguments against documented options, level by level."""
        names = {alias: name for name, option in options.items() for alias in (name, *(option.get("aliases") or ()))}
        for key, value in given.items():
            if key not in names:
                self.wrong(place, f"{where} has no option {key}")
            else:
                self.value(place, options[names[key]], value, f"{where}.{key}")
        present = {names.get(key) for key in given}
        for name, option in options.items():
            if option.get("required") and name not in present | FREE_FORM and not place.defaults:
                self.wrong(place, f"{where} needs the option {name}")

    def value(self, place: Place, option: Mapping[str, Any], value: object, where: str) -> None:
        """Hold one value against its option."""
        inner = option.get("suboptions") or option.get("options")
        kind = option.get("type", "str")
        if kind == "list" and isinstance(value, list):
            element = {**option, "type": option.get("elements", "raw")}
            for item in value:
                self.value(place, element, item, where)
        elif kind == "dict" and inner and isinstance(value, Mapping):
            self.options(place, inner, value, where)
        elif isinstance(value, str | int | float):
            for literal in _literals(value):
                self.literal(place, option, literal, where)

    def literal(self, place: Place, option: Mapping[str, Any], value: str, where: str) -> None:
        """Hold a plain value against its option's choices and type."""
        # Documentation spells line ends as people type them.
        choices = [str(choice).casefold().encode().decode("unicode_escape") for choice in option.get("choices") or ()]
        kind = option.get("type", "str")
        if kind == "bool":
            if value.casefold() not in BOOLEANS:
                self.wrong(place, f"{where}: '{value}' is not true or false")
        elif choices:
            parts = [part.strip() for part in value.split(",")] if kind == "list" else [value]
            known = all(part.casefold() in choices for part in parts)
            # YAML 1.1 reads yes and no as booleans, which Ansible turns back.
            if not known and not {value.casefold()} & {"true", "false"} & {_spoken(choice) for choice in choices}:
                self.wrong(place, f"{where}: '{value}' is none of {', '.join(choices)}")
        elif kind in NUMBERS and not re.fullmatch(NUMBERS[kind], value):
            self.wrong(place, f"{where}: '{value}' is no number")


def _spoken(choice: str) -> str:
    return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(choice, choice)


def _literals(value: str | float) -> Iterator[str]:
    """The values that are known before a run: a plain one, or both of a template that chooses between two."""
    text = str(value)
    chosen = CHOICE.fullmatch(text)
    if chosen is not None:
        yield from chosen.groups()
    elif "{{" not in text and "{%" not in text:
        yield text


def _has_windows(entries: object) -> bool:
    """Whether a module written in PowerShell is among some tasks."""
    for entry in entries if isinstance(entries, list) else []:
        if any(_has_windows(entry.get(part) or []) for part in ("block", "rescue", "always")):
            return True
        if any(_in_powershell(module_doc(key)) for key in entry if key.count(".") == 2):
            return True
    return False


def _in_powershell(doc: ModuleDoc | None) -> bool:
    return doc is not None and (doc.check_mode is not None or doc.module.startswith("ansible.windows."))


def walk(repository: Path = REPOSITORY) -> Walk:
    """Walk all roles and playbooks of the repository."""
    found = Walk()
    for role in sorted((repository / "roles").iterdir()):
        found.role(role)
    for file in [repository / "site.yml", *sorted((repository / "playbooks").glob("*.yml"))]:
        found.playbook(file)
    return found


def main() -> int:
    """Print the problems; return 1 when there is any."""
    found = walk()
    for problem in found.problems:
        print(problem, file=sys.stderr)
    print(f"{found.tasks} tasks, {len(found.problems)} problems")
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
