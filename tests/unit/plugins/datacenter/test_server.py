# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `server` against the simulated datacenter: what it writes, to the letter, and when it writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    ConflictError,
    ContractError,
    EngineError,
    InputError,
    NotAppliedError,
)

if TYPE_CHECKING:
    from tests.unit.plugins.datacenter.conftest import Estate


def without_digest(writes: list[tuple[str, str, dict[str, str]]]) -> list[tuple[str, str, dict[str, str]]]:
    """The writes without the digest that guards them, once it was seen to be there where it must."""
    for method, path, parameters in writes:
        if method == "PUT" or path.endswith("/config"):
            assert parameters.pop("digest"), path
    return writes


def test_creates_a_server_with_exactly_these_writes(estate: Estate, web01: dict[str, Any]) -> None:
    web01["protected"] = True
    with estate.recording() as writes:
        result = estate.server(**web01)
    number = result["server"]["id"]
    host = result["server"]["node"]
    one = f"nodes/{host}/qemu/{number}"
    clone = {
        "newid": number,
        "name": "web01",
        "full": "1",
        "description": "Being created by cnosf.infogerance: not configured yet",
    }
    if host != "pve-par-1":
        clone["target"] = host
    assert without_digest(writes) == [
        ("POST", "nodes/pve-par-1/qemu/9002/clone", clone),
        (
            "PUT",
            f"{one}/config",
            {
                "cores": "4",
                "memory": "32768",
                "tags": "function-wordpress;site-paris;system-ubuntu_2404",
                "protection": "1",
                "description": "Managed by cnosf.infogerance",
                "ipconfig0": "ip=10.42.0.15/24,gw=10.42.0.1",
            },
        ),
        ("PUT", f"{one}/resize", {"disk": "scsi0", "size": "128G"}),
        ("POST", f"{one}/status/start", {}),
    ]
    server = result["server"]
    assert result["changed"] is True
    assert (server["cpus"], server["memory_gib"], server["disk_gib"]) == (4, 32.0, 128.0)
    assert (server["power"], server["site"], server["address"]) == ("on", "paris", "10.42.0.15")
    assert server["functions"] == ["wordpress"]
    assert server["protected"] is True
    assert result["conformity"]["state"] == "conform"
    assert result["reboot_required"] is False


def test_check_mode_predicts_the_run_and_writes_nothing(estate: Estate, web01: dict[str, Any]) -> None:
    with estate.recording() as writes:
        predicted = estate.server(check=True, **web01)
    assert writes == []
    assert predicted["changed"] is True
    assert predicted["server"] == {}
    done = estate.server(**web01)
    assert done["changes"] == predicted["changes"]
    assert done["diff"] == predicted["diff"]
    assert [change["action"] for change in done["changes"]] == ["create", "configure", "grow_disk", "start"]


def test_second_run_changes_nothing_and_writes_nothing(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    with estate.recording() as writes:
        again = estate.server(**web01)
    assert (again["changed"], again["changes"], writes) == (False, [], [])
    assert again["diff"] == {"before": "", "after": ""}


def test_growth_of_a_running_server_waits_for_a_restart_and_says_so(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    bigger = {**web01, "cpus": 6, "memory_gib": 48.0, "disks": [{"size_gib": 160}, {"size_gib": 50}]}
    predicted = estate.server(check=True, **bigger)
    with estate.recording() as writes:
        result = estate.server(**bigger)
    one = f"nodes/{result['server']['node']}/qemu/{result['server']['id']}"
    assert without_digest(writes) == [
        ("PUT", f"{one}/config", {"cores": "6", "memory": "49152"}),
        ("PUT", f"{one}/resize", {"disk": "scsi0", "size": "160G"}),
        ("POST", f"{one}/config", {"scsi1": "ceph-vm:50,discard=on"}),
    ]
    assert result["changes"] == predicted["changes"]
    assert result["reboot_required"] is True
    assert result["server"]["pending"] == {"cpus": 6, "memory_gib": 48.0}
    assert (result["server"]["cpus"], result["server"]["memory_gib"]) == (4, 32.0)
    assert [disk["size_gib"] for disk in result["server"]["disks"]] == [160.0, 50.0]
    again = estate.server(**bigger)
    assert (again["changed"], again["reboot_required"]) == (False, True)
    estate.server(**{**bigger, "state": "stopped"})
    after = estate.server(**bigger)
    assert (after["reboot_required"], after["server"]["cpus"]) == (False, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cpus": 2}, "has 4 CPUs and 2 CPUs are declared: a server is never shrunk. Declare at least 4."),
        ({"memory_gib": 16.0}, "has 32 GiB memory and 16 GiB memory are declared: a server is never shrunk."),
        (
            {"disks": [{"size_gib": 100}]},
            "disk 1 (scsi0) has 128 GiB and 100 GiB are declared: a disk is never shrunk.",
        ),
        ({"system": "debian_12"}, "carries the system 'ubuntu_2404' and 'debian_12' is declared: a server is never"),
    ],
)
def test_never_shrinks_and_never_replaces(
    estate: Estate, web01: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    del web01["contract"]
    estate.server(**web01)
    with estate.recording() as writes, pytest.raises(InputError) as refused:
        estate.server(**{**web01, **change})
    assert message in str(refused.value)
    assert writes == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"cpus": 1},
            "1 CPU, and article 3.1 of the contract asks for at least 4.",
        ),
        (
            {"memory_gib": 31.5},
            "31.5 GiB of memory, and article 3.1 of the contract asks for at least 32.",
        ),
        (
            {"disks": [{"size_gib": 100}, {"size_gib": 27}]},
            "127 GiB of disk, and article 3.1 of the contract asks for at least 128.",
        ),
    ],
)
def test_less_than_the_contract_is_refused_with_the_article(
    estate: Estate, web01: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with estate.recording() as writes, pytest.raises(ContractError) as refused:
        estate.server(**{**web01, **change})
    assert str(refused.value) == f"server web01 (wordpress) would have {message}"
    assert refused.value.article == "3.1"
    assert writes == []


def test_a_size_left_out_is_judged_by_the_template(estate: Estate, web01: dict[str, Any]) -> None:
    del web01["cpus"]
    with pytest.raises(ContractError, match=r"would have 1 CPU, and article 3\.1"):
        estate.server(**web01)


def test_disks_that_are_not_declared_count_for_the_contract(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**{**web01, "disks": [{"size_gib": 64}, {"size_gib": 64}]})
    assert estate.server(**{**web01, "disks": [{"size_gib": 64}]})["changed"] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"functions": ["wordpres"]},
            "server web01: unknown function wordpres. Known functions: domain_controller, sql_server, wordpress.",
        ),
        (
            {"system": "windows_2025"},
            (
                "server web01: there is no template for the system 'windows_2025' (label system-windows_2025). Known "
                "templates: tpl-debian-12, tpl-ubuntu-2404, tpl-windows-2016, tpl-windows-2022."
            ),
        ),
        (
            {"template": "tpl-none"},
            (
                "server web01: there is no template 'tpl-none'. Known templates: tpl-debian-12, tpl-ubuntu-2404, "
                "tpl-windows-2016, tpl-windows-2022."
            ),
        ),
        ({"site": "nice"}, "server web01: there is no site 'nice'. Known sites: lyon, paris."),
        (
            {"node": "pve9"},
            "server web01: there is no host 'pve9'. Known hosts: pve-lyo-1, pve-par-1, pve-par-2.",
        ),
        ({"name": "tpl-debian-12"}, "template tpl-debian-12 (id 9003 on pve-par-1) carries the name of the server"),
    ],
)
def test_unknown_names_are_refused_with_those_that_exist(
    estate: Estate, web01: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with estate.recording() as writes, pytest.raises(InputError) as refused:
        estate.server(**{**web01, **change})
    assert message in str(refused.value)
    assert writes == []


def test_a_new_server_needs_a_template_or_a_system(estate: Estate) -> None:
    with pytest.raises(InputError, match="nothing says what to create it from: give 'system' or 'template'"):
        estate.server(name="new01")


def test_two_servers_of_one_name_are_refused(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    twin = estate.vm("web01")
    estate.site.call(lambda: estate.pve.add_vm(777, "web01", node="pve-lyo-1"))
    with estate.recording() as writes, pytest.raises(ConflictError) as refused:
        estate.server(**web01)
    assert str(refused.value) == (
        f"2 servers are named web01 (id {twin.vmid} on {twin.node}, id 777 on pve-lyo-1): rename or delete all but one."
    )
    assert writes == []


def test_deletes_only_with_force_and_not_what_is_protected(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**{**web01, "protected": True})
    with pytest.raises(InputError, match="is not deleted without 'force: true': its disks would be lost"):
        estate.server(name="web01", state="absent")
    with pytest.raises(InputError, match="is protected: set 'protected: false' in a run of its own"):
        estate.server(name="web01", state="absent", force=True)
    estate.server(name="web01", protected=False)
    predicted = estate.server(check=True, name="web01", state="absent", force=True)
    vm = estate.vm("web01")
    with estate.recording() as writes:
        result = estate.server(name="web01", state="absent", force=True, shutdown_timeout=90)
    one = f"nodes/{vm.node}/qemu/{vm.vmid}"
    assert writes == [
        ("POST", f"{one}/status/shutdown", {"timeout": "90", "forceStop": "1"}),
        ("DELETE", one, {"purge": "1", "destroy-unreferenced-disks": "1"}),
    ]
    assert result["changes"] == predicted["changes"]
    assert (result["changed"], result["server"]) == (True, {})
    assert all(entry.name != "web01" for entry in estate.pve.vms)
    assert estate.server(name="web01", state="absent", force=True)["changed"] is False


def test_tags_of_others_stay_and_declared_families_are_replaced(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    vm = estate.vm("web01")
    estate.site.call(lambda: vm.config.update(tags="keep-me;function-old;system-ubuntu_2404;site-paris"))
    estate.server(**{**web01, "tags": ["dmz"]})
    assert vm.config["tags"] == "dmz;function-wordpress;keep-me;site-paris;system-ubuntu_2404"


def test_interfaces_keep_their_card_and_take_what_is_declared(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    vm = estate.vm("web01")
    mac = vm.config["net0"].split(",")[0].partition("=")[2]
    estate.site.call(lambda: vm.config.update(net0=f"virtio={mac},bridge=vmbr0,firewall=1,queues=4"))
    web01["networks"] = [
        {"bridge": "vmbr1", "vlan": 42, "address": "10.42.0.15/24"},
        {"bridge": "vmbr1", "mac": "bc:24:11:00:00:99", "model": "e1000"},
    ]
    predicted = estate.server(check=True, **web01)
    with estate.recording() as writes:
        result = estate.server(**web01)
    assert without_digest(writes)[0][2] == {
        "net0": f"virtio={mac},bridge=vmbr1,firewall=1,queues=4,tag=42",
        "ipconfig0": "ip=10.42.0.15/24",
        "net1": "e1000=BC:24:11:00:00:99,bridge=vmbr1",
    }
    assert result["changes"] == predicted["changes"]
    assert estate.server(**web01)["changed"] is False


def test_moves_a_server_to_its_site_and_leaves_what_ha_places(estate: Estate, web01: dict[str, Any]) -> None:
    estate.server(**web01)
    vm = estate.vm("web01")
    start = vm.node
    with estate.recording() as writes:
        result = estate.server(**{**web01, "site": "lyon"})
    assert writes[-1] == (
        "POST",
        f"nodes/{start}/qemu/{vm.vmid}/migrate",
        {"target": "pve-lyo-1", "with-local-disks": "1", "online": "1"},
    )
    assert (result["server"]["node"], result["server"]["site"]) == ("pve-lyo-1", "lyon")
    with estate.recording() as writes:
        moved = estate.server(**{**web01, "site": "lyon", "node": "pve-par-2"})
    assert [path for _method, path, _parameters in writes] == [f"nodes/pve-lyo-1/qemu/{vm.vmid}/migrate"]
    assert moved["server"]["node"] == "pve-par-2"
    client = estate.site.client()
    client.cluster.ha.resources.post(sid=f"vm:{vm.vmid}", state="started")
    with estate.recording() as writes:
        result = estate.server(**{**web01, "site": "lyon"})
    assert (writes, result["changed"], result["server"]["node"]) == ([], False, "pve-par-2")


def test_the_power_of_what_ha_manages_is_awaited(estate: Estate, web01: dict[str, Any]) -> None:
    """The task of an HA server ends when the manager was asked, before it has done anything."""
    estate.server(**web01)
    vm = estate.vm("web01")
    estate.site.client().cluster.ha.resources.post(sid=f"vm:{vm.vmid}", state="started")
    estate.site.until(lambda: vm.ha_state == "started", "the manager takes it over")
    stopped = estate.server(**{**web01, "state": "stopped"})
    assert (stopped["server"]["power"], vm.status) == ("off", "stopped")
    assert stopped["server"]["ha"] is not None
    assert estate.server(**web01)["server"]["power"] == "on"
    estate.site.run(estate.pve.stop_manager())
    with pytest.raises(EngineError, match=r"the high-availability manager has not switched it off within 1 s"):
        estate.server(**{**web01, "state": "stopped", "shutdown_timeout": 1})


def test_other_settings_are_set_and_cleared(estate: Estate, web01: dict[str, Any]) -> None:
    key = "ssh-ed25519 AAAAC3Nza me@example.org"
    more = {
        "dns_servers": ["10.42.0.11", "10.42.0.12"],
        "dns_domain": "example.org",
        "admin_user": "ops",
        "ssh_keys": [key],
        "description": "Site web\nde production",
    }
    estate.server(**web01, **more)
    vm = estate.vm("web01")
    assert vm.config["nameserver"] == "10.42.0.11 10.42.0.12"
    assert vm.config["searchdomain"] == "example.org"
    assert vm.config["ciuser"] == "ops"
    assert vm.config["sshkeys"] == "ssh-ed25519%20AAAAC3Nza%20me%40example.org"
    assert vm.config["description"] == "Site web\nde production"
    assert estate.server(**web01, **more)["changed"] is False
    with estate.recording() as writes:
        estate.server(**web01, **{**more, "dns_servers": [], "ssh_keys": []})
    assert without_digest(writes)[0][2] == {"delete": "nameserver,sshkeys"}
    assert estate.server(**web01)["changed"] is False


def test_success_without_effect_is_not_believed(
    estate: Estate, web01: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.server(**web01)

    async def deaf(_vm: Any, _user: str, _parameters: Any) -> None:
        """Answer 200 and change nothing, as engines do."""

    monkeypatch.setattr(estate.pve, "_apply_config", deaf)
    with pytest.raises(NotAppliedError) as refused:
        estate.server(**{**web01, "description": "new"})
    assert str(refused.value) == (
        "server web01: the engine reported that configure succeeded, yet reading it again shows that nothing changed "
        "(description: new). Look at the engine's task log for this object, then run again."
    )


def test_a_pool_and_a_storage_are_used_for_a_new_server(estate: Estate, web01: dict[str, Any]) -> None:
    result = estate.server(**{**web01, "pool": "production", "storage": "local-lvm", "node": "pve-par-1"})
    assert result["server"]["pool"] == "production"
    assert result["server"]["disks"][0]["storage"] == "local-lvm"


def test_a_template_on_local_storage_is_copied_there_then_moved(estate: Estate, web01: dict[str, Any]) -> None:
    def localise() -> None:
        store = estate.pve.storages
        volume = store["ceph-vm"]["volumes"].pop("base-9002-disk-0")
        store["local-lvm"].setdefault("volumes", {})["base-9002-disk-0"] = volume
        config = estate.pve.vm(9002).config
        config["scsi0"] = config["scsi0"].replace("ceph-vm:", "local-lvm:")

    estate.site.call(localise)
    web01["site"] = "lyon"
    predicted = estate.server(check=True, **web01)
    actions = [change["action"] for change in predicted["changes"]]
    assert actions == ["create", "configure", "move", "grow_disk", "start"]
    result = estate.server(**web01)
    assert result["changes"] == predicted["changes"]
    assert result["server"]["node"] == "pve-lyo-1"
