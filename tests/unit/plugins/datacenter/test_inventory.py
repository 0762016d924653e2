# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading servers, and the inventory plugin, against the simulated datacenter."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible.plugins.test
import pytest
import yaml
from ansible import constants, context
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, inventory_loader
from ansible.vars.manager import VariableManager

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import factory
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.survey import survey
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import NotFoundError, PermissionMissingError
from tests.unit.plugins.datacenter.conftest import FLOORS

if TYPE_CHECKING:
    from tests.unit.plugins.datacenter.conftest import Estate


@pytest.fixture
def three(estate: Estate, web01: dict[str, Any]) -> Estate:
    """web01 and dc01 running, old01 off and below the contract; read with the token of the inventory."""
    estate.server(**web01)
    estate.server(
        name="dc01",
        functions=["domain_controller"],
        system="windows_2022",
        cpus=2,
        memory_gib=16.0,
        disks=[{"size_gib": 64}],
        networks=[{"bridge": "vmbr0", "address": "10.42.0.11/24", "gateway": "10.42.0.1"}],
        site="lyon",
        tags=["dmz-2"],
        state="started",
        pool="production",
    )
    estate.server(name="old01", functions=["sql_server"], system="windows_2016", site="paris")
    estate.token = "inventory"
    return estate


# server_info


def test_survey_reads_all_in_one_shape(three: Estate) -> None:
    options = three.options(contract={"floors": FLOORS}, details=["config", "pending", "agent", "snapshots"])
    found = {server["name"]: server for server in survey(options)}
    assert list(found) == ["dc01", "old01", "web01"]
    assert found["dc01"]["networks"][0]["addresses"] == ["10.42.0.11"]
    assert found["dc01"]["conformity"]["state"] == "conform"
    assert found["old01"]["conformity"]["shortfalls"] == [
        "2 CPUs, and article 3.1 of the contract asks for at least 4",
        "4 GiB of memory, and article 3.1 of the contract asks for at least 32",
        "64 GiB of disk, and article 3.1 of the contract asks for at least 512",
    ]
    assert found["web01"]["snapshots"] == []
    assert found["web01"]["detail_error"] is None
    assert found["web01"]["reboot_required"] is False


def test_survey_selects(three: Estate) -> None:
    def names(**more: Any) -> list[str]:
        return [server["name"] for server in survey(three.options(**more))]

    assert names(names=["web01"]) == ["web01"]
    assert names(tags=["site-paris"]) == ["old01", "web01"]
    assert names(pool="production") == ["dc01"]
    with pytest.raises(NotFoundError, match="There is no server named web02, web03 here"):
        names(names=["web03", "web02", "web01"])


def test_survey_of_the_bulk_call_alone_knows_what_it_does_not_know(three: Estate) -> None:
    start = three.pve.journal.sequence
    server = survey(three.options(names=["dc01"], details=[]))[0]
    assert len(three.pve.journal.since(start)) == 1
    unknown = {name for name, value in server.items() if value is None}
    assert unknown >= {"disk_gib", "disks", "networks", "protected", "description", "pending", "reboot_required"}


def test_the_failure_of_one_is_its_own(three: Estate) -> None:
    vm = three.vm("web01")
    path = f"/nodes/{vm.node}/qemu/{vm.vmid}/config"
    three.site.call(lambda: three.pve.fail("GET", path, 500, "got timeout"))
    found = {server["name"]: server for server in survey(three.options(details=["config", "agent"]))}
    assert found["web01"]["detail_error"] == (
        f"reading server web01 (id {vm.vmid} on {vm.node}): Proxmox VE answered: got timeout"
    )
    assert found["web01"]["disks"] is None
    assert found["web01"]["address"] == "10.42.0.15"  # the agent still answered
    assert found["dc01"]["detail_error"] is None
    assert found["dc01"]["disk_gib"] == 64.0


def test_every_part_fails_on_its_own(three: Estate) -> None:
    vm = three.vm("web01")
    one = f"/nodes/{vm.node}/qemu/{vm.vmid}"
    for part in ("agent/network-get-interfaces", "snapshot"):
        three.site.call(lambda part=part: three.pve.fail("GET", f"{one}/{part}", 500, f"{part} is broken"))
    found = survey(three.options(names=["web01"], details=["config", "agent", "snapshots"]))[0]
    assert "asking the guest agent of server web01" in found["detail_error"]
    assert "snapshot is broken" in found["detail_error"]
    assert (found["disk_gib"], found["snapshots"], found["address"]) == (128.0, None, "10.42.0.15")


def test_an_agent_that_is_not_enabled_is_not_asked(three: Estate) -> None:
    three.site.call(lambda: three.vm("web01").config.update(agent="enabled=0"))
    start = three.pve.journal.sequence
    found = survey(three.options(names=["web01", "old01"], details=["config", "agent"]))
    assert [server["detail_error"] for server in found] == [None, None]
    assert not any("agent" in entry["path"] for entry in three.pve.journal.since(start))


def test_an_empty_datacenter_is_empty(three: Estate) -> None:
    three.site.call(three.pve.vms.clear)
    assert survey(three.options()) == []


def test_about(three: Estate) -> None:
    about = factory.datacenter(three.options()).about()
    assert about == {"engine": "Proxmox VE", "version": "9.0.10", "release": "9.0"}


# The inventory plugin


class Parser:
    """Writes an inventory file and lets Ansible parse it."""

    def __init__(self, estate: Estate, folder: Path) -> None:
        self.estate = estate
        self.folder = folder
        folder.mkdir()

    def write(self, **more: Any) -> str:
        file = self.folder / "datacenter.yml"
        options = self.estate.options(plugin="cnosf.infogerance.datacenter", **more)
        file.write_text(yaml.safe_dump(options), encoding="utf-8")
        return str(file)

    def __call__(self, **more: Any) -> InventoryManager:
        return InventoryManager(DataLoader(), sources=[self.write(**more)])

    def refusal(self, **more: Any) -> str:
        """The sentence of the plugin, which InventoryManager turns into a warning or a failure."""
        plugin = inventory_loader.get("cnosf.infogerance.datacenter")
        with pytest.raises(AnsibleParserError) as refused:
            plugin.parse(InventoryData(), DataLoader(), self.write(**more), cache=False)
        return str(refused.value)


@pytest.fixture
def inventory(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parser:
    monkeypatch.setattr(constants, "INVENTORY_ENABLED", ["cnosf.infogerance.datacenter"])
    return Parser(estate, tmp_path / "inventory")


def groups(manager: InventoryManager) -> dict[str, list[str]]:
    found = manager.get_groups_dict()
    return {name: sorted(hosts) for name, hosts in found.items() if hosts and name not in {"all", "ungrouped"}}


def variables(manager: InventoryManager, name: str) -> dict[str, Any]:
    host = manager.get_host(name)
    assert host is not None
    return VariableManager(loader=DataLoader(), inventory=manager).get_vars(host=host)


def test_groups_and_variables(three: Estate, inventory: Parser) -> None:
    start = three.pve.journal.sequence
    manager = inventory(floors=FLOORS)
    assert [entry["path"] for entry in three.pve.journal.since(start)] == ["/api2/json/cluster/resources"]
    assert groups(manager) == {
        "domain_controller": ["dc01"],
        "wordpress": ["web01"],
        "sql_server": ["old01"],
        "windows": ["dc01", "old01"],
        "linux": ["web01"],
        "system_windows_2022": ["dc01"],
        "system_windows_2016": ["old01"],
        "system_ubuntu_2404": ["web01"],
        "site_paris": ["old01", "web01"],
        "site_lyon": ["dc01"],
        "power_on": ["dc01", "web01"],
        "power_off": ["old01"],
        "tag_dmz_2": ["dc01"],
    }
    dc01, web01, old01 = (variables(manager, name) for name in ("dc01", "web01", "old01"))
    assert {name: dc01[name] for name in dc01 if name.startswith("ansible_winrm") or name == "ansible_port"} == {
        "ansible_port": 5986,
        "ansible_winrm_scheme": "https",
        "ansible_winrm_server_cert_validation": "validate",
    }
    assert (dc01["ansible_connection"], web01["ansible_connection"]) == ("winrm", "ssh")
    assert "ansible_host" not in dc01
    assert dc01["infogerance_server"]["conformity"]["state"] == "conform"
    assert old01["infogerance_server"]["conformity"]["state"] == "below"
    assert web01["infogerance_server"]["usage"]["cpu_percent"] > 0
    assert (web01["infogerance_server"]["site"], web01["infogerance_server"]["cpus"]) == ("paris", 4)


def test_one_call_however_many_servers(three: Estate, inventory: Parser) -> None:
    def crowd() -> None:
        for number in range(200):
            three.pve.add_vm(20000 + number, f"srv{number}", node="pve-par-2", config={"tags": "system-debian_12"})

    three.site.call(crowd)
    start = three.pve.journal.sequence
    assert len(inventory().get_hosts()) == 203
    assert len(three.pve.journal.since(start)) == 1


def test_without_details_a_large_disk_elsewhere_is_unknown_not_conform(
    three: Estate, web01: dict[str, Any], inventory: Parser
) -> None:
    three.token = "operator"
    three.server(**{**web01, "name": "web02", "disks": [{"size_gib": 64}, {"size_gib": 64}]})
    three.token = "inventory"
    conformity = variables(inventory(floors=FLOORS), "web02")["infogerance_server"]["conformity"]
    assert (conformity["state"], conformity["unmeasured"]) == ("unknown", ["disk_gib"])
    detailed = inventory(floors=FLOORS, want_details=True, details=["config"])
    assert variables(detailed, "web02")["infogerance_server"]["conformity"]["state"] == "conform"


def test_details_give_addresses_and_one_failure_costs_one(
    three: Estate, inventory: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = three.vm("web01")
    path = f"/nodes/{vm.node}/qemu/{vm.vmid}/config"
    three.site.call(lambda: three.pve.fail("GET", path, 500, "got timeout"))
    manager = inventory(want_details=True)
    assert variables(manager, "dc01")["ansible_host"] == "10.42.0.11"
    web01 = variables(manager, "web01")
    assert web01["ansible_host"] == "10.42.0.15"
    assert "got timeout" in web01["infogerance_server"]["detail_error"]
    assert variables(manager, "dc01")["infogerance_server"]["detail_error"] is None
    assert "Details of 1 of 3 servers could not be read. web01: reading server web01" in " ".join(
        capsys.readouterr().err.split()
    )


def test_the_cache_holds_details_and_their_failures_and_no_secret(
    three: Estate, inventory: Parser, tmp_path: Path
) -> None:
    vm = three.vm("web01")
    path = f"/nodes/{vm.node}/qemu/{vm.vmid}/config"
    three.site.call(lambda: three.pve.fail("GET", path, 500, "got timeout", times=1))
    caching = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
        "want_details": True,
        "details": ["config"],
    }
    first = variables(inventory(**caching), "web01")["infogerance_server"]
    assert "got timeout" in first["detail_error"]
    start = three.pve.journal.sequence
    assert variables(inventory(**caching), "web01")["infogerance_server"] == first
    assert three.pve.journal.since(start) == []
    assert three.site.tokens["inventory"] not in "".join(
        file.read_text(encoding="utf-8") for file in (tmp_path / "cache").iterdir()
    )
    other = variables(inventory(**{**caching, "details": ["config", "snapshots"]}), "web01")["infogerance_server"]
    assert other["snapshots"] == []  # other options read something else, under another key


def test_a_flushed_cache_is_read_again(three: Estate, inventory: Parser, tmp_path: Path) -> None:
    caching = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    manager = inventory(**caching)
    start = three.pve.journal.sequence
    manager.refresh_inventory()
    assert len(three.pve.journal.since(start)) == 1


def test_constructed(three: Estate, inventory: Parser) -> None:
    manager = inventory(
        floors=FLOORS,
        compose={"ansible_host": "inventory_hostname ~ '.example.org'", "gib": "infogerance_server.memory_gib"},
        groups={"not_conform": "infogerance_server.conformity.state == 'below'"},
        keyed_groups=[{"key": "infogerance_server.node", "prefix": "node"}],
    )
    found = groups(manager)
    assert found["not_conform"] == ["old01"]
    assert found["node_pve_lyo_1"] == ["dc01"]
    web01 = variables(manager, "web01")
    assert (web01["ansible_host"], web01["gib"]) == ("web01.example.org", 32.0)


def test_what_somebody_typed_into_the_engine_is_never_a_template(
    three: Estate, inventory: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.site.call(lambda: three.vm("web01").config.update(description="{{ 6 * 7 }}"))
    options = {"want_details": True, "compose": {"seen": "infogerance_server.description ~ '!'"}}
    for explicit in (True, False):
        plugin = sys.modules["ansible_collections.cnosf.infogerance.plugins.inventory.datacenter"]
        monkeypatch.setattr(plugin, "TRUST_IS_EXPLICIT", explicit)
        assert variables(inventory(**options), "web01")["seen"] == "{{ 6 * 7 }}!"


def test_a_server_that_the_bulk_reading_does_not_know_yet_is_asked_for(
    three: Estate, inventory: Parser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Proxmox's bulk reading knows nothing of a server that is seconds old, or whose host is down."""
    original, web01 = three.pve._vm_item, three.vm("web01")
    known = ("id", "type", "node", "vmid", "tags", "lock")

    def stale(vm: Any) -> dict[str, Any]:
        item = original(vm)
        return {name: item[name] for name in known if name in item} if vm is web01 else item

    monkeypatch.setattr(three.pve, "_vm_item", stale)
    start = three.pve.journal.sequence
    server = variables(inventory(floors=FLOORS), "web01")["infogerance_server"]
    assert (server["power"], server["cpus"], server["conformity"]["state"]) == ("on", 4, "conform")
    assert len(three.pve.journal.since(start)) == 2
    three.site.call(lambda: three.pve.set_node_offline(web01.node))
    assert {host.name for host in inventory().get_hosts()} == {"dc01", "old01"}
    said = " ".join(capsys.readouterr().err.split())
    assert f"name is not known are left out: their host is down, or they are being made (ids {web01.vmid})." in said


def test_selection(three: Estate, inventory: Parser) -> None:
    def names(**more: Any) -> list[str]:
        return sorted(host.name for host in inventory(**more).get_hosts())

    assert names(pools=["production"]) == ["dc01"]
    assert names(tags=["site-paris", "function-wordpress"]) == ["web01"]
    assert names(exclude_tags=["dmz-2"]) == ["old01", "web01"]
    assert "tpl-debian-12" in names(include_templates=True)


def test_details_are_read_of_selected_servers_only(three: Estate, inventory: Parser) -> None:
    start = three.pve.journal.sequence
    inventory(want_details=True, details=["config"], pools=["production"])
    assert len(three.pve.journal.since(start)) == 2


def test_two_servers_of_one_name(three: Estate, inventory: Parser) -> None:
    vm = three.vm("web01")
    three.site.call(lambda: three.pve.add_vm(777, "web01", node="pve-lyo-1"))
    hosts = inventory(duplicate_names="suffix").get_hosts()
    assert {host.name for host in hosts} == {"dc01", "old01", "web01-777", f"web01-{vm.vmid}"}
    assert f"2 servers are named web01 (id {vm.vmid} on {vm.node}, id 777 on pve-lyo-1)" in inventory.refusal()


def test_bad_days_of_the_inventory(three: Estate, inventory: Parser) -> None:
    assert "refuses the credentials (authentication failure)" in inventory.refusal(token_secret="wrong")
    assert "there is no file /nowhere/ca.pem" in inventory.refusal(ca_file="/nowhere/ca.pem")
    assert "contract: " in inventory.refusal(contract="/nowhere/contract.yml")
    assert "'cpus' must be a number above zero, not 0" in inventory.refusal(floors=[{**FLOORS[0], "cpus": 0}])
    user = three.options()["token_id"]
    three.site.call(lambda: three.pve.acl.update({user: []}))
    assert "the privilege VM.Audit is missing on /vms" in inventory.refusal()
    with pytest.raises(PermissionMissingError):
        survey(three.options())


def test_the_contract_is_read_beside_the_inventory(three: Estate, inventory: Parser) -> None:
    folder = inventory.folder
    (folder / "contract.yml").write_text(yaml.safe_dump({"infogerance_contract": {"floors": FLOORS}}), encoding="utf-8")
    server = variables(inventory(contract="contract.yml"), "dc01")["infogerance_server"]
    assert server["conformity"]["article"] == "3.1"
    (folder / "contract.yml").write_text("[]", encoding="utf-8")
    assert "holds no mapping" in inventory.refusal(contract="contract.yml")


def test_credentials_may_be_templates_and_come_from_the_environment(
    three: Estate, inventory: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACENTER_SECRET", three.site.tokens["inventory"])
    manager = inventory(token_secret="{{ lookup('ansible.builtin.env', 'DATACENTER_SECRET') }}")
    assert len(manager.get_hosts()) == 3


def test_the_authority_is_read_beside_the_inventory(
    three: Estate, inventory: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Path(three.options()["ca_file"])
    (inventory.folder / "ca.pem").write_bytes(authority.read_bytes())
    assert len(inventory(ca_file="ca.pem").get_hosts()) == 3
    monkeypatch.setenv("AUTHORITY", str(authority))
    assert len(inventory(ca_file="{{ lookup('ansible.builtin.env', 'AUTHORITY') }}").get_hosts()) == 3


def test_only_files_of_the_right_name_are_ours(inventory: Parser, tmp_path: Path) -> None:
    plugin = inventory_loader.get("cnosf.infogerance.datacenter")
    for name, ours in (("datacenter.yml", True), ("lab.datacenter.yaml", True), ("hosts.yml", False)):
        file = tmp_path / name
        file.write_text("{}", encoding="utf-8")
        assert plugin.verify_file(str(file)) is ours


@pytest.mark.parametrize(("arguments", "prepared"), [({"start_at_task": None}, True), ({"list": True}, False)])
def test_a_playbook_finds_its_workers_prepared(
    three: Estate, inventory: Parser, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], prepared: bool
) -> None:
    """Workers are forked from the process that reads the inventory: of a playbook, not of ansible-inventory."""
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(arguments))
    asked: list[str] = []
    monkeypatch.setattr(filter_loader, "get", asked.append)
    before = gc.get_threshold()
    try:
        inventory()
        assert (bool(asked), gc.get_threshold() > before) == (prepared, prepared)
    finally:
        gc.set_threshold(*before)


def test_every_filter_is_loaded_and_every_test_of_ansible() -> None:
    """In an interpreter of its own: here other tests have loaded some."""
    program = (
        "import sys, ansible.plugins.loader as loader; loader.init_plugin_loader([sys.argv[1]]);"
        "from ansible_collections.cnosf.infogerance.plugins.inventory.datacenter import prepare_workers;"
        "prepare_workers();"
        "print(*[name for name in sys.modules if '.plugins.filter.' in name or '.plugins.test.' in name])"
    )
    repository = Path(__file__).parents[4]
    command = [sys.executable, "-c", program, str(repository / ".collections")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = {name.rpartition(".")[2] for name in said if ".cnosf.infogerance." in name}
    assert found == {path.stem for path in (repository / "plugins" / "filter").glob("*.py")}
    # Ansible gives a module that it loads from a file a name of its own: the file's, and a number.
    tests = {name.rpartition(".")[2].rpartition("_")[0] for name in said if name.startswith("ansible.plugins.test.")}
    assert tests >= {path.stem for path in Path(ansible.plugins.test.__file__).parent.glob("[!_]*.py")}


def test_described_servers_survive_json(three: Estate) -> None:
    found = survey(three.options(details=["config", "pending", "agent", "snapshots"]))
    assert json.loads(json.dumps(found)) == found
