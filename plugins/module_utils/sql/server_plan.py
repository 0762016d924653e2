# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs on the instance as a whole: set-up, update, registry, options, services, folders, tempdb, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import CREATE, Item, differing, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about
from ansible_collections.cnosf.infogerance.plugins.module_utils.windows import access

from . import tsql
from .checks import LOGIN_AUDIT
from .declared import PREFIX
from .request import backup_directory, engine_sid
from .settings import settings
from .sizing import tempdb_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .declared import Declaration
    from .observed import Observation, Setting, TempdbFile

_ROOT = r"HKLM:\SOFTWARE\Microsoft\Microsoft SQL Server"
_LOCAL_LOGONS = r"HKLM:\SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0"
_MARK = r"HKLM:\SOFTWARE\Infogerance\SQL Server"


class ServerPlan:
    """Compares the instance with its declaration."""

    def __init__(
        self, declared: Declaration, observed: Observation, thumbprint: str, *, foreseen: bool = False
    ) -> None:
        """Take what is declared and observed, and the thumbprint of the certificate for its connections.

        With ``foreseen`` (check mode) a server may still join its domain before the run.
        """
        self.declared = declared
        self.observed = observed
        self.thumbprint = thumbprint
        self.fresh = not observed.installed
        self.joins_later = foreseen and "." not in observed.hostname
        self.identity = observed.id or f"MSSQL{declared.major}.{declared.instance}"
        self.options = {setting.name.casefold(): setting for setting in observed.configuration}

    def problems(self) -> Iterator[Text]:
        """What forbids going on; each sentence starts with the variable's path."""
        for text in self._instance_problems():
            yield Text(PREFIX + text.en, PREFIX + text.fr)

    def _instance_problems(self) -> Iterator[Text]:
        declared, observed = self.declared, self.observed
        installed = tsql.build(observed.build)
        if installed and installed[0] != declared.major:
            yield about(
                "version",
                f"{declared.instance} is build {observed.build}; another major version is not installed over it: "
                "declare the one that is there, or another instance",
                f"{declared.instance} est en version {observed.build} ; pas de changement de version majeure : "
                "déclarez celle qui y est, ou une autre instance",
            )
        elif installed and declared.update.build and tsql.build(declared.update.build) < installed:
            yield about(
                "update.build",
                f"{declared.update.build} is older than what is installed, {observed.build}: an update is never taken "
                "back; declare the newer one, or minimum_build alone where Windows Update brings them",
                f"{declared.update.build} est antérieure à celle installée, {observed.build} : on ne revient pas sur "
                "une mise à jour ; déclarez la plus récente, ou minimum_build seul si Windows Update les apporte",
            )
        for other in observed.others:
            if other.port == str(declared.port):
                yield about(
                    "port",
                    f"{declared.port} is the port of the instance {other.name} of the same server; choose another",
                    f"{declared.port} est le port de l'instance {other.name} du même serveur ; choisissez-en un autre",
                )
        if declared.memory_maximum_megabytes > observed.memory_megabytes:
            yield about(
                "memory_maximum_megabytes",
                f"{declared.memory_maximum_megabytes} is more than the server has, {observed.memory_megabytes}; "
                "0 computes it",
                f"{declared.memory_maximum_megabytes} dépasse la mémoire du serveur, {observed.memory_megabytes} ; "
                "0 la calcule",
            )
        yield from self._name_problems()
        yield from self._account_problems()
        yield from self._option_problems()
        files = len([file for file in observed.tempdb if file.kind == "ROWS"])
        if declared.tempdb.files and declared.tempdb.files < files:
            yield about(
                "tempdb.files",
                f"tempdb has {files}; files are never removed by the role",
                f"tempdb en a {files} ; le rôle ne retire jamais de fichiers",
            )

    def _name_problems(self) -> Iterator[Text]:
        """A name that Windows does not take for the server's own: it refuses local logons under it (KB896861)."""
        host, own = self.declared.host.casefold(), self.observed.hostname.casefold()
        known = {"", own, own.partition(".")[0], *(name.casefold() for name in self.observed.back_connection)}
        if host not in known and not (self.joins_later and host.startswith(f"{own}.")):
            yield about(
                "host",
                f"{host!r} is not the server's own name, {own}, and Windows refuses logons from the server itself "
                f"under it: add it to BackConnectionHostNames ({_LOCAL_LOGONS}), as by "
                "windows_baseline_registry_extra",
                f"« {host} » n'est pas le nom du serveur, {own}, et Windows refuse les accès du serveur à lui-même "
                f"sous ce nom : ajoutez-le à BackConnectionHostNames ({_LOCAL_LOGONS}), par "
                "windows_baseline_registry_extra",
            )

    def _account_problems(self) -> Iterator[Text]:
        declared, observed = self.declared, self.observed
        if observed.answers and not observed.administrator:
            yield about(
                "sysadmins",
                f"{observed.account} is not a sysadmin of {declared.instance}: let one add it",
                f"{observed.account} n'est pas sysadmin de {declared.instance} : qu'un sysadmin l'ajoute",
            )
        asked = [("service_account", declared.service_account)] if declared.service_account else []
        asked += [("sysadmins", name) for name in declared.sysadmins]
        asked += [(f"logins[{index}].name", login.name) for index, login in enumerate(declared.logins)]
        for path, name in asked:
            if not observed.principal(name).sid and not self._comes_later(name):
                yield about(
                    path,
                    f"nobody is called {name!r} here: correct the name, or make the account first",
                    f"personne ne s'appelle « {name} » ici : corrigez le nom, ou créez d'abord le compte",
                )

    def _comes_later(self, name: str) -> bool:
        """Whether an account is one of a domain that the server may still join."""
        place, _backslash, _account = name.rpartition("\\")
        own = {"", self.observed.hostname.casefold(), "builtin", "nt authority", "nt service"}
        return self.joins_later and (place.casefold() not in own or "@" in name or name.startswith("S-1-5-21-"))

    def _option_problems(self) -> Iterator[Text]:
        if not self.options:
            return
        for index, declared in enumerate(self.declared.configuration):
            found = self.options.get(declared.name.casefold())
            path = f"configuration[{index}]"
            if found is None:
                yield about(
                    f"{path}.name",
                    f"{declared.name!r} is no option of this instance (sys.configurations)",
                    f"« {declared.name} » n'est pas une option de cette instance (sys.configurations)",
                )
            elif not found.minimum <= declared.value <= found.maximum:
                yield about(
                    f"{path}.value",
                    f"{declared.value} is not in {found.minimum}..{found.maximum}",
                    f"{declared.value} n'est pas dans {found.minimum}..{found.maximum}",
                )

    # -- set-up ------------------------------------------------------------------------------------------------------

    def setup(self) -> list[Item]:
        """The installation of a new instance."""
        if not self.fresh:
            return []
        files = self.declared.tempdb.files or tempdb_files(self.observed.processors)
        accounts = [self.observed.principal(name).name or name for name in self.declared.sysadmins]
        return [item(self.declared.instance, [CREATE], foreseen=True, sysadmins=accounts, tempdb_files=files)]

    def update(self) -> list[Item]:
        """The cumulative update; a new instance gets it while it is set up."""
        wanted = self.declared.update.build
        if self.fresh or not wanted or tsql.build(self.observed.build) >= tsql.build(wanted):
            return []
        kb = self.declared.update.kb
        return [
            item(self.declared.instance, [f"{self.observed.build} -> {wanted}"], foreseen=True, kb=kb, build=wanted)
        ]

    # -- registry ----------------------------------------------------------------------------------------------------

    def _registry_values(self) -> Iterator[tuple[str, str, str, Any, Any, bool]]:
        """Each value: path, name, type, wanted, found, and whether the service reads it at its start only."""
        declared, observed, network = self.declared, self.observed, self.observed.network
        engine = rf"{_ROOT}\{self.identity}\MSSQLServer"
        sockets = rf"{engine}\SuperSocketNetLib"
        # In lower case: Configuration Manager shows no other.
        found = network.certificate.lower()
        yield sockets, "Certificate", "string", self.thumbprint.lower(), found, True
        yield sockets, "ForceEncryption", "dword", int(declared.force_encryption), int(network.force_encryption), True
        yield sockets, "HideInstance", "dword", int(declared.hide_instance), int(network.hidden), True
        yield rf"{sockets}\Tcp", "Enabled", "dword", 1, int(network.tcp_enabled), True
        yield rf"{sockets}\Tcp\IPAll", "TcpPort", "string", str(declared.port), network.port, True
        yield rf"{sockets}\Tcp\IPAll", "TcpDynamicPorts", "string", "", network.dynamic_port, True
        yield engine, "AuditLevel", "dword", LOGIN_AUDIT.index(declared.login_audit), observed.login_audit, True
        yield engine, "NumErrorLogs", "dword", declared.error_logs, observed.error_logs, False
        if declared.mail is not None:
            agent = rf"{_ROOT}\{self.identity}\SQLServerAgent"
            profile = declared.mail.called
            used = observed.agent_mail_profile
            yield agent, "UseDatabaseMail", "dword", 1, int(bool(used)), True
            yield agent, "DatabaseMailProfile", "string", profile, used, True

    def registry(self) -> list[Item]:
        """Values of the registry that differ, as one item: they are written in one command."""
        different = [entry for entry in self._registry_values() if self.fresh or entry[3] != entry[4]]
        if not different:
            return []
        values = [
            {"path": path, "name": name, "type": kind, "data": wanted}
            for path, name, kind, wanted, _found, _at_start in different
        ]
        names = [value["name"] for value in values]
        if any(at_start for *_value, at_start in different):  # a run that is killed before the restart leaves a trace
            path = rf"{_MARK}\{self.identity}"
            values.append({"path": path, "name": "Configured", "type": "string", "data": self.observed.time})
        return [item(self.declared.instance, names, foreseen=self.fresh, entries=values)]

    # -- sp_configure ------------------------------------------------------------------------------------------------

    def _configuration(self) -> Iterator[tuple[str, int, Setting | None]]:
        for name, value in settings(self.declared, self.observed).items():
            found = self.options.get(name.casefold())
            if found is not None or not self.options:
                yield name, value, found

    def configuration(self) -> list[Item]:
        """Options whose value differs."""
        return [
            item(name, [str(value)], foreseen=found is None, option=found.name if found else name, value=value)
            for name, value, found in self._configuration()
            if found is None or found.value != value
        ]

    # -- the one restart ---------------------------------------------------------------------------------------------

    def restart(self) -> list[Item]:
        """The restart of the services, when something waits for one; what waits is named."""
        network, declared = self.observed.network, self.declared
        reasons = [
            name
            for _path, name, _kind, wanted, found, at_start in self._registry_values()
            if at_start and (self.fresh or wanted != found)
        ]
        reasons += [
            name
            for name, value, found in self._configuration()
            if found is not None and not found.is_dynamic and found.value_in_use != value
        ]
        if self.observed.answers and not reasons:
            if declared.port not in network.listening:
                reasons.append("TcpPort")
            if declared.force_encryption and network.listening and not network.encrypted:
                reasons.append("ForceEncryption")
            if not network.certificate_loaded:
                reasons.append("Certificate")
            if not reasons and self.observed.started < self.observed.configured <= self.observed.time:
                reasons.append("Configured")
        return [item(declared.service, reasons, foreseen=True, name=declared.service)] if reasons else []

    def services(self) -> list[Item]:
        """Services that do not run as declared: the engine, the agent, the browser."""
        declared = self.declared
        wanted = {
            declared.service: {"start": "auto", "state": "started"},
            declared.agent_service: {"start": "auto", "state": "started"},
            "SQLBrowser": {
                "start": "auto" if declared.browser else "disabled",
                "state": "started" if declared.browser else "stopped",
            },
        }
        found = {service.name.casefold(): service for service in self.observed.services}
        items = []
        for name, values in wanted.items():
            service = found.get(name.casefold())
            current = {"start": service.start, "state": service.state} if service else {}
            if service is None and not self.fresh:
                continue
            different = differing(values, current)
            if different:
                items.append(item(name, different, foreseen=self.fresh, name=name, **values))
        return items

    def backup_folder(self) -> list[Item]:
        """The folder of backups, when it is missing or the engine may not write there."""
        directory = backup_directory(self.declared)
        sid = engine_sid(self.declared, self.observed)
        if not directory or not sid:
            return []
        wanted = access.Wanted(directory, frozenset([access.Ace(sid, access.MODIFY)]), exact=False)
        found = self.observed.backup_directory
        if found.exists and access.fits(wanted, found.sddl):
            return []
        why = "rights" if found.exists else CREATE
        return [item(directory, [why], foreseen=False, arguments=access.arguments(wanted))]

    # -- tempdb ------------------------------------------------------------------------------------------------------

    def tempdb(self) -> list[Item]:
        """Statements that add and grow files of tempdb; none is ever shrunk or removed."""
        files = [file for file in self.observed.tempdb if file.kind == "ROWS"]
        if not files:
            return []
        wanted = self.declared.tempdb
        items = [
            self._file(file, wanted.size_megabytes, wanted.growth_megabytes)
            for file in files
            if file.size_megabytes < wanted.size_megabytes or file.growth_megabytes != wanted.growth_megabytes
        ]
        items += [
            self._file(file, wanted.log_size_megabytes, wanted.log_growth_megabytes)
            for file in self.observed.tempdb
            if file.kind == "LOG"
            and (
                file.size_megabytes < wanted.log_size_megabytes or file.growth_megabytes != wanted.log_growth_megabytes
            )
        ]
        folder = files[0].path.rpartition("\\")[0]
        taken = {file.name.casefold() for file in self.observed.tempdb}
        count = (wanted.files or tempdb_files(self.observed.processors)) - len(files)
        names = [name for number in range(2, 100) if (name := f"temp{number}") not in taken][: max(count, 0)]
        for name in names:
            path = tsql.text(f"{folder}\\tempdb_mssql_{name.removeprefix('temp')}.ndf")
            size = f"SIZE = {wanted.size_megabytes}MB, FILEGROWTH = {wanted.growth_megabytes}MB"
            text = f"ALTER DATABASE [tempdb] ADD FILE (NAME = {tsql.text(name)}, FILENAME = {path}, {size})"
            items.append(item(f"tempdb {name}", [CREATE], foreseen=False, database="master", statement=text))
        return items

    @staticmethod
    def _file(file: TempdbFile, size: int, growth: int) -> Item:
        larger = f"SIZE = {size}MB, " if file.size_megabytes < size else ""
        text = f"ALTER DATABASE [tempdb] MODIFY FILE (NAME = {tsql.text(file.name)}, {larger}FILEGROWTH = {growth}MB)"
        why = ["size"] if larger else ["growth"]
        return item(f"tempdb {file.name}", why, foreseen=False, database="master", statement=text)
