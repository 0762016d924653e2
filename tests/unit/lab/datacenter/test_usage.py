# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures are plausible, repeatable, and true about when a server was on."""

from __future__ import annotations

import itertools
import time

from lab.datacenter.usage import TIMEFRAMES, daily, noise


def test_figures_of_a_running_server_stay_within_its_hardware(site, root, server):
    site.wait(root, server.status.start.post())
    (vm,) = (item for item in root.cluster.resources.get(type="vm") if item["vmid"] == 100)
    assert 0 < vm["cpu"] < 1
    assert 0 < vm["mem"] < vm["maxmem"] == 2048 * 1024**2
    assert vm["maxcpu"] == 1
    assert vm["maxdisk"] == 16 * 1024**3
    site.wait(root, server.status.stop.post())
    (vm,) = (item for item in root.cluster.resources.get(type="vm") if item["vmid"] == 100)
    assert (vm["cpu"], vm["mem"], vm["uptime"]) == (0, 0, 0)


def test_a_node_carries_its_servers(site, root, server):
    before = {item["node"]: item for item in root.cluster.resources.get(type="node")}
    site.wait(root, server.status.start.post())
    after = {item["node"]: item for item in root.cluster.resources.get(type="node")}
    assert after["pve-par-1"]["mem"] > before["pve-par-1"]["mem"]
    assert after["pve-lyo-1"]["mem"] == before["pve-lyo-1"]["mem"]
    assert after["pve-par-1"]["maxcpu"] == 48
    status = root.nodes("pve-par-1").status.get()
    assert status["memory"]["total"] == 384 * 1024**3
    assert status["memory"]["used"] + status["memory"]["free"] == status["memory"]["total"]


def test_a_storage_shows_what_is_allocated(root, server):
    before = root.nodes("pve-par-1").storage("ceph-vm").status.get()
    server.config.put(scsi1="ceph-vm:100")
    after = root.nodes("pve-par-1").storage("ceph-vm").status.get()
    assert after["used"] - before["used"] == 100 * 1024**3
    assert after["avail"] == after["total"] - after["used"]
    shown = [item for item in root.cluster.resources.get(type="storage") if item["storage"] == "ceph-vm"]
    assert {item["disk"] for item in shown} == {after["used"]}


def test_the_series_has_pve_9s_resolution_and_gaps_while_it_was_off(site, root, server):
    now = time.time()
    site.call(lambda: site.pve.power_log.update({100: [(now - 3000, True), (now - 1200, False)]}))
    series = server.rrddata.get(timeframe="day")
    assert len(series) == 1440
    assert {b["time"] - a["time"] for a, b in itertools.pairwise(series)} == {60}
    on = [point for point in series if "cpu" in point]
    assert 29 <= len(on) <= 31
    assert all(now - 3000 <= point["time"] <= now - 1200 for point in on)
    known = [point for point in series if "maxmem" in point]
    assert len(known) > len(on), "after it was switched off its size is known, its use is not"
    assert "maxmem" not in series[0], "before it existed nothing is known"
    assert len(server.rrddata.get(timeframe="month")) == TIMEFRAMES["month"][1]


def test_a_figure_asked_twice_is_the_same(site, root, server):
    site.wait(root, server.status.start.post())
    now = time.time()
    site.call(lambda: site.pve.power_log.update({100: [(now - 3000, True)]}))
    first, second = server.rrddata.get(timeframe="hour"), server.rrddata.get(timeframe="hour")
    shared = {p["time"] for p in first} & {p["time"] for p in second}
    assert [p for p in first if p["time"] in shared] == [p for p in second if p["time"] in shared]


def test_node_and_storage_series(site, root):
    site.call(lambda: setattr(site.pve, "started", time.time() - 600))
    node = root.nodes("pve-par-1").rrddata.get(timeframe="hour")
    assert 9 <= len([p for p in node if "cpu" in p]) <= 11
    storage = root.nodes("pve-par-1").storage("ceph-vm").rrddata.get(timeframe="hour")
    assert storage[-1]["total"] == 20480 * 1024**3


def test_noise_is_even_and_daily_follows_the_office():
    values = [noise("a", n) for n in range(2000)]
    assert 0.45 < sum(values) / len(values) < 0.55
    assert daily(3 * 3600) == 0
    assert daily(13 * 3600) > 0.9


def test_the_power_log_only_holds_changes(site, root, server):
    site.wait(root, server.status.start.post())
    site.run(site.pve.powered_off(100))
    site.run(site.pve.powered_off(100))
    assert [on for _moment, on in site.pve.power_log[100]] == [True, False]
