# shellcheck shell=sh
# Runs after the packages are in the root directory $1, outside of it. $keyring is a copy of the
# keyring that they are signed with, $place where that is on this host; both are empty if it is the
# distribution's own.
set -eu
root=${1:?}

# apt in the image finds the keyring where the package that brings it puts it, or else here.
if [ -n "$keyring" ]; then
    if [ ! -e "$root$place" ]; then
        place=/etc/apt/keyrings/${keyring##*/}
        mkdir -p "$root/etc/apt/keyrings"
        cp "$keyring" "$root$place"
        chmod 644 "$root$place"
    fi
    sed -i "s|\[signed-by=$keyring\]|[signed-by=$place]|" "$root/etc/apt/sources.list"
fi
