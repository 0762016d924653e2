# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a server: setup, and the small probes beside it."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Any

from lab.windows import dispatch
from lab.windows.handlers.clock import iana_zone
from lab.windows.hive import CURRENT_VERSION, Registry
from lab.windows.registry import Call, NotSimulated, Result, handles
from lab.windows.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable

_MIN = ("date_time", "distribution", "dns", "env", "local", "platform", "powershell_version", "user")
_NETWORK = ("all_ipv4_addresses", "all_ipv6_addresses", "interfaces", "windows_domain", "winrm")
_HARDWARE = ("bios", "memory", "processor", "uptime", "virtual")
_GROUPS: dict[str, set[str]] = {
    "min": set(_MIN),
    "network": set(_NETWORK),
    "hardware": set(_HARDWARE),
    "external": {"facter"},
    "all": {*_MIN, *_NETWORK, *_HARDWARE, "facter"},
}


def _subsets(call: Call) -> set[str]:
    excluded: set[str] = set()
    explicit: set[str] = set()
    for item in call.args["gather_subset"]:
        name = item.removeprefix("!")
        names = _GROUPS.get(name) or ({name} if name in _GROUPS["all"] else set())
        if item.startswith("!"):
            excluded |= names - _GROUPS["min"] if name == "all" else names
        elif names:
            explicit |= names
        else:
            call.warnings.append(f"invalid value {item} specified in gather_subset")
    return (_GROUPS["all"] - excluded) | explicit


def _addresses(call: Call) -> Result:
    return {"ansible_ip_addresses": call.server.addresses()}


def _bios(call: Call) -> Result:
    return {
        "ansible_bios_date": "04/01/2014",
        "ansible_bios_version": "rel-1.16.3-0-ga6ed6b701f0a-prebuilt.qemu.org",
        "ansible_product_name": "Standard PC (Q35 + ICH9, 2009)",
        "ansible_product_serial": None,
        "ansible_product_uuid": call.server.section("system").get("uuid"),
    }


def _date_time(call: Call) -> Result:
    zone = call.server.section("clock")["timezone"]
    utc = call.server.now()
    local = utc.astimezone(zoneinfo.ZoneInfo(iana_zone(zone)))
    offset = local.strftime("%z")
    return {
        "ansible_date_time": {
            "date": local.strftime("%Y-%m-%d"),
            "day": local.strftime("%d"),
            "epoch_local": str(utc.timestamp() + (local.utcoffset() or utc - utc).total_seconds()),
            "epoch": str(utc.timestamp()),
            "epoch_int": int(utc.timestamp()),
            "hour": local.strftime("%H"),
            "iso8601": utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "iso8601_basic": local.strftime("%Y%m%dT%H%M%S%f"),
            "iso8601_basic_short": local.strftime("%Y%m%dT%H%M%S"),
            "iso8601_micro": utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "minute": local.strftime("%M"),
            "month": local.strftime("%m"),
            "second": local.strftime("%S"),
            "time": local.strftime("%H:%M:%S"),
            "tz": zone,
            "tz_offset": f"{offset[:3]}:{offset[3:]}",
            "weekday": local.strftime("%A"),
            "weekday_number": local.strftime("%w"),
            "weeknumber": local.strftime("%W"),
            "year": local.strftime("%Y"),
        }
    }


def _distribution(call: Call) -> Result:
    state = call.server.section("system")
    facts = system(state["system"])
    return {
        "ansible_distribution": facts.caption,
        "ansible_distribution_version": facts.version,
        "ansible_distribution_major_version": "10",
        "ansible_os_family": "Windows",
        "ansible_os_name": facts.caption,
        "ansible_os_product_type": "domain_controller" if "controller" in state["domain_role"] else "server",
        "ansible_os_installation_type": "Server",
        "ansible_os_install_date": state["install_time"][:19] + "Z",
    }


def _env(call: Call) -> Result:
    names = {"systemroot": "SystemRoot", "systemdrive": "SystemDrive", "programdata": "ProgramData"}
    values = dispatch.variables(call.server, call.user)
    return {"ansible_env": {names.get(key, key.upper()): value for key, value in values.items()}}


def _interfaces(call: Call) -> Result:
    interfaces = []
    for index, nic in enumerate(call.server.section("system")["networks"]):
        address, _, prefix = nic["address"].partition("/")
        interfaces.append(
            {
                "connection_name": nic["name"],
                "default_gateway": nic["gateway"],
                "dns_domain": call.server.domain,
                "interface_index": 4 + index,
                "interface_name": "Red Hat VirtIO Ethernet Adapter" + (f" #{index + 1}" if index else ""),
                "ipv4": {"address": address, "prefix": prefix} if address else None,
                "ipv6": None,
                "macaddress": nic["mac"].upper(),
                "mtu": 1500,
                "speed": 10000,
            }
        )
    return {"ansible_interfaces": interfaces}


def _local(call: Call) -> Result:
    if call.args["fact_path"]:
        raise NotSimulated("The lab does not simulate the fact_path option of setup.")
    return {}


def _memory(call: Call) -> Result:
    total = int(call.server.section("system")["memory_mib"])
    return {
        "ansible_memtotal_mb": total,
        "ansible_memfree_mb": total * 6 // 10,
        "ansible_swaptotal_mb": 0,
        "ansible_pagefiletotal_mb": max(total // 8, 1024),
        "ansible_pagefilefree_mb": max(total // 8, 1024),
    }


def _platform(call: Call) -> Result:
    server = call.server
    state = server.section("system")
    registry = Registry(server)
    fqdn = f"{server.computer_name}.{server.domain}" if server.domain else server.computer_name
    return {
        "ansible_domain": server.domain or "",
        "ansible_fqdn": fqdn,
        "ansible_hostname": server.computer_name,
        "ansible_netbios_name": server.computer_name[:15].upper(),
        "ansible_kernel": system(state["system"]).version,
        "ansible_nodename": fqdn,
        "ansible_machine_id": server.section("accounts")["machine_sid"],
        "ansible_owner_name": registry.data(CURRENT_VERSION, "RegisteredOwner", ""),
        "ansible_owner_contact": "",
        "ansible_system": "Win32NT",
        "ansible_system_description": registry.data(
            r"HKLM:\SYSTEM\CurrentControlSet\Services\LanmanServer\Parameters", "srvcomment", ""
        ),
        "ansible_system_vendor": "QEMU",
        "ansible_architecture": "64 bits",
        "ansible_architecture2": "x86_64",
        "ansible_reboot_pending": bool(server.pending_reboot),
    }


def _powershell(_call: Call) -> Result:
    return {"ansible_powershell_version": 5}


def _processor(call: Call) -> Result:
    count = int(call.server.section("system")["cpus"])
    model = ("GenuineIntel", "Intel(R) Xeon(R) Gold 6430")
    return {
        "ansible_processor": [part for index in range(count) for part in (str(index), *model)],
        "ansible_processor_count": 1,
        "ansible_processor_vcpus": count,
        "ansible_processor_cores": count,
        "ansible_processor_threads_per_core": 1,
    }


def _uptime(call: Call) -> Result:
    return {
        "ansible_lastboot": call.server.boot_time.strftime("%Y-%m-%d %H:%M:%SZ"),
        "ansible_uptime_seconds": round((call.server.now() - call.server.boot_time).total_seconds()),
    }


def _user(call: Call) -> Result:
    principal = call.server.resolve(call.user)
    values = dispatch.variables(call.server, call.user)
    return {
        "ansible_user_dir": values["userprofile"],
        "ansible_user_gecos": "",
        "ansible_user_id": values["username"],
        "ansible_user_sid": principal.sid if principal else None,
    }


def _windows_domain(call: Call) -> Result:
    state = call.server.section("system")
    return {
        "ansible_windows_domain": state["domain"] or state["workgroup"],
        "ansible_windows_domain_member": bool(state["domain"]),
        "ansible_windows_domain_role": state["domain_role"],
    }


def _virtual(_call: Call) -> Result:
    return {"ansible_virtualization_role": "guest", "ansible_virtualization_type": "kvm"}


_FACTS: dict[str, Callable[[Call], Result]] = {
    "all_ipv4_addresses": _addresses,
    "bios": _bios,
    "date_time": _date_time,
    "distribution": _distribution,
    "env": _env,
    "interfaces": _interfaces,
    "local": _local,
    "memory": _memory,
    "platform": _platform,
    "powershell_version": _powershell,
    "processor": _processor,
    "uptime": _uptime,
    "user": _user,
    "windows_domain": _windows_domain,
    "virtual": _virtual,
}


@handles("ansible.windows.setup", source="ansible.windows 3.3.0 setup.ps1 (documentation names options only)")
def setup(call: Call) -> Result:
    """Gather facts; the winrm, dns and facter subsets find nothing to add, as where no such thing is configured."""
    wanted = _subsets(call)
    facts: dict[str, Any] = {"gather_subset": call.args["gather_subset"], "module_setup": True}
    for name, gather in _FACTS.items():
        if name in wanted:
            facts.update(gather(call))
    return {"changed": False, "ansible_facts": facts}
