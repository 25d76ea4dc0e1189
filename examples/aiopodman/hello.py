"""A container from its creation to its removal: hello.py URL IMAGE."""

import sys

import anyio

from barasync.aiopodman import ContainerSpec, Endpoint, Podman, temporary


async def main(url: str, image_name: str) -> None:
    """Show what a container of the image prints, and its exit code."""
    async with Podman(Endpoint(url, "the first argument")) as podman:
        image = await podman.images.inspect(image_name)
        spec = ContainerSpec(image=image.id, command=("sh", "-c", "echo hello; exit 3"))
        async with temporary(podman.containers, spec) as container:
            async with container.start_attached() as chunks:
                async for chunk in chunks:
                    # Bytes as they are: a chunk may end within a character.
                    sys.stdout.buffer.write(chunk.data)
            print("exit code", await container.wait())


url, image_name = sys.argv[1:]
anyio.run(main, url, image_name)
