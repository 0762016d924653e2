# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between a declared and an actual synchronisation server, in the order in which the role settles it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.items import Item, item
from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about, say_all

from . import checks, notices, versions
from .declared import PREFIX
from .observed import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Language

    from .declared import Declaration
    from .observed import Observation, Peer

DOTNET_472 = 461808
""".NET Framework 4.7.2 in the registry (Microsoft Learn, "Determine which .NET Framework versions are installed")."""

PROGRAM = r"C:\Program Files\Microsoft Azure Active Directory Connect\AzureADConnect.exe"
"""The wizard, whose own version is the version installed."""


def plan(
    declared: Declaration, name: str, found: Observation, peers: Sequence[Peer] = (), language: Language = "fr"
) -> dict[str, Any]:
    """Everything that differs on one server.

    Args:
        declared: the declaration.
        name: the server's name in the inventory.
        found: what the probe answered.
        peers: the other servers of the group.
        language: language of the sentences.
    """
    made = Plan(declared, name, found, peers)
    return {
        "problems": say_all([*checks.problems(declared, name, peers), *made.problems()], language),
        "notices": say_all(notices.notices(declared, found, made.next_step()), language),
        "ready": made.ready(),
        "pause": made.pause(),
        "packages": made.packages(),
        "start": made.start(),
        "restart": made.restart(),
        "demote": made.demote(),
        "promote": made.promote(),
        "settings": made.settings(),
        "cycle": made.cycle(),
        "enable": made.enable(),
    }


class Plan:
    """Compares one server with its declaration; each method answers one loop of the role, or one question."""

    def __init__(self, declared: Declaration, name: str, found: Observation, peers: Sequence[Peer]) -> None:
        self.declared = declared
        self.name = name
        self.found = found
        self.peers = peers

    # -- what the server is ----------------------------------------------------------------------------------------

    def upgrades(self) -> bool:
        """Whether an installer is declared whose version the server does not have yet."""
        wanted = self.declared.version
        return (
            bool(self.declared.installer) and versions.is_version(wanted) and versions.older(self.found.version, wanted)
        )

    def next_step(self) -> str:
        """What only a person can do now: ``configure`` or ``upgrade`` in the wizard; empty when nothing is."""
        if self.found.engine is None or (not self.found.silent and not self.found.configured):
            return "configure"
        return "upgrade" if self.upgrades() or self.found.half_upgraded else ""

    def ready(self) -> bool:
        """Whether the sync engine is configured and complete, so that everything after the installation can be done."""
        return not self.next_step()

    # -- what cannot be ----------------------------------------------------------------------------------------------

    def problems(self) -> list[Text]:
        """Sentences on what forbids making this server what is declared; each starts with the variable at fault."""
        found = [*self._system(), *self._version(), *self._upgrade(), *self._staging(), *self._interval()]
        return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]

    def _system(self) -> Iterator[Text]:
        if not self.found.in_domain:
            yield about(
                "group",
                f"{self.name} is in no domain, and Entra Connect Sync only runs on a member; let it join first"
                " (windows_baseline_domain)",
                f"{self.name} n'est dans aucun domaine, et Entra Connect Sync ne tourne que sur un membre ; faites-le"
                " d'abord"
                " adhérer (windows_baseline_domain)",
            )
        if self.found.dotnet_release < DOTNET_472:
            yield about(
                "group",
                f"{self.name} has .NET Framework release {self.found.dotnet_release}, older than 4.7.2 ({DOTNET_472});"
                " install .NET"
                " Framework 4.8 (Windows Update) and reboot",
                f"{self.name} a .NET Framework version {self.found.dotnet_release}, antérieure à 4.7.2 ({DOTNET_472}) ;"
                " installez"
                " .NET Framework 4.8 (Windows Update) et redémarrez",
            )

    def _version(self) -> Iterator[Text]:
        minimum, held = self.declared.minimum_version, self.found.version
        if self.declared.installer or not versions.is_version(minimum) or not versions.older(held, minimum):
            return
        if not held:
            yield about(
                "installer",
                f"empty, and {self.name} has no Entra Connect Sync; download AzureADConnect.msi ({minimum} or later)"
                " from the Entra"
                " admin centre (Entra Connect, Get started, Manage, Download) and give its path and SHA-256",
                f"vide, et {self.name} n'a pas Entra Connect Sync ; téléchargez AzureADConnect.msi ({minimum} ou"
                " ultérieure) depuis"
                " le centre d'administration Entra (Entra Connect, Prise en main, Gérer, Télécharger) et donnez son"
                " chemin et son"
                " SHA-256",
            )
            return
        yield about(
            "installer",
            f"empty, and {self.name} has {held}, older than adsync_minimum_version, {minimum}; download"
            " AzureADConnect.msi from the"
            " Entra admin centre and give its path and SHA-256",
            f"vide, et {self.name} a la version {held}, antérieure à adsync_minimum_version, {minimum} ; téléchargez"
            " AzureADConnect.msi depuis le centre d'administration Entra et donnez son chemin et son SHA-256",
        )

    def _upgrade(self) -> Iterator[Text]:
        """An upgrade stops the engine until the wizard has finished it: somebody else must synchronise meanwhile."""
        if not self.upgrades() or not self.found.synchronising or self.declared.upgrade_interruption:
            return
        if any(peer.found is not None and peer.found.synchronising for peer in self.peers):
            return
        ready = [
            peer.name
            for peer in self.peers
            if peer.found is not None
            and peer.found.scheduler is not None
            and peer.found.scheduler.staging_mode
            and not versions.older(peer.found.engine_version, self.declared.version)
        ]
        others = ", ".join(peer.name for peer in self.peers)
        if ready:
            en = f"declare {ready[0]} active and {self.name} in staging mode, run the role, then again"
            fr = f"déclarez {ready[0]} actif et {self.name} en préproduction, exécutez le rôle, puis de nouveau"
        elif others:
            en = (
                f"upgrade the staging server ({others}) first, finish it in its wizard, swap the two, then upgrade"
                f" {self.name}"
            )
            fr = (
                f"mettez d'abord à niveau le serveur en préproduction ({others}), terminez dans son assistant, permutez"
                " les deux,"
                f" puis mettez {self.name} à niveau"
            )
        else:
            en = "add a staging server, or accept the interruption with adsync_upgrade_interruption: true"
            fr = "ajoutez un serveur en préproduction, ou acceptez l'interruption par adsync_upgrade_interruption: true"
        yield about(
            "installer",
            f"upgrading {self.name} from {self.found.version} to {self.declared.version} would leave no server"
            f" synchronising; {en}",
            f"mettre {self.name} à niveau de {self.found.version} à {self.declared.version} ne laisserait aucun serveur"
            f" synchroniser ; {fr}",
        )

    def _staging(self) -> Iterator[Text]:
        """Never two active servers: another one that is active, or does not answer, must be out of the way first."""
        if not self._staging_differs():
            return
        if not self.declared.staging_switch:
            word_en, word_fr = self._mode()
            yield about(
                "staging_switch",
                f"{self.name} must be {word_en} and is not, and the role may not switch it; do it in the wizard"
                " (Configure staging"
                " mode), on the server that stops exporting first",
                f"{self.name} doit être {word_fr} et ne l'est pas, et le rôle n'a pas à le changer ; faites-le dans"
                " l'assistant"
                " (Configurer le mode de préproduction), d'abord sur le serveur qui cesse d'exporter",
            )
            return
        if self.declared.staging_mode:
            return
        for peer in self.peers:
            foreseen = peer.in_play and peer.declared.staging_mode
            if peer.found is None or (peer.found.silent and not foreseen):
                yield about(
                    "staging_mode",
                    f"{self.name} would become active while {peer.name} does not answer and may be active too; repair"
                    " it, or see that"
                    f" it stays off and take it out of the group {self.declared.group}",
                    f"{self.name} deviendrait actif alors que {peer.name} ne répond pas et peut l'être aussi ;"
                    " réparez-le, ou"
                    f" assurez-vous qu'il reste arrêté et retirez-le du groupe {self.declared.group}",
                )
            elif peer.found.active and not foreseen:
                yield about(
                    "staging_mode",
                    f"{peer.name} is active; run the role on it too, so that it goes into staging mode before"
                    f" {self.name} becomes"
                    " active",
                    f"{peer.name} est actif ; exécutez le rôle sur lui aussi, pour qu'il passe en préproduction avant"
                    " que"
                    f" {self.name} ne devienne actif",
                )

    def _interval(self) -> Iterator[Text]:
        scheduler = self.found.scheduler
        if scheduler is not None and self.declared.interval_minutes < scheduler.allowed_interval_minutes:
            yield about(
                "interval_minutes",
                f"{self.declared.interval_minutes} is less than the {scheduler.allowed_interval_minutes} minutes that"
                " Entra ID allows",
                f"{self.declared.interval_minutes} est moins que les {scheduler.allowed_interval_minutes} minutes"
                " admises par Entra ID",
            )

    # -- what to do --------------------------------------------------------------------------------------------------

    def pause(self) -> list[Item]:
        """The running scheduler that an upgrade must stop first."""
        scheduler = self.found.scheduler
        if not self.upgrades() or scheduler is None or not scheduler.cycle_enabled:
            return []
        return [item(self.name, ["SyncCycleEnabled"], foreseen=False)]

    def packages(self) -> list[dict[str, Any]]:
        """The installer for the role windows_prerequisites: only where the server's version is older."""
        if not self.upgrades():
            return []
        return [
            {
                "name": "Microsoft Entra Connect Sync",
                "source": self.declared.installer,
                "checksum": self.declared.installer_checksum,
                "version": self.declared.version,
                "arguments": "/quiet /norestart",
                "creates_path": PROGRAM,
            }
        ]

    def start(self) -> list[Item]:
        """Services that must run and do not; one that is not installed is the wizard's affair."""
        states = {service.name.casefold(): service for service in self.found.services}
        items = []
        for name in self.declared.services:
            held = states.get(name.casefold())
            if held is not None and held.state and (held.state != "running" or held.start_mode == "disabled"):
                items.append(item(name, [held.state, held.start_mode], foreseen=False, name=name))
        return items

    def restart(self) -> bool:
        """Whether the engine still runs with settings of .NET from before a change."""
        engine = self.found.engine
        return self.found.restart_awaited and engine is not None

    def _staging_differs(self) -> bool:
        scheduler = self.found.scheduler
        return scheduler is not None and scheduler.staging_mode != self.declared.staging_mode

    def _mode(self) -> tuple[str, str]:
        return ("in staging mode", "en préproduction") if self.declared.staging_mode else ("active", "actif")

    def demote(self) -> list[Item]:
        """An active server that must stop exporting: it comes before any other becomes active."""
        if self.declared.staging_mode and self._staging_differs():
            return [item(self.name, ["StagingModeEnabled"], foreseen=False)]
        return []

    def promote(self) -> list[Item]:
        """A staging server that must export."""
        if not self.declared.staging_mode and self._staging_differs():
            return [item(self.name, ["StagingModeEnabled"], foreseen=False)]
        return []

    def settings(self) -> list[Item]:
        """Settings of the scheduler that differ, as arguments of adsync_scheduler; switching it off is among them."""
        scheduler = self.found.scheduler
        if scheduler is None:
            return []
        wanted: dict[str, Any] = {
            "interval_minutes": self.declared.interval_minutes,
            "maintenance": self.declared.maintenance,
            "run_history_days": self.declared.run_history_days,
        }
        changed = {name: value for name, value in wanted.items() if value != getattr(scheduler, name)}
        if self.full_cycle_due() and scheduler.next_policy != "initial":
            changed["next_policy"] = "initial"
        if scheduler.cycle_enabled and not self.declared.cycle_enabled:
            changed["cycle_enabled"] = False
        return [item(self.name, sorted(changed), foreseen=False, **changed)] if changed else []

    def full_cycle_due(self) -> bool:
        """Whether the full cycle that is asked for has not begun yet.

        A moment before everything in the history counts as done: the engine purges its history, and would run a full
        cycle again and again otherwise.
        """
        if not self.declared.full_cycle_since:
            return False
        since = moment(self.declared.full_cycle_since)
        starts = sorted(moment(run.start) for run in self.found.runs)
        if starts and since < starts[0]:
            return False
        return not any(run.profile.startswith("Full ") and moment(run.start) >= since for run in self.found.runs)

    def cycle(self) -> list[Item]:
        """The delta cycle that must succeed before a disabled scheduler is let loose again."""
        if not self.enable():
            return []
        return [item(self.name, ["delta"], foreseen=False)]

    def enable(self) -> list[Item]:
        """A scheduler that must run and does not."""
        scheduler = self.found.scheduler
        if scheduler is None or scheduler.cycle_enabled or not self.declared.cycle_enabled:
            return []
        return [item(self.name, ["SyncCycleEnabled"], foreseen=False)]
