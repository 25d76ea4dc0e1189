"""The list of what an extraction has written: in order, in a file, and in little memory."""

from __future__ import annotations

import errno
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from barasync.artifacts.ledger import Ledger, Ledgers, Written
from barasync.artifacts.manifest import Entry, Kind, Totals
from tests.rig.memory import MEBIBYTE

DIGEST = bytes(range(32))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger()) as ledger:
        ledger.begin()
        yield ledger


def file(path: str, number: int = 1) -> Written:
    return Written(path, 0o644, number, DIGEST, number)


def test_entries_come_in_the_order_in_which_they_were_added(ledger: Ledger) -> None:
    names = [f"{number * 7919 % 1000}" for number in range(1000)]
    for name in names:
        ledger.add_file(file(name))

    assert [entry.path for entry in ledger] == names
    assert [entry.path for entry in ledger] == names


def test_every_kind_of_entry_comes_back_as_it_was(ledger: Ledger) -> None:
    ledger.note_made("", 1, 2)
    ledger.add_directory("", 0o755)
    ledger.add_file(file("caf\udce9", 5))
    ledger.add_symlink("s", "t\udcff")

    assert list(ledger) == [
        Entry(path="", kind=Kind.DIRECTORY, mode=0o755),
        Entry(path="caf\udce9", kind=Kind.FILE, mode=0o644, size=5, sha256=DIGEST.hex()),
        Entry(path="s", kind=Kind.SYMLINK, mode=0o777, target="t\udcff"),
    ]
    assert ledger.totals == Totals(members=3, files=1, bytes=5)
    assert Totals.of(ledger) == ledger.totals


def test_a_directory_that_is_named_again_is_one_entry_with_the_later_mode(ledger: Ledger) -> None:
    ledger.note_made("d", 1, 2)
    ledger.add_directory("d", 0o700)
    ledger.add_file(file("d/f"))
    ledger.add_directory("d", 0o750)

    assert [(entry.path, entry.mode) for entry in ledger] == [("d", 0o750), ("d/f", 0o644)]
    assert ledger.totals.members == 2


def test_a_file_is_found_by_its_path_before_and_after_it_is_on_disk(ledger: Ledger) -> None:
    for number in range(600):
        ledger.add_file(file(f"f{number}", number))
        assert ledger.file(f"f{number // 2}") == file(f"f{number // 2}", number // 2)
    ledger.add_symlink("s", "f1")

    assert ledger.file("s") is None
    assert ledger.file("f600") is None


def test_a_file_that_is_only_kept_is_found_but_no_entry(ledger: Ledger) -> None:
    ledger.add_file(file("a")._replace(kept=0))

    assert ledger.file("a") == file("a")._replace(kept=0)
    assert list(ledger) == []
    assert ledger.totals == Totals()


def test_a_ledger_that_begins_again_is_empty(ledger: Ledger) -> None:
    ledger.note_made("d", 1, 2)
    ledger.add_directory("d", 0o700)

    ledger.begin()

    assert list(ledger) == []
    assert ledger.made("d") is None
    assert ledger.totals == Totals()


def test_nothing_of_closed_ledgers_stays_open() -> None:
    before = descriptors()
    with Ledgers() as ledgers:
        for _ in range(3):
            given = ledgers.new()
            given.begin()
            for number in range(20_000):
                given.add_file(file(f"{number:040}"))
        assert descriptors() > before

    assert descriptors() == before


def test_a_full_disk_is_an_error_of_the_system_that_says_what_has_no_space(ledger: Ledger) -> None:
    def fill() -> None:
        for number in range(50_000):
            ledger.add_file(file(f"{number:040}"))

    with files_of_at_most(64 * 1024), pytest.raises(OSError, match="the list of its mem") as caught:
        fill()

    assert caught.value.errno in {errno.ENOSPC, errno.EIO}


@pytest.mark.slow
def test_an_archive_of_200_000_files_takes_less_than_60_mib_of_memory() -> None:
    """In a process of its own, on a file system that is fast to fill."""
    script = Path(__file__).with_name("many_members.py")
    done = subprocess.run(
        [sys.executable, str(script), "200000", "/dev/shm"],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    said = json.loads(done.stdout)

    assert said["files"] == 200_000
    assert said["peak"] - said["idle"] < 60 * MEBIBYTE


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
