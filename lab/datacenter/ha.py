# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""High availability: managed servers, placement rules, and the manager that restarts and moves servers by itself.

Follows ha-manager(1) of Proxmox VE 9. Times are shortened: a lost node is fenced after seconds instead of a minute or
two; ``fence_seconds`` states how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fakepve.model import PveError, TaskError
from fakepve.routing import die, param_error, sha1, split_list

from lab.datacenter.migration import Migration

if TYPE_CHECKING:
    from fakepve.server import FakeVm

    from lab.datacenter.base import Values

__all__ = ["HighAvailability", "Resource", "Rule"]

GROUPS_GONE = "ha groups have been migrated to rules"

logger = logging.getLogger(__name__)


@dataclass
class Resource:
    """A server under high availability: what is asked of it, and how often it was tried."""

    vmid: int
    state: str = "started"
    max_restart: int = 1
    max_relocate: int = 1
    failback: int = 1
    comment: str = ""
    auto_rebalance: int = 1
    restarts: int = 0
    relocations: int = 0
    error: str = ""
    wanted_node: str = ""

    @property
    def sid(self) -> str:
        """Its identifier: ``vm:100``."""
        return f"vm:{self.vmid}"

    @property
    def wants_on(self) -> bool:
        """Whether the manager keeps it running."""
        return self.state in ("started", "enabled")


@dataclass
class Rule:
    """Where managed servers may run (node-affinity) or whether together (resource-affinity).

    ``nodes`` maps a node to its priority, the higher the better.
    """

    rule: str
    type: str
    resources: list[str] = field(default_factory=list)
    nodes: dict[str, int] = field(default_factory=dict)
    strict: int = 0
    affinity: str = ""
    disable: int = 0
    comment: str = ""


class HighAvailability(Migration):
    """/cluster/ha and the manager."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """No server is managed at first."""
        super().__init__(*args, **kwargs)
        self.resources: dict[int, Resource] = {}
        self.rules: dict[str, Rule] = {}
        self.started = time.time()
        self.manager_seconds = 0.5
        self.fence_seconds = 3.0
        self._lost_since: dict[str, float] = {}
        self._manager: asyncio.Task[None] | None = None
        self._handled: set[int] = set()

    def _routes_lab_ha(self) -> list[tuple[str, str, Any]]:
        ha = "/cluster/ha"
        return [
            ("GET", f"{ha}/resources", self._ha_list),
            ("POST", f"{ha}/resources", self._ha_create),
            ("GET", f"{ha}/resources/{{sid}}", self._ha_get),
            ("PUT", f"{ha}/resources/{{sid}}", self._ha_put),
            ("DELETE", f"{ha}/resources/{{sid}}", self._ha_delete),
            ("POST", f"{ha}/resources/{{sid}}/migrate", self._ha_move_live),
            ("POST", f"{ha}/resources/{{sid}}/relocate", self._ha_move_restart),
            ("GET", f"{ha}/rules", self._rule_list),
            ("POST", f"{ha}/rules", self._rule_create),
            ("GET", f"{ha}/rules/{{rule}}", self._rule_get),
            ("PUT", f"{ha}/rules/{{rule}}", self._rule_put),
            ("DELETE", f"{ha}/rules/{{rule}}", self._rule_delete),
            ("GET", f"{ha}/groups", self._group_list),
            ("POST", f"{ha}/groups", self._group_refused),
            ("PUT", f"{ha}/groups/{{group}}", self._group_refused),
            ("DELETE", f"{ha}/groups/{{group}}", self._group_refused),
            ("GET", f"{ha}/status/current", self._ha_status),
            ("GET", f"{ha}/status/manager_status", self._manager_status),
        ]

    # -------------------------------------------------------------- resources

    @staticmethod
    def _vmid_of(sid: str) -> int:
        """The number in ``vm:100`` or ``100``; containers are refused."""
        kind, colon, number = str(sid).rpartition(":")
        if colon and kind != "vm":
            raise PveError(501, f"the lab does not simulate containers ('{sid}')")
        return int(number)

    def _resource(self, sid: str) -> Resource:
        found = self.resources.get(self._vmid_of(sid))
        if found is None:
            raise die(f"no such resource '{sid}'")
        return found

    def _ha_digest(self) -> str:
        return str(sha1(repr(sorted((r.sid, self._view(r)) for r in self.resources.values()))))

    @staticmethod
    def _view(resource: Resource) -> Values:
        view: Values = {
            "sid": resource.sid,
            "type": "vm",
            "state": resource.state,
            "max_restart": resource.max_restart,
            "max_relocate": resource.max_relocate,
            "failback": resource.failback,
        }
        return view | ({"comment": resource.comment} if resource.comment else {})

    async def _ha_list(self, _v: Values, _user: str) -> list[Values]:
        digest = self._ha_digest()
        return [self._view(resource) | {"digest": digest} for _vmid, resource in sorted(self.resources.items())]

    async def _ha_get(self, v: Values, _user: str) -> Values:
        return self._view(self._resource(v["sid"])) | {"digest": self._ha_digest()}

    async def _ha_create(self, v: Values, _user: str) -> None:
        vmid = self._vmid_of(v["sid"])
        self.need_quorum()
        if v.get("group"):
            raise die(f"invalid parameter 'group': {GROUPS_GONE}")
        vm = self.vm(vmid)
        if vm is None:
            raise die(f"no such VM ('{vmid}')")
        if vmid in self.resources:
            raise die(f"resource ID 'vm:{vmid}' already defined")
        self._set(self.ha_add(vm, v.get("state", "started")), v)

    def _set(self, resource: Resource, v: Values) -> None:
        for key in ("state", "max_restart", "max_relocate", "failback", "comment"):
            if key in v:
                setattr(resource, key, v[key])
        if "auto-rebalance" in v:
            resource.auto_rebalance = v["auto-rebalance"]
        resource.restarts = resource.relocations = 0
        resource.error = ""
        self._show(resource)

    async def _ha_put(self, v: Values, _user: str) -> None:
        resource = self._resource(v["sid"])
        self.need_quorum()
        if v.get("digest") and v["digest"] != self._ha_digest():
            raise die("detected modified configuration - file changed by other user? Try again.")
        if v.get("group"):
            raise die(f"invalid parameter 'group': {GROUPS_GONE}")
        defaults = Resource(resource.vmid)
        for key in split_list(v.get("delete")):
            setattr(resource, key.replace("-", "_"), getattr(defaults, key.replace("-", "_")))
        self._set(resource, v)

    async def _ha_delete(self, v: Values, _user: str) -> None:
        resource = self._resource(v["sid"])
        self.need_quorum()
        self.ha_remove(resource.vmid, purge=bool(v.get("purge", 1)))

    def ha_add(self, vm: FakeVm, state: str) -> Resource:
        """Put a server under high availability with PVE's defaults."""
        resource = self.resources[vm.vmid] = Resource(vm.vmid, state=state)
        self._show(resource)
        return resource

    def ha_remove(self, vmid: int, *, purge: bool = True) -> None:
        """Take a server out of high availability, and out of the rules that name it."""
        resource = self.resources.pop(vmid, None)
        vm = self.vm(vmid)
        if vm is not None:
            vm.ha_state = None
        if resource is None or not purge:
            return
        for name, rule in list(self.rules.items()):
            if resource.sid in rule.resources:
                rule.resources.remove(resource.sid)
                if not rule.resources:
                    del self.rules[name]

    def _show(self, resource: Resource) -> None:
        """Keep the state that /cluster/resources shows in step."""
        vm = self.vm(resource.vmid)
        if vm is not None:
            vm.ha_state = "error" if resource.error else resource.state

    # ------------------------------------------------------------------ rules

    def _rule_of(self, v: Values, base: Rule | None = None) -> Rule:
        """The rule a call describes; raises PveError for what makes no sense.

        PVE's published schema lists no parameters for rules, so that they are judged here.
        """
        known = {"rule", "type", "resources", "nodes", "strict", "affinity", "disable", "comment", "delete", "digest"}
        for key in v:
            if key not in known:
                raise param_error(**{key: "property is not defined in schema"})
        for key in ("rule", "type") if base is None else ("rule",):
            if key not in v:
                raise param_error(**{key: "property is missing and it is not optional"})
        if v.get("type", "node-affinity") not in ("node-affinity", "resource-affinity"):
            raise param_error(type=f"value '{v['type']}' does not have a value in the enumeration")
        for key in ("strict", "disable"):
            if str(v.get(key, 0)) not in ("0", "1"):
                raise param_error(**{key: "type check ('boolean') failed"})
        rule = Rule(**asdict(base)) if base else Rule(v["rule"], v["type"])
        if base and v.get("type", base.type) != base.type:
            raise param_error(type=f"cannot change the type of rule '{base.rule}'")
        if "resources" in v:
            rule.resources = [f"vm:{self._vmid_of(sid)}" for sid in split_list(v["resources"])]
        if "nodes" in v:
            pairs = [item.partition(":") for item in split_list(v["nodes"])]
            rule.nodes = {name: int(priority or 0) for name, _colon, priority in pairs}
        for key in ("affinity", "comment"):
            if key in v:
                setattr(rule, key, v[key])
        for key in ("strict", "disable"):
            if key in v:
                setattr(rule, key, int(v[key]))
        for key in split_list(v.get("delete")):
            setattr(rule, key, getattr(Rule("", ""), key))
        for name in rule.nodes:
            if name not in self.nodes:
                raise param_error(nodes=f"no such cluster node '{name}'")
        for sid in rule.resources:
            if self._vmid_of(sid) not in self.resources:
                raise param_error(resources=f"cannot use unmanaged resource(s) {sid}.")
        if rule.type == "node-affinity" and not rule.nodes:
            raise param_error(nodes="property is missing and it is not optional")
        if rule.type == "resource-affinity":
            if rule.affinity not in ("positive", "negative"):
                raise param_error(affinity="property is missing and it is not optional")
            if len(rule.resources) < 2:
                raise param_error(resources="rule is ineffective as there are less than two resources")
        return rule

    async def _rule_list(self, v: Values, _user: str) -> list[Values]:
        wanted = v.get("resource")
        return [
            self._rule_view(rule)
            for _name, rule in sorted(self.rules.items())
            if v.get("type") in (None, rule.type) and (wanted is None or wanted in rule.resources)
        ]

    @staticmethod
    def _rule_view(rule: Rule) -> Values:
        view: Values = {"rule": rule.rule, "type": rule.type, "resources": ",".join(rule.resources)}
        if rule.nodes:
            view["nodes"] = ",".join(f"{n}:{p}" if p else n for n, p in sorted(rule.nodes.items()))
            view["strict"] = rule.strict
        if rule.affinity:
            view["affinity"] = rule.affinity
        if rule.disable:
            view["disable"] = 1
        return view | ({"comment": rule.comment} if rule.comment else {})

    async def _rule_create(self, v: Values, _user: str) -> None:
        self.need_quorum()
        rule = self._rule_of(v)
        if rule.rule in self.rules:
            raise param_error(rule=f"HA rule '{rule.rule}' already exists")
        self.rules[rule.rule] = rule

    def _rule(self, name: str) -> Rule:
        if name not in self.rules:
            raise die(f"no such ha rule '{name}'")
        return self.rules[name]

    async def _rule_get(self, v: Values, _user: str) -> Values:
        return self._rule_view(self._rule(v["rule"]))

    async def _rule_put(self, v: Values, _user: str) -> None:
        self.need_quorum()
        self.rules[v["rule"]] = self._rule_of(v, self._rule(v["rule"]))

    async def _rule_delete(self, v: Values, _user: str) -> None:
        self.need_quorum()
        self._rule(v["rule"])
        del self.rules[v["rule"]]

    async def _group_list(self, _v: Values, _user: str) -> None:
        raise die(f"cannot index groups: {GROUPS_GONE}")

    async def _group_refused(self, v: Values, _user: str) -> None:
        raise die(f"cannot change group '{v['group']}': {GROUPS_GONE}")

    # -------------------------------------------------------------- placement

    def placements(self, resource: Resource) -> list[str]:
        """The online nodes a managed server may run on, best first."""
        online = [name for name in sorted(self.nodes) if self.nodes[name]["online"]]
        priority = dict.fromkeys(online, 0)
        for rule in self.rules.values():
            if rule.disable or resource.sid not in rule.resources:
                continue
            if rule.type == "node-affinity":
                preferred = {name: rule.nodes[name] + 1 for name in online if name in rule.nodes}
                if rule.strict or preferred:
                    priority = {name: value for name, value in preferred.items() if name in priority}
            else:
                others = [self.vm(self._vmid_of(sid)) for sid in rule.resources if sid != resource.sid]
                taken = {vm.node for vm in others if vm is not None and vm.status == "running"}
                if rule.affinity == "negative":
                    priority = {name: value for name, value in priority.items() if name not in taken}
                elif taken & set(priority):
                    priority = {name: value for name, value in priority.items() if name in taken}
        load = {name: sum(vm.node == name and vm.status == "running" for vm in self.vms) for name in priority}
        return sorted(priority, key=lambda name: (-priority[name], load[name], name))

    async def _ha_move(self, v: Values, *, restart: bool) -> Values:
        resource = self._resource(v["sid"])
        self.need_quorum()
        target = v["node"]
        vm = self.vm(resource.vmid)
        answer: Values = {"sid": resource.sid, "requested-node": target}
        if target not in self.nodes or not self.nodes[target]["online"]:
            raise die(f"cannot migrate resource '{resource.sid}' to node '{target}': node is not online")
        if vm.node != target and target not in self.placements(resource):
            blocking = [
                {"sid": sid, "cause": rule.type}
                for rule in self.rules.values()
                if resource.sid in rule.resources and not rule.disable
                for sid in (rule.resources if rule.type == "resource-affinity" else [resource.sid])
                if sid != resource.sid or rule.type == "node-affinity"
            ]
            return answer | {"blocking-resources": blocking}
        if vm.node != target:
            resource.wanted_node = target
            if restart and vm.status == "running":
                resource.wanted_node = f"!{target}"
        return answer

    async def _ha_move_live(self, v: Values, _user: str) -> Values:
        return await self._ha_move(v, restart=False)

    async def _ha_move_restart(self, v: Values, _user: str) -> Values:
        return await self._ha_move(v, restart=True)

    async def ha_migrate_task(self, vm: FakeVm, user: str, target: str) -> str:
        """Ask the manager to move a server; the task ends once that is asked, as on PVE."""

        async def body() -> str:
            await self._ha_move({"sid": f"vm:{vm.vmid}", "node": target}, restart=False)
            return f"requested HA migration of vm:{vm.vmid} to node {target}"

        return await self.task(vm.node, "hamigrate", vm.vmid, user, body)

    async def ha_power(self, vm: FakeVm, user: str, state: str) -> str:
        """Ask the manager to start or stop a server; the task ends once that is asked, as on PVE."""
        resource = self.resources[vm.vmid]

        async def body() -> None:
            self._set(resource, {"state": state})

        verb = "start" if state == "started" else "stop"
        note = [f"Requesting HA {verb} for VM {vm.vmid}"]
        return await self.task(vm.node, f"ha{verb}", vm.vmid, user, body, log=note)

    # ---------------------------------------------------------------- manager

    def start_manager(self) -> None:
        """Let the manager watch over the cluster."""
        if self._manager is None:
            self._manager = asyncio.create_task(self._manage(), name="ha-manager")

    async def stop_manager(self) -> None:
        """End the manager; harmless when it does not run."""
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await manager

    async def _manage(self) -> None:
        while True:
            await asyncio.sleep(self.manager_seconds)
            self._round()

    async def manage_once(self) -> None:
        """One round of the manager, waited for to its end."""
        await asyncio.gather(*self._round())

    def _round(self) -> list[asyncio.Task[None]]:
        """Look after each managed server that is not being looked after already; nothing without quorum."""
        if not self.quorate:
            return []
        started = []
        for resource in list(self.resources.values()):
            vm = self.vm(resource.vmid)
            if vm is None or resource.vmid in self._handled or resource.state == "ignored" or resource.error:
                continue
            if vm.lock or vm.lock_holder:
                continue
            self._handled.add(resource.vmid)
            job = asyncio.create_task(self._look_after(vm, resource), name=f"ha {resource.sid}")
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
            started.append(job)
        return started

    async def _look_after(self, vm: FakeVm, resource: Resource) -> None:
        """Bring a managed server one step nearer to its state."""
        try:
            if not self.nodes[vm.node]["online"]:
                await self._recover(vm, resource)
            elif resource.wanted_node:
                await self._carry_over(vm, resource)
            elif resource.wants_on and vm.status != "running":
                await self._start_managed(vm, resource)
            elif not resource.wants_on and vm.status == "running":
                await self._ha_task(vm, "qmshutdown", lambda: self._force_down(vm))
        except Exception:
            logger.exception("the HA manager failed on %s; it goes on", resource.sid)
        finally:
            self._handled.discard(resource.vmid)

    async def _force_down(self, vm: FakeVm) -> str | None:
        return await self.shut_down(vm, self.shutdown_default_timeout, force=True)

    async def _ha_task(self, vm: FakeVm, ttype: str, body: Any) -> str:
        """Run a task of the manager to its end; returns its exit status."""
        upid = await self.task(vm.node, ttype, vm.vmid, "root@pam", body, vm=vm)
        return await self.outcome(upid)

    async def _recover(self, vm: FakeVm, resource: Resource) -> None:
        """Fence a lost node's server after a while and bring it up elsewhere."""
        since = self._lost_since.setdefault(vm.node, time.monotonic())
        if time.monotonic() - since < self.fence_seconds:
            return
        local = self.local_volumes(vm)
        candidates = self.placements(resource)
        if local or not candidates:
            reason = f"its disks are on the lost node ({', '.join(local)})" if local else "no node may take it"
            logger.warning("HA cannot recover %s: %s", vm.name, reason)
            return
        logger.info("HA recovers %s from %s on %s", vm.name, vm.node, candidates[0])
        vm.node = candidates[0]
        if resource.wants_on:
            await self._start_managed(vm, resource)

    async def _carry_over(self, vm: FakeVm, resource: Resource) -> None:
        target, resource.wanted_node = resource.wanted_node, ""
        restart = target.startswith("!")
        target = target.removeprefix("!")

        async def body() -> str:
            if self.local_volumes(vm):
                raise TaskError(f"can't migrate local disks ({', '.join(self.local_volumes(vm))})")
            if restart:
                await self._force_down(vm)
            await self.move(vm, target)
            return "migration finished successfully"

        await self._ha_task(vm, "qmigrate", body)

    async def _start_managed(self, vm: FakeVm, resource: Resource) -> None:
        """Start it; after max_restart failures move it, after max_relocate moves give up with state error."""

        async def body() -> None:
            self._check_startable(vm)
            await self.power_on(vm)

        outcome = await self._ha_task(vm, "qmstart", body)
        if outcome == "OK":
            resource.restarts = resource.relocations = 0
        elif resource.restarts < resource.max_restart:
            resource.restarts += 1
        else:
            others = [name for name in self.placements(resource) if name != vm.node]
            if resource.relocations >= resource.max_relocate or not others or self.local_volumes(vm):
                resource.error = outcome
            else:
                resource.relocations += 1
                resource.restarts = 0
                vm.node = others[0]
        self._show(resource)

    # ------------------------------------------------------------- lost nodes

    async def lose_node(self, name: str) -> None:
        """A node loses power: its servers with it, and the cluster its quorum when half of it is gone."""
        self.set_node_offline(name)
        self._lost_since[name] = time.monotonic()
        for vm in self.vms:
            if vm.node == name and vm.status == "running":
                guest = self.guest_of(vm)
                if guest is not None:
                    await guest.stop()
                self._set_power(vm, "stopped")
        self._count_votes()

    async def regain_node(self, name: str) -> list[str]:
        """A node comes back and starts what is to start with it (``onboot``); returns what failed, a sentence each."""
        self.set_node_offline(name, offline=False)
        self._lost_since.pop(name, None)
        self._count_votes()
        failed = []
        for vm in self.vms:
            if vm.node == name and str(vm.config.get("onboot", 0)) == "1" and vm.status != "running":
                try:
                    if not vm.ha_managed and not vm.template:
                        await self.power_on(vm)
                except TaskError as error:
                    failed.append(f"{vm.name}: {error}")
        return failed

    def _count_votes(self) -> None:
        online = sum(node["online"] for node in self.nodes.values())
        self.quorate = online * 2 > len(self.nodes)

    # ----------------------------------------------------------------- status

    def _service_state(self, resource: Resource, vm: FakeVm) -> str:
        if resource.error:
            return "error"
        if not self.nodes[vm.node]["online"]:
            return "fence" if vm.node in self._lost_since else "recovery"
        if resource.state == "ignored":
            return "ignored"
        if vm.lock == "migrate" or resource.wanted_node:
            return "migrate"
        if resource.wants_on:
            return "started" if vm.status == "running" else "starting"
        return "stopped" if vm.status != "running" else "stopping"

    async def _ha_status(self, _v: Values, _user: str) -> list[Values]:
        now = int(time.time())
        online = [name for name in sorted(self.nodes) if self.nodes[name]["online"]]
        stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(now))
        master = online[0] if online else min(self.nodes)
        data: list[Values] = [
            {
                "id": "quorum",
                "type": "quorum",
                "node": master,
                "quorate": 1 if self.quorate else 0,
                "status": "OK" if self.quorate else "No quorum",
            },
        ]
        if self.quorate:
            status = f"{master} (active, {stamp})"
            data.append({"id": "master", "type": "master", "node": master, "status": status, "timestamp": now})
        for name in sorted(self.nodes):
            busy = any(self.vm(r.vmid).node == name for r in self.resources.values() if self.vm(r.vmid))
            mode = ("active" if busy else "idle") if name in online else "old timestamp - dead?"
            status = f"{name} ({mode}, {stamp})"
            data.append({"id": f"lrm:{name}", "type": "lrm", "node": name, "status": status, "timestamp": now})
        for _vmid, resource in sorted(self.resources.items()):
            vm = self.vm(resource.vmid)
            if vm is None:
                continue
            state = self._service_state(resource, vm)
            data.append(
                {
                    "id": f"service:{resource.sid}",
                    "type": "service",
                    "sid": resource.sid,
                    "node": vm.node,
                    "state": state,
                    "crm_state": state,
                    "request_state": resource.state,
                    "max_restart": resource.max_restart,
                    "max_relocate": resource.max_relocate,
                    "failback": resource.failback,
                    "status": f"{resource.sid} ({vm.node}, {state})",
                },
            )
        return data

    async def _manager_status(self, _v: Values, _user: str) -> Values:
        service = {}
        for resource in self.resources.values():
            vm = self.vm(resource.vmid)
            if vm is not None:
                service[resource.sid] = {"node": vm.node, "state": self._service_state(resource, vm)}
        nodes = {name: "online" if self.nodes[name]["online"] else "fence" for name in sorted(self.nodes)}
        online = [name for name, status in nodes.items() if status == "online"]
        status = {
            "master_node": online[0] if online else "",
            "node_status": nodes,
            "service_status": service,
            "timestamp": int(time.time()),
        }
        return {"manager_status": status, "quorum": {"node": status["master_node"], "quorate": int(self.quorate)}}
