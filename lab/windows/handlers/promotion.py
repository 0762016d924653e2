# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Becoming a domain controller or a member of a domain, and what the next boot makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.domains import (
    CONTROLLER,
    DEFAULT_SITE,
    WORKSTATION,
    Domain,
    DomainDirectory,
    domains_of,
    is_controller,
    new_domain,
)
from lab.windows.handlers import features, services, shares
from lab.windows.hive import Registry
from lab.windows.identity import LogonFailure, split_name
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles, on_boot, register_directory

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

CONTROLLER_SERVICES = ("NTDS", "ADWS", "Kdc", "Netlogon", "DFSR", "IsmServ", "DNS", "W32Time")
"""Services that a controller with DNS runs (Microsoft Learn, "AD DS installation and removal wizard")."""

_MODES = ("Win2003", "Win2008", "Win2008R2", "Win2012", "Win2012R2", "WinThreshold", "Win2025")
_JOIN = "dns_domain_name, domain_admin_user, domain_admin_password"
_FEATURES = ("AD-Domain-Services", "RSAT-ADDS")

register_directory(DomainDirectory())


def _install_features(call: Call) -> bool:
    """Install what promotion needs; tells whether anything was missing."""
    missing = [name for name in _FEATURES if not features.installed(call.server, name)]
    if missing and not call.check:
        features.install(call.server, missing, tools=True)
    return bool(missing)


def _pending(call: Call) -> dict[str, Any]:
    section = call.server.section("promotion")
    if section["pending"]:
        raise ModuleFailure(
            "Failed to install ADDSForest, DCPromo exited with 15: Un changement de rôle est en cours ou cet ordinateur"
            " doit être redémarré.",
            reboot_required=True,
            _do_action_reboot=True,
        )
    return section


@handles("microsoft.ad.domain", source="microsoft.ad 1.10.0 domain documentation and domain.ps1")
def domain(call: Call) -> Result:
    """Found a forest of one domain, unless a domain of that name answers."""
    args = call.args
    netbios = args["domain_netbios_name"]
    if netbios and len(netbios) > 15:
        raise ModuleFailure("The parameter 'domain_netbios_name' should not exceed 15 characters in length")
    result: Result = {"changed": False, "reboot_required": False}
    if _install_features(call):
        result["changed"] = True
        if call.check:
            return result
    for option in ("domain_mode", "forest_mode"):
        if args[option] is not None and args[option] not in _MODES:
            raise ModuleFailure(
                f"The parameter '{option}' does not accept '{args[option]}', please use one of: {', '.join(_MODES)}"
            )
    if args["create_dns_delegation"]:
        raise NotSimulated("a DNS delegation to the new domain (create_dns_delegation)")
    if not args["install_dns"]:
        raise NotSimulated("a domain controller without DNS (install_dns: false)")
    name = args["dns_domain_name"].casefold()
    found = domains_of(call.server).read(name)
    if found is not None and found.running(call.server):
        return result
    if call.server.domain is not None:
        raise ModuleFailure(
            "Failed to install ADDSForest, DCPromo exited with 1: "
            f"this computer belongs to {call.server.domain} already"
        )
    pending = _pending(call)
    result |= {"changed": True, "reboot_required": True}
    if not call.check:
        pending["pending"] = {
            "kind": "forest",
            "domain": name,
            "netbios": netbios or name.split(".")[0][:15].upper(),
            "mode": args["domain_mode"] or args["forest_mode"] or "WinThreshold",
        }
        call.server.reboot_pending("promotion to domain controller")
    return result


def _find_domain(call: Call, name: str) -> Domain:
    """A domain that a server can reach: its DNS servers must be controllers of it."""
    found = domains_of(call.server).read(name)
    if found is not None:
        controllers = {address for entry in found.data["controllers"].values() for address in entry["addresses"]}
        adapters = call.server.section("dns_client")["adapters"].values()
        asked = [address for servers in adapters for address in servers if address in controllers]
        if any(found.answers(call.server.estate.at(address)) for address in asked):
            return found
    raise ModuleFailure(
        f'An Active Directory domain controller for the domain "{name}" could not be contacted. '
        "Ensure that the DNS servers of this computer are controllers of that domain."
    )


def _check_administrator(call: Call, found: Domain, user: str, password: str) -> None:
    """Let only an enabled domain administrator with the right password go on."""
    wanted, account = split_name(user)
    if wanted is None:
        raise ModuleFailure("domain_admin_user must be in domain\\user or user@domain.com format")
    known = (call.server.estate.named(name) for name in found.data["controllers"])
    server = next((other for other in known if found.answers(other)), None)
    if server is None:
        raise ModuleFailure(f"No domain controller of {found.dns_name} answers.")
    try:
        principal = server.logon(user, password)
    except LogonFailure as failure:
        raise ModuleFailure("The user name or password is incorrect.") from failure
    entry = found.find(principal.sid)
    admins = found.find(f"{found.sid}-512")
    if entry is None or admins is None or entry["dn"] not in admins["attributes"]["member"]:
        raise ModuleFailure(f"Access is denied: {account} is not a domain administrator.")


@handles("microsoft.ad.domain_controller", source="microsoft.ad 1.10.0 documentation and domain_controller.ps1")
def domain_controller(call: Call) -> Result:
    """Make a server a further controller of a domain that is there."""
    args = call.args
    server = call.server
    result: Result = {"changed": False, "reboot_required": False}
    controller = is_controller(server)
    if args["state"] == "member_server":
        if not controller:
            return result
        raise NotSimulated("the demotion of a domain controller")
    if _install_features(call):
        result["changed"] = True
        if call.check:
            return result
    if "\\" not in args["domain_admin_user"] and "@" not in args["domain_admin_user"]:
        raise ModuleFailure("domain_admin_user must be in domain\\user or user@domain.com format")
    name = args["dns_domain_name"].casefold()
    if controller:
        if server.domain != name:
            raise ModuleFailure(
                f"The host {server.computer_name} is a domain controller for the domain {server.domain}; "
                "changing DC domains is not implemented"
            )
        return result
    if args["read_only"] or args["install_media_path"]:
        raise NotSimulated("a read-only controller, or one made from media")
    if args["install_dns"] is False:
        raise NotSimulated("a domain controller without DNS (install_dns: false)")
    pending = _pending(call)
    found = _find_domain(call, name)
    _check_administrator(call, found, args["domain_admin_user"], args["domain_admin_password"])
    site = args["site_name"] or DEFAULT_SITE
    if args["site_name"] and args["site_name"] not in found.data["sites"]:
        raise ModuleFailure(f"The site {site} could not be found in the forest.")
    source = args["replication_source_dc"]
    if source and source.casefold() not in {entry["fqdn"] for entry in found.data["controllers"].values()}:
        raise ModuleFailure(f"The replication source {source} is not a controller of {name}.")
    result |= {"changed": True, "reboot_required": True}
    if not call.check:
        pending["pending"] = {"kind": "further", "domain": name, "site": site}
        server.reboot_pending("promotion to domain controller")
        if args["reboot"]:
            result["_previous_boot_time"] = _file_time(server)
            server.shutdown_request = "reboot"
    return result


def _file_time(server: WindowsServer) -> int:
    from lab.windows.server import filetime  # noqa: PLC0415 - server.py imports the registry that loads this file

    return filetime(server.boot_time)


@handles("microsoft.ad.membership", source="microsoft.ad 1.10.0 membership documentation and membership.ps1")
def membership(call: Call) -> Result:
    """Join a domain."""
    args = call.args
    server = call.server
    result: Result = {"changed": False, "reboot_required": False}
    if args["state"] == "workgroup":
        if server.domain is None:
            if args["workgroup_name"].casefold() != str(server.section("system")["workgroup"]).casefold():
                raise NotSimulated("a change of workgroup by microsoft.ad.membership")
            return result
        raise NotSimulated("leaving a domain")
    if args["offline_join_blob"]:
        raise NotSimulated("an offline domain join")
    if not args["dns_domain_name"] or not args["domain_admin_user"] or not args["domain_admin_password"]:
        raise ModuleFailure(f"state is domain but all of the following are missing: {_JOIN}")
    name = args["dns_domain_name"].casefold()
    if args["hostname"] and args["hostname"].casefold() != server.computer_name.casefold():
        raise NotSimulated("a rename together with the domain join (use win_hostname and a reboot first)")
    if server.domain is not None:
        if server.domain != name:
            raise NotSimulated("moving from one domain to another")
        return result
    if is_controller(server):
        raise ModuleFailure("This computer is a domain controller; it cannot join a domain.")
    if args["domain_server"]:
        raise NotSimulated("a domain join through a named controller (domain_server)")
    found = _find_domain(call, name)
    _check_administrator(call, found, args["domain_admin_user"], args["domain_admin_password"])
    container = args["domain_ou_path"] or f"CN=Computers,{found.dn}"
    if found.get(container) is None:
        raise ModuleFailure(f"Failed to join domain: the container {container} does not exist.")
    result |= {"changed": True, "reboot_required": True}
    if not call.check:
        server.section("promotion")["pending"] = {"kind": "member", "domain": name, "container": container}
        server.reboot_pending("domain join")
    return result


@on_boot(order=60)
def finish(server: WindowsServer) -> None:
    """Carry out what was pending: the server wakes as a controller or as a member."""
    section = server.section("promotion")
    pending = section["pending"]
    if not pending:
        return
    section["pending"] = None
    store = domains_of(server)
    with store.lock:
        if pending["kind"] == "forest":
            found = _found_forest(server, pending)
        else:
            existing = store.read(pending["domain"])
            if existing is None:
                return  # the domain vanished while the server rebooted: it comes back as it was
            found = existing
        if pending["kind"] == "member":
            _join(server, found, pending["container"])
        else:
            _become_controller(server, found, pending)
        store.write(found)


def _found_forest(server: WindowsServer, pending: dict[str, Any]) -> Domain:
    accounts = server.section("accounts")
    administrator = next(user for user in accounts["users"].values() if user["sid"].endswith("-500"))
    found = new_domain(
        pending["domain"],
        pending["netbios"],
        mode=pending["mode"],
        administrator=administrator,
        machine_sid=accounts["machine_sid"],
    )
    found.data["pdc_emulator"] = server.computer_name
    for name, replication in ((pending["domain"], "Domain"), (f"_msdcs.{pending['domain']}", "Forest")):
        found.data["zones"][name] = {
            "name": name,
            "type": "Primary",
            "replication": replication,
            "dynamic_update": "Secure",
            "aging": False,
            "refresh_hours": 168,
            "no_refresh_hours": 168,
            "records": [],
        }
    return found


def _register(server: WindowsServer, found: Domain, container: str, control: int) -> None:
    """Create the computer's account and its address in DNS."""
    name = server.computer_name
    fqdn = f"{name}.{found.dns_name}".lower()
    group = found.find(f"{found.sid}-{516 if control == CONTROLLER else 515}")
    entry = found.find(f"{name}$") or found.add(
        f"CN={name},{container}",
        "computer",
        sAMAccountName=f"{name}$",
        dNSHostName=fqdn,
        userAccountControl=control,
        servicePrincipalName=[f"HOST/{name}", f"HOST/{fqdn}"],
    )
    if control == CONTROLLER:
        entry["attributes"]["userAccountControl"] = control
        found.move(entry, f"CN={name},OU=Domain Controllers,{found.dn}")
    entry["attributes"]["primaryGroupID"] = 516 if control == CONTROLLER else 515
    if group is None:
        raise LookupError(f"{found.dns_name} lost its group of computers")
    records = found.data["zones"][found.dns_name]["records"]
    records[:] = [record for record in records if not (record["type"] == "A" and record["name"] == name.lower())]
    records += [
        {"name": name.lower(), "type": "A", "value": address, "ttl_seconds": 1200, "aged": True}
        for address in server.addresses()
    ]


def _join(server: WindowsServer, found: Domain, container: str) -> None:
    _register(server, found, container, WORKSTATION)
    system = server.section("system")
    system["domain"] = found.dns_name
    system["domain_role"] = "Member server"
    administrators = next(
        group for group in server.section("accounts")["groups"].values() if group["sid"] == "S-1-5-32-544"
    )
    administrators["members"].append(f"{found.sid}-512")


def _become_controller(server: WindowsServer, found: Domain, pending: dict[str, Any]) -> None:
    first = pending["kind"] == "forest"
    system = server.section("system")
    system["domain"] = found.dns_name
    system["domain_role"] = "Primary domain controller" if first else "Backup domain controller"
    _register(server, found, f"OU=Domain Controllers,{found.dn}", CONTROLLER)
    fqdn = server.fqdn
    found.data["controllers"][server.computer_name] = {
        "fqdn": fqdn,
        "addresses": server.addresses(),
        "site": pending.get("site", DEFAULT_SITE),
    }
    records = found.data["zones"][found.dns_name]["records"]
    for label, port in (("_ldap._tcp", 389), ("_kerberos._tcp", 88)):
        records.append(
            {
                "name": label,
                "type": "SRV",
                "value": f"{fqdn}.",
                "port": port,
                "priority": 0,
                "weight": 100,
                "ttl_seconds": 600,
                "aged": True,
            }
        )
    if first:  # the promotion makes the server its own first DNS server
        adapters = server.section("dns_client")["adapters"]
        for name, addresses in adapters.items():
            adapters[name] = ["127.0.0.1", *addresses]
    # A controller has no accounts of its own: the directory holds them all.
    accounts = server.section("accounts")
    accounts["domain_controller"] = True
    accounts["users"] = {}
    accounts["groups"] = {}
    features.install(server, ["AD-Domain-Services", "DNS"], tools=True)
    for needed in CONTROLLER_SERVICES:
        services.add(server, needed)
        service = services.find(server, needed)
        if service is not None:
            service["start_mode"] = "auto"
            service["state"] = "running"
    folder = rf"C:\Windows\SYSVOL\sysvol\{found.dns_name}"
    shares.add(server, "SYSVOL", r"C:\Windows\SYSVOL\sysvol", description="Partage du serveur d’accès")
    shares.add(server, "NETLOGON", rf"{folder}\SCRIPTS", description="Partage du serveur d’accès")
    hive = Registry(server)
    hive.set(r"HKLM:\SYSTEM\CurrentControlSet\Services\W32Time\Parameters", "Type", "string", "NT5DS")
