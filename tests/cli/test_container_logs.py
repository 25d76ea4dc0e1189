"""`barasync container logs` where podman's log is not what it was, and where nobody reads ours."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Container, Podman, Stream
from tests.contract.running import created, shell
from tests.fake.faults import Fault, Inserts, Refuses
from tests.fake.log import framed
from tests.fake.service import FakeService
from tests.rig.command import Barasync, call
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.anyio

BEFORE = Inserts(framed(Stream.STDOUT, b"before\n" * 100))


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService.running() as service:
        yield service


@pytest.fixture
def barasync(service: FakeService, tmp_path: Path) -> Barasync:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb"}
    return Barasync(tmp_path, service.endpoint.url, environ)


@asynccontextmanager
async def over(service: FakeService, script: str) -> AsyncIterator[Container]:
    """A container that has printed and ended."""
    async with (
        Podman(service.endpoint) as podman,
        created(podman, shell(service.busybox("amd64"), script)) as container,
    ):
        await container.start()
        await container.wait()
        yield container


@pytest.mark.parametrize("how", [(), ("--follow",)], ids=["read", "followed"])
async def test_lines_of_a_log_that_was_begun_anew_meanwhile_are_no_success(
    service: FakeService, barasync: Barasync, how: tuple[str, ...]
) -> None:
    async with over(service, "echo one; echo two") as container:
        words = ("container", "logs", "--tail", "1", *how, container.id)
        before = await call(barasync, *words)
        service.inject(Fault("logs", BEFORE, times=1))
        ended = await call(barasync, *words)

    assert (before.code, before.out, before.err) == (0, "two\n", "")
    assert (ended.code, ended.out) == (1, "")
    assert "has begun the log of" in ended.err


@pytest.mark.parametrize("how", [(), ("--follow",)], ids=["read", "followed"])
async def test_a_container_that_is_removed_meanwhile_is_said_to_be(
    service: FakeService, barasync: Barasync, how: tuple[str, ...]
) -> None:
    service.inject(Fault("logs", Refuses("no such container", status=404)))
    async with over(service, "echo one") as container:
        ended = await call(barasync, "container", "logs", *how, container.id)

    assert (ended.code, ended.out) == (1, "")
    assert "was removed; what it printed last may be missing" in ended.err
    assert "doctor" not in ended.err


def waits_to_write(process: int) -> bool:
    """Tell whether a thread of a process waits in a system call about its stdout."""
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(FileNotFoundError):  # it ended meanwhile
            if (task / "syscall").read_text().split()[1:2] == ["0x1"]:
                return True
    return False


FLOOD = "yes 0123456789 | head -c 300000; yes error | head -c 300000 >&2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_terminal_that_stands_still_does_not_keep_a_signal_from_ending_it(
    service: FakeService, barasync: Barasync, number: signal.Signals
) -> None:
    def end(container: str) -> int:
        with barasync.on_terminal("container", "logs", container) as tty:
            tty.expect(b"0123456789\r\n")
            wait_until(lambda: waits_to_write(tty.pid), "it waits for the terminal")
            tty.signal(number)
            return tty.wait(reading=False)

    async with over(service, FLOOD) as container:
        code = await to_thread.run_sync(end, container.id)

    assert code == 128 + number


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_reader_who_leaves_either_stream_ends_it(
    service: FakeService, barasync: Barasync, stream: str
) -> None:
    def leave(container: str) -> int:
        with barasync.running("container", "logs", container) as process:
            left, other = process.stdout, process.stderr
            if stream == "stderr":
                left, other = other, left
            assert left is not None
            assert other is not None
            left.close()
            while other.read(1 << 16):
                pass
            return process.wait(50)

    async with over(service, FLOOD) as container:
        code = await to_thread.run_sync(leave, container.id)

    assert code == 141
