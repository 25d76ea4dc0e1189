"""What is begun in the background, on disk: who begins, who takes, and who comes in between."""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from barasync.cli.background_cleaning import KEPT_SECONDS, clean_entries
from barasync.cli.background_entries import (
    Begun,
    Ended,
    State,
    awaited,
    begin,
    entries_of,
    remove,
    shown,
    taken,
)
from barasync.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    opened = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.exists())
    assert not [path for path in opened if path.is_relative_to(tmp_path)]


def begun(project: Path, key: str) -> Begun:
    found = begin(project, key)
    assert found is not None
    return found


def ended(project: Path, key: str, code: int | None, out: bytes = b"", err: bytes = b"") -> None:
    """Have an entry as it is when its processes are gone."""
    entry = begun(project, key)
    os.write(entry.stdout, out)
    os.write(entry.stderr, err)
    if code is not None:
        entry.end(code)
    entry.close()


def read(result: Ended) -> tuple[int | None, bytes, bytes]:
    return result.code, os.read(result.stdout, 99), os.read(result.stderr, 99)


def take(project: Path, key: str) -> tuple[int | None, bytes, bytes]:
    with awaited(project, key) as lock, taken(project, key, lock) as result:
        return read(result)


def clean(project: Path, now: float, *, dry_run: bool) -> int:
    return anyio.run(partial(clean_entries, entries_of(project), now=now, dry_run=dry_run))


def states(project: Path) -> dict[str, State]:
    return {entry.key: entry.state for entry in entries_of(project)}


@pytest.mark.parametrize(
    "key", ["k", "a b/../c\n*", "-x", "é", os.fsdecode(b"\xff\xfe"), "x" * 5000]
)
def test_a_result_is_taken_once_whatever_the_key_is(project: Path, key: str) -> None:
    ended(project, key, 7, b"out", b"err")
    assert states(project) == {key: State.ENDED}

    assert take(project, key) == (7, b"out", b"err")
    assert entries_of(project) == ()
    with pytest.raises(ConfigError, match="nothing was begun in the background with the key"):
        take(project, key)


def test_what_runs_is_not_begun_again_and_others_are(project: Path) -> None:
    first = begun(project, "a")
    assert begin(project, "a") is None
    begun(project, "b").close()
    assert states(project) == {"a": State.RUNS, "b": State.KILLED}
    first.end(0)
    # Its code is there before it is gone.
    assert begin(project, "a") is None
    first.close()
    begun(project, "a").close()
    assert states(project)["a"] is State.KILLED


def test_what_was_killed_has_its_output_and_no_code(project: Path) -> None:
    ended(project, "k", None, b"so far")
    assert take(project, "k") == (None, b"so far", b"")


@pytest.mark.parametrize("code", [b"", b"7x", b"\xff"])
def test_a_code_that_is_none_counts_as_killed(project: Path, code: bytes) -> None:
    ended(project, "k", 7)
    (entry,) = entries_of(project)
    (entry.directory / "code").write_bytes(code)
    assert states(project) == {"k": State.KILLED}
    assert take(project, "k")[0] is None


def test_whoever_is_killed_before_the_key_is_there_has_begun_nothing(project: Path) -> None:
    ended(project, "k", 0)
    (entry,) = entries_of(project)
    (entry.directory / "key").unlink()
    (entry.directory / "code").unlink()

    with pytest.raises(ConfigError, match="nothing was begun"):
        take(project, "k")
    ended(project, "k", 3)
    assert take(project, "k")[0] == 3


def test_a_result_stays_where_it_could_not_be_shown(project: Path) -> None:
    ended(project, "k", 7, b"out")
    with (
        pytest.raises(BrokenPipeError),
        awaited(project, "k") as lock,
        taken(project, "k", lock),
    ):
        raise BrokenPipeError
    assert take(project, "k") == (7, b"out", b"")


def test_what_is_begun_anew_leaves_those_who_read_the_old_one_alone(project: Path) -> None:
    ended(project, "k", 1, b"old")
    with awaited(project, "k") as lock, taken(project, "k", lock) as old:
        ended(project, "k", 2, b"new")
        assert read(old) == (1, b"old", b"")
    assert take(project, "k") == (2, b"new", b"")


def test_whoever_comes_too_late_is_told(project: Path) -> None:
    ended(project, "k", 0)
    with awaited(project, "k") as lock:
        take(project, "k")
        with pytest.raises(ConfigError, match="somebody else has taken it"), ExitStack() as stack:
            stack.enter_context(taken(project, "k", lock))
        ended(project, "k", 5)
        with pytest.raises(ConfigError, match="or begun it anew"), ExitStack() as stack:
            stack.enter_context(taken(project, "k", lock))
    assert take(project, "k")[0] == 5


def test_two_who_wait_may_both_have_it(project: Path) -> None:
    ended(project, "k", 4, b"out")
    with (
        awaited(project, "k") as one,
        awaited(project, "k") as other,
        taken(project, "k", one) as first,
        taken(project, "k", other) as second,
    ):
        assert read(first) == read(second) == (4, b"out", b"")
    assert entries_of(project) == ()


def test_whoever_comes_in_between_each_result_is_whole_and_of_one_run(project: Path) -> None:
    """Four begin, take and remove what there is of two keys, in any order."""

    def work(seed: int) -> int:
        chosen, took = random.Random(seed), 0
        for number in range(120):
            key = chosen.choice("ab")
            match chosen.choice("bbttc"):
                case "b":
                    entry = begin(project, key)
                    if entry is not None:
                        said = b"%d-%d" % (seed, number)
                        os.write(entry.stdout, said)
                        os.write(entry.stderr, said)
                        if chosen.random() < 0.8:
                            entry.end(len(said))
                        entry.close()
                case "t":
                    with suppress(ConfigError), awaited(project, key) as lock:
                        fcntl.flock(lock, fcntl.LOCK_SH)
                        with taken(project, key, lock) as result:
                            code, out, err = read(result)
                        assert out
                        assert out == err
                        assert code in {None, len(out)}
                        took += 1
                case _:
                    for each in entries_of(project):
                        if each.state is State.KILLED:
                            remove(each)
        return took

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))


def test_a_key_nearly_right_is_told(project: Path) -> None:
    ended(project, "nightly", 0)
    with pytest.raises(ConfigError, match="did you mean 'nightly'") as caught:
        take(project, "nigthly")
    assert caught.value.hint == "there is 'nightly'"


def test_a_key_is_named_on_one_line_and_not_endless() -> None:
    assert shown("a\x1b[31m\nb") == "'a b'"
    assert len(shown("x" * 1000)) == 62


def test_no_place_for_it_is_told(project: Path) -> None:
    (project / ".barasync").write_text("")
    with pytest.raises(ConfigError, match="no place for what is begun in the background"):
        begin(project, "k")
    with pytest.raises(ConfigError, match="Not a directory"):
        take(project, "k")


def test_the_record_is_not_of_the_repository(project: Path) -> None:
    begun(project, "k").close()
    assert (project / ".barasync/.gitignore").read_text() == "*\n"


def test_what_cannot_be_filled_is_removed(project: Path) -> None:
    begun(project, "k").undo()
    assert entries_of(project) == ()


def test_clean_removes_what_was_killed_and_what_nobody_takes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(project, "killed", None)
    ended(project, "old", 0)
    ended(project, "new", 1)
    runs = begun(project, "runs")
    found = entries_of(project)
    old = next(entry for entry in found if entry.key == "old")
    assert old.ended is not None
    new = next(entry for entry in found if entry.key == "new")
    os.utime(new.directory / "code", (old.ended + 9, old.ended + 9))
    now = old.ended + KEPT_SECONDS + 1

    assert clean(project, now, dry_run=True) == 0
    assert len(entries_of(project)) == 4
    assert clean(project, now, dry_run=False) == 0
    assert states(project) == {"new": State.ENDED, "runs": State.RUNS}
    runs.close()
    shown_lines = [
        "background 'killed' (killed): {}",
        "background 'new' (ended): kept for `barasync wait`",
        "background 'old' (ended): {}",
        "background 'runs' (runs): kept, its process lives",
    ]
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [line.format("would be removed") for line in shown_lines]
    assert printed[4:] == [line.format("removed") for line in shown_lines]


def test_what_is_read_or_begun_anew_meanwhile_is_not_removed(project: Path) -> None:
    ended(project, "k", None)
    (entry,) = entries_of(project)
    again = begun(project, "k")
    assert not remove(entry)
    again.close()
    assert remove(entry)
    assert remove(entry)


@pytest.mark.parametrize("code", [None, 0])
def test_a_fresh_result_is_none_of_those_that_were_looked_at_before(
    project: Path, code: int | None
) -> None:
    """Between looking and removing `clean` talks to podman, and what is begun has time to end."""
    ended(project, "k", code)
    if code is not None:
        (entry,) = entries_of(project)
        os.utime(entry.directory / "code", (0, 0))
    before = entries_of(project)

    ended(project, "k", 3, b"fresh")
    anyio.run(partial(clean_entries, before, now=2 * KEPT_SECONDS, dry_run=False))

    assert take(project, "k") == (3, b"fresh", b"")
