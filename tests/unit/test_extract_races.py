"""The safe writer while another process, or the file system, plays tricks with its directories."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barasync.artifacts import directories, writer
from barasync.artifacts.manifest import Manifest
from tests.rig.extraction import extracted
from tests.unit.archives import (
    LIMITS,
    SENTINEL,
    block,
    directory,
    entries,
    hard_link,
    member,
    names,
    pack,
    reasons,
    sandbox,
    symlink,
    unpack,
)

DIRECTORIES, ROUNDS = 8, 30
NOT_OURS = "a directory that is not from this archive has a name of its path"
# Of the directories before them none stays open.
OTHERS = b"".join(block(*member(f"other{number}/f")) for number in range(10))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with sandbox(tmp_path) as path:
        yield path


def interrupted(place: Path, first: bytes, rest: bytes, trick: Callable[[Path], None]) -> Manifest:
    """Extract two halves of an archive; in between, another process does its trick."""
    source = io.BytesIO(first + rest)

    def read(size: int) -> bytes:
        if source.tell() == len(first):
            (staging,) = place.parent.glob(".barasync-*.partial")
            trick(staging / "content")
        return source.read(min(size, 512))

    return extracted(read, place, LIMITS)


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(
    place: Path, tmp_path: Path
) -> None:
    def trick(content: Path) -> None:
        (content / "d").rename(content / "aside")
        (content / "d").symlink_to(tmp_path / "outside")

    first = block(*member("d/e/f", b"1")) + OTHERS
    manifest = interrupted(place, first, pack(member("d/e/g", b"3"), directory("d", 0o777)), trick)

    assert reasons(manifest) == {
        "d/e/g": "a part of its path is not a directory",
        "d": "a part of its path is not a directory",
    }


def test_a_directory_that_is_exchanged_for_another_meanwhile_is_not_written_to(
    place: Path, tmp_path: Path
) -> None:
    def trick(content: Path) -> None:
        (content / "d").rename(content / "aside")
        (tmp_path / "outside").rename(content / "d")

    first = block(*member("d/f", b"1")) + OTHERS
    manifest = interrupted(place, first, pack(member("d/g", b"3"), directory("d", 0o777)), trick)

    assert reasons(manifest) == {"d/g": NOT_OURS, "d": NOT_OURS}
    (place / "d").rename(tmp_path / "outside")


def test_a_directory_that_another_process_made_is_not_written_to(place: Path) -> None:
    first = block(*member("x", b"1"))
    manifest = interrupted(
        place, first, pack(member("d/f", b"2")), lambda content: (content / "d").mkdir()
    )

    assert reasons(manifest) == {"d/f": NOT_OURS}
    assert names(place / "d") == []


@pytest.mark.parametrize("linked", [True, False])
def test_a_hard_links_target_that_is_exchanged_meanwhile_is_not_linked_nor_copied(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    link = os.link

    def trick(content: Path) -> None:
        (content / "f").unlink()
        link(tmp_path / "outside" / SENTINEL, content / "f")

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links")

    if not linked:
        monkeypatch.setattr(os, "link", fail)
    manifest = interrupted(place, block(*member("f", b"1")), pack(hard_link("h", "f")), trick)

    assert reasons(manifest) == {"h": "its target was exchanged by another process"}
    assert not (place / "h").exists()
    (place / "f").unlink()


def test_what_another_process_removes_is_an_error_and_not_a_refusal(place: Path) -> None:
    with pytest.raises(FileNotFoundError):
        interrupted(place, block(*member("d/f", b"1")), pack(member("d/g", b"3")), shutil.rmtree)


# A process that exchanges directories for links to the outside and back, all in one step each
# (RENAME_EXCHANGE), and writes a byte for every time.
EXCHANGING = """
import ctypes, glob, os, sys
inside, outside = sys.argv[1:]
rename = ctypes.CDLL(None).renameat2
while True:
    for path in glob.glob(inside + "/.barasync-*.partial/content/d?"):
        try:
            os.symlink(outside, path + "-link")
        except OSError:
            pass
        for _ in range(2):
            if rename(-100, os.fsencode(path), -100, os.fsencode(path + "-link"), 2) == 0:
                os.write(1, b"x")
"""


@contextmanager
def exchanging(inside: Path, outside: Path) -> Iterator[int]:
    """Run that process; yields what it writes to, and ends it."""
    process = subprocess.Popen(
        [sys.executable, "-c", EXCHANGING, str(inside), str(outside)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout.fileno()
    finally:
        process.kill()
        process.communicate()


def test_no_race_with_a_process_that_plants_links_leads_outside(
    place: Path, tmp_path: Path
) -> None:
    """Every few members, the extraction waits until there was one more exchange."""
    # Round by round through the directories, so that each is opened anew for every file.
    members = [
        made
        for turn in range(ROUNDS)
        for number in range(DIRECTORIES)
        for made in (
            member(f"d{number}/{SENTINEL}{turn or ''}", b"overwritten"),
            symlink(f"d{number}/l{turn}", "x"),
            hard_link(f"d{number}/h{turn}", f"d{number}/{SENTINEL}"),
            directory(f"d{number}", 0o777),
        )
    ]
    source = io.BytesIO(pack(*members))
    exchanges = 0
    with exchanging(place.parent, tmp_path / "outside") as tally:

        def read(size: int) -> bytes:
            nonlocal exchanges
            if source.tell() > 1024:
                exchanges += len(os.read(tally, 1 << 16))
            return source.read(min(size, 4096))

        manifest = extracted(read, place, LIMITS)

    assert exchanges > ROUNDS
    assert manifest.entries
    assert manifest.refused


# A file system that does not tell upper from lower case


@pytest.fixture
def caseless(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (directories, writer):
        monkeypatch.setattr(module, "encoded", lambda name: name.lower().encode())


@pytest.mark.usefixtures("caseless")
def test_names_that_differ_in_case_alone_collide_where_the_file_system_says_so(
    place: Path,
) -> None:
    manifest = unpack(
        pack(
            member("readme", b"1"),
            member("README", b"2"),
            member("src/a", b"3"),
            member("SRC/b", b"4"),
            directory("Src", 0o777),
            symlink("Readme", "src"),
            hard_link("SRC", "readme"),
            symlink("l", "src"),
            member("L/x", b"5"),
        ),
        place,
    )

    assert set(entries(manifest)) == {"readme", "src/a", "l"}
    assert reasons(manifest) == {
        "README": "another member has this name",
        "SRC/b": NOT_OURS,
        "Src": NOT_OURS,
        "Readme": "another member has this name",
        "SRC": "another member has this name",
        "L/x": "a part of its path is not a directory",
    }
    assert (place / "readme").read_bytes() == b"1"
    assert names(place / "src") == ["a"]
