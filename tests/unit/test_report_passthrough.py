from __future__ import annotations

import errno
import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.report.channel import Channel
from barasync.report.console import Consoles
from barasync.report.passthrough import PortsView, copy_views
from tests.unit.report_examples import Capture, CellFiles, Stalled, container_started, started

pytestmark = pytest.mark.anyio

BINARY = bytes(range(256)) * 1024


def consoles(logs: Path, out: Capture, error: Capture, *, together: bool) -> Consoles:
    return Consoles(copy_views(logs, Channel(out), Channel(error), together=together))


async def reached(event: threading.Event) -> None:
    assert await to_thread.run_sync(event.wait, 10), "the console never got there"


@pytest.fixture
def files(tmp_path: Path) -> CellFiles:
    return CellFiles(tmp_path)


def append(files: CellFiles, *, stdout: bytes = b"", stderr: bytes = b"") -> None:
    files.append("amd64", stdout, name="stdout.log")
    files.append("amd64", stderr, name="stderr.log")
    files.append("amd64", stdout + stderr)


async def test_each_stream_is_copied_to_its_own_unchanged(files: CellFiles) -> None:
    out, error = Capture(), Capture()
    logs = files.logs("amd64", 1)
    async with consoles(logs, out, error, together=False) as console:
        console.emit(started("amd64"))
        append(files, stdout=BINARY, stderr=b"no newline")
        console.written("amd64")
        await console.finish()

    assert out.data == BINARY
    assert error.data == b"no newline"


async def test_on_one_terminal_the_order_in_which_it_was_written_is_kept(files: CellFiles) -> None:
    out, error = Capture(), Capture()
    logs = files.logs("amd64", 1)
    async with consoles(logs, out, error, together=True) as console:
        for _ in range(100):
            append(files, stdout=b"out\n", stderr=b"err\n")
            console.written("amd64")
        await console.finish()

    assert out.data == b"out\nerr\n" * 100
    assert error.data == b""


async def test_a_reader_that_stands_still_does_not_hold_up_the_other_stream(
    files: CellFiles,
) -> None:
    class Announced(Capture):
        def __init__(self) -> None:
            super().__init__()
            self.seen = threading.Event()

        def write(self, data: bytes) -> None:
            super().write(data)
            self.seen.set()

    out, error = Stalled(), Announced()
    logs = files.logs("amd64", 1)
    async with consoles(logs, out, error, together=False) as console:
        append(files, stdout=BINARY, stderr=b"warning\n")
        console.written("amd64")
        await reached(error.seen)

        assert (out.data, error.data) == (b"", b"warning\n")

        out.released.set()
        await console.finish()

    assert out.data == BINARY


async def test_a_command_that_prints_nothing_shows_nothing(files: CellFiles) -> None:
    out, error = Capture(), Capture()
    logs = files.logs("amd64", 1)
    async with consoles(logs, out, error, together=False) as console:
        await console.finish()

    assert (out.data, error.data) == (b"", b"")


async def test_cancelling_the_finish_gives_up_on_both_streams(
    files: CellFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.report.console._FAREWELL_SECONDS", 0.01)
    out, error = Stalled(), Stalled()
    logs = files.logs("amd64", 1)
    with anyio.CancelScope() as scope:
        async with consoles(logs, out, error, together=False) as console:
            append(files, stdout=b"out", stderr=b"err")
            console.written("amd64")
            await reached(out.entered)
            await reached(error.entered)
            scope.cancel()
            await console.finish()
    assert scope.cancelled_caught

    for device, part in zip((out, error), console._consoles, strict=True):
        device.released.set()
        await to_thread.run_sync(part._thread.join, 10)

        assert not part._thread.is_alive()


def test_a_port_that_podman_chose_is_told_and_no_other() -> None:
    error = Capture()
    view = PortsView(Channel(error), {"8000/tcp"})

    view.event(started("amd64"))
    view.event(
        container_started(
            "amd64", ports={"8000/tcp": ("0.0.0.0:4711",), "80/tcp": ("0.0.0.0:8080",)}
        )
    )

    assert error.data == b"barasync: 8000/tcp at 0.0.0.0:4711\n"


class Takes:
    """A device that takes nothing, for a reason."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def write(self, _data: bytes) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (BrokenPipeError(), 1),
        (OSError(errno.ENOSPC, "no space"), 0),
        (OSError(errno.EIO, "gone"), 0),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_a_reader_of_stdout_who_has_left_is_told_of_once(
    files: CellFiles, error: OSError, times: int, *, together: bool
) -> None:
    told: list[None] = []
    logs = files.logs("amd64", 1)
    views = copy_views(
        logs,
        Channel(Takes(error)),
        Channel(Takes(BrokenPipeError())),
        together=together,
        unread=lambda: told.append(None),
    )
    async with Consoles(views) as console:
        for _ in range(3):
            append(files, stdout=b"out\n", stderr=b"err\n")
            console.written("amd64")
        await console.finish()

    assert len(told) == times
