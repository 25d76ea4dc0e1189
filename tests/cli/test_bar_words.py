"""What Bar.d calls barasync with is what barasync takes: the calls that tests/bar has recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import typer

from barasync.cli.app import app
from tests.rig import bats


def parse(words: Sequence[str]) -> None:
    """Have the command line take a call apart; nothing is executed.

    Raises:
        typer.TyperException: there is no such command or option, or a word too many or too few.
    """
    command: Any = typer.main.get_command(app)
    name, rest, parent = "barasync", list(words), None
    try:
        while True:
            context = command.make_context(name, rest, parent=parent)
            if not hasattr(command, "resolve_command"):
                return
            with context.scope(cleanup=False):
                following = [*context._protected_args, *context.args]
                name, command, rest = command.resolve_command(context, following)
            parent = context
    except typer.BadParameter as error:
        # A value that is refused has come where it belongs; many tests pass on such.
        if type(error) is not typer.BadParameter:
            raise


@pytest.mark.timeout(bats.SECONDS)
@pytest.mark.parametrize("name", bats.files(of_effect=False))
def test_every_call_is_one_that_barasync_takes(name: str) -> None:
    refused = {}
    for words in bats.ran(name).calls:
        try:
            parse(words)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the call
            refused[words] = f"{type(error).__name__}: {error}"

    assert not refused


@pytest.mark.parametrize(
    "words",
    [("none-such",), ("run", "--none-such=1", "--", "image"), ("network", "create", "a", "b")],
    ids=["command", "option", "word"],
)
def test_what_barasync_does_not_take_is_found(words: tuple[str, ...]) -> None:
    with pytest.raises(Exception, match=r"No such|unexpected extra argument"):
        parse(words)
