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
  --out FOLDER      where the results go (default: build/image)
  --cache FOLDER    where stock systems, packages and wheels are kept for the next time (default: build/image/cache)
  --with PACKAGE    another package of the distribution in it, such as cloud-init or openssh-server; may be repeated
  --own FOLDER      what is your nodes' own, laid out as on a node: models, settings, keys, TLS (deploy/image/README.md)
  --boot-test       qcow2: boot it in QEMU, without KVM, and post a photo to it
END
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd -- "$here/../.." && pwd -P)
target='' suite=bookworm out=$root/build/image cache=$root/build/image/cache boot_test='' own='' extra=()
# What a bare machine has besides what provision.sh installs.
base_packages=(systemd-sysv dbus iproute2 procps)
# What it takes to start by itself, on hardware that a hypervisor makes up.
disk_packages=(initramfs-tools grub-efi-amd64 systemd-resolved udev)
disk_size=4G # as the machine sees it; grows to its disk at the first boot

say() { printf 'bake: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

while [[ $# -gt 0 ]]; do
    case $1 in
        --target | --suite | --out | --cache | --own | --with) [[ $# -gt 1 ]] || die "$1 needs a value" ;;
    esac
    case $1 in
        --target) target=${2-} && shift ;;
        --suite) suite=${2-} && shift ;;
        --out) out=${2-} && shift ;;
        --cache) cache=${2-} && shift ;;
        --own) own=${2-} && shift ;;
        --with) extra+=("${2-}") && shift ;;
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

# Kernels that know such hardware and no other.
case $suite in
    noble) distribution=ubuntu disk_packages+=(linux-image-virtual) ;;
    bookworm) distribution=debian disk_packages+=(linux-image-cloud-amd64) ;;
    trixie) distribution=debian disk_packages+=(linux-image-cloud-amd64 systemd-repart) ;;
    *) die "--suite is bookworm or trixie (Debian) or noble (Ubuntu)" ;;
esac

# The distribution's own mirrors: what the image uses once it runs, and what it is built from where the building
# machine knows no other for this release.
own_sources() {
    if [[ $distribution == ubuntu ]]; then
        printf 'deb http://archive.ubuntu.com/ubuntu %s main universe\n' "$suite" "$suite-updates"
        printf 'deb http://security.ubuntu.com/ubuntu %s-security main universe\n' "$suite"
    else
        printf 'deb http://deb.debian.org/debian %s main\n' "$suite" "$suite-updates"
        printf 'deb http://deb.debian.org/debian-security %s-security main\n' "$suite"
    fi
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
    base=$cache/base-$suite-$(printf '%s\n' "${packages[@]}" | sort | sha256sum | cut -c 1-12).tar
    [[ -f $base ]] && return
    require mmdebstrap:mmdebstrap
    say "Making a stock $suite (kept in $base) ..."
    mkdir -p "$cache/debs"
    mapfile -t options < <(build_apt_options)
    # --skip and the sync hooks: packages are fetched once, whatever is made of them.
    build_sources | mmdebstrap --quiet --mode=root --variant=minbase --format=tar \
        --include="$(IFS=, && echo "${packages[*]}")" \
        --aptopt='APT::Install-Recommends "false";' "${options[@]}" \
        --skip=download/empty --skip=essential/unlink \
        --setup-hook="mkdir -p \"\$1\"/var/cache/apt/archives" \
        --setup-hook="sync-in '$cache/debs' /var/cache/apt/archives" \
        --customize-hook="sync-out /var/cache/apt/archives '$cache/debs'" \
        --customize-hook="rm -f \"\$1\"/etc/apt/sources.list \"\$1\"/etc/apt/apt.conf.d/99mmdebstrap" \
        --customize-hook="rm -f \"\$1\"/etc/hostname" \
        "$suite" "$work/base.tar" - || die "no mirror of $suite could be used (see above)"
    mv "$work/base.tar" "$base"
}

# --- Kiln on top --------------------------------------------------------------------------------------------------------

# Settings of the building machine's pip, as a file for the one in the image. What is a file or folder here is seen
# there below /run/bake, which is gone when the command ends: nothing of it stays in the image.
pip_settings() { # FOLDER
    local name value
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

inside() { # ROOTFS [OPTIONS] COMMAND ... : in its own mounts and processes, with this machine's network
    local rootfs=$1
    shift
    # It says so of its own folder in /run, where that is on a disk, as in a container; nothing comes of it.
    local noise='^Attempted to remove disk file system under'
    systemd-nspawn --quiet --register=no --keep-unit --pipe --directory="$rootfs" --resolv-conf=off \
        --as-pid2 --machine="kiln-bake-$$" --bind-ro="$root:/run/kiln" --bind-ro="$work/pip:/run/bake" --bind="$cache/pip:/run/pip-cache" \
        --setenv=PIP_CONFIG_FILE=/run/bake/pip.conf --setenv=PIP_CACHE_DIR=/run/pip-cache \
        --setenv=KILN_COMMIT="$commit" --setenv=LC_ALL=C.UTF-8 \
        ${KILN_EXTRAS+--setenv=KILN_EXTRAS="$KILN_EXTRAS"} \
        ${own:+--bind-ro="$own:/run/own" --setenv=KILN_OWN=/run/own} "$@" \
        2> >(grep --line-buffered -v "$noise" >&2)
}

rootfs() { # FOLDER PACKAGE ... : a stock system with Kiln, sealed
    local made=$1
    shift
    require systemd-nspawn:systemd-container
    base "$@"
    say "Unpacking and provisioning ..."
    rm -rf "$made"
    mkdir -p "$made" "$work/pip" "$cache/pip"
    tar -C "$made" --numeric-owner --xattrs -xf "$base"
    own_sources >"$made/etc/apt/sources.list"
    echo kiln >"$made/etc/hostname"
    printf '127.0.0.1 localhost kiln\n::1 localhost ip6-localhost\n' >"$made/etc/hosts"
    rm -f "$made/etc/resolv.conf" # a link, where systemd-resolved is in it
    cp -L /etc/resolv.conf "$made/etc/resolv.conf"
    pip_settings "$work/pip"
    inside "$made" /run/kiln/deploy/image/provision.sh >&2
    inside "$made" /run/kiln/deploy/image/seal.sh >&2
    rm -f "$made/etc/resolv.conf"
}

# --- A disk that boots ----------------------------------------------------------------------------------------------------

# Made of files alone: no loop devices, no mounts, nothing that stays behind when it is interrupted.
qcow2() { # FOLDER TO
    local tree=$1 to=$2 id esp_id
    id=$(cat /proc/sys/kernel/random/uuid)
    esp_id=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ' | tr a-f A-F)

    say "Making the disk ..."
    cat >"$tree/etc/fstab" <<END
UUID=$id / ext4 defaults,noatime,errors=remount-ro,x-systemd.growfs 0 1
UUID=${esp_id:0:4}-${esp_id:4} /boot/efi vfat umask=0077 0 2
END
    mkdir -p "$tree/boot/efi" "$tree/boot/grub" "$tree/etc/repart.d" "$tree/etc/systemd/resolved.conf.d"
    printf '[Partition]\nType=root\n' >"$tree/etc/repart.d/50-root.conf"
    printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n' >"$tree/etc/systemd/network/80-dhcp.network"
    # Else it would listen on all interfaces for names of the local network.
    printf '[Resolve]\nLLMNR=no\nMulticastDNS=no\n' >"$tree/etc/systemd/resolved.conf.d/kiln.conf"
    ln -sfn ../run/systemd/resolve/stub-resolv.conf "$tree/etc/resolv.conf"
    # For the first boot; each new kernel makes its own with update-grub, from /etc/default/grub.
    cat >"$tree/boot/grub/grub.cfg" <<END
linux /vmlinuz root=UUID=$id ro console=tty0 console=ttyS0
initrd /initrd.img
boot
END
    cat >"$tree/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0"
GRUB_TERMINAL="console serial"
END
    cat >"$work/grub.cfg" <<END
search --no-floppy --fs-uuid --set=root $id
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg
END
    mkdir -p "$work/esp"
    inside "$tree" --bind-ro="$work/grub.cfg:/run/grub.cfg" --bind="$work/esp:/run/esp" sh -euc '
        systemctl --quiet enable systemd-networkd.service systemd-resolved.service
        echo "grub-efi-amd64 grub2/force_efi_extra_removable boolean true" | debconf-set-selections
        grub-mkimage -O x86_64-efi -o /run/esp/BOOTX64.EFI -p /boot/grub -c /run/grub.cfg \
            part_gpt ext2 fat search search_fs_uuid configfile normal linux serial terminal test echo
        rm -rf /var/cache/debconf/*-old'

    # 1 MiB, the system partition of UEFI, the root; the last MiB is the second partition table.
    truncate -s "$disk_size" "$work/disk"
    sfdisk --quiet "$work/disk" <<'END'
label: gpt
start=1MiB, size=63MiB, type=uefi, name=efi
start=64MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
END
    truncate -s 63M "$work/efi"
    mkfs.vfat -n EFI -i "$esp_id" "$work/efi" >/dev/null
    mmd -i "$work/efi" ::EFI ::EFI/BOOT
    mcopy -i "$work/efi" "$work/esp/BOOTX64.EFI" ::EFI/BOOT/
    dd if="$work/efi" of="$work/disk" bs=1M seek=1 conv=notrunc status=none
    mke2fs -q -t ext4 -d "$tree" -U "$id" -L root -E "offset=$((64 << 20))" "$work/disk" \
        "$((($(stat -c %s "$work/disk") >> 10) - (65 << 10)))k"
    qemu-img convert -O qcow2 -c "$work/disk" "$to.new"
    mv "$to.new" "$to"
}

# --- Packer ---------------------------------------------------------------------------------------------------------------

templates() { # FOLDER
    local with_own=()
    say "Packing the code ..."
    rm -rf "$1"
    mkdir -p "$1"
    cp "$here"/packer/*.pkr.hcl "$1"
    if [[ -n $own ]]; then
        cp -R "$own" "$work/own"
        with_own=(-C "$work" ./own)
        install -m 0600 /dev/null "$1/kiln.tar.gz" # there may be keys in it
    fi
    tar -C "$root" --exclude=__pycache__ --exclude=./model/training --owner=0 --group=0 --numeric-owner --sort=name \
        -czf "$1/kiln.tar.gz" ./api.py ./app ./deploy ./docs ./model ./README.md ./CHANGELOG.md ./SECURITY.md \
        ./requirements/{serve,keras,tracing}.txt "${with_own[@]}"
    printf 'commit = "%s"\n' "$commit" >"$1/commit.auto.pkrvars.hcl"
    if command -v packer >/dev/null; then
        packer fmt -check "$1"
        packer validate -syntax-only "$1"
    else
        say "packer is not installed here: its templates were not checked"
    fi
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
case $out in /*) ;; *) out=${KILN_CWD:-$PWD}/$out ;; esac # the launcher starts this in the project's folder
if [[ -n $own ]]; then
    (cd "${KILN_CWD:-.}" && cd "$own") 2>/dev/null || die "--own: $own is no folder"
    own=$(cd "${KILN_CWD:-.}" && cd "$own" && pwd -P)
fi
mkdir -p "$out" "$cache"
out=$(cd "$out" && pwd -P)
exec 9>"$cache/lock" # two at once would write the same cache
flock 9
cache=$(cd "$cache" && pwd -P)
work=$(mktemp -d "$out/.bake-XXXXXX") # beside the results: a disk does not fit into every /tmp
trap 'rm -rf "$work"' EXIT

case $target in
    rootfs)
        rootfs "$out/rootfs.new" "${extra[@]}"
        rm -rf "$out/rootfs"
        mv "$out/rootfs.new" "$out/rootfs"
        say "$out/rootfs"
        ;;
    qcow2)
        require mkfs.vfat:dosfstools mcopy:mtools mke2fs:e2fsprogs sfdisk:fdisk qemu-img:qemu-utils
        [[ -z $boot_test ]] || require qemu-system-x86_64:qemu-system-x86
        rootfs "$out/disk.new" "${disk_packages[@]}" "${extra[@]}"
        qcow2 "$out/disk.new" "$out/kiln.qcow2"
        rm -rf "$out/disk.new"
        say "$out/kiln.qcow2"
        [[ -z $boot_test ]] || python3 "$here/boot_test.py" "$out/kiln.qcow2" "$root/tests/data/cat.jpg"
        ;;
    packer)
        templates "$out/packer"
        say "$out/packer: see deploy/image/README.md"
        ;;
esac
