# shellcheck shell=sh
# Runs last on the root directory $1, outside of it: takes away what an image is better without.
set -eu
root=${1:?}

# mmdebstrap copies these from this host; they are no business of the image's.
rm -f "${root:?}/etc/hostname" "${root:?}/etc/resolv.conf"

# As in Debian's slim images translations, manuals and documentation go; copyrights stay.
for directory in locale man info lintian; do
    rm -rf "${root:?}/usr/share/$directory"
done
if [ -d "$root/usr/share/doc" ]; then
    find "$root/usr/share/doc" ! -type d ! -name copyright -exec rm -f {} +
    find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
fi

# What ran while packages were installed may have left something here; nothing runs in an image.
mkdir -p "$root/run"
find "$root/run" -mindepth 1 -delete
mkdir "$root/run/lock"
chmod 1777 "$root/run/lock"
