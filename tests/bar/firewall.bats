#!/usr/bin/env bats
# What the functions of the firewall send to barasync, and what they refuse before.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    record
}

@test "a configuration is sent with each show" {
    try in_rule '
        podman_firewall_config web
        podman_firewall_allow_port web 443
        podman_firewall_allow_port web 8000-8100 udp
        podman_firewall_allow_network web registry.example.org
        podman_firewall_allow_network web 203.0.113.0/24
        podman_firewall_allow_cidr web 2001:db8::/32
        podman_firewall_show web
        podman_firewall_show --rules web'
    assert_code 0
    local sent=(base=private allow= default=deny allow=443/tcp allow=8000-8100/udp allow=registry.example.org
        allow=203.0.113.0/24 allow=2001:db8::/32)
    assert_equal "$(calls)" 2
    assert_call 1 network show "${sent[@]/#/--define=network.web.}" -- web
    assert_call 2 network show --rules "${sent[@]/#/--define=network.web.}" -- web
}

@test "a container that names it gets the configuration, and others do not" {
    try in_rule '
        podman_firewall_config web public
        podman_firewall_allow_port web 443
        podman_run image --network web true
        podman_run image --network other true'
    assert_code 0
    assert_equal "$(calls)" 2
    assert_equal "$(grep --null-data --regexp=--define "$RECORD/1/argv" | tr '\0' ' ')" \
        "--define=network.web.base=public --define=network.web.allow= --define=network.web.allow=443/tcp "
    assert_equal "$(grep --null-data --count --regexp=--define "$RECORD/2/argv")" 0
}

@test "denying all leaves the entries, before and after" {
    try in_rule '
        podman_firewall_config web public
        podman_firewall_allow_port web 1
        podman_firewall_deny_all web
        podman_firewall_allow_port web 2
        podman_firewall_show web'
    assert_code 0
    local sent=(base=local default=deny allow= allow=1/tcp allow=2/tcp)
    assert_only_call network show "${sent[@]/#/--define=network.web.}" -- web
}

@test "denying all opens nothing that the base isolated closes" {
    try in_rule 'podman_firewall_config web isolated; podman_firewall_deny_all web; podman_firewall_show web'
    assert_code 0
    local sent=(base=isolated default=deny allow=)
    assert_only_call network show "${sent[@]/#/--define=network.web.}" -- web
}

@test "a configuration that begins again is empty" {
    try in_rule '
        podman_firewall_config web
        podman_firewall_allow_port web 1
        podman_firewall_config web isolated
        podman_firewall_show web'
    assert_code 0
    local sent=(base=isolated allow= default=deny)
    assert_only_call network show "${sent[@]/#/--define=network.web.}" -- web
}

@test "without a name all of them are shown, and other networks are barasync's to show" {
    try in_rule 'podman_firewall_show; podman_firewall_config a; podman_firewall_config b; podman_firewall_show; podman_firewall_show public'
    assert_code 0
    assert_equal "$(calls)" 3
    assert_equal "$(cat "$RECORD"/[12]/argv | tr '\0' '\n' | grep --regexp=base= | sort | tr '\n' ' ')" \
        "--define=network.a.base=private --define=network.b.base=private "
    assert_call 3 network show -- public
}

@test "a show that fails ends with its code" {
    ANSWER_CODE=2 ANSWER_STDERR=$'error: allow[0]\n' try in_rule 'podman_firewall_config a && podman_firewall_show a'
    assert_code 2
    assert_equal "$stderr" "error: allow[0]"
}

@test "all of it works at the top level of a Barf too" {
    try at_top '
        podman_firewall_show; podman_firewall_config a; podman_firewall_deny_all a; podman_firewall_allow_port a 1-2
        podman_firewall_allow_network a b.example; podman_firewall_allow_cidr a ::1; podman_firewall_show'
    assert_code 0
    local sent=(base=local default=deny allow= allow=1-2/tcp allow=b.example allow=::1)
    assert_only_call network show "${sent[@]/#/--define=network.a.}" -- a
}

# refuse CALL PATTERN: it ends with 2 and one line, and barasync is not called
refuse() {
    try in_rule "podman_firewall_config web && $1"
    assert_refused 2 "$2"
    assert_equal "$(calls)" 0
}

@test "an entry without a configuration is refused" {
    local call
    for call in "allow_port no 1" "allow_network no 10.0.0.0/8" "allow_cidr no 10.0.0.0/8" "deny_all no"; do
        refuse "podman_firewall_$call" "podman_firewall_${call%% *}: 'podman_firewall_config' comes first"
    done
}

@test "names are no programs" {
    refuse 'podman_firewall_deny_all "\$(touch ran)"' "comes first"
    refuse 'podman_firewall_deny_all "x]=\$(touch ran)"' "comes first"
    [[ ! -e ran ]]
}

@test "names and bases that cannot be meant are refused" {
    local name
    for name in public private local isolated none bridge host; do
        refuse "podman_firewall_config $name" "is a name of barasync"
    done
    refuse 'podman_firewall_config a none' 'none of public, private, local and isolated'
    refuse 'podman_firewall_config' 'podman_firewall_config: too few words; usage: podman_firewall_config <network>'
    refuse 'podman_firewall_config a public more' 'too many words'
    refuse 'podman_firewall_config --what' 'unknown option'
}

@test "ports and addresses that are none are refused" {
    local port
    for port in 0 65536 a 1- -1 1-0 1-2-3 80/tcp 1,2 '" 1"'; do
        refuse "podman_firewall_allow_port web $port" "podman_firewall_allow_port: "
    done
    refuse 'podman_firewall_allow_port web 1 icmp' 'neither tcp nor udp'
    refuse 'podman_firewall_allow_port web' 'too few words'
    refuse 'podman_firewall_allow_cidr web example.org' 'neither an address nor a range'
    refuse 'podman_firewall_allow_cidr web abc' 'neither an address nor a range'
    refuse 'podman_firewall_allow_network web' 'too few words'
    refuse 'podman_firewall_allow_network web $'"'10.0.0.1\\nbase=public'" 'a newline'
    refuse 'podman_firewall_show a b' 'too many words'
    refuse 'podman_firewall_show --what' 'unknown option'
}

# not_run TEXT: what it runs is not run, and its last call is refused with 2
not_run() {
    try in_rule "$1"
    assert_code 2
    assert_equal "$output" ""
    assert_matches "$stderr" "*ERROR:*podman_*: ${2:-the network 'web' would not be what was asked for*}"
    assert_equal "$(calls)" 0
}

@test "a refused call ends nothing in a rule, and nothing runs in its network" {
    local call
    for call in "podman_firewall_allow_port web 0" "podman_firewall_allow_network web" "podman_firewall_allow_cidr web x" \
        "podman_firewall_deny_all web more" "podman_firewall_config web pubic"; do
        not_run "
            podman_firewall_config web public
            $call
            podman_run --network web image true"
    done
    not_run 'podman_firewall_config web pubic; podman_run image --network web true'
    not_run 'podman_firewall_config web; podman_firewall_deny_all web x; podman_matrix tests --network web'
    not_run 'podman_firewall_config web; podman_firewall_deny_all web x; podman_shell image --network web'
    not_run 'podman_firewall_config web; podman_firewall_deny_all web x; podman_firewall_show web'
    not_run 'podman_firewall_config web; podman_firewall_deny_all web x; PODMAN_NETWORK=web; podman_run image true'
    not_run 'declare -A PODMAN_CONFIG_A=([image]=i [network]=web); podman_firewall_config web
        podman_firewall_deny_all web x; podman_matrix tests --config a'
    not_run 'declare -A PODMAN_CONFIG_A=([image]=i [network]=web); podman_firewall_config web
        podman_firewall_deny_all web x; podman_run_with_config a tests'
    not_run 'podman_firewall_config public; podman_run image --network public true' \
        "the network 'public' would not be*"
}

@test "a refused call that names no network that has begun is about all of them" {
    not_run 'podman_firewall_config web public; podman_firewall_deny_all wbe; podman_run --network web image true'
    not_run 'podman_firewall_config web public; podman_firewall_deny_all ""; podman_run --network web image true'
    not_run 'podman_firewall_config web public; podman_firewall_deny_all; podman_run --network web image true'
    not_run 'podman_firewall_deny_all web; podman_firewall_config web public; podman_run --network web image true'
    not_run 'podman_firewall_config; podman_run --network web image true'
}

@test "a network that begins again, other networks and presets are not concerned" {
    try in_rule '
        podman_firewall_config web pubic
        podman_firewall_config web public
        podman_run --network web image true
        podman_firewall_allow_port web 0
        podman_run --network other image true
        podman_firewall_deny_all wbe
        podman_run --network public image true
        podman_run image true'
    assert_code 0
    assert_equal "$(calls)" 4
}

@test "the same entry twice is one entry" {
    try in_rule '
        podman_firewall_config web
        podman_firewall_allow_port web 443
        podman_firewall_allow_port web 443 tcp
        podman_firewall_allow_port web 44
        podman_firewall_show web'
    assert_code 0
    local sent=(base=private allow= default=deny allow=443/tcp allow=44/tcp)
    assert_only_call network show "${sent[@]/#/--define=network.web.}" -- web
}

@test "names that no network can have are refused" {
    local name
    for name in "a b" "a=b" "a/b" ".a" "_a" $'a\nb' "a]" "a*" Public HOST "$(printf '%064d' 1)"; do
        refuse "podman_firewall_config ${name@Q}" "podman_firewall_config: *"
    done
    try in_rule 'podman_firewall_config A.b_c-9 && podman_firewall_show'
    local sent=(base=private allow= default=deny)
    assert_only_call network show "${sent[@]/#/--define=network.A.b_c-9.}" -- A.b_c-9
}

@test "addresses and hosts that are none are refused" {
    local word
    for word in "not a net!" "not a net" localhost any 10.0.0 10.0.0.1/33 256.0.0.1 10.0.0.1/8 10.0.0.0/ \
        10.0.0.0/8/8 fe80::/129 1::2::3 1:2:3 12345:: ::: a..b -a.b a-.b example.1 "example.org 443" \
        "example.org 443/icmp" "example.org 9-8/tcp" "https://example.org" example.org:443 443/tcp "" " " public '*.example.org'; do
        refuse "podman_firewall_allow_network web ${word@Q}" "podman_firewall_allow_network: "
    done
    for word in example.org 256.0.0.1 10.0.0.1/8 1.2.3.4/33 1::2::3 "10.0.0.0/8 443/tcp"; do
        refuse "podman_firewall_allow_cidr web ${word@Q}" "podman_firewall_allow_cidr: "
    done
    refuse 'podman_firewall_allow_port web 90-80' "podman_firewall_allow_port: '90-80' ends before it begins"
}

@test "addresses, ranges and hosts are taken, with ports behind them too" {
    local word sent=(--define=network.web.base=private --define=network.web.allow= --define=network.web.default=deny)
    local words=(10.0.0.0/8 10.1.2.3 10.1.2.3/32 0.0.0.0/0 192.168.4.0/22 :: ::/0 ::1 fe80::/10 2001:db8:0:0:0:0:0:1
        64:ff9b::1.2.3.4 1::8/128 example.org a.b-c.example.org. xn--bcher-kva.example 4.example
        "example.org 443/tcp 8000-8100/udp icmp" "10.0.0.0/8 53/udp")
    for word in "${words[@]}"; do
        sent+=("--define=network.web.allow=$word")
    done
    try in_rule 'podman_firewall_config web
        for word; do podman_firewall_allow_network web "$word" || echo "refused: $word"; done
        podman_firewall_show web' "${words[@]}"
    assert_equal "$output$stderr" ""
    assert_only_call network show "${sent[@]}" -- web
}
