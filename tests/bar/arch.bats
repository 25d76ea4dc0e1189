# What barasync is asked about podman and architectures.

load helper

setup() {
    project
    record
}

@test "podman is looked for in PATH" {
    mkdir programs
    printf '#!/bin/sh\n' >programs/podman
    chmod +x programs/podman
    PATH=$PWD/programs:$PATH try in_rule 'is_podman_installed && is_podman_installed && echo yes'
    assert_equal "$output" yes
    rm programs/podman
    mkdir without
    ln -s "$(command -v bash)" "$(command -v cat)" "$(command -v tee)" "$(command -v mktemp)" "$(command -v rm)" \
        "$(command -v sha1sum)" "$(command -v env)" without/
    try in_rule 'PATH=$PWD/without; is_podman_installed || echo no'
    assert_equal "$output" no
    try in_rule 'is_podman_installed x || echo "$?"'
    assert_equal "$output" 2
    assert_equal "$(calls)" 0
}

@test "each question is one call" {
    in_rule 'podman_version; is_podman_arch_available aarch64; podman_arch_available arm64; is_qemu_available arm64
        podman_normalize_arch ARM64; podman_normalize_platform arm64; podman_get_native_arch
        podman_list_available_archs; podman_arch_setup; podman_arch_setup arm64 riscv64'
    assert_call 1 version --service
    assert_call 2 arch check -- aarch64
    assert_call 3 arch check -- arm64
    assert_call 4 arch list --names --emulated -- arm64
    assert_call 5 arch name -- ARM64
    assert_call 6 arch name --platform -- arm64
    assert_call 7 arch name
    assert_call 8 arch list --names
    assert_call 9 arch setup --
    assert_call 10 arch setup -- arm64 riscv64
    assert_equal "$(calls)" 10
}

@test "a name that begins with a dash is no option of barasync" {
    in_rule 'is_podman_arch_available --help; podman_normalize_arch -x'
    assert_call 1 arch check -- --help
    assert_call 2 arch name -- -x
}

@test "predicates print nothing and keep the code" {
    export ANSWER_STDOUT='s390x does not work: no emulator'
    ANSWER_CODE=1 try in_rule 'is_podman_arch_available s390x || echo "$?"; is_qemu_available s390x || echo "$?"'
    assert_equal "$output" $'1\n1'
    assert_equal "$stderr" ""
    ANSWER_CODE=4 try in_rule 'is_podman_arch_available s390x || echo "$?"'
    assert_equal "$output" 4
    try in_rule 'is_podman_arch_available s390x && is_qemu_available s390x'
    assert_code 0
    assert_equal "$output" ""
}

@test "why an architecture is not available is said on stderr" {
    export ANSWER_STDOUT=$'s390x    does not work: no emulator\n'
    ANSWER_CODE=1 try in_rule 'podman_arch_available s390x || echo "$?"'
    assert_equal "$output" 1
    assert_equal "$stderr" "s390x    does not work: no emulator"
    try in_rule 'podman_arch_available s390x'
    assert_code 0
    assert_equal "$output$stderr" ""
}
