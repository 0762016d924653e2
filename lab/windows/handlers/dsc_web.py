# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DSC resources of WebAdministrationDsc 4.2.1: IIS's attributes, collections, logs and pools' accounts."""

from __future__ import annotations

from typing import Any

from lab.windows.handlers import iis_state
from lab.windows.handlers.dsc import Dsc, resource
from lab.windows.registry import ModuleFailure, NotSimulated

MODULE = "WebAdministrationDsc"
_SOURCE = "WebAdministrationDsc, source/DSCResources/DSC_{name}: schema.mof and psm1"
_PLACES = {"machine/webroot/apphost", "machine/webroot"}
_HSTS = "/system.applicationhost/sites/site[@name='"


def _section(dsc: Dsc, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes that a filter points to, and their defaults."""
    place = str(dsc.properties["WebsitePath"])
    if place.casefold() not in _PLACES:
        raise NotSimulated(
            f"The lab does not simulate a site's own web.config (WebsitePath {place}): only that of all sites."
        )
    state = iis_state.iis(dsc.server)
    if path.casefold().startswith(_HSTS) and path.casefold().endswith("']/hsts"):
        name = path[len(_HSTS) : -len("']/hsts")]
        site = state["sites"].get(name.casefold())
        if site is None:
            raise _absent(dsc, path)
        return site["hsts"], iis_state.HSTS
    for known, values in state["attributes"].items():
        if known.casefold() == path.casefold():
            return values, iis_state.SECTIONS[known]
    raise _absent(dsc, path)


def _absent(dsc: Dsc, path: str) -> ModuleFailure:
    return dsc.fail(
        f"Target configuration object '{path} is not found at path 'MACHINE/WEBROOT/APPHOST'. (The lab knows "
        f"{', '.join((*iis_state.SECTIONS, *iis_state.COLLECTIONS))} and hsts of sites.)"
    )


@resource(
    "WebConfigProperty",
    module=MODULE,
    schema={
        "WebsitePath": "key str",
        "Filter": "key str",
        "PropertyName": "key str",
        "Value": "str",
        "Ensure": "str Present|Absent",
    },
    source=_SOURCE.format(name="WebConfigProperty"),
)
def web_config_property(dsc: Dsc) -> bool:
    """One attribute; texts are compared without case, as PowerShell's -ne does."""
    values, defaults = _section(dsc, dsc.properties["Filter"])
    name = next((own for own in defaults if own.casefold() == dsc.properties["PropertyName"].casefold()), None)
    if name is None:
        raise _absent(dsc, f"{dsc.properties['Filter']}/@{dsc.properties['PropertyName']}")
    if dsc.given("Ensure", "Present") == "Absent":
        raise NotSimulated("The lab does not simulate Ensure=Absent of WebConfigProperty.")
    wanted = str(dsc.given("Value", ""))
    if str(values[name]).casefold() == wanted.casefold():
        return False
    values[name] = iis_state.typed(defaults[name], wanted)
    return True


@resource(
    "WebConfigPropertyCollection",
    module=MODULE,
    schema={
        **dict.fromkeys(("WebsitePath", "Filter", "CollectionName", "ItemName", "ItemKeyName"), "key str"),
        **dict.fromkeys(("ItemKeyValue", "ItemPropertyName"), "key str"),
        "ItemPropertyValue": "str",
        "Ensure": "str Present|Absent",
    },
    source=_SOURCE.format(name="WebConfigPropertyCollection"),
)
def web_config_property_collection(dsc: Dsc) -> bool:
    """One entry of a collection."""
    given = dsc.properties
    place = str(given["WebsitePath"])
    if place.casefold() not in _PLACES:
        raise NotSimulated(f"The lab does not simulate a site's own web.config (WebsitePath {place}).")
    path = f"{given['Filter']}/{given['CollectionName']}"
    known = next((own for own in iis_state.COLLECTIONS if own.casefold() == path.casefold()), None)
    if known is None:
        raise _absent(dsc, path)
    key_name, value_name, _entries = iis_state.COLLECTIONS[known]
    if given["ItemName"] != "add" or given["ItemKeyName"] != key_name:
        raise dsc.fail(f"{path} has entries 'add' named by '{key_name}'")
    if given["ItemPropertyName"] != value_name or key_name == value_name:
        raise dsc.fail(f"Item has already been added. Key in dictionary: '{given['ItemPropertyName']}'")
    entries = iis_state.iis(dsc.server)["collections"][known]
    entry = next((item for item in entries if item["key"].casefold() == given["ItemKeyValue"].casefold()), None)
    if dsc.given("Ensure", "Present") == "Absent":
        if entry is not None:
            entries.remove(entry)
        return entry is not None
    wanted = str(dsc.given("ItemPropertyValue", ""))
    if entry is None:
        entries.append({"key": given["ItemKeyValue"], "value": wanted})
        return True
    if entry["value"].casefold() == wanted.casefold():
        return False
    entry["value"] = wanted
    return True


@resource(
    "IisLogging",
    module=MODULE,
    schema={
        "LogPath": "key str",
        "LogFlags": "str[]",
        "LogPeriod": "str Hourly|Daily|Weekly|Monthly|MaxSize",
        "LogTruncateSize": "str",
        "LoglocalTimeRollover": "bool",
        "LogFormat": "str IIS|W3C|NCSA",
        "LogTargetW3C": "str File|ETW|File,ETW",
    },
    source=_SOURCE.format(name="IisLogging"),
)
def iis_logging(dsc: Dsc) -> bool:
    """Defaults of the logs of all sites; a size of files sets the period MaxSize too, as the resource does."""
    if dsc.given("LogTargetW3C"):
        raise NotSimulated("The lab does not simulate LogTargetW3C of IisLogging.")
    flags = dsc.given("LogFlags")
    strange = [name for name in flags or () if name not in iis_state.LOG_FIELDS]
    if strange:
        raise dsc.fail(f"Cannot validate argument on parameter 'LogFlags'. '{strange[0]}' is not in the set")
    size = dsc.given("LogTruncateSize")
    if size is not None and not 1048576 <= int(size) <= 4294967295:
        raise dsc.fail("Cannot validate argument on parameter 'LogTruncateSize'")
    log = iis_state.iis(dsc.server)["log"]
    before = {**log, "fields": sorted(log["fields"])}
    log["directory"] = dsc.properties["LogPath"]
    if flags is not None and set(flags) != set(log["fields"]):
        log.update(format="W3C", fields=list(flags))
    log["period"] = dsc.given("LogPeriod", log["period"])
    if size is not None and int(size) != log["truncate_bytes"]:
        log.update(truncate_bytes=int(size), period="MaxSize")
    log["local_time"] = dsc.given("LoglocalTimeRollover", log["local_time"])
    log["format"] = dsc.given("LogFormat", log["format"])
    return before != {**log, "fields": sorted(log["fields"])}


@resource(
    "WebAppPool",
    module=MODULE,
    schema={
        "Name": "key str",
        "Ensure": "str Present|Absent",
        "identityType": "str ApplicationPoolIdentity|LocalService|LocalSystem|NetworkService|SpecificUser",
        "Credential": "credential",
    },
    source=_SOURCE.format(name="WebAppPool"),
)
def web_app_pool(dsc: Dsc) -> bool:
    """The account of a pool: its name and, as a digest, its password."""
    if dsc.given("Ensure", "Present") != "Present" or dsc.given("identityType") != "SpecificUser":
        raise NotSimulated("The lab simulates WebAppPool for an account with a password only.")
    pool = iis_state.iis(dsc.server)["pools"].get(dsc.properties["Name"].casefold())
    if pool is None:
        raise NotSimulated("The lab does not make a pool by WebAppPool: make it with microsoft.iis.web_app_pool.")
    name, password = dsc.call.args["Credential_username"], dsc.call.args["Credential_password"]
    wanted = {"processModel.identityType": "SpecificUser", "processModel.userName": name}
    changed = any(pool["attributes"][key] != value for key, value in wanted.items())
    changed = changed or pool["password"] != iis_state.digest(password)
    pool["attributes"].update(wanted)
    pool["password"] = iis_state.digest(password)
    return changed
