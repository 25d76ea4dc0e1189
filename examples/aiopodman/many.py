"""Several containers at once, through podman's socket and nothing else of barasync:

    python examples/aiopodman/many.py --url unix:///run/podman/podman.sock IMAGE

IMAGE is an image with a shell that is in podman's storage. Ctrl-C ends it at any time; nothing is
left either way.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import AsyncIterator

import anyio

from barasync.aiopodman import (
    Chunk,
    Container,
    ContainerSpec,
    Endpoint,
    Event,
    EventsLost,
    ExecSpec,
    LineSplitter,
    Podman,
    Stream,
    temporary,
)

CONTAINERS = 3
LABEL = "example.aiopodman"
# Another of these programs may run beside this one.
RUN_LABEL, RUN = "example.aiopodman.run", secrets.token_hex(8)
SCRIPT = """
echo waiting
until [ -e /tmp/go ]; do sleep 0.1; done
echo going
exit "$1"
"""


async def main(url: str, image_name: str) -> None:
    """Run the containers of an image of the service at `url`, and watch what happens to them."""
    async with Podman(Endpoint(url, "--url"), outage=30) as podman:
        # Podman takes any local image of a name, whatever its architecture; an ID is one image.
        image = await podman.images.inspect(image_name)
        # A watch begins when its block does, so before what it is to see.
        async with (
            podman.watch(
                filters={"type": ["container"], "label": [f"{RUN_LABEL}={RUN}"]}
            ) as events,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(show_events, events)
            for number in range(CONTAINERS):
                tasks.start_soon(live, podman, image.id, number)


async def live(podman: Podman, image: str, number: int) -> None:
    """Run one container from its creation to its removal, and show what it prints."""
    spec = ContainerSpec(
        image=image,
        command=("sh", "-c", SCRIPT, "sh", str(number)),
        labels={LABEL: str(number), RUN_LABEL: RUN},
        timeout=60,  # Podman kills it then, also where this program is dead.
    )
    async with temporary(podman.containers, spec) as container:
        # It has to be read all the time, so whatever else is to be done is another task.
        async with container.start_attached() as chunks, anyio.create_task_group() as tasks:
            async for line in split_lines(chunks):
                show(number, line)
                if line == b"waiting":
                    tasks.start_soon(let_go, container, number)
        # The end of the output is no verdict, and comes some milliseconds before there is one.
        print(f"{number} ended with {await container.wait()}", flush=True)


async def let_go(container: Container, number: int) -> None:
    """Execute another command in the container: what the first one waits for."""
    session = await container.exec(ExecSpec(command=("sh", "-c", "echo now; touch /tmp/go")))
    async with session.attached() as attachment:
        async for line in split_lines(attachment.output):
            show(number, line)


async def show_events(events: AsyncIterator[Event]) -> None:
    """Show what happens to the containers of this program, until all are removed."""
    removed = 0
    try:
        async for event in events:
            print(f"{event.actor.attributes[LABEL]} event {event.action}", flush=True)
            removed += event.action == "remove"
            if removed == CONTAINERS:
                return
    except EventsLost as lost:
        # A removal may be among them, which nobody would be told of any more.
        print(f"no more events are shown: {lost}", flush=True)


async def split_lines(chunks: AsyncIterator[Chunk]) -> AsyncIterator[bytes]:
    """Yield output by lines, and what has no end of line; a chunk may end anywhere in one."""
    splitters = {stream: LineSplitter() for stream in Stream}
    async for chunk in chunks:
        for line in splitters[chunk.stream].feed(chunk.data):
            yield line.data
    for splitter in splitters.values():
        for line in splitter.finish():
            yield line.data


def show(number: int, line: bytes) -> None:
    """Show a line that a container has printed."""
    print(f"{number} | {line.decode(errors='replace')}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="unix:///run/podman/podman.sock")
    parser.add_argument("image")
    given = parser.parse_args()
    anyio.run(main, given.url, given.image)
