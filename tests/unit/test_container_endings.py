"""Stopping and removing containers by hand: what is said when it is interrupted in the middle."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import ContainerSummary, Endpoint, Podman
from barasync.cli.container_endings import end_containers
from barasync.cli.containers import not_running, podman_at
from barasync.cli.printing import Printer
from barasync.errors import EXIT_OK, EXIT_UNREAD
from barasync.report.channel import Channel
from barasync.report.writer import Writer

pytestmark = pytest.mark.anyio

A_MINUTE = 60
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


class Device:
    """Takes what is printed, once it is `read`; an error that it is given is raised instead."""

    def __init__(self, error: int | None = None) -> None:
        self.lines: list[str] = []
        self.read = threading.Event()
        self.read.set()
        self._error = error

    def write(self, data: bytes) -> None:
        self.read.wait(A_MINUTE)
        if self._error is not None:
            raise OSError(self._error, os.strerror(self._error))
        self.lines += data.decode().splitlines()


async def end_all_but(device: Device, waiting: frozenset[str], *, interrupted: bool) -> int | None:
    """End ten containers; those that are `waiting` never do. Returns the exit code."""
    codes: list[int] = []
    podman = cast("Podman", FakePodman())
    channel = Channel(device)

    async def end(_podman: Podman, container: ContainerSummary) -> str:
        await anyio.lowlevel.checkpoint()
        if waiting.intersection(container.names):
            await anyio.sleep_forever()
        return "stopped"

    async def stop(printer: Printer) -> None:
        words = [f"box-{each}" for each in range(10)]
        codes.append(
            await end_containers(podman, words, end, verb="stop", printer=printer, ended=[])
        )

    with anyio.fail_after(A_MINUTE), Writer(channel) as writer:
        async with anyio.create_task_group() as group:
            group.start_soon(stop, Printer(channel, writer))
            if interrupted:
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
    return codes[0] if codes else None


async def test_interrupted_it_says_of_each_what_was_done() -> None:
    device = Device()

    await end_all_but(device, frozenset(f"box-{each}" for each in range(1, 10)), interrupted=True)

    lines = sorted(device.lines)
    asked = "interrupted; podman was asked to stop it, and may still do so"
    assert lines[0] == "box-0: stopped"
    assert lines[1:9] == [f"box-{each}: {asked}" for each in range(1, 9)]
    assert lines[9:] == ["box-9: interrupted; stop was not begun"]


async def test_interrupted_it_does_not_wait_for_a_reader_who_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.cli.printing._LAST_SECONDS", 0.01)
    device = Device()
    device.read.clear()

    code = await end_all_but(device, frozenset(), interrupted=True)

    device.read.set()
    assert code is None


async def test_a_reader_who_has_left_keeps_none_from_being_ended() -> None:
    assert await end_all_but(Device(errno.EPIPE), frozenset(), interrupted=False) == EXIT_UNREAD


async def test_left_alone_it_says_what_became_of_each() -> None:
    device = Device()

    code = await end_all_but(device, frozenset(), interrupted=False)

    assert code == EXIT_OK
    assert sorted(device.lines) == [f"box-{each}: stopped" for each in range(10)]


def test_a_hint_names_the_service_that_somebody_named() -> None:
    assert podman_at(FOUND) == "podman"
    assert podman_at(NAMED) == "podman --url 'unix:///elsewhere/a b.sock'"
    for status, word in (("paused", "unpause"), ("created", "start")):
        error = not_running("one", "box", status, 0, run=None, podman=podman_at(NAMED))
        assert f"`podman --url 'unix:///elsewhere/a b.sock' {word} box`" in (error.hint or "")
