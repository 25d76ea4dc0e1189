"""What a dialogue makes of a container, and of a shell that is not there."""

from __future__ import annotations

import pytest

from barasync.aiopodman import Attachment, Container, ContainerSpec
from barasync.engine.dialogue import CHOSEN_SHELL, Dialogue, with_dialogue, without_shell
from barasync.engine.verdict import judge_refused_start


async def unheard(_attachment: Attachment, _container: Container) -> bool:
    raise AssertionError


@pytest.mark.parametrize("terminal", [True, False])
def test_a_container_that_is_talked_to_reads(terminal: bool) -> None:
    spec = ContainerSpec(image="i", command=("make", "all"))

    made = with_dialogue(spec, Dialogue(converse=unheard, terminal=terminal))

    assert (made.stdin, made.terminal) == (True, terminal)
    assert (made.command, made.entrypoint) == (("make", "all"), ())


def test_without_a_command_the_shell_takes_the_place_of_the_entrypoint() -> None:
    made = with_dialogue(ContainerSpec(image="i"), Dialogue(converse=unheard, terminal=True))

    assert (made.command, made.entrypoint) == ((), CHOSEN_SHELL)


def test_an_image_without_a_shell_is_named() -> None:
    refused = judge_refused_start('exec: "/bin/sh": executable file not found', ())
    assert refused is not None

    verdict = without_shell("tiny:1", refused)

    assert verdict.exit_code == 127
    assert verdict.reason == "image tiny:1 has no shell: there is no /bin/sh in it"
    assert verdict.hint is not None


def test_a_shell_that_is_there_and_cannot_be_executed_is_no_missing_one() -> None:
    refused = judge_refused_start("executable file /bin/sh: permission denied", ())
    assert refused is not None

    assert without_shell("tiny:1", refused) is refused
