# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a datacenter holds and can do, whatever engine runs it: value objects without I/O, and the provider's protocol.

A provider translates an engine's API into these objects and back, and nothing else. A method that an engine does not
serve keeps the body it has here, which says so: never an empty success.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GIB = 1024**3
MIB = 1024**2


class Power(StrEnum):
    """Power states that every engine knows; `unknown` when the host that runs the server does not answer."""

    ON = "on"
    OFF = "off"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Disk:
    """A disk of a server.

    Attributes:
        key: the engine's name of the slot, for example `scsi0`.
        storage: storage that holds the volume.
        volume: the engine's identifier of the volume.
        size_bytes: allocated size, or None when the engine does not say.
        backed_up: whether backup jobs take it.
    """

    key: str
    storage: str
    volume: str
    size_bytes: int | None
    backed_up: bool = True

    @property
    def size_gib(self) -> float | None:
        """Size in GiB, or None when the engine does not say."""
        return None if self.size_bytes is None else self.size_bytes / GIB


@dataclass(frozen=True)
class Nic:
    """A network interface of a server.

    Attributes:
        key: the engine's name of the slot, for example `net0`.
        mac: hardware address, or None before the engine chose one.
        model: emulated card.
        bridge: network it is plugged into.
        vlan: VLAN number, or None when untagged.
        address: address with prefix length that the server is given at its first boot, or None (`dhcp` when it asks).
        gateway: default gateway given with it, or None.
        addresses: addresses that the guest agent reports, in its order; empty when it was not asked.
    """

    key: str
    mac: str | None
    model: str
    bridge: str
    vlan: int | None = None
    address: str | None = None
    gateway: str | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a server.

    Attributes:
        name: its name.
        taken_at: seconds since 1970, UTC.
        description: free text.
        parent: name of the snapshot it follows, or None.
        with_memory: whether it holds the memory of the running server.
        unfinished: what was cut short while it was taken or removed (`prepare`, `delete`), or None.
    """

    name: str
    taken_at: int
    description: str = ""
    parent: str | None = None
    with_memory: bool = False
    unfinished: str | None = None


@dataclass(frozen=True)
class Usage:
    """Live use of a server at the moment of reading.

    Attributes:
        cpu_percent: share of its CPUs in use, 0 to 100.
        memory_bytes: memory in use.
        disk_read_bytes: bytes read since it was started.
        disk_write_bytes: bytes written since it was started.
        network_in_bytes: bytes received since it was started.
        network_out_bytes: bytes sent since it was started.
    """

    cpu_percent: float = 0.0
    memory_bytes: int = 0
    disk_read_bytes: int = 0
    disk_write_bytes: int = 0
    network_in_bytes: int = 0
    network_out_bytes: int = 0


@dataclass(frozen=True)
class Server:
    """A server or a template as the engine has it now.

    Attributes:
        id: the engine's identifier.
        name: its name.
        power: whether it runs.
        host: physical host that carries it.
        cpus: virtual CPUs.
        memory_mib: memory in MiB.
        site: site of the host where one is known.
        uuid: identifier of the machine's firmware, or None when it was not read.
        disks: data disks, boot disk first; empty when details were not read.
        root_disk_bytes: size of the boot disk, known even when details were not read.
        nics: network interfaces; empty when details were not read.
        os: the engine's own word for the guest's system, or None when it was not read.
        tags: labels, sorted.
        template: whether it is a template.
        lock: operation that locks it (`backup`, `clone`, ...), or None.
        uptime_seconds: since it was started.
        ha: state in the high-availability manager, or None when it is not managed.
        pool: resource pool, or None.
        protected: whether the engine refuses to delete it; None when details were not read.
        description: free text; None when details were not read.
        dns_servers: resolvers given at the first boot.
        dns_domain: search domain given at the first boot.
        admin_user: account created at the first boot.
        ssh_keys: public keys of that account.
        pending: settings that wait for a restart, with the value that they will take; None when it was not read.
        usage: live use.
        storages: every storage that holds a volume of it, firmware and first-boot volumes included.
        revision: changes each time the configuration does; None when details were not read.
        raw: the engine's own configuration, for the provider alone.
        named: whether `name` is its name, and not what stands for one that the bulk reading does not know.
        detailed: whether the configuration was read.
    """

    id: str
    name: str
    power: Power
    host: str
    cpus: int
    memory_mib: int
    site: str | None = None
    uuid: str | None = None
    disks: tuple[Disk, ...] = ()
    root_disk_bytes: int = 0
    nics: tuple[Nic, ...] = ()
    os: str | None = None
    tags: tuple[str, ...] = ()
    template: bool = False
    lock: str | None = None
    uptime_seconds: int = 0
    ha: str | None = None
    pool: str | None = None
    protected: bool | None = None
    description: str | None = None
    dns_servers: tuple[str, ...] = ()
    dns_domain: str | None = None
    admin_user: str | None = None
    ssh_keys: tuple[str, ...] = ()
    pending: Mapping[str, Any] | None = None
    usage: Usage = field(default_factory=Usage)
    storages: tuple[str, ...] = ()
    revision: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    named: bool = True
    detailed: bool = False

    @property
    def memory_gib(self) -> float:
        """Memory in GiB."""
        return self.memory_mib / 1024

    @property
    def disk_gib(self) -> float | None:
        """Sum of the disks in GiB; None when a size is missing or details were not read."""
        if not self.detailed:
            return None
        sizes = [disk.size_bytes for disk in self.disks]
        known = [size for size in sizes if size is not None]
        return sum(known) / GIB if len(known) == len(sizes) else None

    @property
    def label(self) -> str:
        """Words that name the server in a sentence."""
        return f"{'template' if self.template else 'server'} {self.name} (id {self.id} on {self.host})"


@dataclass(frozen=True)
class Host:
    """A physical host.

    Attributes:
        name: its name.
        online: whether it answers.
        site: its site where one is known.
        cpus: physical CPUs.
        memory_bytes: installed memory.
        memory_free_bytes: memory that is not in use.
    """

    name: str
    online: bool
    site: str | None = None
    cpus: int = 0
    memory_bytes: int = 0
    memory_free_bytes: int = 0


@dataclass(frozen=True)
class Storage:
    """A storage as one host sees it.

    Attributes:
        name: its name.
        host: host that sees it.
        shared: whether every host sees the same content.
        free_bytes: space left, or None when the engine does not say.
    """

    name: str
    host: str
    shared: bool = False
    free_bytes: int | None = None


@dataclass(frozen=True)
class Landscape:
    """Everything that one bulk reading of the engine gives.

    Attributes:
        servers: servers and templates, without details.
        hosts: physical hosts.
        storages: storages, one entry for each host that sees them.
    """

    servers: tuple[Server, ...] = ()
    hosts: tuple[Host, ...] = ()
    storages: tuple[Storage, ...] = ()


@dataclass(frozen=True)
class Detail:
    """What reading one server apart gave: the enriched server, or why it failed.

    Attributes:
        server: the server, with details when they could be read.
        error: sentence that says why a part could not be read, or None.
        snapshots: its snapshots, or None when they were not asked or could not be read.
    """

    server: Server
    error: str | None = None
    snapshots: tuple[Snapshot, ...] | None = None


def plain(value: Any) -> Any:
    """Answer value objects as the dictionaries and lists that Ansible can print."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value) if item.name != "raw"}
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


class Datacenter:
    """What a datacenter can do; a provider overrides what its engine serves.

    Every method may raise the `EngineError` family. Methods that write return when the engine has finished.
    """

    engine = "datacenter"

    def _unsupported(self, ability: str) -> UnsupportedError:
        return UnsupportedError(self.engine, ability)

    # Reading.

    def about(self) -> dict[str, Any]:
        """Answer the engine's product, version and release."""
        raise self._unsupported("Reading the version")

    def landscape(self, *, settled: bool = False) -> Landscape:
        """Read all servers, hosts and storages in a number of calls that does not grow with the servers.

        Args:
            settled: also ask one by one for what the bulk reading does not know yet of servers that are seconds old.
        """
        raise self._unsupported("Listing everything at once")

    def list_servers(self, tags: Iterable[str] = (), pool: str | None = None) -> list[Server]:
        """Answer the servers (no templates) that carry all the tags and belong to the pool."""
        wanted = set(tags)
        return [
            server
            for server in self.landscape(settled=True).servers
            if not server.template and wanted <= set(server.tags) and (pool is None or server.pool == pool)
        ]

    def detail(self, server: Server) -> Server:
        """Read the configuration and the power of one server as they are at this moment."""
        raise self._unsupported("Reading a server's configuration")

    def details(self, servers: Sequence[Server], parts: Iterable[str], workers: int) -> list[Detail]:
        """Read parts (`config`, `pending`, `agent`, `snapshots`) of many servers, at most `workers` at once.

        `pending` needs `config`, and `agent` is matched to the interfaces that `config` gives.
        The failure of one server is in its own `Detail` and costs nothing to the others.
        """
        raise self._unsupported("Reading details of many servers")

    # Servers.

    def create_server(self, name: str, template: Server, settings: Mapping[str, Any]) -> None:
        """Copy a template in full under a new name.

        Args:
            name: name of the new server.
            template: what to copy.
            settings: `host` to place it on, `storage` for its disks, `pool`, `description`; each optional.

        Raises:
            ConflictError: another run creates a server of this name at this moment.
        """
        raise self._unsupported("Creating a server from a template")

    def configure_server(self, server: Server, settings: Mapping[str, Any]) -> None:
        """Write settings of a server in one go.

        Args:
            server: as it was read.
            settings: by name: `cpus`, `memory_gib`, `tags`, `networks`, `protected`, `description`, `dns_servers`,
                `dns_domain`, `admin_user`, `ssh_keys`.

        Raises:
            ConflictError: the server changed since it was read.
        """
        raise self._unsupported("Changing a server's settings")

    def grow_disk(self, server: Server, key: str, size_gib: int) -> None:
        """Grow a disk to a size; never shrinks."""
        raise self._unsupported("Growing a disk")

    def add_disk(self, server: Server, key: str, size_gib: int, storage: str) -> None:
        """Allocate a volume and attach it in a free slot."""
        raise self._unsupported("Adding a disk")

    def next_disk_key(self, server: Server) -> str:
        """Answer the slot that the next disk of a server takes: pure, no call."""
        raise self._unsupported("Adding a disk")

    def set_power(self, server: Server, power: Power, *, hard: bool = False, timeout: int = 300) -> None:
        """Start a server, or shut it down.

        Args:
            server: which.
            power: `Power.ON` or `Power.OFF`.
            hard: cut the power when the guest does not shut down within the time.
            timeout: seconds that the guest has to shut down.
        """
        raise self._unsupported("Switching a server on or off")

    def migrate(self, server: Server, host: str) -> None:
        """Move a server to another host of the same datacenter, running or not."""
        raise self._unsupported("Moving a server to another host")

    def delete_server(self, server: Server) -> None:
        """Delete a server that is off, with its disks."""
        raise self._unsupported("Deleting a server")

    # Snapshots.

    def list_snapshots(self, server: Server) -> list[Snapshot]:
        """Answer the snapshots of a server, oldest first."""
        raise self._unsupported("Listing snapshots")

    def create_snapshot(self, server: Server, name: str, description: str, *, with_memory: bool) -> None:
        """Take a snapshot."""
        raise self._unsupported("Taking a snapshot")

    def rollback_snapshot(self, server: Server, name: str, *, start: bool) -> None:
        """Bring a server back to a snapshot, and start it when asked."""
        raise self._unsupported("Rolling back to a snapshot")

    def delete_snapshot(self, server: Server, name: str) -> None:
        """Remove a snapshot."""
        raise self._unsupported("Removing a snapshot")

    # Continuity and evidence.

    def get_ha(self, server: Server) -> dict[str, Any]:
        """Answer how the high-availability manager treats a server."""
        raise self._unsupported("Reading high availability")

    def ensure_ha(self, server: Server, settings: Mapping[str, Any]) -> None:
        """Put a server under the high-availability manager."""
        raise self._unsupported("Setting high availability")

    def get_replication(self, server: Server) -> list[dict[str, Any]]:
        """Answer mode, recovery point, last synchronisation, lag, failures and target of each replication."""
        raise self._unsupported("Reading replication")

    def ensure_replication(self, server: Server, settings: Mapping[str, Any]) -> None:
        """Replicate a server to another host or site."""
        raise self._unsupported("Setting replication")

    def metrics(self, server: Server, start: int, end: int) -> list[dict[str, Any]]:
        """Answer the samples of a server between two moments (seconds since 1970)."""
        raise self._unsupported("Reading metrics")

    def events(self, start: int, end: int) -> list[dict[str, Any]]:
        """Answer what happened between two moments (seconds since 1970)."""
        raise self._unsupported("Reading events")

    def export_spec(self, server: Server) -> dict[str, Any]:
        """Answer what another engine needs to build the same server."""
        raise self._unsupported("Exporting a server")

    def import_server(self, spec: Mapping[str, Any]) -> None:
        """Build a server from what another engine exported."""
        raise self._unsupported("Importing a server")
