"""Which files belong to a project, and what its key depends on."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from barasync.errors import ConfigError
from barasync.workspace.archive import stream
from barasync.workspace.below import Below
from barasync.workspace.scan import scan
from barasync.workspace.tree import SCANS, Entry, Kind, Tree, TreeChanged, read_file
from tests.unit.projects import (
    MTIME,
    Swap,
    plain_git,
    repository,
    without_privileges,
    write,
)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with plain_git():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def paths(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.entries]


def files(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.entries if entry.kind is not Kind.DIRECTORY]


@pytest.mark.parametrize("installed", [True, False])
def test_without_a_repository_everything_belongs(
    project: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    write(project, {"a.o": "", "d/b": "", ".gitignore": "*.o", ".barasync/x": "", "d/.git/y": ""})
    (project / "empty").mkdir()
    if not installed:
        write(project, {".git/HEAD": ""})
        monkeypatch.setenv("PATH", str(project))

    assert paths(scan(project)) == [".gitignore", "a.o", "d", "d/b", "empty"]


def test_without_git_what_happens_in_the_repository_makes_no_other_tree(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a fetch nor a commit, here or in a submodule."""
    write(project, {"a": "", ".git/FETCH_HEAD": "old", "sub/.git": "gitdir: x", "sub/b": ""})
    monkeypatch.setenv("PATH", str(project))
    before = scan(project)
    write(project, {".git/FETCH_HEAD": "new", ".git/objects/ab/cd": "x", "sub/.git": "gitdir: y"})

    assert paths(before) == ["a", "sub", "sub/b"]
    assert scan(project).key == before.key


def test_a_link_is_not_followed(project: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"secret": ""})
    write(project, {"a": ""})
    (project / "l").symlink_to("../elsewhere")
    (project / "dangling").symlink_to("no//where/")

    tree = scan(project)

    assert [(entry.path, entry.target) for entry in tree.entries] == [
        ("a", ""),
        ("dangling", "no//where/"),
        ("l", "../elsewhere"),
    ]


def test_special_files_are_left_out_and_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, {"a": "", "d/b": ""})
    os.mkfifo(project / "d/pipe")
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        tree = scan(project)

    assert tree.skipped == ("d/pipe", "socket")
    assert files(tree) == ["a", "d/b"]


def test_names_are_bytes(project: Path) -> None:
    names = [b"caf\xe9", b"line\nbreak", "größe".encode(), b"-rf", b" ", b"\xff"]
    repository(project, {os.fsdecode(name): "" for name in names})

    assert [os.fsencode(path) for path in paths(scan(project))] == sorted(names)


def test_an_empty_directory_is_an_empty_tree(project: Path) -> None:
    project.mkdir()

    assert scan(project).entries == ()


@pytest.mark.parametrize(
    ("name", "problem"), [("missing", "No such file or directory"), ("file", "is not a directory")]
)
def test_a_project_that_is_no_directory_is_an_error(
    tmp_path: Path, name: str, problem: str
) -> None:
    write(tmp_path, {"file": ""})

    with pytest.raises(ConfigError, match=problem):
        scan(tmp_path / name)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_cannot_be_read_is_an_error_that_names_it(public: Path, what: str) -> None:
    write(public, {"directory/file": "x"})
    (public / "directory/file").chmod(0o600 if os.geteuid() == 0 else 0)
    if what == "directory":
        (public / "directory").chmod(0o700 if os.geteuid() == 0 else 0)
    name = "directory/file" if what == "file" else "directory"

    with pytest.raises(ConfigError, match=f"/{name} cannot be read: Permission denied"):  # noqa: SIM117 order matters
        with without_privileges():
            scan(public)
    (public / "directory").chmod(0o755)


# What an entry says


def test_an_entry_has_mode_size_and_time(project: Path) -> None:
    write(project, {"d/run": "#!/bin/sh\n"})
    (project / "d/run").chmod(0o4755)
    (project / "d").chmod(0o750)

    directory, run = scan(project).entries

    assert (run.kind, run.mode, run.size, run.mtime) == (Kind.FILE, 0o4755, 10, MTIME)
    assert (directory.kind, directory.mode, directory.size) == (Kind.DIRECTORY, 0o750, 0)


def test_a_directory_is_as_old_as_the_newest_file_in_it(project: Path) -> None:
    write(project, {"d/e/old": "", "d/new": ""})
    os.utime(project / "d/new", (MTIME + 5, MTIME + 5))
    (project / "empty").mkdir()

    assert {entry.path: entry.mtime for entry in scan(project).entries} == {
        "d": MTIME + 5,
        "d/e": MTIME,
        "d/e/old": MTIME,
        "d/new": MTIME + 5,
        "empty": 0,
    }


# The key

CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: write(root, {"a": "2"}),
    "content of another size": lambda root: write(root, {"a": "11"}),
    "mode": lambda root: (root / "a").chmod(0o755),
    "mode of a directory": lambda root: (root / "d").chmod(0o700),
    "time": lambda root: os.utime(root / "a", (MTIME + 1, MTIME + 1)),
    "name": lambda root: (root / "a").rename(root / "b"),
    "target": lambda root: relink(root / "l", "elsewhere"),
    "a new file": lambda root: write(root, {"d/new": ""}),
    "one file less": lambda root: (root / "d/f").unlink(),
    "a file for a link": lambda root: relink(root / "l", None),
    "a border between two names": lambda root: (root / "d/f").rename(root / "df"),
}


def relink(path: Path, target: str | None) -> None:
    path.unlink()
    if target is None:
        path.write_text("a")
    else:
        path.symlink_to(target)
    os.utime(path, (MTIME, MTIME), follow_symlinks=False)


def sample(root: Path) -> Path:
    write(root, {"a": "1", "d/f": ""})
    (root / "l").symlink_to("a")
    os.utime(root / "l", (MTIME, MTIME), follow_symlinks=False)
    return root


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_is_another_one_after_a_change(project: Path, change: str) -> None:
    before = scan(sample(project)).key
    CHANGES[change](project)

    assert scan(project).key != before


def test_the_key_does_not_depend_on_where_the_project_lies(tmp_path: Path) -> None:
    first, second = sample(tmp_path / "first"), sample(tmp_path / "second/deep")

    assert scan(first).key == scan(second).key


def test_the_key_does_not_depend_on_what_does_not_belong(project: Path) -> None:
    repository(project, {"a": "1", "d/b": "2", ".gitignore": "*.o"})
    before = scan(project).key
    write(project, {"d/b.o": "", ".barasync/runs/1": "", "d/o/c.o": ""})

    assert scan(project).key == before


# Reading


def entry_of(root: Path, path: str) -> Entry:
    return next(entry for entry in scan(root).entries if entry.path == path)


def reading(root: Path, entry: Entry) -> Generator[bytes, None, None]:
    with Below(root) as below:
        yield from read_file(below, entry)


def test_a_file_is_read_in_pieces(project: Path) -> None:
    content = os.urandom(600_000)
    write(project, {"a": content})

    pieces = list(reading(project, entry_of(project, "a")))

    assert b"".join(pieces) == content
    assert max(map(len, pieces)) == 256 * 1024


def rewrite(path: Path) -> None:
    """Write as many bytes again, until the file system's clock has moved on."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(b"y" * before.st_size)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))


REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "grown": lambda path: path.write_bytes(b"x" * 400_001),
    "shrunk": lambda path: path.write_bytes(b"x"),
    "rewritten": rewrite,
    "gone": lambda path: path.unlink(),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_a_file_that_changed_before_it_is_read_is_an_error(project: Path, replacement: str) -> None:
    write(project, {"a": b"x" * 400_000})
    entry = entry_of(project, "a")
    REPLACEMENTS[replacement](project / "a")

    with pytest.raises(ConfigError, match="/a changed while it was read"):
        list(reading(project, entry))


def test_a_link_in_the_place_of_a_file_is_not_followed(project: Path) -> None:
    write(project, {"a": "x", "b": "x"})
    entry = entry_of(project, "a")
    (project / "a").unlink()
    (project / "a").symlink_to("b")

    with pytest.raises(TreeChanged, match="/a changed while it was read"):
        list(reading(project, entry))


@pytest.mark.parametrize("replacement", ["grown", "shrunk", "rewritten"])
def test_a_file_that_changes_while_it_is_read_is_an_error(project: Path, replacement: str) -> None:
    write(project, {"a": b"x" * 400_000})
    pieces = reading(project, entry_of(project, "a"))
    next(pieces)
    REPLACEMENTS[replacement](project / "a")

    with pytest.raises(ConfigError, match="changed while it was read") as caught:
        list(pieces)

    assert caught.value.hint == "Run again when nothing writes to the project."


class Writer:
    """Changes a file after its one piece was read, in the first scans."""

    def __init__(self, path: Path, times: int) -> None:
        self._path = path
        self._left = times

    def __call__(self) -> None:
        if self._left and open_files(self._path):
            self._left -= 1
            with self._path.open("ab") as file:
                file.write(b"more")


def test_a_tree_that_changes_while_it_is_read_is_read_again(project: Path) -> None:
    write(project, {"a": "x", "b": "x"})

    tree = scan(project, checkpoint=Writer(project / "a", SCANS - 1))

    assert [entry.size for entry in tree.entries] == [1 + 4 * (SCANS - 1), 1]
    assert tree == scan(project)


def test_a_file_that_changes_every_time_is_an_error_that_names_it(project: Path) -> None:
    write(project, {"a": "x", "b": "x"})

    with pytest.raises(TreeChanged, match="/a changed while it was read"):
        scan(project, checkpoint=Writer(project / "a", SCANS))


def test_a_directory_that_goes_while_it_is_listed_is_no_error(project: Path) -> None:
    write(project, {"a": "", "d/b": ""})

    def remove() -> None:
        shutil.rmtree(project / "d", ignore_errors=True)

    assert paths(scan(project, checkpoint=remove)) == ["a"]


def contents(tree: Tree) -> dict[str, bytes | str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream(tree)))) as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            if member.isreg()
            else member.linkname
            for member in archive
        }


@pytest.mark.parametrize("in_git", [True, False])
def test_a_directory_that_becomes_a_link_lets_nothing_in(tmp_path: Path, in_git: bool) -> None:
    write(tmp_path / "host", {"key": "HOST", "e/key": "HOST"})
    at, swapped = 0, 0
    while True:
        at += 1
        project = tmp_path / f"project-{at}"
        make = repository if in_git else write
        make(project, {"d/a": "a", "d/e/key": "KEY", "d/key": "KEY", "z": "z"})
        swap = Swap(project / "d", tmp_path / "host", at=at)
        try:
            tree = scan(project, checkpoint=swap)
            found = contents(tree)
        except TreeChanged:
            found = {}  # after the scan: the layer is not made of it
        if swap.left:
            break
        swapped += 1
        assert b"HOST" not in found.values()
        linked = found.get("workspace/d") == str(tmp_path / "host")
        assert not (linked and "workspace/d/key" in found)

    assert swapped > 8


def test_a_link_above_a_file_is_not_followed_when_it_is_read(project: Path, tmp_path: Path) -> None:
    write(project, {"d/e/a": "x"})
    write(tmp_path / "host", {"e/a": "y"})
    tree = scan(project)
    (project / "d").rename(tmp_path / "old")
    (project / "d").symlink_to(tmp_path / "old")

    with pytest.raises(TreeChanged, match="/d/e/a changed while it was read"):
        b"".join(stream(tree))


def test_a_file_that_stops_being_read_is_closed(project: Path) -> None:
    write(project, {"a": b"x" * 400_000})
    pieces = reading(project, entry_of(project, "a"))
    next(pieces)
    assert open_files(project / "a") == 1

    pieces.close()

    assert open_files(project / "a") == 0


def open_files(path: Path) -> int:
    """Return how often this process has a file open."""
    links = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(link) == str(path) for link in links)


# The default command


def test_an_executable_is_found_directly_and_through_links(project: Path) -> None:
    write(project, {"bar": "", "tools/bar": "", "text": ""})
    for name in ("bar", "tools/bar"):
        (project / name).chmod(0o755)
    (project / "here").symlink_to("./bar")
    (project / "tools/up").symlink_to("../here")
    (project / "loop").symlink_to("loop")
    (project / "outside").symlink_to("/bin/sh")
    (project / "above").symlink_to("../bar")
    tree = scan(project)

    found = [name for name in paths(tree) if tree.has_executable(name)]

    assert found == ["bar", "here", "tools/bar", "tools/up"]
    assert not tree.has_executable("missing")


class Counted(tuple[Entry, ...]):  # noqa: SLOT001 none is made but one
    """Entries that may only be looked at one by one, and say how many were."""

    looked_at = 0

    def __getitem__(self, index: Any) -> Any:
        type(self).looked_at += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Entry]:
        pytest.fail("all of them are gone through")


def test_an_executable_is_found_among_many_files_in_a_few_steps() -> None:
    names = sorted(f"{number}é" for number in range(100_000))
    entries = Counted(Entry(path=name, kind=Kind.FILE, mode=0o755, mtime=0) for name in names)
    tree = Tree(root=Path("/"), entries=entries, skipped=(), key="")

    assert [tree.has_executable(name) for name in ("bar", names[0], names[-1], "~")] == [
        False,
        True,
        True,
        False,
    ]
    assert 0 < Counted.looked_at < 4 * 20
