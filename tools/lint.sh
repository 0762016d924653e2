#!/usr/bin/env bash
# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Every style and type check; all of them run, and the first failure decides the exit status.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg"
# Playbooks are parsed without a lab. This variable names paths, so that "localhost," would name this whole folder as well.
export ANSIBLE_INVENTORY=/dev/null ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=false ANSIBLE_INVENTORY_ENABLED=ansible.builtin.host_list
status=0

step() { # NAME COMMAND...
  local name=$1 output code
  shift
  output=$("$@" 2>&1)
  code=$?
  if [ $code -eq 0 ]; then
    printf 'lint: %-24s ok\n' "$name"
  else
    printf 'lint: %-24s FAILED\n%s\n' "$name" "$output"
    status=1
  fi
}

# mypy reads the plugins under the name Ansible gives them, and the rest where it lies.
plugins=.collections/ansible_collections/cnosf/infogerance/plugins
step ruff ruff check .
step 'ruff format' ruff format --check .
step 'mypy plugins' mypy "$plugins"
step 'mypy lab and tools' mypy lab tools benchmarks
step yamllint yamllint --strict .
step 'roles in step' python tools/roles.py
step 'counted figures' python tools/figures.py
step changelog antsibull-changelog lint
step shellcheck shellcheck --exclude=SC1091 tools/*.sh tools/bin/pwsh .ci/run
step ansible-lint ansible-lint --strict
exit $status
