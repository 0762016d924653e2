# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name, environment, network names and hardware of the server.

win_hostname, win_environment, win_hosts, win_dns_client, win_power_plan, win_pagefile, win_disk_facts.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem, hosts_file
from lab.windows.hive import Registry
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, on_boot, section

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_TCPIP = r"HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"


@handles("ansible.windows.win_hostname", source="ansible.windows 3.3.0 win_hostname documentation and source")
def win_hostname(call: Call) -> Result:
    """Rename the computer; the name is in force after the reboot, and shows as DNS host name at once."""
    state = call.server.section("system")
    wanted = call.args["name"]
    current = state.get("pending_name") or state["computer_name"]
    result: Result = {"changed": False, "old_name": current, "reboot_required": False}
    if call.diff:
        result["diff"] = {"before": current, "after": wanted}
    if wanted.casefold() == current.casefold():
        return result
    if re.fullmatch(r"(?=.*[^0-9])[A-Za-z0-9-]{1,63}", wanted) is None:
        raise ModuleFailure(
            f"Failed to rename computer to '{wanted}': le nom contient des caractères incorrects ou est trop long.",
            **result,
        )
    if "controller" in state["domain_role"]:
        raise NotSimulated("The lab does not simulate renaming a domain controller.")
    state["pending_name"] = wanted
    call.server.reboot_pending("computer name")
    return {**result, "changed": True, "reboot_required": True}


@on_boot(order=5)
def take_name(server: WindowsServer) -> None:
    """Put a new computer name in force."""
    state = server.section("system")
    pending = state.pop("pending_name", None)
    if pending:
        state["computer_name"] = pending
    Registry(server).set(_TCPIP, "Hostname", "string", state["computer_name"])


# -- environment -----------------------------------------------------------------------------------------------------


@section("environment")
def _environment(spec: ServerSpec) -> dict[str, Any]:
    machine = {
        "ComSpec": r"%SystemRoot%\system32\cmd.exe",
        "NUMBER_OF_PROCESSORS": str(spec.cpus),
        "OS": "Windows_NT",
        "Path": r"%SystemRoot%\system32;%SystemRoot%;%SystemRoot%\System32\Wbem",
        "PROCESSOR_ARCHITECTURE": "AMD64",
        "TEMP": r"%SystemRoot%\TEMP",
        "TMP": r"%SystemRoot%\TEMP",
        "windir": r"%SystemRoot%",
    }
    return {"machine": {key.casefold(): {"name": key, "value": value} for key, value in machine.items()}, "users": {}}


@handles("ansible.windows.win_environment", source="ansible.windows 3.3.0 win_environment documentation and source")
def win_environment(call: Call) -> Result:
    """Set or remove environment variables of the machine or the user."""
    args = call.args
    state = call.server.section("environment")
    if args["level"] == "process":
        raise NotSimulated("The lab does not simulate level=process of win_environment: it ends with the task.")
    store = state["machine"] if args["level"] == "machine" else state["users"].setdefault(call.user.casefold(), {})
    single = args["variables"] is None
    wanted = {args["name"]: args["value"]} if single else args["variables"]
    if single:
        if args["state"] == "absent":
            if args["value"]:
                call.warnings.append(
                    f"When removing environment variable '{args['name']}' it should not have a value "
                    f"'{args['value']}' set"
                )
            wanted = {args["name"]: None}
        elif not args["value"]:
            raise ModuleFailure(
                "When state=present, value must be defined and not an empty string, if you wish to remove the envvar, "
                "set state=absent"
            )
    values: dict[str, Any] = {}
    for name, raw in wanted.items():
        value = None if raw is None or raw == "" else str(raw)
        old = store.get(name.casefold())
        before = old["value"] if old else None
        values[name] = {"before": before, "after": value, "changed": before != value}
        if value is None:
            store.pop(name.casefold(), None)
        else:
            store[name.casefold()] = {"name": name, "value": value}
    result: Result = {"changed": any(entry["changed"] for entry in values.values()), "env_values": values}
    if single:
        result["before_value"] = values[args["name"]]["before"]
        result["value"] = values[args["name"]]["after"]
    if call.diff:
        result["diff"] = {
            "before": {args["level"]: {name: entry["before"] for name, entry in values.items()}},
            "after": {args["level"]: {name: entry["after"] for name, entry in values.items()}},
        }
    return result


@handles("ansible.windows.win_path", source="ansible.windows 3.3.0 win_path documentation")
def win_path(call: Call) -> Result:
    """Keep elements in a list of folders, or keep them out; compared without case and trailing backslash."""
    args = call.args
    state = call.server.section("environment")
    store = state["machine"] if args["scope"] == "machine" else state["users"].setdefault(call.user.casefold(), {})
    entry = store.setdefault(args["name"].casefold(), {"name": args["name"], "value": ""})
    current = [part for part in entry["value"].split(";") if part]
    plain = {part.rstrip("\\").casefold() for part in current}
    wanted = {part.rstrip("\\").casefold() for part in args["elements"]}
    if args["state"] == "present":
        new = current + [part for part in args["elements"] if part.rstrip("\\").casefold() not in plain]
    else:
        new = [part for part in current if part.rstrip("\\").casefold() not in wanted]
    entry["value"] = ";".join(new)
    result: Result = {"changed": new != current}
    if call.diff:
        result["diff"] = {"before": ";".join(current), "after": ";".join(new)}
    return result


# -- names on the network --------------------------------------------------------------------------------------------


@handles("ansible.windows.win_hosts", source="ansible.windows 3.3.0 win_hosts documentation and source")
def win_hosts(call: Call) -> Result:
    """Keep an entry of the hosts file, or aliases of one."""
    args = call.args
    before = hosts_file(call.server)
    ip, name = args["ip_address"], args["canonical_name"]
    if ip is not None:
        try:
            ipaddress.ip_address(ip)
        except ValueError:
            raise ModuleFailure(
                f"win_hosts: Argument ip_address needs to be a valid ip address, but was {ip}"
            ) from None
    aliases = args["aliases"] or []
    out, found, changed = [], False, False
    for line in before.splitlines():
        plain, mark, comment = line.partition("#")
        words = plain.split()
        if len(words) < 2:
            out.append(line)
            continue
        same_ip = ip is None or words[0] == ip
        same_name = name is None or words[1].casefold() == name.casefold()
        if args["state"] == "absent":
            if aliases and same_ip and same_name:
                kept = [word for word in words[2:] if word.casefold() not in {alias.casefold() for alias in aliases}]
                changed = changed or kept != words[2:]
                out.append("\t".join([words[0], " ".join([words[1], *kept])]) + (f" #{comment}" if mark else ""))
            elif not aliases and same_ip and same_name and (ip or name):
                changed = True
            else:
                out.append(line)
            continue
        if words[1].casefold() != name.casefold() or (":" in words[0]) is not (":" in ip):
            out.append(line)
            continue
        found = True
        wanted = _aliases(args["action"], words[2:], aliases)
        if words[0] == ip and wanted == words[2:]:
            out.append(line)
        else:
            changed = True
            out.append("\t".join([ip, " ".join([name, *wanted])]))
    if args["state"] == "present" and not found:
        changed = True
        out.append("\t".join([ip, " ".join([name, *(aliases if args["action"] != "remove" else [])])]))
    after = "\r\n".join(out) + "\r\n"
    if changed:
        FileSystem(call.server).write(r"C:\Windows\System32\drivers\etc\hosts", after.encode())
    result: Result = {"changed": changed}
    if call.diff:
        result["diff"] = {"before": before, "after": after if changed else before}
    return result


def _aliases(action: str, current: list[str], wanted: list[str]) -> list[str]:
    names = {name.casefold() for name in wanted}
    if action == "add":
        return current + [name for name in wanted if name.casefold() not in {old.casefold() for old in current}]
    if action == "remove":
        return [name for name in current if name.casefold() not in names]
    return current if {name.casefold() for name in current} == names else wanted


@section("dns_client")
def _dns_client(spec: ServerSpec) -> dict[str, Any]:
    return {"adapters": {nic.name: list(spec.dns_servers) for nic in spec.networks}, "suffixes": []}


@handles("ansible.windows.win_dns_client", source="ansible.windows 3.3.0 win_dns_client documentation and source")
def win_dns_client(call: Call) -> Result:
    """Set the DNS servers of network adapters and the list of suffixes."""
    args = call.args
    state = call.server.section("dns_client")
    names = {nic["name"].casefold(): nic["name"] for nic in call.server.section("system")["networks"]}
    invalid = []
    for address in args["dns_servers"]:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            invalid.append(address)
    if invalid:
        raise ModuleFailure(f"Invalid IP address(es): ({', '.join(invalid)})")
    adapters = list(names.values()) if args["adapter_names"] == ["*"] else []
    for wanted in args["adapter_names"] if not adapters else []:
        if wanted.casefold() not in names:
            raise ModuleFailure(f"Invalid network adapter name: {wanted}")
        adapters.append(names[wanted.casefold()])
    changed = False
    for name in adapters:
        if state["adapters"].get(name, []) != args["dns_servers"]:
            state["adapters"][name] = args["dns_servers"]
            changed = True
    suffixes = args["suffix_search_list"]
    if suffixes is not None and state["suffixes"] != suffixes:
        state["suffixes"] = suffixes
        changed = True
    return {"changed": changed}


# -- hardware --------------------------------------------------------------------------------------------------------

_PLANS = {
    "381b4222-f694-41f0-9685-ff5bb260df2e": "Utilisation normale",
    "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c": "Performances élevées",
    "a1841308-3541-4fab-bc81-f71556f20b4a": "Économies d’énergie",
}


@section("power_plan")
def _power_plan(_spec: ServerSpec) -> dict[str, Any]:
    return {"active": "381b4222-f694-41f0-9685-ff5bb260df2e"}


@handles("community.windows.win_power_plan", source="community.windows 3.1.0 win_power_plan documentation and source")
def win_power_plan(call: Call) -> Result:
    """Activate a power plan by its (localised) name or GUID."""
    state = call.server.section("power_plan")
    guid = call.args["guid"]
    if guid is None:
        name = call.args["name"]
        guid = next((key for key, plan in _PLANS.items() if plan.casefold() == name.casefold()), None)
        if guid is None:
            raise ModuleFailure(f"Defined power_plan: ({name}) is not available")
    elif guid.casefold() not in _PLANS:
        raise ModuleFailure(f"Defined power_plan: ({guid}) is not available")
    guid = guid.casefold()
    changed = state["active"] != guid
    state["active"] = guid
    return {
        "changed": changed,
        "power_plan_name": _PLANS[guid],
        "power_plan_enabled": True,
        "all_available_plans": {plan: key == guid for key, plan in _PLANS.items()},
    }


@section("pagefile")
def _pagefile(_spec: ServerSpec) -> dict[str, Any]:
    return {"automatic": True, "files": {}}


@handles("community.windows.win_pagefile", source="community.windows 3.1.0 win_pagefile documentation and source")
def win_pagefile(call: Call) -> Result:
    """Set, remove or describe page files; sizes in MiB, 0 for managed by the system."""
    args = call.args
    state = call.server.section("pagefile")
    changed = False
    drive = args["drive"][0].upper() if args["drive"] else None
    if args["remove_all"] and state["files"]:
        state["files"] = {}
        changed = True
    if args["automatic"] is not None and state["automatic"] is not args["automatic"]:
        state["automatic"] = args["automatic"]
        changed = True
    if args["state"] != "query" and drive is None and args["automatic"] is None and not args["remove_all"]:
        raise ModuleFailure("You must specify a drive with state=present or state=absent.")
    if drive is not None and args["state"] == "absent":
        changed = state["files"].pop(drive, None) is not None or changed
    elif drive is not None and args["state"] == "present":
        if args["test_path"] and drive != "C":
            raise ModuleFailure(f"Unable to access '{drive}:' drive")
        if not args["system_managed"] and (args["initial_size"] is None or args["maximum_size"] is None):
            raise ModuleFailure(
                "initial_size and maximum_size are required with state=present and system_managed=false"
            )
        wanted = [0, 0] if args["system_managed"] else [args["initial_size"], args["maximum_size"]]
        if state["files"].get(drive) != wanted:
            if drive in state["files"] and not args["override"]:
                raise ModuleFailure("The page file exists already; set override to replace it")
            state["files"][drive] = wanted
            changed = True
        state["automatic"] = False
    if changed:
        call.server.reboot_pending("page file")
    return {
        "changed": changed,
        "automatic_managed_pagefiles": state["automatic"],
        "pagefiles": [
            {
                "name": f"{letter}:\\pagefile.sys",
                "caption": f"{letter}:\\ 'pagefile.sys'",
                "description": f"'pagefile.sys' @ {letter}:\\",
                "initial_size": initial,
                "maximum_size": maximum,
            }
            for letter, (initial, maximum) in state["files"].items()
        ],
    }


def _remaining(call: Call, number: int, size: int) -> int:
    """Free space of a volume: the system takes 18 GiB of the first disk."""
    if number:
        return size - 200 * 1024**2
    return 0 if call.server.faults.disk_full else size - 18 * 1024**3


@handles("community.windows.win_disk_facts", source="community.windows 3.1.0 win_disk_facts documentation")
def win_disk_facts(call: Call) -> Result:
    """Describe disks; the first holds the system, further ones are raw until somebody initialises them."""
    wanted = set(call.args["filter"])
    disks = []
    volumes = call.server.section("volumes")["disks"]
    for number, gib in enumerate(call.server.section("system")["disks_gib"]):
        size = int(gib) * 1024**3
        made = number == 0 or str(number) in volumes
        disk: dict[str, Any] = {
            "number": number,
            "size": size,
            "bus_type": "SAS",
            "friendly_name": "QEMU QEMU HARDDISK",
            "partition_style": "GPT" if made else "RAW",
            "partition_count": 3 if number == 0 else 1 if made else 0,
            "operational_status": "Online" if made else "Offline",
            "sector_size": 512,
            "read_only": False,
            "bootable": number == 0,
            "system_disk": number == 0,
            "clustered": False,
            "manufacturer": "QEMU",
            "model": "QEMU HARDDISK",
            "firmware_version": "2.5+",
            "location": f"PCI Slot 5 : Adapter 2 : Port 0 : Target 0 : LUN {number}",
            "serial_number": f"drive-scsi{number}",
            "unique_id": f"0QEMU    QEMU HARDDISK   drive-scsi{number}",
            "guid": None,
            "path": rf"\\?\scsi#disk&ven_qemu#{number}",
        }
        if "partitions" in wanted and made:
            own = volumes.get(str(number), {"letter": "C", "label": ""})
            partition: dict[str, Any] = {
                "number": 3 if number == 0 else 2,
                "size": size - 200 * 1024**2,
                "type": "Basic",
                "gpt_type": "{ebd0a0a2-b9e5-4433-87c0-68b6b72699c7}",
                "no_default_driveletter": False,
                "drive_letter": own["letter"],
                "offset": 122_683_392,
                "hidden": False,
                "shadow_copy": False,
                "access_paths": f"{own['letter']}:\\",
            }
            if "volumes" in wanted:
                partition["volumes"] = [
                    {
                        "size": size - 200 * 1024**2,
                        "size_remaining": _remaining(call, number, size),
                        "type": "NTFS",
                        "label": own["label"],
                        "health_status": "Healthy",
                        "drive_type": "Fixed",
                        "allocation_unit_size": 4096,
                    }
                ]
            disk["partitions"] = [partition]
        disks.append(disk)
    return {"changed": False, "ansible_facts": {"ansible_disks": disks}}
