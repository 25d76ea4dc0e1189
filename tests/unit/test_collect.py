"""Collection of artifacts, against a container whose archives are made here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import (
    ConnectError,
    NotFound,
    StreamTruncated,
)
from barasync.artifacts.collect import CONCURRENT_PATHS, collect
from barasync.artifacts.extract import Limits
from barasync.matrix.outcome import Collected
from tests.unit.archives import directory, hard_link, member, names, pack, raw, sandbox, symlink

pytestmark = pytest.mark.anyio
LIMITS = Limits()

Script = Callable[[], AsyncIterator[bytes]]


class FakeContainer:
    """Gives out one archive per path: bytes, an exception, or a script that yields the pieces."""

    def __init__(self, **archives: bytes | Exception | Script) -> None:
        self.archives = {f"/{name.replace('__', '/')}": what for name, what in archives.items()}
        self.open = 0
        self.asked: list[str] = []
        self.most_open = 0

    @asynccontextmanager
    async def archive(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(path)
        what = self.archives.get(path, missing(path))
        await anyio.lowlevel.checkpoint()
        if isinstance(what, Exception):
            raise what
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield pieces(what) if isinstance(what, bytes) else what()
        finally:
            self.open -= 1


def missing(path: str) -> NotFound:
    return NotFound(status=404, cause="no such file", message="", method="GET", path=path)


async def pieces(archive: bytes, size: int = 700) -> AsyncIterator[bytes]:
    for start in range(0, len(archive), size):
        await anyio.lowlevel.checkpoint()
        yield archive[start : start + size]


async def collected(
    container: FakeContainer, sources: Sequence[str], place: Path, limits: Limits, **options: str
) -> tuple[Collected, ...]:
    return (await collect(container, sources, place, limits, **options)).artifacts


def tree(name: str, content: bytes = b"x") -> bytes:
    return pack(directory(name), member(f"{name}/file", content))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with sandbox(tmp_path) as path:
        yield path


async def test_a_directory_and_a_file_arrive_under_their_names(place: Path) -> None:
    container = FakeContainer(
        workspace__out=tree("out", b"12345"), etc__passwd=pack(member("passwd", b"root"))
    )

    results = await collected(container, ["out/", "/etc/passwd"], place, LIMITS)

    assert results == (
        Collected(source="out/", destination=str(place / "out"), files=1, bytes=5),
        Collected(source="/etc/passwd", destination=str(place / "passwd"), files=1, bytes=4),
    )
    assert (place / "out/file").read_bytes() == b"12345"
    assert (place / "passwd").read_bytes() == b"root"


async def test_another_workspace_is_where_relative_paths_start(place: Path) -> None:
    container = FakeContainer(src__out=tree("out"))

    (result,) = await collected(container, ["out"], place, LIMITS, workspace="/src")

    assert result.problem is None


async def test_no_source_is_no_result_and_no_directory(place: Path) -> None:
    assert await collected(FakeContainer(), [], place, LIMITS) == ()
    assert names(place.parent) == []


async def test_a_container_that_is_gone_is_not_a_missing_path(place: Path) -> None:
    gone = NotFound(status=404, cause="no such container", message="", method="GET", path="")

    (result,) = await collected(FakeContainer(workspace__out=gone), ["out"], place, LIMITS)

    assert result.problem == "/workspace/out could not be fetched: no such container (GET : 404)"


async def test_problems_are_results_and_do_not_disturb_the_others(place: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield tree("out")[:600]
        raise StreamTruncated("cut")

    async def lost() -> AsyncIterator[bytes]:
        yield tree("lost")[:600]
        raise ConnectError("gone")

    container = FakeContainer(
        w__good=tree("good"),
        w__broken=broken,
        w__lost=lost,
        w__cut=tree("cut")[:-1],
        w__refused=ConnectError("nobody answers"),
        w__device=pack(member("device", type=b"3")),
        w__big=pack(directory("big"), *(member(f"big/{n}", b"x" * 1000) for n in range(11))),
        w__garbage=bytes(512) + b"x" * 1024,
    )
    sources = ["good", "missing", "broken", "lost", "cut", "refused", "device", "big", "garbage"]

    results = await collected(container, sources, place, Limits(bytes=10_000), workspace="/w")

    assert {result.source: result.problem for result in results} == {
        "good": None,
        "missing": "/w/missing is not in the container",
        "broken": "podman cut the archive of /w/broken off; nothing of it was kept",
        "lost": "/w/lost could not be fetched: gone",
        "cut": "podman cut the archive of /w/cut off; nothing of it was kept",
        "refused": "/w/refused could not be fetched: nobody answers",
        "device": "the archive of /w/device is refused: device: it is a character device",
        "big": "the archive of /w/big is refused: "
        "the files have more than 10000 bytes (`artifacts_size`, for all artifacts of the cell)",
        "garbage": "the archive of /w/garbage is refused: "
        "a single block of zeroes in the middle of the archive",
    }
    assert [result.destination for result in results[1:]] == [None] * 8
    assert names(place) == ["good"]


async def test_members_that_were_left_out_are_listed(place: Path) -> None:
    archive = pack(directory("out"), symlink("out/l", "/etc"), member("out/f"))

    (result,) = await collected(FakeContainer(workspace__out=archive), ["out"], place, LIMITS)

    assert result.refused == ("out/l: it is a symbolic link to the absolute path /etc",)
    assert (result.files, result.problem) == (1, None)


async def test_members_beyond_the_list_are_counted(place: Path) -> None:
    archive = pack(directory("out"), *(symlink("out/l", "/etc") for _ in range(1001)))

    (result,) = await collected(FakeContainer(workspace__out=archive), ["out"], place, LIMITS)

    assert len(result.refused) == 1001
    assert result.refused[-1] == "… and 1 more"


async def test_what_an_earlier_collection_left_is_replaced(place: Path) -> None:
    for content in (b"1", b"22"):
        container = FakeContainer(workspace__out=tree("out", content))
        await collected(container, ["out"], place, LIMITS)

    assert (place / "out/file").read_bytes() == b"22"


async def test_a_destination_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    container = FakeContainer(workspace__out=tree("out"))

    (result,) = await collected(container, ["out"], tmp_path / "file" / "below", LIMITS)

    assert result.problem == f"{tmp_path}/file/below/out cannot be written: Not a directory"


async def test_the_whole_file_system_is_not_an_artifact(place: Path) -> None:
    (result,) = await collected(FakeContainer(), ["/"], place, LIMITS)

    assert result.problem == "a whole file system is not an artifact; name a directory in it"


async def test_paths_with_one_name_keep_their_directories(place: Path) -> None:
    container = FakeContainer(
        workspace__a__out=tree("out", b"a"), b__out=tree("out", b"b"), c=tree("c", b"c")
    )

    results = await collected(container, ["a/out", "/b/out", "/c"], place, LIMITS)

    assert [result.destination for result in results] == [
        str(place / "workspace/a/out"),
        str(place / "b/out"),
        str(place / "c"),
    ]
    assert (place / "workspace/a/out/file").read_bytes() == b"a"
    assert (place / "b/out/file").read_bytes() == b"b"


async def test_a_path_within_another_comes_with_it_where_names_clash(place: Path) -> None:
    archive = pack(
        directory("out"),
        directory("out/x"),
        directory("out/x/out"),
        member("out/x/out/f", b"12"),
        member("out/g", b"3"),
    )
    container = FakeContainer(workspace__out=archive)

    results = await collected(container, ["out", "out/x/out", "out/y/out"], place, LIMITS)

    assert [(result.destination, result.files, result.bytes) for result in results] == [
        (str(place / "workspace/out"), 2, 3),
        (str(place / "workspace/out/x/out"), 1, 2),
        (None, 0, 0),
    ]
    assert results[2].problem == "/workspace/out/y/out is not in the container"


async def test_one_path_asked_for_twice_is_fetched_once(place: Path) -> None:
    container = FakeContainer(workspace__out=tree("out"))

    results = await collected(container, ["out", "/workspace/./out/"], place, LIMITS)

    assert [result.destination for result in results] == [str(place / "out")] * 2


async def test_only_a_few_archives_are_open_at_a_time(place: Path) -> None:
    archives = {f"p{number}": tree(f"p{number}") for number in range(12)}
    container = FakeContainer(**archives)

    results = await collected(container, [f"/{name}" for name in archives], place, LIMITS)

    assert all(result.problem is None for result in results)
    assert 1 < container.most_open <= CONCURRENT_PATHS


async def test_a_stream_that_goes_on_for_ever_ends_with_the_limit(place: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield pack(directory("out"))[:512]
        block = pack(member("out/f"))[:512]
        while True:
            yield block * 100

    (result,) = await collected(
        FakeContainer(workspace__out=endless), ["out"], place, Limits(members=1000)
    )

    assert result.problem == (
        "the archive of /workspace/out is refused: there are more than 1000 members "
        "(`artifacts_files`, for all artifacts of the cell)"
    )


async def test_a_file_that_goes_on_for_ever_ends_with_the_limit(place: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield raw(b"out", size=b"7" * 11 + b"\0")
        while True:
            yield bytes(1 << 16)

    (result,) = await collected(
        FakeContainer(workspace__out=endless), ["out"], place, Limits(bytes=1 << 20)
    )

    assert result.problem is not None
    assert "have more than 1048576 bytes" in result.problem
    assert names(place) == []


@pytest.mark.parametrize(
    ("limits", "taken"),
    [(Limits(bytes=25), 2), (Limits(bytes=30), 3), (Limits(members=5), 2), (Limits(members=6), 3)],
)
async def test_limits_hold_for_the_archives_of_a_cell_together(
    place: Path, limits: Limits, taken: int
) -> None:
    container = FakeContainer(**{name: tree(name, b"x" * 10) for name in "abc"})

    results = await collected(container, ["/a", "/b", "/c"], place, limits)

    whole = [result for result in results if result.problem is None]
    assert len(whole) == taken
    assert names(place) == sorted(result.source[1:] for result in whole)


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


async def test_a_collection_knows_every_member_that_was_put_in_place(place: Path) -> None:
    container = FakeContainer(
        workspace__build=pack(*BUILD), etc__passwd=pack(member("passwd", b"root"))
    )

    collection = await collect(container, ["build/*.o", "none", "/etc/passwd"], place, LIMITS)

    assert collection.directory == place
    assert [
        (name, [entry.path for entry in manifest.entries])
        for name, manifest in collection.manifests
    ] == [("build", ["", "a.o"]), ("passwd", [""])]


async def test_what_is_not_there_in_time_is_given_up_and_the_rest_stays(place: Path) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield tree("stuck", b"x" * 5000)[:2048]
        await anyio.sleep_forever()

    container = FakeContainer(workspace__stuck=stuck, workspace__good=tree("good"))

    results = await collected(container, ["stuck", "good"], place, Limits(seconds=1))

    assert [result.problem for result in results] == [
        "/workspace/stuck was not whole after 1 s (`artifacts_timeout`); nothing of it was kept",
        None,
    ]
    assert names(place) == ["good"]
    assert container.open == 0


async def test_a_cancelled_collection_ends_its_thread_and_leaves_nothing(place: Path) -> None:
    started = anyio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield tree("out", b"x" * 5000)[:2048]
        started.set()
        await anyio.sleep_forever()

    container = FakeContainer(workspace__out=stuck, workspace__good=tree("good"))
    async with anyio.create_task_group() as group:
        group.start_soon(collect, container, ["out", "good"], place, LIMITS)
        await started.wait()
        await until((place / "good").exists)
        group.cancel_scope.cancel()

    assert names(place) == ["good"]
    assert container.open == 0


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()
