"""The verdict on an attempt is a function of what was observed."""

from __future__ import annotations

import pytest

from barasync.engine.verdict import Observation, judge, judge_refused_start, remark
from barasync.matrix.outcome import Status

MIB = 1024 * 1024


def seen(**facts: object) -> Observation:
    return Observation(**{"exit_code": 0, "command": ("bar", "tests"), **facts})  # type: ignore[arg-type] # a test's shorthand


def test_exit_code_zero_passes_without_a_reason() -> None:
    verdict = judge(seen(exit_code=0))

    assert (verdict.status, verdict.exit_code, verdict.reason) == (Status.PASSED, 0, "")


def test_another_exit_code_is_a_failure_that_keeps_its_code() -> None:
    verdict = judge(seen(exit_code=3))

    assert (verdict.status, verdict.exit_code) == (Status.FAILED, 3)
    assert "3" in verdict.reason


def test_127_says_that_a_command_was_not_found_and_names_the_program() -> None:
    verdict = judge(seen(exit_code=127))

    assert verdict.status is Status.FAILED
    assert "not found" in verdict.reason
    assert verdict.hint is not None
    assert "`bar`" in verdict.hint


@pytest.mark.parametrize("code", [137, -1])
def test_a_container_killed_at_its_deadline_timed_out(code: int) -> None:
    verdict = judge(seen(exit_code=code, deadline_hit=True, timeout=1.5))

    assert verdict.status is Status.TIMED_OUT
    assert "1.5 s" in verdict.reason
    assert verdict.exit_code is None


def test_a_container_that_ends_by_itself_at_its_deadline_keeps_its_verdict() -> None:
    assert judge(seen(exit_code=0, deadline_hit=True, timeout=1.0)).status is Status.PASSED
    assert judge(seen(exit_code=3, deadline_hit=True, timeout=1.0)).status is Status.FAILED


@pytest.mark.parametrize("seconds", [40.0, 39.5, 400.0])
def test_podmans_own_timeout_is_a_timeout(seconds: float) -> None:
    facts = {"exit_code": -1, "timeout": 10.0, "server_timeout": 40, "seconds": seconds}
    verdict = judge(seen(**facts))

    assert verdict.status is Status.TIMED_OUT
    assert "-1" not in verdict.reason


@pytest.mark.parametrize("limits", [{"timeout": 10.0, "server_timeout": 40}, {}])
def test_an_exit_code_that_podman_lost_before_its_timeout_is_none(
    limits: dict[str, float],
) -> None:
    verdict = judge(seen(exit_code=-1, seconds=38.5, **limits))

    assert verdict.status is Status.INFRASTRUCTURE_ERROR
    assert verdict.exit_code is None
    assert verdict.reason == "podman does not know how the command ended"


def test_podmans_oom_flag_is_out_of_memory() -> None:
    verdict = judge(seen(exit_code=137, oom_killed=True, memory_limit_bytes=64 * MIB))

    assert verdict.status is Status.OUT_OF_MEMORY
    assert "its memory limit of 64 MiB" in verdict.reason


@pytest.mark.parametrize(("code", "status"), [(0, Status.PASSED), (3, Status.FAILED)])
def test_a_child_that_was_killed_for_memory_is_remarked_and_no_verdict(
    code: int, status: Status
) -> None:
    facts = seen(exit_code=code, oom_killed=True, memory_limit_bytes=64 * MIB)

    assert (judge(facts).status, judge(facts).exit_code) == (status, code)
    assert remark(facts) == (
        "it reached its memory limit of 64 MiB, and one of its processes was killed"
    )


def test_there_is_nothing_to_remark_on_what_the_verdict_says() -> None:
    assert remark(seen(exit_code=137, oom_killed=True)) is None
    assert remark(seen(exit_code=137, oom_killed=None)) is None
    assert remark(seen(exit_code=0)) is None


def killed(**facts: object) -> Observation:
    """What is seen of a container that ended with 137 below a limit."""
    return seen(exit_code=137, memory_limit_bytes=64 * MIB, **facts)


@pytest.mark.parametrize("word", [None, False])
def test_a_kill_that_the_kernel_counted_is_out_of_memory_whatever_podman_says(
    word: bool | None,
) -> None:
    assert judge(killed(oom_killed=word, oom_kills=1)).status is Status.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("word", "kills"), [(None, 0), (False, 0), (False, None)], ids=["kernel", "both", "podman"]
)
def test_a_kill_that_was_none_for_memory_is_a_failure_by_sigkill(
    word: bool | None, kills: int | None
) -> None:
    verdict = judge(killed(oom_killed=word, oom_kills=kills))

    assert verdict.status is Status.FAILED
    assert "SIGKILL" in verdict.reason
    assert verdict.hint is None


def test_podmans_word_stands_though_the_kernel_counted_nothing() -> None:
    assert judge(killed(oom_killed=True, oom_kills=0)).status is Status.OUT_OF_MEMORY


def test_where_nothing_tells_the_memory_limit_is_suspected() -> None:
    verdict = judge(killed(oom_killed=None))

    assert (verdict.status, verdict.exit_code) == (Status.FAILED, 137)
    assert verdict.hint is not None
    assert "perhaps it reached its memory limit of 64 MiB" in verdict.hint


def test_a_child_that_the_kernel_counted_is_remarked_too() -> None:
    facts = seen(exit_code=0, oom_killed=None, oom_kills=1, memory_limit_bytes=64 * MIB)

    assert judge(facts).status is Status.PASSED
    assert remark(facts) is not None


def test_a_kill_without_any_limit_is_a_failure_by_sigkill() -> None:
    assert judge(seen(exit_code=137)).status is Status.FAILED


def test_a_signal_is_named() -> None:
    assert "SIGTERM" in judge(seen(exit_code=143)).reason
    assert "signal 100" in judge(seen(exit_code=228)).reason


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("crun: executable file `nope` not found in $PATH: No such file or directory", 127),
        ("crun: open executable: No such file or directory: OCI runtime attempted", 127),
        ("crun: open executable: Permission denied: OCI permission denied", 126),
        ("crun: the path `/etc` is not a regular file: …: OCI permission denied", 126),
    ],
)
def test_a_refused_start_for_a_missing_command_is_the_shells_verdict(
    message: str, code: int
) -> None:
    verdict = judge_refused_start(message, ("nope",))

    assert verdict is not None
    assert (verdict.status, verdict.exit_code) == (Status.FAILED, code)


def test_a_refused_start_for_a_foreign_binary_points_to_the_architecture_check() -> None:
    verdict = judge_refused_start("crun: exec /bin/sh: Exec format error", ("/bin/sh",))

    assert verdict is not None
    assert verdict.status is Status.INFRASTRUCTURE_ERROR
    assert verdict.hint is not None
    assert "arch check" in verdict.hint


def test_a_refused_start_for_a_missing_directory_is_podmans_fault_not_the_commands() -> None:
    message = "crun: cannot chdir to `/nope`: No such file or directory: OCI runtime attempted"

    assert judge_refused_start(message, ("sh",)) is None
