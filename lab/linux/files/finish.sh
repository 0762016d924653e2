#!/bin/sh
# Turns a bare debootstrap into what a cloud image is: current packages, a login for administration, nothing machine-bound.
# Usage: finish.sh ROOT LOGIN, in a mount namespace of its own.
set -eu
root=$1
login=$2

mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || { rm -f "$root/etc/resolv.conf"; cp -L /etc/resolv.conf "$root/etc/resolv.conf"; }
chroot "$root" apt-get -qq update
chroot "$root" apt-get -qq -y -o Dpkg::Options::=--force-confold dist-upgrade
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/*

chroot "$root" useradd --create-home --shell /bin/bash --groups sudo "$login"
chroot "$root" usermod --lock root
printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$login" > "$root/etc/sudoers.d/90-cloud-init-users"
chmod 0440 "$root/etc/sudoers.d/90-cloud-init-users"
install -d -m 0700 "$root/home/$login/.ssh"
chroot "$root" chown "$login:$login" "/home/$login/.ssh"

chmod 0755 "$root/usr/local/sbin/lab-init"
chroot "$root" systemctl --quiet enable systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
# The lab's machine has the consoles, the kernel's devices and the modules: a container has none to manage.
chroot "$root" systemctl --quiet mask getty.target console-getty.service systemd-udevd.service systemd-udev-trigger.service \
  systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-modules-load.service sys-kernel-debug.mount \
  sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount
# Guests have no route to the Internet: scheduled downloads only happen when a role asks for them.
chroot "$root" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer motd-news.timer 2>/dev/null || true

rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/var/lib/dbus/machine-id"
: > "$root/etc/machine-id"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/tmp/* "$root"/var/cache/debconf/*-old
umount "$root/run" "$root/proc"
