# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent answers while the guest runs, and says what the guest reports."""

from __future__ import annotations

import pytest
from proxmoxer.core import ResourceException


def test_the_agent_follows_the_guest(site, root, server):
    with pytest.raises(ResourceException, match="is not running"):
        server.agent("get-osinfo").get()
    site.wait(root, server.status.start.post())
    assert server.agent("get-osinfo").get()["result"] == {"id": "stub", "name": "ubuntu_2404"}
    assert server.agent("get-host-name").get()["result"] == {"host-name": "web01"}
    assert server.agent.ping.post()["result"] == {}
    site.wait(root, server.status.stop.post())
    with pytest.raises(ResourceException, match="is not running"):
        server.agent("get-osinfo").get()


def test_a_guest_that_boots_has_no_agent_yet(site, root, server):
    site.wait(root, server.status.start.post())
    site.made["web01"].on = False
    with pytest.raises(ResourceException, match="QEMU guest agent is not running"):
        server.agent.ping.post()


def test_an_agent_that_is_not_configured_says_so(site, root, server):
    server.config.put(agent="enabled=0")
    site.wait(root, server.status.start.post())
    with pytest.raises(ResourceException, match="No QEMU guest agent configured"):
        server.agent.ping.post()


def test_interfaces_carry_the_configured_addresses(site, root, server):
    mac = server.config.get()["net0"].split(",")[0].split("=")[1]
    site.wait(root, server.status.start.post())
    (interface,) = server.agent("network-get-interfaces").get()["result"]
    assert interface["hardware-address"] == mac.lower()
    assert interface["ip-addresses"] == [{"ip-address": "10.42.0.15", "ip-address-type": "ipv4", "prefix": 24}]


def test_a_shutdown_through_the_agent_powers_off(site, root, server):
    site.wait(root, server.status.start.post())
    server.agent.shutdown.post()
    assert server.status.current.get()["status"] == "stopped"
    assert site.made["web01"].calls == ["boot", "shutdown"]


def test_the_other_commands_are_answered_from_the_configuration(site, root, server):
    server.config.put(cores=3)
    site.wait(root, server.status.start.post())
    assert len(server.agent("get-vcpus").get()["result"]) == 3
    commands = {item["name"] for item in server.agent.info.get()["result"]["supported_commands"]}
    assert "guest-network-get-interfaces" in commands
    assert "guest-exec" not in commands
    assert server.agent("get-time").get()["result"] > 0
    assert server.agent("get-fsinfo").get()["result"] == []
