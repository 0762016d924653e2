# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cloud-init would write into a new server: its name, network, host key, administrator's key and package proxy."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.credentials import LINUX_USER

if TYPE_CHECKING:
    from pathlib import Path

    from lab.guests import GuestSpec

NETWORK = "etc/systemd/network/10-cloud-init-eth{index}.network"


@dataclass(frozen=True)
class Seed:
    """The data handed to a server besides its virtual hardware.

    Attributes:
        host_key: private host key on the controller; the public half lies beside it.
        authorized_key: the administrator's public key.
        package_proxy: URL of the site's package proxy; none when None.
    """

    host_key: Path
    authorized_key: str
    package_proxy: str | None


def network_file(spec: GuestSpec, index: int) -> str:
    """systemd-networkd's file for one card, as netplan writes it from cloud-init's data."""
    nic = spec.nics[index]
    lines = ["[Match]", f"Name=eth{index}", "", "[Network]", "LinkLocalAddressing=ipv6", "IPv6AcceptRA=no"]
    if nic.address:
        lines.append(f"Address={nic.ip}/{nic.prefix}")
    if nic.gateway:
        lines.append(f"Gateway={nic.gateway}")
    if index == 0:
        lines += [f"DNS={server}" for server in spec.nameservers]
        lines += [f"Domains={spec.search_domain}"] if spec.search_domain else []
    if not nic.address:
        lines += ["", "[Link]", "RequiredForOnline=no"]
    return "\n".join(lines) + "\n"


def hosts_file(spec: GuestSpec) -> str:
    """/etc/hosts as cloud-init leaves it."""
    names = f"{spec.name}.{spec.search_domain} {spec.name}" if spec.search_domain else spec.name
    return f"127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"


def apt_settings(package_proxy: str) -> str:
    """How apt reaches the archives: the site's proxy is so near that unpacking an index costs more than fetching it."""
    return (
        f'Acquire::http::Proxy "{package_proxy}";\n'
        'Acquire::Languages "none";\n'
        'Acquire::CompressionTypes::Order:: "gz";\n'
    )


def write_network(root: Path, spec: GuestSpec) -> None:
    """Write the network's files for the cards the server has now, and remove those of cards it has no more."""
    folder = root / "etc/systemd/network"
    wanted = {root / NETWORK.format(index=index): network_file(spec, index) for index in range(len(spec.nics))}
    for stale in set(folder.glob("10-cloud-init-eth*.network")) - set(wanted):
        stale.unlink()
    for path, text in wanted.items():
        path.write_text(text)


def write_identity(root: Path, spec: GuestSpec, seed: Seed) -> None:
    """Write what a server gets once, at its first boot, and may change afterwards."""
    (root / "etc/machine-id").write_text("")  # systemd makes one: a clone is a machine of its own
    (root / "etc/hostname").write_text(f"{spec.name}\n")
    (root / "etc/hosts").write_text(hosts_file(spec))
    for source, mode in ((seed.host_key, 0o600), (seed.host_key.with_suffix(".pub"), 0o644)):
        target = root / "etc/ssh" / source.name
        shutil.copyfile(source, target)
        target.chmod(mode)
    home = (root / "home" / LINUX_USER).stat()
    keys = root / "home" / LINUX_USER / ".ssh/authorized_keys"
    keys.write_text(f"{seed.authorized_key}\n")
    keys.chmod(0o600)
    os.chown(keys, home.st_uid, home.st_gid)
    if seed.package_proxy:
        (root / "etc/apt/apt.conf.d/01proxy").write_text(apt_settings(seed.package_proxy))
