"""What bats says of a file of tests is what pytest says of it."""

from __future__ import annotations

import pytest

from tests.rig.bats import Ran

REASON = "the stand-in has no help"


def ran(code: int, *lines: str) -> Ran:
    return Ran(code, "".join(f"{line}\n" for line in (f"1..{len(lines)}", *lines)), frozenset())


def test_a_file_whose_tests_passed_passes() -> None:
    ran(0, "ok 1 a", "ok 2 it may skip").judge("a.bats")


def test_a_file_with_a_test_that_failed_fails_with_what_bats_printed() -> None:
    with pytest.raises(AssertionError, match="not ok 2 b"):
        ran(1, f"ok 1 a # skip {REASON}", "not ok 2 b").judge("a.bats")


def test_a_file_with_tests_that_were_skipped_is_skipped_and_counts_them() -> None:
    with pytest.raises(pytest.skip.Exception, match=f"^2 of 3 tests: {REASON}$"):
        ran(0, f"ok 1 a # skip {REASON}", "ok 2 b", f"ok 3 c # skip {REASON}").judge("a.bats")


def test_a_skip_without_a_reason_counts_as_well() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"^1 of 1 tests: $"):
        ran(0, "ok 1 a # skip").judge("a.bats")
