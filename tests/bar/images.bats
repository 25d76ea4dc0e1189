#!/usr/bin/env bats
# What the functions for images ask of barasync, word by word; and what they refuse before.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    record
    printf 'text\n' >file
}

# What 'image build' gets: assert_built N TAG WORD… where WORD is KEY=VALUE of the table, or an option.
assert_built() {
    local name word words=()
    name=bar-$(printf '%s' "$2" | sha256sum | head --bytes 12)
    for word in "${@:3}"; do
        [[ $word == --* ]] || word=--define=images.$name.$word
        words+=("$word")
    done
    assert_call "$1" image build "--tag=$2" "${words[@]}" -- "$name"
}

@test "a definition is sent once, when it gets its name" {
    try in_rule '
        podman_image_from debian:stable-slim
        podman_image_run "apt-get update && apt-get install -y bash"
        podman_image_copy file /usr/local/bin/file
        podman_image_env LANG C.UTF-8
        podman_image_workdir /workspace
        podman_image_tag bar-base:latest'
    assert_code 0
    assert_equal "$(calls)" 1
    assert_built 1 bar-base:latest from=debian:stable-slim \
        "steps=run apt-get update && apt-get install -y bash" \
        "steps=copy $PWD/file:/usr/local/bin/file" "steps=env LANG=C.UTF-8" "steps=workdir /workspace"
}

@test "nothing is asked before there is a name" {
    try in_rule 'podman_image_from base && podman_image_run true'
    assert_code 0
    assert_equal "$(calls)" 0
}

@test "the same under the names of a Containerfile" {
    try in_rule '
        podman_containerfile_from base
        podman_containerfile_run make
        podman_containerfile_copy file /file
        podman_containerfile_env A=1
        podman_containerfile_workdir /w
        podman_containerfile_build tool:1'
    assert_code 0
    assert_equal "$(calls)" 1
    assert_built 1 tool:1 from=base "steps=run make" "steps=copy $PWD/file:/file" "steps=env A=1" \
        "steps=workdir /w"
}

@test "words that barasync prints, and its exit code, are those of the function" {
    export ANSWER_STDOUT=$'tool amd64 1234\n' ANSWER_STDERR=$'error: step 1\n' ANSWER_CODE=5
    try in_rule 'podman_image_from base && podman_image_tag tool:1'
    assert_code 5
    assert_equal "$output" "tool amd64 1234"
    assert_matches "$stderr" "error: step 1*"
}

@test "one word of a command is a line of shell, several are words" {
    try in_rule '
        podman_image_from base
        podman_image_run "echo \$HOME; echo \"a b\""
        podman_image_run printf %s "it'\''s" "a b" "" "\$HOME" "*"
        podman_image_run "$1"
        podman_image_run echo "$1"
        podman_image_tag t' $'one\ntwo'
    assert_code 0
    assert_built 1 t from=base 'steps=run echo $HOME; echo "a b"' \
        "steps=run printf %s 'it'\\''s' 'a b' '' '\$HOME' '*'" $'steps=run one\ntwo' $'steps=run echo \'one\ntwo\''
}

@test "quoted words are those words again in a POSIX shell" {
    local words=(a "b c" "it's" '"$HOME"' $'new\nline' '' $'\\' '-x' '*' '&' "''" $'\t')
    try in_rule 'podman_image_from base && podman_image_run printf "%s|" "$@" && podman_image_tag t' "${words[@]}"
    assert_code 0
    mapfile -d '' argv <"$RECORD/1/argv"
    script=${argv[4]#--define=images.bar-????????????.steps=run }
    printf '%s|' "${words[@]}" >wanted
    sh -c "$script" >got
    cmp wanted got
}

@test "a file is meant where it was named, though the rule goes elsewhere" {
    mkdir sub
    try in_rule '
        podman_image_from base
        podman_image_copy file /file
        cd sub
        podman_image_copy ../file /sub/
        podman_image_tag t'
    assert_code 0
    assert_built 1 t from=base "steps=copy $PWD/file:/file" "steps=copy $PWD/sub/../file:/sub/"
}

@test "names of files may have blanks, quotes, newlines and dashes" {
    local name=$'-a "b\'\n c'
    : >"./$name"
    try in_rule 'podman_image_from base && podman_image_copy "$1" "/to/$1" && podman_image_tag t' "$name"
    assert_code 0
    assert_built 1 t from=base "steps=copy $PWD/$name:/to/$name"
}

@test "values of variables are literal" {
    try in_rule '
        podman_image_from base
        podman_image_env A "x = \"\$HOME\""
        podman_image_env B ""
        podman_image_env C=1=2
        podman_image_tag t'
    assert_code 0
    assert_built 1 t from=base 'steps=env A=x = "$HOME"' "steps=env B=" "steps=env C=1=2"
}

@test "architectures may be given one by one or together" {
    try in_rule '
        podman_image_from --platform arm64 base --platform=linux/amd64,riscv64
        podman_image_tag t'
    assert_code 0
    assert_built 1 t from=base --arch=arm64,linux/amd64,riscv64
}

@test "two definitions do not mix" {
    try in_rule '
        podman_image_from --platform arm64 one
        podman_image_run 1
        podman_image_tag first
        podman_image_from two
        podman_image_run 2
        podman_image_tag second'
    assert_code 0
    assert_built 1 first from=one "steps=run 1" --arch=arm64
    assert_built 2 second from=two "steps=run 2"
}

@test "a name stands for what was defined when it was given" {
    try in_rule '
        podman_image_from base
        podman_image_run 1
        podman_image_tag first
        podman_image_run 2
        podman_image_tag second'
    assert_code 0
    assert_built 1 first from=base "steps=run 1"
    assert_built 2 second from=base "steps=run 1" "steps=run 2"
}

@test "a build without words asks nothing where nothing is new, and takes the last name" {
    try in_rule '
        podman_image_from base
        podman_image_tag t
        podman_image_build
        podman_image_build t
        podman_image_run 1
        podman_image_build'
    assert_code 0
    assert_equal "$(calls)" 2
    assert_built 2 t from=base "steps=run 1"
}

@test "what could not be made is tried again" {
    ANSWER_CODE=5 try in_rule 'podman_image_from base; podman_image_tag t; podman_image_build'
    assert_code 5
    assert_equal "$(calls)" 2
}

@test "a Containerfile sees the working directory" {
    : >Containerfile
    try in_rule 'podman_image_build tool:1 Containerfile && podman_containerfile_build tool:2 ./Containerfile'
    assert_code 0
    assert_built 1 tool:1 containerfile=Containerfile context=.
    assert_built 2 tool:2 containerfile=./Containerfile context=.
}

@test "a Containerfile is built for one architecture and for many" {
    : >Containerfile
    try in_rule '
        podman_image_build_multiarch tool:1 linux/arm64 Containerfile
        podman_image_build_matrix tool:2 Containerfile amd64 linux/arm64'
    assert_code 0
    assert_built 1 tool:1 containerfile=Containerfile context=. --arch=linux/arm64
    assert_built 2 tool:2 containerfile=Containerfile context=. --arch=amd64,linux/arm64 --tag-each
}

@test "layers are one call each" {
    try in_rule '
        podman_image_layer_base t:1 debian:stable-slim
        podman_image_layer_add t:2 t:1 gcc "libc6-dev"
        podman_image_layer_run t:3 t:2 "echo a b >c" "-x"
        podman_image_layer_copy t:4 t:3 file /opt/
        podman_layer_toolchain t:5 t:4 rust
        podman_layer_dev t:6 t:5'
    assert_code 0
    assert_equal "$(calls)" 6
    assert_built 1 t:1 from=debian:stable-slim
    assert_built 2 t:2 from=t:1 packages=gcc packages=libc6-dev
    assert_built 3 t:3 from=t:2 "steps=run echo a b >c" "steps=run -x"
    assert_built 4 t:4 from=t:3 "steps=copy $PWD/file:/opt/"
    assert_built 5 t:5 from=t:4 toolchain=rust
    assert_built 6 t:6 from=t:5 dev=true
}

@test "bar and its modules go into an image from a directory that is gone afterwards" {
    try in_rule 'podman_layer_bar bar-base:1 debian'
    assert_code 0
    assert_equal "$(calls)" 1
    mapfile -d '' argv <"$RECORD/1/argv"
    context=${argv[4]#--define=images.bar-????????????.context=}
    assert_matches "$context" "$TMPDIR/*"
    [[ ! -e $context ]]
    assert_matches "${argv[5]}" "*.steps=run *"
    assert_matches "${argv[6]}" "*.steps=copy bar:/usr/local/bin/bar"
    assert_matches "${argv[7]}" "*.steps=copy Bar.d:/usr/local/share/bar/Bar.d"
    assert_matches "${argv[8]}" "*.steps=workdir /workspace"
    ANSWER_CODE=5 try in_rule 'podman_layer_bar bar-base:1 debian'
    assert_code 5
    assert_equal "$(ls -A "$TMPDIR")" ""
}

@test "snapshots name a container, or take the last that was started" {
    try in_rule '
        podman_image_snapshot box tool:1
        PODMAN_CONTAINER=last
        podman_image_snapshot tool:2'
    assert_code 0
    assert_call 1 image snapshot -- box tool:1
    assert_call 2 image snapshot -- last tool:2
}

@test "images are listed and removed" {
    try in_rule '
        podman_image_list
        podman_image_list --all --json
        podman_image_list --names
        podman_image_remove one "two words"'
    assert_code 0
    assert_call 1 image list
    assert_call 2 image list --all --json
    assert_call 3 image list --names
    assert_call 4 image remove --any -- one "two words"
}

@test "definitions work at the top level of a Barf too" {
    try at_top 'podman_image_from base; podman_image_run a b; podman_image_env A 1; podman_image_copy file /f; podman_image_tag t; podman_image_build'
    assert_code 0
    assert_built 1 t from=base "steps=run a b" "steps=env A=1" "steps=copy $PWD/file:/f"
}

# refuse CALL PATTERN: it ends with 2 and one line, and barasync is not called
refuse() {
    try in_rule "podman_image_from base && $1"
    assert_refused 2 "$2"
    assert_equal "$(calls)" 0
}

@test "a step without a definition is refused" {
    local call
    for call in "podman_image_run true" "podman_image_copy file /file" "podman_image_env A 1" \
        "podman_image_workdir /" "podman_image_tag t" "podman_image_build t"; do
        try in_rule "$call"
        assert_refused 2 "${call%% *}: podman_image_from comes first; usage: ${call%% *} "
    done
    assert_equal "$(calls)" 0
}

@test "words that are missing or too many are refused" {
    refuse 'podman_image_from' 'podman_image_from: too few words; usage: podman_image_from <image>'
    refuse 'podman_image_from a b' 'too many words'
    refuse 'podman_image_from ""' 'an empty word'
    refuse 'podman_image_run' 'too few words; usage: podman_image_run <command>'
    refuse 'podman_image_run ""' 'an empty word'
    refuse 'podman_image_copy file' 'too few words'
    refuse 'podman_image_copy file /a /b' 'too many words'
    refuse 'podman_image_env A' 'no value for'
    refuse 'podman_image_env A 1 2' 'too many words'
    refuse 'podman_image_env A=1 2' 'in it'
    refuse 'podman_image_workdir' 'too few words'
    refuse 'podman_image_tag' 'too few words'
    refuse 'podman_image_tag ""' 'an empty word'
    refuse 'podman_image_build' 'the image has no name yet'
    refuse 'podman_image_build a b c' 'too many words'
    refuse 'podman_image_layer_base t' 'too few words'
    refuse 'podman_image_layer_add t p' 'too few words'
    refuse 'podman_image_layer_run t p' 'too few words'
    refuse 'podman_image_layer_copy t p file' 'too few words'
    refuse 'podman_layer_bar t' 'too few words'
    refuse 'podman_layer_toolchain t p' 'too few words'
    refuse 'podman_layer_dev t' 'too few words'
    refuse 'podman_image_build_multiarch t arm64' 'too few words'
    refuse 'podman_image_build_matrix t file' 'too few words'
    refuse 'podman_image_snapshot' 'too few words'
    refuse 'podman_image_snapshot t' 'which container'
    refuse 'podman_image_list all' 'too many words'
    refuse 'podman_image_remove' 'too few words'
}

@test "unknown options are refused" {
    refuse 'podman_image_from --what base' 'unknown option*--arch'
    refuse 'podman_image_from base --platform' 'needs a value'
    refuse 'podman_image_list --what' 'unknown option*--all --json --names'
    refuse 'podman_image_remove --all' 'unknown option'
    refuse 'podman_image_tag --force' 'unknown option'
}

@test "files that are not there are refused when they are named" {
    refuse 'podman_image_copy nothing /file' "there is no 'nothing'"
    refuse 'podman_image_copy file /a:b' "':' in it"
    refuse 'podman_image_layer_copy t p nothing /file' "there is no 'nothing'"
    refuse 'podman_image_build t nothing' "there is no file 'nothing'"
    refuse 'podman_image_build_multiarch t arm64 nothing' "there is no file"
    refuse 'podman_image_build_matrix t nothing arm64' "there is no file"
    refuse 'podman_image_copy $'"'a\\nb'"' /file' 'there is no'
}

@test "a refused step ends nothing in a rule, and its image is not made" {
    local step name
    for step in "podman_image_run" "podman_image_copy nothing /x" "podman_image_env A" "podman_image_workdir /a /b" \
        "podman_containerfile_copy nothing /x"; do
        name=${step%% *}
        try in_rule "
            podman_image_from base
            $step
            podman_image_run true
            podman_image_tag tool:1"
        assert_code 2
        assert_equal "$output" ""
        assert_matches "$stderr" "*ERROR:*podman_image_tag: nothing is made, for '${name/containerfile/image}' has failed*"
        try in_rule "
            podman_image_from base
            $step
            podman_image_build tool:1"
        assert_code 2
    done
    assert_equal "$(calls)" 0
}

@test "a refused step after a name keeps a build without words from being done" {
    try in_rule '
        podman_image_from base
        podman_image_tag tool:1
        podman_image_copy nothing /x
        podman_image_build'
    assert_code 2
    assert_equal "$(calls)" 1
}

@test "what follows a refused beginning is not added to what was defined before" {
    try in_rule '
        podman_image_from base
        podman_image_tag one
        podman_image_from --what other
        podman_image_run true
        podman_image_tag two'
    assert_code 2
    assert_equal "$(calls)" 1
}

@test "a definition that begins again can be made, a Containerfile at any time" {
    : >Containerfile
    try in_rule '
        podman_image_from base
        podman_image_copy nothing /x
        podman_image_build tool:2 Containerfile
        podman_image_from base
        podman_image_tag tool:1'
    assert_code 0
    assert_built 1 tool:2 containerfile=Containerfile context=.
    assert_built 2 tool:1 from=base
}

@test "what a refused image is to be the base of is not made either, unless it is made after all" {
    try in_rule '
        podman_image_from base
        podman_image_workdir
        podman_image_tag tool:1
        podman_image_from base
        podman_image_tag tool:1
        podman_image_from tool:1
        podman_image_tag tool:2'
    assert_code 0
    assert_built 2 tool:2 from=tool:1
    rm -r "${RECORD:?}"/*
    try in_rule '
        podman_image_from base
        podman_image_copy nothing /x
        podman_image_tag tool:1
        podman_image_from tool:1
        podman_image_run true
        podman_image_tag tool:2'
    assert_code 2
    assert_matches "$stderr" "*podman_image_from: the image 'tool:1' could not be made by 'podman_image_tag', and what may be there of that name is another"*
    assert_equal "$(calls)" 0
}

@test "nothing runs in an image that could not be made, nor is another one made from it" {
    local call used
    for call in 'podman_image_from base; podman_image_tag tool' 'podman_image_layer_base localhost/tool:latest base' \
        'podman_image_layer_add tool base make' 'podman_layer_bar tool base' 'podman_image_build tool:latest Containerfile'; do
        for used in 'podman_run tool true' 'podman_run_arch arm64 localhost/tool true' 'podman_image_from tool:latest' \
            'podman_image_layer_run t2 tool true' 'podman_matrix tests --image tool' 'podman_parallel tool a b' \
            'podman_shell tool' 'podman_run_background tool true' \
            'declare -A PODMAN_CONFIG_A=([image]=tool); podman_matrix tests --config a'; do
            : >Containerfile
            ANSWER_CODE=5 try in_rule "$call; $used"
            assert_code 2
            assert_matches "$stderr" "*ERROR: *the image '*tool*' could not be made by 'podman_*'*"
            assert_equal "$(calls)" 1
            rm -r "${RECORD:?}"/*
        done
    done
    for call in 'podman_image_layer_copy tool base nothing /x' 'podman_image_build_multiarch tool arm64 nothing' \
        'podman_layer_dev tool base more' 'podman_image_layer_add tool base'; do
        try in_rule "$call; podman_run localhost/tool true"
        assert_code 2
        assert_matches "$stderr" "*podman_run: the image 'localhost/tool' could not be made by '${call%% *}'*"
        assert_equal "$(calls)" 0
    done
}

@test "an image that is made after all is used again, and others always" {
    try in_rule '
        podman_image_layer_add tool base
        podman_run tool:2 true
        podman_layer_bar tool base
        podman_run tool true'
    assert_code 0
    assert_equal "$(calls)" 3
}
