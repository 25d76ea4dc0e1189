"""Sources and ways that are not a container's own, with packets: none opens what is shut."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barasync.config.policies import PRESETS, Default, Policy, Ports, Preset, Protocol
from barasync.networks.host import addresses_of_thread
from barasync.networks.rules import Surroundings
from tests.contract.test_network_rules import (
    CELL6,
    IPV6_FREEBIND,
    PATIENCE,
    PEER4,
    PEER6,
    PUBLIC4,
    PUBLIC6,
    cell,
    datagrams,
    family,
    send,
)
from tests.network_policies import at, everywhere
from tests.rig.namespaces import Namespace, namespace


@contextmanager
def claiming(place: Namespace, address: str, port: int) -> Iterator[socket.socket]:
    """A socket that says of its datagrams that they are from somebody else."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        made.bind((address, port))
        return made

    with place.run(make) as made:
        yield made


ITSELF = {
    "private": (PRESETS["private"], Surroundings(), PUBLIC6),
    "public with services": (PRESETS["public"], Surroundings(loopback=True), PEER6),
    "its own address allowed": (
        Policy(name="own", base=Preset.LOCAL, allow=(at(f"{CELL6}/128"),)),
        Surroundings(),
        PUBLIC6,
    ),
}


@pytest.mark.parametrize("name", ITSELF)
def test_a_forbidden_host_is_not_reached_by_a_claim_that_it_has_asked(name: str) -> None:
    """A claim that is made over the loopback interface, where it goes to the container itself."""
    policy, around, forbidden = ITSELF[name]

    with (
        cell(policy, around) as (inside, outside),
        datagrams(outside, forbidden, 443) as server,
        datagrams(inside, CELL6, 5000) as client,
        claiming(inside, forbidden, 443) as claimant,
    ):
        send(inside, CELL6, 5000, b"its own")
        claimed = fate(inside, claimant, (CELL6, 5000))
        answered = fate(inside, client, (forbidden, 443))
        server.setblocking(False)

        assert client.recv(100) == b"its own"
        assert (claimed, answered) == ("EPERM", "EPERM")
        with pytest.raises(BlockingIOError):
            server.recv(100)


def test_a_forbidden_host_is_not_reached_by_claims_of_an_allowed_one() -> None:
    """Claims that leave by the interface of the network, and are an answer for the allowed one."""
    with (
        cell(PRESETS["public"]) as (inside, outside),
        datagrams(outside, PEER6, 443) as forbidden,
        datagrams(outside, PUBLIC6, 5000) as allowed,
        claiming(inside, PEER6, 443) as asking,
        claiming(inside, PUBLIC6, 5000) as answering,
    ):
        asked = fate(inside, asking, (PUBLIC6, 5000))
        answered = fate(inside, answering, (PEER6, 443))
        send(inside, PUBLIC6, 5000, b"its own")
        forbidden.setblocking(False)

        assert (asked, answered) == ("EPERM", "EPERM")
        assert allowed.recv(100) == b"its own"
        with pytest.raises(BlockingIOError):
            forbidden.recv(100)


def fate(place: Namespace, sender: socket.socket, to: tuple[str, int]) -> str:
    """Send a datagram, and say what became of that."""
    try:
        place.run(lambda: sender.sendto(b"x", to))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "sent"


def test_a_forged_source_of_version_4_is_refused_by_the_kernel_itself() -> None:
    ip_freebind = 15

    def action() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, ip_freebind, 1)
            sender.bind((PUBLIC4, 443))
            sender.sendto(b"x", (PEER4, 443))

    # The rules would say that it is not permitted.
    with (
        cell(PRESETS["private"]) as (inside, _),
        pytest.raises(OSError, match=r"Invalid argument|unreachable"),
    ):
        inside.run(action)


def test_the_address_of_its_link_is_a_containers_own() -> None:
    policy = Policy(name="link", base=Preset.LOCAL, allow=(at("fe80::/10"),))
    with cell(policy) as (inside, outside):
        outside.ip("address add fe80::77/64 dev eth0 nodad\n")

        def receive() -> socket.socket:
            made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            made.settimeout(PATIENCE)
            made.bind(("fe80::77", 80, 0, socket.if_nametoindex("eth0")))
            return made

        def action() -> None:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", ("fe80::77", 80, 0, socket.if_nametoindex("eth0")))

        with outside.run(receive) as receiver:
            inside.run(action)

            assert receiver.recv(100) == b"x"


LOOPBACK = {
    "private": (PRESETS["private"], Surroundings()),
    "local": (PRESETS["local"], Surroundings()),
    "with services": (PRESETS["private"], Surroundings(loopback=True)),
    "by entries": (
        Policy(name="own", base=Preset.ISOLATED, allow=(at("127.0.0.0/8"), at("::1/128"))),
        Surroundings(),
    ),
    "by default": (
        Policy(name="open", base=Preset.LOCAL, default=Default.ACCEPT),
        Surroundings(),
    ),
}


@pytest.mark.parametrize("name", LOOPBACK)
def test_loopback_is_the_containers_own_and_not_that_of_a_host_it_can_be_sent_to(name: str) -> None:
    """A socket that is bound to the interface of a network does not ask the table `local`."""
    with cell(*LOOPBACK[name]) as (inside, outside):
        outside.run(lambda: ROUTE_LOCALNET.write_text("1"))
        with datagrams(outside, "127.0.0.1", 80) as of_host:
            for address in ("127.0.0.1", "127.9.9.9", "::1"):
                with datagrams(inside, address, 80) as own, astray(inside, address) as sender:
                    answered = fate(inside, sender, (address, 80))
                    send(inside, address, 80, b"its own")

                    assert answered in {"EPERM", "ENETUNREACH"}
                    assert own.recv(100) == b"its own"
            of_host.setblocking(False)
            with pytest.raises(BlockingIOError):
                of_host.recv(100)


OPEN = Policy(name="open", base=Preset.LOCAL, default=Default.ACCEPT)
PORTS = Policy(name="ports", base=Preset.PUBLIC, allow=(everywhere(Ports(Protocol.UDP, 443, 443)),))


@pytest.mark.parametrize("policy", [PRESETS["public"], OPEN, PORTS], ids=lambda each: each.name)
def test_a_host_is_not_reached_by_the_addresses_that_it_shares_with_others(policy: Policy) -> None:
    """Broadcasts of its networks and, as a router, the first address of each of its prefixes."""
    shared = ("203.0.113.255", "2001:db8:77::")
    with namespace() as host:
        host.ip(
            """
            link add eth1 type bridge
            address add 203.0.113.1/24 brd + dev eth1
            address add 2001:db8:77::1/64 dev eth1 nodad
            link set eth1 up
            """
        )
        host.run(lambda: FORWARDING.write_text("1"))
        heard = addresses_of_thread(host.thread_id)
    with cell(policy, Surroundings(host=heard)) as (inside, _), sending(inside) as senders:
        fates = {
            address: fate(inside, senders[":" in address], (address, 443)) for address in shared
        }
        neighbours = [
            fate(inside, senders[":" in address], (address, 443))
            for address in ("203.0.113.254", "2001:db8:77::2")
        ]

    assert fates == dict.fromkeys(shared, "EPERM")
    assert neighbours == ["sent", "sent"]


FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")


@contextmanager
def sending(place: Namespace) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Sockets for datagrams, of IPv4 and of IPv6."""
    with datagrams(place, "0.0.0.0") as version4, datagrams(place, "::") as version6:
        yield version4, version6


ROUTE_LOCALNET = Path("/proc/sys/net/ipv4/conf/all/route_localnet")
"""Of hosts that publish ports of containers on their own loopback interface."""


def astray(place: Namespace, address: str) -> socket.socket:
    """A socket for datagrams that leave by the interface of the network, wherever they go."""

    def make() -> socket.socket:
        made = socket.socket(family(address), socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        return made

    return place.run(make)
