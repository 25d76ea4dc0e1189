"""`barasync run --stdin` on real podman: what its command reads, whoever stands still or leaves."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.rig.command import Barasync, read_until, without_note
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
