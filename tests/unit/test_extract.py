"""The safe writer against archives that are odd or hostile, and other processes that are."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.artifacts import extract as module
from barasync.artifacts.budget import Budget, Share
from barasync.artifacts.errors import ArchiveError, LimitExceeded, TruncatedArchive
from barasync.artifacts.extract import Limits
from barasync.artifacts.manifest import Entry, Kind, printable
from barasync.artifacts.pattern import Pattern
from barasync.artifacts.selection import Selection
from tests.rig.extraction import extracted
from tests.unit.archives import (
    END,
    LIMITS,
    directory,
    entries,
    hard_link,
    member,
    names,
    pack,
    pax_header,
    raw,
    reasons,
    record,
    symlink,
    unpack,
)

# What is kept


def test_files_directories_and_links_arrive_as_they_were_packed(place: Path) -> None:
    manifest = unpack(
        pack(
            directory("a", 0o750),
            member("a/run", b"#!/bin/sh\n", mode=0o755, mtime=1_000_000_000),
            symlink("a/again", "run"),
            hard_link("a/twin", "a/run"),
        ),
        place,
    )

    assert (place / "a/run").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((place / "a").stat().st_mode) == 0o750
    assert stat.S_IMODE((place / "a/run").stat().st_mode) == 0o755
    assert (place / "a/run").stat().st_mtime == 1_000_000_000
    assert (place / "a/again").readlink() == Path("run")
    assert (place / "a/twin").samefile(place / "a/run")
    assert manifest.refused == ()
    assert [entry.kind for entry in manifest.entries] == [
        Kind.DIRECTORY,
        Kind.FILE,
        Kind.SYMLINK,
        Kind.FILE,
    ]
    assert entries(manifest)["a/run"] == Entry(
        path="a/run",
        kind=Kind.FILE,
        mode=0o755,
        size=10,
        sha256=hashlib.sha256(b"#!/bin/sh\n").hexdigest(),
    )
    assert (manifest.totals.files, manifest.totals.bytes) == (2, 20)


def test_directories_that_the_archive_does_not_name_are_made(place: Path) -> None:
    unpack(pack(member("a/b/c", b"deep")), place)

    assert (place / "a/b/c").read_bytes() == b"deep"


def test_an_empty_archive_makes_an_empty_directory(place: Path) -> None:
    assert unpack(END, place).entries == ()

    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"line\nbreak", b"tab\there", b"\xff\xfe", b"-rf", b"~"]
)
def test_names_are_bytes(place: Path, name: bytes) -> None:
    unpack(pack(member(name.decode("utf-8", "surrogateescape"), b"x")), place)

    assert [os.fsencode(path.name) for path in place.iterdir()] == [name]


def test_the_archives_own_root_gives_its_mode(place: Path) -> None:
    unpack(pack(directory("./", 0o700), member("./a", b"x")), place)

    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert (place / "a").read_bytes() == b"x"


def test_a_directory_named_twice_is_one_directory(place: Path) -> None:
    manifest = unpack(pack(directory("d"), member("d/a"), directory("d/", 0o711)), place)

    assert manifest.refused == ()
    assert stat.S_IMODE((place / "d").stat().st_mode) == 0o711


def test_a_target_may_climb_as_far_as_the_root(place: Path) -> None:
    manifest = unpack(pack(member("top"), symlink("a/b/l", "../../top")), place)

    assert manifest.refused == ()
    assert (place / "a/b/l").resolve() == (place / "top").resolve()


# What is left out


def test_set_id_and_sticky_bits_are_dropped_and_the_owner_keeps_access(place: Path) -> None:
    unpack(pack(directory("d", 0o7000), member("d/f", mode=0o6111), member("g", mode=0)), place)

    assert stat.S_IMODE((place / "d").stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "d/f").stat().st_mode) == 0o711
    assert stat.S_IMODE((place / "g").stat().st_mode) == 0o600


@pytest.fixture
def _private() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_private")
def test_the_processs_mask_holds_and_the_manifest_says_what_came_of_it(place: Path) -> None:
    manifest = unpack(
        pack(
            directory("out", 0o777),
            member("out/f", mode=0o666),
            member("out/run", mode=0o755),
            hard_link("out/twin", "out/run"),
            member("out/implied/f", mode=0o644),
            directory("out/implied", 0o775),
        ),
        place,
        rooted=True,
    )

    on_disk = {
        entry.path: stat.S_IMODE((place / entry.path).stat().st_mode) for entry in manifest.entries
    }
    assert on_disk == {
        "": 0o700,
        "f": 0o600,
        "run": 0o700,
        "twin": 0o700,
        "implied/f": 0o600,
        "implied": 0o700,
    }
    assert {entry.path: entry.mode for entry in manifest.entries} == on_disk


def test_a_mask_that_takes_the_owners_rights_away_leaves_them(place: Path) -> None:
    before = os.umask(0o277)
    try:
        unpack(pack(directory("d", 0o755), member("f", mode=0o644)), place)
    finally:
        os.umask(before)

    assert stat.S_IMODE((place / "d").stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "f").stat().st_mode) == 0o600


@pytest.mark.parametrize("late", [False, True])
def test_a_directory_that_no_pattern_names_has_the_mode_of_its_header(
    place: Path, late: bool
) -> None:
    """For all that is not in the archive, the process's mask decides."""
    header = directory("out/a/private", 0o700)
    members = [member("out/a/private/key"), member("out/a/b/key")]
    members.insert(len(members) if late else 0, header)
    wanted = Selection(patterns=(Pattern(("**", "key")),))

    unpack(pack(directory("out"), *members), place, rooted=True, selection=wanted)

    assert stat.S_IMODE((place / "a/private").stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "a/b").stat().st_mode) == 0o755


def test_what_no_pattern_wants_is_not_listed_whatever_it_is_called(place: Path) -> None:
    deep = "out/" + "d/" * 120
    long = "out/" + "/".join(["n" * 200] * 12)
    members = [member(f"{above}/{name}") for above in (deep, long) for name in ("f", "k.log")]
    wanted = Selection(patterns=(Pattern(("**", "*.log")),))

    manifest = unpack(
        pack(directory("out"), *members, member("out/../x"), member("/out/y"), member("out/a.log")),
        place,
        rooted=True,
        selection=wanted,
    )

    assert [refusal.reason for refusal in manifest.refused] == [
        "its path has more than 100 parts",
        "its path has more than 2048 bytes",
    ]
    assert [entry.path for entry in manifest.entries] == ["", "a.log"]


def test_owners_are_not_taken_over(place: Path) -> None:
    info, data = member("f", b"x")
    info.uid = info.gid = 4321
    info.uname = info.gname = "nobody"
    unpack(pack((info, data)), place)

    assert ((place / "f").stat().st_uid, (place / "f").stat().st_gid) == (
        os.geteuid(),
        os.getegid(),
    )


def test_the_first_of_two_members_with_one_name_stays(place: Path) -> None:
    manifest = unpack(
        pack(
            member("f", b"first"),
            member("f", b"second"),
            symlink("f", "g"),
            directory("f"),
            hard_link("f", "f"),
            member("g", b"first"),
            hard_link("g", "f"),
        ),
        place,
    )

    assert (place / "f").read_bytes() == b"first"
    assert (place / "g").read_bytes() == b"first"
    assert not (place / "f").samefile(place / "g")
    assert [refusal.reason for refusal in manifest.refused] == ["another member has this name"] * 5


@pytest.mark.parametrize("target", ["d", ".", "d/e", "missing"])
def test_nothing_is_written_through_a_link_even_inside(place: Path, target: str) -> None:
    manifest = unpack(pack(directory("d/e"), symlink("l", target), member("l/f", b"x")), place)

    assert reasons(manifest) == {"l/f": "a part of its path is not a directory"}
    assert names(place / "d/e") == []


def test_a_link_that_was_refused_is_a_directory_for_what_follows(place: Path) -> None:
    unpack(pack(symlink("l", "/etc"), member("l/passwd", b"x")), place)

    assert (place / "l/passwd").read_bytes() == b"x"
    assert not (place / "l").is_symlink()


def test_refusals_without_end_are_counted(place: Path) -> None:
    manifest = unpack(pack(*(member(f"../{index}") for index in range(1005))), place)

    assert len(manifest.refused) == 1000
    assert manifest.unlisted == 5


def test_a_huge_refused_name_is_shortened_in_the_manifest(place: Path) -> None:
    header = pax_header(record(b"path", b"/" + b"x" * 100_000)) + raw(b"x")

    manifest = unpack(header + END, place)

    assert len(manifest.refused[0].path) < 400


def test_a_hole_is_not_hashed_to_its_end_when_the_reader_gives_up(place: Path) -> None:
    size = 1 << 50
    sparse = record(b"GNU.sparse.size", b"%d" % size) + record(b"GNU.sparse.map", b"")
    source = io.BytesIO(pax_header(sparse) + raw(b"bomb") + END)
    pauses = 0

    def read(wanted: int) -> bytes:
        nonlocal pauses
        pauses += not wanted
        if pauses == 3:
            raise InterruptedError
        return source.read(wanted)

    with pytest.raises(InterruptedError):
        extracted(read, place, Limits(bytes=size))

    assert not place.exists()


# The destination


def test_what_is_there_is_an_error_before_anything_is_read(place: Path) -> None:
    place.write_text("mine")

    with pytest.raises(FileExistsError):
        extracted(lambda _: pytest.fail("read"), place, LIMITS)

    assert place.read_text() == "mine"


@pytest.mark.parametrize("before", ["directory", "file", "link", "nothing"])
def test_what_is_there_is_replaced_on_demand(place: Path, before: str) -> None:
    if before == "directory":
        (place / "old").mkdir(parents=True)
    elif before == "file":
        place.write_text("old")
    elif before == "link":
        place.symlink_to("../outside")

    unpack(pack(member("new", b"2")), place, replace=True)

    assert not place.is_symlink()
    assert names(place) == ["new"]


@pytest.fixture
def _stuck(monkeypatch: pytest.MonkeyPatch, place: Path) -> Iterator[None]:
    """Nothing can be removed."""

    def fail(name: str, *, dir_fd: int) -> None:  # noqa: ARG001 as it is called
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(module, "remove", fail)
    yield
    for left in place.parent.glob(".barasync-*.partial"):
        shutil.rmtree(left)


@pytest.mark.usefixtures("_stuck")
@pytest.mark.parametrize(
    ("before", "holds"), [(True, "it holds what was replaced and"), (False, "it")]
)
def test_what_cannot_be_removed_afterwards_is_said(place: Path, before: bool, holds: str) -> None:
    if before:
        place.mkdir()
    manifest = unpack(pack(member("new")), place, replace=True)

    (left,) = place.parent.glob(".barasync-*.partial")
    assert names(place) == ["new"]
    assert reasons(manifest) == {
        left.name: f"{holds} cannot be removed (Permission denied); remove it"
    }


@pytest.mark.usefixtures("_stuck")
def test_what_cannot_be_removed_of_a_failed_extraction_is_said_by_a_note(place: Path) -> None:
    with pytest.raises(TruncatedArchive) as caught:
        unpack(pack(member("new"))[:-1024], place)

    (left,) = place.parent.glob(".barasync-*.partial")
    assert caught.value.__notes__ == [f"{left} cannot be removed (Permission denied); remove it"]


def test_what_was_removed_again_leaves_its_share_to_others(place: Path) -> None:
    limits = Limits(bytes=15, members=1)
    budget = Budget(limits)
    archive = pack(member("f", b"x" * 10))

    with pytest.raises(TruncatedArchive):
        extracted(io.BytesIO(archive[:-1024]).read, place, limits, share=Share(budget))
    extracted(io.BytesIO(archive).read, place, limits, share=Share(budget))

    with pytest.raises(LimitExceeded):
        budget.take(6, 0)
    with pytest.raises(LimitExceeded):
        budget.take(0, 1)


def test_an_archive_of_which_nothing_is_wanted_leaves_its_share_to_others(place: Path) -> None:
    limits = Limits(bytes=15, members=3)
    budget = Budget(limits)
    wanted = Selection(patterns=(Pattern(("*.log",)),), originals=frozenset({"f"}))

    manifest = unpack(
        pack(directory("out"), member("out/f", b"x" * 10)),
        place,
        limits,
        share=Share(budget),
        selection=wanted,
        rooted=True,
    )

    assert manifest.totals.members == 0
    assert not place.exists()
    budget.take(15, 3)


# Rooted archives, as podman makes them


@pytest.mark.parametrize("spelling", ["out", "out/", "./out"])
def test_the_root_entry_becomes_the_destination(place: Path, spelling: str) -> None:
    manifest = unpack(
        pack(
            directory(spelling, 0o750),
            member("out/f", b"x"),
            hard_link("out/h", "out/f"),
            symlink("out/d/s", "../f"),
        ),
        place,
        rooted=True,
    )

    assert [entry.path for entry in manifest.entries] == ["", "f", "h", "d/s"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o750
    assert (place / "d/s").read_bytes() == b"x"


def test_a_root_entry_that_is_a_file_becomes_a_file(place: Path) -> None:
    manifest = unpack(pack(member("app", b"\x7fELF", mode=0o755)), place, rooted=True)

    assert place.read_bytes() == b"\x7fELF"
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert (manifest.totals.files, manifest.totals.bytes) == (1, 4)


def test_a_link_beside_the_root_is_outside(place: Path) -> None:
    manifest = unpack(
        pack(directory("out"), symlink("out/l", "../other"), symlink("out/m", "../out/f")),
        place,
        rooted=True,
    )

    assert set(reasons(manifest)) == {"out/l", "out/m"}


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (pack(directory("out"), member("other/f", b"x")), "does not lie below the archive's root"),
        (pack(directory("out"), directory("./")), "does not lie below the archive's root"),
        (pack(member("a/b", b"x")), "it cannot be the root of an archive"),
        (pack(directory("./"), member("a", b"x")), "it cannot be the root of an archive"),
        (pack(directory("/"), member("a", b"x")), "a does not lie below the archive's root"),
        (pack(symlink("out", "elsewhere")), "it is a symbolic link that can lead outside"),
        (pack(member("null", type=tarfile.CHRTYPE)), "null: it is a character device"),
        (pack(hard_link("out", "out")), "it is a hard link to out"),
        (END, "the archive is empty"),
    ],
)
def test_an_archive_without_a_usable_root_is_refused(
    place: Path, archive: bytes, message: str
) -> None:
    with pytest.raises(ArchiveError, match=message):
        unpack(archive, place, rooted=True)

    assert not place.exists()


def test_nothing_lies_below_a_root_that_is_a_file(place: Path) -> None:
    manifest = unpack(
        pack(member("f", b"x"), member("f/g", b"y"), member("f", b"z")), place, rooted=True
    )

    assert place.read_bytes() == b"x"
    assert len(manifest.refused) == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain", "plain"),
        ("größe", "größe"),
        ("line\nbreak", "line\\nbreak"),
        ("esc\x1b[31m", "esc\\x1b[31m"),
        ("caf\udce9", "caf\\xe9"),
        ("x" * 301, "x" * 300 + "…"),
    ],
)
def test_a_name_is_spelled_for_a_report(name: str, shown: str) -> None:
    assert printable(name) == shown
