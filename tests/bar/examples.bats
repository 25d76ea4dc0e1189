#!/usr/bin/env bats
# What needs no podman of examples/bar; examples_slow_effect.bats runs each example.

load helper

@test "examples: no rule has the name of one that bar has for something else, or loads a module of bar" {
    local name names
    mapfile -t names < <(sed --quiet --regexp-extended 's/^rule (--[a-z]+ )*([a-z_0-9]+):.*/\2/p' \
        "$HERE/../../examples/bar/Barf")
    ((${#names[@]} > 20))
    echo "rule t: -- 'rule_exists \"\$1\"'" >Barf
    for name in "${names[@]}"; do
        case $name in
            build_bins | test_units | lint_sources | clean) ;;
            *)
                try bar t "$name"
                assert_code 1
                [[ ! -e Bar.d/${name%%_*} ]] || fail "bar has a module for $name"
                ;;
        esac
    done
}
