from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from barasync.config.schema import BootstrapTable
from barasync.images.bootstrap import guard, mmdebstrap, recipe_for
from barasync.images.bootstrap.mmdebstrap import Ended, Failure
from barasync.images.bootstrap.recipe import SCRATCH
from barasync.matrix.platforms import parse
from tests.rig.waiting import wait_until
from tests.unit.fake_mmdebstrap import (
    BROKEN_INDEX,
    NO_NETWORK,
    NO_PACKAGE,
    FakeMmdebstrap,
    install,
)

RECIPE = recipe_for("base", BootstrapTable(suite="trixie"), parse("amd64"))
COMMAND = RECIPE.command(RECIPE.sources[0], "root")


# Why it failed


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        (BROKEN_INDEX, Failure.INDEX),
        ("E: Failed to fetch x  Hash Sum mismatch", Failure.INDEX),
        (
            "E: Release file for http://x/dists/sid/InRelease is expired (since 17d)",
            Failure.EXPIRED,
        ),
        ("E: apt-get update did not find any indices for architecture 'loong64'", Failure.INDEX),
        (NO_NETWORK, Failure.NETWORK),
        ("E: Failed to fetch x  Could not connect to x:80", Failure.NETWORK),
        (NO_PACKAGE, Failure.PACKAGE),
        ("The following packages have unmet dependencies:", Failure.PACKAGE),
        ("E: The repository 'http://x y Release' does not have a Release file.", Failure.SUITE),
        ("W: GPG error: x: NO_PUBKEY 0E98404D386FA1D9", Failure.KEY),
        ("E: cannot copy to standard output: No space left on device", Failure.SPACE),
        ("E: cannot find newuidmap", Failure.PRIVILEGES),
        ("E: failed to parse /etc/subuid and /etc/subgid", Failure.PRIVILEGES),
        ("E: unshare syscall failed: Operation not permitted", Failure.PRIVILEGES),
        ("E: unshare() failed: Operation not permitted", Failure.PRIVILEGES),
        ("unshare: unshare failed: Operation not permitted", Failure.PRIVILEGES),
        (
            " installed x package post-installation script subprocess returned error exit status 1",
            Failure.SCRIPT,
        ),
        ("E: something new", Failure.OTHER),
    ],
)
def test_a_failure_is_recognised_by_its_message(line: str, failure: Failure) -> None:
    lines = ("I: running apt-get update...", line, "E: mmdebstrap failed to run")

    assert Ended(code=25, lines=lines).failure is failure


def test_a_full_disk_is_not_taken_for_a_bad_network() -> None:
    lines = ("E: Failed to fetch x  Write error - write (28: No space left on device)",)

    assert Ended(code=25, lines=lines).failure is Failure.SPACE


def test_the_excerpt_is_what_went_wrong() -> None:
    no_news = ("W: skipping mount sysfs", "E: mmdebstrap failed to run")
    lines = ("I: a", "Get:1 http://x", "W: old", "E: bad", "I: removing", *no_news)

    assert Ended(code=25, lines=lines).excerpt == ("W: old", "E: bad")


def test_a_line_that_would_fill_a_screen_is_cut() -> None:
    (line,) = Ended(code=25, lines=(f"E: dpkg --install {'x' * 1000}",)).excerpt

    assert line.endswith("x…")
    assert len(line) == 300


def test_without_errors_the_excerpt_is_the_end() -> None:
    lines = tuple(f"I: {number}" for number in range(20))

    assert Ended(code=25, lines=lines).excerpt == lines[-6:]


# Running it


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMmdebstrap:
    return install(tmp_path, monkeypatch)


async def ran(output: Path, progress: list[str] | None = None) -> Ended:
    with output.open("wb") as file:
        return await mmdebstrap.run(
            COMMAND,
            environment={},
            mode="root",
            output=file.fileno(),
            on_progress=[].append if progress is None else progress.append,
        )


@pytest.mark.anyio
async def test_the_archive_goes_to_the_file_and_the_phases_to_the_person(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves(
        "echo 'I: automatically chosen mode' >&2\n"
        "echo 'I: downloading packages with apt...' >&2\n"
        "echo 'I: creating tarball...' >&2\n"
        "printf archive\n"
    )
    progress: list[str] = []

    ended = await ran(tmp_path / "out", progress)

    assert ended.succeeded
    assert (tmp_path / "out").read_bytes() == b"archive"
    assert progress == ["downloading packages", "packing the root file system"]


@pytest.mark.anyio
async def test_what_it_leaves_in_its_temporary_directory_is_removed(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves('mkdir -p "$TMPDIR/root/etc"; touch "$TMPDIR/root/etc/x"')

    await ran(tmp_path / "out")

    assert Path(fake.calls[0][0]).name.startswith("barasync-bootstrap-")
    assert fake.left == []


@pytest.mark.anyio
async def test_only_the_last_lines_of_a_failure_are_kept(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves("seq 10000 >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3")

    ended = await ran(tmp_path / "out")

    assert ended.code == 3
    assert len(ended.lines) <= 60
    assert all(len(line) <= 2000 for line in ended.lines)


@pytest.mark.anyio
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["polite", "deaf"])
async def test_cancelling_ends_everything_it_started(
    fake: FakeMmdebstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    if trap:
        monkeypatch.setattr(guard, "TERMINATE_SECONDS", 0.05)
    fake.behaves(
        f'{trap}sleep 600 & echo $! >"{tmp_path}/child"\n'
        "echo 'I: running apt-get update...' >&2; wait"
    )
    children: list[int] = []

    def cancel(_line: str) -> None:
        children.append(os.pidfd_open(int((tmp_path / "child").read_text())))
        scope.cancel()

    with anyio.CancelScope() as scope, (tmp_path / "out").open("wb") as file:
        await mmdebstrap.run(
            COMMAND,
            environment={},
            mode="root",
            output=file.fileno(),
            on_progress=cancel,
        )

    assert scope.cancelled_caught
    (child,) = children
    ended, _, _ = select.select([child], [], [], 5)
    os.close(child)
    assert ended, "the child still runs"
    assert fake.left == []


def test_the_death_of_this_process_ends_it_and_removes_its_directory(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves(
        'mkdir -p "$TMPDIR/root"; sleep 600 & echo $! >"$TMPDIR/root/child"\n'
        "echo 'I: running apt-get update...' >&2; wait"
    )
    argv = [sys.executable, "-c", _RUN, str(tmp_path), *COMMAND]

    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (scratch,) = fake.left
        child = os.pidfd_open(int(Path(scratch, "root/child").read_text()))
        process.kill()

    ended, _, _ = select.select([child], [], [], 30)
    os.close(child)
    assert ended, "the child still runs"
    wait_until(lambda: fake.left == [], "the directory is removed")


_RUN = """
import sys, tempfile, anyio
from functools import partial
from barasync.images.bootstrap import mmdebstrap

tempfile.tempdir = sys.argv[1]
with tempfile.TemporaryFile() as output:
    anyio.run(partial(
        mmdebstrap.run, sys.argv[2:], environment={}, mode="root", output=output.fileno(),
        on_progress=partial(print, flush=True),
    ))
"""


@pytest.mark.anyio
async def test_what_is_laid_over_the_environment_reaches_it(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves('printf "$SOURCE_DATE_EPOCH"')

    with (tmp_path / "out").open("wb") as file:
        await mmdebstrap.run(
            COMMAND,
            environment={"SOURCE_DATE_EPOCH": "7"},
            mode="root",
            output=file.fileno(),
            on_progress=[].append,
        )

    assert (tmp_path / "out").read_text() == "7"


@pytest.mark.anyio
async def test_it_gets_copies_of_files_that_its_user_may_not_read(
    fake: FakeMmdebstrap, tmp_path: Path
) -> None:
    fake.behaves('stat --format=%a "$TMPDIR/own.gpg"; cat "$TMPDIR/own.gpg"')
    own = tmp_path / "own.gpg"
    own.write_text("keys")
    own.chmod(0o600)

    with (tmp_path / "out").open("wb") as file:
        await mmdebstrap.run(
            ["mmdebstrap", f"[signed-by={SCRATCH}/own.gpg]"],
            environment={},
            mode="root",
            output=file.fileno(),
            on_progress=[].append,
            files=[own],
        )

    (scratch, argument), *_ = fake.calls
    assert argument == f"[signed-by={scratch}/own.gpg]"
    assert (tmp_path / "out").read_text() == "644\nkeys"


@pytest.mark.anyio
async def test_it_may_not_take_for_ever(
    fake: FakeMmdebstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmdebstrap, "_RUN_SECONDS", 0.1)
    fake.behaves("exec sleep 600")

    ended = await ran(tmp_path / "out")

    assert ended.failure is Failure.TIME
