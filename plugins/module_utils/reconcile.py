# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one loop that every state module shares: read, plan, apply, read again.

`plan` is a pure function of what is wanted and what is: it answers with the changes that remain, in order. Check mode
stops after the first plan, the diff is made from it, and `changed` says that it was not empty; so check mode cannot
write, a diff cannot lie and idempotence is a property of a pure function.

Only the first remaining change is applied before the state is read again, because engines report success where nothing
changed: a change that is still planned after it was applied ends in `NotAppliedError`. The same loop therefore
continues what a run that was killed left half done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import NotAppliedError, RereadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

State = TypeVar("State")

# A plan has a handful of changes; an engine that needs more rounds than this is not converging.
MAX_ROUNDS = 100


@dataclass(frozen=True)
class Change:
    """One step that an engine performs as a whole.

    Attributes:
        action: verb, for example `create`, `configure`, `grow_disk`, `start`.
        subject: what it is done to, in words: `server dc01`, `disk scsi0 of dc01`.
        before: settings as they are, by name; empty when the subject does not exist.
        after: settings as they shall be, by name; empty when the subject shall not exist.
    """

    action: str
    subject: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Answer the change as plain data, for a module's result."""
        return {
            "action": self.action,
            "subject": self.subject,
            "before": dict(self.before),
            "after": dict(self.after),
        }


@dataclass(frozen=True)
class Outcome(Generic[State]):
    """What a reconciliation found and did.

    Attributes:
        state: the state read last; in check mode, the state as it is.
        changes: what was applied, or in check mode would be.
    """

    state: State
    changes: tuple[Change, ...]

    @property
    def changed(self) -> bool:
        """Tell whether the plan was not empty."""
        return bool(self.changes)

    @property
    def diff(self) -> dict[str, str]:
        """Answer Ansible's diff, made from the plan alone."""
        return {"before": _lines(self.changes, "before"), "after": _lines(self.changes, "after")}

    @property
    def result(self) -> dict[str, Any]:
        """Answer what a module returns: `changed`, `changes` as plain data, and `diff`."""
        return {
            "changed": self.changed,
            "changes": [change.as_dict() for change in self.changes],
            "diff": self.diff,
        }


def _lines(changes: Sequence[Change], side: str) -> str:
    """Answer one line for each setting of one side of a plan."""
    lines = []
    for change in changes:
        settings: Mapping[str, Any] = getattr(change, side)
        lines += [f"{change.subject}: {name}: {_text(value)}" for name, value in settings.items() if value is not None]
    return "".join(f"{line}\n" for line in lines)


def _text(value: Any) -> str:
    """Answer a value on one line, lists in their order and booleans as YAML writes them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(item)}" for key, item in value.items() if item is not None)
    return str(value)


def reconcile(
    read: Callable[[], State],
    plan: Callable[[State], Sequence[Change]],
    apply: Callable[[Change, State], None],
    *,
    check: bool,
) -> Outcome[State]:
    """Bring a state to what is wanted, or in check mode say what that takes.

    Args:
        read: reads the current state.
        plan: pure; the changes that remain, in the order in which they must happen.
        apply: performs one change on the state it was planned from and returns when the engine has finished. It raises
            `RereadError` when it had to wait and wrote nothing; it bounds by itself how often.
        check: stop after the plan.

    Raises:
        NotAppliedError: the engine reported success and the change is still to be done.
        InfogeranceError: whatever `read`, `plan` or `apply` raises.
    """
    state = read()
    remaining = plan(state)
    if check:
        return Outcome(state, tuple(remaining))
    done: list[Change] = []
    # A list of many objects has as many changes: only more than twice those foreseen is no progress.
    rounds = max(MAX_ROUNDS, 2 * len(remaining))
    while remaining:
        change = remaining[0]
        if change in done or len(done) >= rounds:
            settings = ", ".join(f"{name}: {_text(value)}" for name, value in change.after.items())
            raise NotAppliedError(
                f"{change.subject}: the engine reported that {change.action} succeeded, yet reading it again shows "
                f"that nothing changed ({settings or 'it is still there'}). Look at the engine's task log for this "
                "object, then run again."
            )
        try:
            apply(change, state)
            done.append(change)
        except RereadError:
            pass  # nothing was written: the plan is made anew from what is there now
        state = read()
        remaining = plan(state)
    return Outcome(state, tuple(done))
