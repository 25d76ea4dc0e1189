# Lends QEMU's binfmt handlers to one run of a script.
#
# A handler lives in the kernel, not in a process, so a run takes away what it added. Runs at the same
# time share a lock and a record: the last one out undoes what all of them added. To keep the handlers
# until the next boot, call script/setup first.
# shellcheck shell=bash

source "$(dirname "${BASH_SOURCE[0]}")/host.bash"

binfmt=/proc/sys/fs/binfmt_misc
emulation_record=/run/barasync-emulation

# Sets emulation up until the script ends.
function borrow_emulation {
    local before status=0
    exec {emulation_lock}>>"$emulation_record"
    flock --shared "$emulation_lock"
    trap return_emulation EXIT
    # Where it cannot be mounted, arch setup is the one to say so and what to do.
    if [[ ! -e $binfmt/register ]] && mount -t binfmt_misc binfmt_misc "$binfmt" 2>/dev/null; then
        echo mount >>"$emulation_record"
    fi
    before=$(ls "$binfmt")
    set_up_emulation || status=$?
    comm -13 <(echo "$before") <(ls "$binfmt") >>"$emulation_record"
    return "$status"
}

# Sets emulation up until the next boot.
function set_up_emulation {
    local architecture foreign=()
    for architecture in amd64/x86_64 arm64/aarch64 riscv64/riscv64; do
        [[ ${architecture#*/} == "$(uname -m)" ]] || foreign+=("${architecture%/*}")
    done
    say "Preparing emulation of ${foreign[*]}"
    as_root "$root/.venv/bin/python" -m barasync arch setup "${foreign[@]}"
}

function return_emulation {
    local entry
    flock --exclusive --nonblock "$emulation_lock" || return 0
    while IFS= read -r entry; do
        [[ $entry == mount || ! -e $binfmt/$entry ]] || echo -1 >"$binfmt/$entry"
    done <"$emulation_record"
    if grep --quiet --line-regexp mount "$emulation_record" && [[ -e $binfmt/register ]]; then
        umount "$binfmt"
    fi
    : >"$emulation_record"
}
