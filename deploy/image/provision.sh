#!/usr/bin/env bash
# Makes a stock Debian (12 or newer) or Ubuntu LTS (24.04 or newer) machine into a Kiln node. Run it as root, from a
# checkout: deploy/image/provision.sh. It is also what every image is made with (bake.sh, packer/).
#
# Run it again after an update of the checkout: it changes what differs, says so, and nothing else. The last line
# counts the changes. What belongs to the machine's owner is made once and then left alone: /etc/kiln/kiln.env and
# the bundles in /srv/kiln/store.
#
#   provision.sh              set up; under systemd also start, reload or restart what changed
#   provision.sh --packages   only print the system packages that it needs
#
# pip takes its settings from the environment (PIP_INDEX_URL, PIP_CONFIG_FILE, ...), as always. KILN_COMMIT names the
# commit where the checkout has no git.
set -euo pipefail
shopt -s inherit_errexit
umask 022

# python3-venv: for Kiln's own environment. logrotate: for nginx's logs.
packages=(python3 python3-venv nginx logrotate ca-certificates)

source=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
home=/opt/kiln
store=/srv/kiln/store
notes=/var/lib/kiln-provision
changes=0
wrote='' # what `file` and `tree` did last

say() { printf 'provision: %s\n' "$*"; }
step() { printf 'provision: == %s\n' "$*"; }
die() {
    printf 'provision: %s\n' "$*" >&2
    exit 1
}
changed() {
    changes=$((changes + 1))
    say "changed: $*"
}
# Not in a chroot, where there is nothing to start.
booted() { [[ -d /run/systemd/system ]]; }

# --- Building blocks: each looks first and changes only what differs ----------------------------------------------------

folder() { # PATH MODE OWNER:GROUP
    if [[ ! -d $1 ]]; then
        mkdir -p "$1"
        changed "$1 made"
    fi
    owned "$@"
}

owned() { # PATH MODE OWNER:GROUP
    local now
    now=$(stat -c '%04a %U:%G' "$1")
    [[ $now == "$2 $3" ]] && return
    chown "$3" "$1"
    chmod "$2" "$1"
    changed "$1 is $2 $3 (was $now)"
}

file() { # FROM TO MODE OWNER:GROUP ; sets $wrote
    wrote=''
    if ! cmp -s "$1" "$2"; then
        mkdir -p "$(dirname "$2")"
        cp "$1" "$2.new"
        mv "$2.new" "$2"
        wrote=yes
        changed "$2"
    fi
    owned "$2" "$3" "$4"
}

tree() { # FROM TO : a folder of code, root's, replaced as a whole; sets $wrote
    wrote=''
    local staged=$scratch/${2##*/}
    mkdir "$staged"
    # Without what a serving machine has no use for: caches, training, and the bundles, which have their own place.
    tar -C "$1" --exclude=__pycache__ --exclude=./training --exclude=./store -cf - . |
        tar -C "$staged" --no-same-owner -xf -
    chmod -R u=rwX,go=rX "$staged"
    rm -rf "$2.new" "$2.old" # of a run that was interrupted
    if diff -rq --no-dereference --exclude=__pycache__ "$staged" "$2" >/dev/null 2>&1; then return; fi
    cp -R "$staged" "$2.new"
    [[ ! -d $2 ]] || mv "$2" "$2.old"
    mv "$2.new" "$2"
    rm -rf "$2.old"
    wrote=yes
    changed "$2"
}

# What is to be done at the end is noted on disk, so that a run that was interrupted is made good by the next one.
note() { # TASK, where something was written
    [[ -z $wrote ]] || touch "$notes/$1"
}
noted() { [[ -e $notes/$1 ]]; }

# --- Before anything is changed -----------------------------------------------------------------------------------------

if [[ ${1-} == --packages ]]; then
    printf '%s\n' "${packages[@]}"
    exit
fi
[[ $# -eq 0 ]] || die "unknown argument $1. The head of this file says how to use it."
problems=()
[[ $(id -u) == 0 ]] || problems+=("run it as root")
command -v apt-get >/dev/null || problems+=("it needs Debian 12 or Ubuntu 24.04 or newer, and found no apt-get")
for part in api.py app model/store deploy requirements/serve.txt; do
    [[ -e $source/$part ]] || problems+=("$source/$part is missing: run it from a whole checkout")
done
if [[ ${#problems[@]} -gt 0 ]]; then
    printf 'provision: %s\n' "${problems[@]}" >&2
    exit 1
fi

mkdir -p "$notes"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# --- Steps --------------------------------------------------------------------------------------------------------------

step "Packages: Python, nginx, log rotation, from the distribution, so that its security updates reach them"
missing=()
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
    changed "installed ${missing[*]}"
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed."

step "User: kiln, who owns nothing that it runs and cannot log in"
if ! getent passwd kiln >/dev/null; then
    useradd --system --user-group --home-dir /srv/kiln --no-create-home --shell /usr/sbin/nologin kiln
    changed "user kiln"
fi

step "Code: in $home, root's, so that the service cannot change itself"
folder "$home" 0755 root:root
for part in app model deploy; do
    tree "$source/$part" "$home/$part"
    note code
done
for part in api.py requirements/serve.txt docs/operations.md; do
    file "$source/$part" "$home/$part" 0644 root:root
    note code
done
if [[ $(readlink "$home/gunicorn.conf.py") != deploy/gunicorn.conf.py ]]; then
    ln -sfn deploy/gunicorn.conf.py "$home/gunicorn.conf.py"
    changed "$home/gunicorn.conf.py"
fi

step "Python environment: of its own, wheels only, each pinned by hash"
# Named by what is in it, with a link to the one in use: an update is made beside it and takes effect as a whole.
wanted=$(cat "$home/requirements/serve.txt" <(python3 -V) | sha256sum | cut -c 1-12)
venv=$home/venv-$wanted
if [[ ! -f $venv/.complete ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: -r "$home/requirements/serve.txt"
    touch "$venv/.complete"
    changed "$venv"
fi
if [[ $(readlink "$home/venv") != "venv-$wanted" ]]; then
    ln -sfn "venv-$wanted" "$home/venv"
    touch "$notes/code"
    changed "$home/venv is venv-$wanted"
fi
if noted code; then # once, here: the service may not write
    "$home/venv/bin/python" -m compileall -q --invalidation-mode checked-hash \
        "$home/api.py" "$home/app" "$home/model" "$home/deploy"
fi

step "Build stamp: what this code is, for /version"
commit=${KILN_COMMIT:-$(git -C "$source" describe --always --abbrev=40 --dirty --exclude='*' 2>/dev/null || echo unknown)}
release=$("$home/venv/bin/python" -c "import sys; sys.path.insert(0, '$home'); from app import release; print(release.VERSION)")
if noted code; then
    printf '{"release": "%s", "commit": "%s", "time": "%s"}\n' "$release" "$commit" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        >"$home/BUILD"
    changed "$home/BUILD"
fi

step "Store: the bundles that ship, on the first run only; from then on they are the owner's"
if [[ ! -d $store ]]; then
    folder /srv/kiln 0755 root:root
    rm -rf "$store.new" # of a run that was interrupted
    cp -R --no-preserve=mode,ownership "$source/model/store" "$store.new"
    chmod -R u=rwX,go=rX "$store.new"
    mv "$store.new" "$store"
    changed "$store"
fi

step "Settings: in /etc/kiln/kiln.env, made once; readable by the service, because a setting may be a secret"
folder /etc/kiln 0755 root:root
if [[ ! -f /etc/kiln/kiln.env ]]; then
    cp "$source/deploy/systemd/kiln.env" /etc/kiln/kiln.env.new
    mv /etc/kiln/kiln.env.new /etc/kiln/kiln.env
    changed /etc/kiln/kiln.env
fi
owned /etc/kiln/kiln.env 0640 root:kiln

step "nginx: the configuration that ships, whole; the package's own is moved aside so that its updates never ask"
divert=$(dpkg-divert --list /etc/nginx/nginx.conf)
if [[ -z $divert ]]; then
    dpkg-divert --quiet --local --rename --divert /etc/nginx/nginx.conf.debian --add /etc/nginx/nginx.conf
    changed "/etc/nginx/nginx.conf.debian is the package's"
fi
file "$source/deploy/nginx.conf" /etc/nginx/nginx.conf 0644 root:root
note nginx-reload

step "systemd: the units, and fences around nginx"
file "$source/deploy/systemd/kiln.service" /etc/systemd/system/kiln.service 0644 root:root
note units
file "$source/deploy/systemd/kiln.socket" /etc/systemd/system/kiln.socket 0644 root:root
note socket
file "$source/deploy/systemd/nginx.service.conf" /etc/systemd/system/nginx.service.d/kiln.conf 0644 root:root
note nginx-restart
for unit in kiln.socket kiln.service nginx.service; do
    if [[ $(systemctl is-enabled "$unit" 2>/dev/null) != enabled ]]; then
        systemctl --quiet enable "$unit"
        changed "$unit enabled"
    fi
done

step "Logs: bounded, so that they never fill the disk"
file "$source/deploy/systemd/journald.conf" /etc/systemd/journald.conf.d/kiln.conf 0644 root:root
if [[ -n $wrote ]] && booted; then systemctl restart systemd-journald; fi
# nginx's: by size, every minute. The package's own rule is moved aside, so that no file is rotated by two.
divert=$(dpkg-divert --list /etc/logrotate.d/nginx)
if [[ -z $divert ]]; then
    dpkg-divert --quiet --local --rename --divert /etc/nginx/logrotate.debian --add /etc/logrotate.d/nginx
    changed "/etc/nginx/logrotate.debian is the package's"
fi
file "$source/deploy/systemd/logrotate.conf" /etc/kiln/logrotate.conf 0644 root:root
for unit in kiln-logs.service kiln-logs.timer; do
    file "$source/deploy/systemd/$unit" "/etc/systemd/system/$unit" 0644 root:root
    note logs
done
if [[ $(systemctl is-enabled kiln-logs.timer 2>/dev/null) != enabled ]]; then
    systemctl --quiet enable kiln-logs.timer
    changed "kiln-logs.timer enabled"
fi
if booted; then
    if noted logs; then systemctl daemon-reload; fi
    systemctl start kiln-logs.timer
fi

step "Kernel: queues and limits of a server"
file "$source/deploy/systemd/sysctl.conf" /etc/sysctl.d/60-kiln.conf 0644 root:root
# In a container this does nothing; its host sets them.
if [[ -n $wrote ]] && booted; then systemctl restart systemd-sysctl; fi

if booted; then
    step "Start, or take in what changed"
    if noted units || noted socket || noted nginx-restart; then systemctl daemon-reload; fi
    if noted socket; then
        # A socket takes in its changes only when it is made anew; nginx answers 502 for that moment.
        systemctl restart kiln.socket kiln.service
    elif noted code || noted units; then
        systemctl start kiln.socket
        systemctl restart kiln.service # requests wait in kiln.socket meanwhile
    else
        systemctl start kiln.socket kiln.service
    fi
    nginx -t -q
    if noted nginx-restart; then
        systemctl restart nginx.service
    elif noted nginx-reload; then
        systemctl reload-or-restart nginx.service
    else
        systemctl start nginx.service
    fi
    # Nothing runs from an older environment any more.
    for old in "$home"/venv-*; do
        if [[ $old != "$venv" ]]; then
            rm -rf "$old"
            changed "$old removed"
        fi
    done
fi

rm -f "$notes"/*
say "changed: $changes"
