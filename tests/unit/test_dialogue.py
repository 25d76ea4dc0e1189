"""What a dialogue makes of a container, and of a shell that is not there."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from barasync.aiopodman import Attachment, Container, ContainerSpec, ImageInspect, Podman
from barasync.aiopodman.models import ImageConfig
from barasync.engine.dialogue import (
    CHOSEN_SHELL,
    Dialogue,
    told_of_terminal,
    with_dialogue,
    without_shell,
)
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


class Images:
    """What podman knows of two images: one sets the kind of terminals."""

    async def inspect(self, image: str) -> ImageInspect:
        env = ["PATH=/bin", "TERM=vt220"] if image == "says" else ["PATH=/bin", "TERMINFO=/x"]
        return ImageInspect(id=image, config=ImageConfig(env=env))


@pytest.mark.anyio
async def test_a_terminal_is_of_the_kind_of_the_one_here_where_nothing_says_another() -> None:
    podman = cast("Podman", SimpleNamespace(images=Images()))
    here = Dialogue(converse=unheard, terminal=True, kind="screen")

    async def told(dialogue: Dialogue, image: str, **environment: str) -> dict[str, str]:
        return dict(await told_of_terminal(dialogue, podman, image, environment))

    assert await told(here, "plain", A="1") == {"A": "1", "TERM": "screen"}
    assert await told(here, "plain", TERM="vt100") == {"TERM": "vt100"}
    assert await told(here, "says") == {}
    assert await told(replace(here, kind=None), "plain") == {}
    assert await told(replace(here, terminal=False), "plain") == {}
