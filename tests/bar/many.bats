# What barasync is asked to run in many containers.

load helper

setup() {
    project
    record
}

@test "podman_matrix passes its options on, the arguments of the rule stay" {
    in_rule 'podman_matrix tests --arch amd64,arm64 --config debug,release --jobs 2 --select "a*" --exclude b --fail-fast \
        --output stream --report html=r.html --plan --json --repeat 3 --deadline 9 --keep-failed --retries 1 --image i \
        --timeout 5 -e A=1 unit --arch x'
    assert_only_call matrix --arch=amd64,arm64 --jobs=2 '--select=a*' --exclude=b --fail-fast --output=stream \
        --report=html=r.html --plan --json --repeat=3 --deadline=9 --keep-failed --retries=1 --image=i --timeout=5 \
        --env=A=1 --config=debug,release -- tests unit --arch x
}

@test "configurations given apart are one list" {
    in_rule 'podman_matrix tests --config debug --config release,small -- --config x'
    assert_only_call matrix --config=debug,release,small -- tests --config x
}

@test "PODMAN_IMAGE and PODMAN_NETWORK are what options leave open" {
    in_rule 'PODMAN_IMAGE=i PODMAN_NETWORK=local; podman_matrix tests; podman_matrix --image j --network public tests'
    assert_call 1 matrix --network=local --image=i -- tests
    assert_call 2 matrix --image=j --network=public -- tests
}

@test "arrays are configurations beside those of the file" {
    in_rule 'declare -A PODMAN_CONFIG_FAST=([image]=i [cpus]=2 [env]="A=1,2,B=3" [volumes]="a:/b:ro,z,c:/d")
        declare -A PODMAN_CONFIG_SMALL_1=([memory]=64m [artifacts]="/a,/b" [rule]=ignored)
        podman_matrix tests --config fast,small-1,release'
    # The keys of an array have no order.
    mapfile -d '' words <"$RECORD/1/argv"
    assert_equal "$(printf '%s\n' "${words[@]}" | sort)" "$(printf '%s\n' matrix --config=fast,small-1,release \
        --define=config.fast.image=i --define=config.fast.cpus=2 --define=config.fast.env.A=1,2 \
        --define=config.fast.env.B=3 --define=config.fast.volumes=a:/b:ro,z --define=config.fast.volumes=c:/d \
        --define=config.small-1.memory=64m --define=config.small-1.artifacts=/a --define=config.small-1.artifacts=/b \
        -- tests | sort)"
}

@test "an array without image or network has the shell's, one that has them keeps them" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [network]=web) PODMAN_CONFIG_B=([timeout]=5)
        _PODMAN_FIREWALL[web]=base=private
        PODMAN_IMAGE=other PODMAN_NETWORK=web
        podman_matrix tests --config a,b'
    assert_only_call matrix --config=a,b --define=config.a.image=i --define=config.a.network=web \
        --define=network.web.base=private --define=config.b.image=other --define=config.b.timeout=5 \
        --define=config.b.network=web -- tests
}

@test "PODMAN_NETWORK and PODMAN_IMAGE are those of the file's configurations beside arrays, too" {
    in_rule 'declare -A PODMAN_CONFIG_FAST=([cpus]=2); PODMAN_NETWORK=isolated PODMAN_IMAGE=i
        podman_matrix tests --config fast,release'
    assert_only_call matrix --config=fast,release --network=isolated --image=i --define=config.fast.image=i \
        --define=config.fast.cpus=2 --define=config.fast.network=isolated -- tests
}

@test "where an array has another network or image beside those of the file, PODMAN_NETWORK and PODMAN_IMAGE are refused" {
    local arrays='declare -A PODMAN_CONFIG_FAST=([image]=i [network]=public); '
    try in_rule "$arrays"'podman_network_isolated; podman_matrix tests --config fast,release'
    assert_refused 2 "podman_matrix: PODMAN_NETWORK cannot be the network of 'release' of barasync.toml beside the array fast,"
    try in_rule "$arrays"'PODMAN_IMAGE=j; podman_matrix tests --config release --config fast'
    assert_refused 2 "podman_matrix: PODMAN_IMAGE cannot be the image of 'release' of barasync.toml beside the array 'fast',"
    try in_rule "$arrays"'podman_network_isolated a b; podman_matrix tests --config fast,release'
    assert_code 2
    assert_matches "$stderr" "*there is no network to run in, for 'podman_network_isolated' has failed*"
    assert_equal "$(calls)" 0
    in_rule "$arrays"'podman_network_isolated; PODMAN_IMAGE=j
        podman_matrix tests --config fast,release --network local --image k; podman_matrix tests --config fast'
    assert_equal "$(calls)" 2
}

@test "an array with a platform is refused, for the matrix has architectures" {
    try in_rule 'declare -A PODMAN_CONFIG_A=([platform]=arm64); podman_matrix tests --config a'
    assert_refused 2 "podman_matrix: the configuration 'a' has a platform: name it with --arch"
    assert_equal "$(calls)" 0
}

@test "podman_run_parallel repeats a rule" {
    in_rule 'podman_run_parallel image tests --parallel 3 --timeout 5 unit -x; podman_run_parallel image tests'
    assert_call 1 matrix --timeout=5 --image=image --repeat=3 --jobs=3 -- tests unit -x
    local here
    here=$(nproc)
    assert_call 2 matrix --image=image "--repeat=$here" "--jobs=$here" -- tests
}

@test "podman_run_parallel refuses what is no number from 1 on" {
    local number
    for number in 0 -1 x 1.5 "1 2"; do
        try in_rule 'podman_run_parallel image tests --parallel "$1"' "$number"
        assert_refused 2 "podman_run_parallel: --parallel is a number from 1 on, not '$number'"
    done
}

@test "podman_run_parallel keeps a given --jobs, and refuses what its words say" {
    in_rule 'podman_run_parallel image tests --parallel 8 --jobs 2'
    assert_only_call matrix --jobs=2 --image=image --repeat=8 -- tests
    local option
    for option in --repeat --image; do
        try in_rule 'podman_run_parallel image tests "$1" 2' "$option"
        assert_refused 2 "podman_run_parallel: $option is not for it; usage: podman_run_parallel <image>"
    done
    try in_rule 'podman_parallel image lint --image other'
    assert_refused 2 "podman_parallel: --image is not for it; usage: podman_parallel <image>"
    in_rule 'podman_parallel image lint --repeat 2'
    assert_call 2 matrix --rule-each --repeat=2 --image=image -- lint
}

@test "podman_parallel runs each word as a rule" {
    in_rule 'podman_parallel image --timeout 5 lint "unit tests" bench'
    assert_only_call matrix --rule-each --timeout=5 --image=image -- lint 'unit tests' bench
    try in_rule 'podman_parallel image lint tests lint'
    assert_refused 2 "podman_parallel: the rule 'lint' is there twice"
    try in_rule 'podman_parallel image'
    assert_refused 2 "podman_parallel: too few words"
}

@test "options of podman_parallel stand anywhere, and after '--' words are rules" {
    in_rule 'podman_parallel image lint tests --output stream --timeout=5; podman_parallel --jobs 2 image -- lint --tests'
    assert_call 1 matrix --rule-each --output=stream --timeout=5 --image=image -- lint tests
    assert_call 2 matrix --rule-each --jobs=2 --image=image -- lint --tests
    try in_rule 'podman_parallel image lint --outptu stream'
    assert_refused 2 "podman_parallel: unknown option '--outptu', known are"
    try in_rule 'podman_parallel image lint --output'
    assert_refused 2 "podman_parallel: --output needs a value"
    try in_rule 'podman_parallel image lint tests -- lint'
    assert_refused 2 "podman_parallel: the rule 'lint' is there twice"
    try in_rule 'podman_parallel image --output stream'
    assert_refused 2 "podman_parallel: too few words"
}

@test "--json is refused without --plan, which it is a form of" {
    local call
    for call in "podman_matrix tests" "podman_run_parallel image tests" "podman_parallel image tests"; do
        try in_rule "$call --json"
        assert_refused 2 "${call%% *}: --json is the form of --plan"
        in_rule "$call --json --plan"
    done
    assert_equal "$(calls)" 3
}
