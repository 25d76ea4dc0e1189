# What barasync is asked to run.

load helper

setup() {
    project
    record
}

@test "every option of podman_run is one of barasync's" {
    in_rule 'podman_run --timeout 5 --platform linux/arm64 --network public --volume a:/b -v c:/d:ro -e A=1 --env=B=2 \
        --artifact /a --artifacts-dir out --snapshot s:1 --cpus 0.5 --memory 64m -w /w --publish 80 -p 81:81/udp \
        --config release --pids 9 --workspace layer --copy a:/c --secret t=env:T --cache c:/c --cap-add NET_ADMIN \
        --retries 0 --pull never --keep-failed --allow-host-network --verbose image a b' </dev/null
    assert_only_call run --as=auto --config=release --timeout=5 --arch=linux/arm64 --network=public --volume=a:/b \
        --volume=c:/d:ro --env=A=1 --env=B=2 --artifact=/a --artifacts-dir=out --snapshot=s:1 --cpus=0.5 --memory=64m \
        --workdir=/w --publish=80 --publish=81:81/udp --pids=9 --workspace=layer --copy=a:/c --secret=t=env:T \
        --cache=c:/c --cap-add=NET_ADMIN --retries=0 --pull=never --keep-failed --allow-host-network --verbose \
        -- image a b
}

@test "options stand before or after the image, and end with the next word" {
    in_rule 'podman_run --arch arm64 image --timeout=5 tests --timeout 6 -x' </dev/null
    assert_only_call run --as=auto --stdin --arch=arm64 --timeout=5 -- image tests --timeout 6 -x
}

@test "after the image -- makes a command of what follows, before it only ends the options" {
    in_rule 'podman_run image --timeout 5 -- tests -- x; podman_run -- -image tests; podman_run -- image -- tests' </dev/null
    assert_call 1 run --as=command --stdin --timeout=5 -- image tests -- x
    assert_call 2 run --as=auto --stdin -- -image tests
    assert_call 3 run --as=command --stdin -- image tests
}

@test "stdin is passed on unless it is a terminal or unwanted" {
    in_rule 'podman_run image cat; podman_run --no-stdin image cat; podman_run --retries 2 image cat' </dev/null
    assert_call 1 run --as=auto --stdin -- image cat
    assert_call 2 run --as=auto -- image cat
    assert_call 3 run --as=auto --retries=2 -- image cat
    # script gives the rule a terminal as its stdin.
    echo 'require podman; rule t: -- "podman_run image cat"' >Barf
    echo | script --quiet --return --command './bar t' /dev/null
    assert_call 4 run --as=auto -- image cat
}

@test "what is detached is printed and kept in PODMAN_CONTAINER" {
    export ANSWER_STDOUT=$'barasync-1-amd64-1-detached\n'
    try in_rule 'podman_run --detach image >name; echo "$(<name) $PODMAN_CONTAINER"' </dev/null
    assert_equal "$output" "barasync-1-amd64-1-detached barasync-1-amd64-1-detached"
    assert_only_call run --as=auto --detach -- image
    try in_rule 'PODMAN_CONTAINER=before; own=$(podman_run --detach image); echo "$own $PODMAN_CONTAINER"' </dev/null
    assert_equal "$output" "barasync-1-amd64-1-detached before"
    ANSWER_STDOUT="" ANSWER_CODE=5 try in_rule 'PODMAN_CONTAINER=before; podman_run --detach image || echo "$? $PODMAN_CONTAINER"'
    assert_equal "$output" "5 before"
}

@test "a volume at /workspace takes the place of the project's files" {
    in_rule 'podman_run -v "$PWD:/workspace:z" image tests
        podman_run -v a:/workspace image tests
        podman_run -v a:/workspace --workspace layer -w /elsewhere image tests
        podman_run -v a:/workspace2 -v /workspace:/other image tests' </dev/null
    assert_call 1 run --as=auto --stdin "--volume=$PWD:/workspace:z" --workspace=none --workdir=/workspace -- image tests
    assert_call 2 run --as=auto --stdin --volume=a:/workspace --workspace=none --workdir=/workspace -- image tests
    assert_call 3 run --as=auto --stdin --volume=a:/workspace --workspace=layer --workdir=/elsewhere -- image tests
    assert_call 4 run --as=auto --stdin --volume=a:/workspace2 --volume=/workspace:/other -- image tests
}

@test "settings of the shell are what options leave open" {
    in_rule 'PODMAN_NETWORK=local; PODMAN_ARTIFACTS_DIR=out
        podman_run image x
        podman_run --network public image x
        podman_run --artifact /a image x
        podman_run --artifact /a --artifacts-dir here image x' </dev/null
    assert_call 1 run --as=auto --stdin --network=local -- image x
    assert_call 2 run --as=auto --stdin --network=public -- image x
    assert_call 3 run --as=auto --stdin --artifact=/a --network=local --artifacts-dir=out -- image x
    assert_call 4 run --as=auto --stdin --artifact=/a --artifacts-dir=here --network=local -- image x
}

@test "a firewall of the shell goes along where it is the network" {
    in_rule '_PODMAN_FIREWALL[web]=$'"'"'base=private\nallow=443/tcp\nallow=10.0.0.0/8'"'"'
        podman_run --network web image x
        podman_run --network other image x
        PODMAN_NETWORK=web
        podman_run image x' </dev/null
    assert_call 1 run --as=auto --stdin --network=web --define=network.web.base=private \
        --define=network.web.allow=443/tcp --define=network.web.allow=10.0.0.0/8 -- image x
    assert_call 2 run --as=auto --stdin --network=other -- image x
    assert_call 3 run --as=auto --stdin --network=web --define=network.web.base=private \
        --define=network.web.allow=443/tcp --define=network.web.allow=10.0.0.0/8 -- image x
}

@test "podman_run_arch takes the architecture first" {
    in_rule 'podman_run_arch arm64 image --timeout 5 tests -x; podman_run_arch arm64 image -- uname -m' </dev/null
    assert_call 1 run --as=auto --stdin --timeout=5 --arch=arm64 -- image tests -x
    assert_call 2 run --as=command --stdin --arch=arm64 -- image uname -m
}

@test "podman_run_limited has options after the rule as well, until a word or --" {
    in_rule 'podman_run_limited image tests --cpus 1 --memory 64m --timeout 5 unit --cpus 2
        podman_run_limited image tests --cpus 1 -- --memory x
        podman_run_limited image --cpus 1 -- tests --memory x' </dev/null
    assert_call 1 run --as=auto --stdin --cpus=1 --memory=64m --timeout=5 -- image tests unit --cpus 2
    assert_call 2 run --as=auto --stdin --cpus=1 -- image tests --memory x
    assert_call 3 run --as=command --stdin --cpus=1 -- image tests --memory x
}

@test "podman_run_with_artifacts makes its directory and notes what is in it" {
    ANSWER_CODE=3 BAR_VERBOSITY_LEVEL=3 try in_rule 'touch x; mkdir "o u t"; touch "o u t/a b"
        podman_run_with_artifacts image build "o u t" --release || echo "$?"
        podman_run_with_artifacts image build new/dir' </dev/null
    assert_equal "$output" 3
    assert_call 1 run --as=auto --stdin "--volume=$PWD/o u t:/artifacts:z" -- image build --release
    assert_call 2 run --as=auto --stdin "--volume=$PWD/new/dir:/artifacts:z" -- image build
    assert_matches "$stderr" "*note: in $PWD/o u t: 'a b'*"
    try in_rule 'podman_run_with_artifacts image build x || echo "$?"'
    assert_equal "$output" 1
    assert_matches "$stderr" "*ERROR:*no directory 'x' can be made"
    try in_rule 'podman_run_with_artifacts image build a:b'
    assert_refused 2 "podman_run_with_artifacts: the name of a volume has no ':', as 'a:b' has"
    assert_equal "$(calls)" 2
}

@test "podman_run_with_artifacts has the options of podman_run, before the rule" {
    in_rule 'podman_run_with_artifacts --timeout 300 image --cpus=1 build out --timeout 5
        podman_run_with_artifacts image -- make out -- x' </dev/null
    assert_call 1 run --as=auto --stdin --timeout=300 --cpus=1 "--volume=$PWD/out:/artifacts:z" -- image build --timeout 5
    assert_call 2 run --as=command --stdin "--volume=$PWD/out:/artifacts:z" -- image make -- x
    try in_rule 'podman_run_with_artifacts --tmieout 300 image build out2'
    assert_refused 2 "podman_run_with_artifacts: unknown option '--tmieout'"
    try in_rule 'podman_run_with_artifacts image build --timeout 300 out2'
    assert_refused 2 "podman_run_with_artifacts: options stand before the rule, and a directory '--timeout' is written './--timeout'"
    try in_rule 'podman_run_with_artifacts --timeout 300 image build'
    assert_refused 2 "podman_run_with_artifacts: too few words"
    assert_equal "$(ls)" "$(printf '%s\n' Bar.d Barf bar out)"
    assert_equal "$(calls)" 2
}

@test "podman_exec executes what follows the container and its options" {
    in_rule 'podman_exec c -e A=1 --user nobody -w /w --no-stdin ls -l; podman_exec c -- -x'
    assert_call 1 container exec --env=A=1 --user=nobody --workdir=/w --no-stdin -- c ls -l
    assert_call 2 container exec -- c -x
}

@test "podman_shell opens a cell or an image" {
    in_rule 'PODMAN_NETWORK=local; podman_shell amd64-release; podman_shell image --arch arm64 --no-stdin -- sh -c "a b"'
    assert_call 1 shell --network=local -- amd64-release
    assert_call 2 shell --arch=arm64 --no-stdin --network=local -- image sh -c 'a b'
}

@test "an IFS of the rule's own changes no call" {
    local ifs
    for ifs in "\$'\\n'" "," ":" "" "e" 0; do
        try in_rule "local IFS=$ifs"'
            podman_run --timeout 5 -e A=1 image tests "a b,c"
            declare -A PODMAN_CONFIG_FAST=([image]=image [rule]="tests --quick" [env]="A=1,B=2")
            podman_run_with_config fast
            podman_firewall_config web
            podman_firewall_allow_network web "10.0.0.0/8 443/tcp 53/udp"
            podman_run --network web image
            podman_run_background image "a b" c
            podman_matrix tests --arch amd64,arm64 --config fast' </dev/null
        assert_code 0
        assert_equal "$stderr" ""
        assert_call 1 run --as=auto --stdin --timeout=5 --env=A=1 -- image tests 'a b,c'
        grep --null-data --quiet --line-regexp --regexp=--quick "$RECORD/2/argv"
        grep --null-data --quiet --line-regexp --regexp='--define=network.web.allow=10.0.0.0/8 443/tcp 53/udp' "$RECORD/3/argv"
        assert_call 4 run "--background=$PWD image a%20b c" --waiter=podman_run_background_wait --as=auto -- image 'a b' c
        grep --null-data --quiet --line-regexp --regexp=--arch=amd64,arm64 "$RECORD/5/argv"
        grep --null-data --quiet --line-regexp --regexp=--config=fast "$RECORD/5/argv"
        rm -r "$RECORD" && mkdir "$RECORD"
        try in_rule "local IFS=$ifs"'; podman_network_exists a b'
        assert_code 2
        assert_matches "$stderr" "*ERROR: *podman_network_exists: too many words, 'a' 'b'; usage: podman_network_exists <network>*"
    done
}

@test "what is in a directory of artifacts is said whatever a pattern means" {
    local option
    for option in nullglob failglob dotglob; do
        try in_rule "shopt -s $option"'; podman_run_with_artifacts image build empty' </dev/null
        assert_code 0
        assert_equal "$stderr" ""
        try in_rule "shopt -s $option"'; mkdir -p full; touch full/{b,a,.c}; podman_run_with_artifacts image build full' </dev/null
        assert_equal "$stderr" "note: in $PWD/full: 'a' 'b'"
    done
}
