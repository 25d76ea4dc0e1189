"""Converses with a container that is none, as a command of barasync does: a program of its own.

`python -m tests.rig.conversation KIND [terminal] [pid]`; prints on stderr how it ended. Of the kind
`attached` it is a real one, followed by its URL and name.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import typer
from anyio.lowlevel import checkpoint

from barasync.aiopodman import Chunk, Stream, TransportError
from barasync.cli import app
from barasync.cli.containers import found_container
from barasync.cli.interrupts import Interrupts, finish
from barasync.cli.standard_streams import complete
from barasync.cli.terminals import DEFAULT, Here, converse, parse_detach_keys

_PIECE = bytes(range(256)) * 256
_OWN_CODE = 5


def _say(text: str) -> None:
    """Tell the test something, past what the conversation writes; the terminal may be closed."""
    with suppress(OSError):
        os.write(2, f"<{text}>\r\n".encode())


class Echo:
    """Says what it is sent, and does what some words say."""

    def __init__(self) -> None:
        self._say, self._said = anyio.create_memory_object_stream[Chunk](1000)
        self.refusals = 0
        self.here: Here | None = None

    @property
    async def output(self) -> AsyncIterator[Chunk]:
        yield Chunk(Stream.STDOUT, b"ready\r\n")
        async for chunk in self._said:
            if chunk.data == b"break":
                raise TransportError("the connection broke")
            yield chunk

    async def send(self, data: bytes) -> None:
        if data == b"end":
            self._say.close()
        elif data == b"prompt":
            await self._say.send(Chunk(Stream.STDOUT, b"$ "))
        elif data == b"print":
            assert self.here is not None
            self.here.error.print("one", "two")
        elif data == b"defect":
            raise ZeroDivisionError("a defect")
        elif data == b"deaf":
            self._say.send_nowait(Chunk(Stream.STDOUT, b"going on\r\n"))
            raise TransportError("nobody takes it")
        else:
            said = data if data == b"break" else f"got {data!r}\r\n".encode()
            await self._say.send(Chunk(Stream.STDOUT, said))

    async def close_stdin(self) -> None:
        self._say.send_nowait(Chunk(Stream.STDERR, b"stdin closed\n"))
        self._say.close()

    async def resize(self, columns: int, rows: int) -> None:
        _say(f"size {columns} {rows}")
        if self.refusals:
            self.refusals -= 1
            raise TransportError("there is no terminal yet")


class Flood(Echo):
    """Prints as fast as that is taken, and tells how much it was when it is sent something."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces = 0

    @property
    async def output(self) -> AsyncIterator[Chunk]:
        while True:
            await checkpoint()
            self._pieces += 1
            yield Chunk(Stream.STDOUT, _PIECE)

    async def send(self, data: bytes) -> None:  # noqa: ARG002 - it is dropped
        _say(f"pieces {self._pieces}")

    async def resize(self, columns: int, rows: int) -> None:
        """Say nothing: a terminal that stands still would hold up whoever does."""


class Deaf(Echo):
    """Takes nothing of what it is sent."""

    async def send(self, data: bytes) -> None:  # noqa: ARG002 - it is dropped
        _say("sent to")
        await anyio.sleep_forever()


class Digest(Echo):
    """Prints as much as it is sent, and at the end the checksum of that on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._digest = hashlib.sha256()

    async def send(self, data: bytes) -> None:
        self._digest.update(data)
        await self._say.send(Chunk(Stream.STDOUT, data))

    async def close_stdin(self) -> None:
        self._say.send_nowait(Chunk(Stream.STDERR, self._digest.hexdigest().encode()))
        self._say.close()


_KINDS = {"echo": Echo, "flood": Flood, "deaf": Deaf, "digest": Digest, "late": Echo}


def _main() -> None:
    complete()
    kind, *more = sys.argv[1:]
    if "pid" in more:
        _say(f"pid {os.getpid()}")

    async def attach(interrupts: Interrupts) -> int:
        url, name = more
        async with (
            found_container(name, url, os.environ) as (_podman, container, state),
            container.attach_stdin() as attachment,
        ):
            end = await converse(
                attachment,
                Here.of(interrupts, os.environ),
                resize=container.resize if state.config.tty else None,
                detach_keys=parse_detach_keys(DEFAULT),
            )
        _say(end.name)
        return _OWN_CODE if end.exit_code is None else end.exit_code

    async def command(interrupts: Interrupts) -> int:
        if kind == "attached":
            return await attach(interrupts)
        stub = _KINDS[kind]()
        stub.refusals = kind == "late"
        stub.here = Here.of(interrupts, os.environ)
        end = await converse(
            stub,
            stub.here,
            resize=stub.resize if "terminal" in more else None,
            detach_keys=parse_detach_keys(DEFAULT),
        )
        if stub.here.error.terminal:
            stub.here.error.print("over")
        _say(end.name)
        return _OWN_CODE if end.exit_code is None else end.exit_code

    def run(**_options: Any) -> None:
        try:
            finish(command)
        except typer.Exit as done:
            sys.exit(done.exit_code)

    app.app = run  # type: ignore[assignment]
    sys.exit(app.main())


if __name__ == "__main__":
    _main()
