#!/usr/bin/env bats
# What comes out of containers, and what becomes of them.
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

@test "podman_artifact_mount: what a container writes to /artifacts is here" {
    podman_volume=$(in_rule 'podman_artifact_mount "out dir"')
    box 'echo written >/artifacts/file' --volume "$podman_volume"
    assert_equal "$(cat "out dir/file")" written
}

@test "podman_artifact_mount: podman_run takes it as --volume" {
    try in_rule 'podman_run "$1" --volume "$(podman_artifact_mount out)" sh -c "echo written >/artifacts/file"' "$BUSYBOX"
    assert_code 0
    assert_equal "$(cat out/file)" written
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
    until [[ $(podman logs "$box") == *ready* ]]; do :; done
    try in_rule 'podman_container_stop "$1" --grace 60' "$box"
    assert_code 0
    assert_equal "$(cat out/mark) $(state)" "terminated exited"
    podman rm "$box"
    box 'trap "" TERM; echo ready; sleep 600' --detach
    until [[ $(podman logs "$box") == *ready* ]]; do :; done
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

@test "podman_container_cleanup: without words what dead runs left is gone, and what goes on is not" {
    try in_rule 'podman_run --detach "$1" sleep 600' "$BUSYBOX"
    assert_code 0
    box=$output
    barasync run --network none "$BUSYBOX" -- sleep 600 &
    run=$!
    until left=$(podman ps --quiet --filter "name=^barasync-.*-1$" --filter status=running) && [[ -n $left ]]; do
        kill -0 "$run"
    done
    kill -KILL "$run"
    wait "$run" || true
    try in_rule podman_container_cleanup
    assert_code 0
    run ! podman container exists "$left"
    podman container exists "$box"
}
