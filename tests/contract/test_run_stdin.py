"""`barasync run --stdin` on real podman: what its command reads, whoever stands still or leaves."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.rig.command import Barasync, read_errors_until, read_until, without_note
from tests.rig.services import RigService

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def barasync(service: RigService, no_run_stays: None, tmp_path: Path) -> Barasync:
    """The command line in an empty project; nothing of a run is left after it."""
    del no_run_stays
    project = tmp_path / "project"
    project.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Barasync(project, service.endpoint.url, environ, timeout=100)


def piped(barasync: Barasync, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose stdin is a pipe."""
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(data, timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, out, without_note(err))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("option", ["--stdin", "-i"])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_stdin_arrives_and_ends(barasync: Barasync, busybox: str, option: str, size: int) -> None:
    data = os.urandom(size)

    done = piped(barasync, data, "run", option, busybox, "--", "sh", "-c", "sha256sum; exit 7")

    assert (done.returncode, done.stdout.split()[0].decode()) == (7, digest(data)), done.stderr


def test_without_the_option_stdin_is_left_to_others(barasync: Barasync, busybox: str) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(b"a line\n")
    with barasync.running("run", busybox, "--", "cat", stdin=reader) as process:
        out, _ = process.communicate(timeout=100)
    with os.fdopen(reader, "rb") as file:
        left = file.read()

    assert (process.returncode, out, left) == (0, b"", b"a line\n")


def test_megabytes_of_stdin_come_back_whole(barasync: Barasync, busybox: str) -> None:
    data = os.urandom(1_000_000) * 50

    done = piped(barasync, data, "run", "--stdin", busybox, "--", "tee", "/dev/stderr")

    assert done.returncode == 0
    assert (len(done.stdout), digest(done.stdout)) == (len(data), digest(data))
    assert digest(done.stderr[: len(data)]) == digest(data)
    # Podman's log has been begun anew by then, and is looked at where a busy host is late.
    assert done.stderr[len(data) :] == b"" or b"cannot be verified" in done.stderr[len(data) :]
    (cell,) = barasync.result()["cells"]
    assert (cell["output"]["stdout_bytes"], cell["output"]["complete"]) == (len(data), True)
    for name in ("stdout.log", "stderr.log"):
        log = barasync.record() / "cells" / cell["id"] / name
        assert digest(log.read_bytes()) == digest(data)


def test_question_and_answer(barasync: Barasync, busybox: str) -> None:
    script = "while read -r line; do echo got $line; done; echo end"
    words = ("run", "--stdin", busybox, "--", "sh", "-c", script)
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for number in range(3):
            process.stdin.write(f"{number}\n".encode())
            process.stdin.flush()
            read_until(process, f"got {number}", 1)
        process.stdin.close()
        read_until(process, "end", 1)
        assert process.wait(60) == 0


@contextmanager
def endless() -> Iterator[int]:
    """A pipe that `yes` fills, for as long as the block lasts and somebody reads."""
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.fileno()
        finally:
            process.kill()


def test_a_reader_that_leaves_ends_what_would_be_fed_for_ever(
    barasync: Barasync, busybox: str
) -> None:
    words = ("run", "--stdin", busybox, "--", "cat")
    with endless() as source, barasync.running(*words, stdin=source) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(100) == 141
        assert process.stderr is not None
        assert without_note(process.stderr.read()) == b""


def test_a_reader_that_leaves_after_the_end_of_stdin_ends_what_prints_for_ever(
    barasync: Barasync, busybox: str
) -> None:
    words = ("run", "--stdin", busybox, "--", "sh", "-c", "cat; yes")
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one\n")
        process.stdin.close()
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(100) == 141
        assert process.stderr is not None
        assert without_note(process.stderr.read()) == b""


@pytest.mark.parametrize("script", ["exit 4", "sleep 2; exit 4", "head -n 3 >/dev/null; exit 4"])
def test_a_command_that_does_not_read_all_of_its_stdin_ends_as_it_ends(
    barasync: Barasync, busybox: str, script: str
) -> None:
    words = ("run", "--stdin", busybox, "--", "sh", "-c", f"echo begun; {script}")
    with endless() as source, barasync.running(*words, stdin=source) as process:
        out, err = process.communicate(timeout=100)

    assert (process.returncode, out, without_note(err)) == (4, b"begun\n", b"")


def test_a_command_that_closes_its_stdin_is_heard_to_its_end(
    barasync: Barasync, busybox: str
) -> None:
    script = "head -n 3; exec <&-; sleep 1; seq 200000; exit 6"
    words = ("run", "--stdin", busybox, "--", "sh", "-c", script)
    with endless() as source, barasync.running(*words, stdin=source) as process:
        out, err = process.communicate(timeout=100)

    assert (process.returncode, without_note(err)) == (6, b"")
    assert out == b"y\n" * 3 + b"".join(b"%d\n" % number for number in range(1, 200_001))


def test_a_command_that_ends_does_not_wait_for_more_of_its_stdin(
    barasync: Barasync, busybox: str
) -> None:
    words = ("run", "--stdin", busybox, "--", "sh", "-c", "read -r line; echo $line; exit 4")
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"over\n")
        process.stdin.flush()
        assert process.wait(100) == 4
        assert process.stdout is not None
        assert process.stdout.read() == b"over\n"


@pytest.mark.parametrize("script", ["cat", "sleep 1000"])
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "endless"])
def test_a_deadline_ends_a_command_whatever_its_stdin_does(
    barasync: Barasync, busybox: str, script: str, *, silent: bool
) -> None:
    words = ("run", "-i", "--timeout", "2", busybox, "--", "sh", "-c", f"{script} >/dev/null")
    with (
        endless() as source,
        barasync.running(*words, stdin=subprocess.PIPE if silent else source) as process,
    ):
        assert process.wait(100) == 124
        assert process.stderr is not None
        assert b"ran longer than 2 s and was killed" in process.stderr.read()


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "endless"])
def test_ctrl_c_ends_a_command_that_reads(
    barasync: Barasync, busybox: str, *, silent: bool
) -> None:
    words = ("run", "--stdin", busybox, "--", "sh", "-c", "echo ready; cat >/dev/null")
    with (
        endless() as source,
        barasync.running(*words, stdin=subprocess.PIPE if silent else source) as process,
    ):
        read_until(process, "ready", 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(100) == 130


def test_memory_is_bounded_when_nobody_reads_what_is_printed(
    barasync: Barasync, busybox: str
) -> None:
    words = ("run", "--stdin", busybox, "--", "sh", "-c", "echo ready >&2; cat; exit 3")
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        read_errors_until(process, "ready")
        before = peak_megabytes(process.pid)
        for _ in range(200):
            process.stdin.write(bytes(1_000_000))
        process.stdin.flush()
        after = peak_megabytes(process.pid)
        process.stdin.close()
        pieces = iter(partial(process.stdout.read, 1 << 20), b"")
        printed = sum(len(piece) for piece in pieces)
        assert process.wait(100) == 3

    assert printed == 200_000_000
    assert after < before + 60


def test_no_more_is_read_than_the_command_takes(barasync: Barasync, busybox: str) -> None:
    words = ("run", "--stdin", busybox, "--", "sh", "-c", "echo ready; exec sleep 1000")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with (
        os.fdopen(reader) as read_end,
        os.fdopen(writer, "wb", buffering=0) as write_end,
        barasync.running(*words, stdin=reader) as process,
    ):
        read_end.close()
        read_until(process, "ready", 1)
        before, given = peak_megabytes(process.pid), 0
        # It stands still once nothing has been taken for so long.
        while select.select([], [write_end], [], 5)[1]:
            given += write_end.write(bytes(65536))
        after = peak_megabytes(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(100) == 130

    assert given < 20_000_000
    assert after < before + 20


def peak_megabytes(process: int) -> int:
    """Return how much memory a process has had at most, at once."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


def test_stdin_may_be_a_file_and_be_closed(barasync: Barasync, busybox: str) -> None:
    place = barasync.directory / "input"
    place.write_bytes(b"of a file\n" * 20_000)
    words = ("run", "--stdin", busybox, "--", "cat")

    with place.open("rb") as file, barasync.running(*words, stdin=file.fileno()) as process:
        of_file, _ = process.communicate(timeout=100)
    closed = replace(barasync, within=("sh", "-c", 'exec "$@" <&-', "sh"))(*words)

    assert digest(of_file) == digest(place.read_bytes())
    assert (closed.code, closed.out) == (0, ""), closed.err


def test_a_stdin_that_cannot_be_read_is_said_and_is_no_end(
    barasync: Barasync, busybox: str
) -> None:
    script = "cat && echo as if that were all"
    place = barasync.directory / "only-written"

    with (
        place.open("wb") as file,
        barasync.running(
            "run", "--stdin", busybox, "--", "sh", "-c", script, stdin=file.fileno()
        ) as process,
    ):
        out, err = process.communicate(timeout=100)

    assert (process.returncode, out) == (125, b"")
    assert b"stdin cannot be read: Bad file descriptor; the command was ended" in err


def test_what_was_read_is_not_there_for_another_attempt(barasync: Barasync, busybox: str) -> None:
    barasync.configure('[defaults]\nretries = 3\nretry_on = ["failed"]\n')

    done = piped(barasync, b"x", "run", "-i", busybox, "--", "sh", "-c", "wc -c; exit 1")

    assert (done.returncode, done.stdout.strip()) == (1, b"1")
    assert barasync.result()["cells"][0]["attempt"] == 1


def test_a_rule_reads_stdin_as_well(barasync: Barasync, busybox: str) -> None:
    bar = barasync.directory / "bar"
    bar.write_bytes(b'#!/bin/sh\necho "$1: $(wc -c)"\n')
    bar.chmod(0o755)

    done = piped(barasync, bytes(300_000), "run", "-i", "--as", "auto", busybox, "--", "count")

    assert (done.returncode, done.stdout) == (0, b"count: 300000\n"), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--detach",), "--stdin cannot be had with --detach"),
        (("--background", "key"), "--stdin cannot be had with --background"),
        (("--retries", "1"), "--stdin cannot be had with --retries"),
    ],
)
def test_what_would_have_to_be_read_later_is_refused(
    barasync: Barasync, words: tuple[str, ...], said: str
) -> None:
    ended = barasync("run", "--stdin", *words, "x", "--", "cat")

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
