"""Containers for the contract tests of the client: made, used, and removed whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio

from barasync.aiopodman import Container, ContainerInspect, ContainerSpec, Podman, Stream

TEST_SECONDS = 50
REMOVE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Ended:
    """What a container printed, and the state it ended in."""

    stdout: bytes
    stderr: bytes
    state: ContainerInspect


@asynccontextmanager
async def created(
    podman: Podman, spec: ContainerSpec, *, seconds: float = TEST_SECONDS
) -> AsyncIterator[Container]:
    """A container that is gone after the block, which may take so many seconds.

    The limit is below that of the test run, which cannot end a test that awaits something.
    """
    container = await podman.containers.create(spec)
    try:
        with anyio.fail_after(seconds):
            yield container
    finally:
        with anyio.move_on_after(REMOVE_SECONDS, shield=True):
            await container.remove(force=True, timeout=0, volumes=True, missing_ok=True)


@asynccontextmanager
async def running(podman: Podman, spec: ContainerSpec) -> AsyncIterator[Container]:
    """A container that has said something, so that its traps are set."""
    async with created(podman, spec) as container, container.start_attached() as chunks:
        await anext(chunks)
        yield container


def of_a_cell(image: str, run: str, cell: str, script: str) -> ContainerSpec:
    """A container that is called and labelled as the first attempt of a cell."""
    return replace(
        shell(image, script),
        name=f"barasync-{run}-{cell}-1",
        labels={"barasync.run": run, "barasync.cell": cell, "barasync.attempt": "1"},
    )


def shell(image: str, script: str) -> ContainerSpec:
    """A container that runs a script of the POSIX shell."""
    return ContainerSpec(image=image, command=("sh", "-c", script))


async def printed(container: Container) -> dict[Stream, bytes]:
    """Start a created container and return all that it prints."""
    pieces: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
    async with container.start_attached() as chunks:
        async for chunk in chunks:
            pieces[chunk.stream].append(chunk.data)
    return {stream: b"".join(data) for stream, data in pieces.items()}


async def finish(container: Container) -> Ended:
    """Run a created container to its end."""
    output = await printed(container)
    return Ended(output[Stream.STDOUT], output[Stream.STDERR], await ended(container))


async def ended(container: Container) -> ContainerInspect:
    """Return the state of a container whose output has ended.

    Podman may take some milliseconds to see that the process is gone as well.
    """
    found = await container.inspect()
    if not found.state.ended:
        await container.wait()
        found = await container.inspect()
    return found


async def run(podman: Podman, spec: ContainerSpec) -> Ended:
    """Create, run and remove a container."""
    async with created(podman, spec) as container:
        return await finish(container)
