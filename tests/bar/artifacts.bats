#!/usr/bin/env bats
# What the functions for artifacts and containers ask of barasync, and what they refuse before.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    record
}

@test "a directory for artifacts is made, once and again" {
    try in_rule 'podman_artifact_dir "a b/c" && podman_artifact_dir "a b/c"'
    assert_code 0
    assert_equal "$output" $'a b/c\na b/c'
    [[ -d "a b/c" ]]
}

@test "a directory without a name is a new one each time" {
    try in_rule 'podman_artifact_dir && podman_artifact_dir'
    assert_code 0
    local directories
    mapfile -t directories <<<"$output"
    assert_equal "${#directories[@]}" 2
    [[ -d ${directories[0]} && -d ${directories[1]} && ${directories[0]} != "${directories[1]}" ]]
    assert_matches "${directories[0]}" "$TMPDIR/*"
}

@test "where a file is there is no directory" {
    : >file
    try in_rule 'podman_artifact_dir file'
    assert_refused 1 "podman_artifact_dir: *file*"
    try in_rule 'podman_artifact_mount file/below'
    assert_refused 1 "podman_artifact_mount: *file*"
    [[ -f file ]]
}

@test "a directory is mounted by its absolute path" {
    try in_rule 'podman_artifact_mount out && podman_artifact_mount "$PWD/other dir"'
    assert_code 0
    assert_equal "$output" "$PWD/out:/artifacts:z"$'\n'"$PWD/other dir:/artifacts:z"
    [[ -d out && -d "other dir" ]]
}

@test "files are fetched, replacing what was there" {
    try in_rule '
        podman_artifact_fetch box /out/app "to here/"
        podman_artifact_extract_all box out
        podman_artifact_extract_all box out/
        podman_artifact_fetch_tarball box /out.tar.gz out'
    assert_code 0
    assert_call 1 artifact fetch --replace -- box /out/app "to here/"
    assert_call 2 artifact fetch --replace -- box /artifacts/. out/
    assert_call 3 artifact fetch --replace -- box /artifacts/. out/
    assert_call 4 artifact fetch --unpack -- box /out.tar.gz out
}

@test "a container is exported to a file or to stdout" {
    export ANSWER_STDOUT=bytes
    try in_rule 'podman_container_export box; podman_container_export box "all of it.tar"'
    assert_code 0
    assert_equal "$output" bytesbytes
    assert_call 1 container export -- box
    assert_call 2 container export -- box "all of it.tar"
}

@test "containers are listed, ended and removed" {
    try in_rule '
        podman_container_list
        podman_container_list --all --run 7 --cell=amd64 --state exited --json --names
        podman_container_stop one two --grace 3
        podman_container_cleanup one two
        podman_container_cleanup --dead'
    assert_code 0
    assert_call 1 container list
    assert_call 2 container list --all --run=7 --cell=amd64 --state=exited --json --names
    assert_call 3 container stop --grace=3 -- one two
    assert_call 4 container remove --force -- one two
    assert_call 5 clean
}

@test "a loop keeps its lines" {
    try in_rule 'printf "%s\n" a b c | while read -r name; do podman_container_stop "$name"; done'
    assert_code 0
    assert_equal "$(calls)" 3
    assert_call 3 container stop -- c
    assert_equal "$(cat "$RECORD"/*/stdin)" ""
}

@test "all of it works at the top level of a Barf too" {
    try at_top '
        podman_artifact_dir a; podman_artifact_mount b; podman_artifact_fetch box /a a
        podman_artifact_extract_all box a; podman_artifact_fetch_tarball box /t a; podman_container_export box f
        podman_container_list; podman_container_stop box; podman_container_cleanup box; podman_container_cleanup --dead'
    assert_code 0
    assert_equal "$(calls)" 8
}

# refuse CALL PATTERN: it ends with 2 and one line, and barasync is not called
refuse() {
    try in_rule "$1"
    assert_refused 2 "$2"
    assert_equal "$(calls)" 0
}

@test "words that are missing, too many or unknown are refused" {
    refuse 'podman_artifact_dir a b' 'podman_artifact_dir: too many words*; usage: podman_artifact_dir'
    refuse 'podman_artifact_dir ""' 'an empty word'
    refuse 'podman_artifact_dir --what' 'unknown option'
    refuse 'podman_artifact_mount' 'too few words'
    refuse 'podman_artifact_mount a:b' "cannot have ':' in its path"
    refuse 'podman_artifact_fetch box /a' 'too few words'
    refuse 'podman_artifact_fetch box /a b c' 'too many words'
    refuse 'podman_artifact_fetch "" /a b' 'an empty word'
    refuse 'podman_artifact_extract_all box' 'too few words'
    refuse 'podman_artifact_extract_all box ""' 'an empty word'
    refuse 'podman_artifact_fetch_tarball box /a' 'too few words'
    refuse 'podman_container_export' 'too few words'
    refuse 'podman_container_export a b c' 'too many words'
    refuse 'podman_container_list box' 'too many words'
    refuse 'podman_container_list --state' 'needs a value'
    refuse 'podman_container_list --what' 'unknown option*--state*--names'
    refuse 'podman_container_stop' 'too few words'
    refuse 'podman_container_stop box --grace' 'needs a value'
    refuse 'podman_container_stop --force box' 'unknown option'
    refuse 'podman_container_cleanup ""' 'an empty word'
    refuse 'podman_container_cleanup --all' 'unknown option'
    refuse 'podman_container_cleanup' "which containers? '--dead' stands for what dead runs have left; usage: podman_container_cleanup [--dead]"
    refuse 'declare -a none=(); podman_container_cleanup "${none[@]}"' 'which containers?'
    refuse 'podman_container_cleanup box --dead' '--dead is for no container by its name'
}
