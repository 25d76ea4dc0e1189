# What the tests share; to be sourced. A test prints a line per check and ends with 1 when one failed.
# shellcheck shell=sh

failed=0
trap 'exit $failed' EXIT
export LC_ALL=C

# check WHAT ACTUAL EXPECTED
check() {
    if [ "$2" = "$3" ]; then
        echo "ok: ${0##*/}: $1"
    else
        printf 'FAILED: %s\n  expected: %s\n  actual:   %s\n' "${0##*/}: $1" "$3" "$2"
        failed=1
    fi
}
