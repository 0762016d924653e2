# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges a module's arguments by its documentation, as Ansible's own runtime on Windows would word it.

Wording and order of the checks follow ``Ansible.Basic.cs`` of ansible-core 2.19.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.windows.registry import ModuleFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.windows.documentation import ModuleDoc

_TRUE = {"y", "yes", "on", "1", "true", "t", "1.0"}
_FALSE = {"n", "no", "off", "0", "false", "f", "0.0"}
MASK = "********"


@dataclass(slots=True)
class Judged:
    """Arguments that passed."""

    args: dict[str, Any]
    given: frozenset[str]
    secrets: list[str]
    """Values of options that must not show anywhere."""
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Judge:
    module: str
    expand: Callable[[str], str]
    warnings: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def fail(self, message: str, where: list[str]) -> ModuleFailure:
        return ModuleFailure(message + (f" found in {' -> '.join(where)}" if where else ""))

    def level(
        self,
        options: Mapping[str, Any],
        raw: Mapping[str, Any],
        where: list[str],
        constraints: Mapping[str, list[list[Any]]],
        required_by: Mapping[str, Any],
    ) -> tuple[dict[str, Any], set[str]]:
        names: dict[str, str] = {}
        for name, option in options.items():
            names[name.casefold()] = name
            for alias in option.get("aliases") or []:
                names[str(alias).casefold()] = name
        found: dict[str, Any] = {}
        unknown = []
        for key, value in raw.items():
            target = names.get(str(key).casefold())
            if target is None:
                unknown.append(str(key))
            elif target not in found or str(key).casefold() == target.casefold():
                found[target] = value
        if unknown:
            supported = []
            for name in sorted(options):
                aliases = options[name].get("aliases")
                supported.append(f"{name} ({', '.join(map(str, aliases))})" if aliases else name)
            raise self.fail(
                f"Unsupported parameters for ({self.module}) module: {', '.join(unknown)}. "
                f"Supported parameters include: {', '.join(supported)}",
                where,
            )
        given = {name for name, value in found.items() if value is not None}
        for row in constraints.get("mutually_exclusive", []):
            if sum(name in given for name in row) > 1:
                raise self.fail(f"parameters are mutually exclusive: {', '.join(row)}", where)
        missing = [name for name, option in options.items() if option.get("required") and name not in given]
        if missing:
            raise self.fail(f"missing required arguments: {', '.join(sorted(missing))}", where)
        result: dict[str, Any] = {}
        for name, option in options.items():
            value = found.get(name)
            if value is None:
                value = option.get("default")
            result[name] = None if value is None else self.value(name, option, value, where)
            if option.get("no_log") and name in given:
                self.remember(result[name])
        self.check_constraints(result, given, where, constraints, required_by)
        return result, given

    def remember(self, value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                self.remember(inner)
        elif isinstance(value, list):
            for inner in value:
                self.remember(inner)
        elif value not in (None, "", True, False):
            self.secrets.append(str(value))

    def check_constraints(
        self,
        args: Mapping[str, Any],
        given: set[str],
        where: list[str],
        constraints: Mapping[str, list[list[Any]]],
        required_by: Mapping[str, Any],
    ) -> None:
        for row in constraints.get("required_together", []):
            if 0 < sum(name in given for name in row) < len(row):
                raise self.fail(f"parameters are required together: {', '.join(row)}", where)
        for row in constraints.get("required_one_of", []):
            if not any(name in given for name in row):
                raise self.fail(f"one of the following is required: {', '.join(row)}", where)
        for row in constraints.get("required_if", []):
            if len(row) < 3 or args.get(row[0]) is None or not _same(args[row[0]], row[1]):
                continue
            wanted = row[2] if isinstance(row[2], list) else [row[2]]
            absent = [name for name in wanted if args.get(name) is None]
            one_is_enough = len(row) > 3 and row[3] is True
            if absent and (not one_is_enough or len(absent) == len(wanted)):
                word = "any" if one_is_enough else "all"
                raise self.fail(
                    f"{row[0]} is {args[row[0]]} but {word} of the following are missing: {', '.join(absent)}", where
                )
        for name, needed in required_by.items():
            if name in given:
                wanted = needed if isinstance(needed, list) else [needed]
                absent = [other for other in wanted if isinstance(other, str) and args.get(other) is None]
                if absent:
                    raise self.fail(f"missing parameter(s) required by '{name}': {', '.join(absent)}", where)

    def value(self, name: str, option: Mapping[str, Any], value: Any, where: list[str]) -> Any:
        # An option of win_scheduled_task has options of its own and no type: it is a dictionary.
        kind = str(option.get("type", "dict" if option.get("suboptions") else "str"))
        try:
            converted = self.convert(kind, value)
        except (TypeError, ValueError) as error:
            raise self.fail(
                f"argument for {name} is of type {_dotnet(value)} and we were unable to convert to {kind}: {error}",
                where,
            ) from None
        inner = option.get("suboptions") or option.get("options")
        elements = option.get("elements")
        if kind == "list" and isinstance(converted, list) and elements:
            entries = []
            for entry in converted:
                try:
                    item = self.convert(str(elements), entry)
                except (TypeError, ValueError) as error:
                    raise self.fail(
                        f"argument for list entry {name} is of type {_dotnet(entry)} and we were unable to convert to "
                        f"{elements}: {error}",
                        where,
                    ) from None
                if elements == "dict" and inner:
                    item, _given = self.level(inner, item, [*where, name], {}, {})
                entries.append(item)
            converted = entries
        elif kind == "dict" and inner:
            converted, _given = self.level(inner, converted, [*where, name], {}, {})
        choices = option.get("choices")
        if choices and not any(str(choice).startswith("*") for choice in choices):  # "*regex*" stands for any text
            allowed = list(choices)
            if isinstance(converted, list):
                converted = [self.choose(name, allowed, entry, where, several=True) for entry in converted]
            else:
                converted = self.choose(name, allowed, converted, where, several=False)
        return converted

    def choose(self, name: str, allowed: list[Any], value: Any, where: list[str], *, several: bool) -> Any:
        if value in allowed:
            return value
        for choice in allowed:
            if str(choice).casefold() == str(value).casefold():
                self.warnings.append(
                    f"value of {name} was a case insensitive match of one of: {', '.join(map(str, allowed))}. "
                    "Checking of choices will be case sensitive in a future Ansible release. "
                    f"Case insensitive matches were: {value}"
                )
                return choice
        prefix = "one or more of" if several else "one of"
        raise self.fail(
            f"value of {name} must be {prefix}: {', '.join(map(str, allowed))}. Got no match for: {value}", where
        )

    def convert(self, kind: str, value: Any) -> Any:
        match kind:
            case "raw":
                return value
            case "str" | "sid" | "json":
                if kind == "json" and not isinstance(value, str):
                    return json.dumps(value)
                return _text(value)
            case "path":
                return self.expand(_text(value))
            case "bool":
                if isinstance(value, bool):
                    return value
                word = _text(value).lower()
                if word in _TRUE:
                    return True
                if word in _FALSE:
                    return False
                raise ValueError(
                    f"The value '{value}' is not a valid boolean. Valid booleans include: "
                    "y, yes, on, 1, true, t, 1.0, n, no, off, 0, false, f, 0.0"
                )
            case "int":
                if isinstance(value, bool | list | dict):
                    raise TypeError(f"Unable to cast {_dotnet(value)} to type 'System.Int32'.")
                try:
                    return int(value)
                except ValueError:
                    raise ValueError("Input string was not in a correct format.") from None
            case "float":
                if isinstance(value, bool | list | dict):
                    raise TypeError(f"Unable to cast {_dotnet(value)} to type 'System.Single'.")
                try:
                    return float(value)
                except ValueError:
                    raise ValueError("Input string was not in a correct format.") from None
            case "list":
                if isinstance(value, list):
                    return value
                if isinstance(value, str):
                    return [part.strip() for part in value.split(",")] if value else []
                return [value]
            case "dict":
                return _dictionary(value)
            case _:
                raise ValueError(f"type {kind} is not one that modules know")


def _dictionary(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        if value.startswith("{"):
            parsed = json.loads(value)
            if isinstance(parsed, dict):
                return parsed
        elif "=" in value:
            pairs = [part for part in value.replace(",", " ").split() if part]
            if all("=" in pair for pair in pairs):
                return dict(pair.split("=", 1) for pair in pairs)
    raise ValueError("Unable to convert the value to a dictionary, valid values are a JSON object or key=value pairs")


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    return bool(value == wanted)


def _dotnet(value: Any) -> str:
    names = {
        bool: "System.Boolean",
        int: "System.Int32",
        float: "System.Double",
        str: "System.String",
        list: "System.Collections.ArrayList",
        dict: "System.Collections.Generic.Dictionary`2[System.String,System.Object]",
    }
    return names.get(type(value), "System.Object")


def judge(
    doc: ModuleDoc,
    raw: Mapping[str, Any],
    *,
    internal: Mapping[str, Any] | None = None,
    expand: Callable[[str], str] = lambda path: path,
) -> Judged:
    """Judge arguments by a module's documentation.

    Args:
        doc: The documentation.
        raw: Arguments as received, without Ansible's own ``_ansible_*``.
        internal: Undocumented options that action plugins send.
        expand: Replaces ``%VARIABLES%`` in paths.

    Returns:
        Arguments under their own names with defaults filled and types coerced.

    Raises:
        ModuleFailure: An argument is unknown, missing, of a wrong type or excluded by another.
    """
    judge_ = _Judge(doc.module, expand)
    options = {**doc.options, **(internal or {})}
    args, given = judge_.level(options, raw, [], doc.constraints, doc.required_by)
    return Judged(args, frozenset(given), judge_.secrets, judge_.warnings)


def mask(value: Any, secrets: list[str]) -> Any:
    """Replace secrets wherever they show in a JSON value."""
    if not secrets:
        return value
    if isinstance(value, str):
        if value in secrets:
            return "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
        for secret in secrets:
            if secret in value:
                value = value.replace(secret, MASK)
        return value
    if isinstance(value, dict):
        return {key: mask(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [mask(inner, secrets) for inner in value]
    return value
