"""Both directions of a connection to a container: what is typed arrives, and what is printed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barasync.aiopodman import Attachment, Podman
from tests.contract.running import created, ended, shell

pytestmark = pytest.mark.anyio


async def text_of(attachment: Attachment) -> bytes:
    """Return all that is printed, until the end."""
    return b"".join([chunk.data async for chunk in attachment.output])


async def test_what_is_sent_is_read_and_its_end_is_the_end_of_stdin(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "cat; echo end; exit 3"), stdin=True)

    async with created(podman, spec) as container:
        async with container.attach_stdin() as attachment:
            await container.start()
            await attachment.send(b"one\n")
            first = await anext(attachment.output)
            await attachment.send(b"two\n")
            await attachment.close_stdin()
            rest = await text_of(attachment)
        state = await ended(container)

    assert (first.data + rest) == b"one\ntwo\nend\n"
    assert state.state.exit_code == 3
