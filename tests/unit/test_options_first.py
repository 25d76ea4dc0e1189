"""Whose the options on the command line of `barasync container exec` are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import typer

from barasync.cli import container_sessions


def parsed(*words: str) -> tuple[str, Sequence[str], str | None]:
    command = typer.main.get_command(container_sessions.exec_command)
    found = command.make_context("exec", list(words)).params
    return found["container"], container_sessions.words_of(found["command"]), found["user"]


@pytest.mark.parametrize(
    "words",
    [
        ("-u", "me", "box", "ls", "-la", "-u", "x", "--", "--wait-healthy"),
        ("-u", "me", "box", "--", "ls", "-la", "-u", "x", "--", "--wait-healthy"),
        ("-u", "me", "--", "box", "ls", "-la", "-u", "x", "--", "--wait-healthy"),
    ],
)
def test_what_follows_the_container_is_the_commands(words: tuple[str, ...]) -> None:
    assert parsed(*words) == ("box", ("ls", "-la", "-u", "x", "--", "--wait-healthy"), "me")
