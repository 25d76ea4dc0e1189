#!/usr/bin/env bats
# The rules of Bar.d/podman_rules, on a recording barasync.

load helper

setup() {
    project
    unset BARASYNC_CELL CONTAINER_HOST
    mkdir programs
    printf '#!/bin/sh\n' >programs/podman
    chmod +x programs/podman
    PATH=$PWD/programs:$PATH
    record
}

# Prints the words of the N-th call, quoted: call N
call() {
    local words
    mapfile -d '' words <"$RECORD/$1/argv"
    printf '%s' "${words[*]@Q}"
}

# What a shell has when the Barf has been read.
names_of() {
    printf '%s\n' "rule t: -- 'compgen -A function; compgen -v; rule_exists tests && echo tests'" >Barf
    bar t 2>/dev/null | sort
}

@test "loading the rules leaves functions and variables as they are, and calls nothing" {
    names_of >with
    rm Bar.d/podman_rules
    names_of >without
    assert_equal "$(diff without with)" ""
    assert_equal "$(calls)" 0
}

@test "loading the rules leaves the standard rules as they are, but for clean" {
    local name
    for name in all lints build tests doc bench fmt fix update run audit; do
        printf '%s\n' "rule $name: -- 'echo own'" >Barf
        try bar "$name"
        assert_equal "$status $output" "0 own"
    done
    assert_equal "$(calls)" 0
}

@test "clean removes what dead runs left" {
    try bar clean
    assert_code 0
    assert_only_call clean
}

@test "clean passes where there is no barasync, and where there is no podman" {
    PODMAN_BARASYNC=none-such try bar clean
    assert_code 0
    mkdir tools
    ln -s /usr/bin/* tools/
    rm -f tools/podman tools/barasync
    try env PATH="$HERE/recording:$PWD/tools" ./bar clean
    assert_code 0
    assert_equal "$(calls)" 0
}

@test "clean warns and goes on where barasync clean fails, podman_clean fails" {
    echo "rule clean: -- 'echo my clean'" >Barf
    ANSWER_CODE=4 try bar clean
    assert_equal "$status $output" "0 my clean"
    assert_matches "$stderr" "*WARN: *podman_clean*"
    BAR_VERBOSITY_LEVEL=0 ANSWER_CODE=4 try bar clean
    assert_equal "$output$stderr" "my clean"
    ANSWER_CODE=4 try bar podman_clean
    assert_code 4
    rm Bar.d/podman
    try bar clean
    assert_equal "$status $output" "0 my clean"
}

@test "a container of a run does not clean" {
    BARASYNC_CELL=amd64 try bar clean
    assert_code 0
    assert_equal "$(calls)" 0
}

@test "the rules that run something in containers are off until PODMAN_RULES names them" {
    local name
    for name in build_in_container test_in_container test_matrix bench_matrix; do
        PODMAN_IMAGE=image try bar "$name"
        assert_equal "$status$output$stderr" 0
        PODMAN_RULES="other_$name ${name}s" PODMAN_IMAGE=image try bar "$name"
        assert_equal "$status$output$stderr" 0
    done
    assert_equal "$(calls)" 0
}

@test "those rules are off in a container, which reads the same Barf" {
    local name
    export PODMAN_RULES="build_in_container test_in_container test_matrix bench_matrix"
    for name in $PODMAN_RULES; do
        BARASYNC_CELL=amd64 PODMAN_IMAGE=image try bar "$name"
        assert_equal "$status$output$stderr" 0
    done
    assert_equal "$(calls)" 0
}

@test "the Barf turns them on, and they are limited in time" {
    cat >Barf <<'END'
PODMAN_RULES="build_in_container test_in_container"
PODMAN_IMAGE=localhost/some:1
rule build: build_in_container
rule tests: 'test_in_container some words'
END
    try bar build
    assert_code 0
    assert_call 1 arch check -- "$(uname -m)"
    assert_matches "$(call 2)" "'run' *'--timeout=300' *'--' 'localhost/some:1' 'build'"
    PODMAN_TIMEOUT=7 try bar tests
    assert_code 0
    assert_matches "$(call 4)" "'run' *'--timeout=7' *'--' 'localhost/some:1' 'tests' 'some' 'words'"
}

@test "the matrix rules pass words on to podman_matrix" {
    export PODMAN_RULES="test_matrix bench_matrix"
    try bar test_matrix --arch amd64,arm64 'two words'
    assert_code 0
    assert_matches "$(call 2)" "'matrix' *'--arch=amd64,arm64'* '--' 'tests' 'two words'"
    try bar bench_matrix
    assert_matches "$(call 4)" "'matrix' *'--' 'bench'"
}

@test "they fail with the code of the run" {
    printf '#!/bin/sh\n[ "$1" = arch ] || exit 124\n' >programs/barasync
    chmod +x programs/barasync
    PODMAN_BARASYNC=$PWD/programs/barasync PODMAN_RULES=test_in_container PODMAN_IMAGE=i try bar test_in_container
    assert_code 124
}

@test "a project's own rule of such a name goes before ours, and alone where PODMAN_RULES does not name it" {
    printf '%s\n' "rule test_matrix: -- 'echo own \$(calls)'" >Barf
    export -f calls
    try bar test_matrix
    assert_equal "$status $output" "0 own 0"
    assert_equal "$(calls)" 0
    PODMAN_RULES=test_matrix try bar test_matrix
    assert_equal "$status $output" "0 own 0"
    assert_matches "$(call 2)" "'matrix' *'--' 'tests'"
}

@test "PODMAN_RULES may have a line for each rule" {
    PODMAN_RULES=$'\n\tbuild_in_container\n\ttest_matrix\n' try bar test_matrix
    assert_code 0
    assert_matches "$(call 2)" "'matrix' *'--' 'tests'"
}

@test "without PODMAN_IMAGE it is the image of barasync.toml" {
    PODMAN_RULES=build_in_container try bar build_in_container
    assert_code 0
    assert_matches "$(call 2)" "'run' *'--' '-' 'build'"
    PODMAN_RULES=test_in_container try bar test_in_container words
    assert_matches "$(call 4)" "'run' *'--' '-' 'tests' 'words'"
}

@test "clean takes a barasync whose path has a blank" {
    mkdir "a b"
    printf '#!/bin/sh\necho "$@" >%q\n' "$PWD/called" >"a b/barasync"
    chmod +x "a b/barasync"
    PODMAN_BARASYNC="$PWD/a b/barasync" try bar clean
    assert_code 0
    assert_matches "$(<called)" "clean*"
}

@test "podman_check_deps loads the module for the rules that depend on it" {
    printf '%s\n' "rule t: podman_check_deps -- 'podman_get_native_arch'" >Barf
    ANSWER_STDOUT=amd64 try bar t
    assert_equal "$status $output" "0 amd64"
    assert_call 2 arch name
}

@test "podman_check_deps says why containers do not run here" {
    printf '%s\n' "rule t: podman_check_deps -- 'touch ran'" >Barf
    ANSWER_STDOUT=$'amd64 does not work: so\n' ANSWER_CODE=1 try bar t
    assert_code 1
    assert_matches "$stderr" "*amd64 does not work: so*"
    [[ ! -e ran ]] || fail "it ran"
}

@test "podman_check_deps says how to get barasync" {
    export PODMAN_BARASYNC=none-such
    run -127 --separate-stderr bar podman_check_deps
    assert_matches "$stderr" "*'none-such' is not installed: pipx install barasync*"
    assert_equal "$(grep --count 'not installed' <<<"$stderr")" 1
}

@test "podman_require_arch wants one architecture" {
    try bar podman_require_arch
    assert_refused 2 "podman_arch_available: *"
    try bar podman_require_arch a b
    assert_refused 2 "podman_arch_available: *"
    assert_equal "$(calls)" 0
}

@test "the rules that list print what barasync prints, and nothing else" {
    ANSWER_STDOUT=$'amd64\narm64\n' try bar podman_list_archs
    assert_equal "$status $output$stderr" $'0 amd64\narm64'
    assert_call 1 arch list --names
    ANSWER_STDOUT=$'one\n' try bar podman_list_networks
    assert_equal "$status $output$stderr" "0 one"
    assert_call 2 network list
}

@test "podman_setup_qemu passes on architectures" {
    try bar podman_setup_qemu arm64 riscv64
    assert_only_call arch setup -- arm64 riscv64
}

@test "is_qemu_available is found though no module is called qemu" {
    printf '%s\n' "rule t: 'is_qemu_available arm64' -- 'echo ran'" >Barf
    try bar t
    assert_equal "$status $output" "0 ran"
    assert_only_call arch list --names --emulated -- arm64
}

@test "a preset that rules depend on counts each time that one names it" {
    local networks=(isolated public isolated local private local public) number
    {
        for number in "${!networks[@]}"; do
            printf '%s\n' "rule r$number: podman_network_${networks[number]} -- 'podman_run image true'"
        done
        printf 'rule all_of_them: %s\n' "$(printf 'r%s ' "${!networks[@]}")"
    } >Barf
    try bar all_of_them
    assert_code 0
    assert_equal "$(calls)" "${#networks[@]}"
    for number in "${!networks[@]}"; do
        assert_matches "$(call "$((number + 1))")" "'run' *'--network=${networks[number]}' *"
    done
}

@test "a preset with a name is a rule as well, and fails as the function does" {
    printf '%s\n' "rule t: 'podman_network_local web' -- 'podman_run --network web image true'" >Barf
    try bar t
    assert_code 0
    assert_call 1 network create --preset=local -- web
    assert_matches "$(call 2)" "'run' *'--network=web' *"
    printf '%s\n' "rule t: 'podman_network_local a b' -- 'touch ran'" >Barf
    try bar t
    assert_refused 2 "podman_network_local: too many words*"
    assert_equal "$(grep --count 'in the rule' <<<"$stderr")" 0
    [[ ! -e ran ]] || fail "it ran"
}

@test "what defines options, firewalls and images counts each time that a rule depends on it" {
    cat >Barf <<'END'
declare -gA PODMAN_CONFIG_ONE=([env]=A=one) PODMAN_CONFIG_TWO=([env]=A=two)
rule run: -- 'podman_run "${PODMAN_CONFIG_OPTIONS[@]}" image true'
rule one: 'podman_config_load one' 'run 1'
rule two: 'podman_config_load two' 'run 2'
rule again: 'podman_config_load one' 'run 3'
rule configs: one two again
rule open: 'podman_firewall_config web' 'podman_firewall_allow_port web 80' -- 'podman_firewall_show web'
rule closed: 'podman_firewall_config web' -- 'podman_firewall_show web'
rule firewalls: open closed
rule first: 'podman_image_from base' 'podman_image_env A b' 'podman_image_tag first'
rule second: 'podman_image_from base' 'podman_image_env A b' 'podman_image_tag second'
rule images: first second
END
    try bar configs
    assert_code 0
    assert_matches "$(call 1)" "*A=one*"
    assert_matches "$(call 2)" "*A=two*"
    assert_matches "$(call 3)" "*A=one*"
    try bar firewalls
    assert_code 0
    assert_matches "$(call 4)" "*80*"
    assert_equal "$(grep --count 80 <<<"$(call 5)")" 0
    try bar images
    assert_code 0
    assert_matches "$(call 6)" "*'--tag=first' *.from=base' *.steps=env A=b'*"
    assert_matches "$(call 7)" "*'--tag=second' *.from=base' *.steps=env A=b'*"
}
