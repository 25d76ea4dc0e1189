#!/usr/bin/env bats
# Configurations as what runs has them: BUSYBOX, and BASH_IMAGE with the bar of the project.

load helper

@test "podman_run_with_config: an array's limits, variables and volumes are those of the container" {
    mkdir data
    echo here >data/file
    try in_rule 'declare -A PODMAN_CONFIG_SMALL=([image]=$BUSYBOX [memory]=64m [volumes]="$PWD/data:/data:ro,z"
            [env]="A=1,2,B=x y" [network]=isolated)
        podman_run_with_config small sh -c "
            cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max
            echo \"\$A \$B\"; cat /data/file; touch /data/new 2>/dev/null || echo read-only; ls /sys/class/net"'
    assert_code 0
    assert_equal "$output" $'67108864\n1,2 x y\nhere\nread-only\nlo'
    try in_rule 'declare -A PODMAN_CONFIG_SHORT=([image]=$BUSYBOX [timeout]=1); podman_run_with_config short sleep 300 || echo "$?"'
    assert_equal "$output" 124
}

@test "podman_run_with_config: the rule of an array, with arguments, or another one" {
    printf '%s\n' 'require podman' 'rule greet: -- '"'"'echo "hello $*"'"'" 'rule other: -- '"'"'echo "other $*"'"'" \
        'declare -gA PODMAN_CONFIG_A=([image]=${BASH_IMAGE:-} [rule]=greet)' \
        'rule outside: -- '"'"'podman_run_with_config a; podman_run_with_config a -v "x y"; podman_run_with_config a other z'"'" >Barf
    try bar outside
    assert_code 0
    assert_equal "$output" $'hello \nhello -v x y\nother z'
}

@test "podman_run_with_config: a configuration of barasync.toml with its image and variables" {
    printf '%s\n' '[config.quick]' "image = '$BUSYBOX'" 'env = { KIND = "quick one" }' >barasync.toml
    try in_rule 'podman_run_with_config quick -- sh -c "echo \$KIND"'
    assert_code 0
    assert_equal "$output" "quick one"
    try in_rule 'podman_run_with_config quikc -- true'
    assert_code 2
    assert_matches "$stderr" "*quikc*"
}

@test "podman_config_load: podman_run has what was loaded" {
    try in_rule 'declare -A PODMAN_CONFIG_A=([image]=unused [env]="A=x y" [timeout]=1)
        podman_config_load a && podman_run "${PODMAN_CONFIG_OPTIONS[@]}" "$BUSYBOX" sh -c "echo \$A; sleep 300" || echo "$?"'
    assert_equal "$output" $'x y\n124'
}
