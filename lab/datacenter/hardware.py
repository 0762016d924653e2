# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a server's virtual hardware, read from its PVE configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fakepve.qemu import NET_MODELS, drives_of, is_cdrom, natural, split_drive, volume_ref

from lab.guests import Disk, GuestSpec, Nic

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_MEMORY_MIB", "bridges", "cpus", "disks", "memory_mib", "nics", "size_of", "spec_of", "volumes"]

DEFAULT_MEMORY_MIB = 512
UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# Disks that hold no data of the guest: firmware variables and the TPM's state.
FIRMWARE = ("efidisk", "tpmstate")


def properties(text: str) -> dict[str, str]:
    """The ``key=value`` pairs of a PVE property string; a part without ``=`` is left out."""
    pairs = (part.partition("=") for part in str(text).split(","))
    return {key: value for key, equals, value in pairs if equals}


def size_of(text: str) -> int:
    """Bytes in a size as PVE writes it: ``64G``, ``4M``, ``528K``; raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    if not found:
        raise ValueError(f"'{text}' is not a size such as 64G")
    return int(float(found.group(1)) * UNITS[found.group(2)])


def cpus(config: Mapping[str, Any]) -> int:
    """Virtual processors: cores times sockets."""
    return int(config.get("cores", 1)) * int(config.get("sockets", 1))


def memory_mib(config: Mapping[str, Any]) -> int:
    """Memory in MiB (``memory`` is a number or ``current=number``)."""
    return int(str(config.get("memory", DEFAULT_MEMORY_MIB)).rpartition("=")[2])


def disks(config: Mapping[str, Any]) -> tuple[Disk, ...]:
    """The data disks, in device order, the boot disk first."""
    found = []
    for key, volume, props in drives_of(config, skip_cdrom=True):
        if not key.startswith(FIRMWARE):
            storage, _name = volume_ref(volume)
            found.append(Disk(key, size_of(props.get("size", "0")), storage or ""))
    return tuple(found)


def volumes(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, volume id) of every volume the configuration owns: disks, firmware, cloud-init image, unused ones."""
    found = [(key, volume) for key, volume, _props in drives_of(config) if volume_ref(volume)[0]]
    unused = (key for key in sorted(config, key=natural) if re.fullmatch(r"unused\d+", key))
    found += [(key, split_drive(config[key])[0]) for key in unused]
    return [(key, volume) for key, volume in found if re.search(r"(?:vm|base)-\d+-", volume)]


def nics(config: Mapping[str, Any]) -> tuple[Nic, ...]:
    """The network cards with the addresses cloud-init gives them (``ipconfig0`` goes with ``net0``)."""
    found = []
    for key in sorted((k for k in config if re.fullmatch(r"net\d+", k)), key=natural):
        props = properties(config[key])
        setup = properties(config.get(f"ipconfig{key[3:]}", ""))
        mac = next((props[model] for model in NET_MODELS if model in props), props.get("macaddr", ""))
        address = setup.get("ip")
        found.append(
            Nic(
                key=key,
                mac=mac,
                bridge=props.get("bridge", ""),
                vlan=int(props["tag"]) if "tag" in props else None,
                address=address if address and address != "dhcp" else None,
                gateway=setup.get("gw"),
            ),
        )
    return tuple(found)


def bridges(config: Mapping[str, Any]) -> list[str]:
    """The bridges the cards need."""
    return [nic.bridge for nic in nics(config) if nic.bridge]


def spec_of(vmid: int, name: str, key: str, system: str, config: Mapping[str, Any]) -> GuestSpec:
    """The hardware a guest finds when it boots with this configuration."""
    return GuestSpec(
        vmid=vmid,
        name=name,
        key=key,
        system=system,
        cpus=cpus(config),
        memory_mib=memory_mib(config),
        disks=disks(config),
        nics=nics(config),
        uuid=properties("x," + str(config.get("smbios1", ""))).get("uuid", ""),
        nameservers=tuple(str(config.get("nameserver", "")).replace(",", " ").split()),
        search_domain=str(config.get("searchdomain", "")),
    )


def same_volume(one: str, other: str) -> bool:
    """Whether two drive values mean the same volume (its options may differ)."""
    return bool(split_drive(one)[0] == split_drive(other)[0])


def cloudinit_drives(config: Mapping[str, Any]) -> list[str]:
    """Keys of the drives that carry the cloud-init image."""
    return [key for key, volume, props in drives_of(config) if is_cdrom(volume, props) and "cloudinit" in volume]
