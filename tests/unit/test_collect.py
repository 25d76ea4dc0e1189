"""Collection of artifacts, against a container whose archives are made here."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import (
    ConnectError,
    NotFound,
    StreamTruncated,
)
from barasync.artifacts import extract
from barasync.artifacts.collect import CONCURRENT_PATHS, collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledger, Ledgers
from barasync.artifacts.manifest import Entry
from barasync.artifacts.place import below
from barasync.matrix.outcome import Collected
from tests.unit.archived import FakeContainer, collected, tree
from tests.unit.archives import (
    END,
    directory,
    hard_link,
    member,
    names,
    pack,
    pax_header,
    raw,
    record,
    symlink,
)

pytestmark = pytest.mark.anyio
LIMITS = Limits()


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


@pytest.mark.parametrize("by", ["the archive", "podman"])
async def test_what_is_left_of_an_archive_that_failed_is_part_of_the_problem(
    place: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield tree("out")[:600]
        raise StreamTruncated("cut")

    def fail(name: str, *, dir_fd: int) -> None:  # noqa: ARG001 as it is called
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(extract, "remove", fail)
    archive = broken if by == "podman" else tree("out")[:-1]

    (result,) = await collected(FakeContainer(w__out=archive), ["/w/out"], place, LIMITS)

    (left,) = names(place)
    assert result.problem == (
        "podman cut the archive of /w/out off; nothing of it was kept; "
        f"{place / left} cannot be removed (Permission denied); remove it"
    )


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

    results = await collected(container, sources, place, Limits(bytes=10_500), workspace="/w")

    assert {result.source: result.problem for result in results} == {
        "good": None,
        "missing": "/w/missing is not in the container",
        "broken": "podman cut the archive of /w/broken off; nothing of it was kept",
        "lost": "/w/lost could not be fetched: gone",
        "cut": "podman cut the archive of /w/cut off; nothing of it was kept",
        "refused": "/w/refused could not be fetched: nobody answers",
        "device": "the archive of /w/device is refused: device: it is a character device",
        "big": "the archive of /w/big is refused: "
        "the files have more than 10500 bytes (`artifacts_size`, for all artifacts of the cell)",
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

    with below(tmp_path) as root, Ledgers() as ledgers:
        collection = await collect(container, ["out"], root / "file/below", LIMITS, ledgers)

    (result,) = collection.artifacts
    assert result.problem == f"{tmp_path}/file/below/out cannot be written: Not a directory"


async def test_nothing_is_put_behind_a_link_that_came_into_the_way(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/out").mkdir(parents=True)
    (tmp_path / "artifacts").mkdir()
    container = FakeContainer(workspace__out=tree("out"))

    with below(tmp_path / "artifacts") as root, Ledgers() as ledgers:
        (tmp_path / "artifacts/amd64").symlink_to(tmp_path / "elsewhere")
        collection = await collect(container, ["out"], root / "amd64", LIMITS, ledgers)

    (result,) = collection.artifacts
    assert result.problem == f"{tmp_path}/artifacts/amd64/out cannot be written: Not a directory"
    assert names(tmp_path / "elsewhere/out") == []


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


async def test_the_time_limit_holds_when_everything_has_arrived_but_is_not_written(
    place: Path,
) -> None:
    """An archive of 2560 bytes with a hole of 64 GiB, whose hash takes minutes."""
    sparse = record(b"GNU.sparse.size", b"%d" % (64 << 30)) + record(b"GNU.sparse.map", b"")
    bomb = pax_header(sparse) + raw(b"bomb") + END

    (result,) = await collected(
        FakeContainer(bomb=bomb), ["/bomb"], place, Limits(bytes=1 << 40, seconds=0.1)
    )

    assert result.problem is not None
    assert "was not whole after 0.1 s" in result.problem
    assert names(place) == []


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
        group.start_soon(collected, container, ["out", "good"], place, LIMITS)
        await started.wait()
        await until((place / "good").exists)
        group.cancel_scope.cancel()

    assert names(place) == ["good"]
    assert container.open == 0


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("first", ["a", "b", "c"])
async def test_which_artifacts_are_too_much_does_not_depend_on_which_comes_first(
    place: Path, first: str
) -> None:
    """Of 20 bytes `a` takes 15; what is left is too little for `b`, and enough for `c`."""
    sizes = {"a": 15, "b": 9, "c": 4}
    ended = anyio.Event()

    async def at_first() -> AsyncIterator[bytes]:
        yield tree(first, b"x" * sizes[first])
        ended.set()

    async def later(name: str) -> AsyncIterator[bytes]:
        await ended.wait()
        yield tree(name, b"x" * sizes[name])

    archives = {name: partial(later, name) for name in sizes} | {first: at_first}
    results = await collected(
        FakeContainer(**archives), ["/a", "/b", "/c"], place, Limits(bytes=20)
    )

    assert [result.problem is None for result in results] == [True, False, True]
    assert "have more than 20 bytes (`artifacts_size`" in str(results[1].problem)
    assert names(place) == ["a", "c"]


async def test_an_artifact_that_is_too_much_alone_takes_no_other_down(place: Path) -> None:
    refused = anyio.Event()

    async def large() -> AsyncIterator[bytes]:
        yield pack(directory("big"), *(member(f"big/{n}", b"x" * 10) for n in range(5)))[:-1024]
        await refused.wait()
        yield pack(*(member(f"big/{n}", b"x" * 10) for n in range(5, 9)))

    async def log() -> AsyncIterator[bytes]:
        try:
            yield tree("log", b"x" * 20)
        finally:
            refused.set()

    container = FakeContainer(big=large, log=log)
    results = await collected(container, ["/big", "/log"], place, Limits(bytes=60))

    assert [result.problem is None for result in results] == [False, True]
    assert names(place) == ["log"]


async def test_a_file_that_is_left_out_is_a_problem_and_the_rest_comes(place: Path) -> None:
    deep = "out/" + "d/" * 100 + "f"
    archive = pack(
        directory("out"), member("out/f", b"x"), member(deep, b"x"), symlink("out/l", "/")
    )

    results = await collected(FakeContainer(workspace__out=archive), ["out", "out"], place, LIMITS)

    first, second = (result.problem for result in results)
    assert str(first).startswith("a file had to be left out: out/d/d/")
    assert str(first).endswith(f": its path has more than {LIMITS.depth} parts")
    assert second is None
    assert [result.destination for result in results] == [str(place / "out")] * 2
    assert [len(result.refused) for result in results] == [2, 0]
    assert (place / "out/f").read_bytes() == b"x"


@pytest.mark.parametrize("sources", [["out"], ["out/f*"], ["out", "out/file", "out/*"]])
async def test_a_list_of_members_that_cannot_be_written_is_a_problem_of_the_source(
    place: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str]
) -> None:
    """Few members, so that they are written when all of the archive is on disk."""
    monkeypatch.setattr("barasync.artifacts.ledger._ADD", "INSERT INTO no_space VALUES (1)")
    container = FakeContainer(workspace__out=tree("out"), workspace__out__file=pack(member("file")))

    results = await collected(container, sources, place, LIMITS)

    assert [result.source for result in results] == sources
    for result in results:
        assert "cannot be written: " in str(result.problem)
        assert "for the list of its members, which is a temporary file" in str(result.problem)
    assert names(place) == []


async def test_what_sources_within_another_have_is_known_without_reading_the_list_of_members(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends a report: it must not take longer the more members there are."""

    def read(_: Ledger) -> Iterator[Entry]:
        pytest.fail("the list of half a million members was read")

    monkeypatch.setattr(Ledger, "__iter__", read)
    container = FakeContainer(workspace__out=tree("out", b"123"))

    results = await collected(container, ["out", "out/f*", "out/*/x"], place, LIMITS)

    assert [(result.files, result.bytes) for result in results] == [(1, 3), (1, 3), (0, 0)]
    assert results[2].problem == "nothing below /workspace/out matches the pattern out/*/x"


async def test_the_first_of_the_files_that_are_left_out_stands_for_all(place: Path) -> None:
    """A hard link is a file like any other."""
    archive = pack(
        directory("out"), symlink("out/l", "/"), hard_link("out/h", "out/l"), member("out/a//../b")
    )

    (result,) = await collected(FakeContainer(workspace__out=archive), ["out"], place, LIMITS)

    assert result.problem == (
        "2 files had to be left out, the first is "
        "out/h: it is a hard link to out/l, which is no file extracted before it"
    )


async def test_an_artifact_that_others_leave_too_few_members_for_is_told_so(place: Path) -> None:
    """The last two have come when the first is refused for them, and then one has to go."""

    async def last() -> AsyncIterator[bytes]:
        with anyio.fail_after(5):
            for name in "bc":
                while not await anyio.Path(place / name).exists():
                    await anyio.lowlevel.checkpoint()
        yield tree("a")

    container = FakeContainer(a=last, b=tree("b"), c=tree("c"))
    results = await collected(container, ["/a", "/b", "/c"], place, Limits(members=5))

    assert [result.problem is None for result in results] == [True, True, False]
    assert results[2].problem == (
        "the archive of /c is refused: there are more than 5 members "
        "(`artifacts_files`, for all artifacts of the cell)"
    )
    assert names(place) == ["a", "b"]
