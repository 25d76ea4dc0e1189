"""Whether somebody takes questions for names on an address of this host.

Source: RFC 1035, section 4.1.1; udp(7), on what a closed port is met with.
"""

from __future__ import annotations

import socket

import anyio
from anyio import to_thread

from barasync.config.policies import Address

_SECONDS = 2.0
_PAUSE_SECONDS = 0.02
# A refusal comes at once, from this host itself.
_REFUSAL_SECONDS = 0.05
# Shorter than a header, so that nobody can take it for a question: aardvark-dns 1.4 passes a header
# without a question on to the servers of this host, which may answer to it as they like.
_NO_QUESTION = b"\0"


async def is_closed(server: Address, port: int = 53) -> bool:
    """Say that nobody listens at a port of an address of this host; takes 2 s where that is so.

    Only who is refused all that time says so: a resolver may be about to begin, or to begin anew.
    """
    end = anyio.current_time() + _SECONDS
    while await to_thread.run_sync(_refuses, server, port, abandon_on_cancel=True):
        if anyio.current_time() > end:
            return True
        # There is no event to wait for: the port is another program's.
        await anyio.sleep(_PAUSE_SECONDS)
    return False


def _refuses(server: Address, port: int) -> bool:
    family = socket.AF_INET6 if server.version == 6 else socket.AF_INET  # noqa: PLR2004 - of IP
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_REFUSAL_SECONDS)
            asking.connect((str(server), port))
            asking.send(_NO_QUESTION)
            asking.recv(1)
    except ConnectionRefusedError:
        return True
    except OSError:
        # That nobody listens is not known: it took none, or there is no socket to be had.
        return False
    return False
