#!/usr/bin/env bats
# Which packets pass in the networks that are made.
# shellcheck disable=SC2016 # texts are for the rule
load helper

setup() {
    project
    net=barasync-test-$BATS_TEST_NUMBER
    boxes=()
}

teardown() {
    ((${#boxes[@]} == 0)) || podman rm --force --time 0 "${boxes[@]}" >/dev/null || true
    podman network rm --force "$net" "$net-other" >/dev/null 2>&1 || true
    barasync clean >/dev/null
}

# What a container of the rule may reach: that it began, and a line for each that answers, public and private.
REACH='echo began; for host in "$@"; do ! nc -w 60 "$host" 8080 </dev/null; done; true'

# reached TEXT [ARG…]: TEXT is a rule's body in which `reach OPTION…` runs the container
reached() {
    in_rule "reach() { podman_run --no-stdin \"\$@\" $BUSYBOX sh -c '$REACH' sh $PUBLIC_HOST $PRIVATE_HOST; }; $1" "${@:2}"
}

@test "podman_network_create: containers in it find each other by name, and others do not" {
    local server
    try in_rule 'podman_network_create "$1"' "$net"
    assert_code 0
    server=$(in_rule 'podman_run --no-stdin --detach --network "$1" "$2" \
        sh -c "while :; do echo found | nc -l -p 8080; done"' "$net" "$BUSYBOX" 2>/dev/null)
    boxes=("$server")
    try in_rule 'podman_run --no-stdin --timeout 60 --network "$1" "$2" sh -c "$3" sh "$4"' "$net" "$BUSYBOX" \
        'until nc "$1" 8080 </dev/null 2>/dev/null; do sleep 0.1; done' "$server"
    assert_code 0
    assert_equal "$output" found
    try in_rule 'podman_run --no-stdin --timeout 60 --network private "$1" nc "$2" 8080' "$BUSYBOX" "$server"
    assert_code 1
    assert_matches "$stderr" "*bad address*$server*"
}

@test "podman_network_create: --subnet and --gateway are where its containers are, and how they leave" {
    try in_rule 'podman_network_create --subnet 10.211.20.0/24 --gateway 10.211.20.9 --subnet fd21:1900::/64 "$1" &&
        podman_run --no-stdin --network "$1" "$2" sh -c "ip addr show dev eth0; ip route"' "$net" "$BUSYBOX"
    assert_code 0
    assert_matches "$output" "*inet 10.211.20.*inet6 fd21:1900::*default via 10.211.20.9 *"
}

@test "podman_network_create: its containers have an address of IPv6 with --ipv6 only" {
    local word
    for word in --ipv6 ""; do
        try in_rule 'podman_network_create $3 "$1" && podman_run --no-stdin --network "$1" "$2" ip addr show dev eth0' \
            "$net" "$BUSYBOX" "$word"
        assert_code 0
        assert_matches "$output" "*inet 10.*"
        assert_equal "$(grep --only-matching 'inet6 fd' <<<"$output")" "${word:+inet6 fd}"
        podman network rm "$net"
    done
}

@test "podman_network_create: its options are those of the network" {
    try in_rule 'podman_network_create --internal --no-dns --label purpose=test "$1"' "$net"
    assert_code 0
    assert_equal "$(podman network inspect --format '{{.Internal}} {{.DNSEnabled}} {{.Labels.purpose}}' "$net")" \
        "true false test"
    run podman run --rm --network "$net" "$BUSYBOX" sh -c "nc -w 3 $PUBLIC_HOST 8080 </dev/null"
    assert_code 1
}

@test "podman_network_create: a name that is taken is refused" {
    in_rule 'podman_network_create "$1"' "$net"
    try in_rule 'podman_network_create "$1"' "$net"
    assert_code 2
    assert_matches "$stderr" "*$net*"
}

@test "podman_network_exists: it is there from its making to its end" {
    try in_rule 'podman_network_exists "$1"' "$net"
    assert_code 1
    in_rule 'podman_network_create "$1"' "$net"
    try in_rule 'podman_network_exists "$1"' "$net"
    assert_code 0
    podman network rm "$net"
    try in_rule 'podman_network_exists "$1"' "$net"
    assert_code 1
    assert_equal "$output$stderr" ""
}

@test "podman_network_list: what was made is listed, with who made it" {
    in_rule 'podman_network_create "$1"' "$net"
    try in_rule podman_network_list
    assert_code 0
    assert_matches "$output" "*$net *barasync*"
    try in_rule 'podman_network_list --json'
    assert_code 0
    assert_matches "$output" "*\"$net\"*"
}

@test "podman_network_remove: it is gone" {
    in_rule 'podman_network_create "$1"' "$net"
    try in_rule 'podman_network_remove "$1"' "$net"
    assert_code 0
    run ! podman network exists "$net"
    try in_rule 'podman_network_remove "$1"' "$net"
    assert_code 2
}

@test "podman_network_remove: one with a container in it stays" {
    in_rule 'podman_network_create "$1"' "$net"
    boxes=("$net-box")
    podman run --detach --name "$net-box" --network "$net" "$BUSYBOX" sleep 600
    try in_rule 'podman_network_remove "$1"' "$net"
    assert_code 1
    podman network exists "$net"
}

@test "podman_network_preset: what it allows holds in another run of bar" {
    in_rule 'podman_network_preset "$1" public' "$net"
    assert_equal "$(reached 'reach --network "$1"' "$net")" $'began\n'"$PUBLIC_HOST"
    podman network rm "$net"
    in_rule 'podman_network_preset "$1" private' "$net"
    assert_equal "$(reached 'reach --network "$1"' "$net")" $'began\n'"$PRIVATE_HOST"
}

@test "podman_network_preset: another preset is refused" {
    try in_rule 'podman_network_preset "$1" open' "$net"
    assert_code 2
    assert_matches "$stderr" "*public*private*local*isolated*"
    run ! podman network exists "$net"
}

# A network that FUNCTION makes, and what runs after it without a network, reach this HOST: assert_reaches FUNCTION [HOST]
assert_reaches() {
    local expected=began${2:+$'\n'$2}
    in_rule "$1"' "$1"' "$net"
    assert_equal "$(reached 'reach --network "$1"' "$net")" "$expected"
    assert_equal "$(reached "$1 && reach")" "$expected"
}

# Prints what a container says after FUNCTION: `began`, and `here` where it can speak to itself.
said_to_itself() {
    in_rule "$1"' && podman_run --no-stdin "$1" sh -c "$2"' "$BUSYBOX" 'echo began; nc -l -p 8080 -e echo here &
        until grep -q :1F90 /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done; nc -w 60 127.0.0.1 8080' 2>/dev/null || true
}

@test "podman_network_public: the internet is reached, and no private address" {
    assert_reaches podman_network_public "$PUBLIC_HOST"
    assert_equal "$(reached 'podman_network_local; reach --network public')" $'began\n'"$PUBLIC_HOST"
}

@test "podman_network_public: as what a rule depends on" {
    printf '%s\n' 'require podman' \
        "rule t: podman_network_public -- 'podman_run --no-stdin $BUSYBOX nc -w 60 $PUBLIC_HOST 8080'" >Barf
    assert_equal "$(bar t 2>/dev/null)" "$PUBLIC_HOST"
}

@test "podman_network_isolated: as what a rule depends on, after another one that is public" {
    cat >Barf <<END
rule first: podman_network_isolated -- reaching
rule second: podman_network_public -- reaching
rule third: podman_network_isolated -- reaching
rule all_three: first second third
function reaching { podman_run --no-stdin $BUSYBOX sh -c '$REACH' sh $PUBLIC_HOST $PRIVATE_HOST; }
END
    assert_equal "$(bar all_three 2>/dev/null)" $'began\nbegan\n'"$PUBLIC_HOST"$'\nbegan'
}

@test "podman_network_private: private addresses are reached, and not the internet" {
    assert_reaches podman_network_private "$PRIVATE_HOST"
}

@test "podman_network_local: the loopback interface alone is reached" {
    assert_reaches podman_network_local
    assert_equal "$(said_to_itself podman_network_local)" $'began\nhere'
}

@test "podman_network_isolated: nothing is reached, the loopback interface neither" {
    assert_reaches podman_network_isolated
    assert_equal "$(said_to_itself podman_network_isolated)" began
}

# Whether a line comes from a PORT of this host; `said` is what it says.
says_something() {
    said=$(timeout 5 bash -c 'exec 4<>"/dev/tcp/127.0.0.1/$1" && read -r line <&4 && echo "$line"' _ "$1" 2>/dev/null)
}

@test "podman_port_map: the port answers here" {
    local port said=""
    # A port may be taken.
    for port in $(shuf --input-range 20000-29999 --head-count 5); do
        ! in_rule 'podman_run --no-stdin --detach --publish "$(podman_port_map 8080/tcp "$2")" "$1" \
            sh -c "while :; do echo published | nc -l -p 8080; done"' "$BUSYBOX" "$port" >name || break
    done
    boxes=("$(<name)")
    eventually says_something "$port"
    assert_equal "$said" published
}

@test "podman_network_isolated: of a network that is more open nothing is taken for isolated" {
    try in_rule 'podman_network_public "$1"
        podman_network_isolated "$1"
        podman_run --no-stdin --network "$1" "$2" echo ran' "$net" "$BUSYBOX"
    assert_code 2
    [[ $output != *ran* ]]
    try in_rule 'podman_network_public "$1" && podman_run --no-stdin --network "$1" "$2" echo ran' "$net" "$BUSYBOX"
    assert_code 0
    assert_equal "$output" ran
    assert_equal "$stderr" ""
}
