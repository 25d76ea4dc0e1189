"""The safe writer against a corpus of hostile and odd archives: what they change, what it says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.manifest import Kind, Manifest
from tests.rig.extraction import extracted
from tests.unit import corpus_bytes, corpus_links, corpus_names
from tests.unit.archives import END, SENTINEL, names, reader
from tests.unit.corpus import Case

CASES: dict[str, Case] = {**corpus_names.CASES, **corpus_links.CASES, **corpus_bytes.CASES}
# Only this much of an archive is cut at every block; the rest of the large ones is filler.
CUT_BYTES = 16 << 10


class Surroundings:
    """Directories around a destination, and everything about them that an archive could change."""

    def __init__(self, base: Path) -> None:
        self.aim = base / "outside"
        self.destination = base / "inside" / "out"
        self._base = base
        self.aim.mkdir(mode=0o750)
        (self.aim / SENTINEL).write_text("untouched")
        (self.aim / "link").symlink_to(SENTINEL)
        self.destination.parent.mkdir()
        (self.destination.parent / "neighbour").write_text("untouched")
        self._before = self._all()

    def check(self) -> None:
        assert self._all() == self._before
        assert set(names(self.destination.parent)) <= {"neighbour", "out"}, "a directory stayed"

    def _all(self) -> dict[str, tuple[object, ...]]:
        return {str(path): _state(path) for path in self._paths()}

    def _paths(self) -> Iterator[Path]:
        yield self._base
        for path in self._base.rglob("*"):
            if path != self.destination and self.destination not in path.parents:
                yield path


def _state(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    kept = (status.st_ino, status.st_mode, status.st_nlink, status.st_uid, status.st_gid)
    if stat.S_ISREG(status.st_mode):
        return *kept, status.st_mtime_ns, path.read_bytes()
    if stat.S_ISLNK(status.st_mode):
        return *kept, path.readlink()
    # The links and the time of the directory that the destination goes into do change.
    return kept[0], kept[1], kept[3], kept[4]


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    made = Surroundings(tmp_path)
    # A path that is taken as it stands would be relative to this.
    monkeypatch.chdir(made.aim)
    return made


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [513, 1 << 20])
def test_nothing_outside_changes_and_the_result_says_what_was_refused(
    surroundings: Surroundings, name: str, step: int
) -> None:
    case = CASES[name]
    archive = case.archive(surroundings.aim)

    if case.error is not None:
        kind, message = case.error
        with pytest.raises(kind, match=message):
            extracted(reader(archive, step), surroundings.destination, case.limits)
        assert not surroundings.destination.exists()
    else:
        manifest = extracted(reader(archive, step), surroundings.destination, case.limits)
        check_manifest(manifest, case, surroundings)
        check_tree(manifest, surroundings.destination)
    surroundings.check()


@pytest.mark.parametrize("name", CASES)
def test_cut_off_at_any_block_it_is_an_error_and_leaves_nothing(
    surroundings: Surroundings, name: str
) -> None:
    case = CASES[name]
    archive = case.archive(surroundings.aim)
    end = archive.find(END) + 512 if END in archive else len(archive)

    for length in range(0, min(end, CUT_BYTES), 512):
        with pytest.raises(ArchiveError):
            extracted(reader(archive[:length]), surroundings.destination, case.limits)
        assert not surroundings.destination.exists()
    surroundings.check()


@pytest.mark.parametrize("name", CASES)
def test_as_podmans_answer_it_is_taken_or_an_error(surroundings: Surroundings, name: str) -> None:
    """An archive of podman has a root, which these lack: most are refused at the first member."""
    case = CASES[name]
    read = reader(case.archive(surroundings.aim))

    try:
        manifest = extracted(read, surroundings.destination, case.limits, rooted=True)
    except ArchiveError:
        assert not surroundings.destination.exists()
    else:
        assert manifest.entries
    surroundings.check()


def check_manifest(manifest: Manifest, case: Case, surroundings: Surroundings) -> None:
    aimed = [(path.replace("AIM", str(surroundings.aim)), reason) for path, reason in case.refused]
    assert [entry.path for entry in manifest.entries] == list(case.kept)
    assert [refusal.path for refusal in manifest.refused] == [path for path, _ in aimed]
    for refusal, (_, reason) in zip(manifest.refused, aimed, strict=True):
        assert refusal.reason.startswith(reason)


def check_tree(manifest: Manifest, destination: Path) -> None:
    """Compare the disk with the manifest: nothing else, nothing special, no way out."""
    listed = {
        os.fsencode(entry.path).decode("utf-8", "surrogateescape") for entry in manifest.entries
    }
    above = {parent for path in listed for parent in _parents(path)}
    root = destination.resolve()
    found = set()
    for directory, inner, files in os.walk(destination):
        for name in (*inner, *files):
            path = Path(directory, name)
            found.add(path.relative_to(destination).as_posix())
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                assert Path(os.path.realpath(path)).is_relative_to(root)
            else:
                assert stat.S_ISREG(mode) or stat.S_ISDIR(mode)
                assert not mode & 0o7000
    assert found == {path.rstrip("/") for path in listed | above} - {""}
    assert all(entry.sha256 is not None for entry in manifest.entries if entry.kind is Kind.FILE)


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])
