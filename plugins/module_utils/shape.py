# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns plain data (YAML, JSON) into dataclasses, and says by its path what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class ShapeError(ValueError):
    """A value does not have the shape asked for; the message starts with its path."""


def build(kind: type[T], value: object, path: str) -> T:
    """Make a dataclass out of a mapping.

    Args:
        kind: the dataclass. Its annotations may be str, int, bool, another dataclass, ``tuple[X, ...]`` of these, or
            ``X | None``.
        value: the mapping; a key with a null value counts as absent.
        path: where the value stands (``domain_controller_users[2]``), for the errors.

    Raises:
        ShapeError: unknown or missing key, value of another type.
    """
    if not isinstance(value, Mapping):
        raise ShapeError(f"{path}: a mapping is expected, not {_called(value)}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass, by contract
    unknown = sorted(str(name) for name in value if name not in known)
    if unknown:
        raise ShapeError(f"{path}.{unknown[0]}: unknown key; known are {', '.join(sorted(known))}")
    made: dict[str, Any] = {}
    for name, field in known.items():
        given = value.get(name)
        if given is not None:
            made[name] = _convert(hints[name], given, f"{path}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ShapeError(f"{path}.{name}: missing")
    return kind(**made)


def build_list(kind: type[T], value: object, path: str) -> tuple[T, ...]:
    """Make dataclasses out of a list of mappings; errors carry ``path[index]``."""
    return tuple(build(kind, item, f"{path}[{index}]") for index, item in enumerate(_items(value, path)))


def _convert(hint: Any, value: object, path: str) -> Any:
    origin = get_origin(hint)
    if origin is UnionType:
        (inner,) = (argument for argument in get_args(hint) if argument is not NoneType)
        return _convert(inner, value, path)
    if origin is tuple:
        inner = get_args(hint)[0]
        return tuple(_convert(inner, item, f"{path}[{index}]") for index, item in enumerate(_items(value, path)))
    if is_dataclass(hint):
        return build(hint, value, path)  # type: ignore[arg-type]  # is_dataclass also answers for instances
    if hint is bool:
        return _boolean(value, path)
    if hint is int:
        return _integer(value, path)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise ShapeError(f"{path}: a text is expected, not {_called(value)}")


def _items(value: object, path: str) -> Sequence[object]:
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return value
    raise ShapeError(f"{path}: a list is expected, not {_called(value)}")


def _boolean(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).casefold()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ShapeError(f"{path}: true or false is expected, not {_called(value)}")


def _integer(value: object, path: str) -> int:
    if not isinstance(value, bool):
        try:
            return int(str(value))
        except ValueError:
            pass
    raise ShapeError(f"{path}: a whole number is expected, not {_called(value)}")


def _called(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"{value!r}"
