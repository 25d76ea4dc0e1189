#!/usr/bin/env bats
# Each rule of examples/bar, in the order of the Barf: the later ones find the images made. On the
# whole_host: one of them is `clean`.

load helper

setup_file() {
    export BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    project
    cp -r "$HERE/../../examples/bar/." .
}

setup() {
    project_again
}

# Goes into the project of the file, with the environment that the helper gives.
project_again() {
    export TMPDIR=$BATS_TEST_TMPDIR NO_COLOR=1 TERM=dumb
    cd "$BATS_FILE_TMPDIR/project" || return
}

teardown_file() {
    cd "$BATS_FILE_TMPDIR/project" || return
    ./bar clean
}

@test "examples: all are listed, and each has a test here" {
    local name tested
    try bar list_examples
    assert_code 0
    tested=$(grep --only-matching '^@test "example [a-z_0-9]*' "$BATS_TEST_DIRNAME/examples_slow_effect.bats")
    while read -r name _; do
        grep --quiet --line-regexp "@test \"example $name" <<<"$tested" || fail "$name has no test"
    done <<<"$output"
    assert_equal "$(wc -l <<<"$output")" "$(grep --count '^## Example: ' Barf)"
}

@test "example image_bar_base: bar runs in the image" {
    try bar image_bar_base
    assert_code 0
    printf '%s\n' 'rule greet: -- "echo greetings"' >"$TMPDIR/Barf"
    run --separate-stderr barasync run --workspace none --copy "$TMPDIR/Barf:/workspace/Barf" \
        localhost/bar-base:latest -- bar Barf greet
    assert_equal "$status $output" "0 greetings"
}

@test "example image_c: the image has a compiler, and bar" {
    try bar image_c
    assert_code 0
    run --separate-stderr barasync run --workspace none localhost/bar-c:latest -- sh -c 'cc --version && command -v bar'
    assert_code 0
    assert_matches "$output" "*/usr/local/bin/bar"
}

@test "example image_c_dev: the steps are in the image" {
    try bar image_c_dev
    assert_code 0
    run --separate-stderr barasync run --workspace none localhost/bar-c-dev:latest -- \
        sh -c 'cat /etc/lint-version; echo "$CFLAGS"; pwd'
    assert_equal "$output" $'1\n-O0 -g\n/workspace'
}

@test "example container_build: the program is built and runs, and nothing of it is here" {
    try bar container_build
    assert_code 0
    assert_matches "$output" "*hello from a container"
    [[ ! -e build ]]
}

@test "example test_native: the tests run on this machine's architecture" {
    try bar test_native
    assert_code 0
    assert_matches "$output" "*tested on $(uname -m)"
}

@test "example test_arm64: the tests run on arm64" {
    [[ -n $BUSYBOX_ARM64 ]]
    try bar test_arm64
    assert_code 0
    assert_matches "$output" "*tested on aarch64"
}

@test "example test_everywhere: the tests run on both" {
    try bar test_everywhere
    assert_code 0
    assert_matches "$output" "*tested on $(uname -m)*tested on aarch64"
}

@test "example dev_shell: what is typed runs on the files that are here" {
    run --separate-stderr bash -c 'echo "echo \$((6 * 7)) >typed; cc --version >/dev/null && echo there" | ./bar dev_shell'
    assert_code 0
    assert_matches "$output" "*there*"
    assert_equal "$(cat typed)" 42
    rm typed
}

@test "example dev_test: the tests run with a compiler, and what they built comes back" {
    try bar dev_test
    assert_code 0
    assert_matches "$output" "*tested on*"
    [[ -n $(find artifacts -name hello) ]] || fail "$(find artifacts)"
    rm -r artifacts
}

@test "example secure_build: it builds, on a network that leads nowhere" {
    try bar secure_build
    assert_code 0
    try bar secure_build
    assert_code 0
    assert_equal "$(podman network inspect --format '{{.Internal}}' build-isolated)" true
}

@test "example build_release: the program is here and runs" {
    try bar build_release
    assert_code 0
    assert_matches "$output" "*hello from a container"
    [[ -x artifacts/hello ]]
}

@test "example limited: the memory is that of the limit" {
    try bar limited
    assert_equal "$status $output" "0 67108864"
}

@test "example at_once: both rules run" {
    try bar at_once
    assert_code 0
    assert_matches "$output" "*tested on*"
    assert_matches "$output" "*no tabs in src*"
}

@test "example three_times: the tests run three times" {
    try bar three_times
    assert_code 0
    assert_equal "$(grep --count 'tested on' <<<"$output")" 3
}

@test "example everywhere: two architectures and two configurations are four cells" {
    try bar everywhere
    assert_code 0
    for cell in "$(uname -m), debug" "$(uname -m), release" "aarch64, debug" "aarch64, release"; do
        assert_matches "$output" "*tested on $cell*"
    done
}

@test "example configured: the rule of the configuration has its environment" {
    try bar configured
    assert_code 0
    assert_matches "$output" "*tested on $(uname -m), release"
}

@test "example background: bar ends, and background_result has what came" {
    try bar background
    assert_equal "$status$output" 0
    try bar background_result
    assert_code 0
    assert_matches "$output" "*tested on*"
}

@test "example background_result: without a beginning there is nothing to wait for" {
    try bar background_result
    assert_code 2
}

@test "example snapshot: the container is an image" {
    try bar snapshot
    assert_code 0
    podman image exists localhost/bar-tested:latest
}

@test "example firewall: one port of a host is reached, another one is not" {
    EXAMPLE_HOST=$PUBLIC_HOST try bar firewall
    assert_code 0
    assert_matches "$output" "*443*"
}
