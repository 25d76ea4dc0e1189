"""What the client can do with containers, one thing after another, as docs/aiopodman.md shows it:

    python examples/aiopodman/tour.py --url unix:///run/podman/podman.sock IMAGE

IMAGE is an image with a shell that is in podman's storage. Nothing is left.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import AsyncIterator
from functools import partial

import anyio

from barasync.aiopodman import (
    Attachment,
    Chunk,
    ContainerSpec,
    Endpoint,
    Event,
    EventsLost,
    ExecSpec,
    HealthCheck,
    Mount,
    Podman,
    PodSpec,
    SecretFile,
    answered,
    create_shielded,
    temporary,
)

# Another of these programs may run beside this one.
NAME = f"example-{secrets.token_hex(8)}"
IDLE = ("sh", "-c", "trap exit TERM; while :; do sleep 0.1; done")


async def main(url: str, image_name: str) -> None:
    """Show all of it with an image of the service at `url`."""
    async with Podman(Endpoint(url, "--url"), outage=30) as podman:
        image = (await podman.images.inspect(image_name)).id
        for show in (execute, converse, resize, observe, check, share, group, watch):
            print(f"{show.__name__}:", flush=True)
            await show(podman, image)


async def show_output(chunks: AsyncIterator[Chunk]) -> None:
    """Show what a command prints, until it ends."""
    async for chunk in chunks:
        # Bytes as they are: a chunk may end within a character.
        sys.stdout.buffer.write(chunk.data)
        sys.stdout.flush()


async def execute(podman: Podman, image: str) -> None:
    """Execute another command in a container that runs."""
    async with temporary(podman.containers, ContainerSpec(image=image, command=IDLE)) as container:
        await container.start()
        spec = ExecSpec(command=("sh", "-c", "echo I am $NAME; exit 7"), env={"NAME": "me"})
        session = await container.exec(spec)
        async with session.attached() as attachment:
            await show_output(attachment.output)
        print("exit code", await session.wait())


async def converse(podman: Podman, image: str) -> None:
    """Send a command what it reads, and read what it prints, both at the same time."""
    spec = ContainerSpec(image=image, command=("tr", "a-z", "A-Z"), stdin=True)
    async with (
        temporary(podman.containers, spec) as container,
        container.attach_stdin() as attachment,
        anyio.create_task_group() as tasks,
    ):
        await container.start()
        tasks.start_soon(dictate, attachment)
        await show_output(attachment.output)


async def dictate(attachment: Attachment) -> None:
    """Send some lines, and then the end of stdin."""
    for line in ("one", "two"):
        await attachment.send(f"{line}\n".encode())
    await attachment.close_stdin()


async def resize(podman: Podman, image: str) -> None:
    """Give a command a terminal, and that another size."""
    command = ("sh", "-c", "stty -echo; read -r line; stty size")
    spec = ContainerSpec(image=image, command=command, stdin=True, terminal=True)
    async with (
        temporary(podman.containers, spec) as container,
        container.attach_stdin() as attachment,
    ):
        await container.start()
        await container.resize(columns=100, rows=33)
        await attachment.send(b"\n")
        await show_output(attachment.output)


async def observe(podman: Podman, image: str) -> None:
    """See what runs in a container and what it consumes, rename it, and have it stand still."""
    async with temporary(podman.containers, ContainerSpec(image=image, command=IDLE)) as container:
        await container.start()
        await container.rename(f"{NAME}-renamed")
        processes = await container.top(["pid", "comm"])
        print(processes.titles, "1" in {pid for pid, _ in processes.processes})
        async with container.stats(interval=1) as reports:
            report = await anext(reports)
            print([each.name == f"{NAME}-renamed" for each in report.stats or ()])
        await container.pause()
        print((await container.inspect()).state.status)
        await container.unpause()
        print((await container.inspect()).state.status)


async def check(podman: Podman, image: str) -> None:
    """Wait until a container works."""
    ready = HealthCheck(command=("test", "-e", "/ready"), timeout=5, retries=1000)
    spec = ContainerSpec(
        image=image, command=("sh", "-c", "sleep 1; touch /ready; sleep 60"), health_check=ready
    )
    async with temporary(podman.containers, spec) as container:
        await container.start()
        healthy = False
        with anyio.fail_after(30):
            while not healthy:
                await anyio.sleep(0.1)
                healthy = await container.check_health()
        print((await container.inspect()).state.health.status)


async def share(podman: Podman, image: str) -> None:
    """Keep files in a volume, and give a container a secret."""
    volume = partial(podman.volumes.create, NAME, labels={"example": "yes"})
    secret = partial(podman.secrets.create, NAME, b"hunter2\n")
    try:
        await answered(volume, within=60, cancelled=30)
        await answered(secret, within=60, cancelled=30)
        for script in ("cat /run/secrets/word >/kept/file", "cat /kept/file"):
            spec = ContainerSpec(
                image=image,
                command=("sh", "-c", script),
                mounts=(Mount(NAME, "/kept"),),
                secret_files=(SecretFile(NAME, "word"),),
            )
            async with (
                temporary(podman.containers, spec) as container,
                container.start_attached() as chunks,
            ):
                await show_output(chunks)
        print((await podman.volumes.inspect(NAME)).labels)
    finally:
        with anyio.move_on_after(30, shield=True):
            await podman.volumes.remove(NAME, missing_ok=True)
            await podman.secrets.remove(NAME, missing_ok=True)


async def group(podman: Podman, image: str) -> None:
    """Start, look at, stop and remove two containers that share a network."""
    pod = PodSpec(name=NAME, infra_image=image, infra_command=IDLE)
    try:
        await answered(lambda: podman.pods.create(pod), within=60, cancelled=30)
        for name in ("one", "two"):
            spec = ContainerSpec(
                image=image, name=f"{NAME}-{name}", command=IDLE, pod=NAME, network="pod"
            )
            await create_shielded(podman.containers, spec)
        await podman.pods.start(NAME)
        print(sorted(each.state for each in (await podman.pods.inspect(NAME)).members))
        await podman.pods.stop(NAME, timeout=5)
        print((await podman.pods.inspect(NAME)).state)
    finally:
        with anyio.move_on_after(60, shield=True):
            await podman.pods.remove(NAME, force=True, missing_ok=True)


async def watch(podman: Podman, image: str) -> None:
    """Tell of what happens to a container, also while the service is started anew."""
    spec = ContainerSpec(image=image, name=NAME, command=("true",))
    async with podman.watch(filters={"type": ["container"], "container": [NAME]}) as events:
        async with temporary(podman.containers, spec) as container:
            await container.start()
            await container.wait()
        await tell(podman, events)


async def tell(podman: Podman, events: AsyncIterator[Event]) -> None:
    """Show events, up to a removal."""
    while True:
        try:
            async for event in events:
                if event.action in {"create", "start", "died"}:
                    print(event.action, flush=True)
                if event.action == "remove":
                    return
        except EventsLost as lost:
            # What is there now stands for what nobody knows any more.
            names = [each.names for each in await podman.containers.list(all=True)]
            print(f"{lost}: there are {names}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="unix:///run/podman/podman.sock")
    parser.add_argument("image")
    given = parser.parse_args()
    anyio.run(main, given.url, given.image)
