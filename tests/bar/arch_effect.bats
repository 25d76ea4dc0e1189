#!/usr/bin/env bats
# Podman and architectures, as they are on this machine: BUSYBOX_ARM64 has its emulator registered.
# On the whole_host: an emulator is taken away.

load helper

ARM64=/proc/sys/fs/binfmt_misc/qemu-aarch64

# A test that takes the emulator away may end early.
teardown() {
    [[ -e $ARM64 ]] || barasync arch setup arm64
}

# Calls FUNCTION [ARG…] as a rule, as completion does: bare FUNCTION [ARG…]
bare() {
    : >Barf
    ./bar --bare "$@"
}

@test "is_podman_installed: it is found in PATH, and not where it is not in it" {
    mkdir programs without
    printf '#!/bin/sh\n' >programs/podman
    chmod +x programs/podman
    PATH=$PWD/programs:$PATH try in_rule 'is_podman_installed && echo yes'
    assert_equal "$output" yes
    ln -s "$(command -v bash)" "$(command -v cat)" "$(command -v tee)" "$(command -v mktemp)" "$(command -v rm)" \
        "$(command -v sha1sum)" "$(command -v env)" without/
    try in_rule 'PATH=$PWD/without; is_podman_installed || echo no'
    assert_equal "$output" no
}

@test "podman_version: it is that of the service" {
    try in_rule podman_version
    assert_code 0
    assert_equal "$output" "${SERVICE_VERSION%%-*}"
}

@test "podman_arch_complete: completion is offered what runs here" {
    try bare podman_arch_complete
    assert_code 0
    grep --line-regexp --fixed-strings "$NATIVE" <<<"$output"
    grep --line-regexp arm64 <<<"$output"
    run ! grep --line-regexp s390x <<<"$output"
}

@test "podman_platform_complete: each platform that is offered is one that podman_run takes" {
    try bare podman_platform_complete
    assert_code 0
    grep --line-regexp --fixed-strings "linux/$NATIVE" <<<"$output"
    grep --line-regexp linux/arm64 <<<"$output"
    try in_rule 'podman_run --platform linux/arm64 "$BUSYBOX_ARM64" -- uname -m'
    assert_code 0
    assert_equal "$output" aarch64
}

@test "is_podman_arch_available: silently, what is executed in a container" {
    try in_rule 'is_podman_arch_available aarch64 && is_podman_arch_available "$NATIVE" && ! is_podman_arch_available s390x'
    assert_code 0
    assert_equal "$output$stderr" ""
    try in_rule 'is_podman_arch_available arm46'
    assert_code 2
    assert_matches "$stderr" "*arm46*"
}

@test "podman_arch_available: says why an architecture does not run" {
    try in_rule 'podman_arch_available arm64'
    assert_code 0
    assert_equal "$output$stderr" ""
    try in_rule 'podman_arch_available s390x'
    assert_code 1
    assert_equal "$output" ""
    assert_matches "$stderr" "s390x*does not work: *"
}

@test "podman_arch_setup: an emulator that was taken away runs programs again" {
    echo -1 >"$ARM64"
    try in_rule 'is_podman_arch_available arm64 || echo gone'
    assert_equal "$output" gone
    in_rule 'podman_arch_setup arm64'
    try in_rule 'podman_run --platform arm64 "$BUSYBOX_ARM64" -- uname -m'
    assert_equal "$output" aarch64
    try in_rule 'podman_arch_setup arm46'
    assert_code 2
}

@test "is_qemu_available: an emulator runs arm64, and not what is native or missing" {
    try in_rule 'is_qemu_available arm64 && ! is_qemu_available "$NATIVE" && ! is_qemu_available s390x'
    assert_code 0
    assert_equal "$output$stderr" ""
}

@test "podman_normalize_arch: all names in use become the usual one" {
    try in_rule 'for name in aarch64 linux/arm64/v8 ARM64 armhf x86_64 amd64; do podman_normalize_arch "$name"; done'
    assert_code 0
    assert_equal "$output" $'arm64\narm64\narm64\narm/v7\namd64\namd64'
    try in_rule 'podman_normalize_arch arm46'
    assert_code 2
    assert_equal "$output" ""
    assert_matches "$stderr" "*arm46*"
}

@test "podman_normalize_platform: what it prints is its own platform" {
    try in_rule 'for name in aarch64 armhf "$(podman_normalize_platform aarch64)"; do podman_normalize_platform "$name"; done'
    assert_code 0
    assert_equal "$output" $'linux/arm64\nlinux/arm/v7\nlinux/arm64'
}

@test "podman_get_native_arch: it is that of podman's host" {
    try in_rule podman_get_native_arch
    assert_code 0
    assert_equal "$output" "$(podman info --format '{{.Host.Arch}}')"
}

@test "podman_list_available_archs: each runs, and one that was taken away is not listed" {
    local arch
    try in_rule podman_list_available_archs
    assert_code 0
    grep --line-regexp arm64 <<<"$output"
    while read -r arch; do
        in_rule 'is_podman_arch_available "$1"' "$arch"
    done <<<"$output"
    echo -1 >"$ARM64"
    try in_rule podman_list_available_archs
    assert_code 0
    run ! grep --line-regexp arm64 <<<"$output"
}
