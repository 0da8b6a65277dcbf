#!/usr/bin/env bash
# ./kiln bake: a machine image with Kiln in it, made by provision.sh and closed by seal.sh.
set -euo pipefail
shopt -s inherit_errexit
umask 022

usage() {
    cat <<'END'
usage: ./kiln bake --target rootfs|qcow2|packer [options]

  --target rootfs   a root file system, for systemd-nspawn or to copy onto a disk
  --target qcow2    a disk that boots by UEFI, for QEMU, libvirt, OpenStack, Proxmox, and to import into a cloud
  --target packer   Packer templates for AWS, Google Cloud and Azure, with the code that they install
  --suite NAME      release of Debian or Ubuntu to build on (default: bookworm)
  --out FOLDER      where results and caches go (default: build/image)
  --boot-test       qcow2: boot it in QEMU and post a photo to it
END
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd -- "$here/../.." && pwd -P)
target='' suite=bookworm out=$root/build/image boot_test=''
# What a bare machine has besides what provision.sh installs.
base_packages=(systemd-sysv dbus iproute2 procps)
disk_packages=(linux-image-cloud-amd64 grub-efi-amd64 systemd-resolved initramfs-tools zstd)

say() { printf 'bake: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

while [[ $# -gt 0 ]]; do
    case $1 in
        --target) target=${2-} && shift ;;
        --suite) suite=${2-} && shift ;;
        --out) out=${2-} && shift ;;
        --boot-test) boot_test=yes ;;
        -h | --help) usage && exit ;;
        *) usage >&2 && die "unknown option $1" ;;
    esac
    shift
done

require() { # PROGRAM:PACKAGE ... ; names all that is missing at once
    local pair missing=()
    for pair; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [[ ${#missing[@]} -eq 0 ]] || die "missing; install with: apt-get install ${missing[*]}"
}

# --- The base: a stock system, kept between bakes -----------------------------------------------------------------------

# The distribution's own mirrors: what the image uses once it runs, and what it is built from where the building
# machine knows no other for this release.
own_sources() {
    case $suite in
        noble | questing | resolute)
            printf 'deb http://archive.ubuntu.com/ubuntu %s main universe\n' "$suite" "$suite-updates"
            printf 'deb http://security.ubuntu.com/ubuntu %s-security main universe\n' "$suite"
            ;;
        *)
            printf 'deb http://deb.debian.org/debian %s main\n' "$suite" "$suite-updates"
            printf 'deb http://security.debian.org/debian-security %s-security main\n' "$suite"
            ;;
    esac
}

# The building machine's mirrors of the same release, where it has them: often a nearer one, or the only one in reach.
build_sources() {
    local found
    found=$(apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
        awk -v suite="$suite" '$3 == suite || $3 == suite "-updates" || $3 == suite "-security"' | sort -u)
    if grep -q " $suite " <<<"$found"; then printf '%s\n' "$found"; else own_sources; fi
}

# How the building machine reaches them: proxies, certificates, timeouts.
build_apt_options() {
    apt-config dump | sed -nE 's/^(Acquire::(Check-[A-Za-z-]+|Retries|https?::.*) ".+";)$/--aptopt=\1/p'
}

base() { # PACKAGE ... -> $base, a tar
    local packages=("${base_packages[@]}" "$@") options
    mapfile -t -O "${#packages[@]}" packages < <("$here/provision.sh" --packages)
    base=$out/cache/base-$suite-$(sha256sum <<<"${packages[*]}" | cut -c 1-12).tar
    [[ -f $base ]] && return
    require mmdebstrap:mmdebstrap
    say "Making a stock $suite (kept in $base) ..."
    mkdir -p "$out/cache/debs"
    mapfile -t options < <(build_apt_options)
    # --skip and the sync hooks: packages are fetched once, whatever is made of them.
    build_sources | mmdebstrap --quiet --mode=root --variant=minbase --format=tar \
        --include="$(IFS=, && echo "${packages[*]}")" \
        --aptopt='APT::Install-Recommends "false";' "${options[@]}" \
        --skip=download/empty --skip=essential/unlink \
        --setup-hook="mkdir -p \"\$1\"/var/cache/apt/archives" \
        --setup-hook="sync-in '$out/cache/debs' /var/cache/apt/archives" \
        --customize-hook="sync-out /var/cache/apt/archives '$out/cache/debs'" \
        --customize-hook="rm -f \"\$1\"/etc/apt/sources.list \"\$1\"/etc/apt/apt.conf.d/99mmdebstrap" \
        --customize-hook="rm -f \"\$1\"/etc/hostname" \
        "$suite" "$base.new" -
    mv "$base.new" "$base"
}

# --- Kiln on top --------------------------------------------------------------------------------------------------------

# Settings of the building machine's pip, as a file for the one in the image. What is a file or folder here is seen
# there below /run/bake, which is gone when the command ends: nothing of it stays in the image.
pip_settings() { # FOLDER
    local line name value
    echo '[global]' >"$1/pip.conf"
    { python3 -m pip config list 2>/dev/null || :; } |
        sed -nE "s/^[^ ]*\.(index-url|extra-index-url|find-links|trusted-host|cert|proxy|timeout)='(.*)'$/\1 \2/p" |
        sort -u -k 1,1 | while read -r name value; do
        if [[ $value == /* && -e $value ]]; then
            cp -RL "$value" "$1/$name"
            value=/run/bake/$name
        fi
        printf '%s = %s\n' "$name" "$value" >>"$1/pip.conf"
    done
}

inside() { # ROOTFS COMMAND ... : in its own mounts and processes, with this machine's network
    local rootfs=$1
    shift
    systemd-nspawn --quiet --register=no --keep-unit --pipe --directory="$rootfs" --resolv-conf=copy-host \
        --as-pid2 --bind-ro="$root:/run/kiln" --bind-ro="$work/pip:/run/bake" --bind="$out/cache/pip:/run/pip-cache" \
        --setenv=PIP_CONFIG_FILE=/run/bake/pip.conf --setenv=PIP_CACHE_DIR=/run/pip-cache \
        --setenv=KILN_COMMIT="$commit" --setenv=LC_ALL=C.UTF-8 "$@"
}

rootfs() { # FOLDER PACKAGE ... : a stock system with Kiln, sealed
    local made=$1
    shift
    require systemd-nspawn:systemd-container
    base "$@"
    say "Unpacking and provisioning ..."
    rm -rf "$made"
    mkdir -p "$made" "$work/pip" "$out/cache/pip"
    tar -C "$made" --numeric-owner --xattrs -xf "$base"
    own_sources >"$made/etc/apt/sources.list"
    echo kiln >"$made/etc/hostname"
    pip_settings "$work/pip"
    inside "$made" /run/kiln/deploy/image/provision.sh >&2
    inside "$made" /run/kiln/deploy/image/seal.sh >&2
    rm -f "$made/etc/resolv.conf"
}

# --- Start --------------------------------------------------------------------------------------------------------------

case $target in
    rootfs | qcow2)
        [[ $(id -u) == 0 ]] || die "run it as root: it makes a system that root owns"
        ;;
    packer) ;;
    *) usage >&2 && die "--target is rootfs, qcow2 or packer" ;;
esac
[[ -z $boot_test || $target == qcow2 ]] || die "--boot-test is for --target qcow2"
commit=$(git -C "$root" describe --always --abbrev=40 --dirty --exclude='*' 2>/dev/null || echo unknown)
mkdir -p "$out/cache"
out=$(cd "$out" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $target in
    rootfs)
        rootfs "$out/rootfs.new"
        rm -rf "$out/rootfs"
        mv "$out/rootfs.new" "$out/rootfs"
        say "$out/rootfs"
        ;;
esac
