"""Both directions of a connection to a container: what is typed arrives, and what is printed."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import (
    Attachment,
    CommandNotFound,
    ContainerSpec,
    NotFound,
    Podman,
    Stream,
    TransportError,
)
from tests.contract.running import created, ended, shell

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MEGABYTE = 1_000_000
PIPED_MEGABYTES = 100
TYPING_SECONDS = 0.05
ONE_BYTE = "dd bs=1 count=1 2>/dev/null"


async def text_of(attachment: Attachment) -> bytes:
    """Return all that is printed, until the end."""
    return b"".join([chunk.data async for chunk in attachment.output])


async def until(attachment: Attachment, end: bytes) -> bytes:
    """Return what is printed until it ends so."""
    text = b""
    while not text.endswith(end):
        text += (await anext(attachment.output)).data
    return text


async def send_for_ever(attachment: Attachment) -> None:
    """Send until podman takes nothing any more."""
    while True:
        await attachment.send(bytes(MEGABYTE))


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
            await attachment.close_stdin()
            rest = await text_of(attachment)
        state = await ended(container)

    assert (first.data + rest) == b"one\ntwo\nend\n"
    assert state.state.exit_code == 3


async def test_a_hundred_megabytes_arrive_whole_while_as_many_come_back(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "tee /dev/stderr | sha256sum"), stdin=True)
    block = os.urandom(MEGABYTE - 8)
    sent, received = hashlib.sha256(), hashlib.sha256()
    told = b""

    async def pipe(attachment: Attachment) -> None:
        for number in range(PIPED_MEGABYTES):
            data = number.to_bytes(8, "big") + block
            sent.update(data)
            await attachment.send(data)
        await attachment.close_stdin()

    async with (
        created(podman, spec) as container,
        container.attach_stdin() as attachment,
        anyio.create_task_group() as group,
    ):
        await container.start()
        group.start_soon(pipe, attachment)
        async for chunk in attachment.output:
            if chunk.stream is Stream.STDERR:
                received.update(chunk.data)
            else:
                told += chunk.data

    assert received.hexdigest() == sent.hexdigest()
    assert told.split()[0].decode() == sent.hexdigest()


async def test_a_terminal_has_the_size_it_was_given_and_follows_another(
    podman: Podman, busybox: str
) -> None:
    script = "stty -echo; echo ready; while read -r _; do stty size; done"
    spec = replace(shell(busybox, script), stdin=True, terminal=True)

    async with created(podman, spec) as container, container.attach_stdin() as attachment:
        await container.start()
        await until(attachment, b"ready\r\n")
        sizes = []
        for columns, rows in ((100, 33), (40, 12)):
            await container.resize(columns, rows)
            await attachment.send(b"\n")
            sizes.append(await until(attachment, b"\r\n"))
        await attachment.send(b"\x04")
        end = await text_of(attachment)

    assert sizes == [b"33 100\r\n", b"12 40\r\n"]
    assert end == b""


async def test_no_byte_detaches_unless_keys_were_asked_for(podman: Podman, busybox: str) -> None:
    script = f"stty raw -echo; echo ready; for i in 1 2 3; do {ONE_BYTE} | od -An -tx1; done"
    spec = replace(shell(busybox, script), stdin=True, terminal=True)

    async with created(podman, spec) as container, container.attach_stdin() as attachment:
        await container.start()
        await until(attachment, b"ready\n")
        arrived = []
        # One at a time: podman looks for keys in what it reads at once.
        for byte in b"\x10\x11\x00":
            await attachment.send(bytes([byte]))
            arrived.append(await until(attachment, b"\n"))

    assert [text.strip() for text in arrived] == [b"10", b"11", b"00"]


async def test_attach_ends_with_a_notice__podmans_own_keys_end_the_output_without_it(
    podman: Podman, busybox: str
) -> None:
    script = f"until {ONE_BYTE} | grep -q x; do :; done; exit 6"
    spec = replace(
        shell(busybox, f"stty raw -echo; echo ready; {script}"), stdin=True, terminal=True
    )

    async def type_keys(attachment: Attachment) -> None:
        """Type the keys until they were noticed: podman has to read each of them by itself."""
        with suppress(TransportError):
            while True:
                for key in b"\x10\x11":
                    await attachment.send(bytes([key]))
                    await anyio.sleep(TYPING_SECONDS)

    async with created(podman, spec) as container:
        async with (
            container.attach_stdin(detach_keys="ctrl-p,ctrl-q") as attachment,
            anyio.create_task_group() as group,
        ):
            await container.start()
            await until(attachment, b"ready\n")
            group.start_soon(type_keys, attachment)
            end = await text_of(attachment)
            group.cancel_scope.cancel()
        detached = await container.inspect()
        async with container.attach_stdin() as attachment:
            await attachment.send(b"x")
            again = await text_of(attachment)
        code = await container.wait()

    assert (end, detached.state.status) == (b"", "running")
    assert (again, code) == (b"", 6)


async def test_leaving_lets_the_container_read_the_end_of_stdin_unless_it_is_a_terminal(
    podman: Podman, busybox: str
) -> None:
    script = "echo ready; cat >/dev/null; exit 5"
    piped = replace(shell(busybox, script), stdin=True)
    async with created(podman, piped) as container:
        async with container.attach_stdin() as attachment:
            await container.start()
            await anext(attachment.output)
        assert await container.wait() == 5

    typed = replace(shell(busybox, "echo ready; read -r x; exit 6"), stdin=True, terminal=True)
    async with created(podman, typed) as container:
        async with container.attach_stdin() as attachment:
            await container.start()
            await anext(attachment.output)
        async with container.attach_stdin() as attachment:
            await attachment.send(b"\n")
            await text_of(attachment)
        assert await container.wait() == 6


async def test_cancelling_who_reads_and_who_sends_leaves_the_container_running(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "echo ready; sleep 1000"), stdin=True)

    async with created(podman, spec) as container:
        async with container.attach_stdin() as attachment, anyio.create_task_group() as group:
            await container.start()
            group.start_soon(send_for_ever, attachment)
            await anext(attachment.output)
            group.start_soon(text_of, attachment)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        state = await container.inspect()

    assert state.state.status == "running"


async def test_a_missing_command_is_told_before_the_connection_is_given_over(
    podman: Podman, busybox: str
) -> None:
    spec = ContainerSpec(image=busybox, command=("no-such-command",), stdin=True)

    async with created(podman, spec) as container:
        with pytest.raises(CommandNotFound):
            async with container.attach_stdin():
                pytest.fail("it was attached")


async def test_what_was_printed_can_be_read_when_nothing_can_be_sent_any_more(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "exec <&-; echo last"), stdin=True)

    async with created(podman, spec) as container, container.attach_stdin() as attachment:
        await container.start()
        await container.wait()
        with pytest.raises(TransportError):
            await send_for_ever(attachment)
        await attachment.close_stdin()
        printed = await text_of(attachment)

    assert printed == b"last\n"


async def test_a_container_that_is_gone_is_neither_attached_nor_resized(podman: Podman) -> None:
    nobody = podman.containers.handle("f" * 64)

    with pytest.raises(NotFound):
        await nobody.resize(80, 24)
    with pytest.raises(NotFound):
        async with nobody.attach_stdin():
            pytest.fail("it was attached")
