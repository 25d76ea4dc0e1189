# Runs in the background, through memodb where it is loaded and through barasync elsewhere.

load helper

setup() {
    project
    record
}

# Evaluates TEXT with memodb loaded, TEXT's words are those of the rule: with_memodb TEXT [WORD…]
with_memodb() {
    printf '%s' "$1" >"$BATS_TEST_TMPDIR/body"
    printf '%s\n' 'require memodb podman' 'rule in_rule: -- "$(<"$IN_RULE")"' >Barf
    IN_RULE=$BATS_TEST_TMPDIR/body ./bar in_rule "${@:2}"
}

@test "without memodb barasync has it under a key of the directory and the words" {
    in_rule 'podman_run_background --timeout 5 "an image" tests "a b" ""; podman_run_background_wait --timeout 5 "an image" tests "a b" ""' \
        <<<lines
    assert_call 1 run "--background=$PWD --timeout 5 an%20image tests a%20b %" --waiter=podman_run_background_wait --as=auto --timeout=5 \
        -- 'an image' tests 'a b' ''
    assert_call 2 wait --waiter=podman_run_background_wait -- "$PWD --timeout 5 an%20image tests a%20b %"
    assert_equal "$(cat "$RECORD"/1/stdin)" lines
}

@test "the code of a run that was waited for is the code" {
    ANSWER_STDOUT=out ANSWER_CODE=7 try in_rule 'podman_run_background_wait image tests'
    assert_code 7
    assert_equal "$output" out
}

@test "wrong words are refused before anything is scheduled" {
    git_project
    try with_memodb 'podman_run_background --tmieout 5 image'
    assert_refused 2 "podman_run_background: unknown option '--tmieout'"
    try with_memodb 'podman_run_background --detach image'
    assert_refused 2 "podman_run_background: --detach is not for the background"
    try with_memodb 'podman_run_background_wait'
    assert_refused 2 "podman_run_background_wait: too few words"
    [[ ! -e .bar.db ]]
    assert_equal "$(calls)" 0
}

@test "a value that has --detach in it is none" {
    in_rule 'podman_run_background --env "A=x --detach y" image tests' </dev/null
    grep --null-data --quiet --line-regexp --regexp='--env=A=x --detach y' "$RECORD/1/argv"
}

@test "memodb runs it when bar has ended, and another bar has output and code" {
    git_project
    export ANSWER_STDOUT=$'out\n' ANSWER_STDERR=$'err\n' ANSWER_CODE=7
    local call='image --env "A=x  y" "*" "" "a
b" "%20" "\$HOME"'
    try with_memodb "podman_run_background $call"
    assert_code 0
    assert_equal "$output" ""
    try with_memodb "podman_run_background_wait $call"
    assert_code 7
    assert_equal "$output" out
    assert_matches "$stderr" "*err*"
    assert_only_call run --as=auto '--env=A=x  y' -- image '*' '' $'a\nb' %20 '$HOME'
    try with_memodb "podman_run_background_wait $call"
    assert_code 7
    assert_equal "$output" out
    assert_equal "$(calls)" 1
}

@test "a result that memodb has is not made again while the tree is the same" {
    git_project
    export ANSWER_STDOUT=$'out\n'
    try with_memodb 'podman_run_background image tests'
    try with_memodb 'podman_run_background_wait image tests'
    assert_equal "$output" out
    try with_memodb 'podman_run_background image tests; podman_run_background_wait image tests'
    assert_equal "$output" $'out\nout'
    assert_equal "$(calls)" 1
    echo new >source
    try with_memodb 'podman_run_background image tests; podman_run_background_wait image tests'
    assert_equal "$output" out
    assert_equal "$(calls)" 2
}

@test "a wait in the bar that scheduled it runs it, once" {
    git_project
    export ANSWER_STDOUT=$'out\n' ANSWER_STDERR=$'err\n' ANSWER_CODE=7
    BAR_VERBOSITY_LEVEL=3 try with_memodb 'podman_run_background image tests
        podman_run_background_wait image tests || echo "$?"
        podman_run_background_wait image tests || echo "$?"'
    assert_equal "$output" $'out\n7\nout\n7'
    assert_matches "$stderr" "*NOTE: memodb begins in the background when bar ends, so it runs now*err*err*"
    try with_memodb 'podman_run_background_wait image tests'
    assert_code 7
    assert_equal "$(calls)" 1
}

@test "what memodb was never given ends bar with memodb's own word" {
    git_project
    try with_memodb 'podman_run_background_wait image tests; touch after'
    assert_code 1
    assert_matches "$stderr" "*No result available for 'podman_background_job image tests'*"
    [[ ! -e after ]]
    assert_equal "$(calls)" 0
}

@test "words come back as they were, whatever bytes they have" {
    local byte all=""
    for byte in {1..255}; do
        printf -v byte '\\x%02x' "$byte"
        printf -v byte %b "$byte"
        all+=$byte
    done
    printf %s "$all" >all
    in_rule 'declare -a encoded words; all=$(<all; printf x) && all=${all%x}
        _podman_encode "$all" "" "a" % " " "%" "\\x41" "é€"
        for word in "${encoded[@]}"; do
            [[ $word != *[!A-Za-z0-9_./:@,=%-]* && -n $word ]] || echo "not encoded: $word"
        done
        _podman_decode "${encoded[@]}"
        [[ ${#words[@]} == 8 && ${words[0]} == "$all" && ${words[1]} == "" && ${words[3]} == % && ${words[6]} == "\\x41" &&
            ${words[7]} == "é€" ]]'
}
