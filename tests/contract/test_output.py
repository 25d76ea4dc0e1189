"""Output that is large, no text, or shown to a reader that stands still or goes away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until, without_note
from tests.rig.memory import MEBIBYTE, peak_memory
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
CELLS = 4
PIECE = 64 * 1024
MEMORY_BOUND = 150 * MEBIBYTE


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """The command line in a project of one cell, which runs the script `rule`."""
    project = tmp_path / "project"
    project.mkdir()
    command = Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    command.configure(f'[defaults]\nimage = "{busybox}"\ncommand = ["sh", "rule"]\n')
    return command


def rule(barasync: Barasync, script: str) -> None:
    (barasync.directory / "rule").write_text(script)


def log(barasync: Barasync, cell: str, name: str) -> bytes:
    return (barasync.record() / "cells" / cell / name).read_bytes()


def events(barasync: Barasync) -> str:
    return (barasync.record() / "events.jsonl").read_text()


@pytest.mark.slow
def test_a_line_of_100_mb_is_kept_whole_and_takes_no_memory(barasync: Barasync) -> None:
    size = 100_000_000
    rule(barasync, f"head -c {size} /dev/zero | tr '\\0' x; echo; echo after")
    label = f"{NATIVE} | ".encode()
    peak, shown, last_of_cell = 0, 0, b""
    with barasync.running("matrix", "tests", "--output", "stream") as process:
        assert process.stdout is not None
        for line in process.stdout:
            peak = max(peak, peak_memory(process.pid))
            assert len(line) <= len(label) + PIECE + 1
            if line.startswith(label):
                last_of_cell = line
                shown += line.count(b"x", len(label))
        code = process.wait()

    assert code == 0
    with (barasync.record() / "cells" / NATIVE / "stdout.log").open("rb") as file:
        assert file.read(size).count(b"x") == size
        assert file.read() == b"\nafter\n"
    assert shown == size
    assert last_of_cell == label + b"after\n"
    assert 0 < peak < MEMORY_BOUND, f"{peak / MEBIBYTE:.0f} MiB"


def test_bytes_that_are_no_text_are_kept_as_they_are(barasync: Barasync, busybox: str) -> None:
    source = random.Random(3)
    blobs = {
        "stdout.log": source.randbytes(3_000_000) + bytes(range(256)),
        "stderr.log": b"\xff\xfe\xc3\x28 \xe2\x82 \xed\xa0\x80\x00\n" * 1000 + b"\xf0\x9f",
    }
    for name, blob in blobs.items():
        (barasync.directory / name).write_bytes(blob)
    rule(barasync, "cat stdout.log; cat stderr.log >&2")
    with barasync.running("matrix", "tests") as process:
        shown, _ = process.communicate(timeout=50)
    kept = {name: log(barasync, NATIVE, name) for name in blobs}
    together = log(barasync, NATIVE, "output.log")
    with barasync.running("run", busybox, "--", "sh", "rule") as process:
        out, err = process.communicate(timeout=50)

    assert process.returncode == 0
    assert kept == blobs
    assert Counter(together) == Counter(b"".join(blobs.values()))
    assert f"{NATIVE} | ".encode() in shown
    assert (out, without_note(err)) == tuple(blobs.values())


def test_a_progress_bar_is_kept_as_it_was_drawn(barasync: Barasync) -> None:
    rule(barasync, "for i in $(seq 100); do printf '%s %%\\r' $i; done; printf 'done\\r\\n'")
    with barasync.running("matrix", "tests", "--output", "stream") as process:
        shown, _ = process.communicate(timeout=50)

    drawn = [f"{number} %".encode() for number in range(1, 101)]
    assert log(barasync, NATIVE, "stdout.log") == b"\r".join([*drawn, b"done"]) + b"\r\n"
    label = f"{NATIVE} | ".encode()
    lines = [line for line in shown.split(b"\n") if line.startswith(label)]
    assert lines == [label + state for state in [*drawn, b"done"]]


LINES = 20_000
PRINTED = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()


def several_cells(barasync: Barasync, *, ends_with: int) -> list[str]:
    """Let `CELLS` cells print `PRINTED` to each stream; return their IDs."""
    names = [f"c{number}" for number in range(CELLS)]
    config = (barasync.directory / "barasync.toml").read_text()
    barasync.configure(f"{config}[matrix]\nconfig = {names}\n")
    (barasync.directory / "numbers").write_bytes(PRINTED)
    rule(barasync, f"cat numbers; cat numbers >&2; exit {ends_with}")
    return [f"{NATIVE}-{name}" for name in names]


def assert_files_are_complete(barasync: Barasync, cells: list[str]) -> None:
    for cell in cells:
        assert log(barasync, cell, "stdout.log") == PRINTED
        assert log(barasync, cell, "stderr.log") == PRINTED
        assert len(log(barasync, cell, "output.log")) == 2 * len(PRINTED)
    assert all(cell["output"]["complete"] for cell in barasync.result()["cells"])


@pytest.mark.parametrize("script", ["yes", "while :; do echo y; sleep 1; done"])
@pytest.mark.parametrize("option", [(), ("--stdin",)], ids=["", "stdin"])
def test_a_reader_of_a_single_run_that_leaves_ends_what_prints_for_ever(
    barasync: Barasync, busybox: str, script: str, option: tuple[str, ...]
) -> None:
    pipeline = '"$@" | head -n 1; exit "${PIPESTATUS[0]}"'
    here = replace(barasync, within=("bash", "-c", pipeline, "bash"))

    ended = here("run", *option, busybox, "--", "sh", "-c", script)

    assert (ended.code, ended.out, ended.said) == (141, "y\n", "")
    (cell,) = barasync.result()["cells"]
    assert (cell["status"], cell["reason"]) == ("cancelled", "nobody reads its output any more")


def test_a_command_that_nobody_reads_has_its_grace_and_its_last_words(
    barasync: Barasync, busybox: str
) -> None:
    script = "trap 'echo over >&2; exit 3' TERM; while :; do echo x; sleep 0.1; done"
    words = ("run", "--stop-grace", "60", busybox, "--", "sh", "-c", script)
    with barasync.running(*words) as process:
        read_until(process, "x", 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(50) == 141
        assert process.stderr is not None
        assert without_note(process.stderr.read()) == b"over\n"


def test_a_reader_that_has_seen_enough_changes_nothing(barasync: Barasync) -> None:
    cells = several_cells(barasync, ends_with=3)
    run = f"{sys.executable} -m barasync matrix tests --output stream --jobs 4"
    done = subprocess.run(
        ["bash", "-c", f"{run} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=barasync.directory,
        env={**barasync.environ, "CONTAINER_HOST": str(barasync.url)},
        capture_output=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    assert_files_are_complete(barasync, cells)


@contextmanager
def stopped_reader(
    process: subprocess.Popen[bytes], seen: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that reads the stdout of another one into a file, and is stopped."""
    with (
        seen.open("wb") as file,
        subprocess.Popen(["cat"], stdin=process.stdout, stdout=file) as cat,
    ):
        try:
            cat.send_signal(signal.SIGSTOP)
            yield cat
        finally:
            cat.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("end", ["goes on", "signal"])
def test_a_reader_that_is_stopped_holds_no_cell_up(
    barasync: Barasync, service: RigService, tmp_path: Path, end: str
) -> None:
    cells = several_cells(barasync, ends_with=0)
    before = libpod.containers(service.endpoint.socket_path)
    seen = tmp_path / "seen"
    with (
        barasync.running(
            "matrix", "tests", "--output", "stream", "--jobs", "4", stderr=subprocess.DEVNULL
        ) as process,
        stopped_reader(process, seen) as reader,
    ):
        wait_until((barasync.directory / ".barasync/runs/latest").exists, "a run has begun")
        wait_until(lambda: '"run.finished"' in events(barasync), "all cells have ended")
        left = libpod.containers(service.endpoint.socket_path)
        lives = process.poll() is None
        if end == "goes on":
            reader.send_signal(signal.SIGCONT)
        else:
            process.send_signal(signal.SIGINT)
        code = process.wait(20)

    assert lives
    assert left == before
    assert code == 0
    assert_files_are_complete(barasync, cells)
    if end == "goes on":
        shown = seen.read_text()
        assert shown.count(" | ") == 2 * LINES * CELLS
        assert f"{CELLS} passed" in shown
