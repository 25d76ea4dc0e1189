#!/usr/bin/env bats
# Packages, toolchains and tools for developers in an image of Debian: they come from its mirror.
# shellcheck disable=SC2016 # texts are for the rule
load helper

inside() {
    podman run --rm --network none "$@"
}

# In an image with the toolchain TOOL, SCRIPT prints 42: prints_42 TOOL SCRIPT
prints_42() {
    try_loading 'podman_layer_toolchain "bar-test:$2" "$1" "$2"' "$DEBIAN_IMAGE" "$1"
    assert_code 0
    assert_equal "$(inside "bar-test:$1" sh -ec "cd /tmp; $2")" 42
}

@test "podman_image_layer_add: a package is in the image, and not in what it was made from" {
    try_loading 'podman_image_layer_add bar-test:added "$1" bc file' "$DEBIAN_IMAGE"
    assert_code 0
    assert_equal "$(inside bar-test:added sh -c 'echo "6 * 7" | bc; file --brief --mime-type /bin/bc')" \
        $'42\napplication/x-pie-executable'
    run ! inside "$DEBIAN_IMAGE" bc --version
}

@test "podman_image_layer_add: a package that is not there is an error" {
    try in_rule 'podman_image_layer_add bar-test:unknown "$1" no-such-package' "$DEBIAN_IMAGE"
    assert_code 5
    assert_matches "$stderr" "*Unable to locate package no-such-package*"
    run ! podman image exists bar-test:unknown
}

@test "podman_layer_toolchain: c compiles a program that runs" {
    prints_42 c 'cat >p.c <<"END"
#include <stdio.h>
int main(void) { return printf("%d\n", 6 * 7) < 0; }
END
cc p.c -o p; ./p'
}

@test "podman_layer_toolchain: a toolchain that there is not is refused, with those that there are" {
    try in_rule 'podman_layer_toolchain bar-test:cobol "$1" cobol' "$DEBIAN_IMAGE"
    assert_code 2
    assert_matches "$stderr" "*c*go*node*python*rust*"
}

@test "podman_layer_dev: the tools for developers are there" {
    try_loading 'podman_layer_dev bar-test:dev "$1"' "$DEBIAN_IMAGE"
    assert_code 0
    inside bar-test:dev sh -ec 'gdb --version; strace --version; shellcheck --version; valgrind --version' >/dev/null
}
