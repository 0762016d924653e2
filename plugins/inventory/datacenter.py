# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datacenter's servers as hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: datacenter
short_description: Servers of the datacenter as hosts, grouped by what they do
version_added: 0.1.0
author: Contributors to cnosf.infogerance (@cnosf)
description:
  - Lists the servers of the datacenter in one call of its API, however many there are.
  - Groups them by function (C(sql_server)), family (C(windows), C(linux)), system (C(system_windows_2022)), site
    (C(site_paris)), power (C(power_on), C(power_off), C(power_suspended), C(power_unknown)) and tag (C(tag_dmz)).
  - Gives each the variable C(infogerance_server) with the keys that M(cnosf.infogerance.server_info) documents, size,
    place, live use and, where O(contract) or O(floors) is given, conformity with the contract among them. Without
    O(want_details) the keys that need them are left out.
  - Sets the connection variables of a family on its group, so that C(group_vars) win over them.
  - With O(want_details) it also reads configurations and asks guest agents, many at once. What cannot be read of one
    server is in its C(infogerance_server.detail_error) and costs nothing to the others; it is cached like the rest.
  - The file's name must end with C(datacenter.yml) or C(datacenter.yaml).
extends_documentation_fragment:
  - cnosf.infogerance.datacenter
  - constructed
  - inventory_cache
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [cnosf.infogerance.datacenter]
  url:
    env:
      - name: INFOGERANCE_DATACENTER_URL
  token_id:
    env:
      - name: INFOGERANCE_DATACENTER_TOKEN_ID
  token_secret:
    env:
      - name: INFOGERANCE_DATACENTER_TOKEN_SECRET
  user:
    env:
      - name: INFOGERANCE_DATACENTER_USER
  password:
    env:
      - name: INFOGERANCE_DATACENTER_PASSWORD
  ca_file:
    type: str  # not a path: that would be made absolute before it is templated
    description:
      - PEM file of the authority that signed the API's certificate. A relative path starts at the inventory file.
      - It alone is trusted, whatever E(REQUESTS_CA_BUNDLE) and E(SSL_CERT_FILE) say. Without it, the authorities of the
        system apply.
    env:
      - name: INFOGERANCE_DATACENTER_CA_FILE
  want_details:
    description: Whether to read what the bulk call does not say, at O(details) calls for each server.
    type: bool
    default: false
  details:
    description:
      - What to read of each server.
      - V(config) gives disks, networks, protection and description; V(agent) the addresses that the guest reports;
        V(snapshots) the snapshots.
    type: list
    elements: str
    choices: [config, agent, snapshots]
    default: [config, agent]
  detail_workers:
    description: How many servers are read at once.
    type: int
    default: 64
  contract:
    description:
      - YAML file that holds the contract's data, as C(infogerance_contract) or as its content.
      - A relative path starts at the inventory file.
    type: str
  floors:
    description: The contract's floors, instead of O(contract).
    type: list
    elements: dict
  families:
    description: Family of each system, by patterns; the first that fits wins.
    type: dict
    default:
      windows: ["windows*"]
      linux: ["*"]
  connection_variables:
    description: Variables of the group of each family.
    type: dict
    default:
      windows:
        ansible_connection: winrm
        ansible_port: 5986
        ansible_winrm_scheme: https
        ansible_winrm_server_cert_validation: validate
      linux:
        ansible_connection: ssh
        ansible_python_interpreter: /usr/bin/python3  # looking for one costs each run a round trip to each server
  include_templates:
    description: Whether templates are hosts too.
    type: bool
    default: false
  pools:
    description: Take the servers of these pools only; a name may be a template.
    type: list
    elements: str
    default: []
  tags:
    description:
      - Take the servers that carry all of these labels only, written as the engine holds them (C(site-paris)).
      - A label may be a template.
    type: list
    elements: str
    default: []
  exclude_tags:
    description: Leave out the servers that carry one of these labels.
    type: list
    elements: str
    default: []
  duplicate_names:
    description:
      - What to do when two servers carry one name. V(refuse) fails; V(suffix) names them C(name-id).
    type: str
    choices: [refuse, suffix]
    default: refuse
"""

EXAMPLES = r"""
---
# inventories/production/datacenter.yml: the servers that run, reached at the address of their configuration.
plugin: cnosf.infogerance.datacenter
url: https://pve.example.org:8006
token_id: inventory@pve!ansible
token_secret: "{{ lookup('ansible.builtin.env', 'DATACENTER_TOKEN_SECRET') }}"
ca_file: /etc/infogerance/ca.pem
sites: {pve1: paris, pve2: paris, pve3: lyon}
contract: group_vars/all/contract.yml
want_details: true
details: [config]
---
# A large datacenter: one call, names that DNS resolves, groups by physical host.
plugin: cnosf.infogerance.datacenter
url: https://pve.example.org:8006
token_id: inventory@pve!ansible
token_secret: "{{ lookup('ansible.builtin.env', 'DATACENTER_TOKEN_SECRET') }}"
pools: [client]
compose:
  ansible_host: inventory_hostname ~ '.client.example.org'
keyed_groups:
  - key: infogerance_server.node
    prefix: node
groups:
  not_conform: infogerance_server.conformity.state == 'below'
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/cache/infogerance
cache_timeout: 300
"""

import contextlib
import gc
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible import context
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.plugins.loader import filter_loader, test_loader
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.cnosf.infogerance.plugins.module_utils.contract import floor as contract_floor
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import factory, facts, grouping
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.survey import described
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InfogeranceError, InputError

try:
    from ansible.template import trust_as_template as _trust_as_template  # only what is trusted is a template

    TRUST_IS_EXPLICIT = _trust_as_template is not None
except ImportError:  # ansible-core before 2.19 takes everything for a template unless it is told otherwise
    TRUST_IS_EXPLICIT = False

if TYPE_CHECKING:
    from collections.abc import Mapping

# Options that say how to reach the API. Text among them may be a template, so that secrets stay out of the file.
CONNECTION = (
    "engine",
    "url",
    "token_id",
    "token_secret",
    "user",
    "password",
    "ca_file",
    "validate_certs",
    "timeout",
    "sites",
    "detail_workers",
)
# Options that say which servers are read, and how much of them.
CHOICE = ("want_details", "details", "include_templates", "pools", "tags", "exclude_tags")

# A test of each file that ansible-core keeps its tests in.
ONE_TEST_OF_EACH_FILE = (
    "ansible.builtin.search",
    "ansible.builtin.exists",
    "ansible.builtin.superset",
    "ansible.builtin.uri",
)
# Python's own are 700, 10 and 10. With these a run of the example estate needs as much memory as before.
COLLECTOR_THRESHOLDS = (20_000, 10, 10)


def prepare_workers() -> None:
    """Make this process one that Ansible's workers are cheap to fork from.

    Each task runs in a worker of its own, forked from the process that reads the inventory, and lives for some tens of
    milliseconds. What that process has not loaded, each worker loads anew: Ansible looks for a filter in one file of a
    collection after the other, and reads its own tests from their files. And the collector of cycles, which walks
    through hundreds of inherited objects for each handful of new ones, takes a tenth of a worker's life and finds
    nothing in it.
    """
    with contextlib.suppress(KeyError):
        # Not there, so that the search goes through them all.
        filter_loader.get("cnosf.infogerance.none")
    for name in ONE_TEST_OF_EACH_FILE:
        test_loader.get(name)
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Translates between Ansible's inventory and the library."""

    NAME = "cnosf.infogerance.datacenter"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is ours, by its name."""
        return bool(super().verify_file(path)) and path.endswith(("datacenter.yml", "datacenter.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory from the datacenter, or from the cache.

        Raises:
            AnsibleParserError: an option or the datacenter refuses; the sentence says what to do.
        """
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            floors = self._floors(path)
            self._populate(self._servers(path, use_cache=cache), floors)
        except InfogeranceError as error:
            raise AnsibleParserError(f"{path}: {error}") from error
        if "start_at_task" in context.CLIARGS:  # an option of ansible-playbook alone
            prepare_workers()

    def _connection(self, path: str) -> dict[str, Any]:
        options = {name: self._templated(self.get_option(name)) for name in CONNECTION}
        if options["ca_file"]:
            options["ca_file"] = str(Path(path).parent / Path(options["ca_file"]).expanduser())
        return options

    def _templated(self, value: Any) -> Any:
        return self.templar.template(value) if isinstance(value, str) else value

    def _floors(self, path: str) -> list[contract_floor.Floor]:
        floors = self.get_option("floors")
        if floors is not None:
            return contract_floor.load({"floors": floors})
        name = self.get_option("contract")
        if not name:
            return []
        file = Path(path).parent / str(self._templated(name))
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise InputError(f"contract: {file} cannot be read ({error}).") from error
        if not isinstance(data, dict):
            raise InputError(f"contract: {file} holds no mapping.")
        return contract_floor.load(data.get("infogerance_contract", data))

    def _servers(self, path: str, *, use_cache: bool) -> list[Mapping[str, Any]]:
        """Answer the described servers from the cache when it holds them, else from the datacenter."""
        self.load_cache_plugin()
        connection = self._connection(path)
        key = self._key(path, connection)
        caching = bool(self.get_option("cache"))
        if caching and use_cache and key in self._cache:
            cached: list[Mapping[str, Any]] = self._cache[key]
            return cached
        servers = self._read(connection)
        if caching:
            self._cache[key] = servers
        return servers

    def _key(self, path: str, connection: Mapping[str, Any]) -> str:
        """Answer a cache key that changes with whatever changes what is read; no secret is in it."""
        reading = {name: connection[name] for name in ("engine", "url", "token_id", "user", "sites")}
        reading |= {name: self.get_option(name) for name in CHOICE}
        digest = hashlib.sha256(json.dumps(reading, sort_keys=True, default=str).encode()).hexdigest()[:16]
        return f"{self.get_cache_key(path)}_{digest}"

    def _read(self, connection: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        datacenter = factory.datacenter(connection)
        found = datacenter.landscape(settled=True).servers
        servers = [server for server in found if server.named]
        if len(servers) < len(found):
            numbers = ", ".join(server.id for server in found if not server.named)
            self.display.warning(
                "Servers whose name is not known are left out: their host is down, or they are being made "
                f"(ids {numbers})."
            )
        taken = grouping.selected(
            [facts.describe(server) for server in servers],
            templates=self.get_option("include_templates"),
            pools=[self._templated(name) for name in self.get_option("pools")],
            tags=[self._templated(label) for label in self.get_option("tags")],
            exclude_tags=self.get_option("exclude_tags"),
        )
        if not self.get_option("want_details"):
            return taken
        identifiers = {item["id"] for item in taken}
        wanted = [server for server in servers if server.id in identifiers]
        parts, workers = self.get_option("details"), self.get_option("detail_workers")
        result: list[Mapping[str, Any]] = []
        failed: list[str] = []
        for detail in datacenter.details(wanted, parts, workers):
            result.append(described(detail))
            if detail.error:
                failed.append(f"{detail.server.name}: {detail.error}")
        if failed:
            self.display.warning(f"Details of {len(failed)} of {len(result)} servers could not be read. {failed[0]}")
        return result

    def _populate(self, servers: list[Mapping[str, Any]], floors: list[contract_floor.Floor]) -> None:
        families = self.get_option("families")
        hosts = grouping.named(servers, suffix_duplicates=self.get_option("duplicate_names") == "suffix")
        for family in families:
            self._family(family)
        created: set[str] = set()
        unread = frozenset() if self.get_option("want_details") else facts.DETAILS
        for name, item in hosts.items():
            self.inventory.add_host(name)
            known = {key: value for key, value in item.items() if key not in unread}
            if floors:
                known["conformity"] = facts.conformity(item, floors)
            # Not through the inventory: that copies and tags every value, which takes most of the time of a large
            # datacenter. Nobody else holds these, and what somebody typed into the engine is never a template.
            self.inventory.get_host(name).set_variable(
                "infogerance_server", known if TRUST_IS_EXPLICIT else wrap_var(known)
            )
            if item["address"]:
                self.inventory.set_variable(name, "ansible_host", item["address"])
            for group in grouping.groups(item, families):
                if group not in created:
                    self.inventory.add_group(group)
                    created.add(group)
                self.inventory.add_child(group, name)
        self._construct(hosts)

    def _family(self, family: str) -> None:
        group = self.inventory.add_group(grouping.group_name(family))
        for name, value in (self.get_option("connection_variables").get(family) or {}).items():
            self.inventory.set_variable(group, name, value)

    def _construct(self, hosts: Mapping[str, Any]) -> None:
        """Apply `compose`, `groups` and `keyed_groups`, when there are any."""
        compose, groups, keyed = (self.get_option(name) for name in ("compose", "groups", "keyed_groups"))
        strict = self.get_option("strict")
        if not (compose or groups or keyed):
            return
        for name in hosts:
            variables = self.inventory.get_host(name).get_vars()
            if compose:
                self._set_composite_vars(compose, variables, name, strict=strict)
            if groups:
                self._add_host_to_composed_groups(groups, variables, name, strict=strict)
            if keyed:
                self._add_host_to_keyed_groups(keyed, variables, name, strict=strict)
