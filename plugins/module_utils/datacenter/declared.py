# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a module's options to the reconciled server and the module's result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.cnosf.infogerance.plugins.module_utils.contract import floor as contract
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter import factory, facts, spec
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import GIB
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.placement import listing
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.plan import effective
from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.provision import Provisioner
from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.exclusive import exclusively
from ansible_collections.cnosf.infogerance.plugins.module_utils.patience import Patience
from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.cnosf.infogerance.plugins.module_utils.contract.floor import Floor
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.base import Server
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.plan import Situation
    from ansible_collections.cnosf.infogerance.plugins.module_utils.datacenter.spec import ServerSpec
    from ansible_collections.cnosf.infogerance.plugins.module_utils.reconcile import Change


def ensure(
    options: Mapping[str, Any],
    *,
    check: bool,
    notify: Callable[[str], None],
    patience: Patience | None = None,
) -> dict[str, Any]:
    """Bring a server to what options declare; answer the module's result.

    Args:
        options: those of the module `server`.
        check: stop after the plan.
        notify: told what is being waited for.
        patience: how long a lock may stay; made from `lock_timeout` when it is not given.

    Raises:
        InfogeranceError: what is declared is refused, or the engine refuses or fails.
    """
    declared = spec.from_options(options)
    floors = contract.load(options["contract"]) if options.get("contract") else []
    _refuse_unknown_functions(declared, floors, options)
    _refuse_below_floor(declared, floors, None)
    datacenter = factory.datacenter(options)
    waiting = patience or Patience(float(options.get("lock_timeout", 300)), notify)
    provisioner = Provisioner(datacenter, declared, waiting, shutdown_timeout=int(options.get("shutdown_timeout", 300)))

    def plan(situation: Situation) -> Sequence[Change]:
        _refuse_below_floor(declared, floors, situation.server or situation.template)
        return provisioner.plan(situation)

    if check:
        outcome = reconcile(provisioner.read, plan, provisioner.apply, check=True)
    else:
        with exclusively(f"server {declared.name}", str(options["url"])):
            outcome = reconcile(provisioner.read, plan, provisioner.apply, check=False)
    server = outcome.state.server
    described = facts.describe(server) if server else {}
    result: dict[str, Any] = {
        **outcome.result,
        "server": described,
        "reboot_required": bool(server and server.pending),
    }
    if floors and described:
        result["conformity"] = facts.conformity(described, floors)
    return result


def _refuse_unknown_functions(declared: ServerSpec, floors: Sequence[Floor], options: Mapping[str, Any]) -> None:
    known = set(contract.known_functions(floors)) | set(options.get("known_functions") or ())
    unknown = sorted(set(declared.functions or ()) - known)
    if known and unknown:
        raise InputError(
            f"server {declared.name}: unknown function {listing(unknown)}. Known functions: {listing(known)}."
        )


def _refuse_below_floor(declared: ServerSpec, floors: Sequence[Floor], existing: Server | None) -> None:
    """Refuse a size below the contract: what is declared at once, what is left as it is once it was read."""
    if declared.absent or not declared.functions:
        return
    contract.refuse_below(floors, declared.name, declared.functions, _future_size(declared, existing))


def _future_size(declared: ServerSpec, existing: Server | None) -> contract.Size:
    """Answer the size that the server will have: the declared figures, and the existing ones for the rest.

    Before anything was read the disks are not judged: an existing server may have more of them than are declared.
    """
    if existing is None:
        return contract.Size(declared.cpus, None if declared.memory_mib is None else declared.memory_mib / 1024)
    later = effective(existing)
    sizes = [disk.size_bytes for disk in later.disks]
    total: float | None = None
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        wanted = [disk.size_gib * GIB for disk in declared.disks]
        length = max(len(wanted), len(known))
        padded = zip(wanted + [0] * (length - len(wanted)), known + [0] * (length - len(known)), strict=True)
        total = sum(max(pair) for pair in padded) / GIB
    memory_mib = declared.memory_mib if declared.memory_mib is not None else later.memory_mib
    return contract.Size(declared.cpus if declared.cpus is not None else later.cpus, memory_mib / 1024, total)
