# What the scripts share: speaking to a person, and asking the host for what is missing.
# Sourced by a script that has set -euo pipefail; sets root, the directory of the clone.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

function say {
    printf '==> %s\n' "$*" >&2
}

# Ends the script because it was called wrongly.
function usage {
    printf 'usage: %s\n' "$*" >&2
    exit 2
}

# Ends the script because this host cannot give what is needed; 4 is barasync's code for that.
function unavailable {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 4
}

# Runs a command silently and without input; shows what it printed when it fails.
function quietly {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    ((status == 0)) || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

# Runs a download up to three times, because networks and mirrors hiccup.
function persistently {
    local attempt
    for attempt in 1 2 3; do
        if "$@"; then return 0; fi
        ((attempt == 3)) && break
        say "That failed; trying again in $((attempt * 5)) s"
        sleep "$((attempt * 5))"
    done
    return 1
}

function as_root {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        unavailable "this needs root: run it as root, or install sudo"
    fi
}

# Goes on as root; call it first and with the script's own arguments.
function become_root {
    if ((EUID != 0)); then
        as_root true || unavailable "this needs root, and sudo refused"
        exec sudo -- "$root/script/${0##*/}" "$@"
    fi
}

function missing_packages {
    local installed package
    installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for package; do
        grep --quiet --line-regexp --fixed-strings "$package installed" <<<"$installed" || echo "$package"
    done
}

function refresh_and_install {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
    quietly as_root "${apt[@]}" update && quietly as_root "${apt[@]}" install --no-install-recommends "$@"
}

# Installs those of the named Debian packages that are not there yet.
function need_packages {
    local missing
    if ! command -v apt-get dpkg-query >/dev/null; then
        command -v podman >/dev/null || unavailable "podman is missing and this is neither Debian nor Ubuntu;" \
            "install what these Debian packages hold: $*"
        say "Neither Debian nor Ubuntu: taking for granted what these packages hold: $*"
        return
    fi
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} > 0)) || return 0
    say "Installing ${missing[*]}"
    persistently refresh_and_install "${missing[@]}" ||
        unavailable "these packages could not be installed: ${missing[*]}"
}
