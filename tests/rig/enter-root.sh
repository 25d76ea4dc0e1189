#!/bin/sh
# Becomes a command inside another root file system:
#     unshare --mount enter-root.sh ROOT SCRATCH [PATH…] -- COMMAND [ARGUMENT…]
# The root stays as it is, changes go to memory; only /run is kept, in SCRATCH, so that a second
# podman finds what the first one left. Each PATH, of a directory or a file, is the same inside as
# outside. A chroot is not enough for podman, which remounts / when it imports an image.
set -eu

if [ "$(readlink /proc/self/ns/mnt)" = "$(readlink "/proc/$PPID/ns/mnt")" ]; then
    echo "enter-root.sh: this has to run in a mount namespace of its own" >&2
    exit 2
fi

root=$1 scratch=$2
shift 2
mount --make-rprivate /
mkdir -p "$scratch/run" "$scratch/root"
cd "$scratch/root"
mount -t tmpfs -o mode=755 tmpfs .
cd "$scratch/root"
mkdir upper work new
mount -t overlay -o "lowerdir=$root,upperdir=upper,workdir=work" overlay new
new=$scratch/root/new
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mkdir -p "$new$1"
    else
        mkdir -p "$new${1%/*}"
        : >>"$new$1"
    fi
    mount --rbind "$1" "$new$1"
    shift
done
shift
mount -t proc proc "$new/proc"
mount --rbind /sys "$new/sys"
mount --rbind /dev "$new/dev"
mount --bind "$scratch/run" "$new/run"
cp /etc/resolv.conf "$new/etc/resolv.conf"
mkdir "$new/.outside"
cd "$new"
pivot_root . .outside
umount -l /.outside
exec "$@"
