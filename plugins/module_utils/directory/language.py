# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that a technician reads while a role runs: in French, or in English on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Language = Literal["fr", "en"]


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages."""

    en: str
    fr: str

    def say(self, language: Language) -> str:
        """The sentence in one language."""
        return self.fr if language == "fr" else self.en


def about(path: str, en: str, fr: str) -> Text:
    """A sentence on a variable, whose path starts it in both languages."""
    return Text(f"{path}: {en}", f"{path} : {fr}")


def say_all(texts: Iterable[Text], language: Language) -> list[str]:
    """All sentences in one language."""
    return [text.say(language) for text in texts]
