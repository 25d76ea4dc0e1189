"""The network namespace of a container, entered from outside to load its rules and to read them.

Nothing of it is done in the container, whose file system and capabilities do not matter then. An
open descriptor keeps the namespace, with rules and counters, after the container has ended.

Source: namespaces(7), ioctl_ns(2), nsenter(1), nft(8); measured with podman 4.3.1 and 5.4.2.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream

from barasync.errors import EngineUnavailable
from barasync.networks.bundle import Bundle, open_bundle, parent
from barasync.networks.listing import LONGEST
from barasync.networks.rules import TABLE
from barasync.terminal_text import one_line

_SECONDS = 10.0
_PROC = Path("/proc")
# Users other than root often have none of these in their search path.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_PACKAGES = {"nsenter": "util-linux", "nft": "nftables"}
_NS_GET_USERNS = 0xB701
_REASON_LENGTH = 300
# What nft says of a family or an expression that the kernel does not know.
_OF_THE_KERNEL = ("not supported", "could not process rule: no such file")
_SAID = 16 * 1024


class NamespaceError(EngineUnavailable):
    """A network policy cannot be enforced: the namespace is out of reach, or its rules are."""


class Entered(Protocol):
    """A network namespace that is held open; see `Namespace`."""

    @property
    def lives(self) -> bool:
        """Whether the process by which it was entered lives."""

    def unchanged(self) -> bool:
        """Whether the container is proven to be as it was made when it was entered; blocking."""

    async def load(self, text: str) -> None:
        """Carry out one transaction of nft's."""

    async def listing(self) -> bytes:
        """Return the table of our rules, as JSON."""


Enter = Callable[[int, str], AbstractAsyncContextManager[Entered]]
"""Holds the namespace of a container, known by its first process and its ID; see `enter`."""


@dataclass(frozen=True, slots=True)
class Held:
    """Descriptors of a container; whoever opens them closes them.

    They are of its network namespace, of its first process, and of the user namespace to enter
    before, if there is one; `bundle` is `None` where it was not found.
    """

    net: int
    process: int
    user: int | None = None
    bundle: Bundle | None = None


class Namespace:
    """A container's network namespace, held open; `enter` makes it.

    Each use of it raises `NamespaceError` once it has been given up: the kernel gives the numbers
    of descriptors that were closed to those of other namespaces.
    """

    def __init__(self, nsenter: str, nft: str, held: Held) -> None:
        self._nsenter = nsenter
        self._nft = nft
        self._held: Held | None = held

    def give_up(self) -> None:
        """Make no more use of its descriptors."""
        self._held = None

    def _here(self) -> Held:
        if self._held is None:
            raise NamespaceError("the container's network namespace was given up: it has ended")
        return self._held

    @property
    def lives(self) -> bool:
        """Whether the process by which it was entered lives; the container may go on with others.

        Source: pidfd_open(2).
        """
        poll = select.poll()
        poll.register(self._here().process, select.POLLIN)
        return not poll.poll(0)

    def unchanged(self) -> bool:
        """Whether the container is proven to be as it was made when it was entered; blocking.

        Podman makes one anew that it is to start and that has ended.
        """
        bundle = self._here().bundle
        return bundle is not None and bundle.unchanged()

    async def load(self, text: str) -> None:
        """Carry out one transaction of nft's, all of it or nothing.

        When cancelled, nobody knows whether it is in force; it is not carried out any later.

        Raises:
            NamespaceError: it is not in force, or nobody knows.
        """
        await self._run("the rules could not be loaded", "-f", "-", text=text)

    async def listing(self) -> bytes:
        """Return the table with its rules, sets and counters, as JSON of nft's.

        Raises:
            NamespaceError: there is no such table, or it cannot be read.
        """
        return await self._run("the rules cannot be read", "-j", "list", "table", "inet", TABLE)

    async def _run(self, problem: str, *words: str, text: str = "") -> bytes:
        held = self._here()
        with ExitStack() as stack:
            # Of its own: those of the block may be closed before nft has begun.
            net = _copied(held.net, stack)
            entering, descriptors = [self._nsenter, f"--net=/proc/self/fd/{net}"], [net]
            if held.user is not None:
                user = _copied(held.user, stack)
                entering += [f"--user=/proc/self/fd/{user}", "--preserve-credentials"]
                descriptors.append(user)
            command = [*entering, self._nft, *words]
            return await _carry_out(problem, command, text, descriptors)


async def _carry_out(
    problem: str, command: Sequence[str], text: str, descriptors: Sequence[int]
) -> bytes:
    """Run a program of nft's with `text` as its input, and return what it printed.

    Of more than a listing may have it is the beginning, and one byte more.
    """
    printed, said = bytearray(), bytearray()
    try:
        with anyio.fail_after(_SECONDS):
            async with await anyio.open_process(command, pass_fds=descriptors) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                assert process.stderr is not None
                async with anyio.create_task_group() as group:
                    group.start_soon(_give, process.stdin, text.encode())
                    group.start_soon(_take, process.stdout, printed, LONGEST + 1)
                    group.start_soon(_take, process.stderr, said, _SAID)
                await process.wait()
    except TimeoutError:
        raise NamespaceError(f"{problem}: nft did not end within {_SECONDS:g} s") from None
    except OSError as error:
        raise NamespaceError(f"{problem}: {command[0]}: {error.strerror}") from error
    if process.returncode:
        words = one_line(said.decode(errors="replace"), most=_REASON_LENGTH)
        raise NamespaceError(
            f"{problem}: {words or f'nft ended with {process.returncode}'}", hint=_hint(words)
        )
    return bytes(printed)


async def _give(stdin: ByteSendStream, text: bytes) -> None:
    """Send all of a text, or as much of it as is read."""
    async with stdin:
        with suppress(anyio.BrokenResourceError, ConnectionError):
            await stdin.send(text)


async def _take(stream: ByteReceiveStream, kept: bytearray, most: int) -> None:
    """Receive until the end, and keep so many bytes of the beginning."""
    async for piece in stream:
        kept += piece[: most - len(kept)]


def _copied(descriptor: int, stack: ExitStack) -> int:
    try:
        copy = os.dup(descriptor)
    except OSError as error:
        raise NamespaceError(f"the network namespace cannot be held: {error.strerror}") from error
    stack.callback(os.close, copy)
    return copy


@asynccontextmanager
async def enter(pid: int, container_id: str) -> AsyncIterator[Namespace]:
    """Hold the network namespace of a container whose first process is `pid`, for the block.

    The process need not live on. That it is the container's is proven by its cgroup, or by its
    parent, the container's monitor; that the namespace is not that of the host by its inode.

    Raises:
        NamespaceError: it cannot be seen from here, is not known to be the container's, or is
            shared with this process; or a program is missing.
    """
    nsenter, nft = await to_thread.run_sync(programs)
    opened, held = await to_thread.run_sync(_open, pid, container_id)
    with opened:
        namespace = Namespace(nsenter, nft, held)
        try:
            yield namespace
        finally:
            namespace.give_up()


def find_program(name: str, path: str | None = None) -> str | None:
    """Return where a program for networks is: in `path`, our own by default, or among root's."""
    return shutil.which(name, path=path) or shutil.which(name, path=_SBIN)


def programs() -> tuple[str, ...]:
    """Return where nsenter and nft are, in that order; blocking.

    Raises:
        NamespaceError: one of them is nowhere, so that no policy can be enforced.
    """
    return tuple(map(_program, _PACKAGES))


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise NamespaceError(
            f"{name} is not installed, and without it no network policy can be enforced",
            hint=f"install the package {_PACKAGES[name]} on this machine",
        )
    return found


def _open(pid: int, container_id: str) -> tuple[ExitStack, Held]:
    """Open what is held of a container, which the caller closes by the stack.

    The proof comes after the opening: a process that ends meanwhile makes room for none of the same
    container.
    """
    if pid <= 0:
        _refuse("podman tells no process of it")
    with ExitStack() as stack:
        try:
            process = os.pidfd_open(pid)
            stack.callback(os.close, process)
            net = os.open(_PROC / str(pid) / "ns/net", os.O_RDONLY)
        except (FileNotFoundError, ProcessLookupError):
            _refuse(f"no process {pid} can be seen from here")
        except PermissionError:
            _refuse(
                f"process {pid} is another user's",
                hint="run barasync as the user whose podman service it is",
            )
        except OSError as error:
            _refuse(f"process {pid}: {error.strerror}")
        stack.callback(os.close, net)
        if not is_of_container(_PROC, pid, container_id):
            _refuse(f"process {pid} is not known to be the container's")
        _require_own(net)
        user = _owner(net)
        if user is not None:
            stack.callback(os.close, user)
        bundle = open_bundle(_PROC, pid)
        if bundle is not None:
            stack.callback(bundle.close)
        return stack.pop_all(), Held(net, process, user, bundle)


def is_of_container(proc: Path, pid: int, container_id: str) -> bool:
    """Tell whether a process is a container's first one; blocking, reads up to three small files.

    Its cgroup has the ID in its name, or its parent is a conmon with the ID among its arguments,
    as where podman makes no cgroup.
    """
    try:
        if container_id in (proc / str(pid) / "cgroup").read_text():
            return True
        arguments = (proc / parent(proc, pid) / "cmdline").read_bytes().split(b"\0")
    except (OSError, IndexError):
        return False
    return container_id.encode() in arguments


def _require_own(net: int) -> None:
    """Refuse a namespace that this process, or the first one of the machine, is in as well."""
    inode = os.fstat(net).st_ino
    for process in ("self", "1"):
        try:
            other = (_PROC / process / "ns/net").stat().st_ino
        except PermissionError:
            # Another user's: what it is in cannot be entered from here, or changed.
            continue
        if inode == other:
            _refuse("it is that of the host", hint="its rules would be those of all programs")


def _owner(net: int) -> int | None:
    """Open the user namespace to enter first, `None` where this process may do without.

    Root may, in all namespaces below its own, and would be nobody in that of a rootless podman.
    """
    if os.geteuid() == 0:
        return None
    try:
        user: int = fcntl.ioctl(net, _NS_GET_USERNS)
    except OSError as error:
        _refuse(f"its user namespace is out of reach: {error.strerror}")
    if os.fstat(user).st_ino == (_PROC / "self/ns/user").stat().st_ino:
        os.close(user)
        return None
    return user


def _refuse(why: str, *, hint: str | None = None) -> NoReturn:
    raise NamespaceError(
        f"the container's network namespace cannot be entered: {why}",
        hint=hint
        or "a network policy needs a podman service on this machine, in its PID namespace",
    )


def _hint(said: str) -> str | None:
    if "not permitted" in said.lower():
        return "it takes root, or the user whose rootless podman service it is"
    if any(words in said.lower() for words in _OF_THE_KERNEL):
        return (
            "the kernel may lack what the rules take: nf_tables with tables of `inet`, and the"
            " modules nft_ct, nft_fib_inet and nft_reject_inet"
        )
    return None
