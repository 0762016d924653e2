# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The core of Ansible's Windows modules: ping, asynchronous jobs, who am I."""

from __future__ import annotations

from lab.windows.registry import Call, ModuleFailure, Result, handles


@handles("ansible.windows.win_ping", source="ansible.windows 3.3.0 win_ping documentation and source")
def win_ping(call: Call) -> Result:
    """Answer the data given; ``crash`` fails on purpose, as documented."""
    if call.args["data"] == "crash":
        raise ModuleFailure("Unhandled exception while executing module: boom")
    return {"changed": False, "ping": call.args["data"]}


@handles(
    "ansible.windows.async_status",
    source="ansible.windows 3.3.0 async_status documentation and source",
    internal={"_async_dir": {"type": "path"}},
    waits=True,
    journal=False,
)
def async_status(call: Call) -> Result:
    """Tell how a background job stands, or forget it."""
    job_id = call.args["jid"]
    job = call.server.jobs.get(job_id)
    if job is None:
        raise ModuleFailure(
            f"could not find job at '{call.args['_async_dir']}'", ansible_job_id=job_id, started=True, finished=True
        )
    if call.args["mode"] == "cleanup":
        del call.server.jobs[job_id]
        return {"changed": False, "ansible_job_id": job_id, "erased": job["results_file"]}
    return {"changed": False, **job}
