"""Options that several commands share, as dataclasses in their signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from barasync.cli.option_groups import with_groups
from barasync.images.freshness import Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    count: Annotated[int, typer.Option("--count", help="How many.")] = 1
    pull: Annotated[Freshness, typer.Option("--pull")] = Freshness.MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class More(Asked):
    words: Annotated[list[str] | None, typer.Option("--word", "-w")] = None


@with_groups
def command(
    name: Annotated[str, typer.Argument()],
    *,
    flag: Annotated[bool, typer.Option("--flag")] = False,
    more: More,
) -> None:
    """Say what was asked for."""
    typer.echo(f"{name} {flag} {more}")


def printed(*words: str) -> str:
    app = typer.Typer(add_completion=False)
    app.command()(command)
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize(
    ("words", "flag", "more"),
    [
        ((), False, More()),
        (("--flag", "--count", "3"), True, More(count=3)),
        (
            ("--pull", "never", "-w", "a", "-w", "b"),
            False,
            More(pull=Freshness.NEVER, words=["a", "b"]),
        ),
    ],
)
def test_a_command_gets_the_options_of_a_group_as_one(
    words: tuple[str, ...], flag: bool, more: More
) -> None:
    assert printed("x", *words) == f"x {flag} {more}\n"


def test_they_are_options_like_all_others_in_the_help() -> None:
    said = printed("--help")

    assert "Say what was asked for." in said
    assert [option in said for option in ("--flag", "--count", "How many.", "--word", "-w")] == [
        True
    ] * 5
    assert "--more" not in said
