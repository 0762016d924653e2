# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers by the names that Set-PrintConfiguration takes (Microsoft Learn, PaperSizeEnum, Windows Server 2022)."""

from __future__ import annotations

PAPERS = frozenset({
    "Custom", "Letter", "LetterSmall", "Tabloid", "Ledger", "Legal", "Statement", "Executive", "A3", "A4",
    "A4Small", "A5", "B4", "B5", "Folio", "Quarto", "Sheet10x14", "Sheet11x17", "Note", "Envelope9", "Envelope10",
    "Envelope11", "Envelope12", "Envelope14", "CSheet", "DSheet", "ESheet", "EnvelopeDL", "EnvelopeC5",
    "EnvelopeC3", "EnvelopeC4", "EnvelopeC6", "EnvelopeC65", "EnvelopeB4", "EnvelopeB5", "EnvelopeB6",
    "EnvelopeItaly", "EnvelopeMonarch", "EnvelopePersonal", "FanfoldUS", "FanfoldStandardGerman",
    "FanfoldLegalGerman", "ISOB4", "JapanesePostcard", "Sheet9x11", "Sheet10x11", "Sheet15x11", "EnvelopeInvite",
    "LetterExtra", "LegalExtra", "TabloidExtra", "A4Extra", "LetterTransverse", "A4Transverse",
    "LetterExtraTransverse", "APlus", "BPlus", "LetterPlus", "A4Plus", "A5Transverse", "B5Transverse", "A3Extra",
    "A5Extra", "B5Extra", "A2", "A3Transverse", "A3ExtraTransverse", "A6", "LetterRotated", "A3Rotated",
    "A4Rotated", "A5Rotated", "A6Rotated", "Sheet12x11",
})  # fmt: skip
"""Without the East Asian formats, and the reserved numbers."""
