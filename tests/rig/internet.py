"""An internet for a test: hosts with addresses of all kinds, which containers of this host reach.

They live in one network namespace that ends with its process, and the process with this one. So do
the interface and the routes to it. Nobody's packets leave the host. The public ones have addresses
of documentation (RFC 5737, RFC 3849); a session has others than another one has.
"""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig.debian import CACHE
from tests.rig.internet_hosts import kind
from tests.rig.services import RigService

PORTS = (53, 80, 443, 8080)

_HOSTS = Path(__file__).parent / "internet_hosts.py"
_NUMBERS = 15

METADATA = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192")
METADATA_6 = ("fd00:ec2::254", "fd20:ce::254")
"""Where clouds tell a machine its secrets. All sessions have the same: whoever's answers.

Who asks them does so while `metadata_stays`.
"""

_ROUTES = CACHE / "internet.lock"


@dataclass(frozen=True, slots=True)
class Internet:
    """Addresses of a session's own, all of which answer on `PORTS` and to pings.

    `refused` are those that no preset leads to, `here` those of this host itself. `any_port` is a
    port on which each address of this host answers, those of its bridges too, and `interface` is
    where this host's packets to the others go.
    """

    number: int
    public: tuple[str, ...]
    private: tuple[str, ...]
    refused: tuple[str, ...]
    here: tuple[str, ...]
    nameserver: str
    any_port: int
    interface: str
    _far: subprocess.Popen[bytes]

    def name(self, records: Mapping[str, Sequence[str]], *, seconds: int = 1) -> None:
        """Replace what the name server knows: addresses by name, and how long they may be kept."""
        told = {"records": {name.lower(): list(found) for name, found in records.items()}}
        _tell(self._far, {**told, "seconds": seconds}, "learned")


@contextmanager
def internet() -> Iterator[Internet]:
    """Make an internet, and take it away."""
    number, claim = _claim()
    n = number
    public = (f"198.51.100.{16 * n + 1}", f"203.0.113.{16 * n + 1}", f"2001:db8:{n:x}::1")
    private = (
        *(f"10.127.{n}.1", f"172.31.{n}.1", f"192.168.{240 + n}.1"),
        f"fdb8:{n:x}::1",
    )
    refused = (
        *(f"100.64.{n}.1", f"198.18.{n}.1", f"64:ff9b::10.127.{n}.1", f"2002:a7f:{n:x}01::1"),
        *(*METADATA, *METADATA_6),
    )
    here = (f"198.51.100.{16 * n + 14}", f"2001:db8:{n:x}:ff::1")
    nameserver = f"198.51.100.{16 * n + 3}"
    near_end, far_end = f"bsinternet{n}", "internet"
    with claim, ExitStack() as stack:
        far = stack.enter_context(_hosts("unshare", "--net"))
        _ip(f"link add {near_end} type veth peer name {far_end} netns {far.pid}")
        stack.callback(_gone, near_end)
        for address in here:
            _ip(f"address add {address} dev {near_end} {kind(address)}")
        _ip(f"link set {near_end} up")
        everywhere = (*public, *private, *refused)
        link = {"name": far_end, "addresses": [*everywhere, nameserver], "hosts": here}
        _tell(
            far,
            {"link": link, "serve": everywhere, "ports": PORTS, "names": [nameserver]},
            "ready",
        )
        near = stack.enter_context(_hosts())
        _tell(near, {"link": None, "serve": here, "ports": PORTS, "names": []}, "ready")
        port = 8100 + number
        anywhere = stack.enter_context(_hosts())
        _tell(anywhere, {"link": None, "serve": ["::"], "ports": [port], "names": []}, "ready")
        # Nobody is sent here before all of it answers, and what answers does so till nobody is.
        with _routed(near_end, (*everywhere, nameserver), metric=100 + number):
            yield Internet(number, public, private, refused, here, nameserver, port, near_end, far)


@contextmanager
def metadata_stays() -> Iterator[None]:
    """Have the same session answer for `METADATA` during the block, whoever's internet it is."""
    with _ROUTES.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def _routed(interface: str, addresses: Sequence[str], *, metric: int) -> Iterator[None]:
    _change_routes("add", interface, addresses, metric)
    try:
        yield
    finally:
        _change_routes("delete", interface, addresses, metric)


def _change_routes(what: str, interface: str, addresses: Sequence[str], metric: int) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    lines = (f"route {what} {each} dev {interface} metric {metric}" for each in addresses)
    with _ROUTES.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


@contextmanager
def asked_for_names(internet: Internet, service: RigService) -> Iterator[None]:
    """Have a service's networks ask the internet's name server, in place of this host's."""
    inside = ("nsenter", "--target", str(service.thread), "--mount", "sh", "-c")
    with tempfile.NamedTemporaryFile("w", prefix="resolv.conf.") as file:
        file.write(f"nameserver {internet.nameserver}\n")
        file.flush()
        # A podman without root reads it too.
        Path(file.name).chmod(0o644)
        mount = f'mount --bind {file.name} "$(readlink -f /etc/resolv.conf)"'
        subprocess.run([*inside, mount], check=True)
        try:
            yield
        finally:
            umount = 'umount "$(readlink -f /etc/resolv.conf)"'
            subprocess.run([*inside, umount], check=True)


def _claim() -> tuple[int, socket.socket]:
    for number in range(1, _NUMBERS + 1):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0barasync-test-internet-{number}")
        except OSError:
            claim.close()
        else:
            return number, claim
    raise RuntimeError(f"{_NUMBERS} sessions of tests have an internet on this host already")


@contextmanager
def _hosts(*within: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*within, sys.executable, str(_HOSTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            _expect(process, "begun")
            yield process
        finally:
            process.kill()


def _tell(process: subprocess.Popen[bytes], message: object, answer: str) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    _expect(process, answer)


def _expect(process: subprocess.Popen[bytes], answer: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == f"{answer}\n".encode(), f"the hosts of the internet ended: {said!r}"


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def _gone(interface: str) -> None:
    """Remove an interface that goes with the namespace of its other end, whenever that is."""
    subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
