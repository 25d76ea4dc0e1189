# What all functions have in common: words, options, and what is said where barasync is not as it should be.

load helper

@test "a call with too few words names the function and its signature, and calls nothing" {
    local function
    record
    for function in podman_run is_podman_arch_available podman_arch_available is_qemu_available \
        podman_normalize_arch podman_normalize_platform podman_run_arch podman_run_with_config podman_run_limited \
        podman_run_with_artifacts podman_exec podman_shell podman_matrix podman_run_parallel podman_parallel \
        podman_run_background podman_run_background_wait podman_background_job podman_config_load; do
        try in_rule "$function"
        assert_refused 2 "$function: too few words; usage: $function <"
    done
    assert_equal "$(calls)" 0
}

@test "a call with too many words is refused" {
    local call
    record
    for call in "is_podman_arch_available a b" "podman_version x" "podman_get_native_arch x" \
        "podman_list_available_archs x" "podman_normalize_arch a b" "podman_config_load a b" "podman_shell a b"; do
        try in_rule "$call"
        assert_refused 2 "${call%% *}: too many words"
    done
    assert_equal "$(calls)" 0
}

@test "an empty word where a name is meant is refused" {
    local call
    record
    for call in 'podman_run ""' 'podman_run_arch arm64 ""' 'podman_run_arch "" image x' 'is_qemu_available ""' \
        'podman_arch_setup arm64 ""' 'podman_matrix ""' 'podman_parallel image a ""' 'podman_exec c ""' \
        'podman_run_with_config ""' 'podman_run_with_artifacts image rule ""'; do
        try in_rule "$call"
        assert_refused 2 "${call%% *}: an empty word"
    done
    assert_equal "$(calls)" 0
}

@test "what is wrong with an option is said in one line" {
    record
    try in_rule 'podman_run --tmieout 5 image'
    assert_refused 2 "podman_run: unknown option '--tmieout', known are --timeout"
    try in_rule 'podman_run image --timeout'
    assert_refused 2 "podman_run: --timeout needs a value"
    try in_rule 'podman_run --detach=yes image'
    assert_refused 2 "podman_run: --detach takes no value"
    try in_rule 'podman_run -x image'
    assert_refused 2 "podman_run: unknown option '-x'"
    try in_rule $'podman_run "--a\nb" image'
    assert_refused 2 "unknown option *a?nb'"
    try in_rule 'podman_exec --tty c ls'
    assert_refused 2 "podman_exec: unknown option '--tty', known are --env"
    try in_rule 'podman_matrix tests --detach'
    assert_refused 2 "podman_matrix: unknown option '--detach'"
    assert_equal "$(calls)" 0
}

@test "an option's empty value is refused, and so is a list without an entry" {
    record
    local call
    for call in 'podman_run image --config "" true' 'podman_run image --config= true' 'podman_matrix tests --config ,' \
        'podman_run image --network "" true' 'podman_image_from base --platform ""' 'podman_exec --user "" c ls' \
        'podman_container_list --state=' 'podman_run_limited image tests --memory ""'; do
        try in_rule "$call"
        assert_refused 2 "${call%% *}: --* needs a value; usage: "
    done
    assert_equal "$(calls)" 0
}

@test "an option's value may begin with a dash, end with '=', or have anything in it" {
    record
    in_rule 'podman_run --env "A=-x *  \$HOME" --env=B= -e "C=a
b" --timeout -5 image' </dev/null
    assert_only_call run --as=auto --stdin '--env=A=-x *  $HOME' --env=B= $'--env=C=a\nb' --timeout=-5 -- image
}

@test "words stay as they are, in a rule and at the top of a Barf" {
    record
    local call='podman_run "an image" -- "two words" "" "*" "it'"'"'s" "\"" "\$(touch no)" "a
b" --x -- -y'
    local words=('an image' 'two words' '' '*' "it's" '"' '$(touch no)' $'a\nb' --x -- -y)
    in_rule "$call" </dev/null
    at_top "$call" </dev/null
    assert_call 1 run --as=command --stdin -- "${words[@]}"
    assert_call 2 run --as=command --stdin -- "${words[@]}"
    [[ ! -e no ]]
}

@test "an empty array is no word, where unset variables are errors" {
    record
    at_top 'declare -a none=(); podman_run "${none[@]}" image "${none[@]}"' </dev/null
    assert_only_call run --as=auto --stdin -- image
}

@test "output and exit code are those of barasync" {
    record
    ANSWER_STDOUT=out ANSWER_STDERR=$'err\n' ANSWER_CODE=9 try in_rule 'x=$(podman_run image) || y=$?; echo "<$x> $y"'
    assert_equal "$output" "<out> 9"
    assert_equal "$stderr" err
}

@test "what runs has the caller's stdin, and the lines of a loop stay the loop's elsewhere" {
    record
    printf '%s\n' one two >lines
    in_rule 'podman_run image' <lines
    in_rule 'podman_exec c cat' <lines
    in_rule 'podman_shell image' <lines
    in_rule 'while read -r line; do podman_normalize_arch "$line"; podman_matrix "$line"; done' <lines
    assert_equal "$(cat "$RECORD"/{1,2,3}/stdin)" $'one\ntwo\none\ntwo\none\ntwo'
    assert_equal "$(cat "$RECORD"/{4,5,6,7}/stdin)" ""
    assert_call 6 arch name -- two
    assert_call 7 matrix -- two
}

@test "a barasync that is not there is said, with how to get it" {
    export PODMAN_BARASYNC=/nowhere/barasync
    try in_rule 'podman_run image || echo "$?"'
    assert_equal "$output" 127
    assert_matches "$stderr" "*ERROR:*'/nowhere/barasync' is not installed: pipx install barasync"
    try in_rule 'podman_arch_complete'
    assert_code 0
    assert_equal "$output$stderr" ""
}

@test "a barasync that is too old for the module is said after it has refused" {
    record
    ANSWER_CODE=2 ANSWER_VERSION=0.0.9 try in_rule 'podman_version'
    assert_refused 2 "barasync 0.0.9 is too old for this Bar.d/podman, which needs "
    ANSWER_CODE=2 ANSWER_VERSION=10.0 try in_rule 'podman_version'
    assert_code 2
    assert_equal "$stderr" ""
    ANSWER_CODE=1 ANSWER_VERSION=0.0.9 try in_rule 'podman_version'
    assert_code 1
    assert_equal "$stderr" ""
}

@test "versions are compared as numbers" {
    in_rule '
        older() { _podman_is_older "$1" "$2" || { echo "$1 is not older than $2"; return 1; }; }
        not_older() { ! _podman_is_older "$1" "$2" || { echo "$1 is older than $2"; return 1; }; }
        older 0.1.0 0.2.0 && older 0.9 0.10 && older 1.2.3 1.2.4 && older 0.0.9 0.1 && older 0.9.9 1.0.0 &&
            not_older 0.1.0 0.1.0 && not_older 0.2.0 0.1.9 && not_older 1.0.0.dev3 1.0 && not_older 2.08 2.7 &&
            not_older 10.0 9.9'
}

@test "completers print what barasync knows" {
    record
    in_rule 'podman_arch_complete; podman_platform_complete; podman_network_complete; podman_image_complete
        podman_container_complete'
    assert_call 1 arch list --names
    assert_call 2 arch list --names --platform
    assert_call 3 network list --names
    assert_call 4 image list --all --names
    assert_call 5 container list --names
    ANSWER_STDOUT=$'web\n' ANSWER_CODE=4 ANSWER_STDERR=no try in_rule 'podman_network_complete'
    assert_code 0
    assert_equal "$output" web
    assert_equal "$stderr" ""
    # What barasync names for itself is nothing that a person asks for.
    ANSWER_STDOUT=$'localhost/a:1\nlocalhost/barasync/step:1\n' try in_rule 'podman_image_complete'
    assert_code 0
    assert_equal "$output" localhost/a:1
}

@test "every public function is documented as bar's help and completion read it" {
    local line name
    local -A documented=()
    while IFS= read -r line; do
        if [[ $line =~ ^'function '([a-z_]+)(.*)$ ]]; then
            name=${BASH_REMATCH[1]}
            [[ $name == _podman_* || ${BASH_REMATCH[2]} == ' ## '* ]] || fail "no documentation: $line"
            [[ $name == _podman_* || $line != *' - '*' - '* ]] || fail "two dashes: $line"
            documented[$name]=true
        fi
    done <"$MODULES/podman"
    ((${#documented[@]} > 30))
}

@test "a mistake is said with the rule, or the line of the Barf, that makes it" {
    printf '%s\n' 'require podman' 'function build' '{' '    podman_run --what' '}' "rule t: -- 'podman_run --what'" \
        "rule u: -- build" "rule v: podman_require_arch" >Barf
    try bar t
    assert_refused 2 " in the rule t: podman_run: unknown option '--what'"
    try bar u
    assert_refused 2 " Barf:4: podman_run: unknown option '--what'"
    printf '%s\n' 'require podman' '' 'podman_run --what || true' 'rule t: -- true' >Barf
    try bar t
    assert_matches "$stderr" "*ERROR: * Barf:3: podman_run: unknown option '--what'*"
    : >Barf
    try bar podman_config_load
    assert_refused 2 "podman_config_load: too few words"
    [[ $stderr != *"in the rule"* ]]
    try in_rule 'is_podman_installed x'
    assert_refused 2 " in the rule in_rule: *is_podman_installed: too many words"
    PODMAN_BARASYNC=/nowhere try in_rule 'podman_version || true'
    assert_refused 0 " in the rule in_rule: '/nowhere' is not installed"
}
