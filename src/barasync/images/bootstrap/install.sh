# shellcheck shell=sh
# Runs after the packages are installed into the root directory $1, outside of it. $keyring is the
# path of the keyring on this host that the packages are signed with, empty if it is an ordinary one.
set -eu
root=${1:?}

# apt in the image finds the keyring where the package that brings it puts it, or else here.
if [ -n "$keyring" ] && [ ! -e "$root$keyring" ]; then
    mkdir -p "$root/etc/apt/keyrings"
    cp "$keyring" "$root/etc/apt/keyrings/"
    chmod 644 "$root/etc/apt/keyrings/${keyring##*/}"
    sed -i "s|\[signed-by=$keyring\]|[signed-by=/etc/apt/keyrings/${keyring##*/}]|" \
        "$root/etc/apt/sources.list"
fi
