"""Commands that were started without one of their standard streams, or with one that is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fake.service import FakeService
from tests.rig.command import Barasync, Ended

PRINTING = [("image", "list"), ("container", "list"), ("--version",), ("--help",), ("doctor",)]
CLOSED = "barasync: stdout cannot be written: Bad file descriptor\n"
FULL = "barasync: stdout cannot be written: No space left on device\n"


@pytest.fixture
def barasync(tmp_path: Path) -> Iterator[Barasync]:
    """The command line in an empty project, with a podman."""
    directory = tmp_path / "project"
    directory.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb"}
    with FakeService.running() as service:
        yield Barasync(directory, service.endpoint.url, environ)


def redirected(barasync: Barasync, how: str, *words: str) -> Ended:
    """Run a command with what a shell does to its streams."""
    return replace(barasync, within=("/bin/sh", "-c", f'exec "$@" {how}', "sh"))(*words)


@pytest.mark.parametrize("words", PRINTING)
def test_without_stdout_nothing_is_a_success_that_prints(
    barasync: Barasync, words: tuple[str, ...]
) -> None:
    ended = redirected(barasync, ">&-", *words)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.endswith(CLOSED)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", PRINTING)
def test_a_full_disk_is_no_defect_of_ours(barasync: Barasync, words: tuple[str, ...]) -> None:
    ended = redirected(barasync, ">/dev/full", *words)

    assert ended.code == 1
    assert ended.err.endswith(FULL)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", PRINTING[:-1])
@pytest.mark.parametrize("how", ["2>&-", "<&-", "<&- 2>&-"])
def test_without_stdin_or_stderr_a_command_does_what_it_does(
    barasync: Barasync, how: str, words: tuple[str, ...]
) -> None:
    usual = barasync(*words)

    ended = redirected(barasync, how, *words)

    assert (ended.code, ended.out) == (usual.code, usual.out)
    assert "Traceback" not in ended.err


def test_an_error_keeps_its_exit_code_where_nobody_can_be_told(barasync: Barasync) -> None:
    for how in ("2>&-", "<&- >&- 2>&-", "2>/dev/full"):
        assert redirected(barasync, how, "nonsense").code == 2
        assert redirected(barasync, how, "matrix", "tests", "--select", "nothing").code == 3
    assert redirected(barasync, "<&- >&- 2>&-", "image", "list").code == 1


def test_what_is_wrong_is_said_before_that_stdout_takes_nothing(barasync: Barasync) -> None:
    ended = redirected(barasync, ">&-", "matrix", "tests", "--no-such-option")

    assert ended.code == 2
    assert "--no-such-option" in ended.err
    assert "stdout" not in ended.err
