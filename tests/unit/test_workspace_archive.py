"""The archive of a project: the same bytes for the same tree, in bounded memory."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.errors import ConfigError
from barasync.workspace import archive
from barasync.workspace.archive import made_ahead, stream
from barasync.workspace.scan import scan
from barasync.workspace.tree import Entry, Kind, TreeChanged
from tests.unit.projects import MTIME, write


def unpacked(root: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    buffer = io.BytesIO(b"".join(stream(scan(root))))
    with tarfile.open(fileobj=buffer, errors="surrogateescape") as tar:
        found = {}
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            found[member.name] = (member, content.read() if content else b"")
    return found


def sample(root: Path) -> Path:
    write(root, {"d/run": "#!/bin/sh\n", "a": "1" * 513, "empty": ""})
    (root / "d/run").chmod(0o755)
    (root / "d").chmod(0o750)
    (root / "d/l").symlink_to("../a")
    os.utime(root / "d/l", (MTIME, MTIME), follow_symlinks=False)
    return root


def test_everything_lies_below_the_workspace_in_order(tmp_path: Path) -> None:
    members = unpacked(sample(tmp_path))

    assert list(members) == [
        "workspace",
        "workspace/a",
        "workspace/d",
        "workspace/d/l",
        "workspace/d/run",
        "workspace/empty",
    ]
    assert members["workspace/a"][1] == b"1" * 513
    assert members["workspace/d/l"][0].linkname == "../a"


def test_modes_and_times_are_kept_and_owners_are_not(tmp_path: Path) -> None:
    members = {name: member for name, (member, _) in unpacked(sample(tmp_path)).items()}

    assert members["workspace/d/run"].mode == 0o755
    assert members["workspace/d"].mode == 0o750
    assert {member.mtime for member in members.values()} == {MTIME}
    assert {(member.uid, member.gid, member.uname) for member in members.values()} == {(0, 0, "")}


def test_everybody_may_enter_the_workspace(tmp_path: Path) -> None:
    sample(tmp_path).chmod(0o700)

    assert unpacked(tmp_path)["workspace"][0].mode == 0o755


def test_an_empty_project_is_an_empty_workspace(tmp_path: Path) -> None:
    assert list(unpacked(tmp_path)) == ["workspace"]


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = sample(tmp_path / "1"), sample(tmp_path / "2")

    assert b"".join(stream(scan(first))) == b"".join(stream(scan(second)))


@given(
    kind=st.sampled_from(Kind),
    names=st.tuples(
        st.text(st.sampled_from("ab/é"), max_size=120), st.text(st.sampled_from("t"), max_size=120)
    ),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(-5, 1 << 36),
    size=st.integers(0, 1 << 36),
)
def test_a_header_is_what_the_standard_library_makes(
    kind: Kind, names: tuple[str, str], mode: int, mtime: int, size: int
) -> None:
    entry = Entry(path=names[0], kind=kind, mode=mode, mtime=mtime, size=size, target=names[1])
    info = tarfile.TarInfo(f"workspace/{names[0]}".rstrip("/"))
    info.type = {Kind.FILE: b"0", Kind.SYMLINK: b"2", Kind.DIRECTORY: b"5"}[kind]
    info.mode, info.mtime, info.size, info.linkname = mode, mtime, size, names[1]

    assert archive._header(entry, info.name) == info.tobuf(
        tarfile.PAX_FORMAT, "utf-8", "surrogateescape"
    )


def test_the_archive_is_complete(tmp_path: Path) -> None:
    archive = b"".join(stream(scan(sample(tmp_path))))

    assert len(archive) % 512 == 0
    assert archive.endswith(bytes(1024))


@pytest.mark.parametrize("name", [b"caf\xe9", "größe".encode(), b"line\nbreak", b"x" * 255])
def test_names_and_targets_are_bytes(tmp_path: Path, name: bytes) -> None:
    path = os.fsdecode(name)
    write(tmp_path, {f"d/{path}": "x"})
    (tmp_path / "l").symlink_to(path)

    members = unpacked(tmp_path)

    assert os.fsencode(list(members)[2]) == b"workspace/d/" + name
    assert os.fsencode(members["workspace/l"][0].linkname) == name


def test_times_before_the_epoch_and_far_beyond_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"past": "", "future": ""})
    os.utime(tmp_path / "past", (-5, -5))
    os.utime(tmp_path / "future", (1 << 33, 1 << 33))

    members = unpacked(tmp_path)

    assert members["workspace/past"][0].mtime == -5
    assert members["workspace/future"][0].mtime == 1 << 33


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    size = 64 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    length = 0

    for piece in stream(scan(tmp_path)):
        assert len(piece) <= 1 << 20
        length += len(piece)

    assert size < length < size + 10_000


def test_a_file_that_changed_since_the_scan_is_an_error(tmp_path: Path) -> None:
    tree = scan(sample(tmp_path))
    (tmp_path / "a").write_text("2")

    with pytest.raises(ConfigError, match="/a changed while it was read"):
        list(stream(tree))


def test_an_archive_that_is_not_read_to_its_end_closes_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"x" * 2_000_000})
    pieces = stream(scan(tmp_path))
    before = open_files()
    next(pieces)
    assert open_files() == before + 2  # the root, and the file

    pieces.close()

    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.anyio
async def test_pieces_are_made_ahead_and_in_order() -> None:
    made: list[int] = []

    def numbers() -> Generator[bytes, None, None]:
        for number in range(100):
            made.append(number)
            yield b"%d" % number

    async with made_ahead(numbers()) as pieces:
        first = await anext(pieces)
        with anyio.fail_after(5):
            while len(made) < 3:
                await anyio.lowlevel.checkpoint()
        assert len(made) < 10
        taken = [first, *[piece async for piece in pieces]]

    assert taken == [b"%d" % number for number in range(100)]


@pytest.mark.anyio
@pytest.mark.parametrize("ending", ["archive", "taker", "cancelled", "at once"])
async def test_an_archive_is_closed_however_its_taking_ends(ending: str) -> None:
    opened = closed = False

    def endless() -> Generator[bytes, None, None]:
        nonlocal opened, closed
        opened = True
        try:
            yield b"1"
            if ending == "archive":
                raise TreeChanged("it changed")
            while True:
                yield b"2"
        finally:
            closed = True

    async def take() -> None:
        async with made_ahead(endless()) as pieces:
            if ending == "at once":
                return
            async for _ in pieces:
                if ending == "taker":
                    raise ZeroDivisionError
                if ending == "cancelled":
                    scope.cancel()

    expected = {"archive": pytest.raises(TreeChanged), "taker": pytest.raises(ZeroDivisionError)}
    with expected.get(ending, nullcontext()), anyio.CancelScope() as scope:
        await take()

    assert closed is opened
    assert opened or ending == "at once"
