"""What a container does that says it is somebody else: from a forbidden address, to an allowed one.

    python claim_words.py FORBIDDEN ALLOWED

It prints what becomes of four datagrams, `sent` or the name of the error: its own to the allowed
host; the claimed one to itself, and its own in answer; the claimed one to the allowed host.
"""

import errno
import socket
import sys

IPV6_FREEBIND = 78


def bound(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    made.bind((address, port))
    return made


def fate(sender: socket.socket, to: tuple[str, int]) -> str:
    try:
        sender.sendto(b"x", to)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "sent"


def main() -> None:
    forbidden, allowed = sys.argv[1:]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        asking.connect((allowed, 443))
        own = asking.getsockname()[0]
    with bound(own, 5000) as client, bound(forbidden, 443) as claimant:
        fates = (
            fate(client, (allowed, 443)),
            fate(claimant, (own, 5000)),
            fate(client, (forbidden, 443)),
            fate(claimant, (allowed, 443)),
        )
    sys.stdout.write(" ".join(fates) + "\n")


if __name__ == "__main__":
    main()
