#!/usr/bin/env bats
# What the functions for networks ask of barasync, and what they refuse before.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    record
}

@test "a network is made with all its options" {
    try in_rule '
        podman_network_create shop
        podman_network_create --subnet 10.90.0.0/24 shop --subnet=fd00::/64 --gateway 10.90.0.1 --internal --ipv6 --no-dns --label a=b'
    assert_code 0
    assert_call 1 network create -- shop
    assert_call 2 network create --subnet=10.90.0.0/24 --subnet=fd00::/64 --gateway=10.90.0.1 --internal \
        --ipv6 --no-dns --label=a=b -- shop
}

@test "networks are looked for, listed and removed" {
    try in_rule '
        podman_network_exists "two words"
        podman_network_list
        podman_network_list --json
        podman_network_remove one two'
    assert_code 0
    assert_call 1 network exists -- "two words"
    assert_call 2 network list
    assert_call 3 network list --json
    assert_call 4 network remove -- one two
}

@test "a network that is not there is said by the code alone" {
    ANSWER_CODE=1 try in_rule 'podman_network_exists nothing'
    assert_code 1
    assert_equal "$output$stderr" ""
}

@test "a preset makes a network" {
    try in_rule '
        podman_network_preset web public
        podman_network_public a
        podman_network_private b
        podman_network_local c
        podman_network_isolated d'
    assert_code 0
    assert_call 1 network create --preset=public -- web
    assert_call 2 network create --preset=public -- a
    assert_call 3 network create --preset=private -- b
    assert_call 4 network create --preset=local -- c
    assert_call 5 network create --preset=isolated -- d
}

@test "a preset without a name is the network of what runs later" {
    printf '%s\n' 'require podman' 'rule net: podman_network_local -- '\''printf %s "$PODMAN_NETWORK"'\' >Barf
    try bar net
    assert_code 0
    assert_equal "$output" local
    try in_rule 'podman_network_public; podman_run image true; podman_network_isolated; podman_run image true'
    assert_code 0
    assert_equal "$(calls)" 2
    grep --null-data --quiet --line-regexp --regexp=--network=public "$RECORD/1/argv"
    grep --null-data --quiet --line-regexp --regexp=--network=isolated "$RECORD/2/argv"
}

@test "a port is printed as --publish wants it" {
    local -A ports=(
        ["8080 18080"]=18080:8080/tcp ["8080/udp 1"]=1:8080/udp ["8080 65535 udp"]=65535:8080/udp
        ["8080/tcp 80 tcp"]=80:8080/tcp ["8080/udp:53"]=53:8080/udp ["80:8080"]=8080:80/tcp
        ["80:8080 sctp"]=8080:80/sctp
    )
    local words
    for words in "${!ports[@]}"; do
        try in_rule "podman_port_map $words"
        assert_code 0
        assert_equal "$output" "${ports[$words]}"
    done
    assert_equal "$(calls)" 0
}

@test "what is no port is refused" {
    local words
    for words in "" "80" "0 80" "80 0" "65536 80" "80 65536" "a 80" "80 b" "080 80" "80/tcp 80 udp" \
        "80/what 80" "80 80 what" ": 80" "80:" ":80" "-1 80" "80 80 tcp more" '"" ""' "'1 2' 3"; do
        try in_rule "podman_port_map $words"
        assert_refused 2 "podman_port_map: *; usage: podman_port_map <container-port>"
    done
}

@test "all of it works at the top level of a Barf too" {
    try at_top '
        podman_network_create a; podman_network_exists a; podman_network_list; podman_network_remove a
        podman_network_preset a local; podman_network_public; podman_network_private a; podman_port_map 80 8080'
    assert_code 0
    assert_equal "$(calls) $output" "6 8080:80/tcp"
}

# refuse CALL PATTERN: it ends with 2 and one line, and barasync is not called
refuse() {
    try in_rule "$1"
    assert_refused 2 "$2"
    assert_equal "$(calls)" 0
}

@test "words that are missing, too many or unknown are refused" {
    refuse 'podman_network_create' 'podman_network_create: too few words; usage: podman_network_create <network>'
    refuse 'podman_network_create a b' 'too many words'
    refuse 'podman_network_create ""' 'an empty word'
    refuse 'podman_network_create a --subnet' 'needs a value'
    refuse 'podman_network_create a --what' 'unknown option*--subnet*--no-dns'
    refuse 'podman_network_create a --ipv6=yes' 'takes no value'
    refuse 'podman_network_remove' 'too few words'
    refuse 'podman_network_remove --force a' 'unknown option'
    refuse 'podman_network_exists' 'too few words'
    refuse 'podman_network_exists a b' 'too many words'
    refuse 'podman_network_list a' 'too many words'
    refuse 'podman_network_preset a' 'too few words'
    refuse 'podman_network_public a b' 'podman_network_public: too many words'
    refuse 'podman_network_local ""' 'podman_network_local: an empty word'
}

@test "a refused preset ends nothing in a rule, and what names no network does not run" {
    local call name
    for name in public private local isolated; do
        for call in "podman_network_$name a b" "podman_network_$name --what" "podman_network_$name ''"; do
            try in_rule "podman_network_local; $call; podman_run image true"
            assert_code 2
            assert_equal "$output" ""
            assert_matches "$stderr" "*podman_run: there is no network to run in, for 'podman_network_$name' has failed*"
        done
    done
    try in_rule 'podman_network_isolated a b; podman_matrix tests'
    assert_code 2
    try in_rule 'podman_network_isolated a b; podman_shell image'
    assert_code 2
    try in_rule 'podman_network_isolated a b; podman_run --network "$PODMAN_NETWORK" image true'
    assert_code 2
    assert_equal "$(calls)" 0
}

@test "a preset after a refused one, and a network that is named, are what runs" {
    try in_rule '
        podman_network_isolated a b
        podman_run --network public image true
        podman_network_local
        podman_run image true'
    assert_code 0
    assert_equal "$(calls)" 2
    grep --null-data --quiet --line-regexp --regexp=--network=public "$RECORD/1/argv"
    grep --null-data --quiet --line-regexp --regexp=--network=local "$RECORD/2/argv"
}

@test "another bar refuses what a refused preset has left, and has a preset that was chosen" {
    printf '%s\n' 'require podman' "rule other: -- 'podman_run image true'" \
        "rule refused: -- 'podman_network_isolated a b; ./bar other'" "rule chosen: -- 'podman_network_local; ./bar other'" >Barf
    try bar refused
    assert_code 2
    assert_equal "$(calls)" 0
    try bar chosen
    assert_code 0
    grep --null-data --quiet --line-regexp --regexp=--network=local "$RECORD/1/argv"
}

@test "a network of another preset than was asked for is not taken for it" {
    ANSWER_CODE=2 ANSWER_STDOUT='  "preset": "public",' \
        try in_rule 'podman_network_preset web isolated || podman_run --network web image true'
    assert_code 2
    assert_matches "$stderr" "*podman_run: the network 'web' would not be what was asked for*"
    assert_call 1 network create --preset=isolated -- web
    assert_call 2 network show --json -- web
    assert_equal "$(calls)" 2
}

@test "a network that is there with the preset is not made again, and nothing is said" {
    ANSWER_CODE=2 ANSWER_STDERR='there is one already' ANSWER_STDOUT='  "preset": "isolated",' \
        try in_rule 'podman_network_isolated web && podman_network_preset web isolated'
    assert_code 0
    assert_equal "$stderr" ""
    assert_equal "$(calls)" 4
    ANSWER_CODE=2 ANSWER_STDERR='there is one already' ANSWER_STDOUT='  "preset": "public",' \
        try in_rule 'podman_network_isolated web'
    assert_code 2
    assert_equal "$stderr" "there is one already"
    ANSWER_STDERR='of interest' ANSWER_STDOUT=web try in_rule 'podman_network_isolated web'
    assert_code 0
    assert_equal "$output $stderr" "web of interest"
}

@test "nothing runs in a network that could not be made, unless it is as closed" {
    local call said
    for call in '--what build' 'build --what' 'build more' '--internal build --gateway'; do
        try in_rule "podman_network_create $call; podman_run --network build image true"
        assert_code 2
        assert_matches "$stderr" "*podman_run: the network 'build' would not be*"
        assert_equal "$(calls)" 0
    done
    for call in '--internal/false/' '--internal/false/private' '/false/public'; do
        said='"internal": '"$(cut -d/ -f2 <<<"$call")"', "preset": "'"${call##*/}"'"'
        ANSWER_CODE=1 ANSWER_STDOUT=$said \
            try in_rule "podman_network_create build ${call%%/*}; podman_run --network build image true"
        assert_code 2
        assert_matches "$stderr" "*podman_run: the network 'build' would not be what was asked for, as 'podman_network_create' has failed*"
        assert_equal "$(calls)" 2
        rm -r "$RECORD" && mkdir "$RECORD"
    done
    for call in '--internal/true/' '/false/' '/false/private'; do
        said='"internal": '"$(cut -d/ -f2 <<<"$call")"', "preset": "'"${call##*/}"'"'
        ANSWER_CODE=1 ANSWER_STDOUT=$said \
            try in_rule "podman_network_create build ${call%%/*}; podman_run --network build image true"
        assert_code 1
        assert_equal "$(calls)" 3
        rm -r "$RECORD" && mkdir "$RECORD"
    done
}
