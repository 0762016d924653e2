# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands and scripts: win_command, win_shell, win_powershell. Only the commands of a small table are known."""

from __future__ import annotations

import re

from lab.windows import commands
from lab.windows.filesystem import FileSystem
from lab.windows.registry import Call, NotSimulated, Result, handles

_RAW = {"_raw_params": {"type": "str"}}


def _skipped(call: Call) -> Result | None:
    files = FileSystem(call.server)
    creates, removes = call.args["creates"], call.args["removes"]
    if creates and files.resolve(creates) is not None:
        return {"changed": False, "skipped": True, "msg": f"skipped, since {creates} exists", "rc": 0}
    if removes and files.resolve(removes) is None:
        return {"changed": False, "skipped": True, "msg": f"skipped, since {removes} does not exist", "rc": 0}
    return None


def _run(call: Call, text: str) -> Result:
    skipped = _skipped(call)
    if skipped is not None:
        return skipped
    outcome = commands.run(call.server, call.user, text)
    now = call.server.now().strftime("%Y-%m-%d %H:%M:%S.%f")
    result: Result = {
        "changed": True,
        "cmd": text,
        "rc": outcome.rc,
        "stdout": outcome.stdout,
        "stderr": outcome.stderr,
        "start": now,
        "end": now,
        "delta": "0:00:00.000000",
    }
    if outcome.rc != 0:
        result.update(failed=True, msg="non-zero return code")
    return result


@handles(
    "ansible.windows.win_command",
    source="ansible.windows 3.3.0 win_command documentation",
    internal=_RAW,
    check_mode=False,
)
def win_command(call: Call) -> Result:
    """Run one of the known commands."""
    args = call.args
    text = args["_raw_params"] or args["cmd"] or " ".join(args["argv"] or [])
    return _run(call, text)


@handles("ansible.windows.win_shell", source="ansible.windows 3.3.0 win_shell documentation", check_mode=False)
def win_shell(call: Call) -> Result:
    """Run one of the known commands in a shell."""
    return _run(call, call.args["free_form"])


@handles("ansible.windows.win_powershell", source="ansible.windows 3.3.0 win_powershell documentation and source")
def win_powershell(call: Call) -> Result:
    """Run one of the known commands as a script; ``$Ansible.Changed = $false`` is understood."""
    args = call.args
    if args["script"] is None:
        raise NotSimulated("The lab does not simulate the path option of win_powershell.")
    for option in ("parameters", "arguments", "sensitive_parameters", "executable"):
        if args[option]:
            raise NotSimulated(f"The lab does not simulate the {option} option of win_powershell.")
    skipped = _skipped(call)
    if skipped is not None:
        return {key: value for key, value in skipped.items() if key != "rc"}
    empty: Result = {
        "error": [], "warning": [], "verbose": [], "debug": [], "information": [], "host_out": "", "host_err": "",
    }  # fmt: skip
    if call.check and "SupportsShouldProcess" not in args["script"]:
        # The module does not run such a script in check mode, and says that it changed something.
        return {"changed": True, "skipped": True, "msg": "script does not support check mode", **empty}
    unchanged = re.search(r"\$Ansible\.Changed\s*=\s*\$false", args["script"], re.IGNORECASE) is not None
    text = re.sub(r"\$Ansible\.Changed\s*=\s*\$(?:false|true)\s*;?", "", args["script"], flags=re.IGNORECASE)
    outcome = commands.run(call.server, call.user, text)
    return {
        **empty,
        "changed": not unchanged,
        "output": outcome.stdout.splitlines(),
        "host_err": outcome.stderr,
        "result": {},
    }
