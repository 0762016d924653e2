# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What remains to be done, as a pure function: tables of cases, and properties of its arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import labels, placement
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import (
    GIB,
    Datacenter,
    Disk,
    Host,
    Landscape,
    Nic,
    Power,
    Server,
    Storage,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.plan import (
    UNFINISHED,
    Situation,
    effective,
    plan,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.proxmox_writing import next_disk_key
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.spec import (
    DiskSpec,
    NetworkSpec,
    ServerSpec,
    from_options,
)
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import (
    ConflictError,
    InputError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change

SERVER = Server(
    id="100",
    name="x",
    power=Power.OFF,
    host="h1",
    cpus=4,
    memory_mib=8192,
    disks=(Disk("scsi0", "store", "store:0", 64 * GIB),),
    nics=(Nic("net0", "AA", "virtio", "vmbr0", None, "10.0.0.2/24", "10.0.0.1"),),
    tags=("function-a", "keep", "site-p", "system-s"),
    protected=False,
    description="",
    detailed=True,
)
TEMPLATE = replace(
    SERVER,
    id="900",
    name="tpl-s",
    template=True,
    tags=("system-s", "golden"),
    storages=("store",),
    cpus=1,
    memory_mib=2048,
)
HOSTS = (
    Host("h1", online=True, site="p", memory_free_bytes=10 * GIB),
    Host("h2", online=True, site="p", memory_free_bytes=90 * GIB),
)
WORLD = Landscape((SERVER, TEMPLATE), HOSTS, (Storage("store", "h1", shared=True),))


def planned(spec: ServerSpec, server: Server | None = SERVER, world: Landscape = WORLD, **more: Any) -> list[Change]:
    template = None if server else TEMPLATE
    return plan(spec, Situation(world, server, template, **more), next_disk_key)


def brief(changes: Sequence[Change]) -> list[tuple[str, dict[str, Any]]]:
    return [(change.action, dict(change.after)) for change in changes]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ServerSpec("x"), []),
        (ServerSpec("x", cpus=4, memory_mib=8192, disks=(DiskSpec(64),), running=False, protected=False), []),
        (ServerSpec("x", cpus=5), [("configure", {"cpus": 5})]),
        (ServerSpec("x", memory_mib=16384), [("configure", {"memory_gib": 16.0})]),
        (
            ServerSpec("x", tags=("new",)),
            [("configure", {"tags": ["function-a", "keep", "new", "site-p", "system-s"]})],
        ),
        (ServerSpec("x", functions=()), [("configure", {"tags": ["keep", "site-p", "system-s"]})]),
        (
            ServerSpec("x", functions=("b", "c"), site="p", system="s"),
            [("configure", {"tags": ["function-b", "function-c", "keep", "site-p", "system-s"]})],
        ),
        (ServerSpec("x", protected=True), [("configure", {"protected": True})]),
        (ServerSpec("x", description="hello"), [("configure", {"description": "hello"})]),
        (ServerSpec("x", dns_servers=("1.1.1.1",)), [("configure", {"dns_servers": ["1.1.1.1"]})]),
        (ServerSpec("x", disks=(DiskSpec(65),)), [("grow_disk", {"key": "scsi0", "size_gib": 65})]),
        (
            ServerSpec("x", disks=(DiskSpec(64), DiskSpec(10), DiskSpec(20, "other"))),
            [
                ("add_disk", {"key": "scsi1", "size_gib": 10, "storage": "store"}),
                ("add_disk", {"key": "scsi2", "size_gib": 20, "storage": "other"}),
            ],
        ),
        (ServerSpec("x", networks=(NetworkSpec("vmbr0"),)), []),
        (ServerSpec("x", networks=(NetworkSpec("vmbr0", address="10.0.0.2/24", gateway="10.0.0.1"),)), []),
        (
            ServerSpec("x", networks=(NetworkSpec("vmbr0", 7),)),
            [
                (
                    "configure",
                    {
                        "networks": [
                            {
                                "bridge": "vmbr0",
                                "vlan": 7,
                                "address": "10.0.0.2/24",
                                "gateway": "10.0.0.1",
                                "model": "virtio",
                            }
                        ]
                    },
                )
            ],
        ),
        (ServerSpec("x", networks=(NetworkSpec("vmbr0", mac="aa"),)), []),
        (ServerSpec("x", running=True), [("start", {"power": "on"})]),
        (ServerSpec("x", absent=True, force=True), [("delete", {})]),
        (ServerSpec("x", host="h2"), [("move", {"host": "h2"})]),
    ],
)
def test_plan_of_an_existing_server(spec: ServerSpec, expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert brief(planned(spec)) == expected


def test_everything_at_once_comes_in_the_order_in_which_it_must_happen() -> None:
    spec = ServerSpec("x", cpus=8, host="h2", disks=(DiskSpec(70), DiskSpec(5)), running=True)
    assert [change.action for change in planned(spec)] == ["configure", "move", "grow_disk", "add_disk", "start"]


def test_plan_of_a_new_server_is_known_beforehand() -> None:
    spec = ServerSpec("new", system="s", cpus=2, disks=(DiskSpec(80), DiskSpec(5)), running=True, pool="pool")
    assert brief(planned(spec, None, host="h2")) == [
        ("create", {"template": "tpl-s", "host": "h2", "pool": "pool"}),
        ("configure", {"cpus": 2, "tags": ["system-s"], "description": "Managed by cnosf.infogerance"}),
        ("grow_disk", {"key": "scsi0", "size_gib": 80}),
        ("add_disk", {"key": "scsi1", "size_gib": 5, "storage": "store"}),
        ("start", {"power": "on"}),
    ]


def test_a_copy_on_local_storage_is_moved_afterwards() -> None:
    world = replace(WORLD, storages=(Storage("store", "h1"),))
    changes = planned(ServerSpec("new", system="s"), None, world, host="h2")
    assert [(change.action, change.after.get("host")) for change in changes] == [
        ("create", "h1"),
        ("configure", None),
        ("move", "h2"),
    ]


def test_absent_and_running_is_stopped_first() -> None:
    changes = planned(ServerSpec("x", absent=True, force=True), replace(SERVER, power=Power.ON))
    assert [change.action for change in changes] == ["stop", "delete"]
    assert planned(ServerSpec("x", absent=True), None) == []


def test_what_waits_for_a_restart_is_not_planned_again() -> None:
    waiting = replace(SERVER, power=Power.ON, pending={"cpus": 8, "memory_mib": 16384})
    assert planned(ServerSpec("x", cpus=8, memory_mib=16384), waiting) == []
    assert effective(waiting).cpus == 8
    with pytest.raises(InputError, match="has 8 CPUs and 4 CPUs are declared"):
        planned(ServerSpec("x", cpus=4), waiting)


def test_a_disk_of_unknown_size_is_not_guessed() -> None:
    hidden = replace(SERVER, disks=(Disk("scsi0", "store", "store:0", None),))
    with pytest.raises(InputError, match="the engine does not say the size of disk scsi0"):
        planned(ServerSpec("x", disks=(DiskSpec(64),)), hidden)


def test_a_further_disk_needs_a_storage() -> None:
    with pytest.raises(InputError, match="disk 1 has to be added and no storage is declared for it"):
        planned(ServerSpec("x", disks=(DiskSpec(1),)), replace(SERVER, disks=()))


def test_an_unfinished_copy_takes_any_size_and_system() -> None:
    copy = replace(SERVER, description=UNFINISHED, tags=("golden", "system-other"))
    assert brief(planned(ServerSpec("x", cpus=1, memory_mib=512, system="s"), copy)) == [
        (
            "configure",
            {"cpus": 1, "memory_gib": 0.5, "tags": ["system-s"], "description": "Managed by cnosf.infogerance"},
        )
    ]


sizes = st.lists(st.integers(1, 500), max_size=5)


@given(has=sizes, wants=sizes)
def test_disks_end_at_the_larger_of_both_or_nothing_is_planned(has: list[int], wants: list[int]) -> None:
    disks = tuple(Disk(f"scsi{index}", "store", f"v{index}", size * GIB) for index, size in enumerate(has))
    server = replace(SERVER, disks=disks)
    spec = ServerSpec("x", disks=tuple(DiskSpec(size) for size in wants), storage="store")
    if any(want < size for want, size in zip(wants, has, strict=False)):
        with pytest.raises(InputError, match="a disk is never shrunk"):
            planned(spec, server)
        return
    after = {disk.key: disk.size_gib for disk in disks}
    for change in planned(spec, server):
        assert change.action == ("grow_disk" if change.after["key"] in after else "add_disk")
        after[change.after["key"]] = change.after["size_gib"]
    assert (
        list(after.values())
        == [max(pair) for pair in zip(wants, has, strict=False)] + wants[len(has) :] + has[len(wants) :]
    )


@given(
    cpus=st.integers(1, 64), memory=st.integers(1, 512), want_cpus=st.integers(1, 64), want_memory=st.integers(1, 512)
)
def test_size_never_falls(cpus: int, memory: int, want_cpus: int, want_memory: int) -> None:
    server = replace(SERVER, cpus=cpus, memory_mib=memory * 1024)
    spec = ServerSpec("x", cpus=want_cpus, memory_mib=want_memory * 1024)
    if want_cpus < cpus or want_memory < memory:
        with pytest.raises(InputError, match="a server is never shrunk"):
            planned(spec, server)
        return
    after = {name: value for change in planned(spec, server) for name, value in change.after.items()}
    assert after == {
        name: value
        for name, value, before in (("cpus", want_cpus, cpus), ("memory_gib", want_memory, memory))
        if value > before
    }


# Labels


names = st.from_regex(r"[a-z0-9_][a-z0-9_.+-]{0,8}", fullmatch=True)
tag_lists = st.lists(
    st.one_of(names, names.map(lambda n: f"function-{n}"), names.map(lambda n: f"site-{n}")), max_size=6
)


@given(current=tag_lists, functions=st.none() | st.lists(names, max_size=3), site=st.none() | names, extra=tag_lists)
def test_labels_converge_and_keep_what_is_not_declared(
    current: list[str], functions: list[str] | None, site: str | None, extra: list[str]
) -> None:
    assume(not any(tag.startswith(labels.FAMILIES) for tag in extra))
    declared: dict[str, Any] = {"functions": functions, "site": site, "system": None, "extra": extra}
    once = labels.wanted(current, **declared)
    assert labels.wanted(once, **declared) == once
    assert set(labels.free(current)) | set(extra) == set(labels.free(once))
    if functions is not None:
        assert labels.values(once, labels.FUNCTION) == sorted(set(functions))
    if site is not None:
        assert labels.value(once, labels.SITE) == site


@pytest.mark.parametrize("tag", ["Upper", "with space", "-dash", "", "semi;colon", "é"])
def test_labels_refuse_what_engines_refuse(tag: str) -> None:
    with pytest.raises(InputError, match="cannot be a label"):
        labels.check(tag)


# Placement


@given(
    free=st.lists(st.integers(0, 64), min_size=1, max_size=6),
    online=st.lists(st.booleans(), min_size=6, max_size=6),
    memory=st.integers(1, 64),
    name=names,
)
def test_a_host_of_the_site_that_answers_is_chosen(free: list[int], online: list[bool], memory: int, name: str) -> None:
    hosts = [Host(f"h{n}", online[n], "p", memory_free_bytes=gib * GIB) for n, gib in enumerate(free)]
    world = Landscape((), (*hosts, Host("away", online=True, site="q", memory_free_bytes=999 * GIB)))
    spec = ServerSpec(name, site="p", memory_mib=memory * 1024)
    answering = [host for host in hosts if host.online]
    if not answering:
        with pytest.raises(InputError, match="no host of the site 'p' answers"):
            placement.choose_host(spec, world, None)
        return
    chosen = placement.choose_host(spec, world, None)
    assert chosen == placement.choose_host(spec, world, None)
    found = next(host for host in answering if host.name == chosen)
    roomy = [host for host in answering if host.memory_free_bytes >= memory * GIB]
    if roomy:
        assert found in roomy
    else:
        assert found.memory_free_bytes == max(host.memory_free_bytes for host in answering)
    assert placement.choose_host(spec, world, chosen) == chosen


def test_servers_created_together_are_spread() -> None:
    chosen = {
        placement.choose_host(ServerSpec(f"web{n:02d}", site="p", memory_mib=1024), WORLD, None) for n in range(20)
    }
    assert chosen == {"h1", "h2"}


def test_without_sites_a_server_stays_where_it_is() -> None:
    world = Landscape((), (Host("h1", online=True),))
    assert placement.choose_host(ServerSpec("x", site="anything"), world, "h1") == "h1"
    assert placement.choose_host(ServerSpec("x"), WORLD, "h1") == "h1"


def test_the_nearest_template_is_copied() -> None:
    twins = tuple(replace(TEMPLATE, id=str(900 + n), host=host) for n, host in enumerate(("h9", "h2", "h1")))
    world = replace(WORLD, servers=twins)
    for host in ("h1", "h2"):
        assert placement.choose_template(ServerSpec("x", system="s"), world, host).host == host
    assert placement.choose_template(ServerSpec("x", system="s", site="p"), world, None).host == "h2"


# What is declared


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "no_underscore"}, "'no_underscore' cannot name a server"),
        ({"name": "-x"}, "cannot name a server"),
        ({"name": "x" * 64}, "cannot name a server"),
        ({"cpus": 0}, "server x: cpus must be more than zero, not 0."),
        ({"memory_gib": -1.5}, "server x: memory_gib must be more than zero, not -1.5."),
        ({"disks": [{"size_gib": 1}, {"size_gib": 0}]}, "server x: the size of disk 2 must be more than zero, not 0."),
        ({"tags": ["A"]}, "'A' cannot be a label"),
        ({"tags": ["site-paris"]}, "the label 'site-paris' belongs to functions, site or system: declare it there."),
        ({"networks": [{"bridge": "b", "vlan": 4095}]}, "network 1: VLAN 4095 is not between 1 and 4094."),
        ({"networks": [{"bridge": "b", "address": "10.0.0"}]}, "network 1: '10.0.0' is no address with its prefix"),
        (
            {"networks": [{"bridge": "b", "address": "10.0.0.1"}]},
            "'10.0.0.1' lacks its prefix length: write 10.0.0.1/24",
        ),
        (
            {"networks": [{"bridge": "b", "address": "10.0.0.1/24", "gateway": "10.0.1.1"}]},
            "the gateway 10.0.1.1 is not in the network 10.0.0.0/24 of the server.",
        ),
        ({"networks": [{"bridge": "b", "address": "10.0.0.1/24", "gateway": "x"}]}, "network 1: 'x' is no address."),
        (
            {"networks": [{"bridge": "b"}, {"bridge": "b", "gateway": "10.0.0.1"}]},
            "network 2: a gateway without a fixed",
        ),
    ],
)
def test_what_is_declared_is_validated_without_a_network(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        from_options({"name": "x", **options})
    assert message in str(refused.value)


def test_memory_of_half_a_gibibyte_and_six_addresses() -> None:
    spec = from_options(
        {
            "name": "x.example.org",
            "memory_gib": 0.5,
            "networks": [{"bridge": "b", "address": "2001:db8::2/64", "gateway": "2001:db8::1"}],
        }
    )
    assert (spec.memory_mib, spec.networks[0].address) == (512, "2001:db8::2/64")


# What an engine lacks


def test_an_engine_that_serves_nothing_says_so_for_each_ability() -> None:
    class Bare(Datacenter):
        engine = "Bare"

    bare = Bare()
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("about", (), {}),
        ("landscape", (), {}),
        ("list_servers", (), {}),
        ("detail", (SERVER,), {}),
        ("details", ([SERVER], ["config"], 1), {}),
        ("create_server", ("x", TEMPLATE, {}), {}),
        ("configure_server", (SERVER, {}), {}),
        ("grow_disk", (SERVER, "scsi0", 1), {}),
        ("add_disk", (SERVER, "scsi0", 1, "s"), {}),
        ("next_disk_key", (SERVER,), {}),
        ("set_power", (SERVER, Power.ON), {}),
        ("migrate", (SERVER, "h"), {}),
        ("delete_server", (SERVER,), {}),
        ("list_snapshots", (SERVER,), {}),
        ("create_snapshot", (SERVER, "n", ""), {"with_memory": False}),
        ("rollback_snapshot", (SERVER, "n"), {"start": False}),
        ("delete_snapshot", (SERVER, "n"), {}),
        ("get_ha", (SERVER,), {}),
        ("ensure_ha", (SERVER, {}), {}),
        ("get_replication", (SERVER,), {}),
        ("ensure_replication", (SERVER, {}), {}),
        ("metrics", (SERVER, 0, 1), {}),
        ("events", (0, 1), {}),
        ("export_spec", (SERVER,), {}),
        ("import_server", ({},), {}),
    ]
    public = {name for name in vars(Datacenter) if not name.startswith("_") and name != "engine"}
    assert {name for name, _arguments, _named in calls} == public
    for name, arguments, named in calls:
        with pytest.raises(UnsupportedError, match=r"is unsupported by this API \(Bare\)\.$"):
            getattr(bare, name)(*arguments, **named)


def test_a_server_that_vanishes_in_between() -> None:
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.provision import Provisioner
    from ansible_collections.cnosf.infogerance.plugins.module_utils.patience import Patience

    provisioner = Provisioner(Datacenter(), ServerSpec("x"), Patience(0))
    change = planned(ServerSpec("x", cpus=9))[0]
    with pytest.raises(ConflictError, match="server x vanished while this run was working on it"):
        provisioner.apply(change, Situation(WORLD))
