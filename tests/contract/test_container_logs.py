"""`barasync container logs` on real podmans."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import Container, Podman, Stream, whole_log
from tests.contract.running import created, shell
from tests.rig.command import Barasync, call
from tests.rig.memory import MEBIBYTE, peak_memory

pytestmark = pytest.mark.anyio

TALKS = """
    i=0
    while [ $i -lt 2000 ]; do
        echo "line $i"; [ $((i % 10)) -gt 0 ] || echo "error $i" >&2; i=$((i+1))
    done
    printf begun; sleep 0.5; echo ' and ended'; echo more; echo last
"""
LINE = b"0123456789" * 4 + b"\n"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d) ")


@asynccontextmanager
async def over(podman: Podman, image: str, script: str) -> AsyncIterator[Container]:
    """A container that has printed and ended, without anybody attached."""
    async with created(podman, shell(image, script)) as container:
        await container.start()
        await container.wait()
        yield container


async def test_a_log_comes_whole_its_streams_kept_apart(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with over(podman, busybox, TALKS) as container:
        whole = await call(barasync, "container", "logs", container.id)
        last = await call(barasync, "container", "logs", "--tail", "3", container.id)
        none = await call(barasync, "container", "logs", "--tail", "0", container.id)
        followed = await call(barasync, "container", "logs", "-f", "-n", "3", container.id)
        stamped = await call(barasync, "container", "logs", "-t", "-n", "2", container.id)

    lines = [f"line {number}" for number in range(2000)] + ["begun and ended", "more", "last"]
    assert whole.code == 0
    assert whole.out.splitlines() == lines
    assert whole.err.splitlines() == [f"error {number}" for number in range(0, 2000, 10)]
    assert (last.code, last.out.splitlines(), last.err) == (0, lines[-3:], "")
    assert (none.code, none.out, none.err) == (0, "", "")
    assert (followed.code, followed.out.splitlines()) == (0, lines[-3:])
    assert [STAMP.sub("", line, count=1) for line in stamped.out.splitlines()] == lines[-2:]
    assert all(map(STAMP.match, stamped.out.splitlines()))


async def test_what_came_since_a_time_and_in_the_last_seconds(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with over(
        podman, busybox, "echo early; sleep 3; date -u +%Y-%m-%dT%H:%M:%SZ"
    ) as container:
        whole = await call(barasync, "container", "logs", container.id)
        early, late = whole.out.splitlines()
        since = await call(barasync, "container", "logs", "--since", late, container.id)
        ago = await call(barasync, "container", "logs", "--since", "1d", container.id)
        ahead = await call(barasync, "container", "logs", "--since", "2100-01-01", container.id)

    assert early == "early"
    assert since.out.splitlines() == [late]
    assert ago.out == whole.out
    assert (ahead.code, ahead.out) == (0, "")


@asynccontextmanager
async def waiting(
    podman: Podman, image: str, then: str, first: str = ":"
) -> AsyncIterator[Container]:
    """A container that does something first, and ends with something else at SIGUSR1."""
    script = f"trap '{then}; exit' USR1; {first}; touch /ready; while :; do sleep 0.1; done"
    async with created(podman, shell(image, script)) as container:
        await container.start()
        while await container.stat("/ready") is None:
            pass
        yield container


async def test_following_a_silent_container_ends_when_it_ends(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async def follow(container: Container) -> None:
        ended = await call(barasync, "container", "logs", "--follow", container.id)
        assert (ended.code, ended.out, ended.err) == (0, "", "")

    async with waiting(podman, busybox, ":", "echo begun") as container:
        with barasync.running("container", "logs", "--follow", container.id) as process:
            assert process.stdout is not None
            assert await to_thread.run_sync(process.stdout.readline) == b"begun\n"
            await container.kill("SIGUSR1")
            assert await to_thread.run_sync(process.communicate) == (b"", b"")
            assert process.returncode == 0
    async with waiting(podman, busybox, ":") as container:
        with barasync.running("container", "logs", "--follow", container.id) as process:
            for _ in range(20):
                assert process.poll() is None
                await container.inspect()
            await container.kill("SIGUSR1")
            assert await to_thread.run_sync(process.wait) == 0
        await follow(container)
    async with created(podman, shell(busybox, "true")) as container:
        await follow(container)


async def test_a_follower_has_all_of_a_container_that_ends_while_it_begins(
    podman: Podman, busybox: str
) -> None:
    """On podman 4 some of these are never told of the end (`log-follow-may-not-end`)."""

    async def follow_one() -> None:
        async with created(
            podman, shell(busybox, "echo out; echo err >&2; printf end")
        ) as container:
            await container.start()
            async with whole_log(container, follow=True) as chunks:
                came = [chunk async for chunk in chunks]
        assert b"".join(each.data for each in came if each.stream is Stream.STDOUT) == b"out\nend"
        assert b"".join(each.data for each in came if each.stream is Stream.STDERR) == b"err\n"

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(follow_one)


async def test_following_shows_lines_as_they_come_after_the_last_ones(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def read(process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        return process.stdout.readline()

    first = "echo zero; echo one"
    async with waiting(podman, busybox, "echo two; echo bad >&2", first) as container:
        with barasync.running("container", "logs", "-fn1", container.id) as process:
            one = await to_thread.run_sync(read, process)
            await container.kill("SIGUSR1")
            out, err = await to_thread.run_sync(process.communicate)

    assert (one, out, err, process.returncode) == (b"one\n", b"two\n", b"bad\n", 0)


async def test_a_container_that_is_removed_ends_the_following_with_1(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with waiting(podman, busybox, ":", "echo one") as container:
        with barasync.running("container", "logs", "--follow", container.id) as process:
            assert process.stdout is not None
            await to_thread.run_sync(process.stdout.readline)
            await container.remove(force=True, timeout=0)
            _out, err = await to_thread.run_sync(process.communicate)

    assert process.returncode == 1
    assert b"was removed; what it printed last may be missing" in err


async def test_an_interrupted_or_unread_follower_ends_and_the_container_goes_on(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with waiting(podman, busybox, ":", "echo one; yes | head -c 300000") as container:
        with barasync.running("container", "logs", "--follow", container.id) as process:
            assert process.stdout is not None
            await to_thread.run_sync(process.stdout.readline)
            process.send_signal(signal.SIGINT)
            interrupted = await to_thread.run_sync(process.wait)
        with barasync.running("container", "logs", container.id) as process:
            assert process.stdout is not None
            await to_thread.run_sync(process.stdout.readline)
            process.stdout.close()
            unread = await to_thread.run_sync(process.wait)
        state = (await container.inspect()).state.status

    assert (interrupted, unread, state) == (130, 141, "running")


async def test_a_long_log_takes_little_memory(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = f"yes {LINE.decode().strip()} | head -n 1000000"
    async with over(podman, busybox, script) as container:

        def read() -> tuple[int, int, bytes]:
            peak = 0
            with (barasync.directory / "out").open("w+b") as out:
                words = ("container", "logs", "--tail", "1000", container.id)
                with barasync.running(*words, stdout=out.fileno()) as process:
                    while process.poll() is None:
                        peak = max(peak, peak_memory(process.pid))
                        with suppress(subprocess.TimeoutExpired):
                            process.wait(0.05)
                out.seek(0)
                return process.returncode, peak, out.read()

        code, peak, out = await to_thread.run_sync(read)

    assert code == 0
    assert out == LINE * 1000
    assert 0 < peak < 150 * MEBIBYTE
