"""A rule in an image without bash is told from one that failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from barasync.aiopodman import Chunk, Stream
from barasync.artifacts.place import Place
from barasync.config.schema import CellSettings
from barasync.engine.first_words import FirstWords, with_bash_missed
from barasync.engine.job import Job
from barasync.matrix.cells import Cell
from barasync.matrix.outcome import Outcome, Status
from barasync.matrix.platforms import parse

# As crun 1.8.1 and 1.21 print it, and as env does of coreutils, of busybox.
CRUN = (
    '{"msg":"exec container process (missing dynamic library?) `/workspace/./bar`: No such file or '
    'directory","level":"error","time":"2026-01-01T00:00:00.000000Z"}\n'
)
COREUTILS = "/usr/bin/env: \u2018bash\u2019: No such file or directory\n"
BUSYBOX = "env: can't execute 'bash': No such file or directory\n"


def job(*command: str) -> Job:
    settings = CellSettings(image="tiny:1", command=command)
    cell = Cell(
        id="a",
        arch="amd64",
        platform=parse("amd64"),
        config=None,
        settings=settings,
        provenance={},
    )
    words = command or ("./bar", "tests")
    place = Place(-1, Path("/nowhere"))
    return Job(cell=cell, number=1, image="i", command=words, environment={}, artifacts=place)


def failed(code: int, **more: Any) -> Outcome:
    return Outcome(status=Status.FAILED, exit_code=code, reason=f"exit code {code}", **more)


@pytest.mark.parametrize(("code", "words"), [(1, CRUN), (127, COREUTILS), (127, BUSYBOX)])
def test_the_bash_that_bar_takes_is_missed_in_the_image(code: int, words: str) -> None:
    outcome = with_bash_missed(failed(code), job(), words)

    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 127)
    assert outcome.reason == "`./bar` was not executed: image tiny:1 has no bash"
    assert "podman_layer_bar" in (outcome.hint or "")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (failed(1), "./bar: line 3: no such file or directory\n"),
        (failed(1), ""),
        (failed(2), CRUN),
        (Outcome(status=Status.PASSED, exit_code=0), CRUN),
        (Outcome(status=Status.TIMED_OUT), CRUN),
    ],
)
def test_what_ended_otherwise_stays_as_it_is(outcome: Outcome, words: str) -> None:
    assert with_bash_missed(outcome, job(), words) is outcome


def test_a_command_that_is_not_bars_is_not_suspected() -> None:
    outcome = failed(1)

    assert with_bash_missed(outcome, job("./bar", "tests"), CRUN) is outcome


@pytest.mark.anyio
async def test_only_what_is_short_is_kept_and_all_is_passed_on() -> None:
    passed: list[bytes] = []

    class Log:
        async def write(self, chunk: Chunk) -> None:
            passed.append(chunk.data)

    words = FirstWords(Log())
    await words.write(Chunk(Stream.STDERR, b"one "))
    await words.write(Chunk(Stream.STDOUT, b"two"))
    short = words.all
    await words.write(Chunk(Stream.STDOUT, b"x" * 5000))
    await words.write(Chunk(Stream.STDOUT, b"y"))

    assert (short, words.all) == ("one two", "")
    assert passed == [b"one ", b"two", b"x" * 5000, b"y"]
