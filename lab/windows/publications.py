# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installers that simulated servers can fetch and run: stand-ins for what publishers offer.

A stand-in is a small file in the place of an installer. It says what it stands for, and its SHA-256 counts as the one
that the publisher states, so that roles keep the address and checksum they have in production.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.windows.data import DATA

_MAGIC = b"STAND-IN OF THE LAB\n"


@dataclass(frozen=True, slots=True)
class Publication:
    """One published installer; one without a stated checksum (handed over by hand) has its stand-in's own."""

    url: str
    sha256: str
    product: dict[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The stand-in's own bytes."""
        return _MAGIC + json.dumps({"url": self.url, "sha256": self.sha256}, indent=1).encode()


@functools.cache
def publications() -> tuple[Publication, ...]:
    """All installers that the lab stands in for."""
    entries = yaml.safe_load((DATA / "publications.yml").read_text(encoding="utf-8"))
    return tuple(Publication(entry["url"], entry.get("sha256", ""), entry["product"]) for entry in entries)


def by_url(url: str) -> Publication | None:
    """The installer published at an address."""
    return next((entry for entry in publications() if entry.url == url), None)


def by_content(content: bytes) -> Publication | None:
    """What a file stands for; None when it is an ordinary file."""
    if not content.startswith(_MAGIC):
        return None
    url = json.loads(content[len(_MAGIC) :])["url"]
    return by_url(url)


def main() -> None:
    """Write stand-ins where the controller keeps installers that publishers hand over by hand."""
    parser = argparse.ArgumentParser(prog="python -m lab.windows.publications", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where each is written, under the last part of its address")
    parser.add_argument("url", nargs="+", choices=[entry.url for entry in publications()], metavar="url")
    options = parser.parse_args()
    for published in map(by_url, options.url):
        if published is not None:
            (options.folder / re.split("[/:]", published.url)[-1]).write_bytes(published.content)


if __name__ == "__main__":
    main()
