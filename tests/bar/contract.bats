#!/usr/bin/env bats
# What our modules rely on in bar: passes under the stand-in, and under the real one that BAR names.

load helper

@test "errexit is off in the body of a rule and in what it calls" {
    cat >Barf <<'END'
function called { false; echo "still in the function"; }
rule t: -- 'false; called; echo "at the end"'
END
    try bar t
    assert_code 0
    assert_equal "$output" $'still in the function\nat the end'
}

@test "nounset is on at the top of the Barf, errexit is not" {
    printf 'false\nrule t: -- "echo ran"\n' >Barf
    try bar t
    assert_equal "$status $output" "0 ran"
    printf 'echo "$not_set_anywhere"\nrule t: -- "echo ran"\n' >Barf
    try bar t
    [[ $status != 0 && $output == "" ]] || fail "$status $output"
}

@test "a rule's body gets the words as they are, and its code is bar's" {
    printf '%s\n' "rule t: -- 'printf \"<%s>\" \"\$@\"; return_of 7'" 'function return_of { return "$1"; }' >Barf
    try bar t 'a b' '' '*' $'x\ny'
    assert_code 7
    assert_equal "$output" $'<a b><><*><x\ny>'
}

@test "an IFS that a body sets is bar's own from then on, unless it is local" {
    printf '%s\n' "rule local_one: -- 'local IFS=,'" "rule one: -- 'IFS=,'" "rule digit: -- 'IFS=0'" \
        "rule t: local_one -- 'printf \"<%q>\" \"\$IFS\"'" "rule u: one t" >Barf
    try bar t
    assert_equal "$status $output" "0 <\$' \\t\\n'>"
    try bar u
    assert_equal "$status $output" "0 <\\,>"
    # bar splits its own code 0
    try bar digit
    assert_code 2
}

@test "words of a dependency are split at blanks and never quoted" {
    printf '%s\n' 'rule d: -- '"'"'printf "<%s>" "$@"'"'" "rule t: \"d 'a  b' *\"" >Barf
    try bar t
    assert_code 0
    assert_equal "$output" "<'a><b'><*>"
}

@test "a function is found by the prefix of its name as a rule, but not in a body" {
    echo 'function later_one { echo one; }; function is_later_two { echo two; }' >Bar.d/later
    printf '%s\n' 'rule as_dependency: later_one' 'rule in_body: -- later_one' >Barf
    try bar later_one
    assert_equal "$status $output" "0 one"
    try bar is_later_two
    assert_equal "$status $output" "0 two"
    try bar as_dependency
    assert_equal "$status $output" "0 one"
    run -127 --separate-stderr bar in_body
}

@test "the module that the rule asked for is named after is loaded, though the Barf has that rule" {
    echo "rule later_one: -- 'echo module'" >Bar.d/later
    printf '%s\n' "rule later_one: -- 'echo Barf'" 'rule dependent: later_one' >Barf
    try bar later_one
    assert_equal "$status $output" $'0 Barf\nmodule'
    try bar dependent
    assert_equal "$status $output" "0 Barf"
}

@test "a rule release of the Barf is one more clause of bar's own, which takes a repository" {
    echo "rule release: -- 'echo ours'" >Barf
    try bar release
    assert_code 1
    assert_equal "$output" ours
}

@test "a rule with the same words runs once, one that is --always runs again" {
    printf '%s\n' "rule once: -- 'echo once'" "rule --always often: -- 'echo often'" \
        "rule t: -- 'rule_eval once; rule_eval once; rule_eval once other; rule_eval often; rule_eval often'" >Barf
    try bar t
    assert_equal "$output" $'once\nonce\noften\noften'
}

@test "a body that evaluates a rule which fails, fails with it, unless that is in a subshell" {
    printf '%s\n' "rule bad: -- 'return_of 7'" 'function return_of { return "$1"; }' \
        "rule t: -- 'rule_eval bad || true'" "rule u: -- '(rule_eval bad) || true'" >Barf
    try bar t
    assert_code 7
    try bar u
    assert_code 0
}

@test "clauses add up in their order, those that are --default last" {
    printf '%s\n' "rule t: --default -- 'echo default'" "rule t: -- 'echo first'" "rule t: -- 'echo second'" >Barf
    try bar t
    assert_equal "$output" $'first\nsecond\ndefault'
}

@test "modules that end in _rules are loaded before the Barf, in the order of their names" {
    echo 'echo a; rule fmt: -- "echo ours"' >Bar.d/a_rules
    echo 'echo z' >Bar.d/zz_rules
    printf '%s\n' 'echo barf' 'rule t: -- true' >Barf
    try bar t
    assert_equal "$output" $'a\nz\nbarf'
    try bar fmt
    assert_equal "$status ${output##*$'\n'}" "0 ours"
}

@test "a Barf beside which there is no Bar.d is taken by its name alone" {
    mkdir -p ../installed/bin ../installed/share/bar ../elsewhere
    cp bar ../installed/bin/
    cp -r Bar.d ../installed/share/bar/
    cd ../elsewhere
    echo "rule greet: -- 'echo greetings'" >Barf
    PATH=$(realpath ../installed/bin):$PATH
    try env bar greet
    assert_equal "$status $output" "1 "
    try env bar Barf greet
    assert_equal "$status $output" "0 greetings"
}

@test "a failing dependency with ? skips the clause, one with ! has to fail, one with ~ may" {
    cat >Barf <<'END'
rule bad: -- false
rule good: -- true
rule t: 'bad?' -- 'echo wrong'
rule t: 'good?' -- 'echo questioned'
rule t: '!bad' -- 'echo negated'
rule t: '!good' -- 'echo wrong'
rule t: 'bad~' -- 'echo tilde'
rule t: 'none_such??' -- 'echo wrong'
rule t: bad -- 'echo wrong'
rule t: -- 'echo wrong'
END
    try bar t
    assert_code 1
    assert_equal "$output" $'questioned\nnegated\ntilde'
}

@test "a disjunct rule ends with the first clause that succeeds, a conclusive clause ends a rule" {
    cat >Barf <<'END'
rule --disjunct either: -- false
rule either: -- 'echo first'
rule either: -- 'echo wrong'
rule concluded: --conclusive -- 'echo last'
rule concluded: -- 'echo wrong'
END
    try bar either
    assert_equal "$status $output" "0 first"
    try bar concluded
    assert_equal "$status $output" "0 last"
}

@test "require loads a module once, within a function, and may look for one that is not there" {
    echo 'echo loaded; local is_in_a_function=yes; declare -g seen=$is_in_a_function' >Bar.d/thing
    printf '%s\n' 'require thing' 'require thing' 'require --opt none_such' 'rule t: -- "echo $seen"' >Barf
    try bar t
    assert_equal "$status $output" $'0 loaded\nyes'
    printf '%s\n' 'if require none_such; then echo wrong; fi' 'rule t: -- true' >Barf
    try bar t
    assert_equal "$status $output" "0 "
}

@test "memofn remembers a function without words, and evaluates words once more" {
    cat >Barf <<'END'
function counted { echo called >>calls; }
function worded { printf '%s' "$*"; }
memofn counted worded
rule t: -- 'counted; counted; worded "\$(echo evaluated)"'
END
    try bar t
    assert_equal "$status $output" "0 evaluated"
    assert_equal "$(wc -l <calls)" 1
}

@test "is_command_installed knows commands and functions, silently" {
    printf '%s\n' 'function here { :; }' "rule t: -- 'is_command_installed \"\$1\"'" >Barf
    try bar t ls
    assert_equal "$status$output$stderr" 0
    try bar t here
    assert_equal "$status$output$stderr" 0
    try bar t none-such
    assert_equal "$status$output$stderr" 1
}

@test "error says where in one line and goes on, die ends with 1, and a level of 0 silences both" {
    printf '%s\n' "function f { error 'bad  thing'; echo on; }" "rule t: -- 'f'" "rule d: -- 'die dead; echo wrong'" >Barf
    try bar t
    assert_equal "$status $output" "0 on"
    assert_matches "$stderr" "ERROR:*Barf:1:f: bad  thing"
    try bar d
    assert_equal "$status $output" "1 "
    assert_matches "$stderr" "PANIC:* dead"
    BAR_VERBOSITY_LEVEL=0 try bar t
    assert_equal "$stderr" ""
}

@test "messages are on stderr, and by default no more than warnings" {
    printf '%s\n' "rule t: -- 'warn w; note n; info i; debug d; trace t'" >Barf
    try bar t
    assert_equal "$status$output" 0
    assert_matches "$stderr" "*WARN: w"
    BAR_VERBOSITY_LEVEL=6 try bar t
    assert_equal "$output" ""
    assert_matches "$stderr" "*WARN: w*NOTE: n*INFO: i*DEBUG: *d*TRACE: *t*"
}

@test "CLEANUP runs also after a failure, POSTPROCESS only after success, neither under --bare" {
    printf '%s\n' "rule CLEANUP: -- 'echo cleanup'" "rule POSTPROCESS: -- 'echo post'" \
        "rule t: -- true" "rule bad: -- false" >Barf
    try bar t
    assert_equal "$output" $'post\ncleanup'
    try bar bad
    assert_equal "$status $output" "1 cleanup"
    try bar --bare t
    assert_equal "$status$output" 0
}

@test "a name that begins with an underscore cannot be evaluated as a rule" {
    echo 'function _one { echo one; }' >Barf
    try bar _one
    [[ $status != 0 && $output == "" ]] || fail "$status $output"
}

@test "run_test runs a command and turns any failure into 1" {
    printf '%s\n' 'require run' "rule t: -- 'run_test sh -c \"\$1\"'" >Barf
    try bar t 'echo out'
    assert_equal "$status $output" "0 out"
    try bar t 'exit 7'
    assert_code 1
}

@test "without a rule bar evaluates MAIN, and an unknown rule is a panic" {
    printf '%s\n' "rule -- 'echo main'" >Barf
    try bar
    assert_equal "$status $output" "0 main"
    try bar none_such
    assert_code 1
    assert_matches "$stderr" "*PANIC:*none_such*"
}

# The rules of the three tests below, in a repository.
memodb_project() {
    git_project
    cat >Barf <<'END'
require memodb
function job { printf '<%s>' "$@"; echo to-stderr >&2; return 7; }
rule schedule: -- 'memodb_schedule job "$@"'
rule result: -- 'memodb_result job "$@"'
rule both: -- 'memodb_schedule job "$@"; memodb_result job "$@"'
END
}

@test "memodb runs a command after the rule and replays both streams and the code, each time" {
    memodb_project
    try bar schedule a b
    assert_equal "$status $output" "0 "
    for _ in 1 2; do
        try bar result a b
        assert_code 7
        assert_equal "$output" "<a><b>"
        assert_equal "$stderr" to-stderr
    done
    echo new >file
    try bar result a b
    assert_code 1
    assert_matches "$stderr" "*PANIC:*"
}

@test "memodb splits and globs the words of what it runs" {
    memodb_project
    try bar schedule 'a b' 'Bar*'
    assert_code 0
    # The code is kept under the words that ran, not under those that were asked for.
    try bar result a b Bar.d Barf
    assert_code 7
    try bar result 'a b' 'Bar*'
    assert_code 1
}

@test "memodb has no result within the process that scheduled, nor under --bare" {
    memodb_project
    try bar both x
    assert_code 1
    assert_matches "$stderr" "*PANIC:*"
    try bar --bare schedule y
    assert_code 0
    try bar result y
    assert_code 1
}
