#!/usr/bin/env bats
# The toolchains that take minutes to install; see toolchains_effect.bats.
# shellcheck disable=SC2016 # texts are for the rule
load helper

# In an image with the toolchain TOOL, SCRIPT prints 42: prints_42 TOOL SCRIPT
prints_42() {
    try_loading 'podman_layer_toolchain "bar-test:$2" "$1" "$2"' "$DEBIAN_IMAGE" "$1"
    assert_code 0
    assert_equal "$(podman run --rm --network none "bar-test:$1" sh -ec "cd /tmp; $2")" 42
}

@test "podman_layer_toolchain: python executes a program" {
    prints_42 python 'python3 -m venv --without-pip v; v/bin/python -c "print(6 * 7)"'
}

@test "podman_layer_toolchain: go compiles a program that runs" {
    prints_42 go 'printf "%s\n" "package main" "func main() { println(6 * 7) }" >p.go; go run p.go 2>&1'
}

@test "podman_layer_toolchain: rust compiles a program that runs" {
    prints_42 rust 'cargo new --vcs none p >/dev/null 2>&1; cd p; cat >src/main.rs <<"END"
fn main() { println!("{}", 6 * 7); }
END
cargo run --quiet --offline'
}

@test "podman_layer_toolchain: node executes a program" {
    prints_42 node 'npm --version >&2; node -e "console.log(6 * 7)"'
}
