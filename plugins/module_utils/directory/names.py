# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distinguished names and principals, compared as Active Directory compares them."""

from __future__ import annotations

import re

_SPLIT = re.compile(r"(?<!\\),")
_SPECIAL = re.compile(r'([,+"\\<>;=#])')
_RID = re.compile(r"rid:(\d+)", re.IGNORECASE)
_PART = re.compile(r"(CN|OU|DC)=.+", re.IGNORECASE | re.DOTALL)


def domain_dn(dns_name: str) -> str:
    """Distinguished name of a domain: ``DC=example,DC=org`` for ``example.org``."""
    return ",".join(f"DC={label}" for label in dns_name.split("."))


def escape(value: str) -> str:
    """Write a value so that it can stand in a distinguished name (RFC 4514, section 2.4)."""
    escaped = _SPECIAL.sub(r"\\\1", value)
    if escaped.startswith(" "):
        escaped = "\\" + escaped
    if escaped.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    return escaped


def parts(name: str) -> list[str]:
    """The components of a distinguished name, without the spaces around them."""
    return [part.strip() for part in _SPLIT.split(name)] if name else []


def key(name: str) -> str:
    """What two spellings of one distinguished name share: Active Directory ignores case."""
    return ",".join(
        f"{attribute.strip()}={value.strip()}".casefold()
        for attribute, _equals, value in (part.partition("=") for part in parts(name))
    )


def is_dn(name: str) -> bool:
    """Whether a text is made of ``CN=``, ``OU=`` and ``DC=`` components only."""
    return bool(name) and all(_PART.fullmatch(part) for part in parts(name))


def under(path: str, root: str) -> str:
    """Place a path below a domain.

    Args:
        path: relative (``OU=Postes,OU=Siege``), already absolute, or empty for the domain itself.
        root: distinguished name of the domain.
    """
    if not path:
        return root
    if key(path).endswith(key(root)):
        return path
    return f"{path},{root}"


def parent(name: str) -> str:
    """Distinguished name of the container an object lives in; empty for a single component."""
    return ",".join(parts(name)[1:])


def depth(name: str) -> int:
    """How many components a distinguished name has: parents sort before children by it."""
    return len(parts(name))


def principal(name: str, domain_sid: str) -> str:
    """Spell a principal as Windows understands it in every language.

    Args:
        name: an account name, a SID, or ``rid:512`` for the domain's own principal of that number (512 is the domain
            administrators, whatever they are called: "Well-known SIDs", Microsoft).
        domain_sid: the domain's SID; empty while there is no domain yet, and ``rid:`` names are then left as they are.
    """
    match = _RID.fullmatch(name)
    if match is None:
        return name
    return f"{domain_sid}-{match.group(1)}" if domain_sid else name
