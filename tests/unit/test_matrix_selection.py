from __future__ import annotations

import pytest

from barasync.errors import ConfigError, NothingSelected
from barasync.matrix.selection import Selection, expand_braces, select

IDS = ("amd64-debug", "amd64-release", "arm64-debug", "arm64-release", "riscv64-debug")


def chosen(*include: str, exclude: tuple[str, ...] = ()) -> tuple[str, ...]:
    selection = select(IDS, include, exclude)
    assert selection.notes == ()
    return selection.ids


def test_without_globs_every_cell_is_selected() -> None:
    assert chosen() == IDS


@pytest.mark.parametrize(
    ("glob", "ids"),
    [
        ("arm64-debug", ("arm64-debug",)),
        ("arm64-*", ("arm64-debug", "arm64-release")),
        ("*-debug", ("amd64-debug", "arm64-debug", "riscv64-debug")),
        ("a??64-release", ("amd64-release", "arm64-release")),
        ("a[mr]*64-release", ("amd64-release", "arm64-release")),
        ("a[!m]*", ("arm64-debug", "arm64-release")),
        ("{arm64,riscv64}-debug", ("arm64-debug", "riscv64-debug")),
        ("{a{md,rm},riscv}64-d*", ("amd64-debug", "arm64-debug", "riscv64-debug")),
        ("amd64-{debug}", ("amd64-debug",)),
    ],
)
def test_a_glob_matches_whole_ids(glob: str, ids: tuple[str, ...]) -> None:
    assert chosen(glob) == ids


@pytest.mark.parametrize("glob", ["arm64", "debug", "?md64-debugs", "[]", "[!a-z]*"])
def test_a_glob_that_matches_a_part_of_an_id_selects_nothing(glob: str) -> None:
    with pytest.raises(NothingSelected):
        chosen(glob)


def test_several_selectors_add_up_in_the_order_of_the_plan() -> None:
    assert chosen("riscv64-*", "amd64-*") == ("amd64-debug", "amd64-release", "riscv64-debug")


def test_exclude_takes_from_what_was_selected() -> None:
    assert chosen("*-debug", exclude=("a*",)) == ("riscv64-debug",)
    assert chosen(exclude=("{amd64,arm64}-*",)) == ("riscv64-debug",)


def test_a_selector_that_matches_nothing_beside_others_is_noted() -> None:
    selection = select(IDS, ("amd64-*", "amr64-debug"), ("s390x-*",))

    assert selection == Selection(
        ("amd64-debug", "amd64-release"),
        (
            "--select 'amr64-debug' matches no cell; did you mean 'arm64-debug'?",
            "--exclude 's390x-*' matches no cell",
        ),
    )


def test_globs_are_case_sensitive() -> None:
    with pytest.raises(NothingSelected, match=r"--select 'AMD64-DEBUG' matches no cell"):
        select(IDS, ("AMD64-DEBUG",), ())


def test_nothing_selected_names_the_selectors_and_the_cells() -> None:
    with pytest.raises(NothingSelected) as caught:
        select(IDS, ("amr64-debug", "x"), ())

    assert str(caught.value) == (
        "--select 'amr64-debug', 'x' matches no cell; did you mean 'arm64-debug'?"
    )
    assert caught.value.hint == f"the cells are {', '.join(IDS)}"


@pytest.mark.parametrize(
    ("number", "end"), [(10, "amd64-8, amd64-9"), (12, "amd64-8, amd64-9 and 2 more")]
)
def test_nothing_selected_shows_only_the_first_of_many_cells(number: int, end: str) -> None:
    with pytest.raises(NothingSelected) as caught:
        select([f"amd64-{index}" for index in range(number)], ("x",), ())

    assert caught.value.hint is not None
    assert caught.value.hint.endswith(end)


def test_excluding_everything_says_so() -> None:
    with pytest.raises(NothingSelected, match="--exclude leaves out every cell that was selected"):
        select(IDS, (), ("*",))


@pytest.mark.parametrize(
    ("glob", "globs"),
    [
        ("plain", ("plain",)),
        ("{a,b}", ("a", "b")),
        ("{a,b}{c,d}", ("ac", "ad", "bc", "bd")),
        ("x{a,{b,c}d}y", ("xay", "xbdy", "xcdy")),
        ("{a,a}", ("a",)),
        ("{,a}b", ("b", "ab")),
        ("{}a", ("a",)),
        ("a,b", ("a,b",)),
    ],
)
def test_braces_stand_for_alternatives(glob: str, globs: tuple[str, ...]) -> None:
    assert expand_braces(glob) == globs


def test_braces_may_mean_a_thousand_globs_and_nest_ten_deep() -> None:
    assert len(expand_braces("{0,1,2,3,4,5,6,7,8,9}" * 3)) == 1000
    assert expand_braces("{" * 10 + "a" + "}" * 10) == ("a",)


@pytest.mark.parametrize(
    ("glob", "message"),
    [
        ("{a,b", "there is a '{' without its '}'"),
        ("a}", "there is a '}' without its '{'"),
        ("{a}}", "there is a '}' without its '{'"),
        ("{{a}", "there is a '{' without its '}'"),
        ("{a,b}" * 10, "the braces mean more than 1000 globs"),
        ("{" * 11 + "}" * 11, "braces nest more than 10 deep"),
    ],
)
def test_wrong_braces_are_refused_with_the_option(glob: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select(IDS, (), (glob,))

    assert str(caught.value) == f"--exclude '{glob}': {message}"
