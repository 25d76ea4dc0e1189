"""The resolver of a network whose policy names hosts: an address is open once its name is known.

It listens where the cells of the network look for names, passes their questions on, and gives the
answer only when the asking cell's rules have the addresses in it. For no cell it is more than a way
to the servers of this host: nobody else is answered, and what one cell may have in hand, and how
often it may ask, is bounded.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address, ip_address

import anyio
from anyio import to_thread
from anyio.abc import (
    SocketAttribute,
    SocketListener,
    SocketStream,
    TaskGroup,
    TaskStatus,
    UDPSocket,
)
from dns.rcode import Rcode

from barasync.config.policies import Address, Policy
from barasync.errors import BarasyncError, EngineUnavailable
from barasync.networks.asked import Asked
from barasync.networks.dns_messages import (
    LONGEST_QUERY,
    OWN_SECONDS,
    Query,
    Unreadable,
    failure,
    lifetimes,
    load_record_types,
    read_query,
    says_absent,
)
from barasync.networks.names import Lifetime, Names, Treatment
from barasync.networks.resolver_cell import Cell, Load
from barasync.networks.upstream import PORT, Server, Upstream, receive_message, send_message
from barasync.terminal_text import one_line

_IPV6_FREEBIND = 78  # linux/in6.h; the socket module has no name for it
_IP_FREEBIND = 15  # linux/in.h
_QUERIES = 512
_QUERIES_OF_ONE = 32
_STREAMS = 64
_STREAMS_OF_ONE = 4
_IDLE_SECONDS = 10.0
_SEND_SECONDS = 1.0
_FEEDS = 4
_BREATH_SECONDS = 0.1
_REASON_LENGTH = 300


class ResolverError(EngineUnavailable):
    """The resolver cannot listen, or has nobody to ask."""


class Resolver:
    """Answers the cells of one network; `serve` runs as long as it is to answer.

    `listen` are addresses of this host, which may not be there yet: a bridge comes with its first
    container. `host` gives all that names must not lead to; it may block, and is asked whenever an
    answer may open something. It never asks itself.

    Raises:
        ResolverError: `servers` are none but itself.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        listen: Sequence[Address],
        host: Callable[[], Iterable[Address]],
        servers: Iterable[Server],
        port: int = PORT,
    ) -> None:
        itself = {Server(address, port) for address in listen}
        others = [server for server in servers if server not in itself]
        if not others:
            raise ResolverError(
                f"the names of policy {policy.name!r} have no server to be asked of",
                hint="give the policy `dns = [ADDRESS]`, or this host a server in /etc/resolv.conf",
            )
        self._policy = policy.name
        self._names = Names(policy)
        self._listen = tuple(listen)
        self._port = port
        self._host = host
        self._upstream = Upstream(others)
        self._ended = ""
        self._cells: dict[Address, Cell] = {}
        self._queries: Counter[Address] = Counter()
        self._streams: Counter[Address] = Counter()
        self._connections = anyio.Semaphore(_STREAMS)
        self._feeds = anyio.Semaphore(_FEEDS)

    @asynccontextmanager
    async def cell(
        self, names: Iterable[str], addresses: Iterable[Address], load: Load
    ) -> AsyncIterator[Asked]:
        """Answer a cell with these addresses while the block lasts, and give its names to others.

        It gives what the cell asks for in vain.

        `load` is called with nft's text before an answer opens an address, one at a time, and not
        after the block: what the cell has in hand ends with it, and gets no answer.

        Raises:
            ResolverError: it has ended, by an error of its own.
        """
        if self._ended:
            raise ResolverError(
                f"the resolver of policy {self._policy!r} has ended: {self._ended}",
                hint="this belongs into a report",
            )
        cell = Cell(names, addresses, load)
        self._cells |= dict.fromkeys(cell.addresses, cell)
        try:
            yield cell.asked
        finally:
            for address in cell.addresses:
                if self._cells.get(address) is cell:
                    del self._cells[address]
            await cell.end()

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen on UDP and TCP, and answer until cancelled; started once questions are heard.

        An error that ends it later is told to its cells, and is the end of nothing else.

        Raises:
            ResolverError: An address cannot be listened on.
        """
        await to_thread.run_sync(load_record_types)
        async with AsyncExitStack() as stack:
            datagrams = [
                await stack.enter_async_context(
                    await UDPSocket.from_socket(self._bound(address, socket.SOCK_DGRAM))
                )
                for address in self._listen
            ]
            listeners = [
                await stack.enter_async_context(
                    await SocketListener.from_socket(self._bound(address, socket.SOCK_STREAM))
                )
                for address in self._listen
            ]
            task_status.started()
            try:
                async with anyio.create_task_group() as group:
                    for one in datagrams:
                        group.start_soon(self._serve_datagrams, one, group)
                    for listener in listeners:
                        group.start_soon(self._serve_streams, listener, group)
            except* Exception as errors:  # noqa: BLE001 - whatever it is, other policies have theirs
                self._end(errors)

    def _end(self, errors: ExceptionGroup) -> None:
        error: Exception = errors
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        self._ended = _told(error)
        for cell in dict.fromkeys(self._cells.values()):
            cell.asked.fail(f"the resolver has ended: {self._ended}")

    def _bound(self, address: Address, kind: socket.SocketKind) -> socket.socket:
        try:
            return _bound(address, self._port, kind)
        except OSError as error:
            hint = "only root may listen there" if isinstance(error, PermissionError) else None
            if error.errno == errno.EADDRINUSE:
                hint = (
                    f"`ss -lnp 'sport = {self._port}'` shows who has that port there, or of every"
                    " address: let it listen on the addresses that it needs"
                )
            raise ResolverError(
                f"the resolver of policy {self._policy!r} cannot listen on"
                f" {address}, port {self._port}: {error.strerror}",
                hint=hint,
            ) from error

    async def _serve_datagrams(self, datagrams: UDPSocket, group: TaskGroup) -> None:
        sending = anyio.Lock()
        async for wire, place in datagrams:
            client = ip_address(place[0])
            # What is dropped is asked again, as any datagram that got lost.
            if self._admits(client):
                self._queries[client] += 1
                group.start_soon(self._answer_datagram, datagrams, sending, wire, place, client)

    def _admits(self, client: Address) -> bool:
        cell = self._cells.get(client)
        return (
            cell is not None
            and self._queries[client] < _QUERIES_OF_ONE
            and self._queries.total() < _QUERIES
            and cell.questions.admits(anyio.current_time())
        )

    async def _answer_datagram(
        self,
        datagrams: UDPSocket,
        sending: anyio.Lock,
        wire: bytes,
        place: tuple[str, int],
        client: Address,
    ) -> None:
        try:
            answer = await self._answer(client, wire, stream=False)
            if answer is not None:
                with anyio.move_on_after(_SEND_SECONDS):
                    async with sending:
                        await datagrams.send((answer, place))
        finally:
            _count_down(self._queries, client)

    async def _serve_streams(self, listener: SocketListener, group: TaskGroup) -> None:
        while True:
            async with AsyncExitStack() as stack:
                await self._connections.acquire()
                stack.callback(self._connections.release)
                try:
                    stream = await listener.accept()
                except OSError:
                    # The client has gone, or this process has no descriptor to spare.
                    await anyio.sleep(_BREATH_SECONDS)
                    continue
                group.start_soon(self._serve_stream, stream, stack.pop_all())

    async def _serve_stream(self, stream: SocketStream, held: AsyncExitStack) -> None:
        async with held, stream:
            try:
                client = ip_address(stream.extra(SocketAttribute.remote_address)[0])  # noqa: S610 - not Django's
                if client not in self._cells or self._streams[client] >= _STREAMS_OF_ONE:
                    return
                self._streams[client] += 1
                held.callback(_count_down, self._streams, client)
                while await self._answer_message(stream, client):
                    pass
            except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _answer_message(self, stream: SocketStream, client: Address) -> bool:
        """Answer the next question of a stream and tell whether there may be another one."""
        wire: bytes | None = None
        with anyio.move_on_after(_IDLE_SECONDS):
            wire = await receive_message(stream, LONGEST_QUERY)
        if wire is not None and client in self._cells:
            # What came over a stream is not asked again: it waits for its turn.
            await anyio.sleep(self._cells[client].questions.wait(anyio.current_time()))
        answer = None if wire is None else await self._answer(client, wire, stream=True)
        if answer is None:
            return False
        with anyio.move_on_after(_SEND_SECONDS) as sending:
            await send_message(stream, answer)
        return not sending.cancelled_caught

    async def _answer(self, client: Address, wire: bytes, *, stream: bool) -> bytes | None:
        """Return what to answer a client, `None` for nothing."""
        cell = self._cells.get(client)
        if cell is None:
            return None
        answer: bytes | None = None
        with cell.question():
            try:
                answer = await self._of_question(cell, wire, stream=stream)
            except Exception as error:  # noqa: BLE001 - whatever it is costs this question alone
                cell.asked.fail(_told(error))
                answer = failure(wire)
        # Whoever has its address now has not asked.
        return answer if self._cells.get(client) is cell else None

    async def _of_question(self, cell: Cell, wire: bytes, *, stream: bool) -> bytes | None:
        query = read_query(wire)
        if not isinstance(query, Query):
            return query
        try:
            return await self._of_cell(cell, query) or await self._of_server(
                cell, query, stream=stream
            )
        except (BarasyncError, Unreadable):
            # The rules do not take the addresses: they stay shut.
            return query.answer(Rcode.SERVFAIL)

    async def _of_cell(self, cell: Cell, query: Query) -> bytes | None:
        """Return the answer to a question about a cell of the network, `None` for other ones."""
        about = query.reversed_address
        if about in self._cells and self._cells[about].names:
            return query.answer_with_name(self._cells[about].names[0])
        cells = dict.fromkeys(self._cells.values())
        found = [one for one in cells if query.name in one.names]
        if not found:
            return None
        addresses = [address for one in found for address in one.addresses]
        await self._feed(cell, query.name, [Lifetime(one, OWN_SECONDS) for one in addresses])
        return query.answer_with(addresses)

    async def _of_server(self, cell: Cell, query: Query, *, stream: bool) -> bytes:
        decided = self._names.treatment(query.name, query.type)
        if decided is Treatment.UNKNOWN:
            if query.reversed_address is None:
                cell.asked.refuse(query.name)
            return query.answer(Rcode.NXDOMAIN)
        if decided is Treatment.EMPTY:
            return query.answer(Rcode.NOERROR)
        answer = await self._upstream.ask(query, stream=stream)
        if answer is None:
            return query.answer(Rcode.SERVFAIL)
        if decided is Treatment.FED:
            cell.asked.find(query.name, exists=not says_absent(answer))
            await self._feed(cell, query.name, lifetimes(answer))
        return answer

    async def _feed(self, cell: Cell, name: str, known: Iterable[Lifetime]) -> None:
        """Have the rules of a cell hold what a name was answered with, before it is answered."""
        # One at a time of a cell, and so many a second: others have theirs between them, and what
        # one has loaded the next does not lack.
        async with cell.feeding:
            now = anyio.current_time()
            lacking = [one for one in known if cell.lacks(name, one, now)]
            if not lacking:
                return
            host = (*await to_thread.run_sync(self._host), *self._listen)
            text = self._names.feeding(name, lacking, host)
            if not text:
                return
            await anyio.sleep(cell.feeds.wait(now))
            async with self._feeds:
                now = anyio.current_time()
                await cell.load(text)
            for lifetime in lacking:
                cell.note(name, lifetime, now)


def _told(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", most=_REASON_LENGTH)


def _count_down(counts: Counter[Address], client: Address) -> None:
    counts[client] -= 1
    if counts[client] == 0:
        del counts[client]


def _bound(address: Address, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket at an address that need not be there yet (`ip(7)`, IP_FREEBIND)."""
    version4 = isinstance(address, IPv4Address)
    family = socket.AF_INET if version4 else socket.AF_INET6
    bound = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if version4:
            bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            # Those of a run that has just ended may still wait for late packets.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((str(address), port))
        if kind is socket.SOCK_STREAM:
            bound.listen(_STREAMS)
    except BaseException:
        bound.close()
        raise
    return bound
