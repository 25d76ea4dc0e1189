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
    local sent=(base=private allow=443/tcp allow=8000-8100/udp allow=registry.example.org
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
        "--define=network.web.base=public --define=network.web.allow=443/tcp "
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
    local sent=(base=local default=deny allow=1/tcp allow=2/tcp)
    assert_only_call network show "${sent[@]/#/--define=network.web.}" -- web
}

@test "a configuration that begins again is empty" {
    try in_rule '
        podman_firewall_config web
        podman_firewall_allow_port web 1
        podman_firewall_config web isolated
        podman_firewall_show web'
    assert_code 0
    assert_only_call network show --define=network.web.base=isolated -- web
}

@test "without a name all of them are shown, and other networks are barasync's to show" {
    try in_rule 'podman_firewall_show; podman_firewall_config a; podman_firewall_config b; podman_firewall_show; podman_firewall_show public'
    assert_code 0
    assert_equal "$(calls)" 3
    assert_equal "$(cat "$RECORD"/[12]/argv | tr '\0' '\n' | grep --regexp=--define | sort | tr '\n' ' ')" \
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
    local sent=(base=local default=deny allow=1-2/tcp allow=b.example allow=::1)
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
