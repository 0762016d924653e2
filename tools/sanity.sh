#!/usr/bin/env bash
# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# ansible-test sanity on a copy of what the collection's archive ships: it wants a real folder named
# ansible_collections/cnosf/infogerance. The lab, the tests and the tools are judged by ruff and mypy (tools/lint.sh): the lab
# holds French Windows' own names, typographic apostrophes included, which ansible-test refuses anywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export PATH="$root/.venv/bin:$PATH"
copy=$root/.cache/sanity/ansible_collections/cnosf/infogerance
mkdir -p "$copy"
# What git knows or would add: no virtual environment, no lab state.
unshipped='^(lab|molecule|benchmarks|tools|tests/(unit|integration)|inventories/lab|\.ci|\.config)/|^(pyproject\.toml|Makefile)$'
git ls-files --cached --others --exclude-standard -z | grep -zvE "$unshipped" |
  while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
  rsync --archive --delete --from0 --files-from=- ./ "$copy/"
find "$copy" -type f -print0 | while IFS= read -r -d '' file; do
  [ -e "$root/${file#"$copy"/}" ] || rm -f "$file"
done

# ansible-test fetches pip's installer for its virtual environments from the Internet. Python's own ensurepip does the
# same offline; the name is the one ansible-test looks for.
installer=${HOME}/.ansible/test/cache/get_pip_24_2.py
if [ ! -e "$installer" ]; then
  mkdir -p "$(dirname "$installer")"
  cat >"$installer" <<'PYTHON'
import ensurepip
ensurepip.bootstrap(default_pip=True)
PYTHON
fi

cd "$copy"
[ -d .git ] || git init --quiet .
python=$("$root/.venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
sanity=(ansible-test sanity --python "$python" --color no)
status=0
if [ $# -eq 0 ]; then
  "${sanity[@]}" --skip-test validate-modules || status=$?
  set -- --test validate-modules
fi
# validate-modules reads the PowerShell modules' specifications with pwsh; where there is none, from their source.
command -v pwsh >/dev/null || export PATH="$PATH:$root/tools/bin"
"${sanity[@]}" "$@" || status=$?
exit $status
