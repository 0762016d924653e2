# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the argument spec that a PowerShell module declares: constraints and secrets that its documentation omits."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t]+|`\r?\n|\#[^\n]*|<\#.*?\#>)
    | (?P<newline>\r?\n|;)
    | (?P<open>@\{|@\(|\$\(|\(|\{)
    | (?P<close>[})])
    | (?P<comma>,)
    | (?P<equals>=)
    | (?P<string>'(?:[^']|'')*'|"(?:[^"`]|`.)*")
    | (?P<cast>\[[\w.]+(?:\[\])?\])
    | (?P<variable>\$[\w:]+)
    | (?P<word>[^\s,;={}()'"\[\]$@]+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Unknown:
    """A value that only PowerShell could work out."""


UNKNOWN = Unknown()


class _Reader:
    def __init__(self, text: str, start: int) -> None:
        self.tokens = self._tokens(text, start)
        self.kind = ""
        self.text = ""
        self.advance()

    @staticmethod
    def _tokens(text: str, start: int) -> Any:
        position = start
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                return
            position = match.end()
            if match.lastgroup != "space":
                yield match.lastgroup, match.group()

    def advance(self) -> None:
        self.kind, self.text = next(self.tokens, ("end", ""))

    def newlines(self) -> None:
        while self.kind == "newline":
            self.advance()

    def hash(self) -> dict[str, Any]:
        """Read after the opening brace up to and past the closing one."""
        result: dict[str, Any] = {}
        self.newlines()
        while self.kind not in {"close", "end"}:
            key = self.text.strip("'\"")
            self.advance()
            if self.kind != "equals":
                self.skip_statement()
                self.newlines()
                continue
            self.advance()
            self.newlines()
            result[key] = self.value()
            if self.kind not in {"newline", "close", "end"}:
                self.skip_statement()
                result[key] = UNKNOWN
            self.newlines()
        self.advance()
        return result

    def skip_statement(self) -> None:
        depth = 0
        while self.kind != "end":
            if self.kind == "open":
                depth += 1
            elif self.kind == "close":
                if depth == 0:
                    return
                depth -= 1
            elif self.kind == "newline" and depth == 0:
                return
            self.advance()

    def value(self) -> Any:
        if self.kind == "comma":  # unary comma: an array of one
            self.advance()
            return [self.value()]
        items = [self.term()]
        while self.kind == "comma":
            self.advance()
            self.newlines()
            items.append(self.term())
        return items if len(items) > 1 else items[0]

    def term(self) -> Any:
        kind, text = self.kind, self.text
        if kind == "cast":
            self.advance()
            return self.term()
        if kind == "open" and text == "@{":
            self.advance()
            return self.hash()
        if kind == "open" and text in {"@(", "("}:
            self.advance()
            return self.array(unwrap=text == "(")
        self.advance()
        if kind == "string":
            return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
        if kind == "variable":
            return {"$true": True, "$false": False, "$null": None}.get(text.lower(), UNKNOWN)
        if kind == "word" and re.fullmatch(r"-?\d+", text):
            return int(text)
        return UNKNOWN

    def array(self, *, unwrap: bool) -> Any:
        items: list[Any] = []
        self.newlines()
        while self.kind not in {"close", "end"}:
            if self.kind == "comma":
                self.advance()
                self.newlines()
                continue
            items.append(self.term())
            self.newlines()
        self.advance()
        return items[0] if unwrap and len(items) == 1 else items


def argument_spec(source: str) -> dict[str, Any] | None:
    """Read ``$spec = @{...}`` of a module's source; None when it declares none that way."""
    match = re.search(r"(?im)^\s*\$\w*spec\w*\s*=\s*@\{", source)
    if match is None:
        return None
    return _Reader(source, match.end()).hash()


def supports_check_mode(source: str) -> bool | None:
    """Whether a module's source declares check mode; None when it does not say."""
    spec = argument_spec(source)
    if spec is not None and isinstance(spec.get("supports_check_mode"), bool):
        return bool(spec["supports_check_mode"])
    match = re.search(r"(?i)-supports_check_mode\s+\$(true|false)|supports_check_mode\s*=\s*\$(true|false)", source)
    if match is None:
        return None
    return (match.group(1) or match.group(2)).lower() == "true"


def rows(value: Any) -> list[list[Any]]:
    """Bring the lists of a constraint into the shape of a list of lists."""
    if not isinstance(value, list) or not value:
        return []
    return [value] if not isinstance(value[0], list) else [row for row in value if isinstance(row, list)]
