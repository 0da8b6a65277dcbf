#!/usr/bin/env bash
# The last step before a machine becomes an image: takes away what must differ between machines, and what nobody
# needs. Run it as root; then shut down and take the snapshot, without another boot in between.
set -euo pipefail
[[ $(id -u) == 0 ]] || {
    echo "seal: run it as root" >&2
    exit 1
}
shopt -s nullglob dotglob

# Identity: made anew at the first boot of each machine.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /etc/ssh/ssh_host_*
if [[ -e /usr/sbin/sshd ]] && ! command -v cloud-init >/dev/null; then
    # cloud-init makes host keys; without it, ssh has to.
    mkdir -p /etc/systemd/system/ssh.service.d
    printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
        >/etc/systemd/system/ssh.service.d/host-keys.conf
fi
if command -v cloud-init >/dev/null; then cloud-init clean --logs --seed; fi

# Who built it.
rm -f /root/.bash_history /home/*/.bash_history /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys

# Logs, caches, temporary files. Folders stay: services expect them.
if [[ -d /run/systemd/system ]]; then
    systemctl stop nginx.service kiln.service kiln.socket
    journalctl --quiet --rotate --vacuum-time=1s || true
fi
find /var/log -type f -delete
rm -rf /var/log/journal/* /var/lib/systemd/coredump/*
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -rf /root/.cache /home/*/.cache /tmp/* /var/tmp/*
