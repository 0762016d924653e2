# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role windows_prerequisites: what a PKCS#12 file holds, what to ask a server, what differs there."""

from __future__ import annotations

import base64
import binascii
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import say_all
from ansible_collections.cnosf.infogerance.plugins.module_utils.shape import ShapeError, build, build_list
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import prerequisites
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.certificates import (
    CertificateError,
    read_pkcs12,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language


def pkcs12_info(content: str, password: str = "") -> dict[str, Any]:
    """What a PKCS#12 file holds."""
    try:
        bundle = read_pkcs12(base64.b64decode(content, validate=True), str(password))
    except binascii.Error as error:
        raise AnsibleFilterError("pkcs12_info: base64 is expected") from error
    except CertificateError as error:
        raise AnsibleFilterError(f"pkcs12_info: {error}") from error
    told = asdict(bundle.certificate)
    told["dns_names"] = list(told["dns_names"])
    told["others"] = [other.thumbprint for other in bundle.others]
    return told


def windows_prerequisites_request(
    declared: Mapping[str, Any], files: Iterable[Mapping[str, Any]], language: Language = "fr"
) -> dict[str, Any]:
    """What to ask the server."""
    declaration, found = _declaration(declared), _contents(files)
    asked = prerequisites.request(declaration, found, found)
    return {**asked, "problems": say_all(asked["problems"], language)}


def windows_prerequisites_plan(
    declared: Mapping[str, Any],
    files: Iterable[Mapping[str, Any]],
    state: Mapping[str, Any],
    language: Language = "fr",
) -> dict[str, Any]:
    """What differs on the server."""
    declaration, found = _declaration(declared), _contents(files)
    held, _problems = prerequisites.hold(declaration, found, found)
    known = prerequisites.Observation.__dataclass_fields__
    try:
        observed = build(
            prerequisites.Observation, {name: value for name, value in state.items() if name in known}, "state"
        )
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from error
    differing = prerequisites.plan(declaration, held, observed)
    return {**differing, "problems": say_all(differing["problems"], language)}


def _declaration(declared: Mapping[str, Any]) -> prerequisites.Declaration:
    """The role's variables; paths of errors start with the variable's own name."""
    kinds = {
        "powershell_modules": prerequisites.PowerShellModule,
        "certificates": prerequisites.WantedCertificate,
        "packages": prerequisites.Package,
    }
    try:
        made: dict[str, Any] = {
            name: build_list(kind, declared.get(name, []), prerequisites.PREFIX + name) for name, kind in kinds.items()
        }
    except ShapeError as error:
        raise AnsibleFilterError(str(error)) from error
    return prerequisites.Declaration(**made)


def _contents(files: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """Bytes of the controller's files by source; those that are not there are left out."""
    return {str(file["source"]): base64.b64decode(str(file["content"])) for file in files if file["exists"]}


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        return {
            "pkcs12_info": pkcs12_info,
            "windows_prerequisites_request": windows_prerequisites_request,
            "windows_prerequisites_plan": windows_prerequisites_plan,
        }
