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

# Who built it: keys, credentials, what was typed.
for home in /root /home/*; do
    rm -rf "$home"/.ssh/* "$home"/.{git-credentials,gitconfig,netrc,pypirc,npmrc,pgpass,my.cnf,gnupg} \
        "$home"/.{aws,azure,docker,kube,terraform.d} \
        "$home"/.config/{git,gh,gcloud,pip} "$home"/.wget-hsts
done
histories=''
for name in '.*_history' .viminfo .lesshst; do histories+=" /root/$name /home/*/$name"; done
# shellcheck disable=SC2086  # patterns
rm -f $histories

# The shutdown that follows writes some of this anew: systemd a random seed, a shell the history of its session, others
# their logs. A unit that stops after all of them takes it away again. It is in /run, so that the machines of the image
# never have it.
if [[ -d /run/systemd/system ]]; then
    cat >/run/systemd/system/kiln-seal.service <<END
[Unit]
Description=What the shutdown before a snapshot must not leave behind
DefaultDependencies=no
RequiresMountsFor=/var/lib/systemd /var/log /root /home
After=systemd-remount-fs.service
Before=systemd-random-seed.service systemd-user-sessions.service systemd-logind.service sysinit.target
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sh -c 'rm -rf /var/lib/systemd/random-seed /var/log/journal/*$histories'
ExecStop=/usr/bin/find /var/log -type f ! -path /var/log/nginx/* -delete
END
    systemctl daemon-reload
    systemctl start kiln-seal.service
fi

# Logs, caches, temporary files. Folders stay: services expect them.
if [[ -d /run/systemd/system ]]; then
    systemctl stop nginx.service kiln.service kiln.socket kiln-logs.timer kiln-logs.service
    systemctl stop rsyslog.service syslog.socket 2>/dev/null || true # where there is one
    # Into memory from here on. The folder stays: with it the machines keep theirs on disk.
    journalctl --relinquish-var
fi
find /var/log -type f -delete
# As its package makes them; nginx would make them anew for everybody to read.
install -m 0640 -o www-data -g adm /dev/null /var/log/nginx/access.log
install -m 0640 -o www-data -g adm /dev/null /var/log/nginx/error.log
rm -rf /var/log/journal/* /var/lib/systemd/coredump/*
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -rf /root/.cache /home/*/.cache /tmp/* /var/tmp/*
