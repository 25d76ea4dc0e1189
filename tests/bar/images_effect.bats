#!/usr/bin/env bats
# What is in the images that are made.
# shellcheck disable=SC2016 # texts are for the rule
load helper

# Prints what a command says in an image: inside IMAGE COMMAND…
inside() {
    podman run --rm --network none "$@"
}

# Prints the ID of an image.
id_of() {
    podman image inspect --format '{{.Id}}' "$1"
}

@test "podman_image_from: two definitions do not mix, and each has its base" {
    try in_rule '
        podman_image_from "$1" && podman_image_run "echo one >/one" && podman_image_tag bar-test:one &&
            podman_image_from "$1" && podman_image_run "echo two >/two" && podman_image_tag bar-test:two' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:two ls / | grep --extended-regexp '^(one|two)$')" two
    assert_equal "$(inside bar-test:one ls / | grep --extended-regexp '^(one|two)$')" one
}

@test "podman_image_run: quotes, dollars and newlines leave their bytes" {
    local text=$'it\'s "so" $HOME\n* \\ &'
    try in_rule '
        podman_image_from "$1"
        podman_image_run sh -c '\''printf %s "$1" >/words'\'' sh "$2"
        podman_image_run "printf %s \"\$((6 * 7))\" >/line"
        podman_image_tag bar-test:run' "$BUSYBOX" "$text"
    assert_code 0
    assert_equal "$(inside bar-test:run cat /words)" "$text"
    assert_equal "$(inside bar-test:run cat /line)" 42
}

@test "podman_image_copy: files and directories arrive, whatever they are called" {
    local name=$'-a "b\' c'
    mkdir tree
    seq 1000 >"tree/$name"
    printf '#!/bin/sh\necho executed\n' >program
    chmod 755 program
    ln -s program link
    try in_rule '
        podman_image_from "$1"
        podman_image_copy "$2" "/one/$2"
        podman_image_copy tree /opt/
        cd /
        podman_image_copy "$3" /bin/
        podman_image_tag bar-test:copy' "$BUSYBOX" "tree/$name" "$PWD/program"
    assert_code 0
    assert_equal "$(inside bar-test:copy cat "/one/tree/$name" "/opt/tree/$name")" "$(cat "tree/$name" "tree/$name")"
    assert_equal "$(inside bar-test:copy program)" executed
}

@test "podman_image_copy: a name that would be a pattern is a name" {
    local name='a*[b]?\c'
    echo meant >"$name"
    echo other >'ab?\c'
    try in_rule 'podman_image_from "$1" && podman_image_copy "$2" /file && podman_image_tag bar-test:pattern' "$BUSYBOX" "$name"
    assert_code 0
    assert_equal "$(inside bar-test:pattern cat /file)" meant
}

@test "podman_image_env: a value is literal in a container" {
    try in_rule '
        podman_image_from "$1"
        podman_image_env LITERAL "x = \"\$HOME\" '\''y'\''"
        podman_image_env ONE=1=2
        podman_image_tag bar-test:env' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:env sh -c 'echo "$LITERAL $ONE"')" "x = \"\$HOME\" 'y' 1=2"
}

@test "podman_image_workdir: commands of later steps and of containers begin there" {
    try in_rule '
        podman_image_from "$1"
        podman_image_workdir /some/where
        podman_image_run "pwd >/was"
        podman_image_tag bar-test:workdir' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:workdir sh -c 'pwd; cat /was')" $'/some/where\n/some/where'
}

@test "podman_image_tag: a second image begins with the layers of the first" {
    printf '%s\n' 'require podman' "
        rule image_base: -- '
            podman_image_from $BUSYBOX
            podman_image_run \"echo base >/base\"
            podman_image_tag bar-test:base
        '
        rule image_tool: image_base -- '
            podman_image_from bar-test:base
            podman_image_run \"echo tool >/tool\"
            podman_image_tag bar-test:tool
        '" >Barf
    try bar image_tool
    assert_code 0
    assert_equal "$(inside bar-test:tool cat /base /tool)" $'base\ntool'
    local base tool
    base=$(podman image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' bar-test:base)
    tool=$(podman image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' bar-test:tool)
    assert_matches "$tool" "$base?*"
    assert_matches "$output" "* $(id_of bar-test:tool)*"
}

@test "podman_image_tag: a name that is none makes nothing" {
    try in_rule 'podman_image_from "$1" && podman_image_run "echo made" && podman_image_tag "No Name"' "$BUSYBOX"
    assert_code 2
    assert_equal "$output" ""
}

@test "podman_image_build: a step that fails is named, and the old image keeps the name" {
    try in_rule 'podman_image_from "$1" && podman_image_run true && podman_image_build bar-test:kept' "$BUSYBOX"
    assert_code 0
    local before
    before=$(id_of bar-test:kept)
    try in_rule 'podman_image_from "$1" && podman_image_run "echo broken; exit 3" && podman_image_build bar-test:kept' "$BUSYBOX"
    assert_code 5
    assert_matches "$stderr" "*barasync: image 'bar-test:kept' for linux/*exit 3 failed*"
    assert_equal "$(id_of bar-test:kept)" "$before"
}

@test "podman_image_build: a second build executes nothing" {
    # Whenever the step is executed the file has another content, and the image another ID.
    local definition='podman_image_from "$1" && podman_image_run "echo $2; cat /proc/sys/kernel/random/uuid >/uuid" &&
        podman_image_build bar-test:again'
    try in_rule "$definition" "$BUSYBOX" "$RANDOM$RANDOM"
    assert_code 0
    assert_matches "$stderr" "*step 1/1 RUN*"
    try in_rule "$definition && podman_image_build" "$BUSYBOX" once
    local first
    first=$(id_of bar-test:again)
    try in_rule "$definition" "$BUSYBOX" once
    assert_code 0
    assert_matches "$stderr" "*cached*"
    assert_equal "$(id_of bar-test:again)" "$first"
    try in_rule "$definition" "$BUSYBOX" twice
    assert_code 0
    [[ $(id_of bar-test:again) != "$first" ]]
}

@test "podman_image_build: a Containerfile sees the files of the working directory" {
    printf '%s\n' "FROM $BUSYBOX" 'COPY mark /mark' 'RUN echo done >/done' >"Container file"
    echo seen >mark
    try in_rule 'podman_image_build bar-test:file "Container file"'
    assert_code 0
    assert_equal "$(inside bar-test:file cat /mark /done)" $'seen\ndone'
}

@test "podman_containerfile_from: begins a definition" {
    try in_rule 'podman_containerfile_from "$1" && podman_image_tag bar-test:from' "$BUSYBOX"
    assert_code 0
    assert_equal "$(id_of bar-test:from)" "$(id_of "$BUSYBOX")"
}

@test "podman_containerfile_run: adds a command" {
    try in_rule 'podman_image_from "$1" && podman_containerfile_run "echo ran >/ran" && podman_image_tag bar-test:ran' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:ran cat /ran)" ran
}

@test "podman_containerfile_copy: adds a file" {
    echo copied >file
    try in_rule 'podman_image_from "$1" && podman_containerfile_copy file /opt/ && podman_image_tag bar-test:file' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:file cat /opt/file)" copied
}

@test "podman_containerfile_env: adds a variable" {
    try in_rule 'podman_image_from "$1" && podman_containerfile_env A "b c" && podman_image_tag bar-test:variable' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:variable sh -c 'echo "$A"')" "b c"
}

@test "podman_containerfile_workdir: sets the working directory" {
    try in_rule 'podman_image_from "$1" && podman_containerfile_workdir /w && podman_image_tag bar-test:directory' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:directory pwd)" /w
}

@test "podman_containerfile_build: makes what is defined" {
    try in_rule 'podman_image_from "$1" && podman_image_run "echo made >/made" && podman_containerfile_build bar-test:made' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:made cat /made)" made
}

@test "podman_image_layer_base: both names are one image" {
    try in_rule 'podman_image_layer_base bar-test:alike "$1"' "$BUSYBOX"
    assert_code 0
    assert_equal "$(id_of bar-test:alike)" "$(id_of "$BUSYBOX")"
}

@test "podman_image_layer_base: a base that is not there is an error" {
    try in_rule 'podman_image_layer_base bar-test:nothing localhost/none-such:1'
    assert_code 5
    run ! podman image exists bar-test:nothing
}

@test "podman_image_layer_run: commands are executed in their order" {
    try in_rule 'podman_image_layer_run bar-test:lines "$1" "echo one >/file" "echo two >>/file"' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:lines cat /file)" $'one\ntwo'
}

@test "podman_image_layer_copy: a file arrives with its mode" {
    printf '#!/bin/sh\necho executed\n' >"a program"
    chmod 750 "a program"
    try in_rule 'podman_image_layer_copy bar-test:copied "$1" "a program" /opt/' "$BUSYBOX"
    assert_code 0
    assert_equal "$(inside bar-test:copied stat -c %a '/opt/a program')" 750
    assert_equal "$(inside bar-test:copied '/opt/a program')" executed
}

@test "podman_layer_bar: an image with bar evaluates rules, with its own modules or those of a project" {
    printf '%s\n' '# shellcheck shell=bash' 'function mark_said { echo "a module said $1"; }' >Bar.d/mark
    ln -s "$PWD/Bar.d/mark" Bar.d/linked
    try in_rule 'podman_layer_bar bar-test:bar "$1"' "$BASH_IMAGE"
    assert_code 0
    rm Bar.d/linked
    assert_equal "$(inside bar-test:bar readlink -f /usr/local/lib/bar/Bar.d/mark)" /usr/local/share/bar/Bar.d/mark
    cmp <(inside bar-test:bar cat /usr/local/bin/bar) bar
    cmp <(inside bar-test:bar cat /usr/local/share/bar/Bar.d/linked) Bar.d/mark
    mkdir elsewhere
    printf '%s\n' 'require mark' "rule t: -- 'mark_said \"\$1\"'" >elsewhere/Barf
    assert_equal "$(inside --volume "$PWD/elsewhere:/workspace" bar-test:bar bar Barf t it 2>/dev/null)" "a module said it"
}

@test "podman_layer_bar: a rule runs under the image's bar, or under that of the project where it has one" {
    try in_rule 'podman_layer_bar bar-test:rules "$1"' "$BASH_IMAGE"
    assert_code 0
    mkdir elsewhere
    cp -r Bar.d elsewhere/
    printf '%s\n' "rule t: -- 'echo \"ran \$1\"'" >elsewhere/Barf
    try in_rule 'cd elsewhere && podman_run --no-stdin bar-test:rules t it'
    assert_code 0
    assert_equal "$output" "ran it"
    sed '1a echo its own bar' bar >elsewhere/bar
    chmod 755 elsewhere/bar
    try in_rule 'cd elsewhere && podman_run --no-stdin bar-test:rules t it'
    assert_code 0
    assert_equal "$output" $'its own bar\nran it'
}

@test "podman_layer_bar: the same bar is not copied again" {
    try in_rule 'podman_layer_bar bar-test:same "$1"' "$BASH_IMAGE"
    assert_code 0
    try in_rule 'podman_layer_bar bar-test:again "$1"' "$BASH_IMAGE"
    assert_code 0
    assert_equal "$(id_of bar-test:again)" "$(id_of bar-test:same)"
    assert_equal "$(grep --count ': cached$' <<<"$stderr")" 4
}

@test "podman_layer_bar: an image without bash and without packages says so" {
    try in_rule 'podman_layer_bar bar-test:nobash "$1"' "$BUSYBOX"
    assert_code 5
    assert_matches "$stderr" "*there is no bash in this image*"
    assert_equal "$(ls -A "$TMPDIR")" ""
}

@test "podman_image_snapshot: what was done in a container by hand is in the image" {
    podman run --name barasync-test-snapshot "$BUSYBOX" sh -c 'echo by hand >/mark'
    try in_rule 'podman_image_snapshot barasync-test-snapshot bar-test:snapshot'
    podman rm barasync-test-snapshot
    assert_code 0
    assert_equal "$output" "$(id_of bar-test:snapshot)"
    assert_equal "$(inside bar-test:snapshot cat /mark)" "by hand"
}

@test "podman_image_snapshot: without a container it is the one that was started last" {
    try in_rule '
        podman_run --detach --network none "$1" sh -c "echo detached >/mark; sleep 600" >name &&
            { timeout 60 sh -c "until podman exec \"\$0\" cat /mark; do sleep 0.1; done" "$(<name)" >/dev/null 2>&1 ||
                ! echo "in vain, for a minute: /mark" >&2; } &&
            podman_image_snapshot bar-test:last' "$BUSYBOX"
    podman rm --force --time 0 "$(<name)"
    assert_code 0
    assert_equal "$(inside bar-test:last cat /mark)" detached
}

@test "podman_image_snapshot: of a container that is not there there is none" {
    try in_rule 'podman_image_snapshot no-such-container bar-test:none'
    assert_code 2
    run ! podman image exists bar-test:none
}

@test "podman_image_list: what was made is listed, and others with --all" {
    try in_rule 'podman_image_layer_run bar-test:listed "$1" "echo 1"' "$BUSYBOX"
    assert_code 0
    try in_rule 'podman_image_list --names'
    assert_code 0
    assert_equal "$(grep --line-regexp localhost/bar-test:listed <<<"$output")" localhost/bar-test:listed
    assert_equal "$(grep --count --line-regexp "$BUSYBOX" <<<"$output" || true)" 0
    try in_rule 'podman_image_list --all --names'
    assert_equal "$(grep --line-regexp "$BUSYBOX" <<<"$output")" "$BUSYBOX"
    try in_rule podman_image_list
    assert_matches "$output" "*bar-test:listed*$NATIVE*"
}

@test "podman_image_remove: whoever made it, an image is gone" {
    podman tag "$BUSYBOX" bar-test:foreign
    try in_rule 'podman_image_layer_run bar-test:ours "$1" "echo 2" >/dev/null && podman_image_remove bar-test:foreign bar-test:ours' "$BUSYBOX"
    assert_code 0
    run ! podman image exists bar-test:foreign
    run ! podman image exists bar-test:ours
    podman image exists "$BUSYBOX"
}

@test "podman_image_remove: one that a container uses stays, and one that is not there is an error" {
    podman create --name barasync-test-user "$BUSYBOX" true
    podman commit --quiet barasync-test-user bar-test:used
    podman rm barasync-test-user
    podman create --name barasync-test-user bar-test:used true
    try in_rule 'podman_image_remove bar-test:used'
    podman rm barasync-test-user
    assert_code 1
    podman image exists bar-test:used
    try in_rule 'podman_image_remove localhost/none-such:1'
    assert_code 2
}

@test "podman_image_copy: an image without the file that it was to have is not made" {
    try in_rule 'podman_image_from "$1"
        podman_image_copy nothing /x
        podman_image_run true
        podman_image_tag bar-test:without' "$BUSYBOX"
    assert_code 2
    run ! podman image exists bar-test:without
}
