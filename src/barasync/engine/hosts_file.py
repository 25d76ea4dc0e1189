"""The `/etc/hosts` of containers that share a network namespace, in which they know each other.

Podman refuses them entries of their own, and gives those of the namespace's owner to them only
where that has an interface (measured on 4.3.1 and 5.4.2). So the file is put into each container.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping

from barasync.aiopodman import Container
from barasync.config.policies import Address

_DIRECTORY = "/etc"
_FILE = "hosts"
_ID_DIGITS = 12
"""Of a container's ID; its host name, as podman has it."""


async def put_hosts(
    container: Container, names: Iterable[str], others: Mapping[str, Address]
) -> None:
    """Put names for the loopback interface, and others with their addresses, into a container.

    It must not run yet, and have been created with `image_hosts`.

    Raises:
        PodmanError: podman did not take the file.
    """
    text = hosts((*names, container.id[:_ID_DIGITS]), others)
    await container.put_archive(_DIRECTORY, _archive(text))


def hosts(names: Iterable[str], others: Mapping[str, Address]) -> str:
    """Return the text of the file. Source: hosts(5)."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"127.0.0.1 {name}" for name in names]
    lines += [f"{address} {name}" for name, address in others.items()]
    return "".join(f"{line}\n" for line in lines)


async def _archive(text: str) -> AsyncIterator[bytes]:
    data = text.encode("ascii")
    member = tarfile.TarInfo(_FILE)
    member.size, member.mode = len(data), 0o644
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(data))
    yield buffer.getvalue()
