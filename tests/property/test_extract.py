"""The safe writer: what goes in comes out, nothing goes elsewhere, no bytes surprise it."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.extract import Limits
from barasync.artifacts.manifest import Kind, Manifest
from tests.rig.extraction import extracted

LIMITS = Limits(bytes=1 << 20, members=200, path_bytes=500, depth=12)
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
STEPS = st.integers(min_value=1, max_value=3000)
NAMES = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."})
    .map(lambda name: name.decode("utf-8", "surrogateescape"))
)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        st.binary(max_size=1500) | NAMES.map(Path),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
"""Names to a file's bytes, a link's target (a `Path`), or a directory's content."""

PAGE = 4096
HOLES = st.dictionaries(
    NAMES,
    st.lists(
        st.integers(1, 9).map(lambda pages: bytes(pages * PAGE))
        | st.binary(min_size=1, max_size=3).map(lambda data: data * PAGE),
        max_size=6,
    ).map(b"".join),
    max_size=2,
)
"""Names to the bytes of files with pages of zeroes."""

GNU_TAR = st.sampled_from(
    [
        *((f"--format={form}",) for form in ("v7", "oldgnu", "gnu", "ustar", "posix")),
        *((f"--format={form}", "--sparse") for form in ("oldgnu", "gnu")),
        *(
            ("--format=posix", "--sparse", f"--sparse-version={form}")
            for form in ("0.0", "0.1", "1.0")
        ),
    ]
)

HOSTILE_PARTS = st.sampled_from(["..", ".", "", "a", "b", "c", "l", "outside", "x" * 300])
HOSTILE_PATHS = st.lists(HOSTILE_PARTS, max_size=6).map("/".join)
TYPES = st.sampled_from(
    [
        tarfile.REGTYPE,
        tarfile.AREGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        b"Z",
    ]
)


@contextmanager
def sandbox() -> Iterator[Path]:
    """A destination whose surroundings must be the same afterwards."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "outside").mkdir()
        (base / "inside").mkdir()
        yield base / "inside" / "out"
        assert sorted(path.name for path in base.iterdir()) == ["inside", "outside"]
        assert list((base / "outside").iterdir()) == []
        assert {path.name for path in (base / "inside").iterdir()} <= {"out"}


def unpack(archive: bytes, destination: Path, step: int, *, rooted: bool = False) -> Manifest:
    source = io.BytesIO(archive)
    return extracted(lambda size: source.read(min(size, step)), destination, LIMITS, rooted=rooted)


def add(tar: tarfile.TarFile, path: str, node: object) -> None:
    info = tarfile.TarInfo(path)
    if isinstance(node, bytes):
        info.size = len(node)
        tar.addfile(info, io.BytesIO(node))
    elif isinstance(node, Path):
        info.type, info.linkname = tarfile.SYMTYPE, str(node)
        tar.addfile(info)
    else:
        assert isinstance(node, dict)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
        for name, inner in node.items():
            add(tar, f"{path}/{name}", inner)


def packed(tree: dict[str, object], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        add(tar, "root", tree)
    return buffer.getvalue()


def found(path: Path) -> object:
    """Read a tree back from the disk, in the shape of `TREES`."""
    if path.is_symlink():
        return path.readlink()
    if path.is_file():
        return path.read_bytes()
    return {
        os.fsencode(inner.name).decode("utf-8", "surrogateescape"): found(inner)
        for inner in path.iterdir()
    }


@given(tree=TREES, form=FORMATS, step=STEPS)
def test_a_tree_comes_out_as_it_went_in(tree: dict[str, object], form: int, step: int) -> None:
    with sandbox() as destination:
        manifest = unpack(packed(tree, form), destination, step, rooted=True)

        assert manifest.refused == ()
        assert found(destination) == tree


def grow(path: Path, node: object) -> None:
    """Make a tree of `TREES` on the disk; runs of zeroes become holes."""
    if isinstance(node, bytes):
        with path.open("wb") as file:
            for start in range(0, len(node), PAGE):
                piece = node[start : start + PAGE]
                file.seek(start)
                file.write(piece if piece.strip(b"\0") else b"")
            file.truncate(len(node))
    elif isinstance(node, Path):
        path.symlink_to(node)
    else:
        assert isinstance(node, dict)
        path.mkdir()
        for name, inner in node.items():
            grow(path / os.fsdecode(name.encode("utf-8", "surrogateescape")), inner)


def facts(path: Path) -> dict[str, tuple[object, ...]]:
    """Read what of a tree is to survive, besides what `found` reads."""
    seen: dict[int, str] = {}
    facts: dict[str, tuple[object, ...]] = {}
    for inner in sorted([path, *path.rglob("*")]):
        name, status = str(inner.relative_to(path)), inner.lstat()
        twin = seen.setdefault(status.st_ino, name)
        time = int(status.st_mtime) if stat.S_ISREG(status.st_mode) else None
        facts[name] = (stat.S_IMODE(status.st_mode), twin, time)
    return facts


@contextmanager
def unmasked() -> Iterator[None]:
    """Let permissions be as they are asked for."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@settings(deadline=None)
@given(tree=TREES, holes=HOLES, how=GNU_TAR, step=STEPS, data=st.data())
def test_a_tree_comes_out_as_gnu_tar_packed_it(
    tree: dict[str, object],
    holes: dict[str, bytes],
    how: tuple[str, ...],
    step: int,
    data: st.DataObject,
) -> None:
    assume(not {"hard", "link"} & {*tree, *holes})
    with sandbox() as destination, tempfile.TemporaryDirectory() as name, unmasked():
        root = Path(name, "root")
        grow(root, {**tree, **holes, "hard": b"linked"})
        (root / "link").hardlink_to(root / "hard")
        for path in [path for path in root.rglob("*") if not path.is_symlink()]:
            path.chmod(data.draw(st.sampled_from([0o700, 0o750, 0o777])))
        packing = subprocess.run(
            ["tar", *how, "-C", name, "-cf", "-", "root"], capture_output=True, check=False
        )
        # The oldest format holds no path of 100 bytes.
        assume(packing.returncode == 0)

        manifest = unpack(packing.stdout, destination, step, rooted=True)

        assert manifest.refused == ()
        assert found(destination) == found(root)
        assert {name: fact for name, fact in facts(destination).items() if name != "."} == {
            name: fact for name, fact in facts(root).items() if name != "."
        }


@given(tree=TREES, form=FORMATS, step=STEPS, data=st.data())
def test_a_damaged_archive_is_an_error_or_another_archive(
    tree: dict[str, object], form: int, step: int, data: st.DataObject
) -> None:
    archive = bytearray(packed(tree, form))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(archive) - 1))
        archive[position] = data.draw(st.integers(0, 255))

    with sandbox() as destination:
        try:
            unpack(bytes(archive), destination, step)
        except ArchiveError:
            assert not destination.exists()


@given(tree=TREES, form=FORMATS, data=st.data())
def test_a_shorter_archive_is_always_an_error(
    tree: dict[str, object], form: int, data: st.DataObject
) -> None:
    archive = packed(tree, form).rstrip(b"\0")
    assume(archive)
    length = data.draw(st.integers(0, len(archive)))

    with sandbox() as destination:
        try:
            unpack(archive[:length], destination, 512)
        except ArchiveError:
            assert not destination.exists()
        else:
            raise AssertionError("an archive without its end was taken")


@given(archive=st.binary(max_size=5000), step=STEPS, rooted=st.booleans())
def test_any_bytes_are_an_archive_or_an_archive_error(
    archive: bytes, step: int, rooted: bool
) -> None:
    with sandbox() as destination:
        try:
            unpack(archive, destination, step, rooted=rooted)
        except ArchiveError:
            assert not destination.exists()


def leads_to_itself(path: Path) -> bool:
    """Whether a link is one of a loop, of which `realpath` makes `/` when its target has a `//`."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@given(
    members=st.lists(
        st.tuples(HOSTILE_PATHS, TYPES, HOSTILE_PATHS, st.binary(max_size=20)), max_size=12
    ),
    rooted=st.booleans(),
)
def test_no_combination_of_members_leads_outside(
    members: list[tuple[str, bytes, str, bytes]], rooted: bool
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))

    with sandbox() as destination:
        try:
            manifest = unpack(buffer.getvalue(), destination, 4096, rooted=rooted)
        except ArchiveError:
            return
        inside = destination.resolve()
        for entry in manifest.entries:
            written = inside / entry.path
            assert written.lstat()
            if entry.kind is Kind.SYMLINK and not leads_to_itself(written):
                assert Path(os.path.realpath(written)).is_relative_to(inside)
