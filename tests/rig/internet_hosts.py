"""Hosts of a test's internet: servers on many addresses, in a network namespace or on this host.

    python internet_hosts.py

One line of JSON says which addresses and ports there are; a line is the answer when all are
served. Each further line replaces the records of the name server, and is answered as well. It ends
with standard input, and the namespace with it.
"""

from __future__ import annotations

import ipaddress
import json
import selectors
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_QUESTIONS = {1: 4, 28: 6}
_NO_SUCH_NAME = 3


class Hosts:
    """Servers: what is sent over TCP or UDP comes back, behind the address it was sent to."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._records: dict[str, list[str]] = {}
        self._seconds = 1

    def prepare(self, link: dict[str, Any]) -> None:
        """Give the namespace its addresses, and a way back to this host."""
        name = link["name"]
        commands = ["link set lo up", f"link set {name} up"]
        commands += [f"address add {each} dev {name} {kind(each)}" for each in link["addresses"]]
        for host in link["hosts"]:
            commands += [f"route add {host} dev {name}", f"route add default via {host} dev {name}"]
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)

    def serve(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind, ready in ((socket.SOCK_STREAM, self._accept), (socket.SOCK_DGRAM, self._answer)):
            server = socket.socket(family, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen(64)
            self._watch(server, ready)

    def serve_names(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM)
        server.bind((address, 53))
        self._watch(server, self._resolve)
        server = socket.socket(family, socket.SOCK_STREAM)
        server.bind((address, 53))
        server.listen(16)
        self._watch(server, self._accept_question)

    def run(self) -> None:
        self._watch(sys.stdin.buffer, self._learn)
        while True:
            for key, _ in self._selector.select():
                try:
                    key.data(key.fileobj)
                except OSError:
                    # A client that has gone.
                    if key.fileobj in self._selector.get_map() and _is_connection(key.fileobj):
                        self._drop(key.fileobj)

    def _watch(self, file: Any, ready: Callable[[Any], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, ready)

    def _drop(self, connection: Any) -> None:
        self._selector.unregister(connection)
        connection.close()

    def _learn(self, stdin: Any) -> None:
        line = stdin.readline()
        if not line:
            raise SystemExit
        told = json.loads(line)
        self._records, self._seconds = told["records"], told["seconds"]
        say("learned")

    def _accept(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        self._watch(connection, self._echo)
        connection.sendall(f"{server.getsockname()[0]}\n".encode())

    def _echo(self, connection: socket.socket) -> None:
        data = connection.recv(4096)
        if data:
            connection.sendall(data)
        else:
            self._drop(connection)

    def _answer(self, server: socket.socket) -> None:
        data, client = server.recvfrom(4096)
        server.sendto(f"{server.getsockname()[0]}\n".encode() + data, client)

    def _resolve(self, server: socket.socket) -> None:
        question, client = server.recvfrom(4096)
        # As name servers do with what is no question; a test that has sent it is to say so.
        with suppress(IndexError, struct.error, UnicodeDecodeError):
            server.sendto(self._reply(question), client)

    def _accept_question(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.settimeout(5)
        with connection, suppress(IndexError, struct.error, UnicodeDecodeError):
            (length,) = struct.unpack("!H", connection.recv(2))
            reply = self._reply(connection.recv(length))
            connection.sendall(struct.pack("!H", len(reply)) + reply)

    def _reply(self, question: bytes) -> bytes:
        """Answer a question for addresses. Source: RFC 1035, 4.1."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += question[at] + 1
        end = at + 5
        (kind,) = struct.unpack_from("!H", question, at + 1)
        known = self._records.get(".".join(labels).lower())
        found = [ipaddress.ip_address(each) for each in known or ()]
        packed = [each.packed for each in found if each.version == _QUESTIONS.get(kind)]
        flags = 0x8580 | (_NO_SUCH_NAME if known is None else 0)
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(packed), 0, 0)
        answers = [
            struct.pack("!HHHIH", 0xC00C, kind, 1, self._seconds, len(each)) + each
            for each in packed
        ]
        return head + question[12:end] + b"".join(answers)


def _is_connection(file: Any) -> bool:
    return (
        isinstance(file, socket.socket)
        and file.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        and file.type == socket.SOCK_STREAM
    )


def kind(address: str) -> str:
    """Return what else `ip address add` is told: an address is to be of use at once."""
    return "nodad" if ":" in address else ""


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    say("begun")
    line = sys.stdin.buffer.readline()
    if not line:
        return
    told = json.loads(line)
    hosts = Hosts()
    if told["link"]:
        hosts.prepare(told["link"])
    for address in told["serve"]:
        for port in told["ports"]:
            hosts.serve(address, port)
    for address in told["names"]:
        hosts.serve_names(address)
    say("ready")
    hosts.run()


if __name__ == "__main__":
    main()
