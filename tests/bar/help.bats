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

@test "bar's help shows one function or rule alone" {
    [[ -n ${BAR:-} ]] || skip "the stand-in has no help; BAR=/path/to/bar names one"
    try bar help -s podman_matrix
    assert_matches "$output" "      podman_matrix <rule> *Exit codes: *"
    [[ $output != *podman_run_parallel* ]] || fail "$output"
    try bar help -s test_matrix
    assert_equal "$(wc -l <<<"$output")" 2
}

@test "bar's help warns of nothing" {
    [[ -n ${BAR:-} ]] || skip "the stand-in has no help; BAR=/path/to/bar names one"
    bar help podman >/dev/null 2>said
    bar help podman_rules >/dev/null 2>>said
    assert_equal "$(grep --invert-match OK: said)" ""
}

# Prints what bar's completion for bash offers for the last of these words, in the project.
offered() {
    bash -c '
        source "$1"
        shift
        COMP_WORDS=(./bar "$@")
        COMP_CWORD=$#
        COMP_LINE="${COMP_WORDS[*]}"
        COMP_POINT=${#COMP_LINE}
        _bar_complete ./bar "${!#}" ""
        printf "%s\n" "${COMPREPLY[@]}"
    ' completion "$(dirname "$(realpath "$BAR")")/contrib/bar_complete" "$@"
}

@test "bar's completion offers the functions, and what the completers print" {
    [[ -n ${BAR:-} ]] || skip "the stand-in has no completion; BAR=/path/to/bar names one"
    record
    try offered podman_run_
    assert_matches "$output" "*podman_run_arch*podman_run_background*"
    export ANSWER_STDOUT=$'amd64\narm64\n'
    try offered is_podman_arch_available ''
    assert_matches "$output" "*amd64*arm64*"
    for rule in podman_require_arch podman_setup_qemu is_qemu_available; do
        try offered "$rule" ''
        assert_equal "$output" $'amd64\narm64'
    done
    export ANSWER_STDOUT=$'made-network\n'
    try offered podman_network_remove ''
    assert_equal "$output" made-network
    export ANSWER_STDOUT=$'localhost/toolchain:latest\nlocalhost/barasync/step:1\n'
    try offered podman_image_remove ''
    assert_equal "$output" localhost/toolchain:latest
}
