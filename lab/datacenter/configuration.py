# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a server's configuration: what a running server takes at once, what waits for its next start, and its disks.

Follows qemu-server's documented behaviour (qm(1), "hotplug"): memory and processors wait for a start unless ``hotplug``
names them, disks and network cards are plugged at once, a detached disk becomes ``unusedN`` and keeps its data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakepve.lxc import format_size
from fakepve.model import PveError, TaskError
from fakepve.qemu import DRIVE_KEY, is_cdrom, join_drive, split_drive, volume_ref, with_mac
from fakepve.routing import die, param_error, split_list
from fakepve.server import USER, params

from lab.datacenter import hardware
from lab.datacenter.power import Power

if TYPE_CHECKING:
    from fakepve.server import FakeVm

    from lab.datacenter.base import Values

__all__ = ["Configuration"]

# What QEMU need not know, or takes while it runs.
LIVE = frozenset(
    {
        "balloon",
        "cicustom",
        "cipassword",
        "citype",
        "ciupgrade",
        "ciuser",
        "cpulimit",
        "cpuunits",
        "description",
        "hookscript",
        "hotplug",
        "lock",
        "name",
        "nameserver",
        "onboot",
        "protection",
        "searchdomain",
        "shares",
        "sshkeys",
        "startup",
        "tags",
        "vmstatestorage",
    },
)
CLOUDINIT = re.compile(r"ci[a-z]+|ipconfig\d+|nameserver|searchdomain|sshkeys")
NIC = re.compile(r"net\d+")
HOT_DISK = re.compile(r"(?:scsi|virtio)\d+")
# Options of a drive that QEMU changes while it runs.
HOT_DRIVE_OPTIONS = re.compile(r"(?:backup|replicate|discard|ro|(?:iops|mbps|bps)\w*)")
DEFAULT_HOTPLUG = "network,disk,usb"
LARGEST_UNUSED = 256


@dataclass
class Request:
    """A configuration call taken apart."""

    updates: Values = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)
    reverts: list[str] = field(default_factory=list)
    digest: str | None = None
    force: bool = False
    skiplock: bool = False

    @classmethod
    def of(cls, values: Values) -> Request:
        """Separate the settings from the instructions."""
        rest = {key: value for key, value in values.items() if key not in ("node", "vmid", "background_delay")}
        request = cls(
            deletes=split_list(rest.pop("delete", "")),
            reverts=split_list(rest.pop("revert", "")),
            digest=rest.pop("digest", None),
            force=str(rest.pop("force", 0)) in ("1", "True", "true"),
            skiplock=str(rest.pop("skiplock", 0)) in ("1", "True", "true"),
        )
        request.updates = rest
        return request


def unique_tags(text: str) -> str:
    """Tags as PVE stores them: lower case, each once, sorted, separated by semicolons."""
    return ";".join(sorted({tag.lower() for tag in re.split(r"[;, ]+", str(text)) if tag}))


class Configuration(Power):
    """PUT and POST config, resize, unlink and move_disk."""

    def _routes_lab_disks(self) -> list[tuple[str, str, Any]]:
        one = "/nodes/{node}/qemu/{vmid}"
        return [
            ("PUT", f"{one}/resize", self._resize),
            ("PUT", f"{one}/unlink", self._unlink),
            ("POST", f"{one}/move_disk", self._move_disk),
            ("GET", f"{one}/cloudinit", self._cloudinit),
            ("PUT", f"{one}/cloudinit", self._cloudinit_regenerate),
        ]

    # ------------------------------------------------------------ permissions

    def _config_priv(self, key: str) -> str:
        return "VM.Config.Cloudinit" if CLOUDINIT.fullmatch(key) else str(super()._config_priv(key))

    def _check_privileges(self, vm: FakeVm, user: str, request: Request) -> None:
        path = f"/vms/{vm.vmid}"
        for key in [*request.updates, *request.deletes, *request.reverts]:
            privilege = self._config_priv(key)
            if privilege == "root":
                if user != "root@pam":
                    raise PveError(403, f"only root can set '{key}' config")
            elif key.startswith("ide") and "media=cdrom" in str(request.updates.get(key, "")):
                self.require(user, path, "VM.Config.CDROM")
            else:
                self.require(user, path, privilege)
        for key, value in request.updates.items():
            self.check_bridge(user, key, value)

    @staticmethod
    def check_import(key: str, value: Any) -> None:
        """Refuse what the lab cannot read: disks of elsewhere."""
        if "import-from=" in str(value):
            raise PveError(501, f"the lab does not simulate importing a disk ({key}: import-from)")

    def check_bridge(self, user: str, key: str, value: Any) -> None:
        """PVE 8 and later: using a bridge needs SDN.Use on it (``/sdn/zones/localnetwork/<bridge>[/<vlan>]``)."""
        if NIC.fullmatch(key):
            props = hardware.properties(value)
            if props.get("bridge"):
                vlan = f"/{props['tag']}" if props.get("tag") else ""
                self.require(user, f"/sdn/zones/localnetwork/{props['bridge']}{vlan}", "SDN.Use")

    # ------------------------------------------------------------------ apply

    async def _config_put(self, request: web.Request) -> web.Response:
        """PUT config, with the values as the schema types them."""
        values = self._verify(request, await params(request))
        await self._apply_config(self._vm(request), request[USER], values)
        return web.json_response({"data": None})

    async def _config_post(self, request: web.Request) -> web.Response:
        """POST config: the same as a task."""
        values = self._verify(request, await params(request))
        vm, user = self._vm(request), request[USER]
        self.need_quorum()

        async def body() -> None:
            await self._apply_config(vm, user, values)

        upid = await self.task(vm.node, "qmconfig", vm.vmid, user, body)
        return web.json_response({"data": upid})

    async def _apply_config(self, vm: FakeVm, user: str, p: Values) -> None:
        self.need_quorum()
        request = Request.of(p)
        self._check_privileges(vm, user, request)
        if request.digest and request.digest != vm.digest():
            raise die("checksum mismatch (file change by other user?)")
        if not request.skiplock:
            self._check_lock(vm)
        self._check_values(vm, user, request)
        holder = f"config {user}"
        try:
            await self.acquire(vm, holder)
        except TaskError as error:
            raise die(str(error)) from error
        try:
            for key in request.reverts:
                vm.pending.pop(key, None)
            for key in request.deletes:
                self._delete(vm, key, force=request.force)
            for key, value in sorted(request.updates.items()):
                self._update(vm, key, value)
        finally:
            self.release(vm, holder)
        vm.name = vm.config.get("name") or f"VM {vm.vmid}"
        if vm.status == "running":
            self.hardware_changed(vm)

    def _check_values(self, vm: FakeVm, user: str, request: Request) -> None:
        """Refuse the whole call before any of it is done."""
        for key, value in request.updates.items():
            self.check_import(key, value)
            if DRIVE_KEY.match(key) and not self._is_present(vm, key, value):
                self._qm_check_drive(user, vm.vmid, vm.pool, key, value, None)
        order = str(request.updates.get("boot", ""))
        if order.startswith("order="):
            known = {**vm.config, **{k: v for k, v in vm.pending.items() if v}, **request.updates}
            devices = set(vm.devices(known))
            for device in order.removeprefix("order=").split(";"):
                if device and device not in devices:
                    raise param_error(boot=f"invalid bootorder: device '{device}' does not exist'")
        for key in request.deletes:
            if key not in vm.config and key not in vm.pending:
                continue  # PVE warns in its log and goes on
            if DRIVE_KEY.match(key) or key.startswith("unused"):
                self._qm_check_protection(vm, f"can't remove drive '{key}'")

    @staticmethod
    def _is_present(vm: FakeVm, key: str, value: Any) -> bool:
        return key in vm.config and hardware.same_volume(str(vm.config[key]), str(value))

    def _hot(self, vm: FakeVm, key: str, value: Any) -> bool:
        """Whether a running server takes this setting at once."""
        if vm.status != "running" or key in LIVE or key.startswith(("ipconfig", "unused")):
            return True
        plug = split_list(str(vm.config.get("hotplug", DEFAULT_HOTPLUG)))
        if plug == ["1"]:
            plug = split_list(DEFAULT_HOTPLUG)
        if NIC.fullmatch(key):
            return "network" in plug
        if key == "memory":
            grows = value is not None and hardware.memory_mib({"memory": value}) >= hardware.memory_mib(vm.config)
            return "memory" in plug and str(vm.config.get("numa", 0)) == "1" and grows
        if key == "vcpus":
            return "cpu" in plug
        if HOT_DISK.fullmatch(key):
            return "disk" in plug and (value is None or key not in vm.config or self._hot_options(vm, key, value))
        if DRIVE_KEY.match(key) and value is not None:
            both = [split_drive(str(value)), split_drive(str(vm.config.get(key, "none,media=cdrom")))]
            return all(is_cdrom(volume, props) for volume, props in both)
        return False

    @staticmethod
    def _hot_options(vm: FakeVm, key: str, value: Any) -> bool:
        old, new = split_drive(str(vm.config[key]))[1], split_drive(str(value))[1]
        changed = {name for name in {*old, *new} - {"size"} if old.get(name) != new.get(name)}
        return all(HOT_DRIVE_OPTIONS.fullmatch(name) for name in changed)

    def _update(self, vm: FakeVm, key: str, value: Any) -> None:
        if DRIVE_KEY.match(key):
            value = self._drive(vm, key, str(value))
        elif NIC.fullmatch(key):
            value = self._nic(vm, key, str(value))
        elif key == "tags":
            value = unique_tags(value)
        if self._hot(vm, key, value):
            if DRIVE_KEY.match(key) and key in vm.config and not self._is_present(vm, key, value):
                self._set_aside(vm, str(vm.config[key]))
            vm.config[key] = value
            vm.pending.pop(key, None)
        elif str(vm.config.get(key)) == str(value):
            vm.pending.pop(key, None)
        else:
            vm.pending[key] = value
        if key == "tags" and not value:
            vm.config.pop("tags", None)

    def _drive(self, vm: FakeVm, key: str, value: str) -> str:
        """The drive as it is stored: a new volume allocated, a known one with its size kept."""
        if self._is_present(vm, key, value):
            volume, props = split_drive(value)
            size = split_drive(str(vm.config[key]))[1].get("size")
            return str(join_drive(volume, {**props, **({"size": size} if size else {})}))
        stored, _made = self._qm_new_drive(vm.vmid, key, value, None)
        volume = split_drive(stored)[0]
        for unused in [k for k in vm.config if k.startswith("unused") and vm.config[k] == volume]:
            del vm.config[unused]
        return str(stored)

    @staticmethod
    def _nic(vm: FakeVm, key: str, value: str) -> str:
        """The card as it is stored: one given without address keeps the one it had."""
        old = hardware.nics({key: vm.config[key]})[0].mac if key in vm.config else ""
        if old and not hardware.nics({key: value})[0].mac:
            model, comma, rest = value.removeprefix("model=").partition(",")
            value = f"{model}={old}{comma}{rest}"
        return str(with_mac(value))

    def _delete(self, vm: FakeVm, key: str, *, force: bool) -> None:
        if key not in vm.config:
            vm.pending.pop(key, None)
            return
        if not self._hot(vm, key, None):
            vm.pending[key] = None
            return
        value = str(vm.config.pop(key))
        vm.pending.pop(key, None)
        if key.startswith("unused"):
            self._qm_free(split_drive(value)[0])
        elif DRIVE_KEY.match(key):
            volume, props = split_drive(value)
            if force or "cloudinit" in volume:
                self._qm_free(volume)
            elif not is_cdrom(volume, props):
                self._set_aside(vm, value)

    @staticmethod
    def _set_aside(vm: FakeVm, value: str) -> None:
        """Keep a detached disk under the first free unusedN."""
        volume, props = split_drive(value)
        if is_cdrom(volume, props) or not re.search(rf"(?:vm|base)-{vm.vmid}-", volume):
            return
        free = next(f"unused{n}" for n in range(LARGEST_UNUSED) if f"unused{n}" not in vm.config)
        vm.config[free] = volume

    # ------------------------------------------------------------------ disks

    def _disk(self, vm: FakeVm, key: str) -> tuple[str, dict[str, str], str, dict[str, Any]]:
        """(volume id, options, storage, the volume's record) of a disk, or PVE's refusal."""
        if key not in vm.config:
            raise die(f"disk '{key}' does not exist")
        volume, props = split_drive(str(vm.config[key]))
        if is_cdrom(volume, props):
            raise die("you can't resize a cdrom")
        storage, name = volume_ref(volume)
        store = self.storages[storage]
        record = store.setdefault("volumes", {}).setdefault(
            name,
            {
                "content": "images",
                "format": "raw",
                "size": hardware.size_of(props.get("size", "0")),
                "vmid": vm.vmid,
                "ctime": 0,
            },
        )
        return volume, props, storage, record

    async def _resize(self, v: Values, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        self.need_quorum()
        key = v["disk"]
        if v.get("digest") and v["digest"] != vm.digest():
            raise die("checksum mismatch (file change by other user?)")
        self._check_lock(vm)
        volume, _props, storage, record = self._disk(vm, key)
        self.require(user, f"/storage/{storage}", "Datastore.AllocateSpace")
        wanted = hardware.size_of(str(v["size"]).removeprefix("+"))
        if str(v["size"]).startswith("+"):
            wanted += int(record["size"])
        if wanted < int(record["size"]):
            raise die("shrinking disks is not supported")
        if vm.snapshots and volume.endswith(".qcow2"):
            raise die("can't resize a disk with snapshots")

        async def body() -> None:
            grown = wanted - int(record["size"])
            store = self.storages[storage]
            if grown > store.get("avail", grown):
                raise TaskError(f"unable to grow '{volume}': No space left on device")
            if "avail" in store:
                store["avail"] -= grown
            record["size"] = wanted
            current, props = split_drive(str(vm.config[key]))
            vm.config[key] = join_drive(current, {**props, "size": format_size(wanted)})
            self.hardware_changed(vm)

        return await self.task(vm.node, "resize", vm.vmid, user, body, vm=vm)

    async def _unlink(self, v: Values, user: str) -> None:
        vm = self.find(v["node"], v["vmid"])
        await self._apply_config(
            vm,
            user,
            {"delete": ",".join(split_list(v["idlist"])), "force": 1 if v.get("force") else 0},
        )

    async def _move_disk(self, v: Values, user: str) -> str:
        if v.get("target-vmid") or not v.get("storage"):
            raise PveError(501, "the lab does not simulate moving a disk to another server: give a storage only")
        vm = self.find(v["node"], v["vmid"])
        self.need_quorum()
        self._check_lock(vm)
        key, target = v["disk"], v["storage"]
        old, _props, storage, record = self._disk(vm, key)
        self._qm_image_store(target, user)
        if target == storage and not v.get("format"):
            raise param_error(storage="can't move a disk to the storage it is on")

        async def body() -> None:
            new, _format = self._qm_alloc(target, vm.vmid, v.get("format"), int(record["size"]))
            _old, props = split_drive(str(vm.config[key]))
            vm.config[key] = join_drive(new, props)
            if v.get("delete"):
                self._qm_free(old)
            else:
                self._set_aside(vm, old)
            self.hardware_changed(vm)

        return await self.task(vm.node, "qmmove", vm.vmid, user, body, vm=vm)

    # -------------------------------------------------------------- cloud-init

    async def _cloudinit(self, v: Values, _user: str) -> list[Values]:
        vm = self.find(v["node"], v["vmid"])
        keys = sorted(k for k in {*vm.config, *vm.pending} if CLOUDINIT.fullmatch(k) or k == "name")
        return [{"key": k, "value": "**********" if k == "cipassword" else vm.config.get(k, "")} for k in keys]

    async def _cloudinit_regenerate(self, v: Values, _user: str) -> None:
        vm = self.find(v["node"], v["vmid"])
        if not hardware.cloudinit_drives(vm.config):
            raise die("no cloudinit drive found")
