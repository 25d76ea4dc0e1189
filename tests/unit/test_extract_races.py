"""The safe writer while another process, or the file system, plays tricks with its directories."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from barasync.artifacts import directories, writer
from barasync.artifacts.birth import birth
from barasync.artifacts.manifest import Manifest
from barasync.artifacts.pattern import Pattern
from barasync.artifacts.selection import Selection
from tests.rig.extraction import extracted
from tests.unit.archives import (
    END,
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
    symlink,
    unpack,
)

# More than an extraction keeps open: it has to open them again.
DIRECTORIES, ROUNDS = 20, 30
NOT_OURS = "a directory that is not from this archive has a name of its path"
# Of the directories before them none stays open.
OTHERS = b"".join(block(*member(f"other{number}/f")) for number in range(10))


def interrupted(
    place: Path,
    first: bytes,
    rest: bytes,
    trick: Callable[[Path], None],
    selection: Selection | None = None,
) -> Manifest:
    """Extract two halves of an archive; in between, another process does its trick."""
    source = io.BytesIO(first + rest)

    def read(size: int) -> bytes:
        if source.tell() == len(first):
            (staging,) = place.parent.glob(".barasync-*.partial")
            trick(staging / "content")
        return source.read(min(size, 512))

    rooted = selection is not None
    return extracted(read, place, LIMITS, selection=selection, rooted=rooted)


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


def test_a_directory_above_what_is_wanted_that_is_exchanged_is_left_out_alone(
    place: Path,
) -> None:
    """It is opened again to be given its mode."""

    def trick(content: Path) -> None:
        (content / "d").rename(content / "aside")
        (content / "d").write_text("in the way")

    others = (block(*member(f"out/other{number}/f")) for number in range(10))
    first = b"".join((block(*directory("out")), block(*member("out/d/f")), *others))
    rest = pack(directory("out/d"), member("out/e/f"))
    selection = Selection(patterns=(Pattern(("*", "f")),))
    manifest = interrupted(place, first, rest, trick, selection)

    assert reasons(manifest) == {"out/d": "a part of its path is not a directory"}
    assert (place / "e/f").exists()


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


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def born(path: Path) -> int | None:
    path.mkdir()
    with opened(path) as descriptor:
        return birth(descriptor)


def pass_a_tick(parent: Path) -> None:
    """Let the clock of the file system, which ticks every few milliseconds, go on."""
    with TemporaryDirectory(dir=parent) as directory:
        first = born(Path(directory, "first"))
        for number in count():
            if first is None or born(Path(directory, str(number))) != first:
                return


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("holds", [(), ("something",)])
def test_a_directory_that_is_exchanged_before_it_is_open_is_not_written_to(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dated: bool, holds: tuple[str]
) -> None:
    """Between `mkdir` and `open`. An empty one is only known by its age."""
    other = tmp_path / "outside" / "other"
    other.mkdir()
    for name in holds:
        (other / name).touch()
    if not holds:
        pass_a_tick(tmp_path)
    make = os.mkdir

    def make_and_exchange(name: bytes, mode: int, *, dir_fd: int) -> None:
        make(name, mode, dir_fd=dir_fd)
        if name == b"d":
            os.rename(name, b"aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.rename(other, name, dst_dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", make_and_exchange)
    if not dated:
        monkeypatch.setattr(directories, "birth", lambda _: None)

    manifest = unpack(pack(member("x/f"), member("d/f", b"1"), member("e/f")), place)

    known = dated or holds
    assert reasons(manifest) == ({"d/f": NOT_OURS} if known else {})
    assert names(place / "d") == sorted(holds if known else ("f",))
    assert names(place) == ["aside", "d", "e", "x"]


def test_the_time_at_which_something_was_made_only_grows(tmp_path: Path) -> None:
    times = []
    for number in range(50):
        (tmp_path / str(number)).mkdir()
        with opened(tmp_path / str(number)) as descriptor:
            os.utime(descriptor, ns=(0, 0))
            times.append(birth(descriptor) or 0)

    assert times == sorted(times)
    assert times[0] == 0 or abs(times[0] / 1e9 - time.time()) < 60


# A process that exchanges directories for links to the outside, all of them, then back, in one step
# each (RENAME_EXCHANGE), and writes a byte for every time.
EXCHANGING = """
import ctypes, glob, os, sys
inside, outside = sys.argv[1:]
rename = ctypes.CDLL(None).renameat2
while True:
    for path in glob.glob(inside + "/.barasync-*.partial/content/d*[0-9]"):
        try:
            os.symlink(outside, path + "-link")
        except OSError:
            pass
        if rename(-100, os.fsencode(path), -100, os.fsencode(path + "-link"), 2) == 0:
            os.write(1, b"x")
"""


# One that exchanges each directory once for one of its own of that name, the moment it appears.
RACING = """
import ctypes, glob, os, sys
inside, outside = sys.argv[1:]
rename = ctypes.CDLL(None).renameat2
names = sorted(os.listdir(outside))
while not (content := glob.glob(inside + "/.barasync-*.partial/content")):
    pass
for name in names:
    theirs, ours = os.fsencode(f"{outside}/{name}"), os.fsencode(f"{content[0]}/{name}")
    while rename(-100, theirs, -100, ours, 2) != 0:
        pass
    os.write(1, b"x")
"""


@contextmanager
def exchanging(inside: Path, outside: Path, script: str = EXCHANGING) -> Iterator[int]:
    """Run such a process; yields what it writes to, and ends it."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(inside), str(outside)], stdout=subprocess.PIPE
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


def test_no_race_with_a_process_that_plants_old_directories_gets_anything_into_them(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every other directory, the extraction waits with `open` until they are exchanged."""
    theirs = tmp_path_factory.mktemp("theirs")
    found = [f"d{number:03}" for number in range(100)]
    for name in found:
        (theirs / name).mkdir()
    opened = [os.open(theirs / name, os.O_RDONLY) for name in found]
    make = os.mkdir
    with exchanging(place.parent, theirs, RACING) as tally:

        def make_and_wait(name: bytes, mode: int, *, dir_fd: int) -> None:
            make(name, mode, dir_fd=dir_fd)
            if os.fsdecode(name) in found[::2]:
                assert os.read(tally, 1) == b"x"

        def pieces() -> Iterator[bytes]:
            yield block(*member("first"))
            for name in found:
                yield block(*member(f"{name}/f", b"1"))
                assert name in found[::2] or os.read(tally, 1) == b"x"
            yield END

        monkeypatch.setattr(os, "mkdir", make_and_wait)
        stream = pieces()
        manifest = extracted(lambda _: next(stream, b""), place, LIMITS)
    written = [next(os.scandir(descriptor), None) for descriptor in opened]
    for descriptor in opened:
        os.close(descriptor)

    assert written == [None] * len(found)
    assert set(reasons(manifest).values()) == {NOT_OURS}
    assert set(reasons(manifest)) >= {f"{name}/f" for name in found[::2]}


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
