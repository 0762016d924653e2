# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate that a domain controller is to serve LDAPS with, judged before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.windows.certificates import (
    CertificateError,
    read_pkcs12,
)

from .declared import PREFIX
from .language import Text, about

if TYPE_CHECKING:
    from datetime import datetime

_FRENCH = {
    "the password is not its own": "le mot de passe n'est pas le sien",
    "it is no PKCS#12 file": "ce n'est pas un fichier PKCS#12",
    "it holds no certificate with its private key": "il ne contient pas de certificat avec sa clé privée",
}


def examine(source: str, content: bytes | None, password: str, *, fqdn: str, now: datetime) -> tuple[str, list[Text]]:
    """Thumbprint of the certificate in a PKCS#12 file, and sentences on what forbids serving it.

    Args:
        source: path of the file as it is declared.
        content: its bytes, None when the controller has no such file.
        password: what protects it.
        fqdn: full name of the domain controller, which the certificate must hold (Microsoft Learn, "Enable LDAP over
            SSL with a third-party certification authority").
        now: time of the server, aware.
    """
    path = f"{PREFIX}ldaps_certificate"
    if content is None:
        missing = about(
            f"{path}.source", f"the controller has no file {source}", f"le contrôleur n'a pas de fichier {source}"
        )
        return "", [missing]
    try:
        certificate = read_pkcs12(content, password).certificate
    except CertificateError as error:
        return "", [about(path, f"{source}: {error}", f"{source} : {_FRENCH.get(str(error), error)}")]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    if certificate.not_after <= stamp:
        found.append(
            about(
                path,
                f"the certificate {certificate.subject} expired on {certificate.not_after}; renew it",
                f"le certificat {certificate.subject} a expiré le {certificate.not_after} ; renouvelez-le",
            )
        )
    if certificate.not_before > stamp:
        found.append(
            about(
                path,
                f"the certificate {certificate.subject} is valid from {certificate.not_before} only",
                f"le certificat {certificate.subject} n'est valable qu'à partir du {certificate.not_before}",
            )
        )
    if fqdn.casefold() not in {name.casefold() for name in certificate.dns_names}:
        held = ", ".join(certificate.dns_names) or "-"
        found.append(
            about(
                path,
                f"the certificate names {held} and not {fqdn}; the directory serves one with its own name only",
                f"le certificat désigne {held} et non {fqdn} ; l'annuaire n'en sert qu'un qui porte son propre nom",
            )
        )
    return certificate.thumbprint, found
