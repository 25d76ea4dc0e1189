"""How an archive takes its place: in one step, never onto what came there meanwhile."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest

from barasync.artifacts import extract as module
from barasync.artifacts import publish
from barasync.artifacts.errors import TruncatedArchive
from barasync.artifacts.extract import extract
from barasync.artifacts.ledger import Ledger
from barasync.artifacts.place import below
from barasync.artifacts.removal import remove
from barasync.artifacts.rename import Name
from barasync.artifacts.tarstream import Read
from tests.rig.extraction import extracted
from tests.unit.archives import LIMITS, directory, member, names, pack, reader, unpack

ROUNDS = 200


def test_a_place_that_is_replaced_is_never_missing(place: Path) -> None:
    unpack(pack(directory("d"), member("d/f")), place)
    looked = missing = 0
    over = threading.Event()

    def look() -> None:
        nonlocal looked, missing
        while not over.is_set():
            looked += 1
            missing += not os.access(place / "d/f", os.F_OK)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(ROUNDS):
            unpack(pack(directory("d"), member("d/f")), place, replace=True)
    finally:
        over.set()
        looker.join()

    assert looked > ROUNDS
    assert missing == 0


def test_two_that_replace_the_same_place_at_once_both_succeed(place: Path) -> None:
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            for _ in range(ROUNDS):
                unpack(pack(directory("d"), member(f"d/{name}")), place, replace=True)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert names(place / "d") in (["a"], ["b"])
    assert names(place.parent) == ["out"]


def test_what_came_there_meanwhile_is_not_replaced_unless_asked_for(place: Path) -> None:
    archive = reader(pack(member("f")))

    def read(size: int) -> bytes:
        if not place.exists():
            place.write_text("mine")
        return archive(size)

    with pytest.raises(FileExistsError):
        extracted(read, place, LIMITS)

    assert place.read_text() == "mine"


class TestWithoutExchange:
    """On file systems that cannot exchange two names."""

    @pytest.fixture(autouse=True)
    def old_file_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def exchange(_one: Name, _other: Name) -> bool:
            return False

        monkeypatch.setattr(publish, "exchange", exchange)

    def test_a_place_is_replaced_all_the_same(self, place: Path) -> None:
        unpack(pack(member("old")), place)
        unpack(pack(member("new")), place, replace=True)

        assert names(place) == ["new"]

    def test_what_was_there_comes_back_where_the_new_cannot_take_its_place(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unpack(pack(member("old")), place)
        renamed: list[str] = []
        rename = os.rename

        def second_fails(source: str, target: str, **directories: int) -> None:
            renamed.append(source)
            if len(renamed) == 2:
                raise PermissionError
            rename(source, target, **directories)

        monkeypatch.setattr(publish.os, "rename", second_fails)
        with pytest.raises(PermissionError):
            unpack(pack(member("new")), place, replace=True)

        assert renamed == ["out", "content"]
        assert names(place) == ["old"]


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_makes_is_not(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "YOUNG_SECONDS", -60)
    dead, live, other = (
        place.parent / f".barasync-{digit * 16}{ending}"
        for digit, ending in (("0", ".partial"), ("1", ".partial"), ("2", ".part"))
    )
    for path in (dead / "content/deep", live / "content", other):
        path.mkdir(parents=True)
    held = os.open(live, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        unpack(pack(member("f")), place)
        left = names(place.parent)
    finally:
        os.close(held)
    live.joinpath("content").rmdir()
    live.rmdir()
    other.rmdir()

    assert left == [live.name, other.name, "out"]


def test_what_another_process_only_just_began_is_not_removed(place: Path) -> None:
    fresh = place.parent / f".barasync-{'0' * 16}.partial"
    fresh.mkdir()

    with pytest.raises(TruncatedArchive):
        unpack(pack(member("f"))[:-1], place)

    assert fresh.is_dir()
    fresh.rmdir()


def test_what_is_replaced_may_be_deeper_than_python_recurses(place: Path) -> None:
    opened = os.open(place.parent, os.O_RDONLY)
    for name in ("out", *["d"] * 1100):
        os.mkdir(name, dir_fd=opened)
        inner = os.open(name, os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = inner
    os.close(opened)

    unpack(pack(member("new")), place, replace=True)

    assert names(place) == ["new"]
    assert names(place.parent) == ["out"]


@pytest.mark.parametrize("whole", [True, False])
def test_the_stream_is_open_while_members_are_written_and_not_while_anything_is_removed(
    place: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """Whoever reads has one of a few turns."""
    unpack(pack(member("old")), place)
    monkeypatch.setattr(module, "YOUNG_SECONDS", -60)
    (place.parent / f".barasync-{'0' * 16}.partial").mkdir()
    archive = reader(pack(member("new"))[: None if whole else -1])
    happened: list[str] = []

    @contextmanager
    def reading() -> Iterator[Read]:
        happened.append("open")
        try:
            yield archive
        finally:
            happened.append("close")

    def told(name: str, *, dir_fd: int) -> None:
        happened.append("remove")
        remove(name, dir_fd=dir_fd)

    monkeypatch.setattr(module, "remove", told)
    expected = nullcontext() if whole else pytest.raises(TruncatedArchive)
    with closing(Ledger()) as ledger, below(place.parent) as root, expected:
        extract(reading, root / place.name, LIMITS, ledger, replace=True)

    assert happened == ["remove", "open", "close", "remove"]
    assert names(place) == (["new"] if whole else ["old"])
    assert names(place.parent) == ["out"]


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("movable", [True, False])
def test_what_was_there_is_put_back_or_kept_where_the_new_has_gone_from_its_place(
    place: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool, movable: bool
) -> None:
    place.mkdir()
    for name in "ab":
        place.joinpath(name).write_text(f"old {name}")
    put = publish.publish

    def refuse(_source: Name, _target: Name) -> None:
        raise PermissionError

    def second_fails(
        content: Name,
        target: Name,
        unrestored: list[str],
        *,
        replace: bool,
        aside: Name | None = None,
    ) -> Name | None:
        if target.name == "a":
            return put(content, target, unrestored, replace=replace, aside=aside)
        place.joinpath("a").unlink()
        if not movable:
            monkeypatch.setattr(publish, "move", refuse)
        raise PermissionError

    monkeypatch.setattr(publish, "publish", second_fails)
    if not exchanges:
        monkeypatch.setattr(publish, "exchange", lambda *_: False)
    archive = reader(pack(directory("d"), member("d/a"), member("d/b")))
    with pytest.raises(PermissionError) as raised:
        extracted(archive, place, LIMITS, rooted=True, spread=True, replace=True)

    if movable:
        assert names(place) == ["a", "b"]
        assert place.joinpath("a").read_text() == "old a"
        return
    kept, _ = names(place)
    assert kept.endswith(".kept")
    assert raised.value.__notes__ == [f"{place / kept} holds what was a; move it back"]
    assert "old a" in [
        path.read_text() for path in place.joinpath(kept).rglob("*") if path.is_file()
    ]
