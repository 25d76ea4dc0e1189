"""Questions and answers of DNS for tests, and a server of a zone on loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

import anyio
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from anyio.abc import ConnectedUDPSocket, SocketStream, UDPSocket

from barasync.networks.upstream import Server, receive_message, send_message

# An address of this process alone: several sessions of tests share this host's loopback.
LOOPBACK = f"127.{64 + os.getpid() // 65536}.{os.getpid() // 256 % 256}.{os.getpid() % 256}"

Records = Sequence[tuple[str, int, str, str]]
"""Owner, seconds, type and data of records."""


def question(name: str, kind: str = "A", **settings: object) -> bytes:
    """Return a question as a client asks it."""
    message = dns.message.make_query(name, kind, **settings)  # type: ignore[arg-type]
    return message.to_wire()


def answer_to(
    asked: bytes, records: Records = (), rcode: int = dns.rcode.NOERROR
) -> dns.message.Message:
    """Return an answer with records."""
    answer = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    answer.set_rcode(dns.rcode.Rcode(rcode))
    for owner, seconds, kind, data in records:
        rrset = dns.rrset.from_text(f"{owner}.", seconds, "IN", kind, data)
        same = answer.get_rrset(answer.answer, rrset.name, rrset.rdclass, rrset.rdtype)
        if same is None:
            answer.answer.append(rrset)
        else:
            same.update(rrset)
    return answer


@dataclass(slots=True)
class Zone:
    """A server that answers from `answers`, by name, and `NXDOMAIN` else; `asked` is what came.

    `rcode` is what it answers to everything, `silent` that it does not; `cut` that it cuts answers
    short over UDP. `noise` goes before each answer over UDP, and all of them wait for the `gate`.
    """

    port: int
    answers: dict[str, Records] = field(default_factory=dict)
    rcode: int | None = None
    silent: bool = False
    cut: bool = False
    noise: tuple[bytes, ...] = ()
    gate: anyio.Event | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    _news: anyio.Event | None = None

    @property
    def server(self) -> Server:
        return Server(ip_address(LOOPBACK), self.port)

    async def wait_for(self, number: int) -> None:
        """Wait until it was asked so often."""
        while len(self.asked) < number:
            self._news = anyio.Event()
            await self._news.wait()

    def answer(self, wire: bytes, way: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        self.asked.append((way, f"{name} {dns.rdatatype.to_text(asked.rdtype)}"))
        if self._news is not None:
            self._news.set()
        if self.silent:
            return None
        if self.rcode is not None:
            return answer_to(wire, (), self.rcode).to_wire()
        records = self.answers.get(name.lower())
        if records is None:
            return answer_to(wire, (), dns.rcode.NXDOMAIN).to_wire()
        if self.cut and way == "udp":
            answer = answer_to(wire)
            answer.flags |= dns.flags.TC
            return answer.to_wire()
        return answer_to(wire, records).to_wire()


@asynccontextmanager
async def serving(*zones: Zone) -> AsyncIterator[None]:
    """Have zones answered on UDP and TCP while the block lasts."""
    async with AsyncExitStack() as stack:
        sockets = [
            (
                zone,
                await stack.enter_async_context(
                    await anyio.create_udp_socket(local_host=LOOPBACK, local_port=zone.port)
                ),
                await stack.enter_async_context(
                    await anyio.create_tcp_listener(local_host=LOOPBACK, local_port=zone.port)
                ),
            )
            for zone in zones
        ]
        async with anyio.create_task_group() as group:
            for zone, udp, tcp in sockets:
                group.start_soon(_answer_datagrams, zone, udp)
                group.start_soon(tcp.serve, partial(_answer_stream, zone), group)
            yield
            group.cancel_scope.cancel()


async def _answer_datagrams(zone: Zone, udp: UDPSocket) -> None:
    async for wire, place in udp:
        answer = zone.answer(wire, "udp")
        if zone.gate is not None:
            await zone.gate.wait()
        for datagram in (*zone.noise, *(() if answer is None else (answer,))):
            await udp.send((datagram, place))


async def _answer_stream(zone: Zone, stream: SocketStream) -> None:
    async with stream:
        with suppress(anyio.EndOfStream):
            while (wire := await receive_message(stream)) is not None:
                answer = zone.answer(wire, "tcp")
                if answer is not None:
                    await send_message(stream, answer)


async def datagrams_to(port: int, client: str = LOOPBACK) -> ConnectedUDPSocket:
    return await anyio.create_connected_udp_socket(LOOPBACK, port, local_host=client)


async def stream_to(port: int) -> SocketStream:
    return await anyio.connect_tcp(LOOPBACK, port, local_host=LOOPBACK)


async def ask(wire: bytes, port: int, *, client: str = LOOPBACK) -> dns.message.Message:
    """Return what a server answers over UDP, asked from its own address by default."""
    async with await datagrams_to(port, client) as udp:
        await udp.send(wire)
        return dns.message.from_wire(await udp.receive())


async def ask_over_tcp(port: int, *wires: bytes) -> list[dns.message.Message]:
    """Return what a server answers to several questions of one connection."""
    async with await stream_to(port) as stream:
        answers = []
        for wire in wires:
            await send_message(stream, wire)
            answers.append(dns.message.from_wire(await receive_message(stream) or b""))
        return answers
