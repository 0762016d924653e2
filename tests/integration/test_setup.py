# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up on a machine where it may not work."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.integration.support import REPOSITORY


def test_without_root_the_setup_says_what_to_do(tmp_path):
    """A copy of the set-up, run by nobody, changes nothing and names sudo."""
    (tmp_path / "tools").mkdir()
    shutil.copy(REPOSITORY / "tools" / "setup.sh", tmp_path / "tools")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", str(tmp_path / "tools" / "setup.sh")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "MAKE_GOAL": "demo"},
    )
    assert done.returncode == 1
    assert "sudo make demo" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tools"]
