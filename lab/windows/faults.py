# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that the lab can give one simulated Windows server."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(slots=True)
class Faults:
    """What is wrong with a server just now; everything off by default. Counters run down as they strike."""

    reboot_hang: bool = False
    """The next reboot never comes back while this is set."""
    drop_connection: int = 0
    """So many of the next commands lose their TCP connection while they run (the work itself is done)."""
    slow_seconds: float = 0.0
    """Delay before each command's answer, in seconds."""
    operation_timeouts: int = 0
    """So many of the next Receive requests answer "operation timed out", as WinRM does every 60 s by default."""
    busy: int = 0
    """So many of the next Send requests answer "busy" (error 170)."""
    quota: int = 0
    """So many of the next commands are refused because the shell's operation quota is exceeded."""
    refuse_logons: bool = False
    """Every logon is refused with 401, as when the account is locked."""
    disk_full: bool = False
    """Nothing can be written to the system disk."""

    def strike(self, counter: str) -> bool:
        """Use up one of a counter's strikes; False when none is left."""
        left = getattr(self, counter)
        if left <= 0:
            return False
        setattr(self, counter, left - 1)
        return True

    def set(self, name: str, value: Any = None) -> None:
        """Set a fault by name, as the command line does.

        Args:
            name: A field's name; hyphens count as underscores.
            value: The new value; without one, a switch is turned on and a counter gets 1.

        Raises:
            ValueError: Unknown fault or unfit value.
        """
        key = name.replace("-", "_")
        known = {field.name: field for field in fields(self)}
        if key not in known:
            raise ValueError(f"Unknown Windows fault {name!r}; known: {', '.join(sorted(known))}.")
        current = getattr(self, key)
        if isinstance(current, bool):
            words = {
                "on": True,
                "true": True,
                "1": True,
                "yes": True,
                "off": False,
                "false": False,
                "0": False,
                "no": False,
            }
            flag = True if value is None else words.get(str(value).lower())
            if flag is None:
                raise ValueError(f"Fault {name} is on or off, not {value!r}.")
            setattr(self, key, flag)
            return
        try:
            number = type(current)(1 if value is None else value)
        except (TypeError, ValueError):
            raise ValueError(f"Fault {name} takes a number, not {value!r}.") from None
        if number < 0:
            raise ValueError(f"Fault {name} takes a number of 0 or more, not {value!r}.")
        setattr(self, key, number)

    def clear(self) -> None:
        """Turn everything off."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def active(self) -> dict[str, Any]:
        """Faults that are set, with their values."""
        return {name: value for name, value in asdict(self).items() if value}
