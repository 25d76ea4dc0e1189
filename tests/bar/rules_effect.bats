#!/usr/bin/env bats
# What the rules of Bar.d/podman_rules do, on a podman. On the whole_host: one of them is `clean`.

load helper

ARM64=/proc/sys/fs/binfmt_misc/qemu-aarch64

# The test that takes the emulator away may end early.
teardown() {
    [[ -e $ARM64 ]] || barasync arch setup arm64
}

setup() {
    project
    unset BARASYNC_CELL
}

# A Barf whose rules `build`, `tests` and `bench` leave a mark of where they ran.
marking_barf() {
    printf 'PODMAN_IMAGE=%s\n' "$BASH_IMAGE" >Barf
    cat >>Barf <<'END'
PODMAN_RULES="build_in_container test_in_container test_matrix bench_matrix"
rule build_bins: -- 'echo "built in ${BARASYNC_CELL:-no cell} with <$*>"'
rule test_units: -- 'echo "tested in ${BARASYNC_CELL:-no cell}"'
rule benchmark: -- 'echo "measured in ${BARASYNC_CELL:-no cell}"'
END
}

@test "rule is_podman_installed: it depends on the PATH" {
    try bar is_podman_installed
    assert_code 0
    mkdir tools
    ln -s /usr/bin/* tools/
    rm -f tools/podman
    try env PATH="$PWD/tools" ./bar is_podman_installed
    assert_code 1
}

@test "rule is_qemu_available: an emulated architecture has one, the native one does not" {
    # The runner registers the emulators of the images that a file names.
    [[ -n $BUSYBOX_ARM64 ]]
    try bar is_qemu_available arm64
    assert_equal "$status$output" 0
    try bar is_qemu_available "$NATIVE"
    assert_equal "$status$output" 1
}

@test "rule podman_require_arch: what depends on it runs where containers of the architecture do" {
    printf '%s\n' "rule here: 'podman_require_arch $NATIVE' -- 'touch here'" \
        "rule nowhere: 'podman_require_arch sparc64' -- 'touch nowhere'" >Barf
    try bar here
    assert_code 0
    [[ -e here ]]
    try bar nowhere
    [[ $status != 0 ]]
    assert_matches "$stderr" "*sparc64*"
    [[ ! -e nowhere ]]
}

@test "rule podman_check_deps: containers run here, and the module is loaded" {
    printf '%s\n' "rule t: podman_check_deps -- 'podman_run \"\$BUSYBOX\" -- uname -s'" >Barf
    try bar t
    assert_equal "$status $output" "0 Linux"
    CONTAINER_HOST=unix:///nonexistent/podman.sock try bar podman_check_deps
    assert_code 4
}

@test "rule podman_setup_qemu: an emulator that was taken away is registered, an unknown one is refused" {
    [[ -n $BUSYBOX_ARM64 ]]
    echo -1 >"$ARM64"
    run ! podman run --rm "$BUSYBOX_ARM64" true
    try bar podman_setup_qemu arm64
    assert_code 0
    try podman run --rm "$BUSYBOX_ARM64" uname -m
    assert_equal "$output" aarch64
    try bar podman_setup_qemu none-such
    assert_code 2
}

@test "rule podman_list_archs: all that are listed run" {
    [[ -n $BUSYBOX_ARM64 ]]
    try bar podman_list_archs
    assert_code 0
    grep --quiet --line-regexp "$NATIVE" <<<"$output"
    grep --quiet --line-regexp arm64 <<<"$output"
}

@test "rule podman_list_networks: a network that was just made is listed" {
    podman network create rules-effect >/dev/null
    try bar podman_list_networks
    podman network rm rules-effect >/dev/null
    assert_code 0
    assert_matches "$output" "*rules-effect*"
}

@test "rule podman_clean: what a killed run left goes, also by clean, and a live run stays" {
    local rule word tries
    for rule in podman_clean clean; do
        rm -f dead.out live.out
        for word in dead live; do
            barasync run --network none --workspace none --keep-failed "$BUSYBOX" -- sh -c "echo $word; sleep 600" \
                >"$word.out" 2>/dev/null 3>&- &
            declare "$word=$!"
            for ((tries = 0; tries < 600; tries++)); do
                [[ $(cat "$word.out" 2>/dev/null) != "$word" ]] || break
                sleep 0.1
            done
            assert_equal "$(cat "$word.out")" "$word"
        done
        assert_equal "$(podman ps --quiet | wc -l)" 2
        kill -KILL "$dead"
        wait "$dead" || true

        try bar "$rule"
        assert_code 0
        assert_equal "$(podman ps --all --quiet | wc -l)" 1
        kill -TERM "$live"
        wait "$live" || true
        assert_equal "$(podman ps --all --quiet | wc -l)" 0
    done
}

@test "rule build_in_container: the project's rule runs in a container, with what it is given" {
    marking_barf
    try bar build_in_container 'a b'
    assert_code 0
    assert_matches "$output" "built in $NATIVE with <>"
    # As a hook of the standard rule it does not call itself in the container.
    echo 'rule build: build_in_container' >>Barf
    try bar build
    assert_code 0
    assert_equal "$output" "built in no cell with <>"$'\n'"built in $NATIVE with <>"
}

@test "rule test_in_container: a test that takes too long is ended" {
    marking_barf
    try bar test_in_container
    assert_equal "$status $output" "0 tested in $NATIVE"
    echo 'rule test_units: -- "sleep 600"' >>Barf
    PODMAN_TIMEOUT=2 try bar test_in_container
    assert_code 124
    assert_equal "$(podman ps --all --quiet)" ""
}

@test "rule test_matrix: the rule tests runs in every cell" {
    marking_barf
    printf '%s\n' 'declare -gA PODMAN_CONFIG_DEBUG=([env]=LEVEL=1)' \
        'declare -gA PODMAN_CONFIG_RELEASE=([env]=LEVEL=2)' \
        'rule test_units: -- '"'"'echo "level $LEVEL"'"'" >>Barf
    try bar test_matrix --config debug,release --output stream
    assert_code 0
    assert_matches "$output" "*level 1*"
    assert_matches "$output" "*level 2*"
    assert_equal "$(ls .barasync/runs/latest/cells)" "$NATIVE-debug"$'\n'"$NATIVE-release"
}

@test "rule bench_matrix: the rule bench runs in every cell, and a failure fails it" {
    marking_barf
    try bar bench_matrix --output stream
    assert_code 0
    assert_matches "$output" "*measured in $NATIVE*"
    echo 'rule benchmark: -- false' >>Barf
    try bar bench_matrix
    assert_code 1
}
