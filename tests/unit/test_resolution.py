"""Which container a word means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec import structs

from barasync.aiopodman import ContainerSummary
from barasync.cli.resolution import of_run, resolve
from barasync.errors import ConfigError


def box(name: str, digit: str, state: str = "running", **labels: str) -> ContainerSummary:
    return ContainerSummary(
        id=digit * 64,
        names=[name],
        state=state,
        labels={f"barasync.{key}": value for key, value in labels.items()},
    )


def attempt(
    run: str, cell: str, digit: str, number: int = 1, *, state: str = "running", suffix: str = ""
) -> ContainerSummary:
    name = f"barasync-{run}-{cell}-{number}{suffix}"
    return box(name, digit, state, run=run, cell=cell, attempt=str(number))


ARM = attempt("run1", "arm64", "a")
CONTAINERS = [
    ARM,
    attempt("run1", "amd64", "b"),
    attempt("run2", "amd64", "c"),
    attempt("run2", "riscv64", "d", state="exited"),
    attempt("run1", "arm64", "e", suffix="-database"),
    box("database", "f"),
]


@pytest.mark.parametrize(
    ("word", "digit"),
    [
        ("database", "f"),
        ("barasync-run1-arm64-1", "a"),
        ("barasync-run1-arm64-1-database", "e"),
        ("a" * 64, "a"),
        ("ffff", "f"),
        ("run1/arm64", "a"),
        ("last/riscv64", "d"),
        ("run2/amd64", "c"),
        ("run2/riscv64", "d"),
        ("arm64", "a"),
        ("riscv64", "d"),
    ],
)
def test_a_name_an_id_its_beginning_a_cell_of_a_run_and_a_cell_mean_one(
    word: str, digit: str
) -> None:
    assert resolve(word, CONTAINERS).id == digit * 64


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("databse", "there is no container databse; did you mean 'database'?"),
        ("arm46", "there is no container arm46; did you mean 'arm64'?"),
        ("fff", "there is no container fff"),
        ("run/arm64", "run is the beginning of the IDs of 2 runs"),
        ("run3/arm64", "there is no container of a run run3; did you mean 'run"),
        (
            "run1/amr64",
            "there is no container of a cell amr64 in the run run1; did you mean 'arm64'?",
        ),
        ("run1/riscv64", "there is no container of a cell riscv64 in the run run1"),
        ("", "CONTAINER: '' is not the name or ID of a container, nor RUN/CELL or CELL"),
        ("-box", "CONTAINER: '-box' is not the name"),
        ("a\nb", "CONTAINER: 'a\\nb' is not the name"),
        ("a/b/c", "CONTAINER: 'a/b/c' is not the name"),
        ("../json", "CONTAINER: '../json' is not the name"),
    ],
)
def test_what_means_none_is_said_with_the_nearest(word: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(word, CONTAINERS)

    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ppc64le-release", "the container of a cell is removed when the cell has ended, and its"),
        ("run1/ppc64le", "the container of a cell is removed when the cell has ended, and its"),
        ("databse", "`barasync container list --all` lists them"),
        ("0123456789ab", "`barasync container list --all` lists them"),
    ],
)
def test_where_the_output_of_a_cell_is_that_has_ended_is_told(word: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(word, CONTAINERS)

    assert str(raised.value.hint).startswith(hint)
    assert "container list --all` lists" in str(raised.value.hint)


def test_a_cell_that_runs_in_several_runs_takes_the_run() -> None:
    with pytest.raises(ConfigError) as raised:
        resolve("amd64", CONTAINERS)

    assert str(raised.value) == (
        "amd64 may be any of 2 containers: barasync-run1-amd64-1 (running),"
        " barasync-run2-amd64-1 (running)"
    )


def test_a_cell_that_runs_goes_before_one_that_has_ended() -> None:
    ended = attempt("run0", "arm64", "9", state="exited")

    assert resolve("arm64", [ended, ARM]).id == ARM.id


def test_the_attempt_that_runs_goes_before_the_newest_and_that_before_older_ones() -> None:
    first, second, tenth = (
        attempt("run1", "x", digit, number, state="exited")
        for digit, number in (("1", 1), ("2", 2), ("3", 10))
    )
    running = attempt("run1", "x", "4", 3)

    assert resolve("run1/x", [tenth, second, first]).id == tenth.id
    assert resolve("run1/x", [tenth, running, first]).id == running.id


def test_a_detached_container_is_that_of_its_cell() -> None:
    detached = attempt("run1", "arm64", "1", suffix="-detached")

    assert resolve("run1/arm64", [detached]).id == detached.id


def test_a_cell_that_reads_like_an_id_is_no_other_container() -> None:
    cell = attempt("run1", "beef", "1")
    other = box("other", "2")
    with_digits = ContainerSummary(id="beef" * 16, names=["third"], state="running")

    assert resolve("beef", [cell, other]).id == cell.id
    with pytest.raises(ConfigError, match="beef may be any of 2 containers"):
        resolve("beef", [cell, with_digits])


def test_the_beginning_of_the_id_of_a_run_will_do_where_it_is_that_of_one() -> None:
    found = [attempt(f"2026112{day}-101500-0a1b", "x", str(day)) for day in range(8)]

    assert resolve("20261123/x", found).id == found[3].id
    assert of_run(found, run="20261123", cell="x") == [found[3]]
    said = "2026 is the beginning of the IDs of 8 runs: 20261123-101500-0a1b, "
    for ask in (lambda: resolve("2026/x", found), lambda: of_run(found, run="2026", cell=None)):
        with pytest.raises(ConfigError) as raised:
            ask()
        assert str(raised.value).startswith(said)
    with pytest.raises(ConfigError, match="there is no container of a run 1999"):
        resolve("1999/x", found)


def test_the_containers_of_a_run_and_of_a_cell_are_told_with_their_services() -> None:
    def ids(run: str | None = None, cell: str | None = None) -> str:
        return "".join(each.id[0] for each in of_run(CONTAINERS, run=run, cell=cell))

    assert ids() == "abcdef"
    assert ids(run="run1") == "abe"
    assert ids(cell="amd64") == "bc"
    assert ids(run="run2", cell="amd64") == "c"
    with pytest.raises(ConfigError, match="of a run rnu1; did you mean 'run1'"):
        ids(run="rnu1")
    with pytest.raises(ConfigError, match="of a cell arm64"):
        ids(run="run2", cell="arm64")


def test_a_run_is_meant_by_the_beginning_of_its_id_and_the_newest_by_last() -> None:
    def begun(run: str, digit: str, hour: int, number: int = 1) -> ContainerSummary:
        created = datetime(2026, 11, 27, hour, tzinfo=UTC)
        return structs.replace(attempt(run, "x", digit, number), created=created)

    # A clock that is set back makes a newer run look older by its ID.
    older, newer = begun("20261127-1900-ab", "1", 10), begun("20261127-1800-cd", "2", 11)
    again = begun("20261127-1900-ab", "3", 12, number=2)
    both = [older, newer, again]

    assert resolve("20261127-18/x", both).id == newer.id
    assert resolve("last/x", both).id == newer.id
    assert of_run(both, run="last", cell=None) == [newer]
    assert of_run(both, run="20261127-19", cell=None) == [older, again]
    with pytest.raises(ConfigError, match="2 runs: 20261127-1900-ab, 20261127-1800-cd"):
        resolve("2026/x", both)
    with pytest.raises(ConfigError, match="no container of a run last"):
        resolve("last/x", [box("database", "f")])
