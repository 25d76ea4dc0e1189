#!/usr/bin/env bats
# Runs in the background: BUSYBOX.

load helper

# Evaluates TEXT with memodb loaded: with_memodb TEXT
with_memodb() {
    printf '%s' "$1" >"$BATS_TEST_TMPDIR/body"
    printf '%s\n' 'require memodb podman' 'rule in_rule: -- "$(<"$IN_RULE")"' >Barf
    IN_RULE=$BATS_TEST_TMPDIR/body ./bar in_rule
}

@test "podman_run_background: it goes on when the caller's session was killed, without memodb" {
    local session
    mkdir data
    printf '%s\n' 'require podman' 'rule t: -- '"'"'podman_run_background "$BUSYBOX" --volume "$PWD/data:/data" sh -c "
        touch /data/begun; until [ -e /data/go ]; do [ \$((i += 1)) -le 600 ] || exit 9; sleep 0.1; done; echo done; exit 7" && touch scheduled && sleep 300'"'" >Barf
    setsid ./bar t >/dev/null 2>&1 3>&- &
    session=$!
    for ((i = 0; i < 600; i++)); do
        [[ ! -e data/begun || ! -e scheduled ]] || break
        sleep 0.1
    done
    pkill -KILL -s "$session"
    wait "$session" || true
    touch data/go
    printf '%s\n' 'require podman' 'rule t: -- '"'"'podman_run_background_wait "$BUSYBOX" --volume "$PWD/data:/data" sh -c "
        touch /data/begun; until [ -e /data/go ]; do [ \$((i += 1)) -le 600 ] || exit 9; sleep 0.1; done; echo done; exit 7"'"'" >Barf
    try bar t
    assert_code 7
    assert_equal "$output" "done"
}

@test "podman_run_background_wait: both streams and the code, once, and 2 for what was never begun" {
    local words='"$BUSYBOX" sh -c "echo out; echo err >&2; exit 7" x "a  b" "" "*"'
    try in_rule "x=\$(podman_run_background $words); echo \"<\$x>\""
    assert_code 0
    assert_equal "$output" "<>"
    assert_matches "$stderr" "*; \`podman_run_background_wait\` with the same words waits for it"
    try in_rule "podman_run_background_wait $words"
    assert_code 7
    assert_equal "$output" out
    assert_matches "$stderr" "*err*"
    try in_rule "podman_run_background_wait $words"
    assert_code 2
    assert_equal "$output" ""
    assert_matches "$stderr" "*podman_run_background_wait: nothing was begun with these words in *"
    [[ $stderr != *%20* ]]
}

@test "podman_background_job: memodb runs it, and another bar has both streams and the code" {
    git_project
    local words='"$BUSYBOX" --env "A=x  y" sh -c "echo \"\$A\"; printf \"<%s>\" \"\$@\" >&2; exit 7" x "a  b" "" "*" "%20"'
    try with_memodb "podman_run_background $words"
    assert_code 0
    try with_memodb "podman_run_background_wait $words"
    assert_code 7
    assert_equal "$output" "x  y"
    assert_matches "$stderr" "*<a  b><><?><%20>*"
    grep --recursive --quiet --fixed-strings '//#podman_background_job ' .bar.db
}
