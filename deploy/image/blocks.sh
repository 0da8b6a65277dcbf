#!/usr/bin/env bash
# Building blocks of provision.sh, which reads this file: each looks first, changes only what differs, and says so.
# They want $notes, a folder of this machine that lasts.
set -euo pipefail
: "${notes:?}"

changes=0
wrote='' # what `file` and `conffile` did last

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

replace() { # FROM TO MODE OWNER:GROUP : as a whole, so that nobody reads half of it, or a key that is not for them
    mkdir -p "$(dirname "$2")"
    install -m "$3" -o "${4%:*}" -g "${4#*:}" "$1" "$2.new"
    mv "$2.new" "$2"
    changed "$2"
}

# A copy of each file as it was handed over last: whether the one in force differs from it tells who wrote that.
known() { # PATH -> its copy
    printf '%s/written%s' "$notes" "$1"
}
handed_over() { # FROM TO
    local copy
    copy=$(known "$2")
    cmp -s "$1" "$copy" && return
    mkdir -p "$(dirname "$copy")"
    cp "$1" "$copy.new"
    mv "$copy.new" "$copy"
}

files() { # FROM TO MODE OWNER:GROUP : a file, or all of a folder, where there is one; what else is there stays; sets $wrote
    local path
    wrote=''
    [[ -e $1 ]] || return 0
    while IFS= read -r -d '' path; do
        path=${path:+/$path}
        if ! cmp -s "$1$path" "$2$path"; then
            replace "$1$path" "$2$path" "$3" "$4"
            wrote=yes
        fi
        owned "$2$path" "$3" "$4"
    done < <(find "$1" -type f -printf '%P\0' | sort -z)
}

file() { # FROM TO MODE OWNER:GROUP : Kiln's own; sets $wrote
    wrote=''
    rm -f "$2.new" # of a run that was interrupted
    if ! cmp -s "$1" "$2"; then
        if [[ -e $2 && -e $(known "$2") ]] && ! cmp -s "$2" "$(known "$2")"; then
            cp "$2" "$2.kiln-old"
            say "NOTE: $2 was changed by hand and is replaced; what it was is $2.kiln-old. Changes belong in a drop-in (systemctl edit)."
        fi
        replace "$1" "$2" "$3" "$4"
        wrote=yes
    fi
    handed_over "$1" "$2"
    owned "$2" "$3" "$4"
}

# As dpkg treats a conffile: what the machine's owner has changed stays, and a newer one is laid beside it.
conffile() { # FROM TO MODE OWNER:GROUP ; sets $wrote
    local newer=$2.kiln-new
    wrote=''
    rm -f "$2.new" "$newer.new" # of a run that was interrupted
    if [[ ! -e $2 ]] || cmp -s "$2" "$(known "$2")"; then
        if ! cmp -s "$1" "$2"; then
            replace "$1" "$2" "$3" "$4"
            wrote=yes
        fi
        owned "$2" "$3" "$4"
    elif ! cmp -s "$1" "$2" && ! cmp -s "$1" "$(known "$2")"; then
        cmp -s "$1" "$newer" || replace "$1" "$newer" "$3" "$4"
    fi
    handed_over "$1" "$2"
    if [[ ! -e $newer ]]; then return; fi
    if cmp -s "$1" "$2" || cmp -s "$newer" "$2"; then
        rm "$newer"
        changed "$newer removed: it is in force"
    else
        say "NOTE: $2 was changed on this machine and stays. Compare: diff $2 $newer; take over what you want and remove $newer."
    fi
}

# What is to be done at the end is noted on disk, so that a run that was interrupted is made good by the next one.
note() { # TASK, where something was written
    [[ -z $wrote ]] || touch "$notes/$1"
}
noted() { [[ -e $notes/$1 ]]; }
done_with() { # TASK ...
    local task
    for task; do rm -f "${notes:?}/$task"; done
}
