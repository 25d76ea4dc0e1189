#!/usr/bin/env bats
# What comes out of containers, and what becomes of them. On the whole_host: a run is killed,
# and what it has left is cleaned away.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    box=barasync-test-$BATS_TEST_NUMBER
}

teardown() {
    podman rm --force --time 0 --volumes "$box" >/dev/null 2>&1 || true
    barasync clean >/dev/null
}

# Starts the container that a test is about, which executes SCRIPT and ends, or sleeps: box SCRIPT
box() {
    podman run --name "$box" "${@:2}" "$BUSYBOX" sh -c "$1"
}

state() {
    podman container inspect --format '{{.State.Status}}' "$box"
}

is_ready() {
    [[ $(podman logs "$box") == *ready* ]]
}

# Whether a cell of a run runs; its container is `left` then.
has_a_cell() {
    left=$(podman ps --quiet --filter "name=^barasync-.*-1$" --filter status=running) && [[ -n $left ]]
}

@test "podman_artifact_dir: is a directory, and files of a container come there" {
    box 'mkdir /out && echo one >/out/a'
    try in_rule 'podman_artifact_fetch "$1" /out/a "$(podman_artifact_dir "to here")/"' "$box"
    assert_code 0
    assert_equal "$(cat "to here/a")" one
}

@test "podman_artifact_mount: what a container writes to /artifacts is here" {
    podman_volume=$(in_rule 'podman_artifact_mount "out dir"')
    box 'echo written >/artifacts/file' --volume "$podman_volume"
    assert_equal "$(cat "out dir/file")" written
}

@test "podman_artifact_mount: podman_run takes it as --volume" {
    try in_rule 'podman_run --no-stdin "$1" --volume "$(podman_artifact_mount out)" sh -c "echo written >/artifacts/file"' "$BUSYBOX"
    assert_code 0
    assert_equal "$(cat out/file)" written
}

@test "podman_artifact_fetch: a file arrives, and again in the place of the old one" {
    box 'mkdir /out && echo new >"/out/a b"'
    echo old >got
    try in_rule 'podman_artifact_fetch "$1" "/out/a b" got' "$box"
    assert_code 0
    assert_equal "$(cat got)" new
    try in_rule 'podman_artifact_fetch "$1" "/out/a b" got' "$box"
    assert_code 0
    assert_equal "$(cat got)" new
}

@test "podman_artifact_fetch: a directory replaces the old one whole, without links that lead out" {
    box 'mkdir -p /out/sub && seq 100000 >/out/sub/numbers && ln -s ../../etc/passwd /out/evil && ln -s sub/numbers /out/good'
    mkdir -p got/out && echo old >got/out/stale
    try in_rule 'podman_artifact_fetch "$1" /out got/' "$box"
    assert_code 0
    assert_equal "$(sha256sum <got/out/sub/numbers)" "$(seq 100000 | sha256sum)"
    cmp got/out/good got/out/sub/numbers
    [[ ! -e got/out/stale && ! -L got/out/evil ]]
    assert_matches "$stderr" "*evil*"
}

@test "podman_artifact_fetch: what is not there is an error and changes nothing" {
    box true
    echo old >got
    try in_rule 'podman_artifact_fetch "$1" /nothing got' "$box"
    assert_code 1
    assert_equal "$(cat got)" old
    try in_rule 'podman_artifact_fetch "$1" relative got' "$box"
    assert_code 2
}

@test "podman_artifact_extract_all: all of /artifacts is in the directory itself" {
    box 'mkdir -p /artifacts/sub && echo 1 >/artifacts/a && echo 2 >/artifacts/sub/.b'
    try in_rule 'podman_artifact_extract_all "$1" out' "$box"
    assert_code 0
    assert_equal "$(cat out/a out/sub/.b)" $'1\n2'
    [[ ! -e out/artifacts ]]
}

@test "podman_artifact_fetch_tarball: the members of an archive arrive" {
    box 'mkdir /w && cd /w && seq 1000 >numbers && tar -cf /plain.tar numbers && gzip -c /plain.tar >/plain.tar.gz'
    try in_rule 'podman_artifact_fetch_tarball "$1" /plain.tar plain && podman_artifact_fetch_tarball "$1" /plain.tar.gz packed' "$box"
    assert_code 0
    assert_equal "$(sha256sum <plain/numbers)" "$(seq 1000 | sha256sum)"
    assert_equal "$(sha256sum <packed/numbers)" "$(seq 1000 | sha256sum)"
}

@test "podman_artifact_fetch_tarball: a member that leads out is left out and named" {
    mkdir in to
    echo good >in/good
    echo evil >evil
    tar --create --absolute-names --file evil.tar --directory in good ../evil
    rm evil
    podman create --name "$box" "$BUSYBOX" true
    podman cp evil.tar "$box:/evil.tar"
    try in_rule 'podman_artifact_fetch_tarball "$1" /evil.tar to/out' "$box"
    assert_equal "$(cat to/out/good)" good
    assert_matches "$stderr" "*../evil*"
    [[ ! -e to/evil && ! -e to/out/evil ]]
}

@test "podman_artifact_fetch_tarball: what is no archive is an error and changes nothing" {
    box 'seq 1000 >/no.tar'
    mkdir out && echo old >out/file
    try in_rule 'podman_artifact_fetch_tarball "$1" /no.tar out' "$box"
    assert_code 1
    assert_equal "$(ls -A out) $(cat out/file)" "file old"
}

@test "podman_container_export: the archive has the container's files, to a file and to stdout" {
    box 'echo exported >/mark'
    try in_rule 'podman_container_export "$1" all.tar' "$box"
    assert_code 0
    assert_equal "$(tar --extract --to-stdout --file all.tar mark)" exported
    assert_equal "$(in_rule 'podman_container_export "$1"' "$box" 2>/dev/null | tar --extract --to-stdout mark)" exported
}

@test "podman_container_export: of a container that is not there nothing is written" {
    try in_rule 'podman_container_export no-such-container all.tar'
    assert_code 2
    [[ ! -e all.tar ]]
}

@test "podman_container_list: a container that was detached is listed, by its state" {
    try in_rule '
        podman_run --detach "$1" sleep 600 && podman_container_list --names &&
            podman_container_list --names --state exited' "$BUSYBOX"
    assert_code 0
    names=$output
    box=${output%%$'\n'*}
    assert_equal "$names" "$box"$'\n'"$box"
    podman kill "$box"
    podman wait "$box"
    try in_rule 'podman_container_list --names --state exited'
    assert_code 0
    assert_equal "$output" "$box"
}

@test "podman_container_list: those of others are there with --all" {
    box true
    try in_rule 'podman_container_list --names'
    assert_equal "$output" ""
    try in_rule 'podman_container_list --all --names'
    assert_code 0
    assert_equal "$(grep --line-regexp --fixed-strings "$box" <<<"$output")" "$box"
}

@test "podman_container_stop: SIGTERM comes first, and a container that ignores it is killed" {
    mkdir out
    box 'trap "echo terminated >/out/mark; exit 3" TERM; echo ready; while :; do sleep 0.1; done' \
        --detach --volume "$PWD/out:/out"
    eventually is_ready
    try in_rule 'podman_container_stop "$1" --grace 60' "$box"
    assert_code 0
    assert_equal "$(cat out/mark) $(state)" "terminated exited"
    podman rm "$box"
    box 'trap "" TERM; echo ready; sleep 600' --detach
    eventually is_ready
    try in_rule 'podman_container_stop --grace 0 "$1"' "$box"
    assert_code 0
    assert_equal "$(state)" exited
}

@test "podman_container_cleanup: a running container is gone with its volume" {
    box 'sleep 600' --detach --volume /data
    volume=$(podman container inspect --format '{{(index .Mounts 0).Name}}' "$box")
    try in_rule 'podman_container_cleanup "$1"' "$box"
    assert_code 0
    run ! podman container exists "$box"
    run ! podman volume exists "$volume"
    try in_rule 'podman_container_cleanup "$1"' "$box"
    assert_code 2
}

@test "podman_container_cleanup: with --dead what dead runs left is gone, and what goes on is not" {
    try in_rule 'podman_run --detach "$1" sleep 600' "$BUSYBOX"
    assert_code 0
    box=$output
    barasync run --network none "$BUSYBOX" -- sleep 600 &
    run=$!
    eventually has_a_cell
    kill -KILL "$run"
    wait "$run" || true
    try in_rule 'podman_container_cleanup --dead'
    assert_code 0
    run ! podman container exists "$left"
    podman container exists "$box"
}
