"""Collection of what patterns match, and of volumes, against archives that are made here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.artifacts.collect import Collection, collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.place import below
from barasync.matrix.outcome import Collected
from tests.unit.archived import FakeContainer, collected, pieces
from tests.unit.archives import (
    block,
    directory,
    hard_link,
    member,
    names,
    pack,
    raw,
    symlink,
)

pytestmark = pytest.mark.anyio
LIMITS = Limits()


BUILD = (
    directory("build"),
    member("build/a.o", b"aa"),
    directory("build/deep", mode=0o700),
    member("build/deep/b.o", b"bbb"),
    member("build/deep/b.c", b"c"),
    hard_link("build/libb.a", "build/deep/b.c"),
    symlink("build/deep/link.o", "b.o"),
)


async def test_a_pattern_takes_what_it_matches_and_no_more(place: Path) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD))

    results = await collected(container, ["build/*.o", "build/**/*.o"], place, LIMITS)

    assert results == (
        Collected(source="build/*.o", destination=str(place / "build"), files=1, bytes=2),
        Collected(source="build/**/*.o", destination=str(place / "build"), files=2, bytes=5),
    )
    assert names(place / "build") == ["a.o", "deep"]
    assert names(place / "build/deep") == ["b.o", "link.o"]
    assert container.asked == ["/workspace/build"]


async def test_a_directory_that_matches_comes_with_all_it_holds(place: Path) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD))

    (result,) = await collected(container, ["build/d*"], place, LIMITS)

    assert (result.files, result.bytes) == (2, 4)
    assert names(place / "build") == ["deep"]
    assert names(place / "build/deep") == ["b.c", "b.o", "link.o"]


async def test_a_hard_link_comes_without_the_file_it_shares_its_bytes_with(place: Path) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD))

    (result,) = await collected(container, ["build/*.a"], place, Limits(bytes=1))

    assert (result.problem, result.refused, result.files, result.bytes) == (None, (), 1, 1)
    assert (place / "build/libb.a").read_bytes() == b"c"
    assert (place / "build/libb.a").stat().st_nlink == 1
    assert names(place) == ["build"]
    assert names(place / "build") == ["libb.a"]


async def test_a_link_to_a_file_that_is_not_there_is_left_out_not_asked_for_again_and_again(
    place: Path,
) -> None:
    archive = pack(directory("out"), hard_link("out/x", "out/gone"), member("out/y"))
    container = FakeContainer(workspace__out=archive)

    (result,) = await collected(container, ["out/[xy]"], place, LIMITS)

    assert result.files == 1
    assert result.refused == (
        "out/x: it is a hard link to out/gone, which is no file extracted before it",
    )
    assert container.asked == ["/workspace/out"] * 2


async def test_a_pattern_that_matches_nothing_is_a_problem_and_leaves_nothing(place: Path) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD), workspace__f=pack(member("f")))

    results = await collected(container, ["build/*.so", "f/*", "none/*", "/*"], place, LIMITS)

    assert [result.problem for result in results] == [
        "nothing below /workspace/build matches the pattern build/*.so",
        "nothing below /workspace/f matches the pattern f/*",
        "/workspace/none is not in the container",
        "a whole file system is not an artifact; name a directory in it",
    ]
    assert names(place) == []


async def test_of_patterns_that_come_together_those_without_a_match_are_problems(
    place: Path,
) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD))

    results = await collected(container, ["build/*.o", "build/*.so"], place, LIMITS)

    assert [result.problem for result in results] == [
        None,
        "nothing below /workspace/build matches the pattern build/*.so",
    ]


async def test_what_a_pattern_leaves_out_counts_for_no_limit(place: Path) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD))

    (result,) = await collected(container, ["build/a.?"], place, Limits(bytes=2, members=2))

    assert (result.problem, result.files) == (None, 1)


async def test_what_cannot_be_taken_is_said_where_nothing_else_matches(place: Path) -> None:
    archive = pack(directory("out"), member("out/pipe", type=b"6"), member("out/x"))

    (result,) = await collected(FakeContainer(workspace__out=archive), ["out/p*"], place, LIMITS)

    assert result.problem == "nothing below /workspace/out matches the pattern out/p*"
    assert result.refused == ("out/pipe: it is a named pipe",)
    assert names(place) == []


async def test_a_volume_whose_root_has_no_name_arrives_under_the_name_of_its_path(
    place: Path,
) -> None:
    """As podman packs a volume of a container that has ended."""
    archive = pack(
        directory("/", mode=0o750),
        directory("/d"),
        member("/d/g", b"y"),
        hard_link("/h", "/d/g"),
    )
    container = FakeContainer(cache=archive)

    results = await collected(container, ["/cache", "/cache/*"], place, LIMITS)

    assert [(result.problem, result.refused, result.files) for result in results] == [
        (None, (), 2),
        (None, (), 2),
    ]
    assert (place / "cache/h").read_bytes() == b"y"
    assert (place / "cache").stat().st_mode & 0o777 == 0o750


def paths(collection: Collection) -> list[tuple[str, list[str]]]:
    return [
        (name, [entry.path for entry in manifest.entries])
        for name, manifest in collection.manifests
    ]


async def test_a_collection_knows_every_member_that_was_put_in_place(place: Path) -> None:
    container = FakeContainer(
        workspace__build=pack(*BUILD),
        etc__passwd=pack(member("passwd", b"root")),
        etc__hosts=pack(directory("hosts")),
    )

    sources = ["build/*.o", "none", "/etc/passwd", "/etc/hosts/*"]
    with Ledgers() as ledgers, below(place) as root:
        collection = await collect(container, sources, root, LIMITS, ledgers)

        assert collection.directory == place
        assert await to_thread.run_sync(paths, collection) == [
            ("build", ["", "a.o"]),
            ("passwd", [""]),
        ]


@pytest.mark.parametrize("size", [0, 512, 700, 1500, -1024, -1])
async def test_an_archive_that_is_cut_under_a_pattern_is_no_success_and_leaves_nothing(
    place: Path, size: int
) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD)[:size])

    results = await collected(container, ["build/*.o", "build/*.so"], place, LIMITS)

    problem = "podman cut the archive of /workspace/build off; nothing of it was kept"
    assert [result.problem for result in results] == [problem] * 2
    assert names(place) == []


async def test_an_archive_that_is_cut_when_it_is_read_again_leaves_nothing(place: Path) -> None:
    whole = [True, False]

    async def once() -> AsyncIterator[bytes]:
        async for piece in pieces(pack(*BUILD)[: None if whole.pop(0) else -1024]):
            yield piece

    (result,) = await collected(FakeContainer(workspace__build=once), ["build/*.a"], place, LIMITS)

    assert result.problem == (
        "podman cut the archive of /workspace/build off; nothing of it was kept"
    )
    assert names(place) == []


async def test_a_limit_that_is_reached_under_a_pattern_leaves_nothing(place: Path) -> None:
    container = FakeContainer(workspace__build=pack(*BUILD))

    (result,) = await collected(container, ["build/**/*.o"], place, Limits(bytes=4))

    assert result.problem is not None
    assert "have more than 4 bytes" in result.problem
    assert names(place) == []


async def test_what_a_pattern_leaves_out_is_bounded_too(place: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield pack(directory("build"), member("build/a.log", b"x"))[:1536]
        yield raw(b"build/core", size=b"7" * 11 + b"\0")
        while True:
            yield bytes(1 << 16)

    limits = Limits(bytes=1000, members=10, skipped_bytes=1 << 20)
    (result,) = await collected(
        FakeContainer(workspace__build=endless), ["build/*.log"], place, limits
    )

    assert result.problem == (
        "the archive of /workspace/build is refused: it is longer than "
        f"{limits.stream_bytes + (1 << 20)} bytes, most of which nobody wants; "
        "name what is wanted with fewer wildcards"
    )
    assert names(place) == []


async def test_what_nobody_wants_of_a_huge_file_is_not_read_to_find_it_too_large(
    place: Path,
) -> None:
    sent = 0

    async def huge() -> AsyncIterator[bytes]:
        nonlocal sent
        yield block(*directory("build")) + raw(b"build/core", size=b"77777777777\0")
        while True:
            sent += 1 << 16
            yield bytes(1 << 16)

    limits = Limits(bytes=1000, members=10, skipped_bytes=1 << 30)
    (result,) = await collected(
        FakeContainer(workspace__build=huge), ["build/*.log"], place, limits
    )

    assert "most of which nobody wants" in str(result.problem)
    assert sent < 16 << 20
