#!/usr/bin/env bash
# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs what the lab and the tests need: system packages, a virtual environment with pinned Python packages, and the
# link under which Ansible finds this collection. Does nothing where everything is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || die "the lab creates containers and a network bridge, which needs root: run 'sudo make ${MAKE_GOAL:-demo}'"
. /etc/os-release
case "$ID-$VERSION_ID" in
  debian-12 | ubuntu-24.04) ;;
  *) die "tried on Debian 12 and Ubuntu 24.04, this is ${PRETTY_NAME:-unknown}: use one of them (a virtual machine will do)" ;;
esac

packages=(
  python3-venv                        # the virtual environment
  podman runc conmon                  # real Linux servers
  debootstrap debian-archive-keyring  # their images
  apt-cacher-ng                       # their packages, without a route to the Internet
  iproute2 procps                     # bridge, namespaces, addresses
  openssh-client rsync git make       # what Ansible and the tests call
  shellcheck                          # our shell scripts, by ansible-test
  ca-certificates curl openssl dpkg-dev  # the images' keyring and the artefacts of the mirror
)
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "Installing system packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # apt-cacher-ng must not start as a service of this machine: the lab runs its own, on its own bridge.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 0755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The distribution's own: python3-venv belongs to it, and another one found first in the path may be built for any purpose.
python=/usr/bin/python3
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  die "Python 3.11 to 3.13 is needed, '$python' is $("$python" --version 2>&1)"
stamp=$({ "$python" -VV; cat requirements.txt requirements-lab.txt constraints.txt; } | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
  say "Installing Python packages into .venv (pinned by constraints.txt)"
  "$python" -m venv --clear .venv
  # Compiled when imported: most of it never is, and Ansible's loader of collections reads sources only.
  .venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements-lab.txt -c constraints.txt
  printf '%s\n' "$stamp" >.venv/.stamp
fi

mkdir -p .collections/ansible_collections/cnosf
ln -sfn ../../.. .collections/ansible_collections/cnosf/infogerance
