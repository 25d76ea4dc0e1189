#!/usr/bin/env bats
# Images of several architectures: amd64 and arm64, of which one is emulated ($BUSYBOX_AMD64, $BUSYBOX_ARM64).
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    printf '%s\n' 'ARG TARGETARCH' 'FROM localhost/busybox:${TARGETARCH}' 'COPY mark /mark' \
        'RUN uname -m >/machine' >Containerfile
    echo seen >mark
}

# Prints the architectures of a manifest list.
architectures_of() {
    podman manifest inspect "$1" | grep --only-matching '"architecture": *"[a-z0-9]*"' | cut --delimiter '"' --fields 4 | sort
}

# Prints the architecture of an image, and what it says of where it was made.
made_on() {
    podman image inspect --format '{{.Architecture}}' "$1"
    podman run --rm --network none "$1" cat /machine /mark
}

@test "podman_image_from: a definition for two architectures is a list of both" {
    printf '%s\n' '[images.base]' 'containerfile = "Containerfile"' >barasync.toml
    try in_rule '
        podman_image_from base --platform linux/amd64,arm64
        podman_image_run "uname -m >/again"
        podman_image_tag bar-test:list'
    assert_code 0
    assert_equal "$(architectures_of bar-test:list)" $'amd64\narm64'
}

@test "podman_image_build_multiarch: a Containerfile for an emulated architecture" {
    try in_rule 'podman_image_build_multiarch bar-test:other linux/arm64 Containerfile'
    assert_code 0
    assert_equal "$(made_on bar-test:other)" $'arm64\naarch64\nseen'
}

@test "podman_image_build_multiarch: for an architecture that does not run here nothing is made" {
    try in_rule 'podman_image_build_multiarch bar-test:none linux/s390x Containerfile'
    assert_code 4
    assert_matches "$stderr" "*s390x*"
    run ! podman image exists bar-test:none
}

@test "podman_image_build_matrix: one name for all, and one for each" {
    try in_rule 'podman_image_build_matrix bar-test:all Containerfile amd64 linux/arm64'
    assert_code 0
    assert_equal "$(architectures_of bar-test:all)" $'amd64\narm64'
    assert_equal "$(made_on localhost/bar-test:all-amd64)" $'amd64\nx86_64\nseen'
    assert_equal "$(made_on localhost/bar-test:all-arm64)" $'arm64\naarch64\nseen'
}
