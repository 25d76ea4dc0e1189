#!/usr/bin/env bats
# Which packets pass under a firewall that a rule configures.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    net=barasync-test-fw
}

teardown() {
    podman network rm --force "$net" >/dev/null 2>&1 || true
    barasync clean >/dev/null
}

# What became of probes (see PROBE) in a container under a firewall: after TEXT configures the firewall
# "web", `probed TEXT PROTOCOL ADDRESS PORT [PROTOCOL ADDRESS PORT…]` prints a word for each.
probed() {
    local text=$1 probes="" words
    read -r -a words <<<"$PROBE"
    shift
    while (($# > 0)); do
        probes+="${probes:+, }[\"$1\", \"$2\", $3]"
        shift 3
    done
    in_rule "$text"' && podman_run --no-stdin --network web "$@"' "$PROBE_IMAGE" "${words[@]}" "[$probes]" |
        tr --delete '[]",'
}

@test "podman_firewall_config: without entries it is its base, private or another one" {
    local hosts=(tcp "$PUBLIC_HOST" 8080 tcp "$PRIVATE_HOST" 8080)
    assert_equal "$(probed 'podman_firewall_config web' "${hosts[@]}")" "closed reached"
    assert_equal "$(probed 'podman_firewall_config web public' "${hosts[@]}")" "reached closed"
}

@test "podman_firewall_config: a network that was made is joined by the containers under it" {
    in_rule 'podman_network_create "$1"' "$net"
    in_rule 'podman_firewall_config "$1" private && podman_run --no-stdin --detach --network "$1" "$2" sleep 600' \
        "$net" "$BUSYBOX" >name
    run podman container inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' "$(<name)"
    podman rm --force --time 0 "$(<name)"
    assert_equal "$output" "$net "
}

@test "podman_firewall_show: of a network that was made it says that containers join it" {
    in_rule 'podman_network_create "$1"' "$net"
    try in_rule 'podman_firewall_config "$1" public && podman_firewall_show "$1"' "$net"
    assert_code 0
    assert_matches "$output" "*$net, which is there already*"
}

@test "podman_firewall_allow_port: the port of every host passes, and the next one does not" {
    local text='podman_firewall_config web && podman_firewall_deny_all web && '
    assert_equal "$(probed "$text podman_firewall_allow_port web 8080" \
        tcp "$PUBLIC_HOST" 8080 tcp "$PUBLIC_HOST" 80 tcp "$PRIVATE_HOST" 8080 udp "$PUBLIC_HOST" 8080)" \
        "reached closed reached EPERM"
    assert_equal "$(probed "$text podman_firewall_allow_port web 8000-9000 udp" \
        udp "$PUBLIC_HOST" 8080 udp "$PUBLIC_HOST" 443 tcp "$PUBLIC_HOST" 8080)" "reached EPERM closed"
}

@test "podman_firewall_allow_network: addresses in it pass, and its neighbours do not" {
    local range=${PUBLIC_HOST%.*}.0/24
    assert_equal "$(probed "podman_firewall_config web && podman_firewall_deny_all web && podman_firewall_allow_network web $range" \
        tcp "$PUBLIC_HOST" 8080 tcp "$PRIVATE_HOST" 8080)" "reached closed"
}

@test "podman_firewall_allow_network: a host passes by its name, beside what a file says of the network" {
    printf '[network.web]\ndns = ["%s"]\n' "$NAME_SERVER" >barasync.toml
    assert_equal "$(probed "podman_firewall_config web && podman_firewall_deny_all web && podman_firewall_allow_network web $NAMED_HOST" \
        tcp "$NAMED_HOST" 8080 tcp "$PRIVATE_HOST" 8080 name other.bar.test 0)" "reached closed unknown"
}

@test "podman_firewall_allow_cidr: addresses of both kinds pass" {
    local text='podman_firewall_config web && podman_firewall_deny_all web && '
    assert_equal "$(probed "$text podman_firewall_allow_cidr web $PUBLIC_HOST/32" \
        tcp "$PUBLIC_HOST" 8080 tcp "$PUBLIC_HOST_6" 8080)" "reached closed"
    assert_equal "$(probed "$text podman_firewall_allow_cidr web $PUBLIC_HOST_6" \
        tcp "$PUBLIC_HOST" 8080 tcp "$PUBLIC_HOST_6" 8080)" "closed reached"
}

@test "podman_firewall_allow_cidr: a range with bits behind its prefix is refused before anything runs" {
    try in_rule 'podman_firewall_config web && podman_firewall_allow_cidr web 10.0.0.1/8 && podman_run --no-stdin --network web "$1" true' "$BUSYBOX"
    assert_code 2
    assert_matches "$stderr" "*by its first address, '10.0.0.1/8'*"
}

@test "podman_firewall_deny_all: nothing passes but the loopback interface" {
    local text='podman_firewall_config web private'
    assert_equal "$(probed "$text" tcp "$PRIVATE_HOST" 8080 tcp 127.0.0.1 9000)" "reached reached"
    assert_equal "$(probed "$text && podman_firewall_deny_all web" tcp "$PRIVATE_HOST" 8080 tcp 127.0.0.1 9000)" \
        "ENETUNREACH reached"
    text='podman_firewall_config web isolated'
    assert_equal "$(probed "$text && podman_firewall_deny_all web" tcp 127.0.0.1 9000)" closed
}

@test "podman_firewall_config: what a file allows a network of that name is not of it" {
    printf '[network.web]\ndefault = "accept"\nallow = ["0.0.0.0/0", "::/0"]\n' >barasync.toml
    local call
    for call in true "podman_firewall_deny_all web"; do
        assert_equal "$(probed "podman_firewall_config web local && $call" tcp "$PUBLIC_HOST" 8080 tcp "$PRIVATE_HOST" 8080)" \
            "ENETUNREACH ENETUNREACH"
    done
}

@test "podman_firewall_show: its entries, and the rules as a container has them" {
    local text="podman_firewall_config web && podman_firewall_allow_cidr web $PUBLIC_HOST && podman_firewall_allow_port web 8443"
    try in_rule "$text && podman_firewall_show web"
    assert_code 0
    assert_matches "$output" "*$PUBLIC_HOST*"
    assert_matches "$output" "*8443/tcp*"
    try in_rule "$text && podman_firewall_show web --rules"
    assert_code 0
    assert_matches "$output" "*$PUBLIC_HOST*"
    assert_matches "$output" "*8443*"
}

@test "podman_firewall_show: what is neither configured nor there is refused" {
    try in_rule 'podman_firewall_show no-such-network'
    assert_code 2
}

@test "podman_firewall_deny_all: where it names another network by mistake nothing runs in the open one" {
    try in_rule 'podman_firewall_config web public
        podman_firewall_deny_all wbe
        podman_run --no-stdin --network web "$1" echo ran' "$BUSYBOX"
    assert_code 2
    assert_equal "$output" ""
}
