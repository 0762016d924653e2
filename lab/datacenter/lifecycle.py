# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's beginning and end: create, clone, destroy, snapshots, and its guest along with it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from fakepve.model import FakeVm, PveError
from fakepve.qemu import drives_of, join_drive, split_drive, volume_ref
from fakepve.routing import die

from lab.datacenter import hardware
from lab.datacenter.configuration import Configuration
from lab.guests import Guest, GuestError, Snapshots

if TYPE_CHECKING:
    from lab.datacenter.base import Values
    from lab.settings import Template

__all__ = ["Lifecycle"]

CLOUDINIT_BYTES = 4 * 1024**2
GIB = 1024**3


class Lifecycle(Configuration):
    """Create, clone, destroy, snapshot and roll back."""

    def install_templates(self) -> None:
        """Put the settings' templates into a new datacenter."""
        for template in self.settings.templates:
            self._install(template)

    def _install(self, template: Template) -> None:
        system = self.settings.systems[template.system]
        vm = self.add_vm(template.vmid, template.name, node=template.node, template=True)
        disk = f"base-{template.vmid}-disk-0"
        image = f"vm-{template.vmid}-cloudinit"
        now = int(time.time())
        self._put_volume(template.storage, disk, template.disk_gib * GIB, template.vmid)
        self._put_volume(template.storage, image, CLOUDINIT_BYTES, template.vmid)
        vm.config.update(
            {
                "agent": "enabled=1",
                "bios": template.bios,
                "boot": "order=scsi0",
                "cores": template.cpus,
                "cpu": "x86-64-v2-AES",
                "ide2": f"{template.storage}:{image},media=cdrom",
                "memory": str(template.memory_gib * 1024),
                "meta": f"creation-qemu=10.0.2,ctime={now}",
                "net0": f"virtio=BC:24:11:00:{template.vmid // 256 % 256:02X}:{template.vmid % 256:02X},bridge=vmbr0",
                "ostype": system.ostype,
                "scsi0": f"{template.storage}:{disk},discard=on,size={template.disk_gib}G",
                "scsihw": "virtio-scsi-single",
                "smbios1": f"uuid=00000000-0000-4000-8000-{template.vmid:012d}",
                "tags": f"system-{template.system}",
                "template": 1,
            },
        )
        self.systems[vm.vmid] = template.system

    def _put_volume(self, storage: str, name: str, size: int, vmid: int) -> None:
        """Allocate a volume of this size in bytes under a name of our own."""
        store = self.storages[storage]
        store["volumes"][name] = {
            "content": "images",
            "format": "raw",
            "size": size,
            "vmid": vmid,
            "ctime": int(time.time()),
        }
        store["avail"] -= size

    # --------------------------------------------------------- create, clone

    async def _qm_create(self, v: Values, user: str) -> str:
        """Create a machine nobody installed: it starts, and nothing answers in it, as with a blank disk."""
        start, managed = v.get("start"), v.get("ha-managed")
        if start:
            self._qm_perm(user, int(v["vmid"]), v.get("pool"), "VM.PowerMgmt")
        if managed:
            self.require(user, "/", "Sys.Console")
        for key, value in v.items():
            self.check_bridge(user, key, value)
            self.check_import(key, value)
        plain = {key: value for key, value in v.items() if key not in ("start", "ha-managed")}
        upid: str = await super()._qm_create(plain, user)

        async def finish() -> None:
            vm = self.vm(int(v["vmid"]))
            self._name_folder(vm)
            if managed:
                self.ha_add(vm, "started" if start else "stopped")
            if start:
                await self.power_on(vm)

        self.after(upid, finish)
        return upid

    def ha_add(self, vm: FakeVm, state: str) -> object:
        """Put a server under high availability; :class:`lab.datacenter.ha.HighAvailability` does."""
        raise NotImplementedError

    def _name_folder(self, vm: FakeVm) -> None:
        taken = {folder for vmid, folder in self.folders.items() if vmid != vm.vmid}
        self.folders[vm.vmid] = vm.name if vm.name not in taken else f"{vm.name}-{vm.vmid}"

    async def _qm_clone(self, v: Values, user: str) -> str:
        source = self.find(v["node"], v["vmid"])
        target = v.get("target")
        if v.get("snapname"):
            raise PveError(501, "the lab does not simulate cloning from a snapshot")
        if target and target != v["node"]:
            for _key, volume, _props in drives_of(source.config):
                storage = volume_ref(volume)[0]
                if storage and not self.storages[storage].get("shared"):
                    raise die(f"can't clone VM to node '{target}' (VM uses local storage)")
        original = self.guest_of(source)
        if original is not None and not isinstance(original, Snapshots):
            raise PveError(501, f"the lab does not simulate copying the disks of '{source.name}': clone a template")
        upid: str = await super()._qm_clone(v, user)
        new = self.vm(int(v["newid"]))
        self._name_folder(new)

        async def finish() -> None:
            self._own_cloudinit(new, v.get("storage"))
            if source.vmid in self.systems:
                self.systems[new.vmid] = self.systems[source.vmid]
            copy = self.guest_of(new)
            if original is not None and isinstance(copy, Snapshots):
                await copy.copy_from(original)

        self.after(upid, finish)
        return upid

    def _own_cloudinit(self, vm: FakeVm, storage: str | None) -> None:
        """A clone gets a cloud-init image of its own."""
        for key in hardware.cloudinit_drives(vm.config):
            volume, props = split_drive(str(vm.config[key]))
            target = storage or volume_ref(volume)[0]
            name = f"vm-{vm.vmid}-cloudinit"
            self._put_volume(target, name, CLOUDINIT_BYTES, vm.vmid)
            vm.config[key] = join_drive(f"{target}:{name}", props)

    def _drop_unfinished(self, vm: FakeVm) -> None:
        super()._drop_unfinished(vm)
        if vm not in self.vms:
            for _key, volume in hardware.volumes(vm.config):
                if re.search(rf"vm-{vm.vmid}-", volume):
                    self._qm_free(volume)
            self._forget(vm.vmid)

    def _forget(self, vmid: int) -> None:
        self.guests.pop(vmid, None)
        self.systems.pop(vmid, None)
        self.folders.pop(vmid, None)

    # --------------------------------------------------------------- destroy

    async def _qm_destroy(self, v: Values, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        guest = self.guest_of(vm)
        upid: str = await super()._qm_destroy(v, user)

        async def finish() -> None:
            if guest is not None:
                await guest.destroy()
            if v.get("purge"):
                self.ha_remove(vm.vmid)
            self._forget(vm.vmid)

        self.after(upid, finish)
        return upid

    def ha_remove(self, vmid: int) -> None:
        """Take a destroyed server out of high availability; :class:`lab.datacenter.ha.HighAvailability` does."""

    # ------------------------------------------------------------- snapshots

    def _keeps(self, vm: FakeVm) -> Guest | None:
        """The guest whose disks a snapshot keeps; refused when the lab cannot keep them."""
        guest = self.guest_of(vm)
        if guest is not None and not isinstance(guest, Snapshots):
            raise PveError(501, f"the lab does not simulate snapshots of '{vm.name}' ({self.system_of(vm)})")
        return guest

    async def _qm_snapshot(self, v: Values, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        guest, name = self._keeps(vm), str(v["snapname"])
        if v.get("vmstate"):
            raise PveError(501, "the lab does not simulate snapshots with memory (vmstate)")
        upid: str = await super()._qm_snapshot(v, user)

        async def finish() -> None:
            if isinstance(guest, Snapshots):
                try:
                    await guest.snapshot(name)
                except GuestError:
                    vm.snapshots.pop(name, None)
                    raise

        self.after(upid, finish)
        return upid

    async def _qm_snapshot_delete(self, v: Values, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        guest, name = self._keeps(vm), str(v["snapname"])
        upid: str = await super()._qm_snapshot_delete(v, user)

        async def finish() -> None:
            if isinstance(guest, Snapshots):
                await guest.drop_snapshot(name)

        self.after(upid, finish)
        return upid

    async def _qm_rollback(self, v: Values, user: str) -> str:
        vm = self.find(v["node"], v["vmid"])
        guest, name = self._keeps(vm), str(v["snapname"])
        if v.get("start"):
            self.require(user, f"/vms/{vm.vmid}", "VM.PowerMgmt")
        was_running = vm.status == "running"
        plain = {key: value for key, value in v.items() if key != "start"}
        upid: str = await super()._qm_rollback(plain, user)

        async def finish() -> None:
            if was_running:
                await self.power_off(vm)
            if isinstance(guest, Snapshots):
                await guest.rollback(name)
            self._resize_volumes(vm)
            if v.get("start"):
                await self.power_on(vm)

        self.after(upid, finish)
        return upid

    def _resize_volumes(self, vm: FakeVm) -> None:
        """After a rollback the volumes have the sizes that the configuration of then states."""
        for disk in hardware.disks(vm.config):
            record = self._qm_volume(split_drive(str(vm.config[disk.key]))[0])
            if record is not None:
                record["size"] = disk.size
