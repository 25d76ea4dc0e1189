# shellcheck shell=sh
# Runs before anything is unpacked into the root directory $1 of packages that will be installed.
#
# Neither they nor those that are installed in the image later start services: nothing would end
# them. Debian's images for containers have the same file.
set -eu
root=${1:?}

printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
