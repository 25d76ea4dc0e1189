# What the tests of Bar.d share: a project with bar in it, and what came of a call.
# Loaded by each *.bats with `load helper`; see test_bats.py and tests/contract/test_bar.py.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

HERE=${BASH_SOURCE[0]%/*}
MODULES=$HERE/../../Bar.d

# Each test begins in a new project; a file that needs more has a setup of its own and calls this.
setup() {
    project
}

# Makes a project with bar, its modules and ours, and goes there.
project() {
    local modules
    export TMPDIR=$BATS_TEST_TMPDIR/temporary NO_COLOR=1 TERM=dumb
    unset "${!BAR_@}" "${!PODMAN_@}"
    mkdir -p "$TMPDIR" "$BATS_TEST_TMPDIR/project/Bar.d"
    cd "$BATS_TEST_TMPDIR/project" || return
    if [[ -n ${BAR:-} ]]; then
        modules=$(dirname "$(realpath "$BAR")")/Bar.d
        [[ -d $modules ]] || modules=${BAR%/bin/*}/share/bar/Bar.d
        cp "$BAR" bar
        cp "$modules"/* Bar.d/
    else
        cp "$HERE/stand-in/bar" bar
        cp "$HERE"/stand-in/Bar.d/* Bar.d/
    fi
    [[ ! -d $MODULES ]] || cp "$MODULES"/* Bar.d/
    : >Barf
}

# Makes the project a git repository, which memodb needs, that ignores what runs leave in it.
git_project() {
    printf '%s\n' .bar.db '.bar*.lock' .barasync >.gitignore
    git init --quiet .
}

# Runs COMMAND as bats' run does: sets status, output (stdout) and stderr, that one without what bar
# says of the progress of its rules. try COMMAND [ARG…]
try() {
    run --separate-stderr "$@"
    stderr=$(grep --invert-match --extended-regexp '^ *(OK|FAIL):' <<<"$stderr") || true
}

bar() {
    ./bar "$@"
}

# Evaluates TEXT as the body of a rule, with ARGs as its words; errexit is off in it: in_rule TEXT [ARG…]
in_rule() {
    printf '%s' "$1" >"$BATS_TEST_TMPDIR/body"
    printf '%s\n' 'require podman' 'rule in_rule: -- "$(<"$IN_RULE")"' >Barf
    IN_RULE=$BATS_TEST_TMPDIR/body ./bar in_rule "${@:2}"
}

# As `try in_rule`, once more where a mirror of packages did not answer: try_loading TEXT [ARG…]
try_loading() {
    try in_rule "$@"
    if [[ $status != 0 && $stderr =~ "Failed to fetch"|"Temporary failure"|"Unable to connect" ]]; then
        try in_rule "$@"
    fi
}

# Evaluates TEXT at the top level of the Barf, where errexit and nounset are on: at_top TEXT
at_top() {
    printf 'require podman\n%s\nrule at_top: -- true\n' "$1" >Barf
    ./bar at_top
}

# From here on `barasync` is the recording one; ANSWER_* say what it answers.
record() {
    export RECORD=$BATS_TEST_TMPDIR/record
    mkdir -p "$RECORD"
    PATH=$HERE/recording:$PATH
}

# Prints how often barasync was called.
calls() {
    find "$RECORD" -mindepth 1 -maxdepth 1 | wc -l
}

# Fails unless the N-th call of barasync had exactly these words: assert_call N WORD…
assert_call() {
    local words wanted=("${@:2}")
    [[ -f $RECORD/$1/argv ]] || fail "barasync was called $(calls) times: there is no call $1" || return
    mapfile -d '' words <"$RECORD/$1/argv"
    assert_equal "${words[*]@Q}" "${wanted[*]@Q}"
}

# Fails unless barasync was called once, with exactly these words: assert_only_call WORD…
assert_only_call() {
    assert_equal "$(calls)" 1
    assert_call 1 "$@"
}

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

# Waits until COMMAND passes, and fails where it does not within a minute: eventually COMMAND [ARG…]
eventually() {
    local end=$((SECONDS + 60))
    until "$@"; do
        ((SECONDS < end)) || fail "in vain, for a minute: ${*@Q}" || return
        sleep 0.1
    done
}

# assert_equal ACTUAL EXPECTED
assert_equal() {
    [[ $1 == "$2" ]] || fail "is:     ${1@Q}" "should: ${2@Q}"
}

# assert_matches TEXT PATTERN (a pattern of the shell)
assert_matches() {
    # shellcheck disable=SC2053 # it is a pattern
    [[ $1 == $2 ]] || fail "is:      ${1@Q}" "matches: ${2@Q}"
}

# Fails unless the last `try` ended with CODE: assert_code CODE
assert_code() {
    [[ $status == "$1" ]] || fail "code $status, not $1" "stdout: $output" "stderr: ${stderr-}"
}

# Fails unless the last `try` was refused: CODE, nothing on stdout, and one line
# on stderr, through bar's error, that matches PATTERN: assert_refused CODE PATTERN
assert_refused() {
    assert_code "$1"
    assert_equal "$output" ""
    assert_equal "$(wc -l <<<"$stderr")" 1
    assert_matches "$stderr" "*ERROR:*$2*"
}

# Podman's own command line on the service that the test runs against.
podman() {
    command podman --remote --url "$CONTAINER_HOST" "$@"
}
