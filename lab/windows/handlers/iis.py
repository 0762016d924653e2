# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Microsoft's modules for IIS: website, web_app_pool, web_application, virtual_directory.

They behave as version 1.1.0 does, its defect too: a certificate given for a binding that exists is bound again at every
run, in check mode as well, and never reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.windows.filesystem import FileSystem, key, normalise
from lab.windows.handlers import certificates, iis_state
from lab.windows.registry import Call, ModuleFailure, NotSimulated, Result, handles

if TYPE_CHECKING:
    from lab.windows.server import WindowsServer

_SOURCE = "microsoft.iis 1.1.0 {name} documentation and source"


def _folder(call: Call, path: str, quoted: str) -> str:
    if not FileSystem(call.server).is_dir(path):
        raise ModuleFailure(f"specified folder must already exist: {quoted}")
    return normalise(path)


@handles("microsoft.iis.web_app_pool", source=_SOURCE.format(name="web_app_pool"))
def web_app_pool(call: Call) -> Result:
    """Make, configure, start, stop or remove a pool."""
    args = call.args
    state = iis_state.iis(call.server)
    name, wanted = args["name"], args["state"]
    pool = state["pools"].get(name.casefold())
    if wanted == "absent":
        return {"changed": state["pools"].pop(name.casefold(), None) is not None}
    changed = pool is None
    if pool is None:
        pool = state["pools"][name.casefold()] = iis_state.new_pool(name)
        if call.check:
            return {"changed": True}
    for attribute, value in (args["attributes"] or {}).items():
        changed = _set_attribute(pool, attribute, value) or changed
    if wanted in {"started", "restarted"} and iis_state.run_state(call.server, pool) == "Stopped":
        if not iis_state.running(call.server):
            raise ModuleFailure(f"Failed to start Web App Pool {name}: le service WAS n’est pas démarré.")
        pool["state"], changed = "Started", True
    elif wanted == "restarted":
        changed = True
    elif wanted == "stopped" and pool["state"] != "Stopped":
        pool["state"], changed = "Stopped", True
    return {"changed": changed}


def _set_attribute(pool: dict[str, Any], name: str, value: Any) -> bool:
    if name == iis_state.SCHEDULE:
        times = [str(item) for item in (value if isinstance(value, list) else str(value).split(",")) if str(item)]
        broken = [item for item in times if iis_state.SPAN.fullmatch(item) is None]
        if broken:
            raise ModuleFailure(f"Failed to add new attribute to Web App Pool. Attribute: {name}, Value: {broken[0]}")
        return _put(pool, "times", times)
    if name == "processModel.password":
        raise NotSimulated(
            "The lab does not take a password among the attributes of web_app_pool, which would print it: write it "
            "with the DSC resource WebAppPool."
        )
    new = iis_state.check_pool_attribute(name, value)
    return _put(pool["attributes"], name, new)


@handles("microsoft.iis.website", source=_SOURCE.format(name="website"))
def website(call: Call) -> Result:
    """Make, configure, start, stop or remove a site with its bindings."""
    args, server = call.args, call.server
    state = iis_state.iis(server)
    name = args["name"]
    site = state["sites"].get(name.casefold())
    if args["state"] == "absent":
        return {"changed": state["sites"].pop(name.casefold(), None) is not None}
    changed = site is None
    if site is None:
        if not args["physical_path"]:
            raise ModuleFailure("missing required arguments: physical_path")
        path = _folder(call, args["physical_path"], "physical_path")
        taken = {other["id"] for other in state["sites"].values()}
        number = int(args["site_id"] or min(set(range(1, len(taken) + 2)) - taken))
        if number in taken:
            raise ModuleFailure(f"A site with the id {number} exists already")
        site = iis_state.new_site(name, number, path, args["application_pool"] or "DefaultAppPool")
        state["sites"][name.casefold()] = site
        if call.check:
            return {"changed": True}  # the module finds no site afterwards and looks no further
    if args["physical_path"]:
        path = _folder(call, args["physical_path"], "physical_path")
        changed, site["path"] = changed or site["path"] != path, path
    if args["application_pool"]:
        pool = args["application_pool"]
        changed, site["pool"] = changed or site["pool"] != pool, pool
    changed = _bind(call, site) or changed
    return {"changed": _run(call, state, site) or changed}


@handles("microsoft.iis.website_info", source=_SOURCE.format(name="website_info"))
def website_info(call: Call) -> Result:
    """Describe all sites, or one."""
    state = iis_state.iis(call.server)
    name = call.args["name"]
    chosen = [site for key, site in state["sites"].items() if name is None or key == name.casefold()]
    return {"changed": False, "exists": bool(chosen), "site": [_described(call.server, site) for site in chosen]}


def _described(server: WindowsServer, site: dict[str, Any]) -> dict[str, Any]:
    bindings = []
    for item in site["bindings"]:
        ip, port, host = item["information"].split(":")  # as the module does, which cannot read IPv6 addresses
        bindings.append(
            {
                "ip": ip,
                "port": int(port),
                "hostname": host,
                "protocol": item["protocol"],
                "use_ccs": False,
                "use_sni": bool(item["flags"]),
                "certificate_hash": item["certificate"] or None,
                "certificate_store_name": item["store"] or None,
            }
        )
    return {
        "name": site["name"],
        "site_id": site["id"],
        "state": iis_state.run_state(server, site),
        "physical_path": site["path"],
        "application_pool": site["pool"],
        "bindings": bindings,
    }


def _run(call: Call, state: dict[str, Any], site: dict[str, Any]) -> bool:
    wanted, now = call.args["state"], iis_state.run_state(call.server, site)
    stopped = wanted in {"stopped", "restarted"} and now == "Started"
    start = (wanted == "started" and now == "Stopped") or wanted == "restarted"
    if stopped:
        site["state"] = "Stopped"
    if start:
        if not iis_state.running(call.server):
            raise ModuleFailure("Le service W3SVC n’est pas démarré. (Exception de HRESULT : 0x80070426)")
        if not site["bindings"]:
            raise ModuleFailure("La demande n’est pas prise en charge: the site has no binding. (0x80070032)")
        _refuse_clash(state, site)
        site["state"] = "Started"
    return stopped or start


def _refuse_clash(state: dict[str, Any], site: dict[str, Any]) -> None:
    """Another started site at the same address: HTTP.sys lets only one have it."""
    mine = {item["information"].casefold() for item in site["bindings"]}
    for other in state["sites"].values():
        theirs = {item["information"].casefold() for item in other["bindings"]}
        if other is not site and other["state"] == "Started" and mine & theirs:
            raise ModuleFailure(
                "Impossible de créer un fichier déjà existant. (Exception de HRESULT : 0x800700B7): "
                f"{min(mine & theirs)} belongs to {other['name']}"
            )


def _key(options: dict[str, Any]) -> str:
    return f"{options['ip'] or ''}:{options['port'] or ''}:{options['hostname'] or ''}"


def _flags(call: Call, options: dict[str, Any]) -> int:
    """SSL flags of a binding, and what the module refuses of it."""
    secure, host = options["protocol"] == "https", options["hostname"]
    if options["use_sni"] and not secure:
        raise ModuleFailure("use_sni can only be set for https protocol")
    if options["use_sni"] and not host:
        raise ModuleFailure("must specify hostname value when use_sni is set.")
    if options["use_ccs"]:
        raise NotSimulated("The lab does not simulate the central certificate store (use_ccs).")
    if secure and not options["certificate_hash"]:
        raise ModuleFailure("must either specify a certificate_hash or use_ccs.")
    if options["certificate_hash"] and not secure:
        raise ModuleFailure("You can only provide a certificate thumbprint when protocol is set to https")
    if options["certificate_hash"]:
        _find_certificate(call.server, options["certificate_store_name"], options["certificate_hash"])
    return 1 if options["use_sni"] else 0


def _find_certificate(server: WindowsServer, store: str, thumbprint: str) -> None:
    stores = server.section("certificates")["LocalMachine"]
    held: dict[str, Any] = next(
        (entries for name, entries in stores.items() if name.casefold() == store.casefold()), {}
    )
    entry = held.get(thumbprint.upper())
    if entry is None:
        raise ModuleFailure(f"Unable to locate certificate at cert:\\LocalMachine\\{store}\\{thumbprint}")
    if not certificates.key_file(server, entry):  # a key in a user's profile is none to HTTP.sys
        raise ModuleFailure(
            "Une session d’ouverture de session spécifiée n’existe pas. Il est possible qu’elle soit déjà terminée. "
            "(Exception de HRESULT : 0x80070520)"
        )


def _bind(call: Call, site: dict[str, Any]) -> bool:
    """Add, edit and remove bindings, in the module's order."""
    bindings = call.args["bindings"] or {}
    exact = bindings.get("set")
    added = exact if exact is not None else bindings.get("add") or []
    there = {item["information"].casefold(): item for item in site["bindings"]}
    if exact is not None:
        wanted = {_key(options).casefold() for options in exact}
        gone = [name for name in there if name not in wanted]
    else:
        removed = {_key(options).casefold() for options in bindings.get("remove") or []}
        gone = [name for name in there if name in removed]
    changed = False
    for options in added:
        existing = there.get(_key(options).casefold())
        if existing is None:
            new = iis_state.binding(options["protocol"], _key(options), _flags(call, options))
            site["bindings"].append(new)
            changed = True
            _certify(call, new, options)
            continue
        if options["use_sni"] is None:
            options["use_sni"] = bool(existing["flags"] % 2)
        flags = _flags(call, options)
        if existing["protocol"] != options["protocol"] or existing["flags"] != flags:
            existing.update(protocol=options["protocol"], flags=flags)
            changed = True
        if options["certificate_hash"] and call.check:
            raise NotSimulated(
                "The lab refuses what microsoft.iis.website 1.1.0 would do here: write the certificate of the binding "
                f"{_key(options)} in check mode."
            )
        _certify(call, existing, options)
    site["bindings"] = [item for item in site["bindings"] if item["information"].casefold() not in gone]
    return changed or bool(gone)


def _certify(call: Call, item: dict[str, Any], options: dict[str, Any]) -> None:
    """Bind the certificate: HTTP.sys has one for an address and port without SNI, whatever site asked last."""
    if not options["certificate_hash"]:
        return
    item.update(certificate=options["certificate_hash"].upper(), store=options["certificate_store_name"])
    if item["flags"]:
        return
    place = item["information"].rpartition(":")[0]
    for other in iis_state.iis(call.server)["sites"].values():
        for shared in other["bindings"]:
            if shared["protocol"] == "https" and not shared["flags"] and shared["information"].startswith(f"{place}:"):
                shared.update(certificate=item["certificate"], store=item["store"])


def _site(call: Call) -> dict[str, Any]:
    state = iis_state.iis(call.server)
    site: dict[str, Any] | None = state["sites"].get(call.args["site"].casefold())
    if site is None:
        raise ModuleFailure(f"Le site « {call.args['site']} » n’existe pas. (0x80070490)")
    return site


def _refuse_account(call: Call) -> None:
    if call.args["connect_as"] or call.args["username"] or call.args["password"]:
        raise NotSimulated(f"The lab does not simulate the option connect_as of {call.module}.")


@handles("microsoft.iis.web_application", source=_SOURCE.format(name="web_application"))
def web_application(call: Call) -> Result:
    """Make, change or remove an application of a site."""
    _refuse_account(call)
    args, site = call.args, _site(call)
    name = args["name"].strip("/")
    entry = site["applications"].get(name.casefold())
    if args["state"] == "absent":
        return {"changed": site["applications"].pop(name.casefold(), None) is not None}
    pool = args["application_pool"] or site["pool"]
    changed = entry is None
    if entry is None:
        if not args["physical_path"]:
            raise ModuleFailure("missing required arguments: physical_path")
        path = _folder(call, args["physical_path"], f"'{args['physical_path']}'")
        entry = {"path": name, "pool": pool, "physical_path": path, "directories": {}}
        site["applications"][name.casefold()] = entry
    if args["physical_path"]:
        path = _folder(call, args["physical_path"], f"'{args['physical_path']}'")
        changed, entry["physical_path"] = changed or entry["physical_path"] != path, path
    return {"changed": _put(entry, "pool", pool) or changed}


def _put(entry: dict[str, Any], name: str, value: Any) -> bool:
    changed = entry[name] != value
    entry[name] = value
    return bool(changed)


@handles("microsoft.iis.virtual_directory", source=_SOURCE.format(name="virtual_directory"))
def virtual_directory(call: Call) -> Result:
    """Make, change or remove a virtual directory."""
    _refuse_account(call)
    args, site = call.args, _site(call)
    holder = site
    if args["application"]:
        holder = site["applications"].get(args["application"].strip("/").casefold())
        if holder is None:
            raise ModuleFailure(f"L’application « {args['application']} » n’existe pas.")
    name = args["name"].strip("/")
    entry = holder["directories"].get(name.casefold())
    if args["state"] == "absent":
        return {"changed": holder["directories"].pop(name.casefold(), None) is not None}
    if not args["physical_path"]:
        raise ModuleFailure("missing required arguments: physical_path")
    _folder(call, args["physical_path"], f"'{args['physical_path']}'")
    if entry is not None and key(entry["physical_path"]) == key(args["physical_path"]):
        return {"changed": False}
    holder["directories"][name.casefold()] = {"path": name, "physical_path": args["physical_path"]}
    return {"changed": True}
