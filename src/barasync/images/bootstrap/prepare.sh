# shellcheck shell=sh
# Runs before anything is unpacked into the root directory $1.
#
# The packages of a suite before trixie still have files in /bin and /lib; unpacked through these
# links they land in /usr, where later suites and their maintainer scripts expect them.
set -eu
root=${1:?}

for directory in bin sbin lib lib64; do
    mkdir -p "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
done
