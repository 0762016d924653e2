# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between the declared and the actual IIS, in the order in which the role settles them.

An item is ``foreseen`` when check mode cannot ask the module about it: what it needs is made by this very run, or the
module would write. microsoft.iis.website 1.1.0 does the latter with the certificate of a binding that exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, REMOVE, Item, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, say_all
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import access

from . import releases, rights, settings
from .checks import problems as declaration_problems
from .declared import SPECIFIC_USER, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Application, Binding, Declaration, Pool, Site
    from .observed import Application as ActualApplication
    from .observed import Binding as ActualBinding
    from .observed import Observation
    from .observed import Site as ActualSite

DEFAULT_SITE = "Default Web Site"
"""Its name in every language: the installation writes it into applicationHost.config."""

_SHARED_DEFAULT_POOLS = frozenset({"defaultapppool"})
"""Pools that IIS itself makes and falls back to; never removed as undeclared."""

_HSTS_BUILD = 17763
"""Windows Server 2019: the first long-term release whose IIS has HSTS of its own (10.0 version 1709)."""

_TIMES = "recycling.periodicRestart.schedule"


def problems(
    declared: Declaration,
    found: Observation,
    *,
    baseline_tls: Mapping[str, bool],
    tls: Mapping[str, bool],
    language: Language = "fr",
) -> list[str]:
    """Sentences on what forbids making this server what is declared."""
    texts = declaration_problems(declared, baseline_tls=baseline_tls, tls=tls)
    texts = texts or [*releases.problems(declared, found), *_system(declared, found)]
    return say_all(texts, language)


def _system(declared: Declaration, found: Observation) -> list[Text]:
    old = found.build < _HSTS_BUILD
    return [
        Text(
            f"iis_sites[{index}].hsts.enabled: IIS of build {found.build} has no HSTS; it needs Windows Server 2019",
            f"iis_sites[{index}].hsts.enabled : l'IIS de la version {found.build} n'a pas HSTS ; il faut Windows"
            " Server 2019",
        )
        for index, site in enumerate(declared.sites)
        if old and site.secure and site.hsts.enabled
    ]


def plan(declared: Declaration, found: Observation, thumbprints: Mapping[str, str]) -> dict[str, Any]:
    """What differs.

    Args:
        declared: the declaration.
        found: what the probe answered.
        thumbprints: thumbprints of ``iis_certificates`` by their names.
    """
    sites = SitePlan(declared, found, thumbprints)
    return {
        "rights": _rights(declared, found),
        "folders": _folders(declared, found),
        "default_site": _default_site(declared, found),
        "pools": _pools(declared, found),
        "credentials": _credentials(declared, found),
        "bindings_removed": sites.bindings_removed(),
        "sites": sites.sites(),
        "applications": sites.applications(),
        "virtual_directories": sites.virtual_directories(),
        "hsts": sites.hsts(),
        "attributes": _attributes(declared, found),
        "entries": _entries(declared, found),
        "hidden_segments": _hidden_segments(declared, found),
        "log": _log(declared, found),
        "services": _services(found),
        "restart": _restart(declared, found),
        "deployments": releases.deployments(declared, found),
        "surplus": releases.surplus(declared, found),
        "purged_sites": _purged_sites(declared, found),
        "purged_pools": _purged_pools(declared, found),
    }


def _rights(declared: Declaration, found: Observation) -> list[Item]:
    """One item for all folders: the module takes them in one command, and makes those that are missing."""
    differing = rights.differing(declared, found)
    if not differing:
        return []
    there = {folder.path.casefold() for folder in found.rights if folder.exists}
    why = [f"{'rights' if want.path.casefold() in there else CREATE} {want.path}" for want in differing]
    return [item(declared.root, why, foreseen=False, paths=[access.arguments(want) for want in differing])]


def _folders(declared: Declaration, found: Observation) -> list[Item]:
    missing = {path.casefold() for path in found.missing_folders} - rights.made(declared)
    seen = dict.fromkeys(path for path in declared.folders() if path.casefold() in missing)
    return [item(path, [CREATE], foreseen=False, path=path) for path in seen]


def _default_site(declared: Declaration, found: Observation) -> list[Item]:
    """The site that the installation brings: it would hold port 80."""
    site = found.site(DEFAULT_SITE)
    own = any(same(site.name, DEFAULT_SITE) for site in declared.sites)
    wanted = declared.default_site
    if own or wanted == "kept":
        return []
    if not found.installed:
        return [item(DEFAULT_SITE, [wanted], foreseen=True, name=DEFAULT_SITE, state=wanted)]
    if site is None or (wanted == "stopped" and site.state == "Stopped"):
        return []
    return [item(DEFAULT_SITE, [wanted], foreseen=False, name=DEFAULT_SITE, state=wanted)]


def span(minutes: int) -> str:
    """Minutes as .NET writes a span of time: ``[d.]hh:mm:ss``."""
    days, rest = divmod(minutes, 1440)
    text = f"{rest // 60:02}:{rest % 60:02}:00"
    return f"{days}.{text}" if days else text


def pool_attributes(pool: Pool) -> dict[str, str]:
    """Attributes of a pool by the names of IIS's schema, as the probe writes their values."""
    return {
        "managedRuntimeVersion": pool.runtime,
        "managedPipelineMode": pool.pipeline,
        "enable32BitAppOnWin64": str(pool.enable_32bit),
        "autoStart": str(pool.state == "started"),  # else a pool that is stopped starts at the next boot
        "startMode": pool.start_mode,
        "queueLength": str(pool.queue_length),
        "processModel.identityType": pool.identity,
        "processModel.userName": pool.user if pool.identity == SPECIFIC_USER else "",
        "processModel.loadUserProfile": str(pool.load_user_profile),
        "processModel.idleTimeout": span(pool.idle_minutes),
        "processModel.maxProcesses": str(pool.max_processes),
        "recycling.periodicRestart.time": span(pool.recycle_minutes),
        "recycling.periodicRestart.privateMemory": str(pool.private_memory_mib * 1024),
        "recycling.periodicRestart.requests": str(pool.requests),
        "failure.rapidFailProtection": str(pool.rapid_fail_protection),
    }


def _pools(declared: Declaration, found: Observation) -> list[Item]:
    items = []
    for pool in declared.pools:
        actual = found.pool(pool.name)
        wanted = pool_attributes(pool)
        secret = bool(pool.password)
        if secret:  # the identity goes with its password, through a module that keeps it secret
            wanted = {name: value for name, value in wanted.items() if name not in _IDENTITY}
        differing: dict[str, Any] = {
            name: value for name, value in wanted.items() if actual is None or actual.value(name) != value
        }
        times = [f"{time}:00" for time in pool.recycle_times]
        if actual is None or sorted(actual.recycle_times) != sorted(times):
            differing[_TIMES] = times
        why = [CREATE] if actual is None else list(differing)
        if actual is not None and _must_turn(found, actual.state, pool.state):
            why.append(pool.state)
        if why:
            items.append(
                item(
                    pool.name, why, foreseen=not found.installed, name=pool.name, attributes=differing, state=pool.state
                )
            )
    return items


def _must_turn(found: Observation, actual: str, wanted: str) -> bool:
    """Whether a site or pool is to be started or stopped: what is stopped with the services starts with them."""
    running = all(service.state == "running" for service in found.services)
    return actual.casefold() != wanted and (running or wanted == "stopped")


_IDENTITY = ("processModel.identityType", "processModel.userName")


def _credentials(declared: Declaration, found: Observation) -> list[Item]:
    """Pools whose account and password must be written; the password itself is looked up where it is used."""
    items = []
    for index, pool in enumerate(declared.pools):
        if not pool.password:
            continue
        actual = found.pool(pool.name)
        wanted = pool_attributes(pool)
        why = [name for name in _IDENTITY if actual is None or actual.value(name) != wanted[name]]
        if actual is not None and not actual.password_matches:
            why.append("processModel.password")
        if why:
            items.append(item(pool.name, why, foreseen=actual is None, index=index, name=pool.name, user=pool.user))
    return items


class SitePlan:
    """Compares the declared sites with those of the server; each method answers one loop of the role."""

    def __init__(self, declared: Declaration, found: Observation, thumbprints: Mapping[str, str]) -> None:
        self.declared = declared
        self.found = found
        self.thumbprints = {name.casefold(): value.upper() for name, value in thumbprints.items()}
        self.stores = {entry.name.casefold(): entry.store for entry in declared.certificates}

    def thumbprint(self, binding: Binding) -> str:
        """Thumbprint that a binding must serve; empty for http."""
        return self.thumbprints.get(binding.certificate.casefold(), binding.certificate.upper())

    def bindings_removed(self) -> list[Item]:
        """Bindings that a declared site holds and must not: gone first, another site may get them."""
        items = []
        for site in self.declared.sites:
            actual = self.found.site(site.name)
            keep = {binding.key.casefold() for binding in site.bindings}
            # What has no ip:port:host (net.tcp and its like) is nobody's business here.
            gone = [
                binding
                for binding in (actual.bindings if actual else ())
                if binding.protocol in {"http", "https"} and binding.information.casefold() not in keep
            ]
            if actual and gone:
                why = [f"- {binding.information}" for binding in gone]
                state = "started" if actual.state == "Started" else "stopped"  # as it is: another task's concern
                bindings = [_parts(binding) for binding in gone]
                items.append(item(site.name, why, foreseen=False, name=site.name, bindings=bindings, state=state))
        return items

    def sites(self) -> list[Item]:
        """Sites to make or to change."""
        return [change for site in self.declared.sites if (change := self._site(site))]

    def _site(self, site: Site) -> Item | None:
        actual = self.found.site(site.name)
        released = self.declared.release(site.name) is not None
        path = self.declared.content(site)
        why: list[str] = []
        arguments: dict[str, Any] = {"name": site.name, "state": site.state, "application_pool": site.pool}
        if actual is None:
            why.append(CREATE)
            arguments["physical_path"] = self.declared.empty_folder(site.name) if released else path
        else:
            if not same(actual.pool, site.pool):
                why.append(f"application_pool {site.pool}")
            if not released and not same(actual.physical_path, path):
                why.append(f"physical_path {path}")
                arguments["physical_path"] = path
            if _must_turn(self.found, actual.state, site.state):
                why.append(site.state)
        bindings = [binding for binding in site.bindings if self._differs(binding, actual)]
        why += [f"+ {binding.key}" for binding in bindings]
        if not why:
            return None
        # A binding that exists and needs another certificate must not be shown to the module in check mode.
        foreseen = actual is None or any(binding.secure for binding in bindings)
        missing = {folder.casefold() for folder in self.found.missing_folders}
        foreseen = foreseen or str(arguments.get("physical_path", "")).casefold() in missing
        arguments["bindings"] = [self._arguments(binding) for binding in bindings]
        # The module says nothing of a certificate that it replaces.
        arguments["rebound"] = any(binding.secure and _binding(actual, binding) is not None for binding in bindings)
        return item(site.name, why, foreseen=foreseen, **arguments)

    def _differs(self, binding: Binding, site: ActualSite | None) -> bool:
        actual = _binding(site, binding)
        if actual is None or actual.protocol != binding.protocol:
            return True
        return binding.secure and (
            actual.sni is not binding.sni or not same(actual.certificate, self.thumbprint(binding))
        )

    def _arguments(self, binding: Binding) -> dict[str, Any]:
        plain = {"ip": binding.ip, "port": binding.number, "hostname": binding.host, "protocol": binding.protocol}
        if not binding.secure:
            return plain
        return {
            **plain,
            "use_sni": binding.sni,
            "use_ccs": False,
            "certificate_hash": self.thumbprint(binding),
            "certificate_store_name": self.stores.get(binding.certificate.casefold(), "My"),
        }

    def applications(self) -> list[Item]:
        """Applications to make, to change or, with ``iis_purge``, to remove."""
        items = []
        for site in self.declared.sites:
            actual = self.found.site(site.name)
            there = {entry.path.casefold(): entry for entry in actual.applications} if actual else {}
            for wanted in site.applications:
                change = self._application(site, wanted, there.get(wanted.path.casefold()))
                if change:
                    items.append(change)
            names = {entry.path.casefold() for entry in site.applications}
            items += [
                item(
                    f"{site.name}/{entry.path}",
                    [REMOVE],
                    foreseen=False,
                    site=site.name,
                    name=entry.path,
                    state="absent",
                )
                for name, entry in there.items()
                if self.declared.purge and name not in names
            ]
        return items

    def _application(self, site: Site, wanted: Application, actual: ActualApplication | None) -> Item | None:
        pool = wanted.pool or site.pool
        why = [CREATE] if actual is None else []
        if actual is not None:
            why += [f"application_pool {pool}"] * (not same(actual.pool, pool))
            why += [f"physical_path {wanted.physical_path}"] * (not same(actual.physical_path, wanted.physical_path))
        if not why:
            return None
        missing = {folder.casefold() for folder in self.found.missing_folders}
        foreseen = self.found.site(site.name) is None or wanted.physical_path.casefold() in missing
        return item(
            f"{site.name}/{wanted.path}",
            why,
            foreseen=foreseen,
            site=site.name,
            name=wanted.path,
            state="present",
            physical_path=wanted.physical_path,
            application_pool=pool,
        )

    def virtual_directories(self) -> list[Item]:
        """Virtual directories to make, to change or, with ``iis_purge``, to remove."""
        items = []
        for site in self.declared.sites:
            there = _directories(self.found.site(site.name))
            missing = {folder.casefold() for folder in self.found.missing_folders}
            wanted = {
                (entry.application.casefold(), entry.path.casefold()): entry for entry in site.virtual_directories
            }
            for key, entry in wanted.items():
                actual = there.get(key)
                if actual is not None and same(actual[2], entry.physical_path):
                    continue
                new = self.found.site(site.name) is None or not self._has(site, entry.application)
                items.append(
                    item(
                        "/".join(part for part in (site.name, entry.application, entry.path) if part),
                        [CREATE if actual is None else f"physical_path {entry.physical_path}"],
                        foreseen=new or entry.physical_path.casefold() in missing,
                        site=site.name,
                        application=entry.application,
                        name=entry.path,
                        physical_path=entry.physical_path,
                        state="present",
                    )
                )
            items += [
                item(
                    "/".join(part for part in (site.name, application, name) if part),
                    [REMOVE],
                    foreseen=False,
                    site=site.name,
                    application=application,
                    name=name,
                    state="absent",
                )
                for key, (application, name, _path) in there.items()
                if self.declared.purge and key not in wanted and self._stays(site, application)
            ]
        return items

    def _has(self, site: Site, application: str) -> bool:
        actual = self.found.site(site.name)
        paths = {entry.path.casefold() for entry in actual.applications} if actual else set()
        return not application or application.casefold() in paths

    def _stays(self, site: Site, application: str) -> bool:
        """Whether an application is declared: what lies below one that goes, goes with it."""
        return not application or any(same(entry.path, application) for entry in site.applications)

    def hsts(self) -> list[Item]:
        """Attributes of HSTS that differ."""
        items = []
        for site in self.declared.sites:
            actual = self.found.site(site.name)
            there = {value.name: value.value for value in actual.hsts} if actual else {}
            items += [
                _attribute(wanted, foreseen=actual is None)
                for wanted in settings.hsts(site)
                if there.get(wanted.name, "False" if wanted.name == "enabled" else None) != wanted.value
            ]
        return items


def _parts(binding: ActualBinding) -> dict[str, Any]:
    """Address, port and host of a binding's information; an IPv6 address stands in brackets and holds colons itself."""
    rest, _colon, host = binding.information.rpartition(":")
    address, _colon, port = rest.rpartition(":")
    return {"ip": address, "port": int(port or 0), "hostname": host}


def _binding(site: ActualSite | None, wanted: Binding) -> ActualBinding | None:
    if site is None:
        return None
    return next((binding for binding in site.bindings if same(binding.information, wanted.key)), None)


def _directories(site: ActualSite | None) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Virtual directories of a site by (application, path) in lower case."""
    if site is None:
        return {}
    rows = [("", entry.path, entry.physical_path) for entry in site.virtual_directories]
    rows += [
        (application.path, entry.path, entry.physical_path)
        for application in site.applications
        for entry in application.virtual_directories
    ]
    return {(row[0].casefold(), row[1].casefold()): row for row in rows}


def _attribute(wanted: settings.Wanted, *, foreseen: bool) -> Item:
    return item(
        wanted.label,
        [wanted.value],
        foreseen=foreseen,
        place=wanted.place,
        filter=wanted.filter,
        name=wanted.name,
        value=wanted.value,
    )


def _attributes(declared: Declaration, found: Observation) -> list[Item]:
    return [
        _attribute(wanted, foreseen=not found.installed)
        for wanted in settings.attributes(declared)
        if (found.setting(wanted.filter, wanted.name) or "").casefold() != wanted.value.casefold()
        # .NET's section is there with ASP.NET only; without it nothing sends the header.
        and (wanted.filter != settings.RUNTIME or found.setting(wanted.filter, wanted.name) is not None)
    ]


def _entries(declared: Declaration, found: Observation) -> list[Item]:
    items = []
    for wanted in settings.entries(declared):
        there = found.entries(f"{wanted.filter}/{wanted.collection}").get(wanted.key.casefold())
        absent = wanted.value is None
        # A new IIS sends X-Powered-By, and nothing else of what may be declared gone.
        if not found.installed and absent:
            there = "" if wanted.key.casefold() == "x-powered-by" else None
        if (there is None) if absent else (there is not None and there.casefold() == str(wanted.value).casefold()):
            continue
        items.append(
            item(
                wanted.label,
                [REMOVE if absent else str(wanted.value)],
                foreseen=not found.installed,
                filter=wanted.filter,
                collection=wanted.collection,
                key_name=wanted.key_name,
                key=wanted.key,
                value_name=wanted.value_name,
                value="" if absent else wanted.value,
                ensure="Absent" if absent else "Present",
            )
        )
    return items


def _hidden_segments(declared: Declaration, found: Observation) -> list[Item]:
    there = found.entries(settings.HIDDEN_SEGMENTS)
    missing = [name for name in declared.request_filtering.hidden_segments if name.casefold() not in there]
    return [item("hiddenSegments", missing, foreseen=not found.installed, segments=missing)] if missing else []


def _log(declared: Declaration, found: Observation) -> list[Item]:
    wanted, actual = declared.log, found.log
    why = []
    if not same(actual.directory, wanted.directory):
        why.append(f"directory {wanted.directory}")
    if actual.format != "W3C":
        why.append("format W3C")
    if actual.period != wanted.period:
        why.append(f"period {wanted.period}")
    if wanted.truncate_bytes and actual.truncate_bytes != wanted.truncate_bytes:
        why.append(f"truncate_bytes {wanted.truncate_bytes}")
    if actual.local_time is not wanted.local_time:
        why.append(f"local_time {str(wanted.local_time).lower()}")
    if set(actual.fields) != set(wanted.fields):
        why.append("fields")
    if not why:
        return []
    return [
        item(
            "logFile",
            why,
            foreseen=not found.installed,
            directory=wanted.directory,
            fields=list(wanted.fields),
            period=wanted.period,
            truncate_bytes=wanted.truncate_bytes,
            local_time=wanted.local_time,
        )
    ]


def _services(found: Observation) -> list[Item]:
    """Services of IIS that do not run: W3SVC needs WAS, which starts with it."""
    return [
        item(service.name, ["started"], foreseen=False, name=service.name)
        for service in found.services
        if service.state != "running" or service.start_mode == "disabled"
    ]


def _restart(declared: Declaration, found: Observation) -> list[Item]:
    """Services to restart where IIS has run since before its module of the hosting bundle was installed."""
    coming = declared.hosting_bundle and not found.module_present
    names = ["WAS", "W3SVC"] if found.stale_module or coming else []
    return [item(name, ["restarted"], foreseen=coming, name=name) for name in names]


def _purged_sites(declared: Declaration, found: Observation) -> list[Item]:
    own = {site.name.casefold() for site in declared.sites} | {DEFAULT_SITE.casefold()}
    return [
        item(site.name, [REMOVE], foreseen=False, name=site.name)
        for site in found.sites
        if declared.purge and site.name.casefold() not in own
    ]


def _purged_pools(declared: Declaration, found: Observation) -> list[Item]:
    own = {pool.name.casefold() for pool in declared.pools} | _SHARED_DEFAULT_POOLS
    return [
        item(pool.name, [REMOVE], foreseen=False, name=pool.name)
        for pool in found.pools
        if declared.purge and pool.name.casefold() not in own
    ]
