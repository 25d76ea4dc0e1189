# Configurations that are arrays of the shell.

load helper

setup() {
    project
    record
}

# Prints the words of the N-th call sorted: the keys of an array have no order. sorted_call N
sorted_call() {
    local words
    mapfile -d '' words <"$RECORD/$1/argv"
    printf '%s\n' "${words[@]}" | sort
}

@test "every key of an array is an option, the rule the words" {
    in_rule 'declare -A PODMAN_CONFIG_BUILD=([image]=bar-rust:latest [timeout]=300 [network]=private [platform]=arm64
        [volumes]="$PWD:/workspace:z" [env]=A=1 [cpus]=2 [memory]=1g [artifacts]=/workspace/target [rule]="build all")
        podman_run_with_config build' </dev/null
    assert_equal "$(sorted_call 1)" "$(printf '%s\n' run --as=auto --stdin --timeout=300 --network=private --arch=arm64 \
        "--volume=$PWD:/workspace:z" --env=A=1 --cpus=2 --memory=1g --artifact=/workspace/target --workspace=none \
        --workdir=/workspace -- bar-rust:latest build all | sort)"
}

@test "words after the configuration are another rule, or arguments of the array's" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [rule]=build) PODMAN_CONFIG_B=([image]=i)
        podman_run_with_config a; podman_run_with_config a tests -x; podman_run_with_config a -x y
        podman_run_with_config a -- x y; podman_run_with_config b tests; podman_run_with_config b -- ls -l' </dev/null
    assert_call 1 run --as=auto --stdin -- i build
    assert_call 2 run --as=auto --stdin -- i tests -x
    assert_call 3 run --as=auto --stdin -- i build -x y
    assert_call 4 run --as=auto --stdin -- i build x y
    assert_call 5 run --as=auto --stdin -- i tests
    assert_call 6 run --as=command --stdin -- i ls -l
    try in_rule 'declare -A PODMAN_CONFIG_B=([image]=i); podman_run_with_config b -x'
    assert_refused 2 "podman_run_with_config: no rule before '-x'"
}

@test "the name of a configuration is looked for in capitals" {
    in_rule 'declare -A PODMAN_CONFIG_ARM_32_V7=([image]=i)
        podman_run_with_config arm-32.v7 x; podman_run_with_config ARM_32_V7 x' </dev/null
    assert_call 1 run --as=auto --stdin -- i x
    assert_call 2 run --as=auto --stdin -- i x
}

@test "what is no array is a configuration of barasync.toml" {
    in_rule 'PODMAN_CONFIG_TEXT=x; declare -a PODMAN_CONFIG_LIST=(x)
        podman_run_with_config release tests -x; podman_run_with_config text; podman_run_with_config list -- ls
        podman_run_with_config "a b\$(touch no)" x' </dev/null
    assert_call 1 run --as=auto --stdin --config=release -- - tests -x
    assert_call 2 run --as=auto --stdin --config=text -- -
    assert_call 3 run --as=command --stdin --config=list -- - ls
    assert_call 4 run --as=auto --stdin '--config=a b$(touch no)' -- - x
    [[ ! -e no ]]
}

@test "a configuration of the file has the firewalls of this shell, as it may name one" {
    in_rule 'podman_firewall_config web local
        podman_run_with_config release tests; podman_run image --config release true
        podman_shell image --config release; podman_matrix tests --config release
        podman_run_with_config release tests --network=x; podman_run image --config release --network public true' </dev/null
    local sent=(base=local allow= default=deny)
    sent=("${sent[@]/#/--define=network.web.}")
    assert_call 1 run --as=auto --stdin --config=release "${sent[@]}" -- - tests
    assert_call 2 run --as=auto --stdin --config=release "${sent[@]}" -- image true
    assert_call 3 shell --config=release "${sent[@]}" -- image
    assert_call 4 matrix --config=release "${sent[@]}" -- tests
    assert_call 6 run --as=auto --stdin --config=release --network=public -- image true
}

@test "a configuration of the file does not run where a network that it may name is not what was asked for" {
    local call
    for call in "podman_run_with_config release tests" "podman_run image --config release true" "podman_matrix tests --config release"; do
        try in_rule "podman_firewall_config web; podman_firewall_allow_port web 0; $call"
        assert_code 2
        assert_matches "$stderr" "*the network 'web' would not be what was asked for, as 'podman_firewall_allow_port' has failed*"
    done
    assert_equal "$(calls)" 0
}

@test "PODMAN_NETWORK goes before the network of the file, and not before that of an array" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [network]=private); podman_network_local
        podman_run_with_config release tests; podman_run_with_config a tests' </dev/null
    assert_call 1 run --as=auto --stdin --config=release --network=local -- - tests
    assert_call 2 run --as=auto --stdin --network=private -- i tests
}

@test "lists are split at newlines, else before what begins an entry" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [volumes]="a:/b:ro,z,c:/d")
        declare -A PODMAN_CONFIG_B=([image]=i [env]="A=1,2, B=x y,C=*")
        declare -A PODMAN_CONFIG_C=([image]=i [env]="
            A=1,B=2
            B=3
        ")
        declare -A PODMAN_CONFIG_D=([image]=i [artifacts]=/a,/b,)
        declare -A PODMAN_CONFIG_E=([image]=i [artifacts]="" [env]="")
        for name in a b c d e; do podman_run_with_config "$name" x; done' </dev/null
    assert_call 1 run --as=auto --stdin --volume=a:/b:ro,z --volume=c:/d -- i x
    assert_call 2 run --as=auto --stdin --env=A=1,2 '--env=B=x y' '--env=C=*' -- i x
    assert_call 3 run --as=auto --stdin --env=A=1,B=2 --env=B=3 -- i x
    assert_call 4 run --as=auto --stdin --artifact=/a --artifact=/b -- i x
    assert_call 5 run --as=auto --stdin -- i x
}

@test "an unknown key and a missing image are refused" {
    try in_rule 'declare -A PODMAN_CONFIG_A=([imgae]=i); podman_run_with_config a x'
    assert_refused 2 "PODMAN_CONFIG_A: unknown key 'imgae', known are image timeout network platform"
    try in_rule 'declare -A PODMAN_CONFIG_A=([imgae]=i); podman_config_load a'
    assert_refused 2 "PODMAN_CONFIG_A: unknown key 'imgae'"
    try in_rule 'declare -A PODMAN_CONFIG_A=([imgae]=i); podman_matrix x --config a'
    assert_refused 2 "PODMAN_CONFIG_A: unknown key 'imgae'"
    try in_rule 'declare -A PODMAN_CONFIG_A=([cpus]=1); podman_run_with_config a x'
    assert_refused 2 "podman_run_with_config: the configuration 'a' has no image, and PODMAN_IMAGE is not set"
    assert_equal "$(calls)" 0
    in_rule 'declare -A PODMAN_CONFIG_A=([cpus]=1); PODMAN_IMAGE=i; podman_run_with_config a x' </dev/null
    assert_only_call run --as=auto --stdin --cpus=1 -- i x
}

@test "an array that a Barf declares without -g is said to be gone" {
    printf '%s\n' 'require podman' 'declare -A PODMAN_CONFIG_A=([image]=i)' 'rule t: -- "podman_run_with_config a x"' >Barf
    try bar t
    assert_refused 2 "PODMAN_CONFIG_A is gone, for bar loads a Barf in a function: write 'declare -gA PODMAN_CONFIG_A=(...)'"
    assert_equal "$(calls)" 0
    sed -i 's/-A/-gA/' Barf
    bar t </dev/null
    assert_only_call run --as=auto --stdin -- i x
}

@test "podman_run has the last word over its --config" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [timeout]=5); podman_run --timeout 6 other --config a x' </dev/null
    assert_only_call run --as=auto --stdin --timeout=5 --timeout=6 -- other x
}

@test "of several configurations of podman_run the last has the last word" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [timeout]=5) PODMAN_CONFIG_B=([image]=i [timeout]=6)
        podman_run --config a --cpus 1 --config b other x; podman_run --config release --config fast other x' </dev/null
    assert_call 1 run --as=auto --stdin --timeout=5 --timeout=6 --cpus=1 -- other x
    assert_call 2 run --as=auto --stdin --config=release --config=fast -- other x
}

@test "podman_config_load gives the options to podman_run" {
    in_rule 'declare -A PODMAN_CONFIG_A=([image]=i [env]="A=x y,B=2")
        podman_config_load a && podman_run "${PODMAN_CONFIG_OPTIONS[@]}" image tests
        podman_config_load release && podman_run "${PODMAN_CONFIG_OPTIONS[@]}" image tests' </dev/null
    assert_call 1 run --as=auto --stdin '--env=A=x y' --env=B=2 -- image tests
    assert_call 2 run --as=auto --stdin --config=release -- image tests
}

@test "the arrays of the shell complete a configuration" {
    try in_rule 'declare -A PODMAN_CONFIG_RELEASE=() PODMAN_CONFIG_ARM_32=(); podman_config_complete'
    assert_equal "$output" $'arm_32\nrelease'
    try in_rule 'podman_tool_complete; podman_preset_complete'
    assert_equal "$output" $'c\ngo\nnode\npython\nrust\npublic\nprivate\nlocal\nisolated'
}

@test "what was loaded before a refused load does not run, nor does anything without it" {
    local call
    for call in "podman_config_load b" "podman_config_load --bogus" "podman_config_load" "podman_config_load ''"; do
        try in_rule "declare -A PODMAN_CONFIG_A=([network]=isolated) PODMAN_CONFIG_B=([imgae]=i)
            podman_config_load a
            $call
            "'podman_run "${PODMAN_CONFIG_OPTIONS[@]}" image tests'
        assert_code 2
        assert_equal "$output" ""
        assert_matches "$stderr" "*podman_run: the options are of a 'podman_config_load' that has failed*"
    done
    assert_equal "$(calls)" 0
    in_rule 'declare -A PODMAN_CONFIG_A=([cpus]=1); podman_config_load --bogus
        podman_config_load a; podman_run "${PODMAN_CONFIG_OPTIONS[@]}" image tests' </dev/null
    assert_only_call run --as=auto --stdin --cpus=1 -- image tests
}

@test "a configuration's name is no option" {
    local function
    for function in podman_config_load podman_run_with_config; do
        try in_rule "$function --bogus"
        assert_refused 2 "$function: unknown option '--bogus', there are none; usage: $function <config>"
    done
    assert_equal "$(calls)" 0
}
