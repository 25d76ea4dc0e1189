#!/usr/bin/env bats
# The images that tests of effect stand on.

load helper

@test "the image with bash runs a Barf under the bar of the project" {
    printf '%s\n' "rule t: -- 'echo \"<\$1>\"'" >Barf
    run --separate-stderr barasync run --workspace layer "$BASH_IMAGE" -- ./bar t 'a b'
    assert_equal "$status $output" "0 <a b>"
}

@test "podman here is that of the service" {
    assert_equal "$(podman version --format '{{.Server.Version}}')" "${SERVICE_VERSION%%-*}"
}
