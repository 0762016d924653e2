# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps every role's specification, defaults and README in step.

``python tools/roles.py`` fails when a role's ``defaults/main.yml`` and ``meta/argument_specs.yml`` differ, when a
variable is declared and never used or used and never declared, when a public name lacks the role's prefix, or when a
README's table is stale. ``python tools/roles.py --write`` writes the tables.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- variables:begin -->", "<!-- variables:end -->"
#: Variables of the whole estate that a role may read without declaring a default of its own.
SHARED = {"infogerance_language"}


class Loader(yaml.SafeLoader):
    """YAML with Ansible's own tags read as plain text."""


Loader.add_multi_constructor("!", lambda _loader, suffix, node: f"!{suffix} {getattr(node, 'value', '')}")


def load(path: Path) -> Any:
    """Return a YAML file's content, or an empty mapping where the file is absent or empty."""
    # An Ansible file may hold tagged text (vault), hence a loader derived from the safe one.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader) or {} if path.exists() else {}  # noqa: S506


def options_of(role: Path) -> dict[str, dict[str, Any]]:
    """The options of a role's main entry point."""
    spec = load(role / "meta" / "argument_specs.yml")
    return dict(spec.get("argument_specs", {}).get("main", {}).get("options", {}))


def text(value: Any) -> str:
    """A description as one line of a Markdown table."""
    joined = " ".join(value) if isinstance(value, list) else str(value or "")
    joined = re.sub(r"\b[CVO]\(([^)]*)\)", r"`\1`", joined)
    return re.sub(r"\s+", " ", joined).replace("|", "\\|").strip()


def kind(option: dict[str, Any]) -> str:
    """An option's type in a person's words: ``list of dict``."""
    name = option.get("type", "str")
    return f"list of {option['elements']}" if name == "list" and option.get("elements") else name


def default(option: dict[str, Any]) -> str:
    """An option's default as it is shown: required, none, or YAML in one line."""
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    shown = yaml.safe_dump(option["default"], default_flow_style=True, allow_unicode=True, width=10_000).strip()
    shown = shown.removesuffix("...").strip()
    if len(shown) > 60:
        return (
            f"see `defaults/main.yml` ({len(option['default'])} entries)"
            if isinstance(option["default"], list | dict)
            else "see `defaults/main.yml`"
        )
    return f"`{shown}`"


def rows(options: dict[str, dict[str, Any]], prefix: str = "") -> list[str]:
    """Table rows, nested options below their parent."""
    lines = []
    for name, option in options.items():
        choices = option.get("choices")
        description = text(option.get("description"))
        if choices:
            description += " One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
        lines.append(f"| `{prefix}{name}` | {kind(option)} | {default(option)} | {description} |")
        if option.get("options"):
            suffix = "[]." if option.get("type") == "list" else "."
            lines += rows(option["options"], f"{prefix}{name}{suffix}")
    return lines


def table(role: Path) -> str:
    """The README's generated part."""
    head = ["| Variable | Type | Default | Description |", "|---|---|---|---|"]
    return "\n".join([BEGIN, "", *head, *rows(options_of(role)), "", END])


def sources(role: Path) -> dict[Path, str]:
    """Every file of a role in which a variable can be used, with its text."""
    found = {}
    for folder in ("tasks", "handlers", "templates", "vars", "defaults", "meta"):
        for path in sorted((role / folder).rglob("*")):
            if path.is_file() and path.name != "argument_specs.yml":
                found[path] = path.read_text(encoding="utf-8")
    return found


def check(role: Path) -> list[str]:
    """Everything that is out of step in a role, as sentences."""
    name = role.name
    spec_options, defaults = options_of(role), load(role / "defaults" / "main.yml")
    problems = []
    if not spec_options:
        return [f"roles/{name}: meta/argument_specs.yml declares no option of its main entry point"]
    for variable, option in spec_options.items():
        if not variable.startswith(f"{name}_") and variable not in SHARED:
            problems.append(f"roles/{name}: public variable {variable} does not start with {name}_")
        if not option.get("description"):
            problems.append(f"roles/{name}: {variable} has no description")
        if option.get("required") and variable in defaults:
            problems.append(f"roles/{name}: {variable} is required and has a default")
        if "default" in option and variable not in defaults:
            problems.append(f"roles/{name}: {variable} has a default in argument_specs and none in defaults/main.yml")
        if "default" in option and variable in defaults and option["default"] != defaults[variable]:
            problems.append(f"roles/{name}: {variable} differs between argument_specs and defaults/main.yml")
        if "default" not in option and variable in defaults:
            problems.append(f"roles/{name}: {variable} has a default in defaults/main.yml and none in argument_specs")
    problems += [
        f"roles/{name}: {variable} is in defaults/main.yml and not in argument_specs"
        for variable in defaults
        if variable not in spec_options
    ]
    texts = sources(role)
    used = set()
    for path, content in texts.items():
        for word in re.findall(rf"(?<!cnosf\.infogerance\.)\b(?:__)?{name}_\w+", content):
            definition = path.parent.name == "defaults" and len(re.findall(rf"\b{word}\b", content)) == 1
            if not definition:
                used.add(word)
    problems += [
        f"roles/{name}: {variable} is declared and never used"
        for variable in spec_options
        if variable.startswith(f"{name}_") and variable not in used
    ]
    declared = set(spec_options)
    local = set(re.findall(rf"^\s*(?:- )?({name}_\w+):", "\n".join(texts.values()), re.MULTILINE))
    registered = set(re.findall(r"register: (\w+)", "\n".join(texts.values())))
    problems += [
        f"roles/{name}: {word} is used and declared nowhere"
        for word in sorted(used)
        if word.startswith(f"{name}_") and word not in declared | local | registered and not word.endswith("_")
    ]
    return problems


def main() -> int:
    """Check (and with ``--write`` mend the tables of) the roles named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the README tables")
    parser.add_argument("roles", nargs="*", help="roles to look at (default: all)")
    arguments = parser.parse_args()
    problems = []
    chosen = sorted(
        path
        for path in (REPOSITORY / "roles").iterdir()
        if path.is_dir() and (not arguments.roles or path.name in arguments.roles)
    )
    for role in chosen:
        problems += check(role)
        readme = role / "README.md"
        content = readme.read_text(encoding="utf-8") if readme.exists() else ""
        if BEGIN not in content or END not in content:
            problems.append(f"roles/{role.name}/README.md: no {BEGIN} ... {END}")
            continue
        fresh = content[: content.index(BEGIN)] + table(role) + content[content.index(END) + len(END) :]
        if fresh != content:
            if arguments.write:
                readme.write_text(fresh, encoding="utf-8")
            else:
                problems.append(f"roles/{role.name}/README.md: the table is stale, run 'make readme'")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(chosen)} roles, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
