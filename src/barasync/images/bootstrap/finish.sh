# shellcheck shell=sh
# Runs after the packages are unpacked into the root directory $1, outside of it.
#
# Nothing of the packages has been executed, so that no emulator is needed. What the maintainer
# scripts of the common ones would have done is done here, with files only: $1 may be for any
# architecture, so nothing in it can be run.
set -eu
root=${1:?}

# base-passwd and base-files: users, groups, name service, profiles.
for pair in \
    usr/share/base-passwd/passwd.master:etc/passwd \
    usr/share/base-passwd/group.master:etc/group \
    usr/share/base-files/nsswitch.conf:etc/nsswitch.conf \
    usr/share/libc-bin/nsswitch.conf:etc/nsswitch.conf \
    usr/share/base-files/profile:etc/profile \
    usr/share/base-files/dot.profile:root/.profile \
    usr/share/base-files/dot.bashrc:root/.bashrc; do
    from=$root/${pair%%:*}
    to=$root/${pair#*:}
    if [ -e "$from" ] && [ ! -e "$to" ]; then
        cp "$from" "$to"
        chmod 644 "$to"
    fi
done

# base-files: directories, and the old names of two of them.
for directory in media mnt opt srv tmp run/lock var/tmp usr/local/bin usr/local/include \
    usr/local/lib usr/local/sbin usr/local/share usr/local/src; do
    mkdir -p "$root/$directory"
done
chmod 1777 "$root/tmp" "$root/var/tmp" "$root/run/lock"
for name in run lock; do
    if [ ! -L "$root/var/$name" ]; then
        [ ! -d "$root/var/$name" ] || rmdir "$root/var/$name"
        [ "$name" = run ] && target=/run || target=/run/$name
        ln -s "$target" "$root/var/$name"
    fi
done

# update-alternatives: NAME becomes the first of the programs that is there, unless it exists.
alternative() {
    link=$root/usr/bin/$1
    shift
    if [ -e "$link" ] || [ -L "$link" ]; then
        return
    fi
    for pattern in "$@"; do
        for program in "$root"/usr/bin/$pattern; do
            if [ -e "$program" ] || [ -L "$program" ]; then
                ln -s "${program##*/}" "$link"
                return
            fi
        done
    done
}
alternative sh dash bash
alternative awk gawk mawk original-awk
alternative nawk gawk mawk original-awk
alternative which which.debianutils
alternative cc gcc clang
alternative c++ g++ clang++
alternative c89 c89-gcc
alternative c99 c99-gcc
alternative yacc bison.yacc
alternative automake 'automake-1.*'
alternative aclocal 'aclocal-1.*'
alternative fakeroot fakeroot-sysv
alternative nc nc.openbsd nc.traditional
alternative pager less
alternative vi vim.basic vim.tiny nvi
alternative editor vim.basic vim.tiny nano

# ca-certificates: the bundle that TLS libraries look for.
bundle=$root/etc/ssl/certs/ca-certificates.crt
if [ -d "$root/usr/share/ca-certificates" ] && [ ! -e "$bundle" ]; then
    mkdir -p "${bundle%/*}"
    find "$root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$bundle"
fi
