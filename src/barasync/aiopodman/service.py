"""A podman service of our own, for hosts where none is running.

`private_service` starts `podman system service` on a socket that only this user can reach, with
the user's own storage and configuration, and ends it with the block. How it is started, and why it
cannot outlive us, is in `service_launch`; what an unusual host needs is in `service_host`.

The listening socket is made here and handed to podman (socket activation, as systemd does it), so
that a connection is possible from the first moment: nobody polls for a socket to appear, and a
service that dies at once is noticed by the connection that it resets. Verified on 4.3.1 and 5.4.2,
rootful and rootless. From the call to the answered ping it takes 0.04 s with 4.3.1, 0.09 s with
5.4.2 and 0.1 s rootless; to end it takes 0.03 s, and 1 s while a client still streams.
"""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from anyio import CancelScope, to_thread
from anyio.abc import UNIXSocketStream

from barasync.aiopodman.endpoint import Endpoint, unix_url
from barasync.aiopodman.errors import ProtocolError, ServiceError
from barasync.aiopodman.service_host import find_cgroup_cover, service_rlimits
from barasync.aiopodman.service_launch import (
    READY_NAME,
    SOCKET_NAME,
    STOP_SECONDS,
    Launch,
    plan_launch,
)
from barasync.aiopodman.service_place import service_places
from barasync.aiopodman.service_tail import Tail
from barasync.aiopodman.sockets import connect
from barasync.aiopodman.version import PodmanVersion, negotiate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from anyio.abc import Process

    from barasync.aiopodman.spec import Rlimit

START_SECONDS = 30.0
"""How long podman may take to answer; its first start ever sets up the user's storage."""

_BACKLOG = 512
_PING = b"GET /libpod/_ping HTTP/1.1\r\nHost: podman\r\nConnection: close\r\n\r\n"
_PING_LIMIT = 16 * 1024
# More than the watcher gives the service, so that it is the watcher that kills.
_PATIENCE_SECONDS = STOP_SECONDS + 5.0
_EXIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PrivateService:
    """A running service: where it answers, its first process, what was done to make it run.

    `rlimits` are those that its containers have to be created with on this host, usually none.
    """

    endpoint: Endpoint
    version: PodmanVersion
    pid: int
    rlimits: tuple[Rlimit, ...]
    notes: tuple[str, ...]
    errors: Tail

    def complaints(self) -> tuple[str, ...]:
        """Return the last lines that podman has written to its standard error."""
        return self.errors.lines()


@asynccontextmanager
async def private_service(
    *, environ: Mapping[str, str], podman: Sequence[str] = ("podman",)
) -> AsyncIterator[PrivateService]:
    """Run a podman service for the duration of the block.

    It is there when the block starts, is started again if it dies (`service_launch.RESTARTS` times
    at most), and gone when the block ends: the process, its mount namespace, its socket and its
    temporary files.
    Containers that still run then go on, as they do under any podman.

    Args:
        environ: The environment of the service: whose storage and configuration it uses.
        podman: The podman program, with leading arguments where it takes some.

    Raises:
        ServiceError: podman is not installed, too old, or does not start; with its last words.

    Cancellation:
        Stopping is shielded and takes fifteen seconds at most. Rootless podman keeps its pause
        process (`catatonit -P`), which belongs to all podman commands of the user.
    """
    await to_thread.run_sync(_require, podman[0], environ)
    rootless = os.geteuid() != 0
    async with AsyncExitStack() as stack:
        places = await stack.enter_async_context(service_places(environ, rootless=rootless))
        launch = plan_launch(
            podman=podman,
            rootless=rootless,
            cover=await to_thread.run_sync(find_cgroup_cover),
            places=places,
            environ=environ,
        )
        socket_path = f"{places.socket}/{SOCKET_NAME}"
        running = await stack.enter_async_context(_running(launch, socket_path))
        pid, version = await _await_readiness(running, socket_path)
        await anyio.Path(places.socket, READY_NAME).touch()
        yield PrivateService(
            endpoint=Endpoint(unix_url(socket_path), "a private podman service"),
            version=version,
            pid=pid,
            rlimits=await to_thread.run_sync(service_rlimits, pid),
            notes=launch.notes,
            errors=running.errors,
        )


def _require(program: str, environ: Mapping[str, str]) -> None:
    if shutil.which(program, path=environ.get("PATH", os.defpath)) is None:
        raise ServiceError(
            f"{program} is not installed (it is in none of the directories of PATH); "
            "install the package podman: apt-get install podman, or dnf install podman"
        )


@dataclass(frozen=True, slots=True)
class _Running:
    """The started chain of programs; `control` is the connection to its guard."""

    process: Process
    control: UNIXSocketStream
    errors: Tail


@asynccontextmanager
async def _running(launch: Launch, socket_path: str) -> AsyncIterator[_Running]:
    ours, theirs = socket.socketpair()
    async with await UNIXSocketStream.from_socket(ours) as control:
        with theirs:
            process = await _execute(launch, socket_path, theirs)
        assert process.stderr is not None
        async with process, Tail(process.stderr) as errors:
            try:
                yield _Running(process, control, errors)
            finally:
                with CancelScope(shield=True):
                    await _end(process, control)


async def _execute(launch: Launch, socket_path: str, control: socket.socket) -> Process:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        listener.listen(_BACKLOG)
        try:
            return await anyio.open_process(
                launch.command,
                stdin=listener.fileno(),
                stdout=control.fileno(),
                env=launch.environ,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us; we end the service, after the cells
            )
        except OSError as error:
            raise ServiceError(f"{launch.command[0]} cannot be executed: {error}") from error


async def _end(process: Process, control: UNIXSocketStream) -> None:
    """Let the watcher stop the service, and wait until both are gone."""
    with anyio.move_on_after(_PATIENCE_SECONDS), suppress(OSError, anyio.BrokenResourceError):
        await control.send_eof()
        async for _ in control:
            pass
    with anyio.move_on_after(_EXIT_SECONDS):
        await process.wait()
    if process.returncode is None:
        process.kill()


async def _await_readiness(running: _Running, socket_path: str) -> tuple[int, PodmanVersion]:
    try:
        with anyio.fail_after(START_SECONDS):
            pid = await _receive_pid(running.control)
            return pid, negotiate(await _ping(socket_path))
    except TimeoutError:
        what = f"podman did not answer within {START_SECONDS:.0f} s"
    except (anyio.EndOfStream, anyio.BrokenResourceError, OSError):
        what = f"podman could not be started: it {await _exit_of(running)} before it answered"
    except ProtocolError as error:
        what = str(error)
    last_words = "".join(f"\n    {line}" for line in running.errors.lines())
    raise ServiceError(what + (f", with these last words:{last_words}" if last_words else ""))


async def _receive_pid(control: UNIXSocketStream) -> int:
    line = b""
    while not line.endswith(b"\n"):
        line += await control.receive(32)
    return int(line)


async def _ping(socket_path: str) -> str:
    """Ask the service whether it is there; return the version of its API."""
    answer = b""
    async with await UNIXSocketStream.from_socket(await connect(socket_path)) as connection:
        await connection.send(_PING)
        while b"\r\n\r\n" not in answer and len(answer) < _PING_LIMIT:
            answer += await connection.receive()
    return api_version(answer)


def api_version(answer: bytes) -> str:
    """Return the header `Libpod-API-Version` of an answer to `GET /libpod/_ping`.

    Raises:
        ProtocolError: this is not podman's answer.
    """
    status, _, rest = answer.partition(b"\r\n")
    for line in rest.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"libpod-api-version":
            return value.decode("latin-1").strip()
    raise ProtocolError(f"the answer {status.decode('latin-1')!r} to a ping is not podman's")


async def _exit_of(running: _Running) -> str:
    """Say how the chain of programs ended; waits for that, and for the last words, for a moment."""
    with anyio.move_on_after(_EXIT_SECONDS):
        await running.process.wait()
    await running.errors.wait_until_ended(seconds=_EXIT_SECONDS)
    status = running.process.returncode
    if status is None:
        return "closed its socket"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
