# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the lab's Linux servers that need no container."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import subprocess
import sys

import pytest

from lab.guests import GuestSpec, Nic
from lab.linux import agent, images, packages, runtime, seed
from lab.linux.commands import CommandError, LinuxLabError, run, tail
from lab.linux.containers import Limits, limit_arguments, watch
from lab.linux.serve import inventory
from lab.network import who_listens

NIC = Nic("net0", "BC:24:11:00:00:01", "vmbr0", address="10.42.0.15/24", gateway="10.42.0.1")
SPEC = GuestSpec(
    vmid=101,
    name="web01",
    system="ubuntu_2404",
    cpus=4,
    memory_mib=2048,
    nics=(NIC,),
    nameservers=("10.42.0.11", "10.42.0.12"),
    search_domain="sages-femmes.example",
)


# ------------------------------------------------------------------- runtime


@pytest.mark.parametrize(
    ("unified", "installed", "chosen"),
    [
        (True, {"crun", "runc"}, "crun"),
        (True, {"runc"}, "runc"),
        (False, {"crun", "runc"}, "runc"),
    ],
)
def test_the_runtime_follows_the_layout_of_the_control_groups(unified, installed, chosen):
    assert runtime.choose_runtime(unified=unified, installed=frozenset(installed)) == chosen


@pytest.mark.parametrize(
    ("unified", "installed", "advice"), [(False, {"crun"}, "install runc$"), (True, set(), "install crun or runc$")]
)
def test_a_machine_without_a_fitting_runtime_is_told_which_to_install(unified, installed, advice):
    with pytest.raises(LinuxLabError, match=advice):
        runtime.choose_runtime(unified=unified, installed=frozenset(installed))


def test_limits_never_exceed_what_the_machine_grants():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = runtime.WANTED_FILES
    assert runtime.detect().files == min(hard, runtime.WANTED_FILES)


def test_processors_are_limited_to_those_of_the_machine():
    assert limit_arguments(Limits(64, 2048), cores=2) == ("--cpus", "2", "--memory", "2048m")


# ------------------------------------------------------------------ commands


def test_a_command_that_fails_is_named_with_what_it_said():
    with pytest.raises(CommandError, match=r"`sh -c 'echo no room >&2; exit 3'` ended with status 3: no room"):
        asyncio.run(run("sh", "-c", "echo no room >&2; exit 3"))


def test_a_command_that_is_not_installed_is_named():
    with pytest.raises(LinuxLabError, match="`no-such-program` is not installed"):
        asyncio.run(run("no-such-program"))


def test_a_command_that_hangs_is_stopped():
    with pytest.raises(LinuxLabError, match="had not ended after 0 s"):
        asyncio.run(run("sleep", "60", seconds=0.2))


def test_a_command_reads_its_input_and_writes_its_log(tmp_path):
    assert asyncio.run(run("cat", stdin="é")) == "é"
    log = tmp_path / "log"
    assert asyncio.run(run("echo", "one", log=log)) == ""
    assert tail(log) == "one"
    assert tail(tmp_path / "none") == ""


def test_the_end_of_a_process_is_noticed_without_polling():
    async def follow(process):
        waiting = asyncio.create_task(watch(process.pid))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        process.communicate(b"\n")
        await asyncio.wait_for(waiting, 5)
        await watch(process.pid)  # gone already: returns at once

    asyncio.run(follow(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)))


# ---------------------------------------------------------------------- seed


def test_the_network_is_written_as_cloud_init_writes_it(tmp_path):
    (tmp_path / "etc/systemd/network").mkdir(parents=True)
    stale = tmp_path / "etc/systemd/network/10-cloud-init-eth1.network"
    stale.touch()
    seed.write_network(tmp_path, SPEC)
    text = (tmp_path / "etc/systemd/network/10-cloud-init-eth0.network").read_text()
    assert "Name=eth0" in text
    assert "Address=10.42.0.15/24\nGateway=10.42.0.1\nDNS=10.42.0.11\nDNS=10.42.0.12\n" in text
    assert "Domains=sages-femmes.example" in text
    assert not stale.exists()


def test_a_card_without_an_address_does_not_hold_the_boot():
    spec = GuestSpec(vmid=1, name="a", system="debian_12", cpus=1, memory_mib=512, nics=(Nic("net0", "00", "vmbr0"),))
    assert "RequiredForOnline=no" in seed.network_file(spec, 0)


def test_a_new_server_gets_its_identity(tmp_path):
    for folder in ("etc/ssh", "etc/apt/apt.conf.d", "home/ansible/.ssh"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("a clone's\n")
    key = tmp_path / "ssh_host_ed25519_key"
    key.write_text("private")
    key.with_suffix(".pub").write_text("public")
    data = seed.Seed(host_key=key, authorized_key="ssh-ed25519 AAAA admin", package_proxy="http://10.42.0.1:13142")
    seed.write_identity(tmp_path, SPEC, data)
    assert (tmp_path / "etc/hostname").read_text() == "web01\n"
    assert "127.0.1.1 web01.sages-femmes.example web01\n" in (tmp_path / "etc/hosts").read_text()
    assert (tmp_path / "etc/machine-id").read_text() == ""
    assert (tmp_path / "etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home/ansible/.ssh/authorized_keys").read_text() == "ssh-ed25519 AAAA admin\n"
    assert "http://10.42.0.1:13142" in (tmp_path / "etc/apt/apt.conf.d/01proxy").read_text()


# --------------------------------------------------------------------- agent


def test_the_agent_words_the_system_as_qemu_does():
    text = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\n# ID=no\n'
    assert agent.osinfo(text, "6.8.0", "#1", "x86_64") == {
        "id": "ubuntu",
        "name": "Ubuntu",
        "pretty-name": "Ubuntu 24.04.3 LTS",
        "version-id": "24.04",
        "kernel-release": "6.8.0",
        "kernel-version": "#1",
        "machine": "x86_64",
    }


def test_the_agent_words_the_interfaces_as_qemu_does():
    links = [
        {
            "ifname": "eth0",
            "address": "bc:24:11:00:00:01",
            "addr_info": [{"family": "inet", "local": "10.42.0.15", "prefixlen": 24}, {"family": "inet6"}],
        }
    ]
    assert agent.interfaces(links) == (
        {
            "name": "eth0",
            "hardware-address": "bc:24:11:00:00:01",
            "ip-addresses": [{"ip-address": "10.42.0.15", "ip-address-type": "ipv4", "prefix": 24}],
        },
    )


# -------------------------------------------------------------------- images


class FakeImages(images.Images):
    """Images of which nothing is in podman yet, on a machine whose archives answer or not."""

    def __init__(self, folder, said):
        super().__init__(runtime.Runtime("runc", unified=False, files=1, processes=1), said.append)
        self.folder = folder
        self.imported = []

    async def _imported(self, _recipe):
        return False

    async def _build(self, _recipe, archive):
        archive.touch()


@pytest.fixture
def podman(monkeypatch):
    calls = []

    async def record(*argv, **_options):
        calls.append(argv)
        return ""

    monkeypatch.setattr(images, "run", record)
    return calls


def test_images_are_forgotten_by_name(tmp_path, monkeypatch):
    """Two names may be one image: each is removed, no other image is, and no tar is."""
    calls = []
    names = [f"{images.REPOSITORY}:debian_12-1", f"{images.REPOSITORY}-snapshot:web01-before"]

    async def podman(*argv, **_options):
        calls.append(argv)
        return "".join(f"{name}\n" for name in names) if "images" in argv else ""

    monkeypatch.setattr(images, "run", podman)
    (tmp_path / "debian_12-1.tar").touch()
    assert asyncio.run(FakeImages(tmp_path, []).forget()) == names
    assert f"reference={images.REPOSITORY}" in calls[0]
    assert [argv[-2:] for argv in calls[1:]] == [("--force", name) for name in names]
    assert (tmp_path / "debian_12-1.tar").exists()


def test_ubuntu_is_built_where_its_archive_answers(tmp_path, monkeypatch, podman):
    monkeypatch.setattr(images, "answers", lambda _recipe: True)
    image = asyncio.run(FakeImages(tmp_path, []).ensure("ubuntu_2404"))
    assert (image.system, image.label) == ("ubuntu_2404", "Ubuntu 24.04")
    assert "import" in podman[-1]


def test_debian_takes_its_place_elsewhere_and_that_is_said(tmp_path, monkeypatch, podman):
    monkeypatch.setattr(images, "answers", lambda recipe: recipe.system == "debian_12")
    said = []
    image = asyncio.run(FakeImages(tmp_path, said).ensure("ubuntu_2404"))
    assert image.system == "debian_12"
    assert said[0] == "http://archive.ubuntu.com/ubuntu does not answer: Debian 12 takes the place of Ubuntu 24.04"
    assert podman


def test_a_cached_image_needs_no_archive(tmp_path, monkeypatch, podman):
    monkeypatch.setattr(images, "answers", lambda _recipe: pytest.fail("the archive was asked"))
    recipe = images.RECIPES["ubuntu_2404"]
    (tmp_path / f"{recipe.system}-{recipe.fingerprint}.tar").touch()
    assert asyncio.run(FakeImages(tmp_path, []).ensure("ubuntu_2404")).system == "ubuntu_2404"
    assert podman


def test_without_archive_and_cache_the_error_says_what_to_check(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "answers", lambda _recipe: False)
    with pytest.raises(LinuxLabError, match="check this machine's network and DNS"):
        asyncio.run(FakeImages(tmp_path, []).ensure("ubuntu_2404"))


def test_an_unknown_system_is_named_with_those_that_are_known(tmp_path):
    with pytest.raises(LinuxLabError, match="no image for the system 'plan9'; known: debian_12, ubuntu_2404"):
        asyncio.run(FakeImages(tmp_path, []).ensure("plan9"))


def test_a_keyring_that_was_tampered_with_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_download", lambda _url: b"something else")
    keyring = images.RECIPES["ubuntu_2404"].keyring
    with pytest.raises(LinuxLabError, match=f"not the pinned {keyring.sha256}: not trusted"):
        asyncio.run(FakeImages(tmp_path, [])._keyring(keyring, tmp_path))


def test_a_changed_recipe_is_another_image():
    recipe = images.RECIPES["debian_12"]
    changed = images.Recipe(**{**recipe.__dict__, "packages": ("systemd",)})
    assert changed.tag != recipe.tag


# ------------------------------------------------------------------ packages


def test_each_running_lab_has_a_package_cache_of_its_own(tmp_path):
    first, cache = packages.free_slot(tmp_path)
    second, other = packages.free_slot(tmp_path)
    assert (cache.name, other.name) == ("0", "1")
    first.close()
    third, again = packages.free_slot(tmp_path)
    assert again == cache
    second.close()
    third.close()


def test_a_taken_port_is_named_with_its_process(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        proxy = packages.PackageProxy("127.0.0.1", tmp_path, port=taken.getsockname()[1])
        with pytest.raises(LinuxLabError, match=rf"is taken by .*process {os.getpid()}: stop it first"):
            asyncio.run(proxy.start())


def test_the_package_proxy_answers_and_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    port = next(port for port in range(21000, 21100) if not who_listens("127.0.0.1", port))  # it takes none above 32767
    proxy = packages.PackageProxy("127.0.0.1", tmp_path / "state", port=port)

    async def live():
        await proxy.start()
        await proxy.start()  # harmless
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await proxy.stop()
        await proxy.stop()
        del reader

    asyncio.run(live())
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


# --------------------------------------------------------------------- serve


def test_the_inventory_of_a_single_server_checks_its_host_key(tmp_path):
    text = inventory("dev01", "10.142.0.10", tmp_path / "id", tmp_path / "known")
    assert "ansible_host: 10.142.0.10" in text
    assert "StrictHostKeyChecking=yes" in text
