#!/usr/bin/env bash
# Makes a stock Debian (12 or newer) or Ubuntu LTS (24.04 or newer) machine into a Kiln node. Run it as root, from a
# checkout: deploy/image/provision.sh. It is also what every image is made with (bake.sh, packer/).
#
# Run it again after an update of the checkout: it changes what differs, says so, and nothing else. The last line
# counts the changes. Code and Python environment are made beside those in force and replace them together, at the
# end: a run that fails leaves the service as it was. What the machine's owner has made their own stays (README.md).
#
#   provision.sh              set up; under systemd also start, reload or restart what changed
#   provision.sh --packages   only print the system packages that it needs
#
#   KILN_EXTRAS="keras tracing"  what the service shall have beyond serving, one or both: the engine keras, for models that
#                             no compiled engine runs; traces. Remembered for later runs (empty: no more)
#   KILN_OWN=FOLDER           what is this node's own, laid out as on the node: etc/kiln/, srv/kiln/store/,
#                             etc/nginx/nginx.conf, ... (README.md). Its files replace those that are there
#   KILN_COMMIT=...           names the commit where the checkout has no git
#
# pip takes its settings from the environment (PIP_INDEX_URL, PIP_CONFIG_FILE, ...), as always.
set -euo pipefail
shopt -s inherit_errexit
umask 022

# python3-venv: for Kiln's own environment. logrotate: for nginx's logs.
packages=(python3 python3-venv nginx logrotate ca-certificates)

source=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
home=/opt/kiln
store=/srv/kiln/store
notes=/var/lib/kiln-provision
pages=(README.md CHANGELOG.md SECURITY.md) # and docs: what the settings, the units and each other point to
parts=(app model deploy api.py gunicorn.conf.py requirements docs "${pages[@]}" BUILD)

# --- Before anything is changed -----------------------------------------------------------------------------------------

if [[ ${1-} == --packages ]]; then
    printf '%s\n' "${packages[@]}"
    exit
elif [[ ${1-} == --help ]]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit
fi
problems=()
[[ $# -eq 0 ]] || problems+=("unknown argument $1: the head of this file says how to use it")
[[ $(id -u) == 0 ]] || problems+=("run it as root")
command -v apt-get >/dev/null || problems+=("it needs Debian 12 or Ubuntu 24.04 or newer, and found no apt-get")
for part in api.py app model/store deploy/image/blocks.sh requirements/{serve,keras,tracing}.txt docs "${pages[@]}"; do
    [[ -e $source/$part ]] || problems+=("$source/$part is missing: run it from a whole checkout")
done
read -r -a extras <<<"${KILN_EXTRAS-$(cat "$notes/extras" 2>/dev/null || :)}"
for extra in "${extras[@]}"; do
    [[ $extra == keras || $extra == tracing ]] || problems+=("KILN_EXTRAS: $extra must be keras or tracing")
done
own=${KILN_OWN-}
if [[ -n $own && ! -d $own ]]; then problems+=("KILN_OWN=$own is no folder"); fi
if [[ -d $own ]]; then
    while IFS= read -r -d '' file; do
        case $file in
            f:etc/kiln/logrotate.conf) problems+=("KILN_OWN: ${file#f:} is Kiln's: leave it out") ;;
            f:srv/kiln/store/* | f:etc/kiln/* | f:etc/nginx/nginx.conf | f:etc/nginx/tls/*) ;;
            f:etc/systemd/system/kiln.service.d/*.conf) ;;
            f:*) problems+=("KILN_OWN: ${file#?:} is none of what is a node's own: deploy/image/README.md lists that") ;;
            *) problems+=("KILN_OWN: ${file#?:} is no plain file") ;;
        esac
    done < <(find "$own/" -mindepth 1 ! -type d -printf '%y:%P\0')
fi
if [[ ${#problems[@]} -gt 0 ]]; then
    printf 'provision: %s\n' "${problems[@]}" >&2
    exit 1
fi

# shellcheck source=deploy/image/blocks.sh
. "$source/deploy/image/blocks.sh"

exec 9>/run/kiln-provision.lock
flock -n 9 || {
    say "another run is under way; this one begins when it has ended"
    flock 9
}

# --- Code and Python environment: beside what is in force, then in force together ---------------------------------------

gather() { # FROM TO : a folder of code, root's
    mkdir "$2"
    # Without what a serving machine has no use for: caches, training, and the bundles, which have their own place.
    tar -C "$1" --exclude=__pycache__ --exclude=./training --exclude=./store -cf - . |
        tar -C "$2" --no-same-owner -xf -
    chmod -R u=rwX,go=rX "$2"
}

compile() { # FOLDER PART : once, here, because the service may not write
    "$venv/bin/python" -m compileall -q --invalidation-mode checked-hash -s "$1" -p "$home" "$1/$2"
}

take_own() { # PATH MODE GROUP : the files that the owner's folder has for it; sets $wrote
    wrote=''
    [[ -z $own ]] || files "$own$1" "$1" "$2" "root:$3"
}

enabled() { # UNIT : when it comes to the machine; what the owner has disabled since stays so
    if [[ $(systemctl is-enabled "$1" 2>/dev/null) == enabled ]]; then return; fi
    if [[ -n $venv_before && $units_before == *" $1"[\ .]* ]]; then
        say "NOTE: $1 is not enabled on this machine and stays so. To have it back: systemctl enable --now $1"
    else
        systemctl --quiet enable "$1"
        changed "$1 enabled"
    fi
}

start() { # UNIT ... : those that the owner has not taken out of service
    local unit wanted=()
    for unit; do
        if systemctl --quiet is-enabled "$unit" || systemctl --quiet is-active "$unit"; then wanted+=("$unit"); fi
    done
    [[ ${#wanted[@]} -eq 0 ]] || systemctl start "${wanted[@]}"
}

rests() { # of a run that was interrupted, or of the one that ends
    local part
    for part in "${parts[@]}"; do rm -rf "$home/$part.new" "$home/$part.old"; done
}

put_in_force() { # the parts in $new, and $venv; what they replace stays beside them as .old
    local part
    for part in "${new[@]}"; do cp -dR "$staged/$part" "$home/$part.new"; done
    outcome="the new code is in place, but was not started"
    # Renames alone from here on: a worker that starts meanwhile would meet half of it.
    for part in "${new[@]}"; do
        if [[ -e $home/$part || -L $home/$part ]]; then mv -T "$home/$part" "$home/$part.old"; fi
        mv -T "$home/$part.new" "$home/$part"
    done
    ln -sfn "${venv##*/}" "$home/venv"
}

take_back() {
    local part
    for part in "${new[@]}"; do
        rm -rf "${home:?}/$part"
        if [[ -e $home/$part.old || -L $home/$part.old ]]; then mv -T "$home/$part.old" "$home/$part"; fi
    done
    ln -sfn "$venv_before" "$home/venv"
}

staged=$(mktemp -d /run/kiln-provision.XXXXXX)
chmod 0755 "$staged" # the service's user reads it
venv_before=$(readlink "$home/venv" || :) # empty before a first run has come to its end
units_before=" $(cd /etc/systemd/system && printf '%s ' *)"
unfinished='' # a Python environment that is being made
outcome="code and Python environment are as they were"
ended() {
    local status=$?
    rm -rf "$staged" ${unfinished:+"$unfinished"}
    [[ $status -eq 0 ]] || say "FAILED; $outcome. Put right what is said above, then run this again." >&2
}
trap ended EXIT
mkdir -p "$notes"

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
if booted; then
    # Where the owner's folder brings another, that one is tested below, before it takes its place.
    [[ -n $own && -f $own/etc/nginx/nginx.conf ]] || nginx -t -q || die "nginx refuses the configuration that is there."
    nginx -t -q -c "$source/deploy/nginx.conf" || die "nginx refuses the configuration that ships."
fi

step "User: kiln, who owns nothing that it runs and cannot log in"
if ! getent passwd kiln >/dev/null; then
    useradd --system --user-group --home-dir /srv/kiln --no-create-home --shell /usr/sbin/nologin kiln
    changed "user kiln"
fi

step "Store: the bundles that ship, on the first run and where the owner has none; from then on they are the owner's"
if [[ -n $own && -d $own$store ]]; then
    folder /srv/kiln 0755 root:root
    folder "$store" 0755 root:root
    take_own "$store" 0644 root
elif [[ ! -d $store ]]; then
    folder /srv/kiln 0755 root:root
    rm -rf "$store.new" # of a run that was interrupted
    cp -R --no-preserve=mode,ownership "$source/model/store" "$store.new"
    chmod -R u=rwX,go=rX "$store.new"
    mv "$store.new" "$store"
    changed "$store"
fi

step "Settings: in /etc/kiln/kiln.env, made once; readable by the service, because a setting may be a secret"
folder /etc/kiln 0755 root:kiln # the group is what a new file of API keys takes over
take_own /etc/kiln 0640 kiln
note code
if [[ ! -f /etc/kiln/kiln.env ]]; then
    replace "$source/deploy/systemd/kiln.env" /etc/kiln/kiln.env 0640 root:kiln
fi
owned /etc/kiln/kiln.env 0640 root:kiln

step "Code: gathered, root's, so that the service cannot change itself"
folder "$home" 0755 root:root
rests
mkdir "$staged/requirements"
for part in app model deploy docs; do gather "$source/$part" "$staged/$part"; done
(cd "$source" && install -m 0644 api.py "${pages[@]}" "$staged")
install -m 0644 "$source"/requirements/{serve,keras,tracing}.txt "$staged/requirements"
ln -s deploy/gunicorn.conf.py "$staged/gunicorn.conf.py"
new=()
for part in "${parts[@]}"; do
    if [[ $part == BUILD ]]; then continue; fi
    diff -rq --no-dereference --exclude=__pycache__ "$staged/$part" "$home/$part" >/dev/null 2>&1 || new+=("$part")
done

step "Python environment: of its own, wheels only, each pinned by hash"
# Named by what is in it, in whatever order the extras were, with a link to the one in use. Each extra's pins hold those
# of serving.
mapfile -t pins < <(printf '%s.txt\n' "${extras[@]:-serve}" | sort -u)
venv=$home/venv-$(cd "$staged/requirements" && cat "${pins[@]}" <(python3 -V) | sha256sum | cut -c 1-12)
if [[ ! -f $venv/.complete ]]; then
    unfinished=$venv
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: "${pins[@]/#/--requirement=$staged/requirements/}"
    touch "$venv/.complete"
    unfinished=''
    changed "$venv"
fi

commit=${KILN_COMMIT-}
if [[ -z $commit && -e $source/.git ]]; then
    commit=$(git -C "$source" describe --always --abbrev=40 --dirty --exclude='*' 2>"$staged/git") ||
        say "NOTE: git does not say which commit this is ($(tail -n 1 "$staged/git")). KILN_COMMIT=... names it."
fi
if [[ -z $commit && ${#new[@]} -eq 0 && -f $home/BUILD ]]; then # the code is what it was, and so is its name
    commit=$(sed -n 's/.*"commit": "\([^"]*\)".*/\1/p' "$home/BUILD")
fi
commit=${commit:-unknown}
build_is_wrong() { [[ $commit != unknown ]] && ! grep -qsF "\"commit\": \"$commit\"" "$home/BUILD"; }

if [[ ${#new[@]} -gt 0 || $venv_before != "${venv##*/}" ]] || noted code || build_is_wrong; then
    step "The new code with its new environment, before it is in force: does it take the settings, do its models answer?"
    (cd "$staged" && "$venv/bin/python" -B -m deploy.node --check) || die "The new code cannot serve on this machine."
    for part in app model deploy; do
        if [[ " ${new[*]} " == *" $part "* ]]; then compile "$staged" "$part"; else compile "$home" "$part"; fi
    done
    # What this code is, for /version.
    release=$(cd "$staged" && "$venv/bin/python" -B -c 'from app import release; print(release.VERSION)')
    printf '{"release": "%s", "commit": "%s", "time": "%s"}\n' "$release" "$commit" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        >"$staged/BUILD"
    new+=(BUILD)
fi

# --- What belongs to the machine ----------------------------------------------------------------------------------------

step "Command: kiln, for models, keys and the doctor with this machine's settings"
file "$source/deploy/image/kiln" /usr/local/bin/kiln 0755 root:root

step "nginx: the configuration that ships, whole; the package's own is moved aside so that its updates never ask"
divert=$(dpkg-divert --list /etc/nginx/nginx.conf)
if [[ -z $divert ]]; then
    dpkg-divert --quiet --local --rename --divert /etc/nginx/nginx.conf.debian --add /etc/nginx/nginx.conf
    changed "/etc/nginx/nginx.conf.debian is the package's"
fi
conffile "$source/deploy/nginx.conf" /etc/nginx/nginx.conf 0644 root:root
note nginx-reload
take_own /etc/nginx/tls 0600 root
note nginx-reload
if [[ -n $own && -f $own/etc/nginx/nginx.conf ]]; then
    tried=/etc/nginx/nginx.conf.new # there, because what it includes may be named from there
    install -m 0644 "$own/etc/nginx/nginx.conf" "$tried"
    nginx -t -q -c "$tried" || {
        rm "$tried"
        die "nginx refuses the configuration in $own; the one before stays."
    }
    rm "$tried"
fi
take_own /etc/nginx/nginx.conf 0644 root
note nginx-reload
[[ -z $own ]] || nginx -t -q || die "nginx refuses its configuration with the files in $own."

step "systemd: the units, and fences around nginx"
file "$source/deploy/systemd/kiln.service" /etc/systemd/system/kiln.service 0644 root:root
note units
file "$source/deploy/systemd/kiln.socket" /etc/systemd/system/kiln.socket 0644 root:root
note socket
file "$source/deploy/systemd/nginx.service.conf" /etc/systemd/system/nginx.service.d/kiln.conf 0644 root:root
note nginx-restart
take_own /etc/systemd/system/kiln.service.d 0644 root
note units
for unit in kiln.socket kiln.service nginx.service; do enabled "$unit"; done

step "Logs: bounded, so that they never fill the disk"
conffile "$source/deploy/systemd/journald.conf" /etc/systemd/journald.conf.d/kiln.conf 0644 root:root
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
enabled kiln-logs.timer
if booted; then
    if noted logs; then systemctl daemon-reload; fi
    start kiln-logs.timer
fi

step "Kernel: queues and limits of a server"
conffile "$source/deploy/systemd/sysctl.conf" /etc/sysctl.d/60-kiln.conf 0644 root:root
# In a container this does nothing; its host sets them.
if [[ -n $wrote ]] && booted; then systemctl restart systemd-sysctl; fi

# --- In force -----------------------------------------------------------------------------------------------------------

if [[ ${#new[@]} -gt 0 ]]; then
    step "Code and Python environment: put in force, together"
    touch "$notes/code"
    put_in_force
    for part in "${new[@]}"; do changed "$home/$part"; done
    [[ $venv_before == "${venv##*/}" ]] || changed "$home/venv is ${venv##*/}"
fi

take_in() {
    if noted socket; then
        # A socket takes in its changes only when it is made anew; nginx answers 502 for that moment.
        systemctl try-restart kiln.socket kiln.service || return
    elif noted code || noted units; then
        start kiln.socket || return
        systemctl try-restart kiln.service || return # requests wait in kiln.socket meanwhile
    fi
    start kiln.socket kiln.service
}

# A unit that has failed too often starts again only when that is forgotten.
forget_failures() { systemctl reset-failed kiln.service kiln.socket nginx.service 2>/dev/null || :; }

if booted; then
    step "Start, or take in what changed"
    if noted units || noted socket || noted nginx-restart; then systemctl daemon-reload; fi
    forget_failures
    if ! take_in; then
        if [[ ${#new[@]} -gt 0 && -n $venv_before ]]; then
            take_back
            outcome="code and Python environment are again as they were"
            forget_failures
            take_in || outcome+=", and do not start either"
        fi
        die "The service did not start: journalctl -u kiln says why."
    fi
    outcome="the service runs; what comes after its start is missing"
    if noted nginx-restart; then
        systemctl try-restart nginx.service
    elif noted nginx-reload; then
        systemctl try-reload-or-restart nginx.service
    fi
    start nginx.service
    # Nothing runs from an older environment any more.
    for old in "$home"/venv-*; do
        if [[ $old != "$venv" ]]; then
            rm -rf "$old"
            changed "$old removed"
        fi
    done
fi
if [[ ${KILN_EXTRAS+given} && ${extras[*]} != "$(cat "$notes/extras" 2>/dev/null || :)" ]]; then
    printf '%s\n' "${extras[*]}" >"$notes/extras"
fi
rests
done_with code units socket logs nginx-reload nginx-restart
say "changed: $changes"
