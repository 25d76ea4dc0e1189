#!/usr/bin/env bats
# What runs, where, with what limit, and what comes back: BASH_IMAGE, BUSYBOX, BUSYBOX_ARM64, PUBLIC_HOST, PRIVATE_HOST.

load helper

teardown() {
    # The network of one that went on is left to clean.
    if [[ $(podman ps --all --quiet) ]]; then
        podman rm --all --force >/dev/null
        barasync clean >/dev/null
    fi
    podman rmi --force localhost/bar-run:snapshot localhost/bar-run:with-bar >/dev/null 2>&1 || true
}

# The limit of this container in NAME of cgroup v1, else NAME of v2, is what `limit NAME NAME` executes inside.
limit() {
    printf 'cat /sys/fs/cgroup/%s 2>/dev/null || cat /sys/fs/cgroup/%s' "$1" "$2"
}

@test "podman_run: output, exit code and words are those of the command" {
    try in_rule 'podman_run "$BUSYBOX" sh -c "printf \"<%s>\" \"\$@\"; echo err >&2; exit 7" x "a  b" "" "*" "\$HOME"'
    assert_code 7
    assert_equal "$output" '<a  b><><*><$HOME>'
    # What dead runs left there is noted beside it.
    grep --line-regexp err <<<"$stderr"
    try in_rule 'podman_run "$BUSYBOX" -- /none || echo "$?"; podman_run "$BUSYBOX" -- /etc || echo "$?"'
    assert_equal "$output" $'127\n126'
}

@test "podman_run: an image that is not there is 5" {
    try in_rule 'podman_run --pull never localhost/none:0 true || echo "$?"'
    assert_equal "$output" 5
    assert_matches "$stderr" "*localhost/none:0*"
}

@test "podman_run: stdin goes to the command to its end, each byte of output comes back" {
    seq 100000 >lines
    try in_rule 'podman_run "$BUSYBOX" wc -l <lines'
    assert_equal "$output" 100000
    head -c 3000000 /dev/urandom >bytes
    in_rule 'podman_run "$BUSYBOX" cat <bytes >copied'
    cmp bytes copied
    try in_rule 'while read -r line; do podman_run --no-stdin "$BUSYBOX" echo "$line"; done < <(seq 2)'
    assert_equal "$output" $'1\n2'
}

@test "podman_run: its output may be taken into a variable, and read by what leaves before the end" {
    try in_rule 'x=$(podman_run "$BUSYBOX" seq 3) && echo "<$x>"
        podman_run "$BUSYBOX" -- yes | head -n 1
        echo "${PIPESTATUS[0]}"
        podman_run "$BUSYBOX" --no-stdin -- yes | head -n 1
        echo "${PIPESTATUS[0]}"'
    assert_code 0
    assert_equal "$output" $'<1\n2\n3>\ny\n141\ny\n141'
    assert_equal "$(podman ps --all --quiet)" ""
}

@test "podman_run: --timeout ends the command with 124 and nothing is left" {
    try in_rule 'podman_run --timeout 1 "$BUSYBOX" sleep 300 || echo "$?"'
    assert_equal "$output" 124
    assert_equal "$(podman ps --all --quiet)" ""
}

@test "podman_run: --platform is that of the container" {
    try in_rule 'podman_run --platform linux/arm64 "$BUSYBOX_ARM64" uname -m; podman_run "$BUSYBOX" --platform "$NATIVE" uname -m'
    assert_code 0
    assert_equal "$output" "aarch64"$'\n'"$(uname -m)"
}

@test "podman_run: --network decides which packets leave, PODMAN_NETWORK where it is not given" {
    try in_rule 'reaches() { podman_run "$@" >/dev/null 2>&1 && echo yes || echo no; }
        reaches --network public "$BUSYBOX" nc -w 60 "$PUBLIC_HOST" 80 </dev/null
        reaches --network public "$BUSYBOX" nc -w 60 "$PRIVATE_HOST" 80 </dev/null
        reaches "$BUSYBOX" nc -w 60 "$PUBLIC_HOST" 80 </dev/null
        reaches "$BUSYBOX" nc -w 60 "$PRIVATE_HOST" 80 </dev/null
        PODMAN_NETWORK=public
        reaches "$BUSYBOX" nc -w 60 "$PUBLIC_HOST" 80 </dev/null
        podman_run --network isolated "$BUSYBOX" ls /sys/class/net'
    assert_code 0
    assert_equal "$output" $'yes\nno\nno\nyes\nyes\nlo'
}

@test "podman_run: --volume is a directory of here" {
    mkdir "a b"
    echo here >"a b/file"
    try in_rule 'podman_run --volume "$PWD/a b:/data" "$BUSYBOX" sh -c "cat /data/file; echo there >/data/new"'
    assert_equal "$output" here
    assert_equal "$(<"a b/new")" there
    # One at /workspace takes the place of the project's files there.
    try in_rule 'podman_run --volume "$PWD/a b:/workspace:z" "$BUSYBOX" sh -c "pwd; ls"'
    assert_equal "$output" $'/workspace\nfile\nnew'
}

@test "podman_run: --env is the variable's bytes" {
    try in_rule 'podman_run -e "A=x  \"y\" \$HOME
*" --env=B= "$BUSYBOX" sh -c "printf \"<%s><%s>\" \"\$A\" \"\${B-unset}\""'
    assert_equal "$output" $'<x  "y" $HOME\n*><>'
}

@test "podman_run: --workdir is where the command begins, /workspace with the project's files without it" {
    echo source >file
    try in_rule 'podman_run --workdir /etc "$BUSYBOX" pwd; podman_run "$BUSYBOX" sh -c "pwd; cat file; echo changed >file"'
    assert_equal "$output" $'/etc\n/workspace\nsource'
    assert_equal "$(<file)" source
}

@test "podman_run: --artifact comes back, after a failure too" {
    try in_rule 'podman_run --artifact "/out" --artifacts-dir got "$BUSYBOX" sh -c "mkdir /out; echo made >\"/out/a b\"; exit 3" || echo "$?"
        PODMAN_ARTIFACTS_DIR=elsewhere
        podman_run --artifact /out "$BUSYBOX" sh -c "mkdir /out; echo again >/out/c"'
    assert_equal "$output" 3
    assert_equal "$(cat "$(find got -name 'a b')")" made
    assert_equal "$(cat "$(find elsewhere -name c)")" again
}

@test "podman_run: --snapshot is an image of what the command left" {
    try in_rule 'podman_run --snapshot localhost/bar-run:snapshot "$BUSYBOX" sh -c "echo kept >/kept"
        podman_run localhost/bar-run:snapshot cat /kept'
    assert_code 0
    assert_equal "$output" kept
}

@test "podman_run: --memory and --cpus are the container's" {
    try in_rule 'podman_run --memory 64m --cpus 0.5 "$BUSYBOX" sh -c "$1; $2"' \
        "$(limit memory/memory.limit_in_bytes memory.max)" "$(limit cpu/cpu.cfs_quota_us cpu.max)"
    assert_code 0
    assert_matches "$output" $'67108864\n50000*'
}

@test "podman_run: --detach goes on, and PODMAN_CONTAINER is its name" {
    try in_rule 'podman_run --detach "$BUSYBOX" sleep 300 >first &&
        podman_run --detach "$BUSYBOX" sleep 300 >name && echo "$PODMAN_CONTAINER" &&
        own=$(podman_run --detach "$BUSYBOX" sleep 300) && echo "$PODMAN_CONTAINER" && echo "$own"'
    assert_code 0
    mapfile -t names <<<"$output"
    assert_equal "${names[*]:0:2}" "$(<name) $(<name)"
    [[ $(<first) != "$(<name)" && ${names[2]} != "$(<name)" ]]
    assert_equal "$(podman inspect --format '{{.State.Status}}' "$(<name)" "${names[2]}")" $'running\nrunning'
}

@test "podman_run: a word is a rule of the bar of the project, a program of the image, or after -- a command" {
    printf '%s\n' 'require podman' 'rule greet: -- '"'"'echo "rule $1"'"'" 'rule ls: -- "echo never"' \
        'rule outside: -- '"'"'podman_run "$BASH_IMAGE" greet "a b"; podman_run "$BASH_IMAGE" ls Barf
        podman_run "$BASH_IMAGE" -- greet || echo "$?"'"'" >Barf
    try bar outside
    assert_equal "$output" $'rule a b\nBarf\n127'
}

@test "podman_run: the bar of the image is called where the project has none" {
    mkdir -p image elsewhere
    printf '#!/bin/bash\necho "bar of the image: $*"\n' >image/bar
    chmod +x image/bar
    try in_rule 'podman_run --copy image/bar:/usr/local/bin/bar --snapshot localhost/bar-run:with-bar "$BASH_IMAGE" -- true
        cd elsewhere && podman_run localhost/bar-run:with-bar greet "a b"'
    assert_code 0
    assert_equal "$output" "bar of the image: greet a b"
}

@test "podman_run_arch: the architecture is the first word" {
    try in_rule 'podman_run_arch arm64 "$BUSYBOX_ARM64" uname -m'
    assert_code 0
    assert_equal "$output" aarch64
}

@test "podman_run_limited: limits after the rule are the container's" {
    try in_rule 'podman_run_limited "$BUSYBOX" sh --memory 64m --cpus 0.5 -c "$1; $2"' \
        "$(limit memory/memory.limit_in_bytes memory.max)" "$(limit cpu/cpu.cfs_quota_us cpu.max)"
    assert_refused 2 "unknown option '-c'"
    try in_rule 'podman_run_limited "$BUSYBOX" sh --memory 64m --cpus 0.5 -- -c "$1; $2"' \
        "$(limit memory/memory.limit_in_bytes memory.max)" "$(limit cpu/cpu.cfs_quota_us cpu.max)"
    assert_matches "$output" $'67108864\n50000*'
    try in_rule 'podman_run_limited "$BUSYBOX" tail --memory 64m /dev/zero || echo "$?"'
    assert_equal "$output" 137
    try in_rule 'podman_run_limited "$BUSYBOX" sleep --timeout 1 300 || echo "$?"'
    assert_equal "$output" 124
}

@test "podman_run_with_artifacts: what is written to /artifacts is here, also when it failed" {
    BAR_VERBOSITY_LEVEL=3 try in_rule \
        'podman_run_with_artifacts "$BUSYBOX" sh "o u t" -c "echo made >\"/artifacts/a b\"; exit 3" || echo "$?"'
    assert_equal "$output" 3
    assert_equal "$(<"o u t/a b")" made
    assert_matches "$stderr" "*note: in *'a b'*"
}

@test "podman_exec: a command in a running container, with its stdin, environment and code" {
    try in_rule 'podman_run --detach "$BUSYBOX" sleep 300 >/dev/null || exit
        echo "through a pipe" | podman_exec "$PODMAN_CONTAINER" -e "A=x y" -w /etc sh -c "cat; pwd; echo \$A >/written; exit 7" || echo "$?"
        podman_exec "$PODMAN_CONTAINER" cat /written'
    assert_code 0
    assert_equal "$output" $'through a pipe\n/etc\n7\nx y'
    try in_rule 'podman_exec no-such-container true'
    assert_code 2
    assert_matches "$stderr" "*no-such-container*"
}

@test "podman_shell: it executes what comes through a pipe" {
    try in_rule 'echo "echo \$((6*7)); exit 3" | podman_shell "$BUSYBOX" || echo "$?"
        echo "a b" | podman_shell "$BUSYBOX" --workdir /etc -- sh -c "cat; pwd"'
    assert_code 0
    assert_equal "$output" $'42\n3\na b\n/etc'
}

@test "podman_shell: at a terminal it has one" {
    printf '%s\n' 'require podman' 'rule t: -- '"'"'podman_shell "$BUSYBOX" -- sh -c "tty; exit 5"'"'" >Barf
    run script --quiet --return --command './bar t' /dev/null
    assert_code 5
    assert_matches "$output" "*/dev/pts/*"
}
