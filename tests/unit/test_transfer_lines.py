"""What a person sees of a transfer, on a terminal and without one."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

import anyio
import pytest
from anyio import to_thread

from barasync.cli.transfer_lines import TransferLines, transfer_lines
from barasync.images.progress import Progress
from barasync.report.channel import Channel

# As podman 4.3.1 and 5.4.2 say it.
WORDS = [
    "Trying to pull r.example/tool:1...",
    "Getting image source signatures",
    f"Copying blob sha256:{'a' * 64}",
    f"Copying blob sha256:{'b' * 64}",
    f"Copying config sha256:{'c' * 64}",
    "Writing manifest to image destination",
    "Storing signatures",
]


@dataclass
class Device:
    written: list[str] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.written.append(data.decode())


@dataclass
class Shown:
    """Lines on a device of 60 columns, at a time of our own."""

    lives: bool = True
    verbose: bool = False
    now: float = 0.0
    device: Device = field(default_factory=Device)

    def lines(self) -> TransferLines:
        size = os.terminal_size((60, 24))
        channel = Channel(self.device, terminal=self.lives, size=lambda: size)

        async def write(data: bytes) -> None:
            channel.write(data)

        return TransferLines(
            channel, write, lives=self.lives, verbose=self.verbose, clock=lambda: self.now
        )

    def screen(self) -> list[str]:
        """What a terminal shows of all that was written."""
        rows: list[str] = []
        for line in "".join(self.device.written).splitlines():
            *cleared, text = line.split("\x1b[1A\x1b[2K")
            del rows[len(rows) - len(cleared) :]
            rows.append(text)
        return [row for row in rows if row]


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (0, "asking the registry"),
        (2, "asking the registry"),
        (3, "1 layer begun"),
        (4, "2 layers begun"),
        (5, "2 layers there, copying the configuration"),
        (6, "2 layers there, writing the manifest"),
        (7, "2 layers there, writing the manifest"),
    ],
)
def test_progress_is_what_podman_has_said_and_no_more(heard: int, said: str) -> None:
    progress = Progress()

    for line in WORDS[:heard]:
        progress.hear(line)

    assert str(progress) == said
    assert progress.moves == (heard > 2)


def test_a_layer_that_is_said_twice_counts_once() -> None:
    progress = Progress()

    for line in (WORDS[2], WORDS[2], WORDS[2] + " skipped: already exists"):
        progress.hear(line)

    assert str(progress) == "1 layer begun"


@pytest.mark.anyio
async def test_on_a_terminal_every_transfer_has_one_line_that_lives_below_those_that_stay() -> None:
    shown = Shown()
    lines = shown.lines()

    with lines.living("x amd64"), lines.living("x arm64"):
        lines.say("x amd64", "pulling")
        for line in WORDS[:4]:
            lines.hear("x amd64", line)
        shown.now = 3.2
        await lines.draw()
        between = shown.screen()
        lines.say("x arm64", "unexpected EOF; trying again in 1 s")
        await lines.draw()
        after = shown.screen()
    await lines.draw()

    assert between == [
        "x amd64: pulling",
        "x amd64: 2 layers begun, 3.2 s",
        "x arm64: asking the registry, 3.2 s",
    ]
    assert after[:2] == ["x amd64: pulling", "x arm64: unexpected EOF; trying again in 1 s"]
    assert len(after) == 4
    assert shown.screen() == after[:2]


@pytest.mark.anyio
async def test_a_line_that_lives_is_never_wider_than_the_terminal_and_keeps_what_it_tells() -> None:
    shown = Shown()
    lines = shown.lines()

    with lines.living("r.example/" + "x" * 80 + "/tool:1 arm64"):
        await lines.draw()
        (line,) = shown.screen()

    assert len(line) == 59
    assert line.startswith("…xx")
    assert line.endswith("xx/tool:1 arm64: asking the registry, 0.0 s")


@pytest.mark.anyio
@pytest.mark.parametrize("verbose", [False, True])
async def test_without_a_terminal_there_are_the_lines_that_stay_and_podmans_where_asked_for(
    *, verbose: bool
) -> None:
    shown = Shown(lives=False, verbose=verbose)
    lines = shown.lines()

    with lines.living("x amd64"):
        lines.say("x amd64", "pulling")
        lines.hear("x amd64", WORDS[2])
        await lines.draw()
        lines.say("x amd64", "pulled in 3.2 s: sha256:1")
    await lines.draw()

    text = "".join(shown.device.written)
    kept = [f"x amd64: {WORDS[2]}"] if verbose else []
    assert text.splitlines() == ["x amd64: pulling", *kept, "x amd64: pulled in 3.2 s: sha256:1"]
    assert "\x1b" not in text


@pytest.mark.anyio
async def test_what_a_registry_says_cannot_move_the_cursor() -> None:
    shown = Shown(lives=False)
    lines = shown.lines()

    lines.say("x", "\x1b[2Jgone\nnext")
    await lines.draw()

    assert "\x1b" not in shown.device.written[0]
    assert shown.device.written[0].count("\n") == 1


# A terminal that stands still


class StandsStill:
    """A terminal that takes nothing between a Ctrl-S and a Ctrl-Q."""

    def __init__(self) -> None:
        self.written = ""
        self.is_asked = threading.Event()
        self.goes_on = threading.Event()

    def write(self, data: bytes) -> None:
        self.is_asked.set()
        assert self.goes_on.wait(10)
        self.written += data.decode()


@pytest.mark.anyio
@pytest.mark.parametrize("lives", [False, True])
async def test_a_terminal_that_stands_still_holds_nothing_back_and_gets_all_lines_then(
    *, lives: bool
) -> None:
    device = StandsStill()

    with anyio.fail_after(5):
        async with transfer_lines(
            Channel(device), lives=lives, verbose=True, clock=time.monotonic
        ) as lines:
            lines.say("x", "pulling")
            await to_thread.run_sync(device.is_asked.wait)
            for line in WORDS:
                lines.hear("x", line)
            assert device.written == ""
            device.goes_on.set()

    assert device.written.splitlines() == ["x: pulling", *(f"x: {line}" for line in WORDS)]


@pytest.mark.anyio
async def test_who_is_cancelled_does_not_wait_for_a_terminal_that_stands_still() -> None:
    device = StandsStill()
    try:
        with anyio.fail_after(5), anyio.CancelScope() as scope:
            async with transfer_lines(
                Channel(device), lives=True, verbose=False, clock=time.monotonic
            ) as lines:
                lines.say("x", "pulling")
                await to_thread.run_sync(device.is_asked.wait)
                scope.cancel()
                await anyio.sleep_forever()
        assert device.written == ""
    finally:
        device.goes_on.set()


@pytest.mark.anyio
async def test_who_is_cancelled_leaves_all_lines_on_a_terminal_that_takes_them() -> None:
    device = Device()
    with anyio.CancelScope() as scope:
        async with transfer_lines(
            Channel(device), lives=False, verbose=False, clock=time.monotonic
        ) as lines:
            scope.cancel()
            lines.say("x", "pulling")

    assert device.written == ["x: pulling\n"]
