# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wordpress_health_info
short_description: Look at WordPress sites as a visitor does
version_added: 0.1.0
description:
  - Asks the server's own web server, over HTTPS, for each site's health page and home page.
author:
  - Contributors to cnosf.infogerance (@cnosf)
options:
  sites:
    description: The sites of this server.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the site.
        type: str
        required: true
      home:
        description: Folder of the site.
        type: path
        required: true
      hostname:
        description: Name that visitors use.
        type: str
        required: true
      certificate:
        description: File of the certificate that the web server must show.
        type: path
        required: true
      health_path:
        description: Path of the health page.
        type: str
        required: true
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Health of a site
  cnosf.infogerance.wordpress_health_info:
    sites:
      - name: paris
        home: /srv/wordpress/paris
        hostname: www.example.org
        certificate: /etc/ssl/wordpress/paris.pem
        health_path: /.well-known/health
"""

RETURN = r"""
sites:
  description: One entry for each site.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the site.
      type: str
    status:
      description: HTTP status of the health page; 0 without an answer.
      type: int
    health:
      description: What the health page says.
      type: dict
    home_status:
      description: HTTP status of the home page; 0 without an answer.
      type: int
    headers:
      description: Names of the home page's headers.
      type: list
      elements: str
    error:
      description: Why there is no answer; empty otherwise.
      type: str
"""

import http.client
import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress.server import Place, get

SITE = {
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "hostname": {"type": "str", "required": True},
    "certificate": {"type": "path", "required": True},
    "health_path": {"type": "str", "required": True},
}


def look(site: dict[str, Any]) -> dict[str, Any]:
    place = Place(site["home"], "", "", "", site["hostname"], site["certificate"], site["health_path"])
    found: dict[str, Any] = {
        "name": site["name"],
        "status": 0,
        "health": {},
        "home_status": 0,
        "headers": [],
        "error": "",
    }
    try:
        page = get(place, place.health_path)
        found["status"] = page.status
        home = get(place, "/")
        found |= {"home_status": home.status, "headers": sorted(home.headers)}
        found["health"] = json.loads(page.body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        found["error"] = str(error)
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={"sites": {"type": "list", "elements": "dict", "required": True, "options": SITE}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, sites=[look(site) for site in module.params["sites"]])


if __name__ == "__main__":
    main()
