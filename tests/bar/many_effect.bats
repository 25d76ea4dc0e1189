#!/usr/bin/env bats
# Many containers at once: BASH_IMAGE and the bar of the project, BUSYBOX_ARM64 where another architecture counts.

load helper

setup() {
    project
    mkdir meet
}

# Writes the Barf that runs inside: `meet N NAME` ends when N have met in the volume /meet, and fails after a minute.
write_rules() {
    cat >Barf <<'END'
require podman
function meet
{
    local -i count=0
    : >"/meet/$2"
    while (($(ls /meet | wc -l) < $1)); do
        sleep 0.1
        ((++count < 600)) || return 1
    done
}
rule both: -- 'meet 2 "$BARASYNC_CELL"'
rule three: -- 'meet 3 "$BARASYNC_CELL"; echo "number $BARASYNC_REPEAT of ${1:-}"'
rule failing: -- 'meet 3 "$BARASYNC_CELL"; [ "$BARASYNC_REPEAT" != 2 ]'
rule lint: -- 'meet 2 "lint of $BARASYNC_CELL"'
rule unit: -- 'meet 2 "unit of $BARASYNC_CELL"'
rule broken: -- 'false'
END
}

# Makes the manifest list NAME of IMAGEs that are here: manifest_list NAME IMAGE…
manifest_list() {
    local image
    podman manifest create "$1"
    for image in "${@:2}"; do
        podman manifest add "$1" "containers-storage:$image"
    done
}

# Prints what became of the cells of the last run, one a line, sorted.
verdicts() {
    python3 -c '
import json
result = json.load(open(".barasync/runs/latest/result.json"))
for cell in result["cells"]:
    print(cell["id"], cell["status"])' | sort
}

@test "podman_matrix: a rule in each cell of architecture and array, all at once, with the array's settings" {
    manifest_list localhost/bar:both "$BUSYBOX_AMD64" "$BUSYBOX_ARM64"
    printf '%s\n' '[defaults]' 'command = ["sh", "{rule}", "{args}"]' >barasync.toml
    cat >meet.sh <<'END'
echo "$KIND on $(uname -m) with $1" >"/meet/$BARASYNC_CELL"
count=0
while [ "$(ls /meet | wc -l)" -lt 4 ]; do
    sleep 0.1
    count=$((count + 1))
    [ "$count" -lt 600 ] || exit 1
done
[ "$BARASYNC_CELL" != arm64-fast ]
END
    try in_rule 'declare -A PODMAN_CONFIG_FAST=([image]=localhost/bar:both [env]="KIND=quick, indeed" [volumes]="$PWD/meet:/meet")
        declare -A PODMAN_CONFIG_SMALL=([env]=KIND=little [volumes]="$PWD/meet:/meet")
        PODMAN_IMAGE=localhost/bar:both
        podman_matrix meet.sh --arch amd64,arm64 --config fast,small --jobs 4 "a word"'
    podman manifest rm localhost/bar:both >/dev/null
    assert_code 1
    assert_equal "$(grep -H "" meet/* | sort)" "$(printf '%s\n' 'meet/amd64-fast:quick, indeed on x86_64 with a word' \
        'meet/amd64-small:little on x86_64 with a word' 'meet/arm64-fast:quick, indeed on aarch64 with a word' \
        'meet/arm64-small:little on aarch64 with a word')"
    assert_equal "$(verdicts)" "$(printf '%s\n' 'amd64-fast passed' 'amd64-small passed' 'arm64-fast failed' 'arm64-small passed')"
}

@test "podman_run_parallel: a rule as often as wanted, in containers that are there at once" {
    write_rules
    cat >>Barf <<'END'
rule parallel: -- 'podman_run_parallel "$BASH_IMAGE" three --parallel 3 --volume "$PWD/meet:/meet" --output stream words'
rule one_fails: -- 'podman_run_parallel "$BASH_IMAGE" failing --parallel 3 --volume "$PWD/meet:/meet"'
END
    try bar parallel
    assert_code 0
    assert_equal "$(ls meet)" "$(printf '%s\n' "$NATIVE-1" "$NATIVE-2" "$NATIVE-3")"
    grep --quiet "number 3 of words" <<<"$output"
    rm meet/*
    try bar one_fails
    assert_code 1
    assert_equal "$(verdicts)" "$(printf '%s\n' "$NATIVE-1 passed" "$NATIVE-2 failed" "$NATIVE-3 passed")"
}

@test "podman_parallel: different rules at once, each in a container of its own" {
    write_rules
    cat >>Barf <<'END'
rule different: -- 'podman_parallel "$BASH_IMAGE" --jobs 2 --volume "$PWD/meet:/meet" lint unit'
rule one_broken: -- 'podman_parallel "$BASH_IMAGE" --jobs 2 --volume "$PWD/meet:/meet" broken lint unit'
END
    try bar different
    assert_code 0
    assert_equal "$(ls meet)" "$(printf '%s\n' "lint of $NATIVE-lint" "unit of $NATIVE-unit")"
    rm meet/*
    try bar one_broken
    assert_code 1
    assert_equal "$(verdicts)" "$(printf '%s\n' "$NATIVE-broken failed" "$NATIVE-lint passed" "$NATIVE-unit passed")"
}
