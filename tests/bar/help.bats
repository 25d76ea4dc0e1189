#!/usr/bin/env bats
# What only bar itself can answer: its help. test_list.py restates what it reads.

load helper

@test "bar's help lists every function and rule of the list, with its parameters" {
    [[ -n ${BAR:-} ]] || skip "the stand-in has no help; BAR=/path/to/bar names one"
    local line
    for module in podman podman_rules; do
        bar help "$module" >>help.txt
    done
    while IFS= read -r line; do
        [[ -n $line && $line != '#'* ]] || continue
        line=${line#rule }
        line=${line% ...}
        grep --quiet --extended-regexp "^      ${line//[^a-z_A-Z0-9 ]/.}( |$)" help.txt || fail "no help for: $line"
    done <"$HERE/functions"
}

@test "bar's help warns of nothing" {
    [[ -n ${BAR:-} ]] || skip "the stand-in has no help; BAR=/path/to/bar names one"
    bar help podman >/dev/null 2>said
    bar help podman_rules >/dev/null 2>>said
    assert_equal "$(grep --invert-match OK: said)" ""
}
