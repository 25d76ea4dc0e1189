"""Stopping and removing containers by hand: what is said when it is interrupted in the middle."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import ContainerSummary, Endpoint, Podman
from barasync.cli.container_endings import end_containers
from barasync.cli.containers import not_running, podman_at
from barasync.errors import EXIT_OK

pytestmark = pytest.mark.anyio

NAMED = Endpoint("unix:///elsewhere/a b.sock", "--url")
FOUND = Endpoint("unix:///run/podman/podman.sock", "the rootful socket")


class FakePodman:
    """Lists ten containers that run."""

    def __init__(self) -> None:
        self.containers = self

    async def list(self, **_options: Any) -> list[ContainerSummary]:
        await anyio.lowlevel.checkpoint()
        return [
            ContainerSummary(id=f"{each}" * 64, names=[f"box-{each}"], state="running")
            for each in range(10)
        ]


async def test_interrupted_it_says_of_each_what_was_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    podman = cast("Podman", FakePodman())
    ended: list[ContainerSummary] = []

    async def end(_podman: Podman, container: ContainerSummary) -> str:
        if container.names == ["box-0"]:
            return "stopped"
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as group:

        async def stop() -> None:
            words = [f"box-{each}" for each in range(10)]
            await end_containers(podman, words, end, verb="stop", ended=ended)

        group.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    lines = sorted(capsys.readouterr().out.splitlines())
    asked = "interrupted; podman was asked to stop it, and may still do so"
    assert lines[0] == "box-0: stopped"
    assert lines[1:9] == [f"box-{each}: {asked}" for each in range(1, 9)]
    assert lines[9:] == ["box-9: interrupted; stop was not begun"]
    assert [each.names for each in ended] == [["box-0"]]


async def test_left_alone_it_says_what_became_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    async def end(_podman: Podman, _container: ContainerSummary) -> str:
        await anyio.lowlevel.checkpoint()
        return "stopped"

    code = await end_containers(
        cast("Podman", FakePodman()), ["box-1", "box-1"], end, verb="stop", ended=[]
    )

    assert (code, capsys.readouterr().out) == (EXIT_OK, "box-1: stopped\n")


def test_a_hint_names_the_service_that_somebody_named() -> None:
    assert podman_at(FOUND) == "podman"
    assert podman_at(NAMED) == "podman --url 'unix:///elsewhere/a b.sock'"
    for status, word in (("paused", "unpause"), ("created", "start")):
        error = not_running("one", "box", status, 0, run=None, podman=podman_at(NAMED))
        assert f"`podman --url 'unix:///elsewhere/a b.sock' {word} box`" in (error.hint or "")
