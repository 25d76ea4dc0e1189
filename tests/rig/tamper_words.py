"""Tries to delete the rules of its network namespace, and to send what they do not see.

    python tamper_words.py

Prints what became of each attempt: `done`, or the name of the error.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable

_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_DELETE_TABLE = 10 << 8 | 2
_REQUEST, _ACKNOWLEDGE = 1, 4
_INET = 1
_TABLE_NAME = 1
_ALL_ETHERNET = 3


def delete_table() -> None:
    """Delete the table `inet barasync`. Source: linux/netfilter/nfnetlink.h, nf_tables.h."""
    name = struct.pack("=HH", 4 + 9, _TABLE_NAME) + b"barasync\0\0\0\0"
    batch = (
        _message(_BATCH_BEGIN, _REQUEST, 0, 10)
        + _message(_DELETE_TABLE, _REQUEST | _ACKNOWLEDGE, _INET, 0, name)
        + _message(_BATCH_END, _REQUEST, 0, 10)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as netlink:
        netlink.settimeout(5)
        netlink.send(batch)
        (number,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if number:
        raise OSError(-number, os.strerror(-number))


def _message(kind: int, flags: int, family: int, resource: int, attributes: bytes = b"") -> bytes:
    body = struct.pack("=BBH", family, 0, socket.htons(resource)) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def send_raw() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()


def send_frames() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_ETHERNET)).close()


def outcome(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


if __name__ == "__main__":
    outcomes = [outcome(each) for each in (delete_table, send_raw, send_frames)]
    sys.stdout.write(f"tampering: {' '.join(outcomes)}\n")
