# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of the controller's own files: where they are, what they weigh, what is in them."""

from __future__ import annotations

DOCUMENTATION = """
name: controller_file
author: Contributors to cnosf.infogerance (@cnosf)
version_added: 0.1.0
short_description: Describe files of the controller
description:
  - Finds files as P(ansible.builtin.file#lookup) does, and answers their checksum and content as they are.
  - A file that is not there is no error; the answer says so.
  - A file encrypted with Ansible Vault is read decrypted.
options:
  _terms:
    description: Paths, absolute or relative to the C(files) folders that the task searches.
    required: true
  content:
    description: Whether the content is wanted. Leave it out for large files.
    type: bool
    default: true
"""

EXAMPLES = """
- name: Show the checksum of an installer
  ansible.builtin.debug:
    msg: "{{ lookup('cnosf.infogerance.controller_file', 'setup.msi', content=false).sha256 }}"
"""

RETURN = """
_list:
  description: One description a path.
  type: list
  elements: dict
  contains:
    source:
      description: The path asked for.
      type: str
    path:
      description: Where it is; empty when it is nowhere.
      type: str
    exists:
      description: Whether it is there.
      type: bool
    sha256:
      description: SHA-256 of the content, in small letters; empty when it is not there.
      type: str
    content:
      description: Content in base64; empty when it was not asked for or the file is not there.
      type: str
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase

_CHUNK = 1 << 20


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Describe each file."""
        self.set_options(var_options=variables, direct=kwargs)
        wanted = bool(self.get_option("content"))
        return [self._describe(str(term), variables, wanted=wanted) for term in terms]

    def _describe(self, term: str, variables: Any, *, wanted: bool) -> dict[str, Any]:
        found = self.find_file_in_search_path(variables, "files", term, ignore_missing=True) if term else None
        if not found or not Path(found).is_file():
            return {"source": term, "path": "", "exists": False, "sha256": "", "content": ""}
        checksum, content = hashlib.sha256(), bytearray()
        try:
            with Path(self._loader.get_real_file(found, decrypt=True)).open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    checksum.update(chunk)
                    if wanted:
                        content += chunk
        except (OSError, AnsibleError) as error:
            raise AnsibleLookupError(f"{found}: cannot be read: {error}") from error
        return {
            "source": term,
            "path": found,
            "exists": True,
            "sha256": checksum.hexdigest(),
            "content": base64.b64encode(bytes(content)).decode("ascii"),
        }
