# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the collection's library: one small hierarchy, each message a sentence a technician can act on.

Modules and inventory plugins catch `InfogeranceError` in one place and show its text; nothing below them knows Ansible.
A message names the object, what was refused and what to do. It never holds a secret.
"""

from __future__ import annotations


class InfogeranceError(Exception):
    """Root of every error raised by `module_utils`."""


class InputError(InfogeranceError):
    """What was asked makes no sense or is refused before anything is sent: unknown name, contradiction, shrinking."""


class ContractError(InputError):
    """What was asked is less than the contract promises.

    Attributes:
        article: number of the article that sets the floor, for example `3.1`.
    """

    def __init__(self, message: str, article: str) -> None:
        super().__init__(message)
        self.article = article


class UnsupportedError(InfogeranceError):
    """The engine has no such ability: said plainly instead of an empty success."""

    def __init__(self, engine: str, ability: str) -> None:
        super().__init__(f"{ability} is unsupported by this API ({engine}).")
        self.engine = engine
        self.ability = ability


class NotFoundError(InfogeranceError):
    """The named object does not exist on the other side."""


class ConflictError(InfogeranceError):
    """Somebody else works on the same object at the same time, or two objects carry one name."""


class EngineError(InfogeranceError):
    """The engine answered with an error, or did not answer."""


class UnreachableError(EngineError):
    """No answer: wrong address, service down, network cut, time out."""


class UntrustedError(EngineError):
    """The certificate of the other side is not signed by an authority that we trust."""


class AuthenticationError(EngineError):
    """The engine does not know these credentials, or no longer."""


class PermissionMissingError(EngineError):
    """The credentials are right and lack a privilege.

    Attributes:
        privilege: name of the privilege as the engine words it, or an empty text when it names none.
        path: object it is missing on, or an empty text.
    """

    def __init__(self, message: str, privilege: str = "", path: str = "") -> None:
        super().__init__(message)
        self.privilege = privilege
        self.path = path


class LockedError(EngineError):
    """The object is locked by another operation, and stayed locked for as long as we may wait.

    Attributes:
        lock: name of the lock (`backup`, `migrate`, `snapshot`, ...), or an empty text when the engine names none.
    """

    def __init__(self, message: str, lock: str = "") -> None:
        super().__init__(message)
        self.lock = lock


class RereadError(InfogeranceError):
    """What was read is no longer true and nothing was written: read again, plan again. Never reaches a user."""


class TaskError(EngineError):
    """A task that the engine accepted ended in an error, or did not end in time.

    Attributes:
        task: the engine's identifier of the task.
        reason: its exit status as the engine words it.
    """

    def __init__(self, message: str, task: str, reason: str) -> None:
        super().__init__(message)
        self.task = task
        self.reason = reason


class NotAppliedError(EngineError):
    """The engine reported success and the object did not change: nothing is reported as done on its word alone."""
